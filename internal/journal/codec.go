package journal

import (
	"encoding/binary"
	"errors"
	"math"

	"trine/internal/core"
)

// What notes and manifests hold is a version byte and then varints: ints zigzag,
// Byte strings and lists after their length.
const codecVersion = 1

var errCodec = errors.New("its content is not what this version writes")

// Encoder puts values behind each other.
type Encoder struct{ b []byte }

// Int puts a number as a zigzag varint; Uint as a varint; Bytes behind their length.
func (e *Encoder) Int(v int64)    { e.b = binary.AppendVarint(e.b, v) }
func (e *Encoder) Uint(v uint64)  { e.b = binary.AppendUvarint(e.b, v) }
func (e *Encoder) Bytes(v []byte) { e.Uint(uint64(len(v))); e.b = append(e.b, v...) }

// Bool puts one byte.
func (e *Encoder) Bool(v bool) {
	if v {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

// Decoder takes values in the order in which they were put. After something that is
// not there it gives zeros, and End says so.
type Decoder struct {
	b   []byte
	bad bool
}

// Decode begins to read what an Encoder gave.
func Decode(b []byte) *Decoder {
	d := &Decoder{b: b}
	if d.Byte() != codecVersion {
		d.bad = true
	}
	return d
}

// Encode begins with the version.
func Encode() *Encoder { return &Encoder{b: []byte{codecVersion}} }

// Data gives what was encoded.
func (e *Encoder) Data() []byte { return e.b }

// NoteData gives the data of a note, of what f puts in.
func NoteData(f func(e *Encoder)) []byte {
	e := Encode()
	f(e)
	return e.b
}

// Byte takes one byte.
func (d *Decoder) Byte() byte {
	if d.bad || len(d.b) == 0 {
		d.bad = true
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

// Bool takes one byte.
func (d *Decoder) Bool() bool { return d.Byte() != 0 }

// Int takes a zigzag varint.
func (d *Decoder) Int() int64 {
	v, n := binary.Varint(d.b)
	return take(d, v, n)
}

// Uint takes a varint.
func (d *Decoder) Uint() uint64 {
	v, n := binary.Uvarint(d.b)
	return take(d, v, n)
}

func take[T any](d *Decoder, v T, n int) T {
	var zero T
	if d.bad || n <= 0 {
		d.bad = true
		return zero
	}
	d.b = d.b[n:]
	return v
}

// Count reads how many items follow, each at least so many bytes long.
func (d *Decoder) Count(bytesMin int) int {
	n := d.Uint()
	if n > uint64(len(d.b)/bytesMin) {
		d.bad = true
		return 0
	}
	return int(n)
}

// Fail says that what was read cannot be.
func (d *Decoder) Fail() { d.bad = true }

// Good says whether all that was asked for was there so far.
func (d *Decoder) Good() bool { return !d.bad }

// Bytes takes what Encoder.Bytes put, and copies, so that nothing holds on to what was read whole.
func (d *Decoder) Bytes() []byte {
	n := d.Count(1)
	if d.bad || n == 0 {
		return nil
	}
	v := append([]byte(nil), d.b[:n]...)
	d.b = d.b[n:]
	return v
}

// End says whether all was there, and nothing more.
func (d *Decoder) End() error {
	if d.bad || len(d.b) != 0 {
		return errCodec
	}
	return nil
}

// EncodeCheckpoint gives the data of a note that bears a checkpoint.
func EncodeCheckpoint(c *core.Checkpoint) []byte {
	e := Encode()
	e.Int(int64(c.Index))
	e.Int(int64(c.Epoch))
	e.Uint(uint64(c.Gen))
	e.Int(int64(c.Next))
	e.Int(int64(c.Start))
	e.Bytes(c.Members)
	e.Bytes(c.Memory)
	e.Bytes(c.Machine)
	return e.b
}

// DecodeCheckpoint reads what EncodeCheckpoint gave.
func DecodeCheckpoint(b []byte) (*core.Checkpoint, error) {
	d := Decode(b)
	c := &core.Checkpoint{Index: core.Index(d.Int()), Epoch: core.Epoch(d.Int()),
		Gen: core.Generation(d.Uint()), Next: core.Offset(d.Int()), Start: core.Offset(d.Int()),
		Members: d.Bytes(), Memory: d.Bytes(), Machine: d.Bytes()}
	return c, d.End()
}

// Keep puts a stream's rules of what is kept.
func (e *Encoder) Keep(k *core.Keep) {
	e.Int(k.MsMax)
	e.Int(k.BytesMax)
	e.Int(k.SegmentBytes)
	e.Int(k.SegmentMs)
	e.Bool(k.Compact)
	e.Int(k.TombstoneMs)
	e.Int(k.CompactLagMs)
	e.Uint(uint64(math.Float32bits(k.DirtyRatio)))
}

// Keep takes them.
func (d *Decoder) Keep() core.Keep {
	return core.Keep{MsMax: d.Int(), BytesMax: d.Int(), SegmentBytes: d.Int(), SegmentMs: d.Int(),
		Compact: d.Bool(), TombstoneMs: d.Int(), CompactLagMs: d.Int(),
		DirtyRatio: math.Float32frombits(uint32(d.Uint()))}
}

// Reclaim puts which records below an offset are wanted.
func (e *Encoder) Reclaim(r *core.Reclaim) {
	e.Int(int64(r.Below))
	e.Uint(uint64(len(r.Keep)))
	at := core.Offset(0)
	for _, k := range r.Keep {
		e.Int(int64(k.From - at))
		e.Int(int64(k.To - k.From))
		at = k.To
	}
}

// Reclaim takes that.
func (d *Decoder) Reclaim() *core.Reclaim {
	r := &core.Reclaim{Below: core.Offset(d.Int())}
	n := d.Count(2)
	at := core.Offset(0)
	for i := 0; i < n && !d.bad; i++ {
		from := at + core.Offset(d.Int())
		at = from + core.Offset(d.Int())
		r.Keep = append(r.Keep, core.OffsetRange{From: from, To: at})
	}
	return r
}
