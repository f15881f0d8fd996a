package queue

import (
	"math"
	"slices"

	"trine/internal/core"
)

// bytesCredit is what who names none may be lent before its Credit: 1 MiB.
const bytesCredit = 1 << 20

// consumer is one attachment.
type consumer struct {
	core.Attach
	id      core.Consumer
	node    core.NodeID
	credit  int64 // messages; noLimit: any number
	bytes   int64
	held    held
	queued  bool // it stands in its group
	drain   bool
	stopped bool
	counted bool // the rules for consumers see it
}

const noLimit = math.MaxInt64

// hungry says whether it may be lent a message.
func (c *consumer) hungry() bool { return c.credit > 0 && c.bytes > 0 && !c.stopped }

// group is the consumers of one priority that may be lent something, in turns.
type group struct {
	priority int32
	ring     deque[*consumer]
}

// Attach lets a consumer be lent messages. Locked where somebody has the queue
// exclusively or, for who asks that, is there already. Credit counts beside what the
// consumer holds; with Renew it is a window, of which what it holds is a part.
//
// A node attaches its consumers again to a new leader, and after a broken link to
// the same one. held is then what the consumer has in hands, and what it accepted or
// rejected and its node does not know to hold; so also for one that is detached, or
// has stopped, and has such settlements (Aside, without credit, to be detached
// again). Then the node sends those settlements again, without what they returned
// or released: that is not in held either, for others may have it since. What the
// leader had lent to the consumer, and is not in held, goes back uncounted.
func (q *Queue) Attach(
	id core.Consumer, node core.NodeID, a *core.Attach, held []core.OffsetRange,
) core.Kind {
	l := q.lead
	if l == nil {
		return core.NotLeader
	}
	c := l.byName[id]
	if l.locked(c, a, held) {
		return core.Locked
	}
	if c == nil {
		c = &consumer{id: id}
		l.byName[id] = c
		l.consumers = append(l.consumers, c)
	} else {
		l.reconcile(q, c, held)
	}
	l.unqueue(c)
	l.drains = slices.DeleteFunc(l.drains, func(x *consumer) bool { return x == c })
	if c.counted {
		l.discount(c)
	}
	c.Attach, c.node = *a, node
	c.stopped, c.drain = false, false
	for _, r := range held {
		l.keep(q, c, r)
	}
	c.credit = noLimit
	if a.Messages >= 0 {
		c.credit = int64(a.Messages)
		if a.Renew {
			c.credit -= int64(c.held.len())
		}
	}
	if c.bytes = a.Bytes; c.bytes <= 0 {
		c.bytes = bytesCredit
	}
	if !a.Aside {
		l.count(c)
	}
	l.elect(q)
	l.enqueue(q, c)
	return core.OK
}

// locked says whether an attachment is refused because of others. Who stands aside
// and holds something comes back to settle that.
func (l *leader) locked(c *consumer, a *core.Attach, held []core.OffsetRange) bool {
	if a.Aside && len(held) > 0 {
		return false
	}
	others := l.counting
	if c != nil && c.counted {
		others--
	}
	return l.exclusive != nil && l.exclusive != c || a.Exclusive && !a.Aside && others > 0
}

// count makes c a consumer in the eyes of the rules, discount one no longer.
func (l *leader) count(c *consumer) {
	c.counted = true
	l.counting++
	l.used, l.unused = true, false
	if c.Exclusive {
		l.exclusive = c
	}
}

func (l *leader) discount(c *consumer) {
	c.counted = false
	l.counting--
	if l.exclusive == c {
		l.exclusive = nil
	}
}

// keep leaves in a consumer's hands what an earlier leader, or an earlier link,
// lent it.
func (l *leader) keep(q *Queue, c *consumer, r core.OffsetRange) {
	s := &q.state
	for _, part := range s.live.list(r.From, r.To) {
		for o := part.From; o <= part.To; o++ {
			if o >= l.under && !l.again.has(o) || !l.pull(s, o) {
				continue
			}
			l.again.add(o, o)
			size := s.spans.bytes(o, o)
			c.held.add(loan{o, int32(min(size, math.MaxInt32)), min(s.priority(o), q.set.Priorities), false})
			l.lent++
		}
	}
}

// reconcile takes back what a consumer was lent and never got.
func (l *leader) reconcile(q *Queue, c *consumer, claims []core.OffsetRange) {
	var has ranges
	for _, r := range claims {
		has.add(r.From, r.To)
	}
	c.held.compact()
	kept := held{}
	for _, h := range c.held.items() {
		if has.has(h.offset) {
			kept.add(h)
		} else {
			l.release(q, h)
		}
	}
	c.held = kept
}

// release puts a message that was lent back into its old place, uncounted.
func (l *leader) release(q *Queue, h loan) {
	l.lent--
	l.again.add(h.offset, h.offset)
	l.restore(q, h)
}

// restore makes a message ready again in its old place.
func (l *leader) restore(q *Queue, h loan) {
	l.dueAgain(q, h.offset)
	l.enter(h.offset, h.offset, min(h.priority, q.set.Priorities), int64(h.size))
}

// dueAgain sees to it that a message expires whose time ended where it could not.
func (l *leader) dueAgain(q *Queue, o core.Offset) {
	if !l.overdue.empty() && l.overdue.remove(o, o) > 0 {
		l.expiries.push(timed{q.state.expires[o], o})
	}
}

// enqueue puts a consumer in its group's line, where it may be lent something.
func (l *leader) enqueue(q *Queue, c *consumer) {
	if c.queued || !l.served(q, c) {
		return
	}
	i, ok := slices.BinarySearchFunc(l.groups, c.Priority, func(g *group, p int32) int {
		switch {
		case g.priority > p:
			return -1
		case g.priority < p:
			return 1
		}
		return 0
	})
	if !ok {
		l.groups = slices.Insert(l.groups, i, &group{priority: c.Priority})
	}
	l.groups[i].ring.push(c)
	c.queued = true
}

