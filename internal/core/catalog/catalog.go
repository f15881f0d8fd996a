package catalog

import (
	"slices"

	"trine/internal/core"
)

// Catalog is one copy of what the cluster agrees on. It has one caller at a time.
// Every *core.Stream, Document and NodeInfo that it gives is immutable.
type Catalog struct {
	cluster uint64
	applied core.Index
	minted  uint64 // streams that the present command has defined

	nodes   map[core.NodeID]*node
	nodeIDs []core.NodeID // sorted
	disks   map[core.DiskID]core.NodeID
	infos   []core.NodeInfo // what Nodes gives; nil: to be made again
	alive   int

	streams    map[core.StreamID]*stream
	ids        idSet // all of streams
	names      *ordered[*stream]
	on         map[core.DiskID]*idSet // whose copies live there
	short      idSet                  // have fewer copies than they asked for
	unfinished bool                   // growStreams stopped at its bound
	waiting    idSet                  // wait for reports of doubtful copies

	documents *ordered[*core.Document]
	owned     map[run]*belongings

	changed changed
}

// node is one node, alive while run is registered and not fenced.
type node struct {
	core.Peer // the run that was registered last
	alive     bool
	leaving   bool // it handed over and is about to end
	rack      string
	addresses map[string]string
	revision  core.Revision

	leads  idSet // leader-follower streams that it leads, or that wait for it
	firsts int   // streams whose preferred leader it is
}

// stream is a stream with what its snapshot does not show.
type stream struct {
	*core.Stream

	lead  core.DiskID   // leader-follower kinds: the copy that leads, or is waited for
	first []core.Member // the members when the generation began; nil: as now
	to    []core.NodeID // where a move in progress leads
	want  core.Policy   // while Changing: the policy to come
	seal  core.Index    // the last index of the generation before
	seen  core.Epoch    // Raft: the highest epoch that reported members
	doubt []core.DiskID // copies of the in-sync set that may lack something
	told  []told        // while doubt: what copies have reported

	dirty bool // in changed.streams
}

// told is what one copy reported.
type told struct {
	disk  core.DiskID
	epoch core.Epoch
	index core.Index
}

// run is one run of a node, as what owns streams and documents.
type run struct {
	node        core.NodeID
	incarnation core.Incarnation
}

// belongings is what a run owns.
type belongings struct {
	streams   idSet
	documents map[string]struct{}
}

// New gives the catalog of a new cluster: nothing is in it but the nodes that vote
// in it, which have not registered yet.
func New(cluster uint64, voters []core.Member) *Catalog {
	c := empty(cluster)
	for _, v := range voters {
		n := c.addNode(v.Node)
		n.Disk = v.Disk
		c.disks[v.Disk] = v.Node
	}
	s := &core.Stream{ID: core.CatalogStream, Gen: 1, Members: slices.Clone(voters)}
	s.Policy = core.Majority(votersMax)
	c.addStream(&stream{Stream: s})
	return c
}

// votersMax is how many nodes vote in the catalog unless Vote says otherwise.
const votersMax = 3

// Cluster gives the cluster's id.
func (c *Catalog) Cluster() uint64 { return c.cluster }

// Applied gives the index of the last command.
func (c *Catalog) Applied() core.Index { return c.applied }

// Stream gives a stream by its id, nil where there is none. CatalogStream is the
// catalog itself: its members are the voters, it is in no list and has no name.
func (c *Catalog) Stream(id core.StreamID) *core.Stream {
	if st := c.streams[id]; st != nil {
		return st.Stream
	}
	return nil
}

// ByName gives a stream by its name, nil where there is none.
func (c *Catalog) ByName(name string) *core.Stream {
	if st, ok := c.names.get(name); ok {
		return st.Stream
	}
	return nil
}

// List gives the streams whose names begin with prefix, in order of their names.
func (c *Catalog) List(prefix string) []*core.Stream {
	var out []*core.Stream
	c.names.each(prefix, func(_ string, st *stream) { out = append(out, st.Stream) })
	return out
}

