package queue

import (
	"fmt"
	"slices"

	"trine/internal/core"
	"trine/internal/core/record"
)

// reasons is one above the highest core.ForwardReason.
const reasons = core.ForwardDeliveryLimit + 1

// Queue is a machine over one stream. It is not safe for concurrent use: the loop
// that owns the stream owns it.
type Queue struct {
	set     core.QueueSettings
	state   state
	lead    *leader // nil: this copy follows
	in      *facts  // of the entry that was applied last, to be used again
	records *intake // the same for batches
}

// state is what the entries alone made: equal on every copy, whatever its settings.
type state struct {
	next      core.Offset // that the next batch takes, or a later one
	ceiling   core.Offset
	live      ranges // not settled
	raised    []raised
	spans     spans
	bytes     int64 // of live messages
	expires   map[core.Offset]core.Stamp
	notBefore map[core.Offset]core.Stamp
	returns   map[core.Offset]int32
	given     [reasons]ranges // given up and not yet forwarded
	sessions  map[core.Session]int64
	gone      [fates]int64
}

// raised is the live messages of one priority above 0.
type raised struct {
	priority uint8
	live     ranges
}

// New gives the machine of an empty stream.
func New(s core.QueueSettings) *Queue { return &Queue{set: s} }

// Apply takes a committed entry, in index order. It ignores kinds that are not a
// queue's. An error means that the log was damaged or written by a newer version:
// the copy must not go on.
func (q *Queue) Apply(e *core.Entry) error {
	switch e.Kind {
	case core.EntryBatch:
		return q.batch(e)
	case core.EntryQueue:
		return q.facts(e.Data)
	}
	return nil
}

// batch makes a batch's records messages. Records that nobody may read, those of
// control batches, are none.
func (q *Queue) batch(e *core.Entry) error {
	if e.Base < q.state.next {
		return fmt.Errorf("apply batch %d: its base %d lies below %d", e.Index, e.Base, q.state.next)
	}
	h, err := record.Parse(e.Data)
	if err != nil {
		return fmt.Errorf("apply batch %d: %w", e.Index, err)
	}
	q.state.next = e.Next()
	if h.Control() || e.Count == 0 {
		return nil
	}
	in := q.records
	if in == nil {
		in = new(intake)
		in.each = func(o core.Offset, r *core.Record) bool {
			in.through = o + in.shift
			q.message(&in.run, in.through, r)
			return true
		}
		q.records = in
	}
	in.run = run{from: e.Base, stamp: h.Max}
	in.through, in.shift = e.Base-1, e.Base-h.Base
	if h.Codec() == record.None {
		err = in.coder.Each(e.Data, len(e.Data), in.each)
	}
	q.flush(&in.run)
	if h.Codec() != record.None || err != nil {
		// Nobody looks into what is compressed: it has no neutral header, and the
		// size of a message is taken to be that of a share.
		in.run.from, in.run.n = in.through+1, int64(e.Next()-in.through-1)
		in.run.size = int64(h.Size()-record.HeaderSize) / int64(e.Count)
		in.run.priority = 0
		q.flush(&in.run)
	}
	return nil
}

// intake is what reading batches needs, made once.
type intake struct {
	run     run
	through core.Offset // read so far
	shift   core.Offset // from the batch's own offsets to the entry's
	coder   record.Coder
	each    func(core.Offset, *core.Record) bool
}

// run is neighbours among a batch's records that are alike.
type run struct {
	from     core.Offset
	n        int64
	size     int64
	priority uint8
	stamp    core.Stamp
}

func (q *Queue) message(run *run, o core.Offset, r *core.Record) {
	size := int64(len(r.Value))
	if r.Expires != 0 || r.NotBefore != 0 {
		q.flush(run)
		put(&q.state.expires, o, r.Expires)
		put(&q.state.notBefore, o, r.NotBefore)
	}
	if run.n == 0 || run.size != size || run.priority != r.Priority || run.from+core.Offset(run.n) != o {
		q.flush(run)
		run.from, run.size, run.priority = o, size, r.Priority
	}
	run.n++
	if r.Expires != 0 || r.NotBefore != 0 {
		q.flush(run)
	}
}

