package catalog

import (
	"math"

	"trine/internal/core"
)

// epochMax is where a stream's epochs end: it has no leader any more.
const epochMax = math.MaxInt32

// elect finds a leader for a leader-follower stream by its policy's rule, in a new
// epoch; where there is none, it has none, and its epoch stays.
func (c *Catalog) elect(st *stream) {
	if len(st.doubt) > 0 {
		c.dethrone(st)
		return
	}
	c.enthrone(st, c.candidate(st))
}

// electAmongInSync elects whatever the policy says of elections: the copy that a
// stream would wait for is gone for ever.
func (c *Catalog) electAmongInSync(st *stream) {
	c.enthrone(st, c.firstStanding(st, true))
}

// candidate gives the copy that may lead next, 0 where none may: under none the one
// that the stream waits for, else the first in sync in the members' order, and
// under any then the first that stands. A node that is about to end comes last.
func (c *Catalog) candidate(st *stream) core.DiskID {
	if st.Policy.Election == core.ElectNone && st.lead != 0 {
		if c.standing(st.lead) {
			return st.lead
		}
		return 0
	}
	d := c.firstStanding(st, true)
	if d == 0 && st.Policy.Election == core.ElectAny {
		d = c.firstStanding(st, false)
	}
	return d
}

func (c *Catalog) firstStanding(st *stream, inSync bool) core.DiskID {
	var leaving core.DiskID
	for _, m := range st.Members {
		if !c.standing(m.Disk) || m.InSync != inSync {
			continue
		}
		if !c.nodes[m.Node].leaving {
			return m.Disk
		}
		if leaving == 0 {
			leaving = m.Disk
		}
	}
	return leaving
}

// enthrone makes a copy the leader in a new epoch. One that is not in sync becomes
// the only one that is, and the loss is noted.
func (c *Catalog) enthrone(st *stream, d core.DiskID) {
	if d == 0 || st.Epoch == epochMax {
		c.dethrone(st)
		return
	}
	s := c.edit(st)
	s.Epoch++
	s.Leader = c.disks[d]
	c.leads(st, d)
	if !st.inSync(d) {
		c.onlyInSync(st, d)
		c.changed.losses = append(c.changed.losses, Loss{Stream: st.ID, Disk: d,
			Why: "it was not in sync, and no copy that was is there"})
	}
}

func (c *Catalog) dethrone(st *stream) {
	if st.Leader != 0 {
		c.edit(st).Leader = 0
	}
}

// onlyInSync makes a copy the only one that counts: the others have to fetch what
// it has, on the disks that their nodes have now.
func (c *Catalog) onlyInSync(st *stream, d core.DiskID) {
	st.doubt, st.told = nil, nil
	ms := append([]core.Member(nil), st.Members...)
	for i := range ms {
		ms[i].InSync = ms[i].Disk == d
		if n := c.nodes[ms[i].Node]; ms[i].Disk != d && n.Disk != ms[i].Disk {
			ms[i].Disk = n.Disk
		}
	}
	c.place(st, ms)
}