// On gives the streams that have a copy on a disk, in order of their ids, with the
// catalog itself.
func (c *Catalog) On(disk core.DiskID) []*core.Stream {
	return c.snapshots(c.on[disk].list())
}

// Led gives the leader-follower streams that a node leads, or that wait for it.
func (c *Catalog) Led(id core.NodeID) []*core.Stream {
	if n := c.nodes[id]; n != nil {
		return c.snapshots(n.leads.list())
	}
	return nil
}

func (c *Catalog) snapshots(ids []core.StreamID) []*core.Stream {
	out := make([]*core.Stream, len(ids))
	for i, id := range ids {
		out[i] = c.streams[id].Stream
	}
	return out
}

// Lead gives the copy that leads a leader-follower stream in its present epoch; 0:
// none does. Under Raft it gives 0: the group elects.
func (c *Catalog) Lead(id core.StreamID) core.DiskID {
	st := c.streams[id]
	if st == nil || st.Leader == 0 {
		return 0
	}
	return st.lead
}

// First gives the members with which a stream's present generation began: what a
// copy that has nothing of it starts from.
func (c *Catalog) First(id core.StreamID) []core.Member {
	st := c.streams[id]
	if st == nil {
		return nil
	}
	if st.first != nil {
		return st.first
	}
	return st.Members
}

// Seal gives the last index of the generation before the present one; 0: there was
// none.
func (c *Catalog) Seal(id core.StreamID) core.Index {
	if st := c.streams[id]; st != nil {
		return st.seal
	}
	return 0
}

// Target gives the policy to which a stream is changing its kind, while it is.
func (c *Catalog) Target(id core.StreamID) (core.Policy, bool) {
	st := c.streams[id]
	if st == nil || !st.Changing {
		return core.Policy{}, false
	}
	return st.want, true
}

// Growing says that streams still have fewer copies than they asked for and could
// have: Grow should be proposed.
func (c *Catalog) Growing() bool { return c.unfinished }

// Asked gives the streams that wait for a Report of the copy on a disk. Whenever one
// begins to wait, or waits anew, it is among Changes.Streams.
func (c *Catalog) Asked(disk core.DiskID) []core.StreamID {
	var out []core.StreamID
	for _, id := range c.waiting.list() {
		if c.asks(c.streams[id], disk) {
			out = append(out, id)
		}
	}
	return out
}

// Document gives a document by its key.
func (c *Catalog) Document(key string) (core.Document, bool) {
	if d, ok := c.documents.get(key); ok {
		return *d, true
	}
	return core.Document{}, false
}

// Documents gives the documents whose keys begin with prefix, in order of their keys.
func (c *Catalog) Documents(prefix string) []core.Document {
	var out []core.Document
	c.documents.each(prefix, func(_ string, d *core.Document) { out = append(out, *d) })
	return out
}

// Nodes gives every node that ever registered or votes, in order of their ids. Self
// and Leads are the caller's to know.
func (c *Catalog) Nodes() []core.NodeInfo {
	if c.infos != nil {
		return c.infos
	}
	c.infos = make([]core.NodeInfo, 0, len(c.nodeIDs))
	for _, id := range c.nodeIDs {
		n := c.nodes[id]
		c.infos = append(c.infos, core.NodeInfo{Peer: n.Peer, Alive: n.alive,
			Voter: c.votes(n.Disk), Rack: n.rack, Addresses: n.addresses, Revision: n.revision})
	}
	return c.infos
}

func (c *Catalog) votes(disk core.DiskID) bool {
	for _, m := range c.streams[core.CatalogStream].Members {
		if m.Disk == disk && m.InSync {
			return true
		}
	}
	return false
}

// Voters gives who shall vote in the catalog: InSync where it does.
func (c *Catalog) Voters() []core.Member { return c.streams[core.CatalogStream].Members }
