package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"trine/internal/core"
)

// HeaderSize is the size of a batch's header in bytes, before its records.
const HeaderSize = 61

// MagicNow is the only version of batches that is kept.
const MagicNow = 2

// Where the fields of the header stand.
const (
	atBase     = 0
	atLength   = 8
	atEpoch    = 12
	atMagic    = 16
	atCRC      = 17
	atAttrs    = 21
	atDelta    = 23
	atFirst    = 27
	atMax      = 35
	atProducer = 43
	atPEpoch   = 51
	atSequence = 53
	atCount    = 57

	lengthMin = HeaderSize - atEpoch // what Length is for a batch without records
)

// The bits of Header.Attributes.
const (
	codecMask     = 0x07
	bitAppendTime = 0x08
	bitTxn        = 0x10
	bitControl    = 0x20
)

// The causes of errors in batches: what errors.Is finds in those of this package.
var (
	ErrShort = errors.New("shorter than it says")
	ErrMagic = errors.New("not a batch of version 2")
	ErrCRC   = errors.New("checksum does not match")
	ErrForm  = errors.New("malformed")
	ErrCodec = errors.New("unknown codec")
	ErrLarge = errors.New("too large when decompressed")
)

// Header is a batch's header.
type Header struct {
	Base          core.Offset
	Length        int32 // bytes after the length field
	Epoch         core.Epoch
	Magic         int8
	CRC           uint32
	Attributes    int16
	LastDelta     int32
	First, Max    core.Stamp
	Producer      int64
	ProducerEpoch int16
	Sequence      int32
	Count         int32
}

// Size gives the bytes of the whole batch.
func (h Header) Size() int { return int(h.Length) + atEpoch }

// Codec gives how the records are compressed.
func (h Header) Codec() Codec { return Codec(h.Attributes & codecMask) }

// Control says whether the batch is a marker and not for readers.
func (h Header) Control() bool { return h.Attributes&bitControl != 0 }

// Transactional says whether the batch counts only once its span was committed.
func (h Header) Transactional() bool { return h.Attributes&bitTxn != 0 }

// AppendTime says whether all records bear Max as their stamp.
func (h Header) AppendTime() bool { return h.Attributes&bitAppendTime != 0 }

// Last gives the offset of the last record.
func (h Header) Last() core.Offset { return h.Base + core.Offset(h.LastDelta) }

// Next gives the offset that follows the batch.
func (h Header) Next() core.Offset { return h.Last() + 1 }

// Span gives how many offsets the batch takes: what core.Entry.Count is for it.
func (h Header) Span() int32 { return h.LastDelta + 1 }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func broken(op string, cause error, detail string, args ...any) error {
	return &core.Error{Op: op, Kind: core.Invalid, Detail: fmt.Sprintf(detail, args...), Err: cause}
}

// Parse gives the header of the batch at the start of b. It checks the magic and
// that b holds as many bytes as the batch says it has, not the checksum.
func Parse(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		if len(b) > atMagic && b[atMagic] != MagicNow {
			return Header{}, broken("parse batch", ErrMagic, "magic %d", int8(b[atMagic]))
		}
		return Header{}, broken("parse batch", ErrShort, "%d bytes", len(b))
	}
	h := Header{
		Base:          core.Offset(binary.BigEndian.Uint64(b[atBase:])),
		Length:        int32(binary.BigEndian.Uint32(b[atLength:])),
		Epoch:         core.Epoch(binary.BigEndian.Uint32(b[atEpoch:])),
		Magic:         int8(b[atMagic]),
		CRC:           binary.BigEndian.Uint32(b[atCRC:]),
		Attributes:    int16(binary.BigEndian.Uint16(b[atAttrs:])),
		LastDelta:     int32(binary.BigEndian.Uint32(b[atDelta:])),
		First:         core.Stamp(binary.BigEndian.Uint64(b[atFirst:])),
		Max:           core.Stamp(binary.BigEndian.Uint64(b[atMax:])),
		Producer:      int64(binary.BigEndian.Uint64(b[atProducer:])),
		ProducerEpoch: int16(binary.BigEndian.Uint16(b[atPEpoch:])),
		Sequence:      int32(binary.BigEndian.Uint32(b[atSequence:])),
		Count:         int32(binary.BigEndian.Uint32(b[atCount:])),
	}
	switch {
	case h.Magic != MagicNow:
		return h, broken("parse batch", ErrMagic, "magic %d", h.Magic)
	case h.Length < lengthMin:
		return h, broken("parse batch", ErrForm, "length %d", h.Length)
	case int64(h.Length) > int64(len(b)-atEpoch):
		return h, broken("parse batch", ErrShort, "length %d, %d bytes there", h.Length, len(b)-atEpoch)
	case h.LastDelta < 0 || h.Count < 0 || int64(h.Count) > int64(h.LastDelta)+1:
		return h, broken("parse batch", ErrForm, "%d records, last delta %d", h.Count, h.LastDelta)
	}
	return h, nil
}

