package catalog

import "trine/internal/core"

func (c *Catalog) applyInSync(r *reader) Result {
	cs := make([]InSyncChange, r.count(5))
	for i := range cs {
		cs[i] = InSyncChange{Stream: core.StreamID(r.uint()), Gen: core.Generation(r.uint32()),
			Epoch: core.Epoch(r.int32()), Disk: core.DiskID(r.uint()), Add: r.bool()}
	}
	if r.bad() {
		return r.invalid()
	}
	var res Result
	for i := range cs {
		if !c.inSync(&cs[i]) {
			res.IDs = append(res.IDs, cs[i].Stream)
		}
	}
	return res
}

// inSync carries out one item: false where the stream has moved on, or the change
// would leave nobody in sync.
func (c *Catalog) inSync(ch *InSyncChange) bool {
	st := c.streams[ch.Stream]
	if st == nil || st.Gen != ch.Gen {
		return false
	}
	i := st.member(ch.Disk)
	if i < 0 {
		return false
	}
	if st.Policy.Raft() {
		if ch.Epoch < st.seen || ch.Epoch < st.Epoch {
			return false
		}
		st.seen = ch.Epoch
	} else if st.Epoch != ch.Epoch || st.Leader == 0 || st.lead == ch.Disk && !ch.Add {
		return false
	}
	if st.Members[i].InSync == ch.Add {
		return true
	}
	if ch.Add && !c.standing(ch.Disk) || !ch.Add && st.InSyncCount() == 1 {
		return false
	}
	c.edit(st).Members[i].InSync = ch.Add
	if st.ID == core.CatalogStream {
		c.changedNodes()
	}
	if ch.Add {
		c.arrived(st)
	}
	return true
}
