package amqp

import (
	"bytes"

	"trine/internal/core"
	"trine/internal/front/amqp/access"
	"trine/internal/front/amqp/declare"
	"trine/internal/front/amqp/letter"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
	"trine/internal/front/gate"
)

// consumer is one attachment to a queue: of basic.consume, or of basic.get.
//
//	attaching ──▶ attached ──▶ stopped (basic.cancel; it keeps what it holds)
//	    │             │            │ settled all
//	    └─────────────┴────────────┴──▶ detached, or ended by its queue
type consumer struct {
	id        core.ConsumerID
	ch        *channel
	queue     *queue
	tag       string
	noAck     bool
	attached  bool
	stopped   bool
	detached  bool
	window    int32 // messages that it may hold
	prefetch  int   // its own limit; 0: none
	held      int   // delivered or waiting, not settled
	unpaid    int64 // bytes delivered whose credit was not given back
	owing     bool  // in conn.unpaid
	verdicts  []core.Verdict
	dirty     bool        // in turn.dirty
	waiting   []core.Lend // before consume-ok, or above the channel's shared limit
	getting   *wire.BasicGet
	reader    *reader // of a stream: nothing is lent to it
	exclusive bool
	arguments wire.Table
	counter   topology.Counter
	timeout   core.Time   // how long a message may be in its hands; 0: for ever
	leader    core.NodeID // of its queue, where it is to end with that; 0: it goes on
}

// windowBytes is how much a consumer may have on its way to the client's socket.
const windowBytes = 1 << 20

// windowAll stands for no limit of messages: the bytes limit.
const windowAll = 1 << 30

// windowOf gives how many messages a consumer may hold under both limits.
func windowOf(own, shared int) int32 {
	w := int32(windowAll)
	for _, n := range []int{own, shared} {
		if n > 0 {
			w = min(w, int32(n))
		}
	}
	return w
}

func (ch *channel) qos(m *wire.BasicQos) error {
	if m.PrefetchSize != 0 {
		return wire.Errorf(wire.NotImplemented, "prefetch_size!=0 (%d)", m.PrefetchSize)
	}
	if !m.Global {
		ch.prefetch = int(m.PrefetchCount)
	} else {
		ch.shared = int(m.PrefetchCount)
		for _, cs := range ch.order {
			if w := windowOf(cs.prefetch, ch.shared); w != cs.window && !cs.noAck && cs.reader == nil {
				ch.c.f.core.Queue().Credit(core.Credit{Stream: cs.queue.Stream.ID, Consumer: cs.id,
					Messages: w - cs.window})
				cs.window = w
			}
		}
		ch.deliverWaiting()
	}
	ch.c.send(ch.id, &wire.BasicQosOk{})
	return nil
}

func (ch *channel) consume(m *wire.BasicConsume) error {
	if m.Tag != "" && ch.consumers[m.Tag] != nil {
		return wire.Errorf(wire.NotAllowed, "attempt to reuse consumer tag '%s'", m.Tag)
	}
	if m.Queue == replyQueue {
		return ch.consumeReplies(m)
	}
	name, err := ch.queueName(m.Queue)
	if err != nil {
		return err
	}
	if err := ch.c.rights.May(access.Read, gate.Queue, name); err != nil {
		return err
	}
	return ch.withQueue(m.ID(), name, func(q *queue) error {
		if err := declare.Consumer(m.Arguments, q.Kind, subjectOf(q)); err != nil {
			return err
		}
		if q.Kind == streamed {
			return ch.consumeStream(m, q)
		}
		if m.Exclusive && declare.Flag(q.Arguments, "x-single-active-consumer") {
			return inExclusiveUse(q)
		}
		if q.Kind == quorum && ch.shared > 0 {
			return wire.Errorf(wire.NotImplemented, "queue '%s' in vhost '%s' does not support global qos",
				q.Name, q.VHost)
		}
		return ch.attach(m, q)
	})
}

