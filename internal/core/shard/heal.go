package shard

import (
	"trine/internal/core"
)

// A copy is hurt while its disk lacks something of it, or may: it was found when the disk
// was opened, or a read met it. Its log above the checkpoint is whole again once its
// leader has everything sent; its body is fetched from a peer whose copy is not hurt, from
// the first entry on, and takes the place of what was there:
//
//	hurt ─▶ leads: hands over ─▶ out of sync, has all that holds ─▶ body from a peer
//	  ▲                                                     │ peer away, hurt, or behind: the next
//	  └─ a read meets damage      whole ◀─ one write: a checkpoint of what was applied, and
//	                                       all above it, in place of all that was there
//
// What is left is kept, and served, until that write. A stream with one copy stays hurt
// and says so.

// healing is a hurt copy's body on its way here.
type healing struct {
	from  core.NodeID
	run   core.Incarnation
	id    uint64
	next  core.Index
	since core.Time
	full  bool             // what follows stands in the tail
	left  int              // writes of it that are not on disk: a full disk refuses some
	cp    *core.Checkpoint // the whole is to be written, once left is 0; no other is made
}

const (
	healWait    = 5 * core.Second        // for one answer; then another is asked
	healServe   = 30 * core.Second       // a leader that is hurt for longer serves what it has
	hurtRetry   = 50 * core.Millisecond  // between two tries to read what is being fetched
	hurtPatient = 3 * core.Second        // for which a reader waits for that
	hurtLoads   = 100 * core.Millisecond // between two tries to lend what is being fetched
)

// harmed takes that a load met damage. It says whether the copy is to be filled again, so
// that whoever asked may wait.
func (s *Shard) harmed(c *copyOf, err error) bool {
	if core.KindOf(err) != core.Unavailable || !s.hosts(c) {
		return false
	}
	if !c.hurt {
		s.note(8, "a copy is damaged on this disk", "stream", s.nameOf(c), "err", err)
		s.hurt(c)
	}
	return len(s.membersOf(c)) > 1
}

// harmedFor gives after what time what could not be loaded is worth another try.
func (s *Shard) harmedFor(c *copyOf, err error) core.Time {
	if s.harmed(c, err) {
		return hurtLoads
	}
	return core.Second
}

// hurt has the copy count for less until it is whole.
func (s *Shard) hurt(c *copyOf) {
	c.hurt, c.hurtAt = true, s.now.Mono
	c.rep.Hurt(s.now.Mono, true)
	s.lookHeir(c, true)
	s.rouse(c)
	s.mark(c)
}

// healed takes that all the copy has was written anew.
func (s *Shard) healed(c *copyOf) {
	c.healing = nil
	if !c.hurt {
		return
	}
	c.hurt = false
	c.rep.Hurt(s.now.Mono, false)
	s.note(4, "a damaged copy is whole again", "stream", s.nameOf(c), "through", c.done)
	s.mark(c)
}

// tendHeal goes on with the filling of a hurt copy: once a beat.
func (s *Shard) tendHeal(c *copyOf) {
	if h := c.healing; h != nil && !h.full {
		p := s.peers[h.from]
		if p == nil || !p.up || p.id.Incarnation != h.run || s.now.Mono-h.since > healWait {
			c.healing = nil
			c.healTries++
		}
	}
	if !s.mayHeal(c) {
		return
	}
	switch {
	case c.healing != nil:
	case c == s.agreed || c.rep.Tail().First() == 1: // nothing is read of it below the tail
		c.healing = &healing{next: c.rep.Tail().First(), full: true}
	default:
		p := s.healer(c)
		if p == nil {
			return
		}
		c.healing = &healing{from: p.node, run: p.id.Incarnation, next: 1}
		s.askHeal(c)
	}
	if c.healing.full {
		s.mark(c)
	}
}

// mayHeal says whether the copy's log is all that it must be, and nobody counts on what
// is being replaced.
func (s *Shard) mayHeal(c *copyOf) bool {
	if !c.hurt || !s.member || c.filling != nil || c.making || len(c.refused) > 0 || c.yielding != nil ||
		c.sealing != nil || c.sealed || len(s.membersOf(c)) < 2 || c.def != nil && c.def.Changing {
		return false
	}
	st := c.rep.Status()
	if c.leads {
		return st.Caught && c.done >= c.leadFrom
	}
	if !st.Level || c.raft {
		return st.Level
	}
	for _, m := range c.def.Members {
		if m.Disk == s.cfg.Self.Disk {
			return !m.InSync
		}
	}
	return false
}

