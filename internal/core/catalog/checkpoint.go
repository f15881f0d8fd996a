package catalog

import (
	"slices"

	"trine/internal/core"
)

// checkpointVersion is the first byte of an encoded catalog.
const checkpointVersion = 1

func empty(cluster uint64) *Catalog {
	return &Catalog{
		cluster:   cluster,
		nodes:     make(map[core.NodeID]*node),
		disks:     make(map[core.DiskID]core.NodeID),
		streams:   make(map[core.StreamID]*stream),
		names:     newOrdered[*stream](),
		on:        make(map[core.DiskID]*idSet),
		documents: newOrdered[*core.Document](),
		owned:     make(map[run]*belongings),
		changed:   changed{documents: make(map[string]core.Document), nodes: true},
	}
}

// Encode gives the whole catalog: equal catalogs give equal bytes.
func (c *Catalog) Encode() []byte {
	w := &writer{b: make([]byte, 0, 256+96*len(c.streams)+64*c.documents.size())}
	w.byte(checkpointVersion)
	w.uint(c.cluster)
	w.int(int64(c.applied))
	w.bool(c.unfinished)
	w.uint(uint64(len(c.nodeIDs)))
	for _, id := range c.nodeIDs {
		w.node(c.nodes[id])
	}
	disks := make([]core.DiskID, 0, len(c.disks))
	for d := range c.disks {
		disks = append(disks, d)
	}
	slices.Sort(disks)
	w.uint(uint64(len(disks)))
	for _, d := range disks {
		w.uint(uint64(d))
		w.int(int64(c.disks[d]))
	}
	w.uint(uint64(c.ids.size()))
	for _, id := range c.ids.list() {
		w.stream(c.streams[id])
	}
	w.uint(uint64(c.documents.size()))
	c.documents.each("", func(key string, d *core.Document) {
		w.string(key)
		w.bytes(d.Value)
		w.int(int64(d.Revision))
		w.owner(d.Owner)
	})
	return w.b
}

func (w *writer) node(n *node) {
	w.peer(n.Peer)
	w.bool(n.alive)
	w.bool(n.leaving)
	w.string(n.rack)
	w.addresses(n.addresses)
	w.int(int64(n.revision))
}

func (w *writer) stream(st *stream) {
	w.uint(uint64(st.ID))
	w.definition(&st.Definition)
	w.int(int64(st.Created))
	w.int(int64(st.Revision))
	w.uint(uint64(st.Gen))
	w.int(int64(st.Epoch))
	w.int(int64(st.Leader))
	w.members(st.Members)
	w.uint(uint64(st.lead))
	w.members(st.first)
	w.nodes(st.to)
	w.bool(st.Changing)
	if st.Changing {
		w.policy(st.want)
	}
	w.int(int64(st.seal))
	w.int(int64(st.seen))
	w.uint(uint64(len(st.doubt)))
	for _, d := range st.doubt {
		w.uint(uint64(d))
	}
	w.uint(uint64(len(st.told)))
	for _, t := range st.told {
		w.uint(uint64(t.disk))
		w.int(int64(t.epoch))
		w.int(int64(t.index))
	}
}

// Decode reads what Encode gave. Everything in it counts as changed.
func Decode(b []byte) (*Catalog, error) {
	r := &reader{b: b}
	if r.byte() != checkpointVersion {
		r.fail("its version is not known")
	}
	c := empty(r.uint())
	c.applied, c.unfinished = core.Index(r.int()), r.bool()
	for i := r.count(7); i > 0 && r.why == ""; i-- {
		c.readNode(r)
	}
	for i := r.count(2); i > 0 && r.why == ""; i-- {
		d, of := core.DiskID(r.uint()), core.NodeID(r.int32())
		if _, twice := c.disks[d]; twice || c.nodes[of] == nil {
			r.fail("a disk is there twice, or of no node")
		}
		c.disks[d] = of
	}
	for _, id := range c.nodeIDs {
		if n := c.nodes[id]; r.why == "" && c.disks[n.Disk] != id {
			r.fail("a node's disk is not its own")
		}
	}
	for i := r.count(20); i > 0 && r.why == ""; i-- {
		c.readStream(r)
	}
	if c.streams[core.CatalogStream] == nil {
		r.fail("the catalog's own stream is not in it")
	}
	for i := r.count(5); i > 0 && r.why == ""; i-- {
		c.readDocument(r)
	}
	if err := r.end("decode catalog"); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Catalog) readNode(r *reader) {
	p := r.peer()
	if r.why != "" || c.nodes[p.Node] != nil || p.Node < 1 {
		r.fail("a node is there twice, or is not named")
		return
	}
	n := c.addNode(p.Node)
	n.Peer, n.alive, n.leaving = p, r.bool(), r.bool()
	n.rack, n.addresses, n.revision = r.string(), r.addresses(), core.Revision(r.int())
	if n.alive {
		c.alive++
	}
}

