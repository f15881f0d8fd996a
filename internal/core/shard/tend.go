package shard

import (
	"slices"
	"sort"

	"trine/internal/core"
	"trine/internal/core/catalog"
	"trine/internal/core/replica"
)

// wishKey is one in-sync change that a leader asked the catalog for.
type wishKey struct {
	stream core.StreamID
	disk   core.DiskID
	add    bool
}

// wish gathers a leader's wish for the catalog. A turn's wishes go in one entry.
func (s *Shard) wish(c *copyOf, w replica.InSyncChange) {
	s.wishes = append(s.wishes, catalog.InSyncChange{Stream: c.id, Gen: c.gen, Epoch: w.Epoch,
		Disk: w.Disk, Add: w.Add})
}

// voteAgain is between two wishes for the same copy.
const voteAgain = core.Second

// wishVoters tells the catalog which members of a group vote by now: raft promotes a
// copy once it has caught up, and only the group's own log says so.
func (s *Shard) wishVoters(c *copyOf) {
	if s.now.Mono < c.voteAt {
		return
	}
	members := s.membersOf(c)
	c.voteAt = s.now.Mono + voteAgain
	for _, p := range c.rep.Progress(s.now.Mono) {
		for _, m := range members {
			if m.Disk == p.Disk && p.InSync && !m.InSync {
				s.wish(c, replica.InSyncChange{Epoch: c.epoch, Disk: m.Disk, Add: true})
			}
		}
	}
}

func (s *Shard) sendWishes() {
	if len(s.wishes) == 0 {
		return
	}
	var ws, vain []catalog.InSyncChange
	for _, w := range s.wishes {
		if !s.member || w.Add && !s.stands(w.Disk) { // the catalog would refuse it
			vain = append(vain, w)
		} else {
			ws = append(ws, w)
		}
	}
	s.wishes = s.wishes[:0]
	s.wished(vain, func(core.StreamID) bool { return false })
	if len(ws) == 0 {
		return
	}
	s.propose(catalog.InSync(ws), func(_ core.Index, b []byte, err error) {
		r, bad := catalog.DecodeResult(b)
		if err != nil || bad != nil {
			return
		}
		refused := map[core.StreamID]bool{}
		for _, id := range r.IDs {
			refused[id] = true
		}
		s.wished(ws, func(id core.StreamID) bool { return !refused[id] })
	})
}

// wishAgain has the leaders of this node look anew at their copies on a disk that may
// be in sync from now on.
func (s *Shard) wishAgain(d core.DiskID) {
	for _, c := range s.list {
		if c.raft || !c.leads || c.def == nil {
			continue
		}
		for _, m := range c.def.Members {
			if m.Disk == d && !m.InSync {
				c.rep.Reconnected(s.now.Mono, d)
				s.mark(c)
			}
		}
	}
}

// stands says whether a disk is the present one of a node that is alive.
func (s *Shard) stands(d core.DiskID) bool {
	for _, n := range s.machine.Nodes() {
		if n.Disk == d {
			return n.Alive
		}
	}
	return false
}

// wished tells the copies what became of their wishes.
func (s *Shard) wished(ws []catalog.InSyncChange, taken func(core.StreamID) bool) {
	for _, w := range ws {
		c := s.copies[w.Stream]
		if w.Stream == core.CatalogStream {
			c = s.agreed
		}
		if c != nil {
			c.rep.Wished(replica.InSyncChange{Epoch: w.Epoch, Disk: w.Disk, Add: w.Add}, taken(w.Stream))
			s.mark(c)
		}
	}
}

// catalogLed takes that the catalog has another leader, or none.
func (s *Shard) catalogLed() {
	if s.syncs.asking {
		return // the answer, or its loss, will come
	}
	if !s.agreed.leads {
		s.resendProposals(true)
		s.askSync()
		s.register()
	}
}

// reconnect takes up again what the end of a link interrupted.
func (s *Shard) reconnect(p *peer, before core.Peer) {
	for _, c := range s.list {
		c.rep.Reconnected(s.now.Mono, p.id.Disk)
		s.mark(c)
		if c.raft && c.rep.Status().Leader == 0 {
			s.seek(c, openWait)
		}
	}
	if before.Incarnation != 0 && before.Incarnation != p.id.Incarnation {
		s.detachNode(before.Incarnation)
	}
	for _, t := range s.sortedTargets() {
		if t.leader == p.node {
			for _, hd := range t.holdings {
				hd.asked = 0
			}
			s.again(t)
		}
	}
	s.resendProposals(false)
	s.askSync()
}

func (s *Shard) sortedTargets() []*target {
	ts := make([]*target, 0, len(s.targets))
	for _, t := range s.targets {
		ts = append(ts, t)
	}
	sort.Slice(ts, func(i, j int) bool { return ts[i].id < ts[j].id })
	return ts
}

