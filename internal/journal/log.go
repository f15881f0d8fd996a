package journal

import (
	"encoding/binary"
	"hash/crc32"

	"trine/internal/core"
)

// The write-ahead log is a row of files, one generation each, that are overwritten
// when nothing in them is needed any more.
//
//	file    0 magic "TRWF", 4 version u8, 5 zero[3], 8 disk u64, 16 generation u64,
//	       24 first sequence u64, 32 generation before u64, 40 its last sequence u64,
//	       48 zero u32, 52 crc u32 of the 52 bytes before;     the same again at 2048
//	     4096 the writes, each at a multiple of 8
//
//	write   0 magic "TRWW", 4 version u8, 5 zero[3], 8 generation u64, 16 sequence u64,
//	       24 highest sequence known flushed u64, 32 position u64, 40 bytes of frames u32,
//	       44 frames u32, 48 streams u32, 52 crc u32 of the frames and their padding,
//	       56 zero u32, 60 crc u32 of the 60 bytes before
//	       64 the frames, zeros up to a multiple of 8
//	        . trailer: magic "TRWE", streams u32, sequence u64, then the streams that have
//	          frames here, u64 each, then streams u32 again, crc u32 of all before
//
// A write names its generation and its own position, so that no byte of an earlier
// use of the file passes for one. A later write that says "flushed through n" is the
// witness that write n was on the disk: that n cannot be read is then damage, and no
// torn tail. The trailer says whose bytes they were when the head no longer can.
const (
	logMagic     = 0x54525746 // TRWF
	WriteMagic   = 0x54525757 // TRWW
	TrailerMagic = 0x54525745 // TRWE

	LogVersion     = 1
	LogHeadBytes   = 56
	LogHeadAgain   = 2048
	LogDataStart   = 4096
	WriteHeadBytes = 64
	TrailerBytes   = 24
)

// Write is one write of the log: frames between a head and a trailer.
type Write struct {
	buf     []byte
	frames  uint32
	streams []core.StreamID
	payload int // bytes of frames
}

// Reset empties it; its buffers stay.
func (b *Write) Reset() {
	*b = Write{buf: append(b.buf[:0], make([]byte, WriteHeadBytes)...), streams: b.streams[:0]}
}

// Empty says whether it has no frame.
func (b *Write) Empty() bool { return b.frames == 0 }

// Add appends a frame.
func (b *Write) Add(h Head, data []byte) {
	b.frames++
	b.buf = AppendFrame(b.buf, h, data)
	b.name(h.Stream)
}

// AddEntry appends an entry's frame.
func (b *Write) AddEntry(s core.StreamID, e *core.Entry, flags uint8) {
	b.frames++
	b.buf = AppendEntry(b.buf, s, e, flags)
	b.name(s)
}

// name notes a stream for the trailer. The frames of one stream come together, so
// that its last mention is near; a second mention does no harm.
func (b *Write) name(s core.StreamID) {
	if n := len(b.streams); n == 0 || b.streams[n-1] != s {
		b.streams = append(b.streams, s)
	}
}

// Size gives how many bytes there are by now.
func (b *Write) Size() int64 { return int64(len(b.buf)) }

// Shrink gives a buffer back that grew beyond bytesMax.
func (b *Write) Shrink(bytesMax int) {
	if cap(b.buf) > bytesMax {
		b.buf = nil
	}
}

// Frames gives the frames as they stand in the file behind the write's head.
func (b *Write) Frames() []byte { return b.buf[WriteHeadBytes : WriteHeadBytes+b.payload] }

// Seal pads, writes the trailer, then the head, and gives the bytes for position pos.
func (b *Write) Seal(gen, seq, flushed uint64, pos int64) []byte {
	be := binary.BigEndian
	b.payload = len(b.buf) - WriteHeadBytes
	for len(b.buf)%8 != 0 {
		b.buf = append(b.buf, 0)
	}
	body := crc32.Checksum(b.buf[WriteHeadBytes:], Castagnoli)
	at := len(b.buf)
	b.buf = be.AppendUint32(b.buf, TrailerMagic)
	b.buf = be.AppendUint32(b.buf, uint32(len(b.streams)))
	b.buf = be.AppendUint64(b.buf, seq)
	for _, s := range b.streams {
		b.buf = be.AppendUint64(b.buf, uint64(s))
	}
	b.buf = be.AppendUint32(b.buf, uint32(len(b.streams)))
	b.buf = be.AppendUint32(b.buf, crc32.Checksum(b.buf[at:], Castagnoli))

	h := b.buf[:WriteHeadBytes]
	be.PutUint32(h, WriteMagic)
	be.PutUint32(h[4:], LogVersion<<24)
	be.PutUint64(h[8:], gen)
	be.PutUint64(h[16:], seq)
	be.PutUint64(h[24:], flushed)
	be.PutUint64(h[32:], uint64(pos))
	be.PutUint32(h[40:], uint32(b.payload))
	be.PutUint32(h[44:], b.frames)
	be.PutUint32(h[48:], uint32(len(b.streams)))
	be.PutUint32(h[52:], body)
	be.PutUint32(h[60:], crc32.Checksum(h[:60], Castagnoli))
	return b.buf
}

