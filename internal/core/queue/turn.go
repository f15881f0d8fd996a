package queue

import (
	"slices"

	"trine/internal/core"
)

// lostRetry is how long a proposal that was not appended waits.
const lostRetry = 20 * core.Millisecond

// Turn gives what follows from all that happened since the last one. It lends only
// what is applied and lies under a ceiling that is in the log.
func (q *Queue) Turn(now core.Now, out *Effects) {
	out.reset()
	l := q.lead
	if l == nil {
		return
	}
	l.redo(now)
	l.blocked = false
	l.ripen(q, now)
	if !l.hold { // what may be in hands is not given up
		l.expire(q, now)
	}
	l.lendAll(q, now, out)
	if !l.hold && !l.blocked { // what waits only for the ceiling can be lent
		l.expireUnlent(q)
		l.limit(q)
	}
	l.forward(q, now, out)
	l.drained(q, out)
	l.raise(q)
	out.Ended = append(out.Ended, l.ended...)
	l.ended = l.ended[:0]
	out.Used, out.Unused = l.used, l.unused
	if l.used || l.unused || l.counting > 0 {
		l.usedAt = now.Mono
	}
	l.used, l.unused = false, false
	idleAt := l.idleAt(q)
	out.Idle = idleAt != 0 && idleAt <= now.Mono
	more := false
	if !l.next.empty() && len(l.lost) == 0 {
		out.Propose, more = l.propose()
	}
	out.WakeAt = l.wake(q, now)
	if idleAt > now.Mono && (out.WakeAt == 0 || idleAt < out.WakeAt) {
		out.WakeAt = idleAt
	}
	if more {
		out.WakeAt = now.Mono
	}
	if len(l.lost) > 0 && (out.WakeAt == 0 || out.WakeAt > l.redoAt) {
		out.WakeAt = l.redoAt
	}
}

// idleAt gives when the queue has been unused for long enough to go; 0: not at all.
func (l *leader) idleAt(q *Queue) core.Time {
	if q.set.IdleMs <= 0 || l.counting > 0 {
		return 0
	}
	return l.usedAt + core.Time(q.set.IdleMs)*core.Millisecond
}

// redo puts lost proposals, when their time has come, before what was decided since.
func (l *leader) redo(now core.Now) {
	if len(l.lost) == 0 {
		return
	}
	if l.redoAt == 0 {
		l.redoAt = now.Mono + lostRetry
	}
	if l.redoAt > now.Mono {
		return
	}
	l.redoAt = 0
	var f facts
	for _, b := range l.lost {
		err := f.parse(b)
		core.Assert(err == nil, "a queue reads what it wrote: %v", err)
	}
	l.lost = l.lost[:0]
	n := &l.next
	f.extended = append(f.extended, n.extended...)
	f.ceiling = max(f.ceiling, n.ceiling)
	f.returned = append(f.returned, n.returned...)
	f.delayed = append(f.delayed, n.delayed...)
	f.given = append(f.given, n.given...)
	for i := range f.settled {
		f.settled[i] = append(f.settled[i], n.settled[i]...)
	}
	for _, c := range n.sessions {
		f.contribute(c.session, c.seq)
	}
	f.over = append(f.over, n.over...)
	*n = f
}

// propose gives the bytes of what was decided, or of as much as fits an entry; more
// says that something is left.
func (l *leader) propose() (b []byte, more bool) {
	part := &l.next
	if l.next.count() > rangesMax {
		part, more = l.next.cut(rangesMax), true
	}
	l.scratch = part.encode(l.scratch[:0])
	part.reset()
	b = slices.Clone(l.scratch)
	l.flight.push(b)
	return b, more
}

// lendAll lends, in the order of lanes and offsets, while somebody has credit.
func (l *leader) lendAll(q *Queue, now core.Now, out *Effects) {
	s := &q.state
	for l.ready > 0 {
		c := l.pick(q)
		if c == nil {
			return
		}
		ln, o, back := l.head()
		if o >= s.ceiling || l.hold && o < l.under {
			l.blocked = true
			return
		}
		h := l.take(s, ln, o, back)
		if back && q.overdue(o, now) {
			l.giveUp(q, core.ForwardExpired, o, o)
			continue
		}
		out.Lends = append(out.Lends, Lending{Consumer: c.id, Node: c.node, Offset: o,
			Returned: l.returns(s, o), Again: o < l.under || l.again.has(o)})
		c.bytes -= int64(h.size)
		if c.credit != noLimit {
			c.credit--
		}
		if c.Settled {
			l.next.settle(Accepted, o, o)
		} else {
			c.held.add(h)
			l.lent++
		}
		l.rotate(q, c)
	}
}

