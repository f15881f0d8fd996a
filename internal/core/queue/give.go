package queue

import (
	"math"

	"trine/internal/core"
)

// Bounds of forwarding.
const (
	routingMax = 256 // handed out and not answered
	retryMin   = 100 * core.Millisecond
	retryMax   = 10 * core.Second
)

// attempt is a message that is being forwarded.
type attempt struct {
	why     core.ForwardReason
	refused int       // how often
	at      core.Time // when to try again; 0: handed out, or to be timed
}

// ripen makes ready what was not to be lent before now.
func (l *leader) ripen(q *Queue, now core.Now) {
	s := &q.state
	for now.Wall >= 0 {
		at, ok := l.delays.first()
		if !ok || at > now.Wall {
			return
		}
		o := l.delays.pop().offset
		if s.notBefore[o] != at || !s.live.has(o) {
			continue
		}
		l.restore(q, loan{o, int32(min(s.spans.bytes(o, o), math.MaxInt32)), s.priority(o), false})
	}
}

// expire gives up ready messages whose time is over: by their own stamp wherever
// they stand, by the queue's from the oldest on.
func (l *leader) expire(q *Queue, now core.Now) {
	s := &q.state
	for now.Wall >= 0 {
		at, ok := l.expiries.first()
		if !ok || at > now.Wall {
			break
		}
		o := l.expiries.pop().offset
		switch {
		case s.expires[o] != at:
		case l.pull(s, o):
			l.giveUp(q, core.ForwardExpired, o, o)
		default:
			l.overdue.add(o, o)
		}
	}
	if q.set.TTLMs <= 0 || now.Wall < 0 {
		return
	}
	for i := range l.lanes {
		ln := &l.lanes[i]
		for !ln.empty() {
			from := ln.first()
			n, ok := s.spans.find(from)
			if !ok || n.stamp <= 0 || n.stamp+core.Stamp(q.set.TTLMs) > now.Wall {
				break
			}
			l.discard(q, i, from, n.to, core.ForwardExpired)
		}
	}
}

// overdue says whether a message's time by the queue's rule is over.
func (q *Queue) overdue(o core.Offset, now core.Now) bool {
	n, ok := q.state.spans.find(o)
	return ok && q.set.TTLMs > 0 && now.Wall >= 0 && n.stamp > 0 &&
		n.stamp+core.Stamp(q.set.TTLMs) <= now.Wall
}

// nextTTL gives when the oldest ready message expires by the queue's rule.
func (l *leader) nextTTL(q *Queue) (core.Stamp, bool) {
	if q.set.TTLMs <= 0 || l.ready == 0 {
		return 0, false
	}
	at, found := core.Stamp(0), false
	for i := range l.lanes {
		if l.lanes[i].empty() {
			continue
		}
		n, ok := q.state.spans.find(l.lanes[i].first())
		if ok && n.stamp > 0 && (!found || n.stamp+core.Stamp(q.set.TTLMs) < at) {
			at, found = n.stamp+core.Stamp(q.set.TTLMs), true
		}
	}
	return at, found
}

// expireUnlent gives up what could not be lent at once, where the queue says so.
func (l *leader) expireUnlent(q *Queue) {
	for q.set.TTLMs == 0 && l.ready > 0 {
		l.discardHead(q, core.ForwardExpired, noLimit)
	}
}

// limit gives up the oldest ready messages above the queue's limits, where it does
// not refuse the newest.
func (l *leader) limit(q *Queue) {
	if !q.set.DropHead {
		return
	}
	for q.set.LengthMax > 0 && l.ready > q.set.LengthMax {
		l.discardHead(q, core.ForwardOverLength, l.ready-q.set.LengthMax)
	}
	for q.set.BytesMax > 0 && l.ready > 0 && l.bytes > q.set.BytesMax {
		l.discardHead(q, core.ForwardOverLength, 1)
	}
}

// Full says whether messages of so many bytes are to be refused: the queue has limits,
// refuses the newest, and they do not fit. Who asks adds those that are on their way
// through the log.
func (q *Queue) Full(messages, bytes int64) bool {
	s, l := &q.set, q.lead
	if s.DropHead || l == nil {
		return false
	}
	return s.LengthMax > 0 && l.ready+messages > s.LengthMax ||
		s.BytesMax > 0 && l.bytes+bytes > s.BytesMax
}