// put remembers v of o, unless it is 0.
func put[V int32 | core.Stamp](m *map[core.Offset]V, o core.Offset, v V) {
	if v == 0 {
		return
	}
	if *m == nil {
		*m = make(map[core.Offset]V)
	}
	(*m)[o] = v
}

// flush makes a run of records live.
func (q *Queue) flush(run *run) {
	if run.n == 0 {
		return
	}
	s := &q.state
	from, to := run.from, run.from+core.Offset(run.n-1)
	s.live.add(from, to)
	if run.priority > 0 {
		s.lane(run.priority).add(from, to)
	}
	s.bytes += run.size * run.n
	full := s.spans.append(span{from: from, to: to, sum: run.size * run.n, stamp: run.stamp})
	if q.lead != nil {
		q.lead.arrive(q, from, to, min(run.priority, q.set.Priorities), run.size*run.n)
	}
	if full {
		q.merge()
	}
	run.n = 0
}

// extend makes messages of the stream that a ledger settles live.
func (q *Queue) extend(x extended) {
	s := &q.state
	x.From = max(x.From, s.next)
	if x.From > x.To {
		return
	}
	s.next = x.To + 1
	s.live.add(x.From, x.To)
	s.bytes += x.bytes
	full := s.spans.append(span{from: x.From, to: x.To, sum: x.bytes, stamp: x.stamp})
	if q.lead != nil {
		q.lead.arrive(q, x.From, x.To, 0, x.bytes)
	}
	if full {
		q.merge()
	}
}

// merge makes the memory of sizes coarser. Sums are made anew, since the sizes of
// messages change with it.
func (q *Queue) merge() {
	s := &q.state
	s.spans.merge(&s.live)
	s.bytes = 0
	s.live.each(0, offsetMax, func(from, to core.Offset) bool {
		s.bytes += s.spans.bytes(from, to)
		return true
	})
	if q.lead != nil {
		q.lead.weigh(s)
	}
}

// lane gives the set of live messages of a priority above 0.
func (s *state) lane(priority uint8) *ranges {
	i, ok := slices.BinarySearchFunc(s.raised, priority, func(r raised, p uint8) int {
		return int(r.priority) - int(p)
	})
	if !ok {
		s.raised = slices.Insert(s.raised, i, raised{priority: priority})
	}
	return &s.raised[i].live
}

// priority gives a live message's priority.
func (s *state) priority(o core.Offset) uint8 {
	for i := range s.raised {
		if s.raised[i].live.has(o) {
			return s.raised[i].priority
		}
	}
	return 0
}

// facts applies an entry of the queue's own.
func (q *Queue) facts(data []byte) error {
	if q.in == nil {
		q.in = new(facts)
	}
	f, s := q.in, &q.state
	f.reset()
	if err := f.parse(data); err != nil {
		return err
	}
	own := q.lead == nil || q.lead.landed(data)
	for _, x := range f.extended {
		q.extend(x)
	}
	s.ceiling = max(s.ceiling, f.ceiling)
	for _, r := range f.returned {
		s.live.each(r.From, r.To, func(from, to core.Offset) bool {
			for o := from; o <= to; o++ {
				put(&s.returns, o, r.count)
			}
			return true
		})
		if q.lead != nil {
			q.lead.counted(s, r)
		}
	}
	for _, d := range f.delayed {
		s.live.each(d.From, d.To, func(from, to core.Offset) bool {
			for o := from; o <= to; o++ {
				put(&s.notBefore, o, d.until)
			}
			return true
		})
	}
	for _, g := range f.given {
		if !own {
			q.lead.forget(q, g.From, g.To)
		}
		q.give(g)
	}
	for fate := range f.settled {
		for _, r := range f.settled[fate] {
			if !own {
				q.lead.forget(q, r.From, r.To)
			}
			q.settle(Fate(fate), r.From, r.To)
		}
	}
	q.enroll(f)
	return nil
}