// head gives the message that is lent next: its lane, itself, and whether it stands
// at the lane's back.
func (l *leader) head() (lane int, o core.Offset, back bool) {
	for {
		ln := &l.lanes[l.top]
		switch {
		case ln.back.len() > 0 && (ln.empty() || ln.back.front().before <= ln.first()):
			return l.top, ln.back.front().offset, true
		case !ln.empty():
			return l.top, ln.first(), false
		}
		core.Assert(l.top > 0, "%d messages are ready, and no lane has one", l.ready)
		l.top--
	}
}

// take takes the head out.
func (l *leader) take(s *state, lane int, o core.Offset, back bool) loan {
	ln := &l.lanes[lane]
	l.ready--
	size := int64(0)
	if back {
		size = ln.back.pop().size
	} else {
		size = s.spans.bytes(o, o)
		ln.remove(o, o)
	}
	l.bytes -= size
	return loan{o, int32(min(size, 1<<31-1)), uint8(lane), false}
}

// raise asks for a higher ceiling in good time, where there is somebody to lend to.
func (l *leader) raise(q *Queue) {
	if len(l.consumers) == 0 {
		return
	}
	base := q.state.next
	if l.ready > 0 {
		_, base, _ = l.head()
	}
	if l.ceiling < base+lendAhead/2 {
		l.ceiling = base + lendAhead
		l.next.ceiling = l.ceiling
	}
}

// drained takes credit back from those who asked for it.
func (l *leader) drained(q *Queue, out *Effects) {
	waiting := l.drains[:0]
	for _, c := range l.drains {
		if l.blocked && l.ready > 0 && l.served(q, c) {
			waiting = append(waiting, c)
			continue
		}
		c.drain = false
		c.credit = min(c.credit, 0)
		out.Drained = append(out.Drained, Drained{c.id, c.node, l.ready})
	}
	clear(l.drains[len(waiting):])
	l.drains = waiting
}

// wake gives when something becomes of a message by time alone.
func (l *leader) wake(q *Queue, now core.Now) core.Time {
	at := core.Stamp(0)
	sooner := func(s core.Stamp) {
		if at == 0 || s < at {
			at = s
		}
	}
	if s, ok := l.delays.first(); ok {
		sooner(s)
	}
	if s, ok := l.expiries.first(); ok && !l.hold {
		sooner(s)
	}
	if s, ok := l.nextTTL(q); ok && !l.hold {
		sooner(s)
	}
	wake := core.Time(0)
	if at != 0 && now.Wall >= 0 {
		wake = now.Mono + core.Time(max(at-now.Wall, 1))*core.Millisecond
	}
	for _, o := range l.retries {
		if a := l.routing[o]; a.at != 0 && (wake == 0 || a.at < wake) {
			wake = a.at
		}
	}
	return wake
}

// Inspect says how the queue is.
func (q *Queue) Inspect() core.QueueInfo {
	l := q.lead
	if l == nil {
		n := q.state.live.n
		for i := range q.state.given {
			n -= q.state.given[i].n
		}
		return core.QueueInfo{Ready: n, Bytes: q.state.bytes}
	}
	info := core.QueueInfo{Ready: l.ready, Lent: l.lent, Bytes: l.bytes}
	for _, c := range l.consumers {
		if !c.counted {
			continue
		}
		credit := int32(-1)
		if c.credit != noLimit {
			credit = int32(max(c.credit, 0))
		}
		info.Consumers = append(info.Consumers, core.ConsumerInfo{
			Consumer: c.id, Node: c.node, Tag: c.Tag, Credit: credit, Settled: c.Settled,
			Active: !q.set.SingleActive || c == l.active,
			Lent:   int64(c.held.len()), Priority: c.Priority})
	}
	return info
}
