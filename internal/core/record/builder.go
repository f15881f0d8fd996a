package record

import (
	"encoding/binary"
	"math/bits"

	"trine/internal/core"
)

// Builder makes batches of records. It is used again and again, and allocates
// only what Finish returns and what its buffer must grow. One caller at a time.
type Builder struct {
	buf      []byte
	now      core.Stamp
	first    core.Stamp
	max      core.Stamp
	count    int32
	session  core.Session
	sequence int32
}

// Reset begins a batch. session is 0 for none, or whose batch it is and with
// which sequence its first record is numbered; now is the stamp of records that
// bear none.
func (b *Builder) Reset(session core.Session, sequence int32, now core.Stamp) {
	if cap(b.buf) < HeaderSize {
		b.buf = make([]byte, HeaderSize, 4096)
	}
	b.buf = b.buf[:HeaderSize]
	b.now, b.count, b.session, b.sequence = now, 0, session, sequence
	b.first, b.max = now, -1
}

// Len gives how many records the batch has, Size how many bytes.
func (b *Builder) Len() int { return int(b.count) }

// Size gives the bytes that the batch has so far.
func (b *Builder) Size() int { return len(b.buf) }

// Add appends a record to the batch; its bytes are copied.
func (b *Builder) Add(r *core.Record) {
	stamp := r.Stamp
	if stamp < 0 {
		stamp = b.now
	}
	if b.count == 0 {
		b.first = stamp
	}
	b.max = max(b.max, stamp)
	b.buf = appendRecord(b.buf, r, int64(stamp-b.first), b.count)
	b.count++
}

func appendRecord(b []byte, r *core.Record, stampDelta int64, delta int32) []byte {
	var queue [1 + 3*binary.MaxVarintLen64]byte
	q, headers := queue[:0], len(r.Headers)
	if r.Priority != 0 || r.Expires != 0 || r.NotBefore != 0 {
		q = append(q, queueVersion)
		q = binary.AppendUvarint(q, uint64(r.Priority))
		q = binary.AppendUvarint(q, uint64(r.Expires))
		q = binary.AppendUvarint(q, uint64(r.NotBefore))
		headers++
	}
	size := 1 + varintSize(stampDelta) + varintSize(int64(delta)) +
		bytesSize(r.Key) + bytesSize(r.Value) + varintSize(int64(headers))
	if len(q) > 0 {
		size += varintSize(int64(len(QueueHeader))) + len(QueueHeader) + bytesSize(q)
	}
	for i := range r.Headers {
		h := &r.Headers[i]
		size += varintSize(int64(len(h.Key))) + len(h.Key) + bytesSize(h.Value)
	}
	b = binary.AppendVarint(b, int64(size))
	b = append(b, 0)
	b = binary.AppendVarint(b, stampDelta)
	b = binary.AppendVarint(b, int64(delta))
	b = appendBytes(b, r.Key)
	b = appendBytes(b, r.Value)
	b = binary.AppendVarint(b, int64(headers))
	if len(q) > 0 {
		b = binary.AppendVarint(b, int64(len(QueueHeader)))
		b = append(b, QueueHeader...)
		b = appendBytes(b, q)
	}
	for i := range r.Headers {
		h := &r.Headers[i]
		b = binary.AppendVarint(b, int64(len(h.Key)))
		b = append(b, h.Key...)
		b = appendBytes(b, h.Value)
	}
	return b
}

func appendBytes(b, v []byte) []byte {
	if v == nil {
		return append(b, 1) // -1
	}
	b = binary.AppendVarint(b, int64(len(v)))
	return append(b, v...)
}

func bytesSize(v []byte) int {
	if v == nil {
		return 1
	}
	return varintSize(int64(len(v))) + len(v)
}

func varintSize(v int64) int {
	z := uint64(v)<<1 ^ uint64(v>>63)
	return (bits.Len64(z|1) + 6) / 7
}

