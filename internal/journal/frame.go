package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"trine/internal/core"
)

// A frame is the one form in which anything is on a journal's disk: an entry, or
// one of the journal's own notes about a stream. All integers are big-endian.
//
//	 0 stream   u64
//	 8 index    i64
//	16 base     i64
//	24 epoch    i32
//	28 gen      u32
//	32 count    i32
//	36 length   u32  of the data that follows the head
//	40 kind     u8   a core.EntryKind, or a note from 64 on
//	41 flags    u8   1: below the coming checkpoint; 2: the CRC covers all data
//	42 version  u8   1
//	43 zero     u8
//	44 crc      u32  CRC32C of the 44 bytes before and of the data's first 21 bytes
//	48 data
//
// A record batch bears a CRC of its own over all but its first 21 bytes, so the two
// together cover every byte once. All other data is covered by the frame whole.
const (
	HeadBytes    = 48
	frameVersion = 1
	batchPrefix  = 21 // bytes of a batch that its own CRC leaves out
	BatchHeader  = 61
	DataBytesMax = 1 << 30
	StreamMax    = 1<<62 - 1 // so that a frame begins like nothing else does

	FlagFill  = 1
	flagWhole = 2
)

// The journal's own notes. Their fields stand in the head where they fit.
const (
	NoteRemove     = 64 + iota // the stream is gone
	NoteInstall                // data: a checkpoint that replaces everything
	NoteCut                    // index: entries from here on are gone; base: its offset or -1
	NoteState                  // epoch; base: the commit index; data: the vote
	NoteCheckpoint             // data: a checkpoint of what stands above
	NoteTrim                   // base: records below are no longer wanted
	NoteReclaim                // data: which records below base are still wanted
	NoteKeep                   // data: the rules
	NoteRoad                   // count: the road from here on
	NoteSegment                // data: a segment of its own begins
	NoteFlushed                // data: a segment was flushed up to here, or closed
	NoteParts                  // data: segments that replace others
	NoteCleaned                // index: up to here keys were compacted
	NoteUnfill                 // what was filled in below a coming checkpoint is given up
	NoteDamage                 // data: where flushed bytes were found missing
)

// Castagnoli is the table of all CRCs here.
var Castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Head is what stands before a frame's data.
type Head struct {
	Stream core.StreamID
	Index  core.Index
	Base   core.Offset
	Epoch  core.Epoch
	gen    core.Generation
	Count  int32
	Length uint32
	Kind   uint8
	Flags  uint8
	crc    uint32
}

// Size gives the frame's bytes, data included.
func (h *Head) Size() int64 { return HeadBytes + int64(h.Length) }

// Next gives the offset behind the entry.
func (h *Head) Next() core.Offset { return h.Base + core.Offset(h.Count) }

// Entry says whether the frame is an entry, and no note.
func (h *Head) Entry() bool { return h.Kind < 64 }

// AppendFrame appends a frame. It sets length, the CRC and flagWhole itself.
func AppendFrame(b []byte, h Head, data []byte) []byte {
	if h.Kind != uint8(core.EntryBatch) || !isBatch(data) {
		h.Flags |= flagWhole
	}
	at := len(b)
	be := binary.BigEndian
	b = be.AppendUint64(b, uint64(h.Stream))
	b = be.AppendUint64(b, uint64(h.Index))
	b = be.AppendUint64(b, uint64(h.Base))
	b = be.AppendUint32(b, uint32(h.Epoch))
	b = be.AppendUint32(b, uint32(h.gen))
	b = be.AppendUint32(b, uint32(h.Count))
	b = be.AppendUint32(b, uint32(len(data)))
	b = append(b, h.Kind, h.Flags, frameVersion, 0)
	crc := crc32.Update(0, Castagnoli, b[at:])
	b = be.AppendUint32(b, crc32.Update(crc, Castagnoli, covered(h.Flags, data)))
	return append(b, data...)
}

// AppendEntry appends an entry's frame.
func AppendEntry(b []byte, s core.StreamID, e *core.Entry, flags uint8) []byte {
	return AppendFrame(b, Head{Stream: s, Index: e.Index, Base: e.Base, Epoch: e.Epoch,
		gen: e.Gen, Count: e.Count, Kind: uint8(e.Kind), Flags: flags}, e.Data)
}

// isBatch says whether data has the shape of one batch, so that its own CRC can be
// relied upon.
func isBatch(data []byte) bool {
	return len(data) >= BatchHeader && data[16] == 2 &&
		int64(binary.BigEndian.Uint32(data[8:]))+12 == int64(len(data))
}

func covered(flags uint8, data []byte) []byte {
	if flags&flagWhole != 0 {
		return data
	}
	return data[:min(len(data), batchPrefix)]
}

// ParseHead reads a head. Its length is sane, but nothing is checked yet.
func ParseHead(b []byte) (Head, error) {
	if len(b) < HeadBytes {
		return Head{}, fmt.Errorf("a frame's head is cut off")
	}
	be := binary.BigEndian
	h := Head{
		Stream: core.StreamID(be.Uint64(b)),
		Index:  core.Index(be.Uint64(b[8:])),
		Base:   core.Offset(be.Uint64(b[16:])),
		Epoch:  core.Epoch(be.Uint32(b[24:])),
		gen:    core.Generation(be.Uint32(b[28:])),
		Count:  int32(be.Uint32(b[32:])),
		Length: be.Uint32(b[36:]),
		Kind:   b[40],
		Flags:  b[41],
		crc:    be.Uint32(b[44:]),
	}
	if b[42] != frameVersion || h.Length > DataBytesMax || h.Kind == 0 ||
		h.Stream == 0 || h.Stream > StreamMax {
		return Head{}, fmt.Errorf("no frame begins here")
	}
	return h, nil
}

// ParseFrame reads and checks the frame at the start of b. Its data aliases b.
func ParseFrame(b []byte) (Head, []byte, error) {
	h, err := ParseHead(b)
	if err != nil {
		return h, nil, err
	}
	if int64(len(b)) < h.Size() {
		return h, nil, fmt.Errorf("a frame of %d bytes is cut off", h.Size())
	}
	data := b[HeadBytes:h.Size()]
	crc := crc32.Update(crc32.Checksum(b[:44], Castagnoli), Castagnoli, covered(h.Flags, data))
	switch {
	case crc != h.crc:
		return h, nil, fmt.Errorf("a frame's CRC does not fit")
	case h.Flags&flagWhole != 0:
	case !isBatch(data):
		return h, nil, fmt.Errorf("a frame's batch has another length")
	case crc32.Checksum(data[batchPrefix:], Castagnoli) != binary.BigEndian.Uint32(data[17:]):
		return h, nil, fmt.Errorf("a batch's CRC does not fit")
	}
	return h, data, nil
}

// StampOf gives the greatest stamp in a frame's batch, -1 where it has none.
func StampOf(h *Head, data []byte) core.Stamp {
	if h.Kind != uint8(core.EntryBatch) || len(data) < BatchHeader {
		return -1
	}
	return core.Stamp(binary.BigEndian.Uint64(data[35:]))
}

// ToEntry gives the entry that a frame holds.
func (h *Head) ToEntry(data []byte) core.Entry {
	return core.Entry{Index: h.Index, Epoch: h.Epoch, Gen: h.gen, Kind: core.EntryKind(h.Kind),
		Base: h.Base, Count: h.Count, Data: data}
}