// leaving is a node that hands over what it leads before it ends.
type leaving struct {
	done   func(error)
	until  core.Time
	drain  core.Time // until then it waits for others to have everything
	asked  bool
	handed bool
}

// leaveWait is how long handing over may take.
const leaveWait = 3 * core.Second

// leave hands over all that this node leads, then says done. What only this node has
// a copy of ends with it.
func (s *Shard) leave(done func(error)) {
	if s.leaving != nil {
		s.answer(func() { done(fail("stop", core.Shut, "it is stopping already")) })
		return
	}
	s.leaving = &leaving{done: done, until: s.now.Mono + leaveWait}
	s.note(0, "handing over what this node leads")
	if s.alone() {
		s.leaving.asked, s.leaving.handed = true, true
		return
	}
	for _, c := range s.list {
		if c.leads && !c.raft && c.def.Policy.Election != core.ElectNone {
			c.rep.Yield(s.now.Mono, 0)
			s.mark(c)
		}
	}
	s.leaving.drain = s.now.Mono + drainWait
	s.timers.add(s.leaving.drain, func() {})
	s.timers.add(s.leaving.until, func() {})
}

// drainWait is how long the copies in sync may take to have all of what a node leads
// before it hands over: what its leader acknowledged alone would be lost with it. Where
// copies do not lag this is a moment; where they do, clients wait for them.
const drainWait = core.Second

// allHave says whether all that was appended here is on every living copy in sync.
func (s *Shard) allHave() bool {
	for _, c := range s.list {
		if c.leads && !c.raft && c.def.Policy.Election != core.ElectNone && !s.everywhere(c) {
			return false
		}
	}
	return true
}

// everywhere says whether the living copies in sync have all that this leader has.
func (s *Shard) everywhere(c *copyOf) bool {
	last := c.rep.Status().Last
	for _, p := range c.rep.Progress(s.now.Mono) {
		if p.InSync && p.Match < last && s.living(s.nodeOf(p.Disk)) {
			return false
		}
	}
	return true
}

// handOver has the catalog give what this node leads to others.
func (s *Shard) handOver() {
	s.leaving.asked = true
	s.propose(catalog.HandOver(s.cfg.Self), func(core.Index, []byte, error) {
		s.leaving.handed = true
		for _, c := range s.list {
			if c.raft && c.leads {
				c.rep.Yield(s.now.Mono, 0)
				s.mark(c)
			}
		}
	})
}

// alone says whether there is nobody to hand over to.
func (s *Shard) alone() bool {
	for _, p := range s.order {
		if s.living(p.node) {
			return false
		}
	}
	return true
}

func (s *Shard) checkLeaving() {
	l := s.leaving
	if l == nil || l.done == nil {
		return
	}
	if !l.asked && (s.now.Mono >= l.drain || s.allHave()) {
		s.handOver()
	}
	if l.handed && s.now.Mono < l.until && !s.alone() {
		for _, c := range s.list {
			if c.raft && c.leads && len(s.membersOf(c)) > 1 {
				return
			}
		}
	} else if !l.handed && s.now.Mono < l.until {
		return
	}
	done := l.done
	l.done = nil
	s.answer(func() { done(nil) })
}

// full takes that a write found no room. Nothing of it was written, nor of what came
// behind it: all of it is written again, in order, until there is room. Until then the
// copy takes nothing new, and a group that it leads finds another leader.
func (s *Shard) full(w writeRef, err error) {
	c := w.c
	if c == nil || !s.hosts(c) {
		return
	}
	if len(c.refused) == 0 {
		s.note(8, "the disk is full; what was refused is tried again", "stream", s.nameOf(c), "err", err)
		s.timers.add(s.now.Mono+fullAgain, func() { s.writeAgain(c) })
		if c.raft && c.leads {
			c.rep.Yield(s.now.Mono, 0)
			s.mark(c)
		}
		if st := c.rep.Status(); !c.raft && !c.leads && c.def.Policy.Commit == core.CommitInSync {
			s.wish(c, replica.InSyncChange{Epoch: st.Epoch, Disk: s.cfg.Self.Disk}) // nobody waits for it
		}
	}
	// What was written while others were under way may stand here already: the disk is
	// asked again in the order in which it was asked first.
	i := sort.Search(len(c.refused), func(i int) bool { return c.refused[i].write.ID > w.write.ID })
	c.refused = slices.Insert(c.refused, i, w)
	if c.yielding == nil && !c.raft {
		s.lookHeir(c, true)
	}
}

// fullAgain is between two tries to write what found no room.
const fullAgain = 500 * core.Millisecond

func (s *Shard) writeAgain(c *copyOf) {
	ws := c.refused
	c.refused = nil
	if !s.hosts(c) {
		return
	}
	for _, w := range ws {
		out := w.write
		out.ID = s.id()
		s.writes[out.ID] = w
		s.out.Writes = append(s.out.Writes, out)
	}
}
