package stream

import (
	"encoding/binary"
	"fmt"
	"math"

	"trine/internal/core"
)

// version stands first in an encoded Memory. What follows are varints:
//
//	epochs    n { epoch, index, base }
//	producers n { id, epoch, open or -1, stamp, index, n { first, last, base } }
//	aborted   n { producer, first, last }
const version = 1

// Encode gives the memory's bytes for a checkpoint. Equal memories have equal
// bytes. Spans whose markers are not committed yet are not in it: a checkpoint
// holds committed entries only.
func (m *Memory) Encode() []byte {
	b := []byte{version}
	put := func(vs ...int64) {
		for _, v := range vs {
			b = binary.AppendVarint(b, v)
		}
	}
	put(int64(len(m.epochs)))
	for _, e := range m.epochs {
		put(int64(e.Epoch), int64(e.Index), int64(e.Base))
	}
	put(int64(len(m.producers)))
	for _, id := range m.ids() {
		p := m.producers[id]
		put(id, int64(p.epoch), int64(p.open), int64(p.stamp), int64(p.index), int64(p.n))
		for _, s := range p.window[:p.n] {
			put(int64(s.first), int64(s.last), int64(s.base))
		}
	}
	put(int64(len(m.aborted)))
	for _, a := range m.aborted {
		put(a.producer, int64(a.first), int64(a.last))
	}
	return b
}

// decoder reads varints; the first that is out of bounds makes bad true.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) get(low, high int64) int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 || v < low || v > high {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads how many items of at least three bytes follow.
func (d *decoder) count() int { return int(d.get(0, int64(len(d.b)/3))) }

// DecodeMemory reads what Encode wrote.
func DecodeMemory(b []byte) (*Memory, error) {
	if len(b) == 0 || b[0] != version {
		return nil, &core.Error{Op: "decode memory", Kind: core.Invalid,
			Detail: fmt.Sprintf("%d bytes, not of version %d", len(b), version)}
	}
	const most = math.MaxInt64
	d := decoder{b: b[1:]}
	m := NewMemory()
	for range d.count() {
		e := core.EpochStart{Epoch: core.Epoch(d.get(math.MinInt32, math.MaxInt32)),
			Index: core.Index(d.get(0, most)), Base: core.Offset(d.get(0, most))}
		if n := len(m.epochs); n > 0 && (e.Epoch <= m.epochs[n-1].Epoch ||
			e.Index <= m.epochs[n-1].Index) {
			d.bad = true
		}
		if d.bad {
			break
		}
		m.epochs = append(m.epochs, e)
	}
	for range d.count() {
		id := d.get(math.MinInt64, most)
		p := producer{epoch: int16(d.get(math.MinInt16, math.MaxInt16)), open: core.Offset(d.get(-1,
			most)),
			stamp: core.Stamp(d.get(math.MinInt64, most)), index: core.Index(d.get(0, most))}
		for range d.get(0, WindowBatches) {
			p.push(span{int32(d.get(0, math.MaxInt32)), int32(d.get(0, math.MaxInt32)),
				core.Offset(d.get(0, most))})
		}
		if d.bad || m.producers[id] != nil {
			d.bad = true
			break
		}
		*m.producer(id) = p
		if p.open != closed {
			m.open++
		}
	}
	for range d.count() {
		a := aborted{d.get(math.MinInt64, most), core.Offset(d.get(0, most)), core.Offset(d.get(0, most))}
		if n := len(m.aborted); d.bad || n > 0 && a.last < m.aborted[n-1].last {
			d.bad = true
			break
		}
		m.aborted = append(m.aborted, a)
	}
	if d.bad || len(d.b) != 0 {
		return nil, &core.Error{Op: "decode memory", Kind: core.Invalid, Detail: "malformed"}
	}
	return m, nil
}
