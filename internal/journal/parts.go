package journal

import (
	"trine/internal/core"
)

// partBytesMin is what a part takes at least: a byte for each of its fields.
const partBytesMin = 12

func putPart(e *Encoder, p *part) {
	e.Uint(uint64(p.kind))
	e.Uint(uint64(p.flags))
	e.Uint(p.file)
	e.Int(p.pos)
	e.Int(p.end)
	e.Int(int64(p.first))
	e.Int(int64(p.last - p.first))
	e.Int(int64(p.base))
	e.Int(int64(p.next - p.base))
	e.Int(int64(p.stamp))
	e.Int(int64(p.oldest))
	e.Int(int64(p.held))
}

func getPart(d *Decoder) part {
	p := part{kind: placeKind(d.Uint()), flags: uint8(d.Uint()), file: d.Uint(), pos: d.Int(),
		end: d.Int(), first: core.Index(d.Int())}
	p.last = p.first + core.Index(d.Int())
	p.base = core.Offset(d.Int())
	p.next = p.base + core.Offset(d.Int())
	p.stamp, p.oldest = core.Stamp(d.Int()), core.Stamp(d.Int())
	p.held = core.Offset(d.Int())
	if p.kind < inLog || p.kind > inSegment || p.pos < 0 || p.end < p.pos {
		d.Fail()
	}
	return p
}

func putParts(e *Encoder, ps []part) {
	e.Uint(uint64(len(ps)))
	for i := range ps {
		putPart(e, &ps[i])
	}
}

func getParts(d *Decoder) []part {
	n := d.Count(partBytesMin)
	if n == 0 {
		return nil
	}
	ps := make([]part, 0, n)
	for i := 0; i < n && d.Good(); i++ {
		ps = append(ps, getPart(d))
	}
	return ps
}
