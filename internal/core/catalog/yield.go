package catalog

import (
	"slices"

	"trine/internal/core"
)

// A leadership that works is never taken away: the catalog says who shall have it, and
// the leader hands it over once that copy has everything.
//
//	Move, a node's return ──▶ Heir names a copy ──▶ the leader takes nothing more, until
//	the copy has all that it has ──▶ Yield: that copy leads, in a new epoch

// Heir gives the copy to which the leader of a leader-follower stream shall hand over: the
// first member, or, while a move leads the leader's own copy away, the first of those
// that stay; 0: it shall go on. now: a move waits for it.
func (c *Catalog) Heir(id core.StreamID) (heir core.DiskID, now bool) {
	st := c.streams[id]
	if st == nil || st.Policy.Raft() || st.Leader == 0 || st.Changing || len(st.doubt) > 0 {
		return 0, false
	}
	keep := st.Members
	if st.to != nil {
		keep = keep[:min(len(keep), len(st.to))]
	}
	stays := slices.ContainsFunc(keep, func(m core.Member) bool { return m.Disk == st.lead })
	for i, m := range keep {
		if m.Disk == st.lead || i > 0 && stays {
			break
		}
		if c.mayTake(st, m.Disk) {
			return m.Disk, st.to != nil
		}
	}
	return 0, false
}

// mayTake says whether a leader may hand over to a copy.
func (c *Catalog) mayTake(st *stream, d core.DiskID) bool {
	return st.inSync(d) && c.standing(d) && !c.nodes[c.disks[d]].leaving
}

func (c *Catalog) applyYield(r *reader) Result {
	ys := make([]Yielding, r.count(5))
	for i := range ys {
		ys[i] = Yielding{Stream: core.StreamID(r.uint()), Gen: core.Generation(r.uint32()),
			Epoch: core.Epoch(r.int32()), To: core.DiskID(r.uint()), Out: r.bool()}
	}
	if r.bad() {
		return r.invalid()
	}
	var res Result
	for i := range ys {
		if !c.yield(&ys[i]) {
			res.IDs = append(res.IDs, ys[i].Stream)
		}
	}
	return res
}

// yield carries out one item: false where the stream has moved on.
func (c *Catalog) yield(y *Yielding) bool {
	st := c.streams[y.Stream]
	if st == nil || st.Gen != y.Gen || st.Policy.Raft() || st.Leader == 0 || st.Epoch != y.Epoch ||
		st.lead == y.To || !c.mayTake(st, y.To) || st.Epoch == epochMax {
		return false
	}
	was := st.lead
	c.enthrone(st, y.To)
	if y.Out {
		c.edit(st).Members[st.member(was)].InSync = false
	}
	c.arrived(st)
	return true
}
