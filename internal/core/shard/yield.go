package shard

import (
	"trine/internal/core"
	"trine/internal/core/catalog"
)

// A leader of a leader-follower stream hands over without losing what it acknowledged
// alone: it takes nothing more, waits until the heir has all that it has, and has the
// catalog make that one the leader.
//
//	heir known ─▶ takes nothing ─▶ heir has everything ─▶ Yield asked ─▶ another epoch
//	                    │ yieldWait                          │ refused
//	                    └──────────▶ takes appends again ◀───┘
//
// Under Raft the group does all that itself.

// yielding is the leader's part in handing over.
type yielding struct {
	to    core.DiskID
	until core.Time // given up then, unless asked
	asked bool      // and the outcome is not known: until it is, nothing is taken
}

const (
	yieldWait   = 500 * core.Millisecond // for the heir to have everything
	yieldRetry  = 2 * core.Second        // after it was given up
	preferAfter = 10 * core.Second       // a preferred copy has been in sync for so long
	preferMost  = 64                     // looked at in one beat
)

// lookHeir has a leader noted that somebody else shall lead. Every change of what the
// catalog says of its stream, or that it leads, comes here. soon: it was asked for.
func (s *Shard) lookHeir(c *copyOf, soon bool) {
	if !c.leads || c.def == nil {
		return
	}
	heir, now := s.heir(c)
	if heir == 0 {
		c.yieldAt = 0
		return
	}
	at := s.now.Mono + preferAfter
	if now || soon {
		at = s.now.Mono
	}
	if c.yieldAt == 0 || at < c.yieldAt {
		c.yieldAt = at
	}
	if !c.listedHeir {
		c.listedHeir = true
		s.heirs = append(s.heirs, c)
	}
	s.tendYield(c)
}

// heir gives the copy that shall lead instead of this one; now: at once.
func (s *Shard) heir(c *copyOf) (core.DiskID, bool) {
	if (len(c.refused) > 0 || c.hurt) && !c.raft && c.def.Policy.Election != core.ElectNone {
		if d := s.writer(c); d != 0 {
			return d, true
		}
	}
	if c.hurt && c.raft && !c.def.Changing {
		for _, m := range c.def.Members {
			if m.Disk != s.cfg.Self.Disk && m.InSync && s.living(m.Node) && s.stands(m.Disk) {
				return m.Disk, true
			}
		}
	}
	if !c.raft {
		return s.machine.Heir(c.id)
	}
	if len(c.def.Members) == 0 || c.def.Changing {
		return 0, false
	}
	m := c.def.Members[0]
	if m.Disk == s.cfg.Self.Disk || !m.InSync || !s.living(m.Node) || !s.stands(m.Disk) {
		return 0, false
	}
	return m.Disk, false
}

// writer gives the living copy in sync that has most, for a leader that cannot write.
func (s *Shard) writer(c *copyOf) (best core.DiskID) {
	most := core.Index(-1)
	for _, p := range c.rep.Progress(s.now.Mono) {
		if p.Disk != s.cfg.Self.Disk && p.InSync && p.Match > most && s.living(s.nodeOf(p.Disk)) {
			best, most = p.Disk, p.Match
		}
	}
	return best
}

// tendHeirs goes on with all that is to be handed over: once a beat.
func (s *Shard) tendHeirs() {
	all := s.heirs
	s.heirs = all[:0]
	looked := 0
	for _, c := range all {
		c.listedHeir = s.hosts(c) && c.leads && c.def != nil
		due := c.yielding != nil || c.yieldAt <= s.now.Mono
		if c.listedHeir && due && c.yielding == nil {
			heir, _ := s.heir(c)
			c.listedHeir = heir != 0
			looked++
		}
		if !c.listedHeir {
			c.yieldAt = 0
			continue
		}
		s.heirs = append(s.heirs, c)
		if due && looked <= preferMost {
			s.tendYield(c)
		}
	}
	clear(all[len(s.heirs):])
}

// tendYield takes a handing over a step on.
func (s *Shard) tendYield(c *copyOf) {
	if !c.listedHeir || !c.leads || c.sealing != nil || s.leaving != nil {
		return
	}
	y := c.yielding
	if y == nil {
		heir, _ := s.heir(c)
		if heir == 0 || c.yieldAt == 0 || s.now.Mono < c.yieldAt {
			return
		}
		c.yieldAt = s.now.Mono + yieldRetry
		if !s.leased() || !s.fit(c, heir) {
			return
		}
		if c.raft {
			c.rep.Yield(s.now.Mono, heir)
			s.mark(c)
			return
		}
		y = &yielding{to: heir, until: s.now.Mono + yieldWait}
		c.yielding = y
	}
	if y.asked {
		c.rep.Yield(s.now.Mono, y.to) // goes on taking nothing
		return
	}
	if s.now.Mono >= y.until || !s.living(s.nodeOf(y.to)) {
		s.endYield(c)
		return
	}
	c.rep.Yield(s.now.Mono, y.to)
	if s.hasAll(c, y.to) {
		s.askYield(c, y)
	}
}

// endYield takes appends again.
func (s *Shard) endYield(c *copyOf) {
	c.yielding = nil
	c.yieldAt = s.now.Mono + yieldRetry
	c.rep.Yield(s.now.Mono, s.cfg.Self.Disk)
	s.mark(c)
}

// fit says whether a copy is as good as caught up: the gap is then a moment.
func (s *Shard) fit(c *copyOf, d core.DiskID) bool {
	if !s.living(s.nodeOf(d)) {
		return false
	}
	for _, p := range c.rep.Progress(s.now.Mono) {
		if p.Disk == d {
			return p.InSync && p.Lag < yieldWait
		}
	}
	return false
}

// hasAll says whether a copy has everything, or, where this disk takes no more, all that
// this disk has: of the rest nothing was acknowledged.
func (s *Shard) hasAll(c *copyOf, d core.DiskID) bool {
	st := c.rep.Status()
	all := st.Last
	if len(c.refused) > 0 {
		all = max(st.Persisted, st.Committed)
	}
	for _, p := range c.rep.Progress(s.now.Mono) {
		if p.Disk == d {
			return p.Match >= all
		}
	}
	return false
}

func (s *Shard) askYield(c *copyOf, y *yielding) {
	y.asked = true
	epoch := c.epoch
	item := catalog.Yielding{Stream: c.id, Gen: c.gen, Epoch: epoch, To: y.to, Out: len(c.refused) > 0 || c.hurt}
	s.propose(catalog.Yield([]catalog.Yielding{item}), func(_ core.Index, b []byte, err error) {
		if c.yielding != y || c.epoch != epoch {
			return
		}
		r, bad := catalog.DecodeResult(b)
		switch {
		case err != nil || bad != nil:
			s.askYield(c, y) // it may be carried out yet
		case len(r.IDs) > 0:
			s.endYield(c)
		}
	})
}
