package shard

import "trine/internal/core"

// A beat looks at nobody who rests, so that idle streams cost nothing but memory:
//
//	work ──▶ awake, looked at by every beat
//	           │ nothing to wait for but time ──▶ dozes: one timer, then awake again
//	           └ nothing to wait for ───────────▶ rests until there is work

// idleCheckpoint is how long a copy rests before its tail is given back to the disk.
const idleCheckpoint = 5 * core.Second

// rouse has every beat look at a copy until it rests.
func (s *Shard) rouse(c *copyOf) {
	if !c.awake {
		c.awake = true
		s.awake = append(s.awake, c)
	}
}

// tickCopies gives the copies that are awake their time, and lets those that have
// rested give their tails back.
func (s *Shard) tickCopies() {
	cs := s.awake
	s.awake = nil
	keep := cs[:0]
	for _, c := range cs {
		if s.hosts(c) && s.tickCopy(c) {
			keep = append(keep, c)
		} else {
			c.awake = false
		}
	}
	clear(cs[len(keep):])
	s.awake = append(keep, s.awake...)
}

// tickCopy says whether the next beat shall look at the copy again.
func (s *Shard) tickCopy(c *copyOf) bool {
	if len(c.acks) > 0 {
		s.expireAcks(c)
	}
	st := c.rep.Status()
	if st.Due(s.now.Mono) {
		c.rep.Tick(s.now.Mono)
		s.mark(c)
	}
	missing := s.missesVoters(c)
	if missing {
		s.wishVoters(c)
	}
	if c.def != nil && c.def.Changing && c.leads {
		s.mark(c) // the change may wait for what no message says
		return true
	}
	checkpointAt := core.Time(0)
	if c.done > c.checkpoint && c.done == st.Last && !c.making {
		if checkpointAt = c.lastWork + idleCheckpoint; s.now.Mono > checkpointAt {
			s.makeCheckpoint(c)
		}
	}
	if c.hurt {
		s.tendHeal(c)
	}
	if !st.Quiet || missing || len(c.acks) > 0 || c.hurt && len(s.membersOf(c)) > 1 {
		return true
	}
	return s.doze(c, checkpointAt) || s.doze(c, st.TickAt)
}

// doze has the copy awake again at a time; it says true where that has come already.
func (s *Shard) doze(c *copyOf, at core.Time) bool {
	if at == 0 {
		return false
	}
	if at <= s.now.Mono {
		return true
	}
	if c.dozes != 0 && c.dozes <= at {
		return false // it is looked at before
	}
	c.dozes = at
	s.timers.add(at, func() {
		if c.dozes == at {
			c.dozes = 0
			s.rouse(c)
		}
	})
	return false
}

// missesVoters says whether the catalog is to be told of copies of a group that vote.
func (s *Shard) missesVoters(c *copyOf) bool {
	if !c.raft || !c.leads {
		return false
	}
	for _, m := range s.membersOf(c) {
		if !m.InSync {
			return true
		}
	}
	return false
}

// withhold remembers a copy that would answer or lend if this node had its lease.
func (s *Shard) withhold(c *copyOf) {
	if !c.withheld {
		c.withheld = true
		s.withheld = append(s.withheld, c)
	}
}

// stray takes that who leads a target's stream must be learnt.
func (s *Shard) stray(t *target) {
	t.stale = true
	s.pend(t)
}

// pend has every beat look at a target until nothing of it is under way.
func (s *Shard) pend(t *target) {
	if !t.pending {
		t.pending = true
		s.pending = append(s.pending, t)
	}
}

// retryTargets keeps those trying that have work and no leader.
func (s *Shard) retryTargets() {
	ts := s.pending
	s.pending = nil
	keep := ts[:0]
	for _, t := range ts {
		if s.targets[t.id] != t {
			t.pending = false
			continue
		}
		s.overdue(t)
		work := len(t.flights) > 0 || len(t.settles) > 0 || len(t.detaches) > 0
		if t.stale && (work || len(t.holdings) > 0) {
			s.retarget(t)
		}
		if t.pending = work || t.missed || t.stale && len(t.holdings) > 0; t.pending {
			keep = append(keep, t)
		}
	}
	clear(ts[len(keep):])
	s.pending = append(keep, s.pending...)
}
