package amqp

import (
	"bytes"

	"trine/internal/core"
	"trine/internal/front/amqp/letter"
	"trine/internal/front/amqp/route"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
)

// routes are the answers that a channel keeps, by exchange and key, while the
// catalog stays.
type routes struct {
	revision uint64
	kept     map[string][]*queue
	name     []byte // exchange, 0, key: of the last answer and of the one looked for
	last     []byte
	lastOf   []*queue
	hasLast  bool
}

// routesMax bounds what a channel keeps.
const routesMax = 4096

// targets gives where a message goes.
func (ch *channel) targets(p *publication, x *exchange) (topology.Resolved, error) {
	m := &ch.message
	*m = route.Message{Key: p.key, Fields: p.fields}
	if p.fields.Flags&wire.HasHeaders != 0 {
		var err error
		if m.More, err = letter.Copies(p.fields.Headers); err != nil {
			return topology.Resolved{}, err
		}
	}
	v, rs := ch.c.f.view, &ch.routes
	if now := v.Revision(); now != rs.revision {
		clear(rs.kept)
		rs.revision, rs.hasLast = now, false
	}
	if len(m.More) > 0 {
		return ch.resolve(x), nil
	}
	rs.name = append(append(append(rs.name[:0], p.exchange...), 0), p.key...)
	if rs.hasLast && bytes.Equal(rs.name, rs.last) {
		return topology.Resolved{Queues: rs.lastOf}, nil
	}
	if qs, ok := rs.kept[string(rs.name)]; ok {
		rs.keepLast(qs)
		return topology.Resolved{Queues: qs}, nil
	}
	r := ch.resolve(x)
	if r.ByKey && len(r.Queues) > 0 {
		if rs.kept == nil || len(rs.kept) >= routesMax {
			rs.kept = map[string][]*queue{}
		}
		rs.kept[string(rs.name)] = r.Queues
		rs.keepLast(r.Queues)
	}
	return r, nil
}

// resolve asks the view where the channel's message goes.
func (ch *channel) resolve(x *exchange) topology.Resolved {
	ch.message.Draw = ch.c.f.onward.Draws.Next()
	return ch.c.f.view.Resolve(ch.c.vhost, x, &ch.message, &ch.resolver)
}

func (rs *routes) keepLast(qs []*queue) {
	rs.last, rs.name = rs.name, rs.last
	rs.lastOf, rs.hasLast = qs, true
}

// kept makes the record of a message that an exchange keeps itself: with all that was
// said of where it goes, since it is routed later.
func (ch *channel) kept(p *publication, kind topology.StoreKind) core.Record {
	r := ch.c.slab.Record(p.now.Wall, p.exchange, p.key, p.props, p.fields, p.body)
	r.Expires, r.Priority = 0, 0
	if kind == topology.Delays {
		r.Expires = p.now.Wall + core.Stamp(route.Delay(p.fields.Headers))
	}
	return r
}
