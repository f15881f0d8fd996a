package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"syscall"
)

// sectorBytes is what a disk writes whole or not at all.
const sectorBytes = 512

// MemFS is a disk in memory that can lose its power. It knows of every file what
// was flushed and, in order, what was not; of every directory likewise.
//
//	Kill   the process ends: all that was written stays, the boot id too
//	Crash  the power goes: of what was not flushed, sectors and directory entries
//	       survive one by one as the seed decides, and the boot id is another
//
// Both give the disk as the next process finds it; the handles of the process
// before are dead from then on. The same calls give the same bytes.
type MemFS struct {
	mu    sync.Mutex
	run   *memRun // of the process that has it
	boot  int
	quota int64 // 0: none
	used  int64
	dirs  map[string]*memDir
}

type memRun struct {
	dead  bool
	locks map[string]bool
}

type memDir struct {
	names  map[string]*memNode
	stable map[string]*memNode // as flushed
	ops    []memDirOp          // since then
}

// memDirOp is a change of entries that happens whole or not at all.
type memDirOp struct {
	gone, made string // "": none
	node       *memNode
}

type memNode struct {
	data   []byte
	stable []byte // as flushed
	ops    []memOp
}

// memOp is a write, or a truncation where data is nil.
type memOp struct {
	pos  int64
	data []byte
}

// NewMemFS gives an empty disk.
func NewMemFS() *MemFS {
	return &MemFS{run: &memRun{locks: map[string]bool{}}, boot: 1,
		dirs: map[string]*memDir{".": newMemDir(), "/": newMemDir()}}
}

func newMemDir() *memDir {
	return &memDir{names: map[string]*memNode{}, stable: map[string]*memNode{}}
}

var errDead = errors.New("the process that had this disk has ended")

// SetQuota bounds what all files together may hold, in bytes; 0: no bound.
func (m *MemFS) SetQuota(n int64) {
	m.mu.Lock()
	m.quota = n
	m.mu.Unlock()
}

// Kill ends the process that has the disk and gives the disk to the next one.
func (m *MemFS) Kill() *MemFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.run.dead = true
	return &MemFS{run: &memRun{locks: map[string]bool{}}, boot: m.boot, quota: m.quota,
		used: m.used, dirs: m.dirs}
}

// Crash cuts the power and gives the disk to the next process. Of what was not
// flushed, keptPercent of the sectors and directory entries survive.
func (m *MemFS) Crash(seed uint64, keptPercent int) *MemFS {
	n := m.Crashed(seed, keptPercent)
	m.mu.Lock()
	m.run.dead = true
	m.mu.Unlock()
	return n
}

// Crashed gives what Crash would give, and leaves the disk and its process alone.
func (m *MemFS) Crashed(seed uint64, keptPercent int) *MemFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	rng := rand.New(rand.NewPCG(seed, 0x74726e65))
	kept := func() bool { return rng.IntN(100) < keptPercent }
	n := NewMemFS()
	n.boot, n.quota = m.boot+1, m.quota
	nodes := map[*memNode]*memNode{}
	for _, name := range sortedKeys(m.dirs) {
		d := m.dirs[name]
		entries := map[string]*memNode{}
		for k, v := range d.stable {
			entries[k] = v
		}
		for _, op := range d.ops {
			if !kept() {
				continue
			}
			if op.gone != "" {
				delete(entries, op.gone)
			}
			if op.made != "" {
				entries[op.made] = op.node
			}
		}
		nd := newMemDir()
		for _, k := range sortedKeys(entries) {
			old := entries[k]
			if nodes[old] == nil {
				nodes[old] = old.crashed(kept)
				n.used += int64(len(nodes[old].data))
			}
			nd.names[k], nd.stable[k] = nodes[old], nodes[old]
		}
		n.dirs[name] = nd
	}
	return n
}

// crashed gives the file as it is after the power was cut.
func (d *memNode) crashed(kept func() bool) *memNode {
	b := slices.Clone(d.stable)
	for _, op := range d.ops {
		if op.data == nil {
			if kept() {
				b = resized(b, op.pos)
			}
			continue
		}
		for at := op.pos; at < op.pos+int64(len(op.data)); {
			end := min((at/sectorBytes+1)*sectorBytes, op.pos+int64(len(op.data)))
			if kept() {
				if end > int64(len(b)) {
					b = resized(b, end)
				}
				copy(b[at:end], op.data[at-op.pos:end-op.pos])
			}
			at = end
		}
	}
	return &memNode{data: b, stable: slices.Clone(b)}
}