// Finish gives the batch in a slice of its own, which is the caller's: valid,
// uncompressed, with base 0 and epoch -1. The Builder must be Reset before it is
// used again. A batch has at least one record.
func (b *Builder) Finish() []byte {
	core.Assert(b.count > 0, "a batch has a record")
	out := make([]byte, len(b.buf))
	copy(out, b.buf)
	producer, pepoch, sequence := int64(-1), int16(-1), int32(-1)
	if b.session != 0 {
		producer, pepoch, sequence = int64(b.session), 0, b.sequence
	}
	putHeader(out, Header{Length: int32(len(out) - atEpoch), Epoch: -1, Magic: MagicNow,
		LastDelta: b.count - 1, First: b.first, Max: b.max,
		Producer: producer, ProducerEpoch: pepoch, Sequence: sequence, Count: b.count})
	sum(out)
	return out
}

func putHeader(b []byte, h Header) {
	SetBase(b, h.Base, h.Epoch)
	binary.BigEndian.PutUint32(b[atLength:], uint32(h.Length))
	b[atMagic] = byte(h.Magic)
	binary.BigEndian.PutUint16(b[atAttrs:], uint16(h.Attributes))
	binary.BigEndian.PutUint32(b[atDelta:], uint32(h.LastDelta))
	binary.BigEndian.PutUint64(b[atFirst:], uint64(h.First))
	binary.BigEndian.PutUint64(b[atMax:], uint64(h.Max))
	binary.BigEndian.PutUint64(b[atProducer:], uint64(h.Producer))
	binary.BigEndian.PutUint16(b[atPEpoch:], uint16(h.ProducerEpoch))
	binary.BigEndian.PutUint32(b[atSequence:], uint32(h.Sequence))
	binary.BigEndian.PutUint32(b[atCount:], uint32(h.Count))
}

// Recompress gives the same records under another codec, in a slice of its own;
// the batch itself where it has that codec already.
func (c *Coder) Recompress(batch []byte, codec Codec, bytesMax int) ([]byte, error) {
	h, err := Parse(batch)
	if err != nil || h.Codec() == codec {
		return batch, err
	}
	body, err := c.Unpack(h.Codec(), batch[HeaderSize:h.Size()], bytesMax)
	if err != nil {
		return nil, broken("recompress batch", err, "")
	}
	return c.pack(h, codec, body)
}

// pack makes a batch of h's fields and an uncompressed body.
func (c *Coder) pack(h Header, codec Codec, body []byte) ([]byte, error) {
	packed, err := c.Pack(codec, body)
	if err != nil {
		return nil, broken("pack batch", err, "")
	}
	out := make([]byte, HeaderSize+len(packed))
	copy(out[HeaderSize:], packed)
	h.Attributes = h.Attributes&^codecMask | int16(codec)
	h.Length = int32(len(out) - atEpoch)
	putHeader(out, h)
	sum(out)
	return out, nil
}

// Filter gives a batch with those records only that keep says, under the same
// codec, with the same base and last delta: the batch itself where all are kept,
// one without records where none is.
func (c *Coder) Filter(batch []byte, bytesMax int,
	keep func(core.Offset, *core.Record) bool) ([]byte, error) {
	const op = "filter records"
	w, err := c.records(op, batch, bytesMax, true)
	if err != nil {
		return nil, err
	}
	var body []byte
	h := w.h
	h.Count, h.Max = 0, -1
	for w.next(true) {
		if keep(h.Base+core.Offset(w.delta), &w.r) {
			body = append(body, w.raw...)
			h.Count++
			h.Max = max(h.Max, w.r.Stamp)
		}
	}
	if err := w.err(op); err != nil {
		return nil, err
	}
	if h.Count == w.h.Count {
		return batch, nil
	}
	if h.Count == 0 {
		h.Max = w.h.Max
		return c.pack(h, None, nil)
	}
	return c.pack(h, h.Codec(), body)
}

// Recompress is Coder.Recompress where no Coder is at hand.
func Recompress(batch []byte, codec Codec) ([]byte, error) {
	var c Coder
	defer c.Close()
	return c.Recompress(batch, codec, UnpackedMax)
}

// Filter is Coder.Filter where no Coder is at hand.
func Filter(batch []byte, keep func(core.Offset, *core.Record) bool) ([]byte, error) {
	var c Coder
	defer c.Close()
	return c.Filter(batch, UnpackedMax, keep)
}
