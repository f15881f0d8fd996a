package journal

import (
	"errors"
	"io"
	"syscall"
)

// FS is the seam between a journal and its disk: real files (OSFS), a crashable
// memory (MemFS), or either with faults (FaultFS). Names are slash-separated paths.
// A missing name gives an error that is fs.ErrNotExist; a full disk one that is
// syscall.ENOSPC.
type FS interface {
	MkdirAll(dir string) error
	// Create makes a file, or empties the one that is there, open for both ways.
	Create(name string) (File, error)
	// Open opens a file that is there, for both ways.
	Open(name string) (File, error)
	Rename(from, to string) error // replaces to
	Remove(name string) error     // a file; who has it open goes on
	// List gives the names in a directory, in order.
	List(dir string) ([]string, error)
	// SyncDir flushes a directory's entries: what was created, renamed and removed.
	SyncDir(dir string) error
	// Lock takes a file for this process until it is closed or the process ends.
	Lock(name string) (io.Closer, error)
	// FreeBytes says how much may still be written below dir.
	FreeBytes(dir string) (int64, error)
	// BootID changes whenever the machine may have lost what was not flushed.
	BootID() (string, error)
}

// File is one open file. Reads and writes of different places may run at once.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error // flushes the content and the size
	Truncate(size int64) error
	Size() (int64, error)
}

// Full says whether an error means that the disk is full.
func Full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// tmpSuffix ends the name of a file that WriteFile has not finished.
const tmpSuffix = ".tmp"

// WriteFile writes a small file anew so that after a power cut either the old or
// the new content is there.
func WriteFile(fs FS, dir, name string, b []byte) error {
	tmp := name + tmpSuffix
	f, err := fs.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = fs.Rename(tmp, name)
	}
	if err == nil {
		err = fs.SyncDir(dir)
	}
	return err
}

// ReadFile reads a file whole, at most max bytes.
func ReadFile(fs FS, name string, max int64) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, min(n, max))
	return b, ReadFull(f, b, 0)
}

// ReadFull fills b from pos; the file's end before that is io.ErrUnexpectedEOF.
func ReadFull(f io.ReaderAt, b []byte, pos int64) error {
	n, err := f.ReadAt(b, pos)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