func resized(b []byte, n int64) []byte {
	if n <= int64(len(b)) {
		return b[:n]
	}
	return append(b, make([]byte, n-int64(len(b)))...)
}

func sortedKeys[V any](m map[string]V) []string {
	ks := make([]string, 0, len(m))
	for k := range m {
		ks = append(ks, k)
	}
	slices.Sort(ks)
	return ks
}

// enter begins a call; leave ends it.
func (m *MemFS) enter(op, name string) (dir *memDir, base string, err error) {
	m.mu.Lock()
	if m.run.dead {
		return nil, "", errDead
	}
	name = path.Clean(name)
	d := m.dirs[path.Dir(name)]
	if d == nil {
		return nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return d, path.Base(name), nil
}

// MkdirAll makes directories; they survive a power cut at once, as a test's
// interest lies with the files in them.
func (m *MemFS) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for dir = path.Clean(dir); m.dirs[dir] == nil; dir = path.Dir(dir) {
		m.dirs[dir] = newMemDir()
	}
	return nil
}

// Create is FS's.
func (m *MemFS) Create(name string) (File, error) {
	d, base, err := m.enter("create", name)
	defer m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	n := d.names[base]
	if n == nil {
		n = &memNode{}
		d.names[base] = n
		d.ops = append(d.ops, memDirOp{made: base, node: n})
	} else {
		m.used -= int64(len(n.data))
		n.data = nil
		n.ops = append(n.ops, memOp{})
	}
	return &memFile{fs: m, run: m.run, node: n, name: name}, nil
}

// Open is FS's.
func (m *MemFS) Open(name string) (File, error) {
	d, base, err := m.enter("open", name)
	defer m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	n := d.names[base]
	if n == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memFile{fs: m, run: m.run, node: n, name: name}, nil
}

// Rename is FS's, within one directory.
func (m *MemFS) Rename(from, to string) error {
	d, base, err := m.enter("rename", from)
	defer m.mu.Unlock()
	if err != nil {
		return err
	}
	n, target := d.names[base], path.Base(path.Clean(to))
	if n == nil || path.Dir(path.Clean(from)) != path.Dir(path.Clean(to)) {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	if old := d.names[target]; old != nil {
		m.used -= int64(len(old.data))
	}
	delete(d.names, base)
	d.names[target] = n
	d.ops = append(d.ops, memDirOp{gone: base, made: target, node: n})
	return nil
}

// Remove is FS's.
func (m *MemFS) Remove(name string) error {
	d, base, err := m.enter("remove", name)
	defer m.mu.Unlock()
	if err != nil {
		return err
	}
	n := d.names[base]
	if n == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	m.used -= int64(len(n.data))
	delete(d.names, base)
	d.ops = append(d.ops, memDirOp{gone: base})
	return nil
}

// List is FS's.
func (m *MemFS) List(dir string) ([]string, error) {
	_, _, err := m.enter("list", path.Join(dir, "x"))
	defer m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return sortedKeys(m.dirs[path.Clean(dir)].names), nil
}

// SyncDir is FS's.
func (m *MemFS) SyncDir(dir string) error {
	d, _, err := m.enter("sync", path.Join(dir, "x"))
	defer m.mu.Unlock()
	if err != nil {
		return err
	}
	d.stable = make(map[string]*memNode, len(d.names))
	for k, v := range d.names {
		d.stable[k] = v
	}
	d.ops = nil
	return nil
}

type memLock struct {
	fs   *MemFS
	run  *memRun
	name string
}

// Lock is FS's.
func (m *MemFS) Lock(name string) (io.Closer, error) {
	_, _, err := m.enter("lock", name)
	defer m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if m.run.locks[name] {
		return nil, fmt.Errorf("lock %q: another process uses this directory: stop it, or use another",
			path.Dir(name))
	}
	m.run.locks[name] = true
	return &memLock{m, m.run, name}, nil
}

func (l *memLock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	delete(l.run.locks, l.name)
	return nil
}

// FreeBytes is FS's.
func (m *MemFS) FreeBytes(string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.quota == 0 {
		return 1 << 40, nil
	}
	return max(0, m.quota-m.used), nil
}

// BootID is FS's.
func (m *MemFS) BootID() (string, error) { return fmt.Sprintf("boot-%d", m.boot), nil }

// Names gives all files that are there, in order.
func (m *MemFS) Names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []string
	for _, d := range sortedKeys(m.dirs) {
		for _, n := range sortedKeys(m.dirs[d].names) {
			all = append(all, path.Join(d, n))
		}
	}
	return all
}

