package shard

import "trine/internal/core"

// A group whose leader is lost seeks another. The living voters stand in the order of
// their rank, and for each group again until it has a leader; many groups do so a
// bounded number at a time, so that votes are never behind thousands of others':
//
//	leader lost, or none known ──▶ seeks ── its turn, and room ──▶ campaigns ──▶ is led
//	                                  ▲                               │ not led in time
//	                                  └──────── waits twice as long ◀─┘

// seeking is one group's part.
type seeking struct {
	on    bool
	at    core.Time // when it campaigns next
	stood bool      // those before it in rank had their time
	tries int
}

const (
	campaignStep  = 150 * core.Millisecond // between two ranks' campaigns
	campaignAgain = 30 * core.Millisecond  // until the others hold the old leader dead too
	doublings     = 4                      // of campaignAgain
	openWait      = 2 * campaignStep       // until all copies of a group had the chance to open

	campaignsFew  = 64                     // so many do not burden anybody
	campaignsMost = 512                    // under way at once
	campaignCost  = 300 * core.Microsecond // of one, at most, for who waits behind others
	seekEvery     = 5 * core.Millisecond
)

// leaderLost has every group that the disk led seek another leader.
func (s *Shard) leaderLost(d core.DiskID) {
	lost := false
	for _, c := range s.list {
		if c.raft && c.rep.Status().Leader == d {
			c.rep.Forget(s.now.Mono, d)
			s.mark(c)
			s.seeks(c, s.now.Mono)
			lost = true
		}
	}
	if lost {
		s.lookForLeaders()
	}
}

// seek has a group find a leader, from a time on.
func (s *Shard) seek(c *copyOf, wait core.Time) {
	if s.seeks(c, s.now.Mono+wait); wait == 0 {
		s.lookForLeaders()
	} else {
		s.seekBy(c.seeking.at)
	}
}

func (s *Shard) seeks(c *copyOf, at core.Time) {
	k := &c.seeking
	if k.on {
		if k.tries == 0 {
			k.at = min(k.at, at)
		}
		return
	}
	*k = seeking{on: true, at: at}
	s.seekers = append(s.seekers, c)
	if c == s.agreed { // all others may wait for what only it can decide
		copy(s.seekers[1:], s.seekers)
		s.seekers[0] = c
	}
}

// seekBy has the seekers looked at no later than at.
func (s *Shard) seekBy(at core.Time) {
	if s.seekAt != 0 && s.seekAt <= at {
		return
	}
	s.seekAt = at
	s.timers.add(at, func() {
		if s.seekAt == at {
			s.seekAt = 0
			s.lookForLeaders()
		}
	})
}

// lookForLeaders lets those campaign whose turn has come, as far as there is room.
func (s *Shard) lookForLeaders() {
	cs := s.seekers
	keep := cs[:0]
	next, running := core.Time(0), 0
	for _, c := range cs {
		k := &c.seeking
		if k.on = s.hosts(c) && c.raft && c.rep.Status().Leader == 0; !k.on {
			continue
		}
		keep = append(keep, c)
		if k.at <= s.now.Mono && (running < campaignsMost || c == s.agreed) {
			s.campaign(c, running)
		}
		if k.tries > 0 && k.at > s.now.Mono {
			running++
		}
		if next == 0 || k.at < next {
			next = k.at
		}
	}
	clear(cs[len(keep):])
	s.seekers = keep
	if len(keep) > 0 {
		s.seekBy(max(next, s.now.Mono+seekEvery))
	}
}

// campaign lets this copy stand, if its living voters are a majority, and says when it
// may again.
func (s *Shard) campaign(c *copyOf, running int) {
	k := &c.seeking
	rank, ok := s.rank(c)
	if !ok {
		k.at = s.now.Mono + campaignStep
		return
	}
	if c.hurt {
		rank += len(s.membersOf(c)) // others can serve all of it
	}
	if rank > 0 && !k.stood { // who stands first has all of them to get through
		k.stood = true
		k.at = s.now.Mono + core.Time(rank)*(campaignStep+core.Time(len(s.seekers))*campaignCost)
		return
	}
	double := k.tries
	if c == s.agreed || len(s.seekers) < campaignsFew {
		double = max(0, double-doublings) // who waits for votes on a slow disk gets them yet
	}
	again := campaignAgain << min(double, doublings)
	if rank > 0 { // two that stand in step take each other's votes
		again += campaignStep + core.Time(s.random()%uint64(campaignStep))
	}
	k.at = s.now.Mono + again + core.Time(running)*campaignCost
	k.tries++
	c.rep.Campaign(s.now.Mono)
	s.mark(c)
}

// rank gives this copy's place among the living voters of its group; not ok where
// it has no vote or the living are no majority.
func (s *Shard) rank(c *copyOf) (int, bool) {
	members := s.membersOf(c)
	rank, self, alive := 0, false, 0
	for _, m := range members {
		if m.Disk == s.cfg.Self.Disk {
			self = true
			alive++
		} else if s.living(m.Node) {
			alive++
			if !self {
				rank++
			}
		}
	}
	return rank, self && alive > len(members)/2
}
