package shard

import (
	"sort"

	"trine/internal/core"
	"trine/internal/core/catalog"
)

// peer is another node, as this one knows it.
type peer struct {
	node core.NodeID
	id   core.Peer // of the last handshake
	up   bool

	heard     core.Time // when its last message came
	answered  core.Time // our clock, when the last beat it answered was sent
	supported core.Time // when this node last answered a beat of its run
	wall      core.Stamp
	beats     uint64

	silent, gone bool                         // what this node holds of it
	suspected    core.Time                    // when it last said so
	told         map[core.NodeID]core.Suspect // what others hold of it
	dead         bool                         // a majority of the voters hold it dead
	fencing      bool                         // its fence is being proposed
	stood        core.Incarnation             // the run that the catalog showed alive last
	cramped      bool                         // its disk, as it said
	doubted      bool                         // as it was shown: see doubts
}

// leaseGrace is how long attachments outlive the link to their node.
const leaseGrace = 3 * core.Second

func (s *Shard) peer(n core.NodeID) *peer {
	p := s.peers[n]
	if p == nil {
		p = &peer{node: n, heard: s.now.Mono, told: map[core.NodeID]core.Suspect{}}
		s.peers[n] = p
		i := sort.Search(len(s.order), func(i int) bool { return s.order[i].node > n })
		s.order = append(s.order, nil)
		copy(s.order[i+1:], s.order[i:])
		s.order[i] = p
	}
	return p
}

// nodeOf gives the node that a disk is bound to: what the handshakes said, else the
// catalog.
func (s *Shard) nodeOf(d core.DiskID) core.NodeID {
	if d == s.cfg.Self.Disk {
		return s.cfg.Self.Node
	}
	for _, p := range s.order {
		if p.up && p.id.Disk == d {
			return p.node
		}
	}
	for _, n := range s.machine.Nodes() {
		if n.Disk == d {
			return n.Node
		}
	}
	for _, m := range s.machine.Voters() {
		if m.Disk == d {
			return m.Node
		}
	}
	return 0
}

func (s *Shard) diskOf(n core.NodeID) core.DiskID {
	if n == s.cfg.Self.Node {
		return s.cfg.Self.Disk
	}
	for _, i := range s.machine.Nodes() {
		if i.Node == n {
			return i.Disk
		}
	}
	return 0
}

func (s *Shard) linkUp(id core.Peer) {
	p := s.peer(id.Node)
	if p.up {
		s.linkDown(p.id, false)
	}
	again := p.id
	p.id, p.up, p.heard, p.answered = id, true, s.now.Mono, 0
	if again.Incarnation != id.Incarnation {
		p.supported = 0
	}
	if p.gone || p.silent {
		p.gone, p.silent = false, false
		s.tell(p)
	}
	for _, q := range s.order { // what this node holds of others
		if q != p && (q.gone || q.silent) {
			s.send(p.node, &core.Suspect{Peer: q.id, Evidence: q.gone, Silent: q.silent})
		}
	}
	s.judge(p)
	s.announceTo(p)
	s.reconnect(p, again)
	if s.member || s.agreed != nil {
		s.register()
	}
}

// linkDown ends what stood on the connections. gone: its process is not there.
func (s *Shard) linkDown(id core.Peer, gone bool) {
	p := s.peer(id.Node)
	if p.id.Incarnation != 0 && id.Incarnation != p.id.Incarnation {
		return
	}
	if p.up {
		p.up = false
		s.dropRequests(p)
		s.out.Dials = append(s.out.Dials, p.node)
		run := p.id.Incarnation
		s.timers.add(s.now.Mono+leaseGrace, func() {
			if !p.up || p.id.Incarnation != run {
				s.detachNode(run)
			}
		})
	}
	if gone && !p.gone {
		p.gone = true
		s.tell(p)
		s.judge(p)
	}
}

// beat says to every node that this one lives, and looks who does not.
func (s *Shard) beat() {
	s.forgiveLateness()
	s.beatAt = s.now.Mono + s.opt.Beat
	s.meet()
	for _, p := range s.order {
		p.beats++
		s.send(p.node, &core.Beat{Seq: p.beats, Sent: s.now.Mono, Wall: s.now.Wall,
			Applied: s.agreed.done, Cramped: s.cramped})
		silent := s.now.Mono-p.heard > s.opt.Silence
		if silent != p.silent && p.id.Incarnation != 0 {
			p.silent = silent
			s.tell(p)
			s.judge(p)
		}
		if p.dead {
			s.proposeFence(p)
		}
	}
	s.showDoubts()
	s.tickCopies()
	s.tendHeirs()
	s.register()
	s.resendProposals(false)
	s.retryTargets()
	s.releaseHeld()
	s.askSure()
	s.askSync() // what was asked before there was a lease, or a leader
}