func (ch *channel) attach(m *wire.BasicConsume, q *queue) error {
	c := ch.c
	tag := m.Tag
	if tag == "" {
		tag = generated(c.f.o.Rand, "amq.ctag-")
	}
	cs := &consumer{id: c.f.nextConsumer(), ch: ch, queue: q, tag: tag, noAck: m.NoAck,
		timeout:   c.f.timeoutOf(q),
		exclusive: m.Exclusive, arguments: bytes.Clone(m.Arguments)}
	if !m.NoAck {
		cs.prefetch = ch.prefetch
		cs.window = windowOf(cs.prefetch, ch.shared)
	} else {
		cs.window = windowAll
	}
	if declare.Flag(m.Arguments, "x-cancel-on-ha-failover") {
		cs.leader = q.Stream.Leader
		c.f.followers.Store(true)
	}
	ch.consumers[tag] = cs
	ch.order = append(ch.order, cs)
	c.consumers[cs.id] = cs
	c.endTurn()
	resume := ch.await(m.ID())
	c.f.core.Queue().Attach(core.Attach{Stream: q.Stream.ID, Consumer: cs.id, Messages: cs.window,
		Bytes: windowBytes, Renew: true, Settled: m.NoAck, Exclusive: m.Exclusive,
		Priority: int32(declare.Number(m.Arguments, "x-priority", 0)), Tag: tag}, (*holder)(c), func(err error) {
		resume(func() error {
			if err != nil {
				ch.drop(cs)
				return c.queueTrouble(q, err)
			}
			cs.attached = true
			if !m.NoWait {
				c.send(ch.id, &wire.BasicConsumeOk{Tag: tag})
			}
			ch.deliverWaiting()
			return nil
		})
	})
	return nil
}

// drop forgets a consumer.
func (ch *channel) drop(cs *consumer) {
	cs.detached = true
	cs.tell()
	if cs.reader != nil {
		ch.c.unread(cs)
	}
	delete(ch.c.consumers, cs.id)
	if ch.consumers[cs.tag] == cs {
		delete(ch.consumers, cs.tag)
	}
	for i, o := range ch.order {
		if o == cs {
			ch.order = append(ch.order[:i:i], ch.order[i+1:]...)
			break
		}
	}
}

// cancel ends a consumer. What it holds stays with the client.
func (ch *channel) cancel(m *wire.BasicCancel) error {
	cs := ch.consumers[m.Tag]
	ok := func() {
		if !m.NoWait {
			ch.c.send(ch.id, &wire.BasicCancelOk{Tag: m.Tag})
		}
	}
	if ch.reply != nil && ch.reply.tag == m.Tag {
		ch.awaitLocked(m.ID(), func(done func()) { ch.c.dropReply(ch, done) }, ok)
		return nil
	}
	if cs == nil {
		ok()
		return nil
	}
	ch.c.endTurn()
	ch.giveUpWaiting(cs)
	if cs.reader != nil {
		ch.unacked.orphan(cs)
		ch.drop(cs)
		ok()
		return nil
	}
	if cs.held == 0 {
		ch.drop(cs)
		ch.awaitLocked(m.ID(), func(done func()) { ch.c.detach(cs, done) }, ok)
		return nil
	}
	ch.stop(cs)
	ch.c.f.core.Queue().Credit(core.Credit{Stream: cs.queue.Stream.ID, Consumer: cs.id,
		Messages: -cs.window, Stop: true})
	ok()
	return nil
}

// stop takes a consumer out of the channel's, while it still holds messages.
func (ch *channel) stop(cs *consumer) {
	ch.drop(cs)
	cs.stopped, cs.detached = true, false
	ch.c.consumers[cs.id] = cs
}

// awaitLocked lets the channel stand still until begin's done was called, with the
// lock held.
func (ch *channel) awaitLocked(id wire.ID, begin func(done func()), then func()) {
	ch.waits++
	begin(func() {
		ch.waits--
		if !ch.dead && !ch.closing && ch.c.running() {
			then()
			ch.after(nil)
			ch.c.endTurn()
			ch.c.w.Wake()
		}
	})
}

