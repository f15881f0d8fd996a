package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path"
	"sync"

	"trine/internal/core"
	"trine/internal/journal/vfs"
)

// The write-ahead log is a row of files, one generation each, that are overwritten
// when nothing in them is needed any more.
//
//	file    0 magic "TRWF", 4 version u8, 5 zero[3], 8 disk u64, 16 generation u64,
//	       24 first sequence u64, 32 generation before u64, 40 its last sequence u64,
//	       48 zero u32, 52 crc u32 of the 52 bytes before;     the same again at 2048
//	     4096 the writes, each at a multiple of 8
//
//	write   0 magic "TRWW", 4 version u8, 5 zero[3], 8 generation u64, 16 sequence u64,
//	       24 highest sequence known flushed u64, 32 position u64, 40 bytes of frames u32,
//	       44 frames u32, 48 streams u32, 52 crc u32 of the frames and their padding,
//	       56 zero u32, 60 crc u32 of the 60 bytes before
//	       64 the frames, zeros up to a multiple of 8
//	        . trailer: magic "TRWE", streams u32, sequence u64, then the streams that have
//	          frames here, u64 each, then streams u32 again, crc u32 of all before
//
// A write names its generation and its own position, so that no byte of an earlier
// use of the file passes for one. A later write that says "flushed through n" is the
// witness that write n was on the disk: that n cannot be read is then damage, and no
// torn tail. The trailer says whose bytes they were when the head no longer can.
const (
	logMagic     = 0x54525746 // TRWF
	writeMagic   = 0x54525757 // TRWW
	trailerMagic = 0x54525745 // TRWE

	logVersion     = 1
	logHeadBytes   = 56
	logHeadAgain   = 2048
	logDataStart   = 4096
	writeHeadBytes = 64
	trailerBytes   = 24
)

// logFile is one file of the log. Fields below the line are guarded by journal.mu.
type logFile struct {
	name string
	gen  uint64
	f    vfs.File
	end  int64 // of its writes; guarded by wal.mu while it is the current one

	streams  []*stream // that have something in it
	inflight int       // writes not yet applied
	pins     int       // readers
	retired  bool      // nothing in it is needed
}

// wal writes the log. Who writes holds mu; who flushes holds flushMu, so that one
// flush runs at a time and covers all that was written before it began.
type wal struct {
	fs    vfs.FS
	dir   string
	disk  core.DiskID
	limit int64

	mu     sync.Mutex
	cur    *logFile
	gen    uint64   // of the last file begun
	seq    uint64   // of the last write
	meat   uint64   // of the last write that was not empty
	said   uint64   // the highest flushed sequence that a write names
	free   []string // files to overwrite
	slots  int      // the next file's number
	wrote  int64    // bytes
	writes int64

	watch *flushWatch

	flushMu sync.Mutex
	flushed uint64 // guarded by mu
	flushes int64
}

// logWrite is one write on its way: frames between a head and a trailer.
type logWrite struct {
	buf     []byte
	frames  uint32
	streams []core.StreamID
	seq     uint64
	file    *logFile
	pos     int64 // of the head
	payload int   // bytes of frames
}

func (b *logWrite) reset() {
	*b = logWrite{buf: append(b.buf[:0], make([]byte, writeHeadBytes)...), streams: b.streams[:0]}
}

func (b *logWrite) empty() bool { return b.frames == 0 }

func (b *logWrite) add(h head, data []byte) {
	b.frames++
	b.buf = appendFrame(b.buf, h, data)
	b.name(h.stream)
}

func (b *logWrite) addEntry(s core.StreamID, e *core.Entry, flags uint8) {
	b.frames++
	b.buf = appendEntry(b.buf, s, e, flags)
	b.name(s)
}

// name notes a stream for the trailer. The frames of one stream come together, so
// that its last mention is near; a second mention does no harm.
func (b *logWrite) name(s core.StreamID) {
	if n := len(b.streams); n == 0 || b.streams[n-1] != s {
		b.streams = append(b.streams, s)
	}
}

