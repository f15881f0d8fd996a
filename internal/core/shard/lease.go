package shard

import (
	"slices"

	"trine/internal/core"
	"trine/internal/core/catalog"
	"trine/internal/core/replica"
)

// A lease says that nobody takes over while it stands. It does not say that nobody has
// while it did not: a node that was stopped for seconds is answered again before it
// learns that others lead by now what it led. So a lease that was regained counts for a
// stream only once it is known that no lead was lost before:
//
//	lease lost ── regained, number n + 1 ─┬─▶ Raft: a majority confirms the epoch under n + 1
//	                                      └─▶ else: all that was agreed by then is applied here
//
// A new leader's election is such a confirmation.

// leased says whether this node may acknowledge and lend on its own word: a
// majority of the catalog's voters answered a beat sent less than Options.Lease
// ago. None of them supports this node's fencing before that has passed. A voter whose
// link ended counts no more.
func (s *Shard) leased() bool {
	voters := s.machine.Voters()
	if s.onlyVoter() {
		return true
	}
	since, n := s.now.Mono-s.opt.Lease, 0
	for _, v := range voters {
		if v.Disk == s.cfg.Self.Disk {
			n++
		} else if p := s.peers[v.Node]; p != nil && p.up && p.answered > since && p.answered > 0 {
			n++
		}
	}
	return n > len(voters)/2
}

func (s *Shard) onlyVoter() bool {
	voters := s.machine.Voters()
	return len(voters) == 1 && voters[0].Disk == s.cfg.Self.Disk
}

// regained takes that the lease stands again, or for the first time.
func (s *Shard) regained() {
	s.hadLease = true
	s.leaseNumber++
	for _, c := range s.list {
		if c.raft && c.leads && (c == s.agreed || c.lender != nil || !c.rep.Status().Quiet) {
			s.confirm(c)
		}
	}
	s.askSure()
	s.showDoubts()
	s.releaseHeld()
	s.askSync()
}

// askSure has all that is agreed by now applied here.
func (s *Shard) askSure() {
	n := s.leaseNumber
	if n == s.sureOf || n == s.sureAsked {
		return
	}
	s.sureAsked = n
	s.sync(func(err error) {
		switch {
		case s.sureAsked != n:
		case err != nil:
			s.sureAsked = 0 // asked again with the next beat
		default:
			s.sureOf = n
			s.releaseHeld()
		}
	})
}

// sure says whether this node has its lease, and knows what was agreed before it had.
func (s *Shard) sure() bool {
	return s.onlyVoter() || s.leased() && s.sureOf == s.leaseNumber
}

// certain says whether what a copy that leads here lacks nobody has: no other leads, and
// none can yet.
func (s *Shard) certain(c *copyOf) bool {
	switch {
	case c.def != nil && c.def.Policy.Election == core.ElectNone:
		return true
	case c.raft:
		return s.leased() && s.confirmed(c)
	}
	return s.sure()
}

// confirmed says whether a group is still led here as of the present lease; if that is
// not known it is asked.
func (s *Shard) confirmed(c *copyOf) bool {
	if c.electedIn == s.leaseNumber || s.onlyVoter() || c.rep.Status().Confirmed == s.leaseNumber {
		return true
	}
	if c.confirmAt <= s.now.Mono {
		s.confirm(c)
	}
	return c.rep.Status().Confirmed == s.leaseNumber
}

// confirm asks a group's voters, at most once a beat.
func (s *Shard) confirm(c *copyOf) {
	c.confirmAt = s.now.Mono + s.opt.Beat
	c.rep.Confirm(s.now.Mono, s.leaseNumber)
	s.mark(c)
}

// forgets says whether this voter may help another than the leader to lead: not while the
// lease of the leader's node rests on its answers, unless that node is known to be dead.
// What it answered before it started it does not know: for as long as that may count it
// helps nobody while a node may live on it.
func (s *Shard) forgets(c *copyOf, m *core.Replicate) bool {
	if m.Type != core.RepVote && m.Type != core.RepPreVote || replica.Transfer(m) {
		return true
	}
	switch leader := c.rep.Status().Leader; leader {
	case m.From:
		return true
	case s.cfg.Self.Disk:
		return !s.leased()
	case 0:
		return s.now.Mono-s.beganAt >= s.opt.Lease || !s.mayRestOn(m.From)
	default:
		p := s.peers[s.nodeOf(leader)]
		return p == nil || !s.supports(p)
	}
}

// supports says whether a node's lease may rest on this voter's answers.
func (s *Shard) supports(p *peer) bool {
	return p.supported != 0 && s.now.Mono-p.supported < s.opt.Lease && !p.gone && !p.dead
}

// mayRestOn says whether a lease may rest on what an earlier run of this node answered:
// of any node but the candidate's that has not begun another run since, or been fenced.
func (s *Shard) mayRestOn(candidate core.DiskID) bool {
	for _, was := range s.found {
		if was.Disk == candidate || was.Node == s.cfg.Self.Node {
			continue
		}
		p := s.peers[was.Node]
		if p != nil && p.up {
			if p.id.Incarnation == was.Incarnation {
				return true
			}
			continue
		}
		if (p == nil || !p.gone && !p.dead) && !s.fenced(was) {
			return true
		}
	}
	return false
}

// fenced says whether the catalog, as applied here, shows that a run is over.
func (s *Shard) fenced(id core.Peer) bool {
	for _, n := range s.machine.Nodes() {
		if n.Node == id.Node && n.Incarnation == id.Incarnation {
			return !n.Alive
		}
	}
	return false
}

// findRuns notes who was alive when this run began, as its disk has it: agreed or not,
// the last run of each node.
func (s *Shard) findRuns() {
	last := map[core.NodeID]core.Peer{}
	for _, n := range s.machine.Nodes() {
		if n.Alive {
			last[n.Node] = n.Peer
		}
	}
	t := s.agreed.rep.Tail()
	for i := t.First(); i <= t.Last(); i++ {
		if e := t.Entry(i); e.Kind == core.EntryCatalog && len(e.Data) > envelopeSize {
			if p, ok := catalog.Registers(e.Data[envelopeSize:]); ok {
				last[p.Node] = p
			}
		}
	}
	for _, p := range last {
		s.found = append(s.found, p)
	}
	slices.SortFunc(s.found, func(a, b core.Peer) int { return int(a.Node) - int(b.Node) })
}