func (c *Catalog) readStream(r *reader) {
	s := &core.Stream{ID: core.StreamID(r.uint())}
	s.Definition = r.definition()
	s.Created, s.Revision = core.Revision(r.int()), core.Revision(r.int())
	s.Gen, s.Epoch = core.Generation(r.uint32()), core.Epoch(r.int32())
	s.Leader, s.Members = core.NodeID(r.int32()), r.members()
	st := &stream{Stream: s, lead: core.DiskID(r.uint()), first: r.members(), to: r.nodes()}
	if s.Changing = r.bool(); s.Changing {
		st.want = r.policy()
	}
	st.seal, st.seen = core.Index(r.int()), core.Epoch(r.int32())
	for i := r.count(1); i > 0; i-- {
		st.doubt = append(st.doubt, core.DiskID(r.uint()))
	}
	for i := r.count(3); i > 0; i-- {
		st.told = append(st.told,
			told{core.DiskID(r.uint()), core.Epoch(r.int32()), core.Index(r.int())})
	}
	if r.why == "" {
		if why := c.wrong(st); why != "" {
			r.fail(why)
			return
		}
		c.addStream(st)
	}
}

// wrong says what about a decoded stream cannot be; "" where it can.
func (c *Catalog) wrong(st *stream) string {
	_, named := c.names.get(st.Name)
	switch {
	case c.streams[st.ID] != nil || st.ID != core.CatalogStream && (named || st.Name == ""):
		return "a stream is there twice, or has no name"
	case st.Policy.Mode() == "" || st.Changing && st.want.Mode() == "":
		return "a stream's policy is none of the accepted modes"
	case st.Policy.Raft() && (st.lead != 0 || st.Leader != 0):
		return "a stream that elects by majority has a leader here"
	case !st.Policy.Raft() && (st.member(st.lead) < 0 || st.InSyncCount() == 0):
		return "a stream's leader is no member, or no copy is in sync"
	case st.Leader != 0 && st.Leader != c.disks[st.lead]:
		return "a stream is led by another node than its leading copy's"
	case len(st.Members) == 0 || len(st.to) > len(st.Members) && !st.Changing:
		return "a stream has no members, or moves to more than it has"
	}
	for _, m := range st.Members {
		if c.nodes[m.Node] == nil || c.disks[m.Disk] != m.Node {
			return "a stream has a member on no known disk"
		}
	}
	for _, id := range append(slices.Clone(st.to), st.At...) {
		if c.nodes[id] == nil {
			return "a stream shall move to a node that is not known"
		}
	}
	for _, d := range st.doubt {
		if st.member(d) < 0 {
			return "a copy that is doubtful is no member"
		}
	}
	for _, t := range st.told {
		if st.member(t.disk) < 0 {
			return "a copy that reported is no member"
		}
	}
	return ""
}

func (c *Catalog) readDocument(r *reader) {
	d := &core.Document{Key: r.string(), Value: r.bytes()}
	d.Revision, d.Owner = core.Revision(r.int()), r.owner()
	if d.Value == nil {
		d.Value = []byte{}
	}
	if _, twice := c.documents.get(d.Key); twice || d.Key == "" {
		r.fail("a document is there twice, or has no key")
		return
	}
	c.documents.put(d.Key, d)
	c.changed.documents[d.Key] = *d
	if d.Owner != (core.Owner{}) {
		c.belongings(d.Owner).documents[d.Key] = struct{}{}
	}
}

// Replace says that c, newly decoded, takes the place of old: what old had and c
// has not counts as gone.
func (c *Catalog) Replace(old *Catalog) {
	for _, id := range old.ids.list() {
		if c.streams[id] == nil {
			c.changed.gone = append(c.changed.gone, old.streams[id].Stream)
		}
	}
	old.documents.each("", func(key string, d *core.Document) {
		if _, there := c.documents.get(key); !there {
			c.changed.documents[key] = core.Document{Key: key, Revision: core.Revision(c.applied)}
		}
	})
}
