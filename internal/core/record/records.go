package record

import (
	"encoding/binary"
	"math"
	"unsafe"

	"trine/internal/core"
)

// QueueHeader is the key of the header that a queue machine reads.
const QueueHeader = "trine.q"

const (
	queueVersion = 1
	recordMin    = 7 // length, attributes, two deltas, two lengths, count of headers
)

// cursor reads a record's parts. The first fault makes bad true; all that is read
// afterwards is zero.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) varint64() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) varint() int32 {
	v := c.varint64()
	if v != int64(int32(v)) {
		c.bad, c.b = true, nil
		return 0
	}
	return int32(v)
}

func (c *cursor) int8() byte {
	if len(c.b) == 0 {
		c.bad = true
		return 0
	}
	v := c.b[0]
	c.b = c.b[1:]
	return v
}

// bytes reads a length and so many bytes; nil for length -1 where null is allowed.
func (c *cursor) bytes(null bool) []byte {
	n := c.varint()
	if n == -1 && null {
		return nil
	}
	if n < 0 || int(n) > len(c.b) {
		c.bad, c.b = true, nil
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

// walk reads records one after another.
type walk struct {
	h      Header
	rest   []byte
	raw    []byte // the present record with its length
	delta  int32
	stamp  int64 // delta
	r      core.Record
	thin   bool // records may be missing, as after compaction
	seen   int32
	failed string
}

// next reads one record into w. full: its headers too, else they are only checked.
func (w *walk) next(full bool) bool {
	if w.seen == w.h.Count {
		if len(w.rest) != 0 {
			w.failed = "bytes follow the last record"
		}
		return false
	}
	size, n := binary.Varint(w.rest)
	if n <= 0 || size < recordMin-1 || size > int64(len(w.rest)-n) {
		w.failed = "a record's length"
		return false
	}
	w.raw = w.rest[: n+int(size) : n+int(size)]
	w.rest = w.rest[n+int(size):]
	c := cursor{b: w.raw[n:]}
	c.int8()
	w.stamp = c.varint64()
	delta := c.varint()
	switch {
	case c.bad:
	case !w.thin && delta != w.seen, delta < 0, w.seen > 0 && delta <= w.delta, delta > w.h.LastDelta:
		w.failed = "a record's offset"
		return false
	}
	w.delta = delta
	w.seen++
	w.r.Key = c.bytes(true)
	w.r.Value = c.bytes(true)
	w.headers(&c, full)
	if c.bad || len(c.b) != 0 {
		w.failed = "a record"
		return false
	}
	w.r.Stamp = w.h.First + core.Stamp(w.stamp)
	if w.h.AppendTime() {
		w.r.Stamp = w.h.Max
	}
	return true
}

func (w *walk) headers(c *cursor, full bool) {
	w.r.Headers = w.r.Headers[:0]
	w.r.Priority, w.r.Expires, w.r.NotBefore = 0, 0, 0
	n := c.varint()
	if n < 0 || int(n) > len(c.b)/2 {
		c.bad = true
		return
	}
	for i := range n {
		key := c.bytes(false)
		value := c.bytes(true)
		if c.bad {
			return
		}
		if !full || i == 0 && string(key) == QueueHeader && readQueue(value, &w.r) {
			continue
		}
		w.r.Headers = append(w.r.Headers, core.Header{
			Key: unsafe.String(unsafe.SliceData(key), len(key)), Value: value})
	}
}

// readQueue reads a queue header's value; false where it is none that is known.
func readQueue(b []byte, r *core.Record) bool {
	if len(b) == 0 || b[0] != queueVersion {
		return false
	}
	b = b[1:]
	var v [3]uint64
	for i := range v {
		n := 0
		if v[i], n = binary.Uvarint(b); n <= 0 || v[i] > 1<<62 {
			return false
		}
		b = b[n:]
	}
	if len(b) != 0 || v[0] > 255 {
		return false
	}
	r.Priority, r.Expires, r.NotBefore = uint8(v[0]), core.Stamp(v[1]), core.Stamp(v[2])
	return true
}

// records unpacks a batch and begins a walk over its records.
func (c *Coder) records(op string, batch []byte, bytesMax int, thin bool) (walk, error) {
	h, err := Parse(batch)
	if err != nil {
		return walk{}, err
	}
	body, err := c.Unpack(h.Codec(), batch[HeaderSize:h.Size()], bytesMax)
	if err != nil {
		return walk{}, broken(op, err, "%d bytes of %s", h.Size()-HeaderSize, h.Codec())
	}
	if int64(h.Count)*recordMin > int64(len(body)) {
		return walk{}, broken(op, ErrForm, "%d records in %d bytes", h.Count, len(body))
	}
	return walk{h: h, rest: body, thin: thin}, nil
}

func (w *walk) err(op string) error {
	if w.failed == "" {
		return nil
	}
	return broken(op, ErrForm, "%s, after %d of %d records", w.failed, w.seen, w.h.Count)
}

// CheckRecords walks a batch's records: each must be well formed, their offsets
// must run from 0 to the last delta without a gap, and together they may amount
// to bytesMax bytes. With Check, it is what batches from strangers must pass.
func (c *Coder) CheckRecords(batch []byte, bytesMax int) error {
	_, err := c.CheckStamps(batch, bytesMax)
	return err
}

// CheckStamps is CheckRecords, and gives the greatest stamp of the records: what
// the header says of it is not believed.
func (c *Coder) CheckStamps(batch []byte, bytesMax int) (core.Stamp, error) {
	const op = "check records"
	w, err := c.records(op, batch, bytesMax, false)
	if err != nil {
		return 0, err
	}
	if w.h.Span() != w.h.Count {
		return 0, broken(op, ErrForm, "%d records, last delta %d", w.h.Count, w.h.LastDelta)
	}
	greatest := core.Stamp(math.MinInt64)
	for w.next(false) {
		greatest = max(greatest, w.r.Stamp)
	}
	return greatest, w.err(op)
}

// Each calls fn for the records of a batch in order, until it returns false. The
// record is used again for the next one; its bytes alias the batch, or, where it
// was compressed, live until the next call of the Coder.
func (c *Coder) Each(batch []byte, bytesMax int, fn func(core.Offset, *core.Record) bool) error {
	const op = "read records"
	w, err := c.records(op, batch, bytesMax, true)
	if err != nil {
		return err
	}
	for w.next(true) {
		if !fn(w.h.Base+core.Offset(w.delta), &w.r) {
			return nil
		}
	}
	return w.err(op)
}

// CheckRecords is Coder.CheckRecords where no Coder is at hand.
func CheckRecords(b []byte, bytesMax int) error {
	var c Coder
	defer c.Close()
	return c.CheckRecords(b, bytesMax)
}

// Each is Coder.Each where no Coder is at hand; what fn is shown stays.
func Each(batch []byte, bytesMax int, fn func(core.Offset, *core.Record) bool) error {
	var c Coder
	defer c.Close()
	return c.Each(batch, bytesMax, fn)
}

// One gives the record at offset. NotExist where the batch does not have it.
func One(batch []byte, offset core.Offset) (core.Record, error) {
	var found core.Record
	ok := false
	err := Each(batch, UnpackedMax, func(o core.Offset, r *core.Record) bool {
		if o == offset {
			found, ok = *r, true
		}
		return o < offset
	})
	if err == nil && !ok {
		err = &core.Error{Op: "read record", Kind: core.NotExist}
	}
	return found, err
}

// Close frees what the codecs hold. The Coder may be used again.
func (c *Coder) Close() {
	if c.unzstd != nil {
		c.unzstd.Close()
	}
	if c.zenc != nil {
		c.zenc.Close()
	}
	*c = Coder{}
}
