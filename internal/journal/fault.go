package journal

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Op is what is done to a disk.
type Op uint8

// The operations that a Fault can meet.
const (
	OpAny Op = iota
	OpRead
	OpWrite
	OpSync
	OpCreate
	OpOpen
	OpRename
	OpRemove
	OpSyncDir
	OpTruncate
)

var opTexts = [...]string{"any", "read", "write", "sync", "create", "open", "rename", "remove",
	"syncdir", "truncate"}

func (o Op) String() string { return opTexts[o] }

// Fault is something that goes wrong with a disk. It meets calls of its Op on names
// that contain Name; of those it lets After pass and then fires Times times, 0 always.
type Fault struct {
	Kind  string // what it is counted as; "": the Op and the error
	Op    Op
	Name  string
	After int
	Times int

	Err   error  // what the call answers; nil: it goes on
	Torn  int    // OpWrite: so many bytes are written before Err
	Flip  int64  // OpRead, from 1: this bit of what was read is turned over
	Drop  bool   // OpSync: what was written since the last flush is forgotten, as by a kernel
	Delay func() // called before the call goes on: a slow disk

	met, fired int
}

// FaultFS is a disk on which things go wrong as told. It counts what did.
type FaultFS struct {
	FS
	mu     sync.Mutex
	faults []*Fault
	fired  map[string]int
	quota  int64 // bytes that may still be written; -1: no bound
}

// NewFaultFS wraps a disk. Without faults it is that disk.
func NewFaultFS(fs FS) *FaultFS { return &FaultFS{FS: fs, fired: map[string]int{}, quota: -1} }

// Inject adds a fault.
func (f *FaultFS) Inject(x Fault) {
	if x.Kind == "" {
		x.Kind = fmt.Sprintf("%v: %v", x.Op, x.Err)
	}
	f.mu.Lock()
	f.faults = append(f.faults, &x)
	f.mu.Unlock()
}

// Heal removes all faults and bounds.
func (f *FaultFS) Heal() {
	f.mu.Lock()
	f.faults, f.quota = nil, -1
	f.mu.Unlock()
}

// SetRoom lets n more bytes be written, then the disk is full; -1: no bound.
func (f *FaultFS) SetRoom(n int64) {
	f.mu.Lock()
	f.quota = n
	f.mu.Unlock()
}

// Fired counts a kind of fault; Counts gives all, in order of their names.
type Fired struct {
	Kind  string
	Times int
}

// Counts says how often each kind of fault fired.
func (f *FaultFS) Counts() []Fired {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []Fired
	for k, n := range f.fired {
		all = append(all, Fired{k, n})
	}
	slices.SortFunc(all, func(a, b Fired) int { return cmp.Compare(a.Kind, b.Kind) })
	return all
}

// FlipAtRest turns one bit of a file over, as a failing disk does.
func (f *FaultFS) FlipAtRest(name string, pos int64, bit uint) error {
	file, err := f.FS.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	b := make([]byte, 1)
	if err := ReadFull(file, b, pos); err != nil {
		return err
	}
	b[0] ^= 1 << (bit & 7)
	if _, err := file.WriteAt(b, pos); err != nil {
		return err
	}
	f.count("flip at rest")
	return file.Sync()
}

func (f *FaultFS) count(kind string) {
	f.mu.Lock()
	f.fired[kind]++
	f.mu.Unlock()
}

// meet gives the fault that a call meets, or nil.
func (f *FaultFS) meet(op Op, name string) *Fault {
	f.mu.Lock()
	var hit *Fault
	for _, x := range f.faults {
		if x.Op != OpAny && x.Op != op || !strings.Contains(name, x.Name) {
			continue
		}
		if x.met++; hit != nil || x.met <= x.After || x.Times > 0 && x.fired >= x.Times {
			continue
		}
		x.fired++
		f.fired[x.Kind]++
		hit = x
	}
	f.mu.Unlock()
	if hit != nil && hit.Delay != nil {
		hit.Delay()
	}
	return hit
}