// meet takes the runs that the catalog shows alive and that this node has never been
// linked to as runs that it has not heard of: who is out of its reach from the
// beginning must be held dead as one whose link ended, or nobody ever fences it.
func (s *Shard) meet() {
	for _, n := range s.machine.Nodes() {
		p := s.peers[n.Node]
		if p == nil || p.up || !n.Alive || n.Incarnation == 0 || p.id.Incarnation == n.Incarnation {
			continue
		}
		before := p.id.Incarnation
		p.id, p.gone, p.silent, p.heard, p.answered = n.Peer, false, false, s.now.Mono, 0
		if before != 0 {
			s.over(before)
		}
		s.judge(p)
	}
}

// forgive is how long after a suspicion a node is given no lease: its fence may be on
// its way, and a lease would let it go on beside who took over.
const forgive = 500 * core.Millisecond

func (s *Shard) beaten(p *peer, b *core.Beat) {
	p.wall = b.Wall
	if p.cramped != b.Cramped {
		p.cramped = b.Cramped
		s.showNodes()
	}
	if !p.silent && !p.gone && s.aliveInCatalog(p.id) && (p.suspected == 0 || s.now.Mono-p.suspected > forgive) {
		p.supported = s.now.Mono
		s.send(p.node, &core.BeatAnswer{Seq: b.Seq, Sent: b.Sent})
	}
	if p.silent {
		p.silent = false
		s.tell(p)
		s.judge(p)
	}
}

func (s *Shard) beatAnswered(p *peer, b *core.BeatAnswer) {
	had := s.leased()
	if b.Sent > p.answered && b.Sent <= s.now.Mono {
		p.answered = b.Sent
	}
	if !had && s.leased() {
		s.regained()
	}
}

// tell says to every node what this one holds of p.
func (s *Shard) tell(p *peer) {
	if p.gone || p.silent {
		p.suspected = s.now.Mono
	}
	m := core.Suspect{Peer: p.id, Evidence: p.gone, Silent: p.silent, Back: !p.gone && !p.silent}
	for _, q := range s.order {
		if q != p {
			s.send(q.node, &m)
		}
	}
}

func (s *Shard) told(from *peer, m *core.Suspect) {
	if m.Peer.Node == s.cfg.Self.Node {
		return
	}
	p := s.peer(m.Peer.Node)
	if m.Back {
		delete(p.told, from.node)
	} else {
		p.told[from.node] = *m
	}
	s.judge(p)
}

// judge counts who holds p dead, and acts once it is a majority of the voters.
func (s *Shard) judge(p *peer) {
	voters, n := s.machine.Voters(), 0
	for _, v := range voters {
		if v.Node == s.cfg.Self.Node {
			if p.gone || p.silent {
				n++
			}
		} else if t, ok := p.told[v.Node]; ok && t.Peer.Incarnation == p.id.Incarnation {
			if q := s.peers[v.Node]; q != nil && q.up {
				n++
			}
		}
	}
	dead := n > len(voters)/2 && (p.gone || p.silent)
	if dead == p.dead {
		return
	}
	p.dead = dead
	s.showDoubts()
	if !dead {
		s.note(0, "a node is back", "node", p.node)
		return
	}
	s.note(4, "a node is held dead", "node", p.node, "gone", p.gone, "silent", p.silent)
	s.leaderLost(p.id.Disk)
	s.proposeFence(p)
}

// proposeFence asks for the one entry that says that p's run is over.
func (s *Shard) proposeFence(p *peer) {
	if p.fencing || !s.agreed.leads || !p.dead || !s.aliveInCatalog(p.id) {
		return
	}
	p.fencing = true
	s.propose(catalog.Fence(p.id), func(core.Index, []byte, error) { p.fencing = false })
}

func (s *Shard) aliveInCatalog(id core.Peer) bool {
	for _, n := range s.machine.Nodes() {
		if n.Node == id.Node {
			return n.Alive && n.Incarnation == id.Incarnation
		}
	}
	return false
}

// living says whether a node is one to count on now: this one, or one linked and
// not suspected.
func (s *Shard) living(n core.NodeID) bool {
	if n == s.cfg.Self.Node {
		return true
	}
	p := s.peers[n]
	return p != nil && p.up && !p.silent && !p.dead
}
