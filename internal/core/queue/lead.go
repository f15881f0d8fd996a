package queue

import (
	"bytes"
	"cmp"
	"slices"

	"trine/internal/core"
)

// lendAhead is how far above what was lent the ceiling is raised: 4,096 messages.
// It is raised again when half of that is lent.
const lendAhead = 4096

// leader is what the leader decided and its copies do not know. Every live message
// is in exactly one of these places: a lane, the delays, a consumer's hands, given
// up, or decided upon and on its way through the log.
type leader struct {
	hold     bool
	taken    map[core.Session]int64 // settlements, whether they hold or not
	under    core.Offset            // below it anything may have been lent by an earlier leader
	ceiling  core.Offset            // asked for
	lanes    []lane                 // by priority
	top      int                    // no lane above it has anything
	ready    int64
	bytes    int64 // of ready messages
	again    ranges
	counts   map[core.Offset]int32 // returns that are not yet applied
	expiries due
	delays   due
	overdue  ranges // expired where they were not ready

	consumers []*consumer // as they came
	byName    map[core.Consumer]*consumer
	groups    []*group
	counting  int       // of them, those that the rules for consumers see
	exclusive *consumer // who has the queue alone
	active    *consumer // of a queue with one active consumer
	first     *consumer // who should be it
	lent      int64

	forwards deque[forward] // given up, not yet handed out
	routing  map[core.Offset]attempt
	retries  []core.Offset // refused, to be tried again

	next    facts         // decided since the last proposal
	flight  deque[[]byte] // proposed and not yet applied
	lost    [][]byte      // proposed and not appended
	redoAt  core.Time     // when to propose them again; 0: to be timed
	scratch []byte

	drains  []*consumer
	ended   []Ended
	usedAt  core.Time
	used    bool
	unused  bool
	blocked bool // somebody waits for the ceiling, or for those who were asked
}

// lane is the ready messages of one priority.
type lane struct {
	ranges
	back deque[behind]
}

// behind is a returned message that stands behind those that were ready then.
type behind struct {
	offset, before core.Offset // before: what has this offset or a higher one comes later
	size           int64
}

type forward struct {
	core.OffsetRange
	why core.ForwardReason
}

// Lead makes this copy decide. All entries of earlier leaders must have been
// applied: what one of them settled would be lent again otherwise. Every message
// under the ceiling may be in a consumer's hands: it counts as lent before.
func (q *Queue) Lead(now core.Now) {
	s := &q.state
	l := &leader{
		under: min(s.ceiling, s.next), ceiling: s.ceiling, usedAt: now.Mono,
		taken:  make(map[core.Session]int64),
		byName: make(map[core.Consumer]*consumer), routing: make(map[core.Offset]attempt),
	}
	for k, v := range s.sessions {
		l.taken[k] = v
	}
	q.lead = l
	open := s.live.clone()
	for i := 1; i < int(reasons); i++ {
		for _, r := range s.given[i].all() {
			open.remove(r.From, r.To)
			l.forwards.push(forward{r, core.ForwardReason(i)})
		}
	}
	slices.SortFunc(l.forwards.list, func(a, b forward) int { return cmp.Compare(a.From, b.From) })
	for o, at := range s.notBefore {
		if at > now.Wall && open.remove(o, o) == 1 {
			l.delays.list = append(l.delays.list, timed{at, o})
		}
	}
	for o, at := range s.expires {
		l.expiries.list = append(l.expiries.list, timed{at, o})
	}
	l.delays.sort()
	l.expiries.sort()
	l.lanes = make([]lane, int(q.set.Priorities)+1)
	for _, r := range s.raised {
		for _, part := range r.live.all() {
			for _, p := range open.list(part.From, part.To) {
				open.remove(p.From, p.To)
				l.enter(p.From, p.To, min(r.priority, q.set.Priorities), s.spans.bytes(p.From, p.To))
			}
		}
	}
	for _, p := range open.all() {
		l.enter(p.From, p.To, 0, s.spans.bytes(p.From, p.To))
	}
}

// Follow makes this copy decide no longer. What was decided and is not in the log
// is forgotten: sessions send it again, to the next leader.
func (q *Queue) Follow() { q.lead = nil }

// Leads says whether this copy decides.
func (q *Queue) Leads() bool { return q.lead != nil }

// Hold keeps what may be in consumers' hands from being lent, and whatever is
// behind it: while on, a new leader waits for the nodes to say what theirs hold.
func (q *Queue) Hold(on bool) {
	if l := q.lead; l != nil {
		l.hold = on
		l.elect(q)
	}
}

// Set changes the rules.
func (q *Queue) Set(s core.QueueSettings) {
	old := q.set
	q.set = s
	l := q.lead
	if l == nil {
		return
	}
	if old.Priorities != s.Priorities {
		l.relane(&q.state, s.Priorities)
	}
	l.elect(q)
	for _, c := range l.consumers {
		l.enqueue(q, c)
	}
}

