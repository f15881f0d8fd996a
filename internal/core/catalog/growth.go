package catalog

import (
	"slices"

	"trine/internal/core"
)

// growMax bounds the copies that one command adds, beyond those that it defines:
// each has to be filled by somebody.
const growMax = 1000

// choose gives the members of a stream to be: At first, as many as are asked for,
// then the least loaded living nodes, other racks before the same.
func (c *Catalog) choose(d *core.Definition) []core.Member {
	ms := make([]core.Member, 0, d.Policy.Copies)
	for _, id := range d.At {
		if len(ms) < d.Policy.Copies {
			ms = append(ms, core.Member{Node: id, Disk: c.nodes[id].Disk})
		}
	}
	for len(ms) < d.Policy.Copies {
		n := c.pick(ms)
		if n == nil {
			break
		}
		ms = append(ms, core.Member{Node: n.Node, Disk: n.Disk})
	}
	return ms
}

// canPlace says whether one of the copies that choose would make could lead.
func (c *Catalog) canPlace(d *core.Definition) bool {
	return slices.ContainsFunc(c.choose(d), func(m core.Member) bool { return c.standing(m.Disk) })
}

// pick gives the node for one more copy beside ms, nil where there is none: of the
// rack with the fewest of ms; then, for the preferred leader, with the fewest of
// those; then with the fewest copies; then the lowest id.
func (c *Catalog) pick(ms []core.Member) *node {
	var best *node
	var bestLoad [4]int
	for _, id := range c.nodeIDs {
		n := c.nodes[id]
		if !n.alive || n.leaving {
			continue
		}
		var load [4]int
		taken := false
		for _, m := range ms {
			taken = taken || m.Node == id
			if c.nodes[m.Node].rack == n.rack {
				load[0]++
			}
		}
		if taken {
			continue
		}
		load[1], load[2], load[3] = n.firsts, c.on[n.Disk].size(), n.firsts
		if len(ms) > 0 {
			load[1] = 0
		}
		if best == nil || slices.Compare(load[:], bestLoad[:]) < 0 {
			best, bestLoad = n, load
		}
	}
	return best
}

func (c *Catalog) grow() Result {
	if !c.unfinished {
		return Result{}
	}
	c.growStreams()
	return Result{}
}

// growStreams gives streams the copies that they asked for, up to growMax of them.
func (c *Catalog) growStreams() {
	c.unfinished = false
	left := growMax
	for _, id := range c.short.list() {
		st := c.streams[id]
		if st.to != nil || st.Changing {
			continue
		}
		if left <= 0 {
			c.unfinished = true
			return
		}
		left -= c.growStream(st)
	}
}

// growStream adds copies to one stream and counts them. While nobody leads it, there
// is nobody to fill them.
func (c *Catalog) growStream(st *stream) int {
	added := 0
	if st.Leader == 0 && !st.Policy.Raft() {
		return 0
	}
	ms := slices.Clone(st.Members)
	for len(ms) < st.Policy.Copies {
		n := c.pick(ms)
		if n == nil {
			break
		}
		ms = append(ms, core.Member{Node: n.Node, Disk: n.Disk})
		added++
	}
	if added > 0 {
		c.place(st, ms)
	}
	return added
}

// growVoters makes three nodes vote in the catalog once there are three: two would
// be worse than one, since either's death would stop it.
func (c *Catalog) growVoters() {
	st := c.streams[core.CatalogStream]
	if st.At != nil || len(st.Members) >= votersMax || c.alive < votersMax {
		return
	}
	ms := slices.Clone(st.Members)
	for len(ms) < votersMax {
		n := c.pick(ms)
		if n == nil {
			return
		}
		ms = append(ms, core.Member{Node: n.Node, Disk: n.Disk})
	}
	c.place(st, ms)
}
