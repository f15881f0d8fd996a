package amqp

import (
	"trine/internal/front/amqp/letter"
	"trine/internal/front/amqp/route"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
)

// traceExchange is where a virtual host that is traced tells of each message that is
// published and delivered, at most once: by the keys publish.EXCHANGE and deliver.QUEUE.
const traceExchange = "amq.rabbitmq.trace"

// tracing says whether a connection's virtual host is traced, while the catalog stays.
type tracing struct {
	revision uint64
	on       bool
}

func (c *conn) traced() bool {
	if now := c.f.view.Revision(); c.tracing.revision != now {
		c.tracing = tracing{now, c.f.view.Tracing(c.vhost)}
	}
	return c.tracing.on
}

// tapIn tells of a message that was published.
func (ch *channel) tapIn(p *publication, to []*queue) {
	var queues wire.Array
	for _, q := range to {
		queues = queues.PutString(q.Name)
	}
	m := letter.Message{Exchange: p.exchange, Key: p.key, Props: p.props, Body: p.body}
	ch.tap(m, "publish."+string(p.exchange), nil, wire.Table(nil).PutArray("routed_queues", queues))
}

// tapOut tells of a message that is delivered.
func (ch *channel) tapOut(m letter.Message, queue string, again bool) {
	n := int32(0)
	if again {
		n = 1
	}
	ch.tap(m, "deliver."+queue, wire.Table(nil).PutInt32("redelivered", n), nil)
}

func (ch *channel) tap(m letter.Message, key string, before, after wire.Table) {
	c := ch.c
	x := c.f.view.Exchange(c.vhost, traceExchange)
	if x == nil || string(m.Exchange) == traceExchange {
		return
	}
	to := c.f.view.Resolve(c.vhost, x, &route.Message{Key: []byte(key)}, &topology.Resolver{})
	if len(to.Queues) == 0 {
		return
	}
	t := append(letter.Describe(&m, topology.NodeName(c.f.view.Here)), before...)
	t = t.PutString("vhost", c.vhost).PutString("connection", c.name()).
		PutInt32("channel", int32(ch.id)).PutString("user", c.user)
	f := wire.Fields{Flags: wire.HasHeaders, Headers: append(t, after...)}
	r := c.slab.Record(c.w.Now().Wall, []byte(traceExchange), []byte(key), f.Append(nil), &f, m.Body)
	for _, q := range to.Queues {
		c.append(q, r)
	}
}
