package catalog

import (
	"slices"

	"trine/internal/core"
)

// alter changes a stream, as a draft has found possible. Another kind of
// replication is only begun: the stream's copies seal the old one, and Changed ends
// it.
func (c *Catalog) alter(st *stream, a *core.Alteration) {
	s := c.edit(st)
	if a.Keep != nil {
		s.Keep = *a.Keep
	}
	if a.Queue != nil {
		s.Queue = a.Queue
	}
	if a.Labels != nil {
		s.Labels = a.Labels
	}
	p := a.Policy
	if p != nil && p.Raft() != s.Policy.Raft() {
		s.Changing, st.want, p = true, *p, nil
	}
	switch {
	case p != nil:
		s.Policy = *p
		c.policyChanged(st, a.At)
	case a.At != nil:
		c.move(st, a.At)
	}
}

// policyChanged makes a stream what its new policy of the same kind says, on the
// nodes at, if any are named.
func (c *Catalog) policyChanged(st *stream, at []core.NodeID) {
	switch {
	case at != nil:
		c.moveTo(st, at, c.complete(st, at))
	case len(st.Members) > st.Policy.Copies:
		st.to = nil
		c.shrink(st, st.Policy.Copies)
	case st.to == nil:
		c.growStream(st)
	}
	c.indexShort(st)
	if st.Policy.Raft() {
		return
	}
	c.sweep(st)
	if len(st.doubt) > 0 {
		c.settle(st)
	} else if st.Leader == 0 {
		c.elect(st)
	}
}

// sweep takes copies that are away out of the in-sync set of a stream that elects:
// one that elects nobody keeps the place of the one that it waits for.
func (c *Catalog) sweep(st *stream) {
	if st.Policy.Election == core.ElectNone || len(st.doubt) > 0 {
		return
	}
	for i, m := range st.Members {
		if m.InSync && !c.standing(m.Disk) && st.InSyncCount() > 1 {
			c.edit(st).Members[i].InSync = false
		}
	}
	if !st.inSync(st.lead) {
		c.leads(st, firstInSync(st.Members))
	}
}

func (c *Catalog) applyChanged(r *reader) Result {
	k := KindChange{Stream: core.StreamID(r.uint()), Gen: core.Generation(r.uint32()),
		Seal: core.Index(r.int()), Floor: core.Epoch(r.int32()), Members: r.members()}
	if r.bad() {
		return r.invalid()
	}
	st := c.streams[k.Stream]
	switch {
	case st == nil:
		return refused(core.NotExist, "", "stream %d is gone", k.Stream)
	case !st.Changing || st.Gen != k.Gen:
		return refused(core.Conflict, st.Name, "generation %d is not being changed", k.Gen)
	case firstInSync(k.Members) == 0 || k.Seal < 0 || k.Floor < 0 || k.Floor > epochMax/2:
		return refused(core.Invalid, st.Name, "seal %d, epoch %d, members %v",
			k.Seal, k.Floor, k.Members)
	}
	if res := c.checkMembers(st.Name, k.Members); res.Kind != core.OK {
		return res
	}
	c.changeKind(st, &k)
	return Result{IDs: []core.StreamID{st.ID}}
}

func (c *Catalog) checkMembers(name string, ms []core.Member) Result {
	if len(ms) > copiesMax {
		return refused(core.Invalid, name, "%d copies, of at most %d", len(ms), copiesMax)
	}
	for i, m := range ms {
		of, known := c.disks[m.Disk]
		twice := slices.ContainsFunc(ms[:i], func(o core.Member) bool { return o.Node == m.Node })
		if !known || of != m.Node || twice {
			return refused(core.Invalid, name, "disk %x of node %d is no place for a copy",
				uint64(m.Disk), m.Node)
		}
	}
	return Result{}
}

// changeKind begins the next generation.
func (c *Catalog) changeKind(st *stream, k *KindChange) {
	s := c.edit(st)
	s.Policy, s.Changing, st.want = st.want, false, core.Policy{}
	s.Gen++
	s.Epoch = min(max(s.Epoch, k.Floor), epochMax-1) + 1
	s.Leader = 0
	st.seal, st.seen, st.doubt, st.told = k.Seal, 0, nil, nil
	c.leads(st, 0)
	c.place(st, slices.Clone(k.Members))
	st.first = nil
	if s.Policy.Raft() {
		st.first = slices.Clone(k.Members)
	} else {
		d := c.firstStanding(st, true)
		s.Leader = c.disks[d]
		if d == 0 {
			d = firstInSync(s.Members)
		}
		c.leads(st, d)
		c.sweep(st)
	}
	switch {
	case st.to != nil:
		c.moveTo(st, st.to, c.complete(st, st.to))
	case len(s.Members) > s.Policy.Copies:
		c.shrink(st, s.Policy.Copies)
	default:
		c.growStream(st)
	}
}
