package catalog

import (
	"slices"

	"trine/internal/core"
)

// changesMax bounds one Put: a stream's id has 16 bits for its place in it.
const changesMax = 1 << 16

func (c *Catalog) applyPut(r *reader) Result {
	by := r.peer()
	cs := make([]core.Change, r.count(3))
	for i := range cs {
		cs[i] = r.change()
	}
	if r.bad() {
		return r.invalid()
	}
	if by != (core.Peer{}) && !c.runs(by.Node, by.Incarnation) {
		return refused(core.Fenced, "", "that run of node %d is over or never began", by.Node)
	}
	if len(cs) > changesMax {
		return refused(core.TooLarge, "", "%d changes, of at most %d", len(cs), changesMax)
	}
	d := draft{c: c}
	for i := range cs {
		if res := d.check(&cs[i]); res.Kind != core.OK {
			return res
		}
	}
	var res Result
	for i := range cs {
		if id := c.change(&cs[i]); id != 0 {
			res.IDs = append(res.IDs, id)
		}
	}
	return res
}

// runs says that a run of a node is registered and not fenced.
func (c *Catalog) runs(id core.NodeID, i core.Incarnation) bool {
	n := c.nodes[id]
	return n != nil && n.alive && n.Incarnation == i
}

// change carries out one change, which a draft has found possible, and gives the
// stream that it concerns.
func (c *Catalog) change(ch *core.Change) core.StreamID {
	switch {
	case ch.Define != nil:
		return c.define(ch.Define)
	case ch.Stream == "":
		c.putDocument(ch)
		return 0
	}
	st, _ := c.names.get(ch.Stream)
	if ch.Alter != nil {
		c.alter(st, ch.Alter)
	} else {
		c.removeStream(st)
	}
	return st.ID
}

func (c *Catalog) define(d *core.Definition) core.StreamID {
	id := core.StreamID(uint64(c.applied)<<16 | c.minted)
	c.minted++
	s := &core.Stream{Definition: *d, ID: id, Gen: 1, Created: c.revision(), Revision: c.revision()}
	s.Members = c.choose(d)
	for i := range s.Members {
		s.Members[i].InSync = c.standing(s.Members[i].Disk)
	}
	st := &stream{Stream: s}
	if d.Policy.Raft() {
		st.first = slices.Clone(s.Members)
	} else {
		st.lead = c.candidate(st)
		s.Leader, s.Epoch = c.disks[st.lead], 1
	}
	c.addStream(st)
	return id
}

func (c *Catalog) putDocument(ch *core.Change) {
	old, there := c.documents.get(ch.Key)
	if there && old.Owner != (core.Owner{}) {
		delete(c.belongings(old.Owner).documents, ch.Key)
	}
	doc := core.Document{Key: ch.Key, Value: ch.Value, Revision: c.revision()}
	if ch.Value == nil {
		if there {
			c.documents.remove(ch.Key)
			c.changed.documents[ch.Key] = doc
		}
		return
	}
	doc.Owner = ch.Owner
	if ch.Owner != (core.Owner{}) {
		c.belongings(ch.Owner).documents[ch.Key] = struct{}{}
	}
	c.documents.put(ch.Key, &doc)
	c.changed.documents[ch.Key] = doc
}

// end removes what a run owns, in order of ids and keys.
func (c *Catalog) end(r run) {
	b := c.owned[r]
	if b == nil {
		return
	}
	for _, id := range b.streams.list() {
		c.removeStream(c.streams[id])
	}
	keys := make([]string, 0, len(b.documents))
	for key := range b.documents {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		c.putDocument(&core.Change{Key: key})
	}
	delete(c.owned, r)
}