// discardHead gives up what would be lent next, and up to most-1 that follow.
func (l *leader) discardHead(q *Queue, why core.ForwardReason, most int64) {
	lane, o, back := l.head()
	if back {
		l.take(&q.state, lane, o, true)
		l.giveUp(q, why, o, o)
		return
	}
	c, i, _ := l.lanes[lane].at(o)
	to := l.lanes[lane].chunks[c][i].To
	if b := &l.lanes[lane].back; b.len() > 0 {
		to = min(to, b.front().before-1)
	}
	l.discard(q, lane, o, min(to, o+core.Offset(min(most, 1<<40)-1)), why)
}

// discard gives up what a lane has between two offsets.
func (l *leader) discard(q *Queue, lane int, from, to core.Offset, why core.ForwardReason) {
	for _, r := range l.lanes[lane].list(from, to) {
		l.leave(&q.state, lane, r.From, r.To)
		l.giveUp(q, why, r.From, r.To)
	}
}

// Purge drops the ready messages, with the next proposal, and counts them: during a
// Hold only those that cannot be in anybody's hands.
func (q *Queue) Purge() int64 {
	l := q.lead
	if l == nil {
		return 0
	}
	n, from := l.ready, core.Offset(0)
	if l.hold {
		from = l.under
	}
	for i := range l.lanes {
		for _, r := range l.lanes[i].list(from, offsetMax) {
			l.leave(&q.state, i, r.From, r.To)
			l.next.settle(Purged, r.From, r.To)
		}
		for l.lanes[i].back.len() > 0 {
			o := l.lanes[i].back.front().offset
			l.take(&q.state, i, o, true)
			l.next.settle(Purged, o, o)
		}
	}
	return n - l.ready
}

// Missing ends a message whose bytes are no longer there: retention took them, or
// damage. It leaves the hands that it was lent into.
func (q *Queue) Missing(o core.Offset) {
	l := q.lead
	if l == nil || !q.state.live.has(o) {
		return
	}
	l.forget(q, o, o)
	delete(l.routing, o)
	l.next.settle(Missing, o, o)
}

// forward hands out what was given up, a bounded number at a time, in order.
func (l *leader) forward(q *Queue, now core.Now, out *Effects) {
	waiting := l.retries[:0]
	for _, o := range l.retries {
		a, ok := l.routing[o]
		switch {
		case !ok:
			continue
		case a.at == 0:
			a.at = now.Mono + min(retryMin<<min(a.refused-1, 10), retryMax)
		case a.at <= now.Mono:
			a.at = 0
			l.routing[o] = a
			out.Forwards = append(out.Forwards, Forwarding{o, a.why, l.returns(&q.state, o)})
			continue
		}
		l.routing[o] = a
		waiting = append(waiting, o)
	}
	l.retries = waiting
	for l.forwards.len() > 0 && len(l.routing) < routingMax {
		f := l.forwards.front()
		if f.From > f.To {
			l.forwards.pop()
			continue
		}
		o := f.From
		f.From++
		if !q.state.live.has(o) {
			continue
		}
		l.routing[o] = attempt{why: f.why}
		out.Forwards = append(out.Forwards, Forwarding{o, f.why, l.returns(&q.state, o)})
	}
}

// Forwarded says what became of a Forwarding: routed, or refused. A refused one is
// tried again where the queue forwards at least once, and dropped elsewhere.
func (q *Queue) Forwarded(o core.Offset, err error) {
	l := q.lead
	if l == nil {
		return
	}
	a, ok := l.routing[o]
	switch {
	case !ok || a.at != 0:
	case err == nil:
		delete(l.routing, o)
		l.next.settle(Forwarded, o, o)
	case q.set.ForwardRetry:
		a.refused++
		l.routing[o] = a
		l.retries = append(l.retries, o)
	default:
		delete(l.routing, o)
		l.next.settle(Unforwarded, o, o)
	}
}
