package journal

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"sync"

	"trine/internal/core"
)

// Options bound a journal. Zero fields take the defaults.
type Options struct {
	NewDiskID    func() core.DiskID // draws the id of an empty directory; required
	Now          func() core.Time   // for the age of flushes; nil: it is not known
	LogBytes     int64              // 64 MiB: size at which a file of the log ends
	LogFiles     int                // 2: full files of the log that Clean leaves alone
	SegmentBytes int64              // 64 MiB: where a stream's rules name none
	SmallBytes   int64              // 64 KiB: remains of a stream below that share a pack
	ReserveBytes int64              // 64 MiB: kept for settlements, trims and checkpoints
	FilesMax     int                // 512: segments and packs held open while unused

	// Began is told, by the cleaner and with nothing held, where a stream begins from now
	// on because its rules let go what is older or too much; nil: nobody is.
	Began func(core.StreamID, core.Offset)
}

func (o *Options) fill() {
	for _, d := range []struct {
		p *int64
		v int64
	}{{&o.LogBytes, 64 << 20}, {&o.SegmentBytes, 64 << 20}, {&o.SmallBytes, 64 << 10},
		{&o.ReserveBytes, 64 << 20}} {
		if *d.p == 0 {
			*d.p = d.v
		}
	}
	if o.LogFiles == 0 {
		o.LogFiles = 2
	}
	if o.FilesMax == 0 {
		o.FilesMax = 512
	}
	if o.Now == nil {
		o.Now = func() core.Time { return 0 }
	}
}

// Journal is everything that one data disk holds. One goroutine calls WriteEach,
// one WriteLazy, one Clean; they may be three. Load, FindStamp, Rest, Health and
// Stats may be called by anyone.
//
// What is in memory is what is flushed: a write to the log is applied, in the
// order of its sequence, once its flush is done. Only what the lazy road wrote
// runs ahead, as far as its open segments go.
type Journal struct {
	fs    FS
	dir   string
	opt   Options
	lock  io.Closer
	disk  core.DiskID
	boot  string
	wal   wal
	watch flushWatch

	each, lazy []logWrite // buffers of the two writers
	lazyBuf    []byte     // and the lazy one's for entries
	ownMu      sync.Mutex
	own        logWrite // and of everyone else

	// shape is held by whoever notes that a segment of the lazy road begins, was
	// flushed, or ends, from looking to applying.
	shape sync.Mutex

	mu         sync.Mutex
	turn       *sync.Cond // applied has moved, or the log failed
	streams    map[core.StreamID]*stream
	logs       map[uint64]*logFile // by generation
	packs      []*pack             // by number
	files      files
	graves     []*handle
	waiting    []*stream // that have a checkpoint to note, or segments to flush
	applied    uint64    // the last write that streams show
	covered    uint64    // the last generation that packs cover
	begun      uint64    // the generation that is written to, 0: none in this run
	number     uint64    // of the last segment or pack
	turns      uint64
	failed     error
	closed     bool
	recovering bool
	ends       []segmentEnd    // while recovering: open segments that cannot go on
	unfilled   []core.StreamID // while recovering: whose filling was broken off
	keepAll    bool            // damage was found: nothing that nobody names is removed
	doubt      *Damage         // while recovering: flushed bytes are not there, of nobody knows whom
	report     core.DiskReport
	stats      Stats
	round      []core.StreamID // that the cleaner has yet to look at
	roundAt    core.Stamp      // when it began to look at all
}

// Stats counts what a journal did since it was opened.
type Stats struct {
	Streams      int
	LogFiles     int   // live
	LogBytes     int64 // written to the log
	LogWrites    int64
	Flushes      int64 // of the log
	SegmentBytes int64 // written to segments by the lazy road
	CopiedBytes  int64 // copied on by the cleaner
	Recycled     int64 // files of the log
	Damaged      int   // streams
	FilesOpen    int
}

// ErrClosed is what a closed journal answers.
var ErrClosed = errors.New("the journal is closed")