// Check gives the header of b, which must be exactly one whole batch with a right
// checksum and a known codec. It allocates nothing and does not decompress.
func Check(b []byte) (Header, error) {
	h, err := Parse(b)
	if err != nil {
		return h, err
	}
	if h.Size() != len(b) {
		return h, broken("check batch", ErrForm, "%d bytes follow the batch", len(b)-h.Size())
	}
	if crc := crc32.Checksum(b[atAttrs:], castagnoli); crc != h.CRC {
		return h, broken("check batch", ErrCRC, "%08x, but it says %08x", crc, h.CRC)
	}
	switch {
	case h.Codec() > Zstd:
		return h, broken("check batch", ErrCodec, "codec %d", h.Codec())
	case h.Codec() == None && int64(h.Count)*recordMin > int64(len(b)-HeaderSize):
		return h, broken("check batch", ErrForm, "%d records in %d bytes", h.Count, len(b)-HeaderSize)
	}
	return h, nil
}

// Split cuts b, consecutive whole batches, into batches that alias it. A partial
// last batch is an error. Checksums are not looked at.
func Split(b []byte) ([][]byte, error) {
	var out [][]byte
	for len(b) > 0 {
		h, err := Parse(b)
		if err != nil {
			return nil, err
		}
		out = append(out, b[:h.Size():h.Size()])
		b = b[h.Size():]
	}
	return out, nil
}

// SetBase writes into a batch where it stands and under whom: fields that its
// checksum leaves out.
func SetBase(b []byte, base core.Offset, epoch core.Epoch) {
	binary.BigEndian.PutUint64(b[atBase:], uint64(base))
	binary.BigEndian.PutUint32(b[atEpoch:], uint32(epoch))
}

// SetStamp makes s the stamp of all records of a batch: the time of its appending.
func SetStamp(b []byte, s core.Stamp) {
	b[atAttrs+1] |= bitAppendTime
	binary.BigEndian.PutUint64(b[atMax:], uint64(s))
	sum(b)
}

// SetMax corrects the greatest stamp of a batch.
func SetMax(b []byte, s core.Stamp) {
	binary.BigEndian.PutUint64(b[atMax:], uint64(s))
	sum(b)
}

// sum writes the checksum of a whole batch.
func sum(b []byte) {
	binary.BigEndian.PutUint32(b[atCRC:], crc32.Checksum(b[atAttrs:], castagnoli))
}

// SetProducer writes whose batch it is, and sums it again: for tests, and for
// those who turn a batch of another form into one of this.
func SetProducer(b []byte, producer int64, epoch int16, sequence int32, transactional bool) {
	binary.BigEndian.PutUint64(b[atProducer:], uint64(producer))
	binary.BigEndian.PutUint16(b[atPEpoch:], uint16(epoch))
	binary.BigEndian.PutUint32(b[atSequence:], uint32(sequence))
	b[atAttrs+1] &^= bitTxn
	if transactional {
		b[atAttrs+1] |= bitTxn
	}
	sum(b)
}
