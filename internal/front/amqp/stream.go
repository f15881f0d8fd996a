package amqp

import (
	"encoding/binary"
	"slices"

	"trine/internal/core"
	"trine/internal/core/record"
	"trine/internal/front/amqp/letter"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
)

// reader is a consumer's place in a stream. Nothing is lent: every consumer reads by
// itself, and may hold as many messages as its prefetch says.
//
//	seeking ──▶ idle ──▶ reading ──▶ delivering ─┐
//	             ▲   credit                      │ no credit, or the socket is full
//	             └───────────────────────────────┘
type reader struct {
	at     core.Offset    // what is delivered next
	from   core.Offset    // what lies below is passed over: it was asked for more than is there
	whole  bool           // deliver the batch that at is in from its beginning
	busy   bool           // being sought, or read
	found  []entry        // read and not delivered
	filter *letter.Filter // nil: everything
}

// entry is one message of a stream.
type entry struct {
	offset core.Offset
	record core.Record
}

const (
	readBytes = 256 << 10
	readWait  = 10 * core.Second
	readRetry = 200 * core.Millisecond
)

// streamCannot is the reply to a method that streams have not.
func streamCannot(method string, q *queue) error {
	return wire.Errorf(wire.NotImplemented, "%s not supported by stream queues queue '%s' in vhost '%s'",
		method, q.Name, q.VHost)
}

// consumeStream takes basic.consume on a stream.
func (ch *channel) consumeStream(m *wire.BasicConsume, q *queue) error {
	switch {
	case ch.prefetch == 0:
		return wire.Errorf(wire.PreconditionFailed,
			"consumer prefetch count is not set for stream queue '%s' in vhost '%s'", q.Name, q.VHost)
	case m.NoAck:
		return wire.Errorf(wire.NotImplemented,
			"automatic acknowledgement not supported by stream queue '%s' in vhost '%s'", q.Name, q.VHost)
	case ch.shared > 0:
		return wire.Errorf(wire.NotImplemented, "queue '%s' in vhost '%s' does not support global qos",
			q.Name, q.VHost)
	}
	c := ch.c
	tag := m.Tag
	if tag == "" {
		tag = generated(c.f.o.Rand, "amq.ctag-")
	}
	cs := &consumer{id: c.f.nextConsumer(), ch: ch, queue: q, tag: tag, prefetch: ch.prefetch,
		timeout: c.f.timeoutOf(q),
		window:  int32(ch.prefetch), reader: &reader{busy: true, filter: letter.FilterOf(m.Arguments)}}
	ch.consumers[tag] = cs
	ch.order = append(ch.order, cs)
	c.consumers[cs.id] = cs
	c.readers = append(c.readers, cs)
	resume := ch.await(m.ID())
	c.seek(cs, m.Arguments, func(err error) {
		resume(func() error {
			if err != nil {
				ch.drop(cs)
				return c.queueTrouble(q, err)
			}
			cs.attached, cs.reader.busy = true, false
			if !m.NoWait {
				c.send(ch.id, &wire.BasicConsumeOk{Tag: tag})
			}
			c.readOn(cs)
			return nil
		})
	})
	return nil
}

// seek finds where a consumer begins; done is called on the loop.
func (c *conn) seek(cs *consumer, args wire.Table, done func(error)) {
	r, id := cs.reader, cs.queue.Stream.ID
	find := func(f core.Find, then func(core.Offset)) {
		f.Stream = id
		c.f.core.Log().Find(f, func(at core.Found, err error) {
			if err == nil {
				then(at.Offset)
			}
			done(err)
		})
	}
	end := core.Find{Kind: core.FindEnd}
	v, ok := args.Get("x-stream-offset")
	b, _ := v.Text()
	n, isInt := v.Int()
	stamp := func(at core.Stamp) { // the first not older than at, or what comes next
		find(core.Find{Kind: core.FindStamp, Stamp: at}, func(o core.Offset) {
			if r.at = o; o < 0 {
				r.at = afterLast
			}
		})
	}
	switch {
	case !ok || string(b) == "next":
		find(end, func(o core.Offset) { r.at = o })
	case string(b) == "first":
		find(core.Find{Kind: core.FindStart}, func(o core.Offset) { r.at = o })
	case string(b) == "last":
		find(end, func(o core.Offset) { r.at, r.whole = max(o-1, 0), o > 0 })
	case isInt:
		find(end, func(o core.Offset) { r.at, r.from = min(max(core.Offset(n), 0), o), core.Offset(n) })
	case v.Type == wire.TypeTimestamp:
		stamp(core.Stamp(binary.BigEndian.Uint64(v.Raw)) * 1000)
	default:
		ms, _ := topology.MaxAge(string(b))
		stamp(c.w.Now().Wall - core.Stamp(ms))
	}
}

// afterLast stands for the end of a stream until it is known.
const afterLast = core.Offset(-1)

// readAll goes on with all readers that may.
func (c *conn) readAll() {
	for _, cs := range c.readers {
		c.readOn(cs)
	}
}