// Open opens a directory, which it takes for this process alone, and gives what it
// holds. An empty directory becomes a new disk. It refuses another format version,
// a directory in use, and one whose own records are damaged beyond its copies.
func Open(fs FS, dir string, opt Options) (*Journal, *core.DiskReport, error) {
	opt.fill()
	j := &Journal{fs: fs, dir: dir, opt: opt, streams: map[core.StreamID]*stream{},
		logs: map[uint64]*logFile{}, files: newFiles(opt.FilesMax)}
	j.turn = sync.NewCond(&j.mu)
	j.watch = flushWatch{now: opt.Now, runs: map[int]core.Time{}}
	j.wal = wal{fs: fs, dir: path.Join(dir, logDir), limit: opt.LogBytes, watch: &j.watch}
	for _, d := range []string{dir, path.Join(dir, logDir), path.Join(dir, packDir),
		path.Join(dir, segmentDir)} {
		if err := fs.MkdirAll(d); err != nil {
			return nil, nil, fmt.Errorf("open journal %q: %w", dir, err)
		}
	}
	lock, err := fs.Lock(path.Join(dir, lockName))
	if err != nil {
		return nil, nil, fmt.Errorf("open journal %q: %w", dir, err)
	}
	j.lock = lock
	for _, step := range []func() error{j.identify, j.readRun, j.recover,
		func() error { return j.writeRun(false) }} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		j.closeFiles()
		lock.Close()
		return nil, nil, err
	}
	j.report.Disk = j.disk
	r := j.report
	return j, &r, nil
}

// closeFiles closes all handles.
func (j *Journal) closeFiles() {
	for _, f := range j.logs {
		if f.f != nil {
			f.f.Close()
		}
	}
	for _, h := range j.files.open {
		if h.f != nil {
			h.f.Close()
		}
	}
}

// Close stops in order: everything is flushed and has its witness, and the next
// Open reports Clean. Nobody may be in another call.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	err := j.failed
	j.mu.Unlock()
	if err == nil {
		err = j.settle()
	}
	if err == nil {
		err = j.Rest()
	}
	j.mu.Lock()
	j.closed = true
	j.turn.Broadcast()
	j.mu.Unlock()
	j.closeFiles()
	if err == nil {
		err = j.writeRun(true)
	}
	if e := j.lock.Close(); err == nil {
		err = e
	}
	return err
}

// Rest gives the last write its witness where it has none yet. The node calls it
// when nothing was written for 10 ms.
func (j *Journal) Rest() error {
	if j.wal.rested() {
		return nil
	}
	j.ownMu.Lock()
	defer j.ownMu.Unlock()
	j.own.Reset()
	return j.commit(&j.own)
}

// fail makes the journal refuse all writes from now on: after a failed flush nobody
// knows what is on the disk.
func (j *Journal) fail(err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed == nil {
		j.failed = &core.Error{Op: "write journal", Name: j.dir, Kind: core.Unknown,
			Detail: "it takes nothing more in this run", Err: err}
		j.turn.Broadcast()
	}
	return j.failed
}

// writable gives the reason why nothing may be written, or nil.
func (j *Journal) writable() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return ErrClosed
	}
	return j.failed
}

// found notes damage that a read met, for Stats and the next Open.
func (j *Journal) found(id core.StreamID, d *Damage) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s := j.streams[id]; s != nil && s.damage == "" {
		s.damage = d.Error()
	}
}

// Health gives when the oldest unfinished flush began (0: none is under way) and
// why the journal takes nothing more (nil: it does).
func (j *Journal) Health() (core.Time, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.watch.oldest(), j.failed
}

// Stats counts.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	s := j.stats
	s.LogFiles, s.FilesOpen = len(j.logs), len(j.files.open)
	for _, x := range j.streams {
		if x.removed || !x.known {
			continue
		}
		s.Streams++
		if x.damage != "" {
			s.Damaged++
		}
	}
	j.mu.Unlock()
	j.wal.mu.Lock()
	defer j.wal.mu.Unlock()
	s.LogBytes, s.LogWrites, s.Flushes = j.wal.wrote, j.wal.writes, j.wal.flushes
	return s
}

func streamName(s core.StreamID) string { return "stream " + strconv.FormatUint(uint64(s), 10) }

// streamOf gives a stream, known or not. Call it with mu held.
func (j *Journal) streamOf(id core.StreamID) *stream {
	s := j.streams[id]
	if s == nil {
		s = &stream{id: id}
		j.streams[id] = s
	}
	return s
}
