package sim

import (
	"io"

	"trine/internal/core"
	"trine/internal/core/shard"
)

// Climate is a story in which one planted bug must do harm, whatever else the seed
// draws: how long things take. Without the bug nothing may be found in it.
type Climate struct {
	Plant string
	Harm  []Class // what the bug must be noticed by: one of these
	play  func(r *runner) bool
}

// Climates gives one for each planted bug.
func Climates() []Climate {
	return []Climate{
		{EarlyAck, []Class{Lost}, (*runner).powerGoes},
		{LostVote, []Class{TwoLeaders}, (*runner).votesTwice},
		{CommitOff, []Class{Taken}, (*runner).servesTooMuch},
		{LostDedupe, []Class{Repeated}, (*runner).losesAnswers},
		{LostSettlement, []Class{CameAgain}, (*runner).changesHands},
		{UnfencedLeaders, []Class{Lost}, (*runner).leadsAlone},
	}
}

// Run plays the climate, with its bug or without.
func (c Climate) Run(seed uint64, planted bool, trace io.Writer) *Report {
	plant := ""
	if planted {
		plant = c.Plant
	}
	return run(seed, trace, plant, func(r *runner) {
		if r.begin() && c.play(r) {
			r.end()
		}
	})
}

// open defines a stream with its copies in an order, and waits until it is led.
func (r *runner) open(name string, p core.Policy, queue bool, at ...core.NodeID) *subject {
	s := r.subject(name, p, queue)
	s.at = at
	if !r.load(s) {
		return nil
	}
	led := func() bool {
		for _, n := range r.w.Nodes {
			if v := n.Streams[name]; v == nil || v.Leader == 0 || len(v.Members) != p.Copies {
				return false
			}
		}
		return true
	}
	if !r.w.Until(5*core.Second, led) {
		r.fail(Stuck, "nobody leads %s", name)
		return nil
	}
	r.w.Run(300 * core.Millisecond)
	return s
}

// leader gives who leads a stream, and the two others.
func (r *runner) leader(s *subject) (lead, second, third *Node) {
	i := int(r.w.Nodes[0].Streams[s.name].Leader) - 1
	return r.w.Nodes[i], r.w.Nodes[(i+1)%3], r.w.Nodes[(i+2)%3]
}

// silence cuts what is between two nodes; what is sent waits.
func (r *runner) silence(a, b *Node) { l := r.w.wire(a.ID, b.ID); l.cutAB, l.cutBA = true, true }

// back starts a node again and waits until it is linked to another.
func (r *runner) back(n, o *Node) {
	r.start(n)
	r.w.Until(core.Second, func() bool { return r.w.wire(n.ID, o.ID).up })
}

// powerGoes: the power goes at all nodes at once, in the middle of everything.
func (r *runner) powerGoes() bool {
	if r.open("log", core.Mirror(3, core.FlushEach), false, 1, 2, 3) == nil {
		return false
	}
	for _, n := range r.w.Nodes {
		r.powerCut(n, 100*core.Millisecond)
	}
	return r.w.Until(5*core.Second, r.allMembers)
}

// votesTwice: two nodes are told by the same leader to stand for its place, one of
// them late and without having heard of the other; the one voter that both ask ends
// in between and is back at once.
func (r *runner) votesTwice() bool {
	s := r.open("log", core.Majority(3), false, 1, 2, 3)
	if s == nil {
		return false
	}
	voter, first, late := r.leader(s)
	s.rests = true
	r.w.Run(100 * core.Millisecond)
	epoch := voter.Streams[s.name].Epoch
	r.silence(late, first)
	r.silence(late, voter)
	r.stand(s, voter, first, epoch)
	leads := func() bool { v := first.Streams[s.name]; return v.Leader == first.ID && v.Epoch > epoch }
	if !r.w.Until(core.Second, leads) {
		r.fail(Stuck, "node %d was told to stand, and does not lead", first.ID)
		return false
	}
	r.silence(first, voter)
	voter.Kill("the voter ends")
	l := r.w.wire(late.ID, voter.ID)
	l.heal()
	r.back(voter, late)
	r.stand(s, voter, late, epoch)
	r.w.Run(1500 * core.Millisecond)
	s.rests = false
	return true
}

// stand has a node hear its leader's word to stand for leadership.
func (r *runner) stand(s *subject, from, to *Node, epoch core.Epoch) {
	to.push(shard.Event{Kind: shard.Message, Peer: from.self, Msg: &core.Replicate{Stream: s.id, Gen: 1,
		Type: core.RepTimeoutNow, From: from.disk, To: to.disk, Epoch: epoch}})
}

// servesTooMuch: a copy that is ahead of what every copy has serves readers, the leader
// dies, and the copy that leads next never had it.
func (r *runner) servesTooMuch() bool {
	s := r.open("log", core.Mirror(3, core.FlushEach), false, 1, 2, 3)
	if s == nil {
		return false
	}
	lead, second, third := r.leader(s)
	s.watch(third)
	r.w.Run(200 * core.Millisecond)
	r.silence(lead, second)
	r.w.Run(200 * core.Millisecond)
	lead.Kill("the leader ends")
	r.restart(lead, core.Second)
	r.w.Run(3 * core.Second)
	return true
}

// losesAnswers: what a node enters arrives at the leader, and the answer does not.
func (r *runner) losesAnswers() bool {
	s := r.open("log", core.Majority(3), false, 1, 2, 3)
	if s == nil {
		return false
	}
	lead, second, _ := r.leader(s)
	l := r.w.wire(lead.ID, second.ID)
	for range 3 {
		l.cutAB, l.cutBA = lead == l.a, lead == l.b
		r.w.Run(100 * core.Millisecond)
		l.heal()
		l.end("the answers are lost")
		r.w.Run(300 * core.Millisecond)
	}
	return true
}

// changesHands: the queue's leaders die one after another, so that every copy's memory
// of what was settled is asked.
func (r *runner) changesHands() bool {
	s := r.open("queue", core.Mirror(3, core.FlushEach), true, 1, 3, 2)
	if s == nil {
		return false
	}
	for range 3 {
		lead, _, _ := r.leader(s)
		lead.Kill("the leader ends")
		r.w.Run(500 * core.Millisecond)
		r.start(lead)
		whole := func() bool {
			v := r.w.Nodes[0].Streams[s.name]
			return r.allMembers() && v.InSyncCount() == 3 && v.Leader != 0
		}
		if !r.w.Until(5*core.Second, whole) {
			r.fail(Stuck, "not every copy is in sync again")
			return false
		}
		r.w.Run(300 * core.Millisecond)
	}
	return true
}

// leadsAlone: a leader that is cut off from all others goes on taking appends while
// another leads already.
func (r *runner) leadsAlone() bool {
	s := r.open("log", core.Mirror(3, core.FlushEach), false, 1, 2, 3)
	if s == nil {
		return false
	}
	lead, second, third := r.leader(s)
	r.silence(lead, second)
	r.silence(lead, third)
	r.w.Run(3 * core.Second)
	return true
}
