package journal

import (
	"fmt"
	"path"
	"sync"

	"trine/internal/core"
)

// logFile is one file of the log. Fields below the line are guarded by journal.mu.
type logFile struct {
	name string
	gen  uint64
	f    File
	end  int64 // of its writes; guarded by wal.mu while it is the current one

	streams  []*stream // that have something in it
	inflight int       // writes not yet applied
	pins     int       // readers
	retired  bool      // nothing in it is needed
}

// wal writes the log. Who writes holds mu; who flushes holds flushMu, so that one
// flush runs at a time and covers all that was written before it began.
type wal struct {
	fs    FS
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

// logWrite is one write on its way to the log.
type logWrite struct {
	Write
	seq  uint64
	file *logFile
	pos  int64 // of the head
}

// write puts b at the end of the log, not yet flushed. An error that is Full
// leaves the log as it was; after any other it must not be used again.
func (w *wal) write(b *logWrite, taken func(*logFile)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cur == nil || (w.cur.end > LogDataStart && w.cur.end+b.Size() > w.limit) {
		if err := w.roll(); err != nil {
			return err
		}
	}
	f := w.cur
	b.seq, b.pos = w.seq+1, f.end
	if _, err := f.f.WriteAt(b.Seal(f.gen, b.seq, w.flushed, b.pos), b.pos); err != nil {
		b.Unseal()
		if Full(err) {
			f.f.Truncate(f.end) // what was written in part is of no use, and in the way
		}
		return fmt.Errorf("write log %q: offset %d: %w", f.name, f.end, err)
	}
	b.file = f
	taken(f)
	f.end += b.Size()
	w.seq++
	w.said = w.flushed
	if !b.Empty() {
		w.meat = w.seq
	}
	w.wrote += b.Size()
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
	f := &logFile{gen: before + 1, end: LogDataStart}
	head := make([]byte, LogDataStart)
	PutLogHead(head, w.disk, f.gen, last+1, before, last)
	PutLogHead(head[LogHeadAgain:], w.disk, f.gen, last+1, before, last)
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

// flushWatch knows which flushes are under way: a node whose disk does not answer
// must not go on as if nothing were.
type flushWatch struct {
	now  func() core.Time
	mu   sync.Mutex
	next int
	runs map[int]core.Time // when they began
}

func (w *flushWatch) sync(f File) error {
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
