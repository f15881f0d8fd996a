package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path"
	"sort"
	"strconv"
	"strings"

	"trine/internal/core"
)

// A pack takes over what files of the log still hold that is needed, so that they can
// be overwritten: remains of many streams, their checkpoints, and a directory that
// says all that is known of each stream the log files had something of. It is written
// once, flushed, and given its name; packs go in the order in which they came.
//
//	 0 head, as a segment's
//	64 frames
//	 . the directory, twice
//	 . footer, twice: magic "TRPE", version u8, zero[3], 8 position of the directory u64,
//	   16 its length u64, 24 covered generation u64, 32 sequence u64, 40 zero[12],
//	   52 crc u32 of the directory, 56 zero u32, 60 crc u32 of the 60 before
//
// The log's generations up to the covered one are free. The directory shows streams as
// they were after the write of that sequence: later writes come on top, earlier ones
// are passed over. A stream's newest mention counts.
const (
	footMagic = 0x54525045 // TRPE
	footBytes = 64
)

type pack struct {
	number uint64
	size   int64
}

// mention is a stream in a pack's directory.
func putMention(e *Encoder, s *stream, cpAt place, parts, fill []part) {
	e.Uint(uint64(s.id))
	e.Bool(s.removed)
	e.Uint(uint64(s.road))
	e.Int(int64(s.state.Epoch))
	e.Uint(uint64(s.state.Vote))
	e.Int(int64(s.state.Commit))
	e.Int(int64(s.start))
	e.Int(int64(s.cleaned))
	e.Bytes([]byte(s.damage))
	e.Bool(s.keep != nil)
	if s.keep != nil {
		e.Keep(s.keep)
	}
	e.Bool(s.reclaim != nil)
	if s.reclaim != nil {
		e.Reclaim(s.reclaim)
	}
	e.Bool(s.hasCP)
	if s.hasCP {
		e.Int(int64(s.cp.Index))
		e.Int(int64(s.cp.Epoch))
		e.Uint(uint64(s.cp.Gen))
		e.Int(int64(s.cp.Next))
		e.Int(int64(s.cp.Start))
		e.Uint(uint64(cpAt.kind))
		e.Uint(cpAt.file)
		e.Int(cpAt.pos)
	}
	putParts(e, parts)
	putParts(e, fill)
}

func getMention(d *Decoder) *stream {
	s := &stream{id: core.StreamID(d.Uint()), known: true, removed: d.Bool(),
		road: core.Flush(d.Uint()), state: core.HardState{Epoch: core.Epoch(d.Int()),
			Vote: core.DiskID(d.Uint()), Commit: core.Index(d.Int())},
		start: core.Offset(d.Int()), cleaned: core.Index(d.Int()), damage: string(d.Bytes())}
	if d.Bool() {
		k := d.Keep()
		s.keep = &k
	}
	if d.Bool() {
		s.reclaim = d.Reclaim()
	}
	if s.hasCP = d.Bool(); s.hasCP {
		s.cp = core.Checkpoint{Index: core.Index(d.Int()), Epoch: core.Epoch(d.Int()),
			Gen: core.Generation(d.Uint()), Next: core.Offset(d.Int()), Start: core.Offset(d.Int())}
		s.cpAt = place{placeKind(d.Uint()), d.Uint(), d.Int()}
	}
	s.parts = getParts(d)
	s.fill = getParts(d)
	if n := len(s.parts); n > 0 {
		s.last = s.parts[n-1].last
	}
	s.last = max(s.last, s.cp.Index)
	return s
}

// readPacks shows all packs' directories and gives the log generation they cover.
// What a pack says stands nowhere else: one that cannot be read ends the start.
func (j *Journal) readPacks() (covered uint64, err error) {
	dir := path.Join(j.dir, packDir)
	names, err := j.fs.List(dir)
	if err != nil {
		return 0, fmt.Errorf("open journal %q: %w", j.dir, err)
	}
	for _, n := range names {
		number, err := strconv.ParseUint(strings.TrimSuffix(n, ".pack"), 16, 64)
		if err != nil {
			if strings.HasSuffix(n, unfinished) {
				j.fs.Remove(path.Join(dir, n)) // it was never finished
			}
			continue
		}
		j.packs = append(j.packs, &pack{number: number})
		j.number = max(j.number, number)
	}
	sort.Slice(j.packs, func(a, b int) bool { return j.packs[a].number < j.packs[b].number })
	for _, p := range j.packs {
		c, err := j.readPack(p)
		if err != nil {
			return 0, fmt.Errorf("open journal %q: %w", j.dir, err)
		}
		covered = max(covered, c)
	}
	return covered, nil
}

