package journal

import (
	"encoding/binary"
	"errors"
	"math"

	"trine/internal/core"
)

// What notes and manifests hold is a version byte and then varints: ints zigzag,
// byte strings and lists after their length.
const codecVersion = 1

var errCodec = errors.New("its content is not what this version writes")

type encoder struct{ b []byte }

func (e *encoder) int(v int64)    { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) uint(v uint64)  { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) bytes(v []byte) { e.uint(uint64(len(v))); e.b = append(e.b, v...) }
func (e *encoder) bool(v bool) {
	if v {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

type decoder struct {
	b   []byte
	bad bool
}

func decode(b []byte) *decoder {
	d := &decoder{b: b}
	if d.byte() != codecVersion {
		d.bad = true
	}
	return d
}

func encode() *encoder { return &encoder{b: []byte{codecVersion}} }

func (d *decoder) byte() byte {
	if d.bad || len(d.b) == 0 {
		d.bad = true
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) bool() bool { return d.byte() != 0 }

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	return take(d, v, n)
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	return take(d, v, n)
}

func take[T any](d *decoder, v T, n int) T {
	var zero T
	if d.bad || n <= 0 {
		d.bad = true
		return zero
	}
	d.b = d.b[n:]
	return v
}

// count reads how many items follow, each at least one byte long.
func (d *decoder) count() int {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.bad = true
		return 0
	}
	return int(n)
}

// bytes copies, so that nothing holds on to what was read whole.
func (d *decoder) bytes() []byte {
	n := d.count()
	if d.bad || n == 0 {
		return nil
	}
	v := append([]byte(nil), d.b[:n]...)
	d.b = d.b[n:]
	return v
}

func (d *decoder) end() error {
	if d.bad || len(d.b) != 0 {
		return errCodec
	}
	return nil
}

func encodeCheckpoint(c *core.Checkpoint) []byte {
	e := encode()
	e.int(int64(c.Index))
	e.int(int64(c.Epoch))
	e.uint(uint64(c.Gen))
	e.int(int64(c.Next))
	e.int(int64(c.Start))
	e.bytes(c.Members)
	e.bytes(c.Memory)
	e.bytes(c.Machine)
	return e.b
}

func decodeCheckpoint(b []byte) (*core.Checkpoint, error) {
	d := decode(b)
	c := &core.Checkpoint{Index: core.Index(d.int()), Epoch: core.Epoch(d.int()),
		Gen: core.Generation(d.uint()), Next: core.Offset(d.int()), Start: core.Offset(d.int()),
		Members: d.bytes(), Memory: d.bytes(), Machine: d.bytes()}
	return c, d.end()
}

func (e *encoder) keep(k *core.Keep) {
	e.int(k.MsMax)
	e.int(k.BytesMax)
	e.int(k.SegmentBytes)
	e.int(k.SegmentMs)
	e.bool(k.Compact)
	e.int(k.TombstoneMs)
	e.int(k.CompactLagMs)
	e.uint(uint64(math.Float32bits(k.DirtyRatio)))
}

func (d *decoder) keep() core.Keep {
	return core.Keep{MsMax: d.int(), BytesMax: d.int(), SegmentBytes: d.int(), SegmentMs: d.int(),
		Compact: d.bool(), TombstoneMs: d.int(), CompactLagMs: d.int(),
		DirtyRatio: math.Float32frombits(uint32(d.uint()))}
}

func (e *encoder) reclaim(r *core.Reclaim) {
	e.int(int64(r.Below))
	e.uint(uint64(len(r.Keep)))
	at := core.Offset(0)
	for _, k := range r.Keep {
		e.int(int64(k.From - at))
		e.int(int64(k.To - k.From))
		at = k.To
	}
}

func (d *decoder) reclaim() *core.Reclaim {
	r := &core.Reclaim{Below: core.Offset(d.int())}
	n := d.count()
	at := core.Offset(0)
	for i := 0; i < n && !d.bad; i++ {
		from := at + core.Offset(d.int())
		at = from + core.Offset(d.int())
		r.Keep = append(r.Keep, core.OffsetRange{From: from, To: at})
	}
	return r
}

func (e *encoder) part(p *part) {
	e.uint(uint64(p.kind))
	e.uint(uint64(p.flags))
	e.uint(p.file)
	e.int(p.pos)
	e.int(p.end)
	e.int(int64(p.first))
	e.int(int64(p.last - p.first))
	e.int(int64(p.base))
	e.int(int64(p.next - p.base))
	e.int(int64(p.stamp))
	e.int(int64(p.oldest))
	e.int(int64(p.held))
}

func (d *decoder) part() part {
	p := part{kind: placeKind(d.uint()), flags: uint8(d.uint()), file: d.uint(), pos: d.int(),
		end: d.int(), first: core.Index(d.int())}
	p.last = p.first + core.Index(d.int())
	p.base = core.Offset(d.int())
	p.next = p.base + core.Offset(d.int())
	p.stamp, p.oldest = core.Stamp(d.int()), core.Stamp(d.int())
	p.held = core.Offset(d.int())
	if p.kind < inLog || p.kind > inSegment || p.pos < 0 || p.end < p.pos {
		d.bad = true
	}
	return p
}

func (e *encoder) parts(ps []part) {
	e.uint(uint64(len(ps)))
	for i := range ps {
		e.part(&ps[i])
	}
}

func (d *decoder) parts() []part {
	n := d.count()
	if n == 0 || d.bad {
		return nil
	}
	ps := make([]part, 0, min(n, len(d.b)/8+1))
	for i := 0; i < n && !d.bad; i++ {
		ps = append(ps, d.part())
	}
	return ps
}
