package queue

import "trine/internal/core"

// Settle takes what a session settles; i is the run of the node that it comes from.
// It says false where this seq was taken before, or one before it was not: sessions
// number from 1 and send again in order what they do not know to hold. What a
// consumer does not hold is passed over.
func (q *Queue) Settle(
	session core.Session, seq int64, i core.Incarnation, ss []core.Settle,
) bool {
	l := q.lead
	if l == nil || seq != l.taken[session]+1 {
		return false
	}
	l.taken[session] = seq
	l.next.contribute(session, seq)
	for n := range ss {
		c := l.byName[core.Consumer{Incarnation: i, ID: ss[n].Consumer}]
		if c == nil {
			continue
		}
		before := c.held.len()
		for _, v := range ss[n].Verdicts {
			l.verdict(q, c, v)
		}
		if c.Renew && c.credit != noLimit {
			c.credit += int64(before - c.held.len())
		}
		l.enqueue(q, c)
		if l.active == c && l.yields() {
			l.elect(q)
		}
	}
	return true
}

// verdict settles what a consumer holds between two offsets.
func (l *leader) verdict(q *Queue, c *consumer, v core.Verdict) {
	i, j := c.held.find(v.From, v.To)
	for _, h := range c.held.items()[i:j] {
		switch {
		case h.gap:
		case v.Outcome == core.Accept:
			l.lent--
			l.next.settle(Accepted, h.offset, h.offset)
		case v.Outcome == core.Reject:
			l.lent--
			l.giveUp(q, core.ForwardRejected, h.offset, h.offset)
		case v.Outcome == core.Release:
			l.release(q, h)
		default:
			l.giveBack(q, h, q.set.ReturnToBack)
		}
	}
	c.held.cut(i, j)
}

// giveBack makes a message that was lent ready again, counted, unless it was
// returned too often.
func (l *leader) giveBack(q *Queue, h loan, back bool) {
	s := &q.state
	l.lent--
	count := l.returns(s, h.offset) + 1
	put(&l.counts, h.offset, count)
	l.next.giveBack(h.offset, h.offset, count)
	if q.set.DeliveryLimit >= 0 && count > q.set.DeliveryLimit {
		l.giveUp(q, core.ForwardDeliveryLimit, h.offset, h.offset)
		return
	}
	l.again.add(h.offset, h.offset)
	if !back {
		l.restore(q, h)
		return
	}
	l.dueAgain(q, h.offset)
	p := min(h.priority, q.set.Priorities)
	l.lanes[p].back.push(behind{h.offset, s.next, int64(h.size)})
	l.top = max(l.top, int(p))
	l.ready++
	l.bytes += int64(h.size)
}

// giveUp ends messages that are in no place any longer: they are forwarded where
// the queue forwards, else gone.
func (l *leader) giveUp(q *Queue, why core.ForwardReason, from, to core.Offset) {
	if len(q.set.ForwardTo) > 0 {
		l.next.give(why, from, to)
		return
	}
	l.next.settle(fateOf[why], from, to)
}

var fateOf = [reasons]Fate{
	core.ForwardRejected:      Rejected,
	core.ForwardExpired:       Expired,
	core.ForwardOverLength:    OverLength,
	core.ForwardDeliveryLimit: DeliveryLimit,
}