func (j *Journal) readPack(p *pack) (covered uint64, err error) {
	h := j.pin(inPack, p.number)
	defer j.release([]*handle{h})
	f, err := j.file(h)
	if err != nil {
		return 0, err
	}
	if p.size, err = f.Size(); err != nil {
		return 0, err
	}
	if p.size < segmentHead+2*footBytes {
		return 0, &Damage{h.name, p.size, errors.New("it is cut off")}
	}
	var foot, dir []byte
	for i := int64(1); i <= 2; i++ {
		b := make([]byte, footBytes)
		if err := ReadFull(f, b, p.size-i*footBytes); err != nil {
			return 0, &Damage{h.name, p.size - i*footBytes, err}
		}
		be := binary.BigEndian
		if be.Uint32(b) != footMagic || be.Uint32(b[60:]) != crc32.Checksum(b[:60], Castagnoli) {
			j.note(&Damage{h.name, p.size - i*footBytes, errors.New("a footer's CRC does not fit")})
			continue
		}
		foot = b
	}
	if foot == nil {
		return 0, &Damage{h.name, p.size, errors.New("both footers are damaged")}
	}
	be := binary.BigEndian
	if foot[4] != fileVersion {
		return 0, fmt.Errorf("read pack %q: its format version is %d, this program knows %d", h.name,
			foot[4], fileVersion)
	}
	at, size := int64(be.Uint64(foot[8:])), int64(be.Uint64(foot[16:]))
	if at < segmentHead || size < 0 || at > p.size || size > p.size || at+2*size > p.size {
		return 0, &Damage{h.name, p.size, errors.New("its directory cannot lie where it says")}
	}
	for i := int64(1); i >= 0; i-- {
		b := make([]byte, size)
		if err := ReadFull(f, b, at+i*size); err != nil {
			return 0, &Damage{h.name, at + i*size, err}
		}
		if crc32.Checksum(b, Castagnoli) != be.Uint32(foot[52:]) {
			j.note(&Damage{h.name, at + i*size, errors.New("a directory's CRC does not fit")})
			continue
		}
		dir = b
	}
	if dir == nil {
		return 0, &Damage{h.name, at, errors.New("both directories are damaged")}
	}
	if err := j.showPack(p, dir, be.Uint64(foot[32:])); err != nil {
		return 0, &Damage{h.name, at, err}
	}
	j.wal.seq = max(j.wal.seq, be.Uint64(foot[32:]))
	return be.Uint64(foot[24:]), nil
}

func (j *Journal) showPack(p *pack, dir []byte, seq uint64) error {
	d := Decode(dir)
	for n := d.Count(1); n > 0 && d.Good(); n-- {
		s := getMention(d)
		if !d.Good() {
			break
		}
		if was := j.streams[s.id]; was != nil && s.removed {
			if s.alive = was.alive; !was.buried {
				s.alive = was.home
			}
		}
		s.home, s.buried, s.skip = p.number, s.removed, seq
		j.streams[s.id] = s
		j.count(s)
	}
	return d.End()
}

// packWriter writes a pack under a passing name.
type packWriter struct {
	j      *Journal
	number uint64
	name   string
	f      File
	buf    []byte
	pos    int64 // of the start of buf
}

func (j *Journal) newPack() (*packWriter, error) {
	w := &packWriter{j: j, number: j.nextNumber()}
	w.name = j.fileName(fileKey{inPack, w.number})
	var err error
	if w.f, err = j.fs.Create(w.name + unfinished); err != nil {
		return nil, fmt.Errorf("write pack %q: %w", w.name, err)
	}
	w.buf = fileHead(packMagic, j.disk, w.number, 0)
	return w, nil
}

// add appends a frame and gives where it stands.
func (w *packWriter) add(h Head, data []byte) (place, error) {
	at := place{inPack, w.number, w.pos + int64(len(w.buf))}
	w.buf = AppendFrame(w.buf, h, data)
	if len(w.buf) < readBytesMax {
		return at, nil
	}
	return at, w.drain()
}

func (w *packWriter) drain() error {
	if _, err := w.f.WriteAt(w.buf, w.pos); err != nil {
		return fmt.Errorf("write pack %q: offset %d: %w", w.name, w.pos, err)
	}
	w.pos += int64(len(w.buf))
	w.buf = w.buf[:0]
	return nil
}

// finish writes directory and footer, flushes, and gives the pack its name.
func (w *packWriter) finish(dir []byte, covered, seq uint64) (*pack, error) {
	at := w.pos + int64(len(w.buf))
	w.buf = append(append(w.buf, dir...), dir...)
	foot := make([]byte, footBytes)
	be := binary.BigEndian
	be.PutUint32(foot, footMagic)
	be.PutUint32(foot[4:], fileVersion<<24)
	be.PutUint64(foot[8:], uint64(at))
	be.PutUint64(foot[16:], uint64(len(dir)))
	be.PutUint64(foot[24:], covered)
	be.PutUint64(foot[32:], seq)
	be.PutUint32(foot[52:], crc32.Checksum(dir, Castagnoli))
	be.PutUint32(foot[60:], crc32.Checksum(foot[:60], Castagnoli))
	w.buf = append(append(w.buf, foot...), foot...)
	err := w.drain()
	if err == nil {
		if err = w.j.watch.sync(w.f); err != nil {
			err = &flushError{w.name, err}
		}
	}
	if e := w.f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = w.j.fs.Rename(w.name+unfinished, w.name)
	}
	if err == nil {
		err = w.j.fs.SyncDir(path.Dir(w.name))
	}
	w.f = nil
	return &pack{w.number, w.pos}, err
}

// drop gives the pack up.
func (w *packWriter) drop() {
	if w.f != nil {
		w.f.Close()
	}
	w.j.fs.Remove(w.name + unfinished)
}