// served says whether a consumer may be lent a message now.
func (l *leader) served(q *Queue, c *consumer) bool {
	return c.hungry() && (!q.set.SingleActive || c.Aside || c == l.active && !l.yields())
}

// unqueue takes a consumer out of the lines.
func (l *leader) unqueue(c *consumer) {
	if !c.queued {
		return
	}
	for _, g := range l.groups {
		g.ring.list = slices.DeleteFunc(g.ring.list, func(x *consumer) bool { return x == c })
		g.ring.head = min(g.ring.head, len(g.ring.list))
	}
	c.queued = false
}

// pick gives the consumer whose turn it is; nil where nobody can be lent anything.
func (l *leader) pick(q *Queue) *consumer {
	for _, g := range l.groups {
		for g.ring.len() > 0 {
			c := *g.ring.front()
			if l.served(q, c) {
				return c
			}
			g.ring.pop()
			c.queued = false
		}
	}
	return nil
}

// rotate lets the next of a group have its turn.
func (l *leader) rotate(q *Queue, c *consumer) {
	for _, g := range l.groups {
		if g.priority == c.Priority {
			g.ring.pop()
			c.queued = false
			l.enqueue(q, c)
			return
		}
	}
}

// best gives who should be the active one: of the highest priority, the first that came.
func (l *leader) best() *consumer {
	var best *consumer
	for _, c := range l.consumers {
		if c.counted && (best == nil || c.Priority > best.Priority) {
			best = c
		}
	}
	return best
}

// yields says whether the active consumer gets nothing more because one of a higher
// priority waits for it to settle what it holds.
func (l *leader) yields() bool {
	return l.active != nil && l.first != l.active && l.first != nil &&
		l.first.Priority > l.active.Priority
}

// elect makes the right consumer the active one, where the queue has one.
func (l *leader) elect(q *Queue) {
	if !q.set.SingleActive {
		l.active, l.first = nil, nil
		return
	}
	l.first = l.best()
	stays := l.active != nil && l.active.counted
	if l.hold || stays && (!l.yields() || l.active.held.len() > 0) {
		return
	}
	if l.active = l.oldest(); l.active == nil {
		l.active = l.first
	}
	if l.active != nil {
		l.enqueue(q, l.active)
	}
}

// oldest gives the consumer that holds the oldest message: under an earlier leader
// it was the active one.
func (l *leader) oldest() *consumer {
	var oldest *consumer
	for _, c := range l.consumers {
		if c.counted && c.held.len() > 0 &&
			(oldest == nil || c.held.items()[0].offset < oldest.held.items()[0].offset) {
			oldest = c
		}
	}
	return oldest
}

// Credit gives a consumer more, or less, to be lent. That of nobody is passed over.
func (q *Queue) Credit(id core.Consumer, cr *core.Credit) {
	l := q.lead
	if l == nil || l.byName[id] == nil {
		return
	}
	c := l.byName[id]
	if c.credit != noLimit {
		c.credit = min(c.credit+int64(cr.Messages), math.MaxInt32)
	}
	c.bytes = min(c.bytes+cr.Bytes, noLimit>>1)
	if c.Aside {
		l.used = true
	}
	if cr.Drain && !c.drain {
		c.drain = true
		l.drains = append(l.drains, c)
	}
	if cr.Stop {
		c.stopped = true
		l.left(q, c)
	}
	l.enqueue(q, c)
}

// left follows from a consumer's being one no longer.
func (l *leader) left(q *Queue, c *consumer) {
	if !c.counted {
		return
	}
	l.discount(c)
	l.unused = l.counting == 0
	l.elect(q)
}

// Detach ends an attachment by its client's doing: what it held goes back to its
// old place, and counts as returned.
func (q *Queue) Detach(id core.Consumer) {
	if l := q.lead; l != nil && l.byName[id] != nil {
		l.detach(q, l.byName[id], true)
	}
}

// DetachNode ends the attachments of a run of a node that cannot be reached. What
// they held goes back uncounted: their clients did nothing.
func (q *Queue) DetachNode(i core.Incarnation) {
	if q.lead == nil {
		return
	}
	for _, c := range slices.Clone(q.lead.consumers) {
		if c.id.Incarnation == i {
			q.lead.detach(q, c, false)
		}
	}
}

// Over ends what a run of a node had here for good: it is dead, and its session
// sends nothing more.
func (q *Queue) Over(i core.Incarnation) {
	l := q.lead
	if l == nil {
		return
	}
	q.DetachNode(i)
	s := core.SessionOf(i)
	if _, ok := l.taken[s]; ok {
		delete(l.taken, s)
		l.next.over = append(l.next.over, s)
	}
}

// End ends all attachments because the queue is gone, or lives elsewhere: their
// holders are told why.
func (q *Queue) End(why core.Kind) {
	if q.lead == nil {
		return
	}
	for _, c := range slices.Clone(q.lead.consumers) {
		q.lead.ended = append(q.lead.ended, Ended{c.id, c.node, why})
		q.lead.detach(q, c, false)
	}
}

func (l *leader) detach(q *Queue, c *consumer, counted bool) {
	for _, h := range c.held.items() {
		switch {
		case h.gap:
		case counted:
			l.giveBack(q, h, false)
		default:
			l.release(q, h)
		}
	}
	l.unqueue(c)
	delete(l.byName, c.id)
	l.consumers = slices.DeleteFunc(l.consumers, func(x *consumer) bool { return x == c })
	l.drains = slices.DeleteFunc(l.drains, func(x *consumer) bool { return x == c })
	l.left(q, c)
}
