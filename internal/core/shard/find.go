package shard

import (
	"trine/internal/core"
	"trine/internal/core/record"
	"trine/internal/core/stream"
)

// errand is an ask that only a stream's leader answers. It is tried here, or sent to
// the leader, and while nobody leads tried again for some seconds.
type errand struct {
	op    string
	id    core.StreamID
	body  core.Body
	here  bool        // NotLeader at once, instead of sending it on
	try   func() bool // answers where this node can
	done  func(*core.Response)
	until core.Time
}

// errandWait is how long an errand looks for a leader.
const errandWait = 5 * core.Second

func (s *Shard) run(e *errand) {
	if e.try() {
		return
	}
	if e.until == 0 {
		e.until = s.now.Mono + errandWait
	}
	err := s.notLeader(e.op, e.id)
	if e.here || err.Kind == core.NotExist {
		e.done(&core.Response{Err: err})
		return
	}
	if err.Kind != core.NotLeader || err.Leader == 0 || !s.living(err.Leader) {
		s.later(e, err)
		return
	}
	id := s.request(err.Leader, e.body, func(r *core.Response) {
		switch kindOf(r.Err) {
		case core.NotLeader, core.NoLeader, core.Unavailable, core.Unknown:
			s.later(e, r.Err)
		default:
			e.done(r)
		}
	})
	s.timers.add(e.until, func() { s.unanswered(id) })
}

func (s *Shard) later(e *errand, err *core.Error) {
	if s.now.Mono >= e.until {
		e.done(&core.Response{Err: err})
		return
	}
	s.timers.add(s.now.Mono+20*core.Millisecond, func() { s.run(e) })
}

// find answers where something is.
func (s *Shard) find(f *core.Find, done func(core.Found, error)) {
	s.run(&errand{op: "find", id: f.Stream, body: f, here: f.Here,
		try: func() bool { return s.findHere(f, done) },
		done: func(r *core.Response) {
			if b, ok := r.Body.(*core.Found); ok && r.Err == nil {
				done(*b, nil)
				return
			}
			done(core.Found{Offset: -1, Stamp: -1}, orUnknown(r.Err))
		}})
}

func (s *Shard) findHere(f *core.Find, done func(core.Found, error)) bool {
	c := s.copies[f.Stream]
	if c == nil || !c.leads || !c.rep.Status().Caught {
		return false
	}
	st := c.rep.Status()
	out := core.Found{Epoch: c.epoch, Stamp: -1}
	switch {
	case f.IfEpoch != 0 && f.IfEpoch != c.epoch:
		kind := core.Fenced
		if f.IfEpoch > c.epoch {
			kind = core.Unavailable
		}
		out.Offset = -1
		done(out, &core.Error{Op: "find", Name: c.def.Name, Kind: kind, Epoch: c.epoch})
		return true
	case f.Kind == core.FindStart:
		out.Offset = c.start
	case f.Kind == core.FindEnd:
		out.Offset = c.next
	case f.Kind == core.FindStable:
		out.Offset = c.mem.Stable(c.next)
	case f.Kind == core.FindEpochEnd:
		end := s.memory(c).EndOf(f.Epoch, st.Last, st.LogEnd)
		out.Epoch, out.Offset = end.Epoch, end.Base
	default:
		s.findStamp(c, f, done)
		return true
	}
	done(out, nil)
	return true
}

// memory gives what the stream remembers with all that is appended, where it leads.
func (s *Shard) memory(c *copyOf) *stream.Memory {
	if c.ahead != nil {
		return c.ahead
	}
	return c.mem
}

// findStamp looks for the first record at or after a stamp: on the disk, then in the
// tail. With FindLastest it looks for the greatest stamp.
func (s *Shard) findStamp(c *copyOf, f *core.Find, done func(core.Found, error)) {
	if f.Kind == core.FindLastest {
		s.findLastest(c, done)
		return
	}
	stamp := f.Stamp
	if c.checkpoint == 0 || c.start >= s.tailBase(c) {
		done(s.findInTail(c, stamp), nil)
		return
	}
	s.load(core.Load{Stream: c.id, ByStamp: true, Stamp: stamp, BytesMax: 1}, func(es []core.Entry, err error) {
		for i := range es {
			if out, ok := firstAt(&es[i], stamp, c.start, c.next); ok {
				done(out, nil)
				return
			}
		}
		done(s.findInTail(c, stamp), nil)
	})
}