// giveUpWaiting gives back what was lent and not delivered.
func (ch *channel) giveUpWaiting(cs *consumer) {
	for i := range cs.waiting {
		ch.c.verdict(cs, cs.waiting[i].Offset, core.Release)
		cs.held--
	}
	cs.waiting = nil
}

// detach ends an attachment; done is called with the lock held.
func (c *conn) detach(cs *consumer, done func()) {
	delete(c.consumers, cs.id)
	cs.detached = true
	cs.tell()
	if cs.reader != nil {
		c.unread(cs)
		done()
		return
	}
	c.f.core.Queue().Detach(cs.queue.Stream.ID, cs.id, func(error) {
		c.w.Lock()
		defer c.w.Unlock()
		done()
	})
}

// lent takes messages for consumers of this connection.
func (c *conn) lent(lends []core.Lend) {
	c.w.Lock()
	defer c.w.Unlock()
	c.now = c.w.Now().Mono
	var cs *consumer
	for i := range lends {
		l := &lends[i]
		if cs == nil || cs.id != l.Consumer {
			cs = c.consumers[l.Consumer]
		}
		switch {
		case cs == nil: // detached meanwhile: the queue has it back
		case cs.stopped:
			c.verdict(cs, l.Offset, core.Release)
		default:
			cs.ch.lent(cs, l)
		}
	}
	c.endTurn()
	c.w.Wake()
}

// lent takes one message for a consumer.
func (ch *channel) lent(cs *consumer, l *core.Lend) {
	if !cs.noAck {
		cs.held++
	}
	if cs.getting != nil {
		cs.waiting = append(cs.waiting, *l)
		return
	}
	full := ch.shared > 0 && !cs.noAck && ch.outstanding >= ch.shared
	if !cs.attached || full || len(cs.waiting) > 0 {
		cs.waiting = append(cs.waiting, *l)
		return
	}
	ch.deliver(cs, l)
}

// deliverWaiting delivers what was kept back, as far as the shared limit lets it.
func (ch *channel) deliverWaiting() {
	for _, cs := range ch.order {
		for len(cs.waiting) > 0 && cs.attached {
			if ch.shared > 0 && !cs.noAck && ch.outstanding >= ch.shared {
				return
			}
			l := cs.waiting[0]
			cs.waiting[0] = core.Lend{}
			cs.waiting = cs.waiting[1:]
			ch.deliver(cs, &l)
		}
	}
}

// deliver sends one message.
func (ch *channel) deliver(cs *consumer, l *core.Lend) {
	c := ch.c
	m := letter.Of(&l.Record, cs.queue.Name)
	ch.countDelivery(cs, topology.Delivered, l.Again)
	ch.lastTag++
	if !cs.noAck {
		ch.handOut(delivery{tag: ch.lastTag, consumer: cs, offset: l.Offset, counted: true})
		ch.outstanding++
	}
	o := c.w.Out()
	o.B = wire.AppendDeliver(o.B, ch.id, cs.tag, ch.lastTag, l.Again, m.Exchange, m.Key)
	c.content(ch.id, countedProperties(m.Props, cs.queue, l.Returned), m.Body)
	if c.traced() {
		ch.tapOut(m, cs.queue.Name, l.Again)
	}
	cs.unpaid += int64(len(m.Body))
	if !cs.owing {
		cs.owing = true
		if len(c.unpaid) == 0 {
			c.payAt = c.w.Now().Mono + payWait
			c.w.TickAt(c.payAt)
		}
		c.unpaid = append(c.unpaid, cs)
	}
}