// relane sorts ready messages into other lanes. What stood at the back goes to its
// old place.
func (l *leader) relane(s *state, priorities uint8) {
	var open ranges
	for i := range l.lanes {
		for _, r := range l.lanes[i].all() {
			open.add(r.From, r.To)
		}
		for b := &l.lanes[i].back; b.len() > 0; {
			o := b.pop().offset
			open.add(o, o)
		}
	}
	l.lanes, l.top, l.ready, l.bytes = make([]lane, int(priorities)+1), 0, 0, 0
	for _, r := range s.raised {
		for _, part := range r.live.all() {
			for _, p := range open.list(part.From, part.To) {
				open.remove(p.From, p.To)
				l.enter(p.From, p.To, min(r.priority, priorities), s.spans.bytes(p.From, p.To))
			}
		}
	}
	for _, p := range open.all() {
		l.enter(p.From, p.To, 0, s.spans.bytes(p.From, p.To))
	}
}

// arrive takes messages that were just applied.
func (l *leader) arrive(q *Queue, from, to core.Offset, priority uint8, bytes int64) {
	s := &q.state
	if len(s.expires) > 0 || len(s.notBefore) > 0 {
		for o := from; o <= to; o++ {
			if at := s.expires[o]; at != 0 {
				l.expiries.push(timed{at, o})
			}
			if at := s.notBefore[o]; at != 0 {
				l.delays.push(timed{at, o})
				continue
			}
			l.enter(o, o, priority, s.spans.bytes(o, o))
		}
		return
	}
	l.enter(from, to, priority, bytes)
}

// enter makes messages ready, in the place that their offsets give them.
func (l *leader) enter(from, to core.Offset, priority uint8, bytes int64) {
	l.lanes[priority].add(from, to)
	l.top = max(l.top, int(priority))
	l.ready += int64(to - from + 1)
	l.bytes += bytes
}

// leave takes ready messages out of a lane, without its back.
func (l *leader) leave(s *state, lane int, from, to core.Offset) {
	l.lanes[lane].each(from, to, func(from, to core.Offset) bool {
		l.bytes -= s.spans.bytes(from, to)
		return true
	})
	l.ready -= l.lanes[lane].remove(from, to)
}

// pull takes one ready message out of wherever it is; false where it is not ready.
func (l *leader) pull(s *state, o core.Offset) bool {
	for i := range l.lanes {
		if l.lanes[i].has(o) {
			l.leave(s, i, o, o)
			return true
		}
		b := &l.lanes[i].back
		for j := b.head; j < len(b.list); j++ {
			if b.list[j].offset == o {
				l.ready--
				l.bytes -= b.list[j].size
				b.list = slices.Delete(b.list, j, j+1)
				return true
			}
		}
	}
	return false
}

// weigh sums the ready messages' bytes anew.
func (l *leader) weigh(s *state) {
	l.bytes = 0
	for i := range l.lanes {
		l.lanes[i].each(0, offsetMax, func(from, to core.Offset) bool {
			l.bytes += s.spans.bytes(from, to)
			return true
		})
		b := &l.lanes[i].back
		for j := b.head; j < len(b.list); j++ {
			b.list[j].size = s.spans.bytes(b.list[j].offset, b.list[j].offset)
			l.bytes += b.list[j].size
		}
	}
	for _, c := range l.consumers {
		for i := range c.held.items() {
			h := &c.held.items()[i]
			h.size = int32(s.spans.bytes(h.offset, h.offset))
		}
	}
}

// landed says whether an applied entry is this leader's oldest in flight. One that
// is not came from an earlier leader, against the rule of Lead.
func (l *leader) landed(data []byte) bool {
	if l.flight.len() == 0 || !bytes.Equal(*l.flight.front(), data) {
		return false
	}
	l.flight.pop()
	return true
}

// counted forgets a count that is now in the facts.
func (l *leader) counted(s *state, r returned) {
	r.To = min(r.To, s.next-1)
	for o := r.From; len(l.counts) > 0 && o <= r.To; o++ {
		if l.counts[o] == r.count {
			erase(&l.counts, o, o)
		}
	}
}

// forget takes messages out of wherever they are, because another leader had
// decided upon them.
func (l *leader) forget(q *Queue, from, to core.Offset) {
	for i := range l.lanes {
		l.leave(&q.state, i, from, to)
	}
	for o := from; o <= min(to, q.state.next-1); o++ {
		l.pull(&q.state, o)
	}
	for _, c := range l.consumers {
		i, j := c.held.find(from, to)
		n := int64(c.held.cut(i, j))
		l.lent -= n
		if c.Renew && c.credit != noLimit {
			c.credit += n
		}
		l.enqueue(q, c)
	}
	l.elect(q)
}

// returns gives how often a message was returned.
func (l *leader) returns(s *state, o core.Offset) int32 {
	if n, ok := l.counts[o]; ok {
		return n
	}
	return s.returns[o]
}

// Extend takes in messages of another stream, which this one, a ledger, settles: with
// the next proposal, those from from to to, of so many bytes together and with that
// stamp at the latest, are messages of this queue. What it has is passed over.
func (q *Queue) Extend(from, to core.Offset, bytes int64, stamp core.Stamp) {
	if q.lead != nil && from <= to {
		x := extended{core.OffsetRange{From: from, To: to}, bytes, stamp}
		q.lead.next.extended = append(q.lead.next.extended, x)
	}
}

// Next gives the offset that the next message takes, or a higher one.
func (q *Queue) Next() core.Offset { return q.state.next }

// Lost says that the proposal given out last was not appended: what it said is
// proposed again, 20 ms after the Turn that must follow.
func (q *Queue) Lost() {
	l := q.lead
	if l == nil || l.flight.len() == 0 {
		return
	}
	l.lost = slices.Insert(l.lost, 0, l.flight.popBack())
}