func (s *Shard) findInTail(c *copyOf, stamp core.Stamp) core.Found {
	t := c.rep.Tail()
	for i := t.First(); i <= t.Last() && i <= c.done; i++ {
		if out, ok := firstAt(t.Entry(i), stamp, c.start, c.next); ok {
			return out
		}
	}
	return core.Found{Offset: -1, Stamp: -1}
}

// firstAt looks into one batch for the first record at or after stamp, among the
// offsets from start to limit.
func firstAt(e *core.Entry, stamp core.Stamp, start, limit core.Offset) (out core.Found, ok bool) {
	if e.Kind != core.EntryBatch || e.Next() <= start || e.Base >= limit {
		return out, false
	}
	h, err := record.Parse(e.Data)
	if err != nil || h.Max < stamp {
		return out, false
	}
	_ = record.Each(e.Data, recordsBytesMax, func(o core.Offset, r *core.Record) bool {
		if r.Stamp >= stamp && o >= start && o < limit {
			out, ok = core.Found{Offset: o, Stamp: r.Stamp, Epoch: e.Epoch}, true
		}
		return !ok
	})
	return out, ok
}

// findLastest looks through the batches' headers in memory, and through those on the
// disk a part at a time, for the greatest stamp; the earliest record that has it.
func (s *Shard) findLastest(c *copyOf, done func(core.Found, error)) {
	best := core.Found{Offset: -1, Stamp: -1}
	look := func(e *core.Entry) {
		if h, err := record.Parse(e.Data); e.Kind == core.EntryBatch && err == nil && h.Max > best.Stamp {
			if out, ok := firstAt(e, h.Max, c.start, c.next); ok {
				best = out
			}
		}
	}
	var part func(from core.Offset)
	part = func(from core.Offset) {
		if from >= s.tailBase(c) {
			t := c.rep.Tail()
			for i := t.First(); i <= t.Last() && i <= c.done; i++ {
				look(t.Entry(i))
			}
			done(best, nil)
			return
		}
		s.load(core.Load{Stream: c.id, From: from, BytesMax: 4 << 20}, func(es []core.Entry, err error) {
			next := s.tailBase(c)
			for i := range es {
				look(&es[i])
				next = es[i].Next()
			}
			part(max(next, from+1))
		})
	}
	part(c.start)
}

// trim moves a stream's first offset.
func (s *Shard) trim(t *core.Trim, done func(core.Offset, error)) {
	s.run(&errand{op: "trim", id: t.Stream, body: t, here: t.Here,
		try: func() bool { return s.trimHere(t, done) },
		done: func(r *core.Response) {
			if b, ok := r.Body.(*core.Trimmed); ok && r.Err == nil {
				done(b.Start, nil)
				return
			}
			done(-1, orUnknown(r.Err))
		}})
}

func (s *Shard) inspect(m *core.InspectAsk, done func(core.QueueInfo, error)) {
	s.run(&errand{op: "inspect", id: m.Stream, body: m,
		try: func() bool {
			c, err := s.lending("inspect", m.Stream)
			if err != nil {
				return false
			}
			done(c.q.Inspect(), nil)
			return true
		},
		done: func(r *core.Response) {
			if b, ok := r.Body.(*core.QueueInfo); ok && r.Err == nil {
				done(*b, nil)
				return
			}
			done(core.QueueInfo{}, orUnknown(r.Err))
		}})
}

func (s *Shard) purge(m *core.PurgeAsk, done func(int64, error)) {
	s.run(&errand{op: "purge", id: m.Stream, body: m,
		try: func() bool {
			c, err := s.lending("purge", m.Stream)
			if err != nil {
				return false
			}
			n := c.q.Purge()
			s.mark(c)
			done(n, nil)
			return true
		},
		done: func(r *core.Response) {
			if b, ok := r.Body.(*core.Purged); ok && r.Err == nil {
				done(b.Messages, nil)
				return
			}
			done(0, orUnknown(r.Err))
		}})
}
