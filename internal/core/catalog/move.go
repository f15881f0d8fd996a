package catalog

import (
	"slices"

	"trine/internal/core"
)

// copiesMax bounds a stream's copies, as core.Policy does.
const copiesMax = 7

func (c *Catalog) checkNodes(name string, ns []core.NodeID) Result {
	if len(ns) > copiesMax {
		return refused(core.Invalid, name, "%d nodes, of at most %d", len(ns), copiesMax)
	}
	for i, id := range ns {
		if slices.Contains(ns[:i], id) {
			return refused(core.Invalid, name, "node %d is named twice", id)
		}
		if n := c.nodes[id]; n == nil || n.Disk == 0 {
			return refused(core.NotExist, name, "there is no node %d", id)
		}
	}
	return Result{}
}

// checkMove refuses nodes on which a copy cannot be made now.
func (c *Catalog) checkMove(name string, to []core.NodeID) Result {
	if len(to) == 0 {
		return refused(core.Invalid, name, "no node is named")
	}
	if res := c.checkNodes(name, to); res.Kind != core.OK {
		return res
	}
	st, ok := c.names.get(name)
	for _, id := range to {
		if !c.nodes[id].alive && !(ok && st.memberOn(id) >= 0) {
			return refused(core.Unavailable, name, "node %d is not alive", id)
		}
	}
	return Result{}
}

func (c *Catalog) applyMove(name string, to []core.NodeID) Result {
	st, ok := c.names.get(name)
	if !ok {
		return refused(core.NotExist, name, "")
	}
	if res := c.checkMove(name, to); res.Kind != core.OK {
		return res
	}
	c.move(st, to)
	return Result{IDs: []core.StreamID{st.ID}}
}

func (c *Catalog) vote(to []core.NodeID) Result {
	if res := c.checkMove("", to); res.Kind != core.OK {
		return res
	}
	st := c.streams[core.CatalogStream]
	for _, id := range to {
		if !c.nodes[id].alive && st.memberOn(id) < 0 {
			return refused(core.Unavailable, "", "node %d is not alive", id)
		}
	}
	c.move(st, to)
	return Result{IDs: []core.StreamID{st.ID}}
}

// move puts a stream's copies on the nodes to: as many as there are, from then on,
// where that is another number than before.
func (c *Catalog) move(st *stream, to []core.NodeID) {
	s := c.edit(st)
	had := len(s.Members)
	if st.to != nil {
		had = len(st.to)
	}
	if s.Changing { // Changed takes it up
		s.At = slices.Clone(to)
		st.to = s.At
		return
	}
	if len(to) != had {
		s.Policy.Copies = len(to)
	}
	c.moveTo(st, to, to)
}

// complete gives the nodes where as many copies as the policy asks for shall be: at
// first, then those that there are, the ones in sync first, then others.
func (c *Catalog) complete(st *stream, at []core.NodeID) []core.NodeID {
	n := st.Policy.Copies
	to := slices.Clone(at[:min(n, len(at))])
	for _, inSync := range []bool{true, false} {
		for _, m := range st.Members {
			if len(to) < n && m.InSync == inSync && !slices.Contains(to, m.Node) {
				to = append(to, m.Node)
			}
		}
	}
	ms := make([]core.Member, len(to))
	for i, id := range to {
		ms[i] = core.Member{Node: id}
	}
	for len(ms) < n {
		next := c.pick(ms)
		if next == nil {
			break
		}
		ms, to = append(ms, core.Member{Node: next.Node}), append(to, next.Node)
	}
	return to
}

// moveTo adds copies on the nodes that have none; copies elsewhere stay while they
// count, until those that shall be are in sync.
func (c *Catalog) moveTo(st *stream, at, to []core.NodeID) {
	s := c.edit(st)
	s.At = slices.Clone(at)
	st.to = slices.Clone(to)
	ms := make([]core.Member, 0, len(to)+len(s.Members))
	for _, id := range to {
		if i := st.memberOn(id); i >= 0 {
			ms = append(ms, s.Members[i])
		} else {
			ms = append(ms, core.Member{Node: id, Disk: c.nodes[id].Disk})
		}
	}
	for _, m := range s.Members {
		if !slices.Contains(to, m.Node) && (m.InSync || m.Disk == st.lead) {
			ms = append(ms, m)
		}
	}
	c.place(st, ms)
	c.arrived(st)
}

// arrived ends a move whose copies are in sync. Where no copy has to go, it is only
// the preferred leader that must be. A stream in doubt drops nothing.
func (c *Catalog) arrived(st *stream) {
	if st.to == nil || st.Changing || len(st.doubt) > 0 {
		return
	}
	n := len(st.to)
	need := st.Members[:n]
	if len(st.Members) == n {
		need = need[:1]
	}
	for _, m := range need {
		if !m.InSync || !c.bound(m.Disk) {
			return
		}
	}
	if len(st.Members) > n && !c.dropTo(st, st.Members[:n]) {
		return
	}
	if d, _ := c.Heir(st.ID); d == 0 {
		st.to = nil // else once its leader has handed over
	}
}

// dropTo drops the copies that are not in keep, all of whose copies are in sync;
// false where the leader would be dropped. One that leads hands over first (Heir):
// else what it acknowledges before it hears of this would be lost.
func (c *Catalog) dropTo(st *stream, keep []core.Member) bool {
	keep = slices.Clone(keep)
	kept := slices.ContainsFunc(keep, func(m core.Member) bool { return m.Disk == st.lead })
	if !st.Policy.Raft() && !kept {
		if st.Leader != 0 || st.Policy.Commit == core.CommitLeader {
			return false // or it is away, and may have acknowledged what no other copy has
		}
		d := core.DiskID(0)
		for _, m := range keep {
			if d == 0 && m.InSync && c.standing(m.Disk) {
				d = m.Disk
			}
		}
		if d == 0 {
			return false
		}
		c.enthrone(st, d)
	}
	c.place(st, keep)
	return true
}

// shrink drops copies beyond n: those that are not in sync first, then the last in
// order, never the one that leads.
func (c *Catalog) shrink(st *stream, n int) {
	ms := slices.Clone(st.Members)
	for _, inSync := range []bool{false, true} {
		for i := len(ms) - 1; i >= 0 && len(ms) > n; i-- {
			d := ms[i].Disk
			if ms[i].InSync == inSync && d != st.lead && !slices.Contains(st.doubt, d) {
				ms = slices.Delete(ms, i, i+1)
			}
		}
	}
	c.place(st, ms)
}
