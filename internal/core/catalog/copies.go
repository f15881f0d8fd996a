package catalog

import (
	"slices"

	"trine/internal/core"
)

// This file owns the indexes: whatever changes a stream's members or leader goes
// through it.

// edit gives the stream's snapshot to write to: a new one, made once a command.
func (c *Catalog) edit(st *stream) *core.Stream {
	if st.Revision != c.revision() {
		next := *st.Stream
		next.Members = slices.Clone(next.Members)
		next.Revision = c.revision()
		st.Stream = &next
	}
	c.touch(st)
	return st.Stream
}

func (c *Catalog) touch(st *stream) {
	if !st.dirty {
		st.dirty = true
		c.changed.streams = append(c.changed.streams, st.ID)
	}
}

// addStream takes in a stream with its members and lead, as defined or decoded.
func (c *Catalog) addStream(st *stream) {
	c.streams[st.ID] = st
	c.ids.add(st.ID)
	if st.ID != core.CatalogStream {
		c.names.put(st.Name, st)
	}
	for _, m := range st.Members {
		c.diskSet(m.Disk).add(st.ID)
	}
	c.countFirst(st, 1)
	c.indexLead(st, true)
	c.indexShort(st)
	c.waiting.set(st.ID, len(st.doubt) > 0)
	if st.Owner != (core.Owner{}) {
		c.belongings(st.Owner).streams.add(st.ID)
	}
	c.touch(st)
}

// removeStream ends a stream.
func (c *Catalog) removeStream(st *stream) {
	for _, m := range st.Members {
		c.diskSet(m.Disk).remove(st.ID)
	}
	c.countFirst(st, -1)
	c.indexLead(st, false)
	c.short.remove(st.ID)
	c.waiting.remove(st.ID)
	if o := c.owned[runOf(st.Owner)]; o != nil {
		o.streams.remove(st.ID)
	}
	c.names.remove(st.Name)
	c.ids.remove(st.ID)
	delete(c.streams, st.ID)
	c.changed.gone = append(c.changed.gone, st.Stream)
}

func (c *Catalog) diskSet(d core.DiskID) *idSet {
	s := c.on[d]
	if s == nil {
		s = &idSet{}
		c.on[d] = s
	}
	return s
}

// place gives a stream other members. Whoever leads must be among them.
func (c *Catalog) place(st *stream, ms []core.Member) {
	s := c.edit(st)
	c.countFirst(st, -1)
	for _, m := range s.Members {
		if !slices.ContainsFunc(ms, func(o core.Member) bool { return o.Disk == m.Disk }) {
			c.diskSet(m.Disk).remove(st.ID)
			st.forget(m.Disk)
		}
	}
	for _, m := range ms {
		c.diskSet(m.Disk).add(st.ID)
	}
	s.Members = ms
	c.countFirst(st, 1)
	c.indexShort(st)
	c.waiting.set(st.ID, len(st.doubt) > 0)
	if st.ID == core.CatalogStream {
		c.changedNodes()
	}
}

// forget drops what was said of a copy that is no member any more.
func (st *stream) forget(d core.DiskID) {
	st.doubt = slices.DeleteFunc(st.doubt, func(o core.DiskID) bool { return o == d })
	st.untell(d)
}

func (st *stream) untell(d core.DiskID) {
	st.told = slices.DeleteFunc(st.told, func(t told) bool { return t.disk == d })
}

func (c *Catalog) countFirst(st *stream, by int) {
	if len(st.Members) > 0 && st.ID != core.CatalogStream {
		c.nodes[st.Members[0].Node].firsts += by
	}
}

func (c *Catalog) indexShort(st *stream) {
	c.short.set(st.ID, st.ID != core.CatalogStream && len(st.Members) < st.Policy.Copies)
}

func (c *Catalog) indexLead(st *stream, in bool) {
	if st.lead != 0 {
		c.nodes[c.disks[st.lead]].leads.set(st.ID, in)
	}
}

// leads makes a copy the one that leads, or that the stream waits for.
func (c *Catalog) leads(st *stream, d core.DiskID) {
	if st.lead == d {
		return
	}
	c.indexLead(st, false)
	st.lead = d
	c.indexLead(st, true)
}

// member gives a disk's place among the members, -1 where it has none.
func (st *stream) member(d core.DiskID) int {
	return slices.IndexFunc(st.Members, func(m core.Member) bool { return m.Disk == d })
}

func (st *stream) memberOn(n core.NodeID) int {
	return slices.IndexFunc(st.Members, func(m core.Member) bool { return m.Node == n })
}

func (st *stream) inSync(d core.DiskID) bool {
	i := st.member(d)
	return i >= 0 && st.Members[i].InSync
}

// standing says that a disk is the present one of a node that is alive.
func (c *Catalog) standing(d core.DiskID) bool {
	n := c.nodes[c.disks[d]]
	return n != nil && n.alive && n.Disk == d
}

// bound says that a disk is the present one of its node, alive or not.
func (c *Catalog) bound(d core.DiskID) bool {
	n := c.nodes[c.disks[d]]
	return n != nil && n.Disk == d
}

// belongings gives what a run owns, to add to.
func (c *Catalog) belongings(o core.Owner) *belongings {
	b := c.owned[runOf(o)]
	if b == nil {
		b = &belongings{documents: make(map[string]struct{})}
		c.owned[runOf(o)] = b
	}
	return b
}

func runOf(o core.Owner) run { return run{o.Node, o.Incarnation} }

func (c *Catalog) changedNodes() {
	c.infos = nil
	c.changed.nodes = true
}
