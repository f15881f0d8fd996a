package onward

import (
	"trine/internal/core"
	"trine/internal/front/amqp/letter"
	"trine/internal/front/amqp/route"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
)

// undelay routes a message whose delay is over, from the exchange that delayed it on,
// on the node that leads the exchange's delays. done says that it may be forgotten.
func (f *Router) undelay(vhost, exchange string, fw *core.Forward, done func(error)) {
	x := f.View.Exchange(vhost, exchange)
	if x == nil { // what it delayed goes with it
		done(nil)
		return
	}
	m := letter.Of(&fw.Record, exchange)
	var fields wire.Fields
	if _, err := fields.Read(m.Props); err != nil {
		f.Log.Error("a delayed message is dropped: nobody can read it", "front", "amqp", "vhost", vhost,
			"exchange", exchange, "err", err)
		done(nil)
		return
	}
	fields.Headers = route.Undelayed(fields.Headers)
	more, _ := letter.Copies(fields.Headers) // checked when it arrived
	to := f.View.Resolve(vhost, x, &route.Message{Key: m.Key, More: more, Fields: &fields,
		Draw: f.Draws.Next()}, &topology.Resolver{})
	props := fields.Append(nil)
	p := &posting{drops: true, done: done}
	r := (&letter.Slab{}).Record(f.Clock().Wall, m.Exchange, m.Key, letter.WithoutBCC(props, &fields), &fields, m.Body)
	r.Headers[0].Value[0] = letter.Version(&fw.Record)
	for _, q := range to.Queues {
		p.add(q, r)
	}
	for _, q := range to.Stores {
		r := (&letter.Slab{}).Record(0, m.Exchange, m.Key, props, &fields, m.Body)
		r.Expires, r.Priority = 0, 0
		p.add(q, r)
	}
	if len(p.as) == 0 {
		done(nil)
		return
	}
	p.post(f)
}
