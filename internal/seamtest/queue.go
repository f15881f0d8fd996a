package seamtest

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"trine/internal/core"
	"trine/internal/core/queue"
	"trine/internal/core/record"
)

type queues struct{ b *Broker }

type settler struct {
	seq   int64
	to    core.Settler
	token uint64
}

// setQueue makes the machine what the stream's definition says.
func (l *log) setQueue(now core.Now) {
	switch {
	case l.stream.Queue == nil:
		l.queue = nil
	case l.queue != nil:
		l.queue.Set(*l.stream.Queue)
	default:
		l.queue = queue.New(*l.stream.Queue)
		for i := range l.entries {
			err := l.queue.Apply(&l.entries[i])
			core.Assert(err == nil, "a queue takes its entries: %v", err)
		}
		l.queue.Lead(now)
	}
}

// end tells whoever is attached that the stream is gone.
func (l *log) end(b *Broker) {
	if l.queue != nil {
		l.queue.End(core.NotExist)
		b.turn(l)
	}
}

// turn carries out what follows for a queue, until nothing does.
func (b *Broker) turn(l *log) {
	for more := true; more && l.queue != nil; {
		l.queue.Turn(b.now, &l.out)
		b.lend(l)
		for _, d := range l.out.Drained {
			if h := l.holders[d.Consumer.ID]; h != nil {
				b.call(func() { h.Drained(d.Consumer.ID, d.Ready) })
			}
		}
		for _, e := range l.out.Ended {
			if h := l.holders[e.Consumer.ID]; h != nil {
				delete(l.holders, e.Consumer.ID)
				err := failed("consume", l.stream.Name, e.Why, "")
				b.call(func() { h.Ended(e.Consumer.ID, err) })
			}
		}
		for _, f := range l.out.Forwards {
			b.forward(l, f)
		}
		gone := l.out.Idle || l.out.Unused && l.stream.Queue != nil && l.stream.Queue.AutoDelete
		if more = l.out.Propose != nil; more {
			l.take(core.EntryQueue, 0, l.out.Propose)
			b.settled(l)
		}
		if gone {
			b.drop(l)
		}
	}
}

// settled tells who settled what now holds.
func (b *Broker) settled(l *log) {
	through := l.queue.SettledThrough(core.SessionOf(b.self.Incarnation))
	for len(l.settlers) > 0 && l.settlers[0].seq <= through {
		s := l.settlers[0]
		l.settlers = l.settlers[1:]
		b.call(func() { s.to.Settled(s.token, nil) })
	}
}

func (b *Broker) lend(l *log) {
	byConsumer := map[core.ConsumerID][]core.Lend{}
	for _, n := range l.out.Lends {
		r, ok := l.record(n.Offset)
		if !ok {
			l.queue.Missing(n.Offset)
			continue
		}
		id := n.Consumer.ID
		byConsumer[id] = append(byConsumer[id], core.Lend{Consumer: id, Offset: n.Offset,
			Returned: n.Returned, Again: n.Again, Record: r})
	}
	for _, id := range slices.Sorted(maps.Keys(byConsumer)) {
		if h := l.holders[id]; h != nil {
			b.call(func() { h.Lent(byConsumer[id]) })
		}
	}
}

func (l *log) record(o core.Offset) (core.Record, bool) {
	es := l.from(o)
	if len(es) == 0 || o < l.start {
		return core.Record{}, false
	}
	r, err := record.One(es[0].Data, o)
	return r, err == nil
}

