package rocket

import (
	"sync"

	"trine/internal/core"
	"trine/internal/core/record"
)

// bodies is memory for encoding messages: connections share a few.
type bodies struct {
	coder record.Coder
	out   []byte
	props []byte
}

// bodiesKeepMax bounds what an unused one keeps.
const bodiesKeepMax = 1 << 20

// bodyPool lends bodies.
type bodyPool struct {
	mu   sync.Mutex
	free []*bodies
}

const bodiesMax = 8

func (p *bodyPool) with(do func(b *bodies)) {
	p.mu.Lock()
	var b *bodies
	if n := len(p.free); n > 0 {
		b, p.free = p.free[n-1], p.free[:n-1]
	} else {
		b = &bodies{}
	}
	p.mu.Unlock()
	do(b)
	if cap(b.out) > bodiesKeepMax {
		b.out = nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) < bodiesMax {
		p.free = append(p.free, b)
		return
	}
	b.coder.Close()
}

// fetch reads one message and calls done on the node's loop. m is done's to keep.
func (f *Front) fetch(s core.StreamID, offset core.Offset, done func(m *content, stamp core.Stamp,
	err error)) {
	r := core.Read{Parts: []core.ReadPart{{Stream: s, From: offset, BytesMax: 1}}, BytesMax: 1}
	f.core.Log().Read(r, func(as []core.ReadAnswer) {
		a := &as[0]
		if a.Err != nil {
			done(nil, 0, a.Err)
			return
		}
		for _, batch := range a.Batches {
			rec, err := record.One(batch, offset)
			if err != nil {
				continue
			}
			m := &content{}
			m.read(&rec, nil)
			done(m, rec.Stamp, nil)
			return
		}
		done(nil, 0, &core.Error{Op: "read message", Kind: core.NotExist})
	})
}
