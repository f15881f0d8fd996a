package replica

import (
	"slices"

	"trine/internal/core"
)

// catalog stands in for what the cluster agrees on: who is a member, and under
// leader-follower who leads and who is in sync. Its word reaches nodes late, and
// not at all where they are cut from it.
type catalog struct {
	w       *world
	now     Assignment
	first   []core.Member
	fenced  map[core.DiskID]bool
	away    map[int]bool // nodes that are cut from it
	queue   []delivery   // to nodes, in order for each
	wishes  []wished
	deadAt  map[core.DiskID]core.Time // when a node was first seen dead
	changes int
}

type delivery struct {
	at core.Time
	to int
	a  Assignment
	w  *answer // instead
}

type answer struct {
	c     InSyncChange
	taken bool
}

type wished struct {
	at core.Time
	n  int
	c  InSyncChange
}

func newCatalog(w *world, disks int) *catalog {
	c := &catalog{w: w, fenced: map[core.DiskID]bool{}, away: map[int]bool{},
		deadAt: map[core.DiskID]core.Time{}}
	c.now = Assignment{Gen: 1, Epoch: 1, Leader: 1, Policy: w.policy}
	for i := range min(disks, w.policy.Copies) {
		c.now.Members = append(c.now.Members, member(i))
	}
	c.first = slices.Clone(c.now.Members)
	return c
}

// member gives the i-th disk as one of the first members.
func member(i int) core.Member {
	return core.Member{Node: core.NodeID(i + 1), Disk: core.DiskID(i + 1), InSync: true}
}

// founders gives a copy's Config.Members.
func (c *catalog) founders() []core.Member {
	return c.first
}

func (c *catalog) publish() {
	a := c.now
	a.Members = slices.Clone(a.Members)
	for i := range c.w.nodes {
		if !c.away[i] {
			c.deliver(delivery{to: i, a: a})
		}
	}
}

// send gives one node the present word.
func (c *catalog) send(i int) {
	a := c.now
	a.Members = slices.Clone(a.Members)
	c.deliver(delivery{to: i, a: a})
}

func (c *catalog) deliver(d delivery) {
	d.at = c.w.now + c.w.upTo(20*c.w.slow)
	for _, other := range c.queue {
		if other.to == d.to {
			d.at = max(d.at, other.at)
		}
	}
	c.queue = append(c.queue, d)
}

func (c *catalog) wish(n *node, ic InSyncChange) {
	if !c.away[n.i] && (c.w.calm || !c.w.chance(0.2)) {
		c.wishes = append(c.wishes, wished{c.w.now + c.w.upTo(50*c.w.slow), n.i, ic})
	}
}

func (c *catalog) member(d core.DiskID) *core.Member {
	for i := range c.now.Members {
		if c.now.Members[i].Disk == d {
			return &c.now.Members[i]
		}
	}
	return nil
}

func (c *catalog) inSync() int {
	n := 0
	for _, m := range c.now.Members {
		if m.InSync {
			n++
		}
	}
	return n
}

// take applies a wish if its epoch is still the present one.
func (c *catalog) take(x wished) {
	m := c.member(x.c.Disk)
	ok := x.c.Epoch == c.now.Epoch && m != nil && (!x.c.Add || !c.fenced[x.c.Disk]) &&
		(x.c.Add || c.inSync() > 1 && x.c.Disk != c.now.Leader)
	if n := c.w.nodes[x.n]; n.up && !c.away[x.n] && (c.w.calm || c.w.chance(0.9)) {
		c.deliver(delivery{to: x.n, w: &answer{x.c, ok}})
	}
	if ok && m.InSync != x.c.Add {
		m.InSync = x.c.Add
		c.w.logf("catalog: disk %d in sync: %v", x.c.Disk, x.c.Add)
		c.w.counts[map[bool]string{true: "added", false: "dropped"}[x.c.Add]]++
		c.publish()
	}
}

// fence says that a disk's process is dead, rightly or not.
func (c *catalog) fence(d core.DiskID) {
	if c.w.policy.Raft() || c.fenced[d] {
		return
	}
	c.fenced[d] = true
	c.w.logf("catalog: disk %d is fenced", d)
	if m := c.member(d); m != nil && m.InSync && c.inSync() > 1 {
		m.InSync = false
	}
	if c.now.Leader == d || c.now.Leader == 0 || c.fenced[c.now.Leader] {
		c.elect()
	}
	c.publish()
}

// elect names the first eligible copy; where there is none the leader stays.
func (c *catalog) elect() {
	if c.w.policy.Election == core.ElectNone {
		return
	}
	pick := core.DiskID(0)
	for _, m := range c.now.Members {
		if pick == 0 && m.InSync && !c.fenced[m.Disk] {
			pick = m.Disk
		}
	}
	if pick == 0 && c.w.policy.Election == core.ElectAny {
		for _, m := range c.now.Members {
			if pick == 0 && !c.fenced[m.Disk] {
				pick = m.Disk
			}
		}
		if pick != 0 {
			for i := range c.now.Members {
				c.now.Members[i].InSync = c.now.Members[i].Disk == pick
			}
			c.w.counts["unclean election"]++
		}
	}
	if pick != 0 {
		c.now.Leader = pick
		if c.w.bug != "an epoch for two" {
			c.now.Epoch++
		}
		c.w.counts["election"]++
		c.w.logf("catalog: disk %d leads epoch %d", pick, c.now.Epoch)
	}
}

// register begins a new run of a node, which ends the older one.
func (c *catalog) register(n *node) {
	if n.fresh = true; c.away[n.i] {
		return
	}
	n.fresh = false
	delete(c.deadAt, n.disk)
	if c.w.policy.Raft() {
		c.send(n.i)
		return
	}
	c.fence(n.disk)
	delete(c.fenced, n.disk)
	switch m := c.member(n.disk); {
	case c.now.Leader == n.disk && (m.InSync || c.w.policy.Election == core.ElectNone):
		m.InSync = true
		c.now.Epoch++
		c.w.logf("catalog: disk %d leads again, epoch %d", n.disk, c.now.Epoch)
	case c.fenced[c.now.Leader] || !c.member(c.now.Leader).InSync:
		c.elect()
	}
	c.publish()
}

func (c *catalog) step() {
	w := c.w
	c.queue = slices.DeleteFunc(c.queue, func(d delivery) bool {
		n := w.nodes[d.to]
		if d.at > w.now {
			return false
		}
		if n.runs() && !c.away[d.to] && d.w != nil {
			n.copy.Wished(d.w.c, d.w.taken)
		} else if n.runs() && !c.away[d.to] {
			n.copy.Assign(w.now, d.a)
		} else if n.up && !c.away[d.to] {
			return false
		}
		return true
	})
	c.wishes = slices.DeleteFunc(c.wishes, func(x wished) bool {
		if x.at <= w.now {
			c.take(x)
		}
		return x.at <= w.now
	})
	for _, n := range w.nodes {
		if n.found && !n.runs() || c.away[n.i] {
			if c.deadAt[n.disk] == 0 {
				c.deadAt[n.disk] = w.now + w.upTo(core.Second)
			}
			if w.now > c.deadAt[n.disk] {
				c.fence(n.disk)
			}
		} else if c.deadAt[n.disk] != 0 && n.up {
			c.deadAt[n.disk] = 0
			if c.fenced[n.disk] {
				c.register(n) // it finds itself fenced and enters again
			}
		}
	}
}
