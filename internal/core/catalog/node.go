package catalog

import (
	"slices"

	"trine/internal/core"
)

func (c *Catalog) addNode(id core.NodeID) *node {
	n := &node{Peer: core.Peer{Node: id}}
	c.nodes[id] = n
	i, _ := slices.BinarySearch(c.nodeIDs, id)
	c.nodeIDs = slices.Insert(c.nodeIDs, i, id)
	return n
}

func (c *Catalog) applyRegister(r *reader) Result {
	p := r.peer()
	reg := Registration{Rack: r.string(), Addresses: r.addresses(), Clean: r.bool(),
		SameBoot: r.bool(), Damaged: r.streams()}
	if r.bad() {
		return r.invalid()
	}
	if p.Node < 1 || p.Disk == 0 || p.Incarnation == 0 {
		return refused(core.Invalid, "", "node %d, disk %x, run %x: each must be named",
			p.Node, uint64(p.Disk), uint64(p.Incarnation))
	}
	return c.register(p, &reg)
}

// register begins a run. The disk that was there before keeps its places in sync,
// since it has what it acknowledged, unless it is doubtful; another disk has none.
func (c *Catalog) register(p core.Peer, reg *Registration) Result {
	if of, known := c.disks[p.Disk]; known && of != p.Node {
		return refused(core.Denied, "", "disk %x belongs to node %d, not to node %d",
			uint64(p.Disk), of, p.Node)
	}
	n := c.nodes[p.Node]
	switch {
	case n == nil:
		n = c.addNode(p.Node)
	case n.alive && n.Disk != p.Disk: // until that run is fenced
		return refused(core.Unavailable, "", "node %d is alive on disk %x", p.Node, uint64(n.Disk))
	}
	same := n.Peer == p
	again := n.alive && same
	if n.alive && !again {
		c.end(run{p.Node, n.Incarnation})
	}
	old := n.Disk
	if !n.alive {
		c.alive++
	}
	n.Peer, n.alive, n.rack, n.addresses = p, true, reg.Rack, reg.Addresses
	n.revision = c.revision()
	c.disks[p.Disk] = p.Node
	c.changedNodes()
	if again {
		return Result{}
	}
	n.leaving = false
	if old != 0 && old != p.Disk {
		for _, id := range c.on[old].list() {
			c.replaceDisk(c.streams[id], old, p.Disk)
		}
	}
	// A run that was fenced and goes on has lost nothing since it first registered.
	lossy := !reg.Clean && !reg.SameBoot && !same
	var damaged []core.StreamID
	if !same {
		damaged = slices.Clone(reg.Damaged)
	}
	slices.Sort(damaged)
	for _, id := range c.on[p.Disk].list() {
		st := c.streams[id]
		_, hurt := slices.BinarySearch(damaged, id)
		c.copyBack(st, p.Disk, hurt || lossy && st.Policy.Flush == core.FlushLazy)
	}
	c.growVoters()
	c.growStreams()
	return Result{}
}

// copyBack is what one stream makes of a copy whose node's run begins.
func (c *Catalog) copyBack(st *stream, d core.DiskID, doubtful bool) {
	if st.Policy.Raft() {
		return
	}
	st.untell(d)
	switch {
	case doubtful:
		c.copyDoubtful(st, d)
	case len(st.doubt) > 0:
		c.touch(st)
		c.settle(st)
	case st.lead == d || st.Leader == 0:
		c.elect(st)
	}
	c.arrived(st)
}

// replaceDisk is what one stream makes of a node's other disk: the place of the old
// one in the in-sync set ends, unless it was the last.
func (c *Catalog) replaceDisk(st *stream, old, d core.DiskID) {
	ms := slices.Clone(st.Members)
	i := st.member(old)
	if st.Policy.Raft() || !ms[i].InSync || st.InSyncCount() > 1 {
		ms[i].Disk, ms[i].InSync = d, false
		led := st.lead == old
		if led {
			c.leads(st, firstInSync(ms))
		}
		c.place(st, ms)
		switch {
		case st.Policy.Raft():
		case len(st.doubt) > 0:
			c.settle(st)
		case led:
			c.electAmongInSync(st)
		case st.Leader == 0:
			c.elect(st)
		}
		return
	}
	c.changed.losses = append(c.changed.losses, Loss{Stream: st.ID, Disk: old,
		Why: "the disk of its last copy in sync was replaced"})
	if st.Policy.Election == core.ElectAny && st.Leader == 0 {
		st.forget(old)
		c.waiting.set(st.ID, len(st.doubt) > 0)
		c.elect(st)
	}
}

func firstInSync(ms []core.Member) core.DiskID {
	for _, m := range ms {
		if m.InSync {
			return m.Disk
		}
	}
	return 0
}

// fence ends a run: its copies leave the in-sync sets that have others, what it
// led is led by others where the stream elects, and what it owned is removed.
func (c *Catalog) fence(p core.Peer) Result {
	n := c.nodes[p.Node]
	switch {
	case n == nil || n.Incarnation == 0:
		return refused(core.NotExist, "", "node %d never registered", p.Node)
	case n.Incarnation != p.Incarnation:
		return refused(core.Conflict, "", "another run of node %d is registered", p.Node)
	case !n.alive:
		return Result{}
	}
	n.alive, n.leaving, n.revision = false, false, c.revision()
	c.alive--
	c.changedNodes()
	c.end(run{p.Node, p.Incarnation})
	for _, id := range c.on[n.Disk].list() {
		if st := c.streams[id]; !st.Policy.Raft() {
			c.copyAway(st, n.Disk)
		}
	}
	return Result{}
}

// copyAway is what one stream makes of a copy whose node is dead.
func (c *Catalog) copyAway(st *stream, d core.DiskID) {
	if len(st.doubt) > 0 {
		st.untell(d)
		c.settle(st)
		return
	}
	home := st.Policy.Election == core.ElectNone && st.lead == d
	led := st.Leader != 0 && st.lead == d
	if i := st.member(d); st.Members[i].InSync && st.InSyncCount() > 1 && !home {
		c.edit(st).Members[i].InSync = false
		if st.lead == d && !led {
			c.leads(st, firstInSync(st.Members))
		}
	}
	if led {
		c.elect(st)
		c.arrived(st)
	}
}

// handOver takes a run that is about to end out of every leadership that another
// copy in sync can take. It stays in sync until it is fenced.
func (c *Catalog) handOver(p core.Peer) Result {
	n := c.nodes[p.Node]
	if n == nil || !c.runs(p.Node, p.Incarnation) {
		return refused(core.Fenced, "", "that run of node %d is over", p.Node)
	}
	n.leaving = true
	for _, id := range n.leads.list() {
		st := c.streams[id]
		if st.Leader != p.Node || st.Policy.Election == core.ElectNone {
			continue
		}
		if d := c.candidate(st); d != st.lead {
			c.enthrone(st, d)
		}
	}
	return Result{}
}
