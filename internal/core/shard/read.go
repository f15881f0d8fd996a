package shard

import (
	"trine/internal/core"
)

// reader is one Read that this node answers: of its own front ends, or another's.
type reader struct {
	ask   core.Read
	done  func([]core.ReadAnswer)
	until core.Time
	parts []core.ReadAnswer
	loads int // under way
	over  bool
	waits bool // it hangs on its streams

	mends   bool      // what it asked for is being fetched from a peer
	patient core.Time // it waits for that until then
}

// read answers a Read here, or has the leader answer it.
func (s *Shard) read(r *core.Read, done func([]core.ReadAnswer)) {
	if !r.Here && !r.Copy && len(r.Parts) == 1 {
		if c := s.copies[r.Parts[0].Stream]; c == nil || !c.leads {
			s.readElsewhere(r, done)
			return
		}
	}
	rd := &reader{ask: *r, done: done, until: s.now.Mono + r.Wait,
		patient: s.now.Mono + hurtPatient}
	s.tryRead(rd)
}

// readElsewhere asks the leader; while there is none it asks again.
func (s *Shard) readElsewhere(r *core.Read, done func([]core.ReadAnswer)) {
	err := s.notLeader("read", r.Parts[0].Stream)
	if err.Kind == core.NotExist {
		done([]core.ReadAnswer{{Err: err}})
		return
	}
	until := s.now.Mono + max(r.Wait, 5*core.Second)
	again := func() {
		if s.now.Mono >= until {
			done([]core.ReadAnswer{{Err: s.notLeader("read", r.Parts[0].Stream)}})
			return
		}
		s.timers.add(s.now.Mono+20*core.Millisecond, func() { s.read(r, done) })
	}
	if err.Kind != core.NotLeader || err.Leader == 0 || !s.living(err.Leader) {
		again()
		return
	}
	ask := *r
	ask.Here = true
	s.request(err.Leader, &ask, func(resp *core.Response) {
		b, ok := resp.Body.(*core.ReadDone)
		if resp.Err != nil || !ok || len(b.Parts) != 1 {
			again()
			return
		}
		if k := core.KindOf(b.Parts[0].Err); k == core.NotLeader || k == core.NoLeader {
			again()
			return
		}
		done(b.Parts)
	})
}

// tryRead reads what is there now. With too little it waits on its streams.
func (s *Shard) tryRead(r *reader) {
	r.parts = make([]core.ReadAnswer, len(r.ask.Parts))
	r.waits, r.mends = false, false
	left := r.ask.BytesMax
	if left <= 0 {
		left = 1 << 30
	}
	for i := range r.ask.Parts {
		left -= s.readPart(r, i, left)
	}
	if r.loads == 0 {
		s.readDone(r)
	}
}

// readPart fills one part and gives the bytes it took.
func (s *Shard) readPart(r *reader, i int, left int) int {
	p, a := &r.ask.Parts[i], &r.parts[i]
	c := s.copies[p.Stream]
	if c == nil || !c.leads && !r.ask.Copy {
		a.Err = s.notLeader("read", p.Stream)
		if v := s.views[p.Stream]; v != nil {
			a.Leader, a.Epoch = v.Leader, v.Epoch
		}
		return 0
	}
	s.describe(c, a)
	if p.IfEpoch != 0 && p.IfEpoch != a.Epoch {
		kind := core.Fenced
		if p.IfEpoch > a.Epoch {
			kind = core.Unavailable
		}
		a.Err = &core.Error{Op: "read", Name: c.def.Name, Kind: kind, Epoch: a.Epoch}
		return 0
	}
	if p.LastEpoch != 0 {
		if end := s.memory(c).EndOf(p.LastEpoch, c.rep.Status().Last, c.rep.Status().LogEnd); end.Epoch != p.LastEpoch || end.Base < p.From {
			a.Diverging = &end
			return 0
		}
	}
	limit := c.next
	if r.ask.Stable {
		limit = a.Stable
	}
	if p.From < c.start || p.From > c.rep.Status().LogEnd {
		a.Err = &core.Error{Op: "read", Name: c.def.Name, Kind: core.OutOfRange}
		return 0
	}
	if p.From >= limit || left <= 0 {
		return 0
	}
	return s.fetch(r, i, c, limit, min(p.BytesMax, left))
}

// describe says where a stream stands.
func (s *Shard) describe(c *copyOf, a *core.ReadAnswer) {
	a.Start, a.Committed, a.Epoch = c.start, c.next, c.epoch
	a.Stable = c.mem.Stable(c.next)
	if v := s.views[c.id]; v != nil {
		a.Leader = v.Leader
		if !c.leads {
			a.Epoch = v.Epoch
		}
	}
}