// Unseal takes the padding and the trailer off again, for another try elsewhere.
func (b *Write) Unseal() { b.buf = b.buf[:WriteHeadBytes+b.payload] }

// PutLogHead writes one copy of a file's head.
func PutLogHead(b []byte, disk core.DiskID, gen, first, before, last uint64) {
	be := binary.BigEndian
	be.PutUint32(b, logMagic)
	be.PutUint32(b[4:], LogVersion<<24)
	be.PutUint64(b[8:], uint64(disk))
	be.PutUint64(b[16:], gen)
	be.PutUint64(b[24:], first)
	be.PutUint64(b[32:], before)
	be.PutUint64(b[40:], last)
	be.PutUint32(b[52:], crc32.Checksum(b[:52], Castagnoli))
}

// LogHead is what a file of the log says of itself.
type LogHead struct {
	Disk                     core.DiskID
	Gen, First, Before, Last uint64
}

// ParseLogHead reads one copy of a file's head; ok says that its CRC fits.
func ParseLogHead(b []byte) (h LogHead, version byte, ok bool) {
	be := binary.BigEndian
	if len(b) < LogHeadBytes || be.Uint32(b) != logMagic ||
		be.Uint32(b[52:]) != crc32.Checksum(b[:52], Castagnoli) {
		return h, 0, false
	}
	return LogHead{core.DiskID(be.Uint64(b[8:])), be.Uint64(b[16:]), be.Uint64(b[24:]),
		be.Uint64(b[32:]), be.Uint64(b[40:])}, b[4], true
}

// WriteHead is the head of one write of the log.
type WriteHead struct {
	Gen, Seq, Flushed       uint64
	Pos                     int64
	Payload, frames, stream uint32
	Body                    uint32
}

// Size gives the bytes of the whole write.
func (w *WriteHead) Size() int64 {
	return WriteHeadBytes + (int64(w.Payload)+7)&^7 + TrailerBytes + 8*int64(w.stream)
}

// ParseWriteHead reads the head at pos of file b, where it is one of generation gen.
func ParseWriteHead(b []byte, pos int64, gen uint64) (w WriteHead, ok bool) {
	if int64(len(b))-pos < WriteHeadBytes {
		return w, false
	}
	h := b[pos : pos+WriteHeadBytes]
	be := binary.BigEndian
	if be.Uint32(h) != WriteMagic || be.Uint32(h[60:]) != crc32.Checksum(h[:60], Castagnoli) {
		return w, false
	}
	w = WriteHead{Gen: be.Uint64(h[8:]), Seq: be.Uint64(h[16:]), Flushed: be.Uint64(h[24:]),
		Pos: int64(be.Uint64(h[32:])), Payload: be.Uint32(h[40:]), frames: be.Uint32(h[44:]),
		stream: be.Uint32(h[48:]), Body: be.Uint32(h[52:])}
	return w, w.Pos == pos && (gen == 0 || w.Gen == gen)
}

// ParseTrailer reads a trailer that fills b.
func ParseTrailer(b []byte) (streams []core.StreamID, ok bool) {
	be := binary.BigEndian
	n := len(b)
	if n < TrailerBytes || be.Uint32(b) != TrailerMagic ||
		crc32.Checksum(b[:n-4], Castagnoli) != be.Uint32(b[n-4:]) ||
		int64(be.Uint32(b[4:]))*8+TrailerBytes != int64(n) {
		return nil, false
	}
	for at := 16; at < n-8; at += 8 {
		streams = append(streams, core.StreamID(be.Uint64(b[at:])))
	}
	return streams, true
}

// TrailerBefore finds the trailer that ends at pos.
func TrailerBefore(b []byte, pos int64) ([]core.StreamID, bool) {
	if pos < LogDataStart+TrailerBytes {
		return nil, false
	}
	size := int64(binary.BigEndian.Uint32(b[pos-8:]))*8 + TrailerBytes
	if size > pos-LogDataStart {
		return nil, false
	}
	return ParseTrailer(b[pos-size : pos])
}

// TrailerSize gives the bytes of a trailer that names so many streams.
func TrailerSize(streams int) int64 { return TrailerBytes + 8*int64(streams) }
