package amqp

import (
	"trine/internal/core"
	"trine/internal/front/amqp/access"
	"trine/internal/front/amqp/declare"
	"trine/internal/front/amqp/letter"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
	"trine/internal/front/gate"
)

// getterKey names the attachment that a channel's basic.get uses for a queue. It
// stands aside: it counts as no consumer, and lasts as long as the channel.
type getterKey struct {
	stream core.StreamID
	noAck  bool
}

func (ch *channel) get(m *wire.BasicGet) error {
	name, err := ch.queueName(m.Queue)
	if err != nil {
		return err
	}
	if err := ch.c.rights.May(access.Read, gate.Queue, name); err != nil {
		return err
	}
	return ch.withQueue(m.ID(), name, func(q *queue) error {
		if q.Kind == streamed {
			return streamCannot("basic.get", q)
		}
		if q.Kind == quorum && declare.Flag(q.Arguments, "x-single-active-consumer") {
			return wire.Errorf(wire.ResourceLocked, "cannot obtain access to locked queue '%s' in vhost '%s'. "+
				"basic.get operations are not supported by quorum queues with single active consumer",
				q.Name, q.VHost)
		}
		return ch.afterSettled(m.ID(), func() error { return ch.getFrom(m, q) })
	})
}

func (ch *channel) getFrom(m *wire.BasicGet, q *queue) error {
	c := ch.c
	key := getterKey{q.Stream.ID, m.NoAck}
	cs := ch.getters[key]
	if cs != nil {
		ch.waits++
		ch.draw(cs, m)
		return nil
	}
	cs = &consumer{id: c.f.nextConsumer(), ch: ch, queue: q, noAck: m.NoAck,
		timeout: c.f.timeoutOf(q)}
	c.consumers[cs.id] = cs
	if ch.getters == nil {
		ch.getters = map[getterKey]*consumer{}
	}
	ch.getters[key] = cs
	resume := ch.await(m.ID())
	c.f.core.Queue().Attach(core.Attach{Stream: q.Stream.ID, Consumer: cs.id, Bytes: 1 << 40,
		Settled: m.NoAck, Aside: true}, (*holder)(c), func(err error) {
		resume(func() error {
			if err != nil {
				delete(ch.getters, key)
				delete(c.consumers, cs.id)
				return c.queueTrouble(q, err)
			}
			cs.attached = true
			ch.waits++
			ch.draw(cs, m)
			return nil
		})
	})
	return nil
}

// draw asks for one message; Drained tells what came of it.
func (ch *channel) draw(cs *consumer, m *wire.BasicGet) {
	cs.getting = m
	ch.c.f.core.Queue().Credit(core.Credit{Stream: cs.queue.Stream.ID, Consumer: cs.id, Messages: 1,
		Drain: true})
}

// got answers a basic.get.
func (ch *channel) got(cs *consumer, ready int64) {
	c := ch.c
	cs.getting = nil
	ch.waits--
	if ch.dead || ch.closing || !c.running() {
		return
	}
	if len(cs.waiting) == 0 {
		cs.counter.One(topology.GotNothing)
		ch.counter.One(topology.GotNothing)
		c.send(ch.id, &wire.BasicGetEmpty{})
		ch.after(nil)
		return
	}
	l := cs.waiting[0]
	cs.waiting = nil
	m := letter.Of(&l.Record, cs.queue.Name)
	ch.countDelivery(cs, topology.Got, l.Again)
	ch.lastTag++
	if !cs.noAck {
		ch.handOut(delivery{tag: ch.lastTag, consumer: cs, offset: l.Offset})
	}
	c.send(ch.id, &wire.BasicGetOk{DeliveryTag: ch.lastTag, Redelivered: l.Again, Exchange: m.Exchange,
		RoutingKey: m.Key, Messages: uint32(ready)})
	c.content(ch.id, countedProperties(m.Props, cs.queue, l.Returned), m.Body)
	if c.traced() {
		ch.tapOut(m, cs.queue.Name, l.Again)
	}
	ch.after(nil)
}