// frame bytes as they stand in the file at pos+writeHeadBytes.
func (b *logWrite) framesOf() []byte { return b.buf[writeHeadBytes : writeHeadBytes+b.payload] }

// seal pads, writes the trailer, then the head.
func (b *logWrite) seal(gen, seq, flushed uint64, pos int64) {
	be := binary.BigEndian
	b.payload = len(b.buf) - writeHeadBytes
	for len(b.buf)%8 != 0 {
		b.buf = append(b.buf, 0)
	}
	body := crc32.Checksum(b.buf[writeHeadBytes:], castagnoli)
	at := len(b.buf)
	b.buf = be.AppendUint32(b.buf, trailerMagic)
	b.buf = be.AppendUint32(b.buf, uint32(len(b.streams)))
	b.buf = be.AppendUint64(b.buf, seq)
	for _, s := range b.streams {
		b.buf = be.AppendUint64(b.buf, uint64(s))
	}
	b.buf = be.AppendUint32(b.buf, uint32(len(b.streams)))
	b.buf = be.AppendUint32(b.buf, crc32.Checksum(b.buf[at:], castagnoli))

	h := b.buf[:writeHeadBytes]
	be.PutUint32(h, writeMagic)
	be.PutUint32(h[4:], logVersion<<24)
	be.PutUint64(h[8:], gen)
	be.PutUint64(h[16:], seq)
	be.PutUint64(h[24:], flushed)
	be.PutUint64(h[32:], uint64(pos))
	be.PutUint32(h[40:], uint32(b.payload))
	be.PutUint32(h[44:], b.frames)
	be.PutUint32(h[48:], uint32(len(b.streams)))
	be.PutUint32(h[52:], body)
	be.PutUint32(h[60:], crc32.Checksum(h[:60], castagnoli))
	b.seq, b.pos = seq, pos
}

// unseal takes the padding and the trailer off again, for another try elsewhere.
func (b *logWrite) unseal() { b.buf = b.buf[:writeHeadBytes+b.payload] }

// write puts b at the end of the log, not yet flushed. An error that is vfs.Full
// leaves the log as it was; after any other it must not be used again.
func (w *wal) write(b *logWrite, taken func(*logFile)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cur == nil || (w.cur.end > logDataStart && w.cur.end+int64(len(b.buf)) > w.limit) {
		if err := w.roll(); err != nil {
			return err
		}
	}
	f := w.cur
	b.seal(f.gen, w.seq+1, w.flushed, f.end)
	if _, err := f.f.WriteAt(b.buf, f.end); err != nil {
		b.unseal()
		if vfs.Full(err) {
			f.f.Truncate(f.end) // what was written in part is of no use, and in the way
		}
		return fmt.Errorf("write log %q: offset %d: %w", f.name, f.end, err)
	}
	b.file = f
	taken(f)
	f.end += int64(len(b.buf))
	w.seq++
	w.said = w.flushed
	if !b.empty() {
		w.meat = w.seq
	}
	w.wrote += int64(len(b.buf))
	w.writes++
	return nil
}

// roll begins the next generation, in a file that is free or in a new one. All of
// the file before is flushed first: the new one's head says so.
func (w *wal) roll() error {
	if w.cur != nil && w.flushed < w.seq {
		if err := w.watch.sync(w.cur.f); err != nil {
			return &flushError{w.cur.name, err}
		}
		w.flushed = w.seq
		w.flushes++
	}
	f, err := w.begin(w.gen, w.seq)
	if err != nil {
		return err
	}
	w.cur, w.gen = f, f.gen
	return nil
}

