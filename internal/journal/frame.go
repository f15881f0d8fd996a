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
	headBytes    = 48
	frameVersion = 1
	batchPrefix  = 21 // bytes of a batch that its own CRC leaves out
	batchHeader  = 61
	dataBytesMax = 1 << 30
	streamMax    = 1<<62 - 1 // so that a frame begins like nothing else does

	flagFill  = 1
	flagWhole = 2
)

// The journal's own notes. Their fields stand in the head where they fit.
const (
	noteRemove     = 64 + iota // the stream is gone
	noteInstall                // data: a checkpoint that replaces everything
	noteCut                    // index: entries from here on are gone; base: its offset or -1
	noteState                  // epoch; base: the commit index; data: the vote
	noteCheckpoint             // data: a checkpoint of what stands above
	noteTrim                   // base: records below are no longer wanted
	noteReclaim                // data: which records below base are still wanted
	noteKeep                   // data: the rules
	noteRoad                   // count: the road from here on
	noteSegment                // data: a segment of its own begins
	noteFlushed                // data: a segment was flushed up to here, or closed
	noteParts                  // data: segments that replace others
	noteCleaned                // index: up to here keys were compacted
	noteUnfill                 // what was filled in below a coming checkpoint is given up
	noteDamage                 // data: where flushed bytes were found missing
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type head struct {
	stream core.StreamID
	index  core.Index
	base   core.Offset
	epoch  core.Epoch
	gen    core.Generation
	count  int32
	length uint32
	kind   uint8
	flags  uint8
	crc    uint32
}

func (h *head) size() int64 { return headBytes + int64(h.length) }

func (h *head) next() core.Offset { return h.base + core.Offset(h.count) }

func (h *head) entry() bool { return h.kind < 64 }

// appendFrame appends a frame. It sets length, the CRC and flagWhole itself.
func appendFrame(b []byte, h head, data []byte) []byte {
	if h.kind != uint8(core.EntryBatch) || !isBatch(data) {
		h.flags |= flagWhole
	}
	at := len(b)
	be := binary.BigEndian
	b = be.AppendUint64(b, uint64(h.stream))
	b = be.AppendUint64(b, uint64(h.index))
	b = be.AppendUint64(b, uint64(h.base))
	b = be.AppendUint32(b, uint32(h.epoch))
	b = be.AppendUint32(b, uint32(h.gen))
	b = be.AppendUint32(b, uint32(h.count))
	b = be.AppendUint32(b, uint32(len(data)))
	b = append(b, h.kind, h.flags, frameVersion, 0)
	crc := crc32.Update(0, castagnoli, b[at:])
	b = be.AppendUint32(b, crc32.Update(crc, castagnoli, covered(h.flags, data)))
	return append(b, data...)
}

func appendEntry(b []byte, s core.StreamID, e *core.Entry, flags uint8) []byte {
	return appendFrame(b, head{stream: s, index: e.Index, base: e.Base, epoch: e.Epoch,
		gen: e.Gen, count: e.Count, kind: uint8(e.Kind), flags: flags}, e.Data)
}

// isBatch says whether data has the shape of one batch, so that its own CRC can be
// relied upon.
func isBatch(data []byte) bool {
	return len(data) >= batchHeader && data[16] == 2 &&
		int64(binary.BigEndian.Uint32(data[8:]))+12 == int64(len(data))
}

func covered(flags uint8, data []byte) []byte {
	if flags&flagWhole != 0 {
		return data
	}
	return data[:min(len(data), batchPrefix)]
}

// parseHead reads a head. Its length is sane, but nothing is checked yet.
func parseHead(b []byte) (head, error) {
	if len(b) < headBytes {
		return head{}, fmt.Errorf("a frame's head is cut off")
	}
	be := binary.BigEndian
	h := head{
		stream: core.StreamID(be.Uint64(b)),
		index:  core.Index(be.Uint64(b[8:])),
		base:   core.Offset(be.Uint64(b[16:])),
		epoch:  core.Epoch(be.Uint32(b[24:])),
		gen:    core.Generation(be.Uint32(b[28:])),
		count:  int32(be.Uint32(b[32:])),
		length: be.Uint32(b[36:]),
		kind:   b[40],
		flags:  b[41],
		crc:    be.Uint32(b[44:]),
	}
	if b[42] != frameVersion || h.length > dataBytesMax || h.kind == 0 ||
		h.stream == 0 || h.stream > streamMax {
		return head{}, fmt.Errorf("no frame begins here")
	}
	return h, nil
}

// parseFrame reads and checks the frame at the start of b. Its data aliases b.
func parseFrame(b []byte) (head, []byte, error) {
	h, err := parseHead(b)
	if err != nil {
		return h, nil, err
	}
	if int64(len(b)) < h.size() {
		return h, nil, fmt.Errorf("a frame of %d bytes is cut off", h.size())
	}
	data := b[headBytes:h.size()]
	crc := crc32.Update(crc32.Checksum(b[:44], castagnoli), castagnoli, covered(h.flags, data))
	switch {
	case crc != h.crc:
		return h, nil, fmt.Errorf("a frame's CRC does not fit")
	case h.flags&flagWhole != 0:
	case !isBatch(data):
		return h, nil, fmt.Errorf("a frame's batch has another length")
	case crc32.Checksum(data[batchPrefix:], castagnoli) != binary.BigEndian.Uint32(data[17:]):
		return h, nil, fmt.Errorf("a batch's CRC does not fit")
	}
	return h, data, nil
}

// stampOf gives the greatest stamp in a frame's batch, -1 where it has none.
func stampOf(h *head, data []byte) core.Stamp {
	if h.kind != uint8(core.EntryBatch) || len(data) < batchHeader {
		return -1
	}
	return core.Stamp(binary.BigEndian.Uint64(data[35:]))
}

func (h *head) toEntry(data []byte) core.Entry {
	return core.Entry{Index: h.index, Epoch: h.epoch, Gen: h.gen, Kind: core.EntryKind(h.kind),
		Base: h.base, Count: h.count, Data: data}
}
