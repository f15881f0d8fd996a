package journal

import (
	"container/list"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path"
	"sync"

	"trine/internal/core"
)

// A segment holds one stream's entries, frame after frame; a pack those of many.
//
//	 0 magic "TRSG" or "TRPK", 4 version u8, 5 zero[3], 8 disk u64, 16 number u64,
//	24 stream u64 (a pack: 0), 32 zero[24], 56 zero u32, 60 crc u32 of the 60 before
//	64 the frames
const (
	segmentMagic = 0x54525347 // TRSG
	packMagic    = 0x5452504b // TRPK
	fileVersion  = 1
	segmentHead  = 64

	logDir     = "wal"
	packDir    = "pack"
	segmentDir = "seg"
	unfinished = ".tmp" // ends the name of a pack until it is whole
)

func fileHead(magic uint32, disk core.DiskID, number uint64, s core.StreamID) []byte {
	b := make([]byte, segmentHead)
	be := binary.BigEndian
	be.PutUint32(b, magic)
	be.PutUint32(b[4:], fileVersion<<24)
	be.PutUint64(b[8:], uint64(disk))
	be.PutUint64(b[16:], number)
	be.PutUint64(b[24:], uint64(s))
	be.PutUint32(b[60:], crc32.Checksum(b[:60], Castagnoli))
	return b
}

var errHead = errors.New("the head's CRC does not fit")

// checkFileHead says what is wrong with the head of a segment or pack.
func checkFileHead(f File, magic uint32, disk core.DiskID, number uint64) error {
	b := make([]byte, segmentHead)
	be := binary.BigEndian
	switch err := ReadFull(f, b, 0); {
	case err != nil:
		return err
	case be.Uint32(b[60:]) != crc32.Checksum(b[:60], Castagnoli):
		return errHead
	case be.Uint32(b) != magic:
		return fmt.Errorf("it is another sort of file")
	case b[4] != fileVersion:
		return fmt.Errorf("its format version is %d, this program knows %d", b[4], fileVersion)
	case core.DiskID(be.Uint64(b[8:])) != disk:
		return fmt.Errorf("it belongs to disk %x", be.Uint64(b[8:]))
	case be.Uint64(b[16:]) != number:
		return fmt.Errorf("it is file %d", be.Uint64(b[16:]))
	}
	return nil
}

type fileKey struct {
	kind   placeKind
	number uint64
}

// handle is an open segment or pack, or a pinned log file. refs, doomed and elem
// are guarded by journal.mu; the rest by mu.
type handle struct {
	key    fileKey
	refs   int
	doomed bool
	elem   *list.Element // in files.idle
	log    *logFile

	mu      sync.Mutex
	f       File
	name    string
	marks   []mark // a sparse index of a segment
	indexed int64  // up to here
	stamp   core.Stamp
}

// files keeps the segments and packs that are open: those in use, and the last used.
type files struct {
	open    map[fileKey]*handle
	idle    *list.List // the last used in front
	idleMax int
}

func newFiles(idleMax int) files {
	return files{open: map[fileKey]*handle{}, idle: list.New(), idleMax: idleMax}
}

func (j *Journal) fileName(k fileKey) string {
	if k.kind == inPack {
		return path.Join(j.dir, packDir, fmt.Sprintf("%016x.pack", k.number))
	}
	return path.Join(j.dir, segmentDir, fmt.Sprintf("%016x.seg", k.number))
}

// pin takes a file for use until unpin. Call it with mu held; nothing is opened yet.
func (j *Journal) pin(kind placeKind, number uint64) *handle {
	if kind == inLog {
		f := j.logs[number]
		if f == nil {
			return &handle{key: fileKey{kind, number}, name: fmt.Sprintf("log %d", number)}
		}
		f.pins++
		return &handle{key: fileKey{kind, number}, log: f, f: f.f, name: f.name}
	}
	k := fileKey{kind, number}
	h := j.files.open[k]
	if h == nil {
		h = &handle{key: k, name: j.fileName(k)}
		j.files.open[k] = h
	} else if h.elem != nil {
		j.files.idle.Remove(h.elem)
		h.elem = nil
	}
	h.refs++
	return h
}

// unpin gives a file back. Call it with mu held. What it returns is to be closed,
// and removed where doomed, without mu.
func (j *Journal) unpin(h *handle) (closing []*handle) {
	if h.key.kind == inLog {
		if h.log != nil {
			h.log.pins--
		}
		return nil
	}
	if h.refs--; h.refs > 0 {
		return nil
	}
	if h.doomed {
		delete(j.files.open, h.key)
		return []*handle{h}
	}
	h.elem = j.files.idle.PushFront(h)
	for j.files.idle.Len() > j.files.idleMax {
		old := j.files.idle.Remove(j.files.idle.Back()).(*handle)
		old.elem = nil
		delete(j.files.open, old.key)
		closing = append(closing, old)
	}
	return closing
}

// doom gives up a file for ever. Call it with mu held.
func (j *Journal) doom(k fileKey) {
	h := j.files.open[k]
	if h == nil {
		h = &handle{key: k, name: j.fileName(k)}
	}
	h.doomed = true
	if h.refs > 0 {
		return
	}
	if h.elem != nil {
		j.files.idle.Remove(h.elem)
		h.elem = nil
	}
	delete(j.files.open, k)
	j.graves = append(j.graves, h)
}

// bury closes and removes what was given up. Call it without mu.
func (j *Journal) bury(closing ...*handle) {
	j.mu.Lock()
	closing = append(closing, j.graves...)
	j.graves = nil
	j.mu.Unlock()
	for _, h := range closing {
		if h.f != nil {
			h.f.Close()
		}
		if h.doomed {
			j.fs.Remove(h.name) // who fails here is found when the directory is next opened
		}
	}
}

// file opens what is pinned, once.
func (j *Journal) file(h *handle) (File, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.f != nil {
		return h.f, nil
	}
	if h.key.kind == inLog {
		return nil, &Damage{File: h.name, Err: fmt.Errorf("the file is not there")}
	}
	f, err := j.fs.Open(h.name)
	if err != nil {
		return nil, &Damage{File: h.name, Err: err}
	}
	magic := uint32(segmentMagic)
	if h.key.kind == inPack {
		magic = packMagic
	}
	err = checkFileHead(f, magic, j.disk, h.key.number)
	if err == errHead && h.key.kind == inPack { // its footers and frames speak for themselves
		if err = nil; j.recovering {
			j.note(&Damage{File: h.name, Err: errHead})
		}
	}
	if err != nil {
		f.Close()
		return nil, &Damage{File: h.name, Err: err}
	}
	h.f = f
	return f, nil
}

// Damage is flushed bytes that cannot be read back.
type Damage struct {
	File   string
	Offset int64
	Err    error
}

func (d *Damage) Error() string {
	return fmt.Sprintf("read %q: damaged at offset %d: %v", d.File, d.Offset, d.Err)
}

// Unwrap gives the cause.
func (d *Damage) Unwrap() error { return d.Err }