// fetch takes whole batches from memory, or has the disk read for them.
func (s *Shard) fetch(r *reader, i int, c *copyOf, limit core.Offset, bytesMax int) int {
	p, a := &r.ask.Parts[i], &r.parts[i]
	t := c.rep.Tail()
	at := t.AtOffset(p.From)
	if e := t.Entry(at); e == nil || at == t.First() && e.Base > p.From {
		if p.From >= s.tailBase(c) {
			return 0
		}
		r.loads++
		s.load(core.Load{Stream: c.id, From: p.From, BytesMax: bytesMax}, func(es []core.Entry, err error) {
			r.loads--
			switch {
			case err == nil:
			case s.harmed(c, err) && s.now.Mono < r.patient:
				r.mends = true
			default:
				a.Err = &core.Error{Op: "read", Name: c.def.Name, Kind: core.Unavailable, Err: err}
			}
			s.collect(r, i, c, es, limit, bytesMax)
			if r.loads == 0 {
				s.readDone(r)
			}
		})
		return bytesMax
	}
	return s.collect(r, i, c, t.Slice(at, t.Last(), bytesMax), limit, bytesMax)
}

// tailBase gives the first offset that the tail in memory would hold.
func (s *Shard) tailBase(c *copyOf) core.Offset {
	t := c.rep.Tail()
	if e := t.Entry(t.First()); e != nil {
		return e.Base
	}
	return t.Next()
}

// collect puts batches into an answer.
func (s *Shard) collect(r *reader, i int, c *copyOf, es []core.Entry, limit core.Offset, bytesMax int) int {
	p, a := &r.ask.Parts[i], &r.parts[i]
	size := 0
	for k := range es {
		e := &es[k]
		if e.Kind != core.EntryBatch || e.Next() <= p.From {
			continue
		}
		if e.Base >= limit || size > 0 && size+len(e.Data) > bytesMax {
			break
		}
		a.Batches = append(a.Batches, e.Data)
		size += len(e.Data)
	}
	if r.ask.Stable && size > 0 {
		a.Aborted = c.mem.Aborted(p.From, limit)
	}
	return size
}

// readDone answers, or waits for more.
func (s *Shard) readDone(r *reader) {
	if r.over {
		return
	}
	if r.mends {
		s.timers.add(s.now.Mono+hurtRetry, func() { s.readAgain(r) })
		return
	}
	size, final := 0, false
	for i := range r.parts {
		for _, b := range r.parts[i].Batches {
			size += len(b)
		}
		final = final || r.parts[i].Err != nil || r.parts[i].Diverging != nil
	}
	if final || size >= max(r.ask.BytesMin, 0) || s.now.Mono >= r.until || r.ask.BytesMin == 0 {
		r.over = true
		r.done(r.parts)
		return
	}
	first := r.until == s.now.Mono+r.ask.Wait
	r.waits = true
	for i := range r.ask.Parts {
		if c := s.copies[r.ask.Parts[i].Stream]; c != nil {
			c.waiters = append(pruned(c.waiters), r)
		}
	}
	if first {
		s.timers.add(r.until, func() {
			if !r.over && r.loads == 0 {
				s.tryRead(r)
			}
		})
	}
}

// readAgain reads what was damaged, here or where the stream is led by now.
func (s *Shard) readAgain(r *reader) {
	if r.over {
		return
	}
	if !r.ask.Here && !r.ask.Copy && len(r.ask.Parts) == 1 {
		if c := s.copies[r.ask.Parts[0].Stream]; c == nil || !c.leads {
			r.over = true
			s.readElsewhere(&r.ask, r.done)
			return
		}
	}
	s.tryRead(r)
}

// pruned forgets those who were answered, each time the slice would grow.
func pruned(ws []*reader) []*reader {
	if len(ws) < cap(ws) {
		return ws
	}
	keep := ws[:0]
	for _, r := range ws {
		if !r.over {
			keep = append(keep, r)
		}
	}
	clear(ws[len(keep):])
	return keep
}

// wake has those who wait for more of a stream look again, once there may be more
// or it is no longer to be read here.
func (s *Shard) wake(c *copyOf) {
	if len(c.waiters) == 0 || c.next == c.woken && c.leads == c.wokenLeads {
		return
	}
	c.woken, c.wokenLeads = c.next, c.leads
	ws := c.waiters
	c.waiters = nil
	for _, r := range ws {
		if r.over || !r.waits {
			continue
		}
		s.tryRead(r)
	}
}