func (w *wal) begin(before, last uint64) (*logFile, error) {
	f := &logFile{gen: before + 1, end: logDataStart}
	head := make([]byte, logDataStart)
	putLogHead(head, w.disk, f.gen, last+1, before, last)
	putLogHead(head[logHeadAgain:], w.disk, f.gen, last+1, before, last)
	var err error
	if n := len(w.free); n > 0 {
		f.name = w.free[n-1]
		if f.f, err = w.fs.Open(f.name); err == nil {
			w.free = w.free[:n-1]
		}
	} else {
		f.name = path.Join(w.dir, fmt.Sprintf("%08d.wal", w.slots))
		if f.f, err = w.fs.Create(f.name); err == nil {
			w.slots++
			err = w.fs.SyncDir(w.dir)
		}
	}
	if err == nil {
		_, err = f.f.WriteAt(head, 0)
	}
	if err != nil {
		if f.f != nil {
			f.f.Close()
			w.free = append(w.free, f.name)
		}
		return nil, fmt.Errorf("begin log %q: %w", f.name, err)
	}
	return f, nil
}

// flushError is a flush that failed: what it was to flush may be gone, and no later
// flush can be believed.
type flushError struct {
	name string
	err  error
}

func (e *flushError) Error() string { return fmt.Sprintf("flush %q: %v", e.name, e.err) }
func (e *flushError) Unwrap() error { return e.err }

// flush returns once write seq is on the disk. Whatever was written while the last
// flush ran goes with this one.
func (w *wal) flush(seq uint64) error {
	w.flushMu.Lock()
	defer w.flushMu.Unlock()
	w.mu.Lock()
	if w.flushed >= seq {
		w.mu.Unlock()
		return nil
	}
	f, through := w.cur, w.seq
	w.mu.Unlock()
	err := w.watch.sync(f.f)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		return &flushError{f.name, err}
	}
	w.flushes++
	w.flushed = max(w.flushed, through)
	return nil
}

// rested says whether the last write has its witness.
func (w *wal) rested() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cur == nil || w.said >= w.meat
}

func putLogHead(b []byte, disk core.DiskID, gen, first, before, last uint64) {
	be := binary.BigEndian
	be.PutUint32(b, logMagic)
	be.PutUint32(b[4:], logVersion<<24)
	be.PutUint64(b[8:], uint64(disk))
	be.PutUint64(b[16:], gen)
	be.PutUint64(b[24:], first)
	be.PutUint64(b[32:], before)
	be.PutUint64(b[40:], last)
	be.PutUint32(b[52:], crc32.Checksum(b[:52], castagnoli))
}

type logHead struct {
	disk                     core.DiskID
	gen, first, before, last uint64
}

// parseLogHead reads one copy of a file's head; ok says that its CRC fits.
func parseLogHead(b []byte) (h logHead, version byte, ok bool) {
	be := binary.BigEndian
	if len(b) < logHeadBytes || be.Uint32(b) != logMagic ||
		be.Uint32(b[52:]) != crc32.Checksum(b[:52], castagnoli) {
		return h, 0, false
	}
	return logHead{core.DiskID(be.Uint64(b[8:])), be.Uint64(b[16:]), be.Uint64(b[24:]),
		be.Uint64(b[32:]), be.Uint64(b[40:])}, b[4], true
}

// flushWatch knows which flushes are under way: a node whose disk does not answer
// must not go on as if nothing were.
type flushWatch struct {
	now  func() core.Time
	mu   sync.Mutex
	next int
	runs map[int]core.Time // when they began
}

func (w *flushWatch) sync(f vfs.File) error {
	began := w.now()
	w.mu.Lock()
	w.next++
	n := w.next
	w.runs[n] = began
	w.mu.Unlock()
	err := f.Sync()
	w.mu.Lock()
	delete(w.runs, n)
	w.mu.Unlock()
	return err
}

// oldest gives when the oldest flush under way began, 0 where there is none.
func (w *flushWatch) oldest() core.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	var t core.Time
	for _, began := range w.runs {
		if t == 0 || began < t {
			t = began
		}
	}
	return t
}