// give moves messages to those that wait for their forward.
func (q *Queue) give(g given) {
	s := &q.state
	s.live.each(g.From, g.To, func(from, to core.Offset) bool {
		for i := range s.given {
			s.given[i].remove(from, to)
		}
		s.given[g.why].add(from, to)
		if q.lead != nil {
			q.lead.forwards.push(forward{core.OffsetRange{From: from, To: to}, g.why})
		}
		return true
	})
}

// settle ends messages.
func (q *Queue) settle(fate Fate, from, to core.Offset) {
	s := &q.state
	s.live.each(from, to, func(from, to core.Offset) bool {
		s.bytes -= s.spans.bytes(from, to)
		return true
	})
	n := s.live.remove(from, to)
	if n == 0 {
		return
	}
	s.gone[fate] += n
	for i := range s.raised {
		s.raised[i].live.remove(from, to)
	}
	for i := range s.given {
		s.given[i].remove(from, to)
	}
	erase(&s.expires, from, to)
	erase(&s.notBefore, from, to)
	erase(&s.returns, from, to)
	if s.live.empty() {
		s.spans.trim(offsetMax)
	} else {
		s.spans.trim(s.live.first())
	}
	if l := q.lead; l != nil {
		l.again.remove(from, to)
		l.overdue.remove(from, to)
	}
}

// erase takes the offsets from to to out of a map, walking whichever is shorter. An
// empty map is let go, since maps never shrink.
func erase[V any](p *map[core.Offset]V, from, to core.Offset) {
	m := *p
	switch {
	case len(m) == 0:
		return
	case int64(to-from) < int64(len(m)):
		for o := from; o <= to; o++ {
			delete(m, o)
		}
	default:
		for o := range m {
			if o >= from && o <= to {
				delete(m, o)
			}
		}
	}
	if len(m) == 0 {
		*p = nil
	}
}

func (q *Queue) enroll(f *facts) {
	s := &q.state
	for _, c := range f.sessions {
		if s.sessions == nil {
			s.sessions = make(map[core.Session]int64)
		}
		s.sessions[c.session] = max(s.sessions[c.session], c.seq)
	}
	for _, o := range f.over {
		delete(s.sessions, o)
	}
}

// Rest lets go of the memory that work left behind: for a stream that has been idle
// for a while.
func (q *Queue) Rest() {
	q.in, q.records = nil, nil
	s := &q.state
	s.spans.list = slices.Clone(s.spans.list)
	s.live.rest()
	for i := range s.given {
		s.given[i].rest()
	}
	l := q.lead
	if l == nil {
		return
	}
	l.scratch = nil
	if l.flight.len() == 0 {
		l.flight = deque[[]byte]{}
	}
	if l.next.empty() {
		l.next = facts{}
	}
	if l.forwards.len() == 0 {
		l.forwards = deque[forward]{}
	}
	for _, c := range l.consumers {
		c.held.compact()
		c.held.list = slices.Clone(c.held.list)
	}
	for i := range l.lanes {
		l.lanes[i].rest()
	}
	l.again.rest()
	l.overdue.rest()
}

// SettledThrough gives the sequence of a session up to which its settlements hold.
func (q *Queue) SettledThrough(s core.Session) int64 { return q.state.sessions[s] }

// Reclaim says which records below an offset are still wanted.
func (q *Queue) Reclaim(below core.Offset) core.Reclaim {
	return core.Reclaim{Below: below, Keep: q.state.live.list(0, below-1)}
}

// Oldest gives the lowest offset that is still wanted, or that the next batch takes.
func (q *Queue) Oldest() core.Offset {
	if q.state.live.empty() {
		return q.state.next
	}
	return q.state.live.first()
}

// Gone counts the messages that left the queue by a fate, since it was made.
func (q *Queue) Gone(f Fate) int64 { return q.state.gone[f] }

// Live counts the messages that are not settled, and their bytes.
func (q *Queue) Live() (messages, bytes int64) { return q.state.live.n, q.state.bytes }