// healer gives whom to fetch the body from: the leader first, then the others in turn.
func (s *Shard) healer(c *copyOf) *peer {
	var ps []*peer
	leader := c.rep.Status().Leader
	for _, m := range s.membersOf(c) {
		p := s.peers[m.Node]
		if m.Node == s.cfg.Self.Node || p == nil || !s.living(m.Node) || p.id.Disk != m.Disk {
			continue
		}
		if ps = append(ps, p); m.Disk == leader {
			ps[0], ps[len(ps)-1] = p, ps[0]
		}
	}
	if len(ps) == 0 {
		return nil
	}
	return ps[c.healTries%len(ps)]
}

func (s *Shard) askHeal(c *copyOf) {
	h := c.healing
	h.id, h.since = s.id(), s.now.Mono
	s.send(h.from, &core.Fill{Stream: c.id, ID: h.id, From: h.next, BytesMax: fillBytes})
}

// fetched takes a part of the body from a peer.
func (s *Shard) fetched(c *copyOf, m *core.Filled) {
	h, below := c.healing, c.rep.Tail().First()-1
	if m.Kind != core.OK || m.Next <= h.next || m.Done && m.Next <= below {
		c.healing = nil // it is hurt itself, or behind: the next beat asks another
		c.healTries++
		return
	}
	s.fillIn(c, m.Entries, below, &h.left)
	if h.next = min(m.Next, below+1); h.next > below { // what follows is the tail's
		h.full = true
		s.mark(c)
		return
	}
	s.askHeal(c)
}

// fillIn writes entries up to an index below a checkpoint that is to come.
func (s *Shard) fillIn(c *copyOf, es []core.Entry, through core.Index, left *int) {
	for len(es) > 0 && es[len(es)-1].Index > through {
		es = es[:len(es)-1]
	}
	if len(es) == 0 {
		return
	}
	w := core.Write{ID: s.id(), Stream: c.id, Road: c.road, Fill: true, Entries: es}
	*left++
	s.writes[w.ID] = writeRef{c: c, left: left, write: w}
	s.out.Writes = append(s.out.Writes, w)
}

// finishHeal writes what takes the place of all that was there, once all below it is on
// disk. Everything that the copy gave out to be written comes before it, and stands in the
// tail or in what was fetched.
func (s *Shard) finishHeal(c *copyOf) {
	h := c.healing
	if h == nil || !h.full || h.cp == nil && !s.endHeal(c, h) || h.left > 0 || len(c.refused) > 0 {
		return
	}
	t := c.rep.Tail()
	core.Assert(t.First() <= h.cp.Index+1, "the tail is kept while a copy heals")
	w := core.Write{ID: s.id(), Stream: c.id, Road: c.road, Install: h.cp,
		Entries: t.Slice(h.cp.Index+1, t.Last(), 1<<62)}
	c.healing = nil // and c.making stands until it is on disk
	s.writes[w.ID] = writeRef{c: c, checkpoint: h.cp, heals: true, write: w}
	s.out.Writes = append(s.out.Writes, w)
}

// endHeal writes what of the body stands in the tail, and fixes where it ends.
func (s *Shard) endHeal(c *copyOf, h *healing) bool {
	if !s.mayHeal(c) || c.done != c.rep.Status().Committed {
		return false
	}
	t := c.rep.Tail()
	if h.next < t.First() && c != s.agreed {
		c.healing = nil // the tail was given back meanwhile
		return false
	}
	for from := max(h.next, t.First()); from <= c.done && c != s.agreed; {
		es := t.Slice(from, c.done, fillBytes)
		s.fillIn(c, es, c.done, &h.left)
		from += core.Index(len(es))
	}
	h.cp, c.making, c.bytesSince = s.checkpointOf(c), true, 0
	return true
}

// dropHeal gives up a filling: what it was to end with stands no longer.
func (s *Shard) dropHeal(c *copyOf) {
	if h := c.healing; h != nil && h.cp != nil {
		c.making = false
	}
	c.healing = nil
}
