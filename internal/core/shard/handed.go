package shard

import (
	"sort"

	"trine/internal/core"
)

// lent brings what another node's queue lends to consumers of this one.
//
// A node whose lease is over may have been held dead, and what it was lent given to
// others: it takes no lend then, and asks again once it has its lease.
func (s *Shard) lent(p *peer, m *core.Lends) {
	if t := s.targets[m.Stream]; t != nil && !s.sure() {
		t.missed = true
		s.pend(t)
		return
	}
	for i := range m.Lends {
		s.hand(m.Stream, p.node, m.Epoch, &m.Lends[i])
	}
	for _, d := range m.Drained {
		s.drained(p.node, d)
	}
	for _, e := range m.Ended {
		s.ended(p.node, e)
	}
}

// hand gives one message to its consumer. From another than the leader that it is
// attached to it is not taken: that leader's successor lends it again.
func (s *Shard) hand(stream core.StreamID, from core.NodeID, epoch core.Epoch, l *core.Lend) {
	hd := s.holdings[l.Consumer]
	if hd == nil || hd.gone || hd.stream != stream || hd.asked != from || epoch < hd.epoch || l.Try != hd.try {
		return
	}
	if !hd.attach.Settled {
		i := sort.Search(len(hd.held), func(i int) bool { return hd.held[i] >= l.Offset })
		if i < len(hd.held) && hd.held[i] == l.Offset {
			return // it has it already
		}
		hd.held = append(hd.held, 0)
		copy(hd.held[i+1:], hd.held[i:])
		hd.held[i] = l.Offset
	}
	if !hd.attach.Renew && hd.attach.Messages > 0 {
		hd.attach.Messages--
	}
	hd.attach.Bytes = max(1, hd.attach.Bytes-int64(len(l.Record.Value)))
	if n := len(s.out.Lends); n > 0 && s.out.Lends[n-1].Holder == hd.holder && s.out.Lends[n-1].Lends != nil {
		s.out.Lends[n-1].Lends = append(s.out.Lends[n-1].Lends, *l)
		return
	}
	s.out.Lends = append(s.out.Lends, Lent{Holder: hd.holder, Lends: []core.Lend{*l}})
}

func (s *Shard) drained(from core.NodeID, d core.DrainedCredit) {
	hd := s.holdings[d.Consumer]
	if hd == nil || hd.gone || hd.asked != from {
		return
	}
	hd.drain = false
	if hd.attach.Messages > 0 && !hd.attach.Renew {
		hd.attach.Messages = 0
	}
	s.out.Lends = append(s.out.Lends, Lent{Holder: hd.holder, Drained: &d})
}

func (s *Shard) ended(from core.NodeID, e core.EndedAttachment) {
	hd := s.holdings[e.Consumer]
	if hd == nil || hd.asked != from {
		return
	}
	s.drop(hd)
	s.out.Lends = append(s.out.Lends, Lent{Holder: hd.holder, Ended: &e})
}

// holds attaches this node's consumers of some streams to the sender, who leads them
// now. What this node still believes of an older leadership is over.
func (s *Shard) holds(p *peer, m *core.Holds) {
	streams := make([]core.StreamID, 0, len(m.Leads))
	for _, l := range m.Leads {
		streams = append(streams, l.Stream)
		if t := s.targets[l.Stream]; t != nil && l.Epoch >= t.epoch {
			for _, hd := range t.holdings {
				if !hd.stands { // it was asked before the sender could say yes
					hd.asked = 0
				}
			}
			s.stray(t)
			s.aimAt(t, p.node, l.Epoch)
		}
	}
	s.send(p.node, &core.Held{Streams: streams})
}

// aimAt points all that is under way at a leadership, unless it is there already.
func (s *Shard) aimAt(t *target, leader core.NodeID, epoch core.Epoch) {
	if t.leader == leader && t.epoch == epoch && !t.stale {
		return
	}
	if t.leader != leader || t.epoch != epoch {
		t.unsent()
		for _, hd := range t.holdings {
			hd.asked = 0
		}
	}
	t.leader, t.epoch, t.stale = leader, epoch, false
	s.reattach(t)
	s.touch(t)
}
