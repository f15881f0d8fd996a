package shard

import "trine/internal/core"

// A node is doubted once nothing was heard of it for doubtAfter, long before it can be
// held dead, until it is heard or fenced. What a majority does not hold dead within
// doubtPast of the time for it is doubted no more: it lives, if not for this node.
// A node that hears no majority doubts itself instead, and nobody else.
//
// Nothing is decided by doubt: clients that ask where to go are told of other nodes.
const (
	doubtAfter = 350 * core.Millisecond
	doubtPast  = 2 * core.Second
)

// forgiveLateness takes from the others' silence what this node did not listen: it was
// stopped, or had no processor, and what they said meanwhile may still be unread.
func (s *Shard) forgiveLateness() {
	late := s.now.Mono - s.beatAt
	if late < 2*s.opt.Beat {
		return
	}
	for _, p := range s.order {
		p.heard = min(p.heard+late, s.now.Mono)
	}
}

// showDoubts shows the nodes anew where one is doubted that was not, or no longer.
func (s *Shard) showDoubts() {
	hears := s.hearsMajority()
	alone := !hears || !s.leased()
	changed := alone != s.doubtsSelf
	s.doubtsSelf = alone
	for _, p := range s.order {
		if d := hears && s.doubts(p); d != p.doubted {
			p.doubted, changed = d, true
		}
	}
	if changed {
		s.showNodes()
	}
}

func (s *Shard) doubts(p *peer) bool {
	away := s.now.Mono - p.heard
	return p.id.Incarnation != 0 && (p.dead || away > doubtAfter && away < s.opt.Silence+doubtPast)
}

// hearsMajority says whether a majority of the catalog's voters was heard of lately.
func (s *Shard) hearsMajority() bool {
	voters, n := s.machine.Voters(), 0
	for _, v := range voters {
		p := s.peers[v.Node]
		if v.Disk == s.cfg.Self.Disk || p != nil && p.up && s.now.Mono-p.heard <= doubtAfter {
			n++
		}
	}
	return n > len(voters)/2
}