func (f *FaultFS) err(op Op, name string) error {
	if x := f.meet(op, name); x != nil && x.Err != nil {
		return fmt.Errorf("%v %q: %w", op, name, x.Err)
	}
	return nil
}

// Create is FS's.
func (f *FaultFS) Create(name string) (File, error) {
	if err := f.err(OpCreate, name); err != nil {
		return nil, err
	}
	return f.wrap(name)(f.FS.Create(name))
}

// Open is FS's.
func (f *FaultFS) Open(name string) (File, error) {
	if err := f.err(OpOpen, name); err != nil {
		return nil, err
	}
	return f.wrap(name)(f.FS.Open(name))
}

func (f *FaultFS) wrap(name string) func(File, error) (File, error) {
	return func(file File, err error) (File, error) {
		if err != nil {
			return nil, err
		}
		return &faultFile{file, f, name}, nil
	}
}

// Rename is FS's.
func (f *FaultFS) Rename(from, to string) error {
	if err := f.err(OpRename, from); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

// Remove is FS's.
func (f *FaultFS) Remove(name string) error {
	if err := f.err(OpRemove, name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

// SyncDir is FS's.
func (f *FaultFS) SyncDir(dir string) error {
	if err := f.err(OpSyncDir, dir); err != nil {
		return err
	}
	return f.FS.SyncDir(dir)
}

// FreeBytes is FS's.
func (f *FaultFS) FreeBytes(dir string) (int64, error) {
	n, err := f.FS.FreeBytes(dir)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.quota >= 0 {
		n = min(n, f.quota)
	}
	return n, err
}

type faultFile struct {
	File
	fs   *FaultFS
	name string
}

func (f *faultFile) ReadAt(b []byte, pos int64) (int, error) {
	x := f.fs.meet(OpRead, f.name)
	if x != nil && x.Err != nil {
		return 0, fmt.Errorf("read %q: %w", f.name, x.Err)
	}
	n, err := f.File.ReadAt(b, pos)
	if x != nil && x.Flip > 0 && n > 0 {
		bit := (x.Flip - 1) % (int64(n) * 8)
		b[bit/8] ^= 1 << (bit % 8)
	}
	return n, err
}

func (f *faultFile) WriteAt(b []byte, pos int64) (int, error) {
	if x := f.fs.meet(OpWrite, f.name); x != nil && x.Err != nil {
		n, _ := f.File.WriteAt(b[:min(len(b), x.Torn)], pos)
		return n, fmt.Errorf("write %q: %w", f.name, x.Err)
	}
	size, err := f.File.Size()
	if err != nil {
		return 0, err
	}
	grow := max(0, pos+int64(len(b))-size)
	f.fs.mu.Lock()
	full := f.fs.quota >= 0 && grow > f.fs.quota
	if full {
		b = b[:max(0, int64(len(b))-grow+f.fs.quota)]
		f.fs.quota = 0
		f.fs.fired["disk full"]++
	} else if f.fs.quota >= 0 {
		f.fs.quota -= grow
	}
	f.fs.mu.Unlock()
	n, err := f.File.WriteAt(b, pos)
	if err == nil && full {
		err = fmt.Errorf("write %q: %w", f.name, syscall.ENOSPC)
	}
	return n, err
}

func (f *faultFile) Sync() error {
	x := f.fs.meet(OpSync, f.name)
	if x == nil || x.Err == nil {
		return f.File.Sync()
	}
	if m, ok := f.fs.FS.(*MemFS); ok && x.Drop {
		m.dropUnflushed(f.name)
	}
	return fmt.Errorf("sync %q: %w", f.name, x.Err)
}

func (f *faultFile) Truncate(n int64) error {
	if err := f.fs.err(OpTruncate, f.name); err != nil {
		return err
	}
	return f.File.Truncate(n)
}

var _ io.Closer = (*faultFile)(nil)