// Clone gives an independent copy of the disk as it is, without a process.
func (m *MemFS) Clone() *MemFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := NewMemFS()
	n.boot, n.quota, n.used = m.boot, m.quota, m.used
	for name, d := range m.dirs {
		nd := newMemDir()
		for k, v := range d.names {
			c := &memNode{data: slices.Clone(v.data), stable: slices.Clone(v.data)}
			nd.names[k], nd.stable[k] = c, c
		}
		n.dirs[name] = nd
	}
	return n
}

// dropUnflushed forgets what was written to a file and not flushed, as a kernel
// does whose flush failed.
func (m *MemFS) dropUnflushed(name string) {
	d, base, err := m.enter("drop", name)
	defer m.mu.Unlock()
	if err != nil || d.names[base] == nil {
		return
	}
	n := d.names[base]
	m.used += int64(len(n.stable)) - int64(len(n.data))
	n.data, n.ops = slices.Clone(n.stable), nil
}

type memFile struct {
	fs   *MemFS
	run  *memRun
	node *memNode
	name string
}

func (f *memFile) enter() error {
	f.fs.mu.Lock()
	if f.run.dead {
		return errDead
	}
	return nil
}

func (f *memFile) ReadAt(b []byte, pos int64) (int, error) {
	err := f.enter()
	defer f.fs.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if pos >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.node.data[pos:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(b []byte, pos int64) (int, error) {
	err := f.enter()
	defer f.fs.mu.Unlock()
	if err != nil {
		return 0, err
	}
	full := false
	grow := max(0, pos+int64(len(b))-int64(len(f.node.data)))
	if q := f.fs.quota; q > 0 && grow > 0 && f.fs.used+grow > q {
		fits := max(0, q-f.fs.used) // of the growth
		full, b = true, b[:max(0, int64(len(b))-grow+fits)]
		if int64(len(f.node.data)) < pos { // nothing of a hole's far side fits
			b = nil
		}
	}
	if len(b) > 0 {
		old := int64(len(f.node.data))
		end := pos + int64(len(b))
		if end > old {
			f.node.data = resized(f.node.data, end)
			f.fs.used += end - old
		}
		copy(f.node.data[pos:], b)
		f.node.ops = append(f.node.ops, memOp{pos, slices.Clone(b)})
	}
	if full {
		return len(b), &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
	}
	return len(b), nil
}

func (f *memFile) Sync() error {
	err := f.enter()
	defer f.fs.mu.Unlock()
	if err != nil {
		return err
	}
	n := f.node
	for _, op := range n.ops {
		if op.data == nil {
			n.stable = resized(n.stable, op.pos)
			continue
		}
		if end := op.pos + int64(len(op.data)); end > int64(len(n.stable)) {
			n.stable = resized(n.stable, end)
		}
		copy(n.stable[op.pos:], op.data)
	}
	n.ops = nil
	return nil
}

func (f *memFile) Truncate(size int64) error {
	err := f.enter()
	defer f.fs.mu.Unlock()
	if err != nil {
		return err
	}
	f.fs.used += size - int64(len(f.node.data))
	f.node.data = resized(f.node.data, size)
	f.node.ops = append(f.node.ops, memOp{pos: size})
	return nil
}

func (f *memFile) Size() (int64, error) {
	err := f.enter()
	defer f.fs.mu.Unlock()
	return int64(len(f.node.data)), err
}

func (f *memFile) Close() error { return nil }
