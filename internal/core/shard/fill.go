package shard

import (
	"trine/internal/core"
)

// filling is a copy that was sent a checkpoint and fetches what lies below it from
// the leader, in its own lane, before it takes the checkpoint.
type filling struct {
	from  core.NodeID
	run   core.Incarnation
	m     *core.Replicate
	id    uint64
	next  core.Index
	since core.Time
	left  int  // writes of it that are not on disk: a full disk refuses some
	whole bool // nothing more is asked for
}

// fillBytes is how much one answer carries.
const fillBytes = 1 << 20

// replicate takes what another copy of a stream says.
func (s *Shard) replicate(p *peer, m *core.Replicate) {
	c := s.copies[m.Stream]
	if m.Stream == core.CatalogStream {
		c = s.agreed
	}
	if c == nil || c != s.agreed && m.Gen > c.gen {
		s.early(p, m)
		return
	}
	if !s.forgets(c, m) {
		return
	}
	if m.Type == core.RepCheckpoint && c != s.agreed && m.Checkpoint != nil {
		s.beginFill(p, c, m)
		return
	}
	c.rep.Step(s.now.Mono, m)
	s.mark(c)
}

// early keeps what is said of a stream that this node has not applied yet: its
// making, or its change of kind, is on its way.
func (s *Shard) early(p *peer, m *core.Replicate) {
	if len(s.earlies) >= earliesMax {
		s.earlies = append(s.earlies[:0], s.earlies[1:]...)
	}
	s.earlies = append(s.earlies, earlyMessage{p, p.id.Incarnation, m, s.now.Mono + core.Second})
}

const earliesMax = 4096

type earlyMessage struct {
	p     *peer
	run   core.Incarnation
	m     *core.Replicate
	until core.Time
}

// lateDelivery hands on what was early, once its stream is here.
func (s *Shard) lateDelivery() {
	if len(s.earlies) == 0 {
		return
	}
	all := s.earlies
	s.earlies = nil
	for _, e := range all {
		c := s.copies[e.m.Stream]
		switch {
		case c != nil && e.m.Gen <= c.gen:
			if e.p.up && e.p.id.Incarnation == e.run {
				s.replicate(e.p, e.m)
			}
		case s.now.Mono < e.until:
			s.earlies = append(s.earlies, e)
		}
	}
}

// beginFill fetches the body below a checkpoint that the leader sent, all of it: the
// checkpoint takes the place of everything that is on this disk.
func (s *Shard) beginFill(p *peer, c *copyOf, m *core.Replicate) {
	st := c.rep.Status()
	if m.Checkpoint.Index <= c.done || m.Epoch < st.Epoch {
		c.rep.Step(s.now.Mono, m) // it has all that, or the sender is no leader
		s.mark(c)
		return
	}
	if f := c.filling; f != nil && f.from == p.node && f.run == p.id.Incarnation &&
		s.now.Mono-f.since < 10*core.Second {
		return // under way
	}
	c.filling = &filling{from: p.node, run: p.id.Incarnation, m: m, next: 1}
	s.dropHeal(c)
	s.note(0, "a copy is being filled", "stream", s.nameOf(c), "from", p.node, "through", m.Checkpoint.Index)
	s.askFill(c)
}

func (s *Shard) askFill(c *copyOf) {
	f := c.filling
	f.id, f.since = s.id(), s.now.Mono
	s.send(f.from, &core.Fill{Stream: c.id, ID: f.id, From: f.next, BytesMax: fillBytes})
}

// fill answers a copy that fetches what is below its checkpoint: committed entries by
// index, from memory or from the disk.
func (s *Shard) fill(p *peer, m *core.Fill) {
	run := p.id.Incarnation
	answer := func(f *core.Filled) {
		f.Stream, f.ID = m.Stream, m.ID
		if p.up && p.id.Incarnation == run {
			s.send(p.node, f)
		}
	}
	c := s.copies[m.Stream]
	if c == nil || !c.leads && c.filling != nil {
		answer(&core.Filled{Kind: core.NotLeader})
		return
	}
	if c.hurt && (!c.leads || s.now.Mono-c.hurtAt < healServe) {
		answer(&core.Filled{Kind: core.Unavailable})
		return
	}
	done := c.done
	give := func(es []core.Entry) {
		f := &core.Filled{Entries: es, Next: done + 1, Done: true}
		if n := len(es); n > 0 {
			f.Next = es[n-1].Index + 1
			f.Done = f.Next > done
		}
		answer(f)
	}
	t := c.rep.Tail()
	if m.From >= t.First() || m.From > done {
		give(t.Slice(m.From, done, fillBytes))
		return
	}
	s.load(core.Load{Stream: c.id, ByIndex: true, Index: m.From, BytesMax: fillBytes}, func(es []core.Entry, err error) {
		if err != nil {
			s.harmed(c, err)
			answer(&core.Filled{Kind: core.Unavailable})
			return
		}
		if len(es) == 0 { // nothing is left between there and the tail
			give(t.Slice(t.First(), done, fillBytes))
			return
		}
		for len(es) > 0 && es[len(es)-1].Index > done {
			es = es[:len(es)-1]
		}
		give(es)
	})
}

// filled takes a part of the body; after the last one the checkpoint itself.
func (s *Shard) filled(p *peer, m *core.Filled) {
	c := s.copies[m.Stream]
	if c != nil && c.healing != nil && c.healing.id == m.ID && c.healing.from == p.node {
		s.fetched(c, m)
		return
	}
	if c == nil || c.filling == nil || c.filling.id != m.ID || c.filling.from != p.node {
		return
	}
	f := c.filling
	if m.Kind != core.OK {
		c.filling = nil // the leader is another, or its disk is busy: it will send again
		return
	}
	through := f.m.Checkpoint.Index
	s.fillIn(c, m.Entries, through, &f.left)
	f.next = m.Next
	if !m.Done && m.Next <= through {
		s.askFill(c)
		return
	}
	if m.Next <= through {
		c.filling = nil // it has less than the checkpoint stands for: it will send again
		return
	}
	f.whole = true
	s.endFill(c)
}

// endFill takes the checkpoint itself, once all below it is on disk.
func (s *Shard) endFill(c *copyOf) {
	f := c.filling
	if f == nil || !f.whole || f.left > 0 {
		return
	}
	c.filling = nil
	c.rep.Step(s.now.Mono, f.m)
	s.mark(c)
}