// forward hands what a queue gives up to who routes it: who named the longest prefix.
func (b *Broker) forward(l *log, f queue.Forwarding) {
	done := func(err error) {
		b.post(func() {
			if l.queue != nil {
				l.queue.Forwarded(f.Offset, err)
				b.turn(l)
			}
		})
	}
	var to []forwarder
	for _, x := range b.forwards {
		if strings.HasPrefix(l.stream.Name, x.prefix) {
			to = append(to, x)
		}
	}
	r, ok := l.record(f.Offset)
	if !ok || len(to) == 0 {
		b.call(func() { done(failed("forward", l.stream.Name, core.NotExist, "nobody routes it")) })
		return
	}
	best := slices.MaxFunc(to, func(a, b forwarder) int {
		return cmp.Compare(len(a.prefix), len(b.prefix))
	})
	msg := core.Forward{Stream: l.stream, Offset: f.Offset, Why: f.Why, Count: f.Count, Record: r}
	b.call(func() { best.route(msg, done) })
}

// drop removes a stream by a queue's own rule.
func (b *Broker) drop(l *log) {
	if b.byID[l.stream.ID] == l {
		_, err := b.put([]core.Change{{Stream: l.stream.Name, IfID: l.stream.ID}})
		core.Assert(err == nil, "what is there can be removed: %v", err)
	}
}

// machine gives the queue that an ask names.
func (b *Broker) machine(op string, id core.StreamID) (*log, error) {
	l, err := b.present(op, id, 0, false)
	if err == nil && l.queue == nil {
		err = failed(op, l.stream.Name, core.Invalid, "it is no queue")
	}
	return l, err
}

func (b *Broker) consumer(id core.ConsumerID) core.Consumer {
	return core.Consumer{Incarnation: b.self.Incarnation, ID: id}
}

func (q queues) Attach(a core.Attach, h core.Holder, done func(error)) {
	b := q.b
	b.post(func() {
		l, err := b.machine("attach", a.Stream)
		if err == nil {
			if k := l.queue.Attach(b.consumer(a.Consumer), b.self.Node, &a, nil); k != core.OK {
				err = failed("attach", l.stream.Name, k, "")
			}
		}
		b.call(func() { done(err) })
		if err == nil {
			l.holders[a.Consumer] = h
			b.turn(l)
		}
	})
}

func (q queues) Credit(c core.Credit) {
	b := q.b
	b.post(func() {
		if l, err := b.machine("credit", c.Stream); err == nil {
			l.queue.Credit(b.consumer(c.Consumer), &c)
			b.turn(l)
		}
	})
}

func (q queues) Settle(ss []core.Settle) {
	b := q.b
	b.post(func() {
		for _, s := range ss {
			l, err := b.machine("settle", s.Stream)
			if err != nil {
				if s.To != nil {
					b.call(func() { s.To.Settled(s.Token, err) })
				}
				continue
			}
			l.seq++
			if s.To != nil {
				l.settlers = append(l.settlers, settler{l.seq, s.To, s.Token})
			}
			taken := l.queue.Settle(core.SessionOf(b.self.Incarnation), l.seq,
				b.self.Incarnation, []core.Settle{s})
			core.Assert(taken, "a settlement in order is taken")
		}
		for _, s := range ss {
			if l := b.byID[s.Stream]; l != nil {
				b.turn(l)
			}
		}
	})
}

func (q queues) Detach(s core.StreamID, c core.ConsumerID, done func(error)) {
	b := q.b
	b.post(func() {
		l, err := b.machine("detach", s)
		if err == nil {
			l.queue.Detach(b.consumer(c))
			delete(l.holders, c)
			b.turn(l)
		}
		b.call(func() { done(err) })
	})
}

func (q queues) Inspect(s core.StreamID, done func(core.QueueInfo, error)) {
	b := q.b
	b.post(func() {
		l, err := b.machine("inspect", s)
		var info core.QueueInfo
		if err == nil {
			info = l.queue.Inspect()
		}
		b.call(func() { done(info, err) })
	})
}

func (q queues) Purge(s core.StreamID, done func(int64, error)) {
	b := q.b
	b.post(func() {
		l, err := b.machine("purge", s)
		n := int64(0)
		if err == nil {
			n = l.queue.Purge()
			b.turn(l)
		}
		b.call(func() { done(n, err) })
	})
}