// countedProperties adds how often a quorum queue's message came back.
func countedProperties(p wire.Properties, q *queue, returned int32) wire.Properties {
	if returned == 0 || q.Kind != quorum {
		return p
	}
	n := wire.Table(nil).PutInt("n", int64(returned))
	v, _ := n.Get("n")
	return letter.WithHeader(p, "x-delivery-count", v)
}

// shareBytesMin is the size from which a body is sent without being copied.
const shareBytesMin = 8 << 10

// content appends header and body frames.
func (c *conn) content(channel uint16, p wire.Properties, body []byte) {
	o := c.w.Out()
	if len(body) < shareBytesMin {
		o.B = wire.AppendContent(o.B, channel, p, body, c.frameMax)
		return
	}
	o.B = wire.AppendHeader(o.B, channel, len(body), p)
	for part := c.frameMax - wire.FrameOverhead; len(body) > 0; {
		n := min(part, len(body))
		o.B = wire.AppendBodyHead(o.B, channel, n)
		o.Share(body[:n])
		o.B = append(o.B, wire.FrameEnd)
		body = body[n:]
	}
}

// payBytesMin is how much a consumer gathers before its credit is given back.
const payBytesMin = windowBytes / 8

// payWait is how long a consumer that was sent less than that waits for its credit:
// what the queue counted may be more than what was sent.
const payWait = 20 * core.Millisecond

// pay gives consumers back the credit of what has left, while the socket keeps up:
// those that were sent much, or all. The queue takes no more than a full window.
func (c *conn) pay(all bool) {
	if c.w.Out().Len() > windowBytes/2 {
		return
	}
	kept := c.unpaid[:0]
	for _, cs := range c.unpaid {
		switch {
		case cs.detached || cs.stopped:
			cs.owing = false
		case cs.unpaid < payBytesMin && !all:
			kept = append(kept, cs)
		default:
			c.f.core.Queue().Credit(core.Credit{Stream: cs.queue.Stream.ID, Consumer: cs.id,
				Bytes: windowBytes})
			cs.unpaid, cs.owing = 0, false
		}
	}
	clear(c.unpaid[len(kept):])
	c.unpaid = kept
}

// creditDrained takes that all was lent that could be, to a basic.get.
func (c *conn) creditDrained(id core.ConsumerID, ready int64) {
	if cs := c.consumers[id]; cs != nil && cs.getting != nil {
		cs.ch.got(cs, ready)
		c.endTurn()
		c.w.Wake()
	}
}

// ended takes the end of an attachment that nobody detached.
func (c *conn) ended(id core.ConsumerID, err error) {
	c.w.Lock()
	defer c.w.Unlock()
	cs := c.consumers[id]
	if cs == nil {
		return
	}
	ch := cs.ch
	ch.ended(cs)
	if cs.getting != nil {
		cs.getting = nil
		ch.waits--
		ch.after(withID(c.queueTrouble(cs.queue, err), wire.IDBasicGet))
	}
	c.endTurn()
	c.w.Wake()
}

// ended forgets a consumer whose queue let it go, and tells its client.
func (ch *channel) ended(cs *consumer) {
	c := ch.c
	named := ch.consumers[cs.tag] == cs && !cs.stopped
	ch.drop(cs)
	for k, g := range ch.getters {
		if g == cs {
			delete(ch.getters, k)
		}
	}
	cs.waiting, cs.held = nil, 0
	ch.outstanding -= ch.unacked.orphan(cs)
	if named && cs.attached && c.clientCancel && !ch.closing && c.running() {
		ch.notices = append(ch.notices, cs.tag)
		ch.tellCancelled()
	}
	if !ch.closing && c.running() {
		ch.deliverWaiting()
	}
}

// tellCancelled tells the client which consumers are over; what the channel stands
// still for is answered first, since it may be what ended them.
func (ch *channel) tellCancelled() {
	if ch.waits > 0 {
		return
	}
	for _, tag := range ch.notices {
		ch.c.send(ch.id, &wire.BasicCancel{Tag: tag, NoWait: true})
	}
	ch.notices = nil
}