// readOn delivers what a consumer has read and may have, then reads more.
func (c *conn) readOn(cs *consumer) {
	r := cs.reader
	if !cs.attached || cs.detached || cs.ch.closing || !c.running() {
		return
	}
	n := 0
	for n < len(r.found) && cs.held < int(cs.window) && c.w.Out().Len() < windowBytes {
		cs.ch.deliverRead(cs, &r.found[n])
		n++
	}
	clear(r.found[:n])
	if r.found = r.found[n:]; len(r.found) == 0 {
		r.found = nil
	}
	if len(r.found) > 0 || r.busy || cs.held >= int(cs.window) || c.w.Out().Len() >= windowBytes {
		return
	}
	r.busy = true
	s := cs.queue.Stream
	ask := core.Read{Parts: []core.ReadPart{{Stream: s.ID, From: r.at, BytesMax: readBytes}},
		BytesMin: 1, BytesMax: readBytes, Wait: readWait, Copy: c.f.hosts(s.Name)}
	if r.at == afterLast {
		c.f.core.Log().Find(core.Find{Stream: s.ID, Kind: core.FindEnd}, func(at core.Found, err error) {
			c.w.Lock()
			defer c.w.Unlock()
			if err == nil {
				r.at = at.Offset
			}
			c.readBack(cs, &core.ReadAnswer{Err: err})
		})
		return
	}
	c.f.core.Log().Read(ask, func(as []core.ReadAnswer) {
		c.w.Lock()
		defer c.w.Unlock()
		c.readBack(cs, &as[0])
	})
}

// hosts says whether this node has a copy of a stream: readers need not go to its leader.
func (f *Front) hosts(stream string) bool {
	s := f.core.Streams().Lookup(stream)
	return s != nil && slices.ContainsFunc(s.Members, func(m core.Member) bool {
		return m.Node == f.view.Here
	})
}

// readBack takes what a read gave.
func (c *conn) readBack(cs *consumer, a *core.ReadAnswer) {
	r := cs.reader
	r.busy, c.now = false, c.w.Now().Mono
	if cs.detached || !c.running() {
		return
	}
	switch k := core.KindOf(a.Err); {
	case k == core.OK:
		if err := r.take(a.Batches); err != nil {
			c.f.log.Error("a stream cannot be read", "front", "amqp", "queue", cs.queue.Name, "err", err)
		}
		c.readOn(cs)
	case k == core.OutOfRange && r.at < a.Start:
		r.at = a.Start // the others are gone
		c.readOn(cs)
	case k == core.NotExist:
		cs.ch.ended(cs)
	default:
		c.readAt = c.w.Now().Mono + readRetry
		c.w.TickAt(c.readAt)
	}
	c.endTurn()
	c.w.Wake()
}

// take keeps what is to be delivered of some batches.
func (r *reader) take(batches [][]byte) error {
	for _, b := range batches {
		h, err := record.Parse(b)
		if err != nil {
			return err
		}
		if r.whole {
			r.at, r.whole = h.Base, false
		}
		err = record.Each(b, record.UnpackedMax, func(at core.Offset, rec *core.Record) bool {
			if at >= r.at && at >= r.from && r.filter.Takes(rec) {
				one := *rec
				one.Headers = slices.Clone(rec.Headers)
				r.found = append(r.found, entry{at, one})
			}
			return true
		})
		r.at = max(r.at, h.Next())
		if err != nil {
			return err
		}
	}
	return nil
}

// deliverRead sends one message of a stream.
func (ch *channel) deliverRead(cs *consumer, f *entry) {
	c := ch.c
	m := letter.Of(&f.record, cs.queue.Name)
	ch.countDelivery(cs, topology.Delivered, false)
	ch.lastTag++
	ch.handOut(delivery{tag: ch.lastTag, consumer: cs, offset: f.offset})
	cs.held++
	o := c.w.Out()
	o.B = wire.AppendDeliver(o.B, ch.id, cs.tag, ch.lastTag, false, m.Exchange, m.Key)
	offset := wire.Value{Type: wire.TypeInt64, Raw: binary.BigEndian.AppendUint64(nil, uint64(f.offset))}
	c.content(ch.id, letter.WithHeader(m.Props, "x-stream-offset", offset), m.Body)
	if c.traced() {
		ch.tapOut(m, cs.queue.Name, false)
	}
}

// unread forgets a reader.
func (c *conn) unread(cs *consumer) {
	cs.reader.found = nil
	c.readers = slices.DeleteFunc(c.readers, func(o *consumer) bool { return o == cs })
}

// measure counts what a stream holds; done is called on the loop.
func (f *Front) measure(q *queue, done func(int64, error)) {
	log, id := f.core.Log(), q.Stream.ID
	log.Find(core.Find{Stream: id, Kind: core.FindStart}, func(start core.Found, err error) {
		if err != nil {
			done(0, err)
			return
		}
		log.Find(core.Find{Stream: id, Kind: core.FindEnd}, func(end core.Found, err error) {
			done(int64(end.Offset-start.Offset), err)
		})
	})
}
