package catalog

import (
	"slices"

	"trine/internal/core"
)

// copyDoubtful is what one stream makes of a copy that may lack what it
// acknowledged. The epoch rises even where another leads, so that what the leader
// said of this copy before counts no more.
func (c *Catalog) copyDoubtful(st *stream, d core.DiskID) {
	i := st.member(d)
	home := st.Policy.Election == core.ElectNone && st.lead == d
	switch {
	case len(st.Members) == 1:
		c.changed.losses = append(c.changed.losses, Loss{Stream: st.ID, Disk: d,
			Why: "it is the only copy, and may lack what it acknowledged"})
	case !st.Members[i].InSync || slices.Contains(st.doubt, d):
	case home || st.InSyncCount() == 1 || len(st.doubt) > 0:
		st.doubt = append(st.doubt, d)
		c.waiting.add(st.ID)
		c.dethrone(st)
	default:
		c.edit(st).Members[i].InSync = false
		if st.lead == d {
			c.leads(st, firstInSync(st.Members))
		}
	}
	if len(st.doubt) > 0 {
		c.touch(st) // whoever can report is asked again
		c.settle(st)
		return
	}
	c.elect(st)
}

// asks says whether a waiting stream needs a report of the copy on a disk before it
// can choose: every copy that can report is asked, since one that left the in-sync
// set before may hold more than the last that stayed.
func (c *Catalog) asks(st *stream, d core.DiskID) bool {
	return len(st.doubt) > 0 && st.member(d) >= 0 && c.standing(d) &&
		!slices.ContainsFunc(st.told, func(t told) bool { return t.disk == d })
}

// settle ends the wait of a stream whose copies all have reported: the longest by
// (epoch, index) leads.
func (c *Catalog) settle(st *stream) {
	if len(st.doubt) == 0 {
		c.waiting.remove(st.ID)
		if st.Leader == 0 {
			c.elect(st)
		}
		return
	}
	for _, m := range st.Members {
		if c.asks(st, m.Disk) || !c.standing(m.Disk) && st.needs(m) {
			return
		}
	}
	if len(st.told) == 0 {
		return
	}
	best := st.told[0]
	for _, t := range st.told[1:] {
		if c.longer(st, t, best) {
			best = t
		}
	}
	c.crown(st, best.disk, Loss{Epoch: best.epoch, Index: best.index,
		Why: "every copy in sync may lack what it acknowledged; this is the longest"})
}

// needs says whether a stream in doubt waits even for a copy that is away: for those
// that may have acknowledged what no other has.
func (st *stream) needs(m core.Member) bool {
	switch {
	case st.Policy.Election == core.ElectAny:
		return false
	case st.Policy.Commit == core.CommitLeader:
		return slices.Contains(st.doubt, m.Disk)
	}
	return m.InSync
}

// longer compares two reports; among equals a copy in sync comes first, then the
// members' order.
func (c *Catalog) longer(st *stream, a, b told) bool {
	switch {
	case a.epoch != b.epoch:
		return a.epoch > b.epoch
	case a.index != b.index:
		return a.index > b.index
	case st.inSync(a.disk) != st.inSync(b.disk):
		return st.inSync(a.disk)
	}
	return st.member(a.disk) < st.member(b.disk)
}

// crown ends a stream's doubts in favour of one copy.
func (c *Catalog) crown(st *stream, d core.DiskID, note Loss) {
	note.Stream, note.Disk = st.ID, d
	c.changed.losses = append(c.changed.losses, note)
	c.edit(st)
	c.onlyInSync(st, d)
	c.waiting.remove(st.ID)
	c.enthrone(st, d)
	if st.to == nil {
		c.growStream(st)
	}
	c.arrived(st)
}

func (c *Catalog) applyReport(r *reader) Result {
	by := r.peer()
	ends := make([]LogEnd, r.count(3))
	for i := range ends {
		ends[i] = LogEnd{Stream: core.StreamID(r.uint()), Epoch: core.Epoch(r.int32()),
			Index: core.Index(r.int())}
	}
	if r.bad() {
		return r.invalid()
	}
	if !c.runs(by.Node, by.Incarnation) || !c.standing(by.Disk) || c.disks[by.Disk] != by.Node {
		return refused(core.Fenced, "", "that run of node %d is over", by.Node)
	}
	var res Result
	for _, e := range ends {
		st := c.streams[e.Stream]
		if st == nil || !c.asks(st, by.Disk) || e.Epoch < 0 || e.Epoch > st.Epoch || e.Index < 0 {
			continue
		}
		st.told = append(st.told, told{by.Disk, e.Epoch, e.Index})
		if c.settle(st); st.Leader != 0 {
			res.IDs = append(res.IDs, e.Stream)
		}
	}
	return res
}

// decide carries out an operator's word. The copy may be one on the present disk of
// a member's node: then the stream begins anew there.
func (c *Catalog) decide(name string, d core.DiskID) Result {
	st, ok := c.names.get(name)
	switch {
	case !ok:
		return refused(core.NotExist, name, "")
	case st.Policy.Raft():
		return refused(core.Invalid, name, "its copies elect their leader themselves")
	case !c.standing(d):
		return refused(core.Unavailable, name, "disk %x is not there", uint64(d))
	case st.memberOn(c.disks[d]) < 0:
		return refused(core.NotExist, name, "node %d has no copy of it", c.disks[d])
	case st.Leader != 0 && st.lead == d:
		return Result{IDs: []core.StreamID{st.ID}}
	}
	if st.member(d) < 0 {
		ms := slices.Clone(st.Members)
		i := st.memberOn(c.disks[d])
		ms[i].Disk, ms[i].InSync = d, true
		c.leads(st, d)
		c.place(st, ms)
	}
	c.crown(st, d, Loss{Why: "an operator decided that this copy leads"})
	return Result{IDs: []core.StreamID{st.ID}}
}
