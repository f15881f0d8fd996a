package journal

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"sync"
)

// VolatileFS keeps what was written to base in memory until it is flushed: the end of
// the process, however it comes, is then a power cut. Each VolatileFS has a boot id of
// its own, as a machine that lost its power has the next time.
//
// Creating, renaming and removing files happens at once: a disk may keep these longer
// back, which MemFS tries.
func VolatileFS(base FS) FS {
	return &volatileFS{FS: base, boot: rand.Text(), files: map[string]*volatileFile{}}
}

type volatileFS struct {
	FS
	boot string

	mu    sync.Mutex
	files map[string]*volatileFile // open ones, and those with unflushed writes
}

// volatilePage is the unit in which unflushed writes are kept.
const volatilePage = 4096

// volatileFile is one file, shared by all who have it open.
type volatileFile struct {
	mu    sync.Mutex
	base  File
	name  string // guarded by the file system's mu, with open and gone
	open  int
	gone  bool             // removed, or another file was renamed over it
	size  int64            // as its readers see it
	pages map[int64][]byte // whole pages with unflushed writes
	short int64            // the least size since the last flush
}

func (v *volatileFS) BootID() (string, error) { return v.boot, nil }

func (v *volatileFS) Create(name string) (File, error) { return v.take(name, true) }

func (v *volatileFS) Open(name string) (File, error) { return v.take(name, false) }

func (v *volatileFS) take(name string, create bool) (File, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f := v.files[name]; f != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.open++
		if create {
			f.truncate(0)
		}
		return &volatileHandle{v: v, f: f}, nil
	}
	open := v.FS.Open
	if create {
		open = v.FS.Create
	}
	base, err := open(name)
	if err != nil {
		return nil, err
	}
	size, err := base.Size()
	if err != nil {
		return nil, errors.Join(err, base.Close())
	}
	f := &volatileFile{base: base, name: name, open: 1, size: size, short: size, pages: map[int64][]byte{}}
	v.files[name] = f
	return &volatileHandle{v: v, f: f}, nil
}

func (v *volatileFS) Rename(from, to string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.FS.Rename(from, to); err != nil {
		return err
	}
	v.forget(to)
	if f := v.files[from]; f != nil {
		delete(v.files, from)
		v.files[to], f.name = f, to
	}
	return nil
}

func (v *volatileFS) Remove(name string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.FS.Remove(name); err != nil {
		return err
	}
	v.forget(name)
	return nil
}

// forget drops a file whose name is gone: who has it open goes on.
func (v *volatileFS) forget(name string) {
	f := v.files[name]
	if f == nil {
		return
	}
	delete(v.files, name)
	f.gone = true
	if f.open == 0 {
		f.base.Close() // nobody reads it again: an error concerns nobody
	}
}

// volatileHandle is one user's way to a file. The file itself stays open while it
// has unflushed writes, or is looked up by its name.
type volatileHandle struct {
	v      *volatileFS
	f      *volatileFile
	closed bool
}

func (h *volatileHandle) lock() (*volatileFile, error) {
	h.f.mu.Lock()
	if h.closed {
		h.f.mu.Unlock()
		return nil, fs.ErrClosed
	}
	return h.f, nil
}

func (h *volatileHandle) ReadAt(b []byte, pos int64) (int, error) {
	f, err := h.lock()
	if err != nil {
		return 0, err
	}
	defer f.mu.Unlock()
	n := 0
	for n < len(b) && pos+int64(n) < f.size {
		at := pos + int64(n)
		page, off := at/volatilePage, int(at%volatilePage)
		part := b[n:min(len(b), n+min(volatilePage-off, int(min(f.size-at, volatilePage))))]
		if p := f.pages[page]; p != nil {
			copy(part, p[off:])
		} else if err := f.below(part, at); err != nil {
			return n, err
		}
		n += len(part)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// below reads what was flushed; what never was is zero.
func (f *volatileFile) below(b []byte, at int64) error {
	clear(b)
	if at >= f.short {
		return nil
	}
	_, err := f.base.ReadAt(b[:min(int64(len(b)), f.short-at)], at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return err
}

func (h *volatileHandle) WriteAt(b []byte, pos int64) (int, error) {
	f, err := h.lock()
	if err != nil {
		return 0, err
	}
	defer f.mu.Unlock()
	for n := 0; n < len(b); {
		at := pos + int64(n)
		page, off := at/volatilePage, int(at%volatilePage)
		p := f.pages[page]
		if p == nil {
			p = make([]byte, volatilePage)
			if err := f.below(p, page*volatilePage); err != nil {
				return n, err
			}
			f.pages[page] = p
		}
		n += copy(p[off:], b[n:])
	}
	if len(b) > 0 {
		f.size = max(f.size, pos+int64(len(b)))
	}
	return len(b), nil
}

func (h *volatileHandle) Truncate(size int64) error {
	f, err := h.lock()
	if err != nil {
		return err
	}
	defer f.mu.Unlock()
	f.truncate(size)
	return nil
}

func (f *volatileFile) truncate(size int64) {
	for page, p := range f.pages {
		if end := size - page*volatilePage; end <= 0 {
			delete(f.pages, page)
		} else if end < volatilePage {
			clear(p[end:])
		}
	}
	f.size, f.short = size, min(f.short, size)
}

func (h *volatileHandle) Size() (int64, error) {
	f, err := h.lock()
	if err != nil {
		return 0, err
	}
	defer f.mu.Unlock()
	return f.size, nil
}

// Sync hands the writes to the disk and flushes them.
func (h *volatileHandle) Sync() error {
	f, err := h.lock()
	if err != nil {
		return err
	}
	defer f.mu.Unlock()
	was, err := f.base.Size()
	if err != nil {
		return err
	}
	if f.short < was {
		if err := f.base.Truncate(f.short); err != nil {
			return err
		}
		was = f.short
	}
	for page, p := range f.pages {
		at := page * volatilePage
		if _, err := f.base.WriteAt(p[:min(volatilePage, f.size-at)], at); err != nil {
			return err
		}
		was = max(was, min(at+volatilePage, f.size))
	}
	if was < f.size {
		if err := f.base.Truncate(f.size); err != nil {
			return err
		}
	}
	if err := f.base.Sync(); err != nil {
		return err
	}
	clear(f.pages)
	f.short = f.size
	return nil
}

// Close leaves unflushed writes where other users of the name find them.
func (h *volatileHandle) Close() error {
	h.v.mu.Lock()
	defer h.v.mu.Unlock()
	f, err := h.lock()
	if err != nil {
		return err
	}
	defer f.mu.Unlock()
	h.closed = true
	f.open--
	flushed := len(f.pages) == 0 && f.short == f.size
	if f.open > 0 || !flushed && !f.gone {
		return nil
	}
	if !f.gone {
		delete(h.v.files, f.name)
	}
	return f.base.Close()
}
