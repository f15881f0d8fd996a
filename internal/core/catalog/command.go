package catalog

import "trine/internal/core"

// version is the first byte of every command and result.
const version = 1

// kind is a command's second byte. The values are on disk.
type kind byte

const (
	kindPut kind = 1 + iota
	kindRegister
	kindFence
	kindHandOver
	kindInSync
	kindMove
	kindReport
	kindDecide
	kindYield
	kindChanged
	kindGrow
	kindVote
)

func begin(k kind) *writer { return &writer{b: []byte{version, byte(k)}} }

// Put takes several changes, all or nothing: what a front end asked. by is the run
// that entered it, Fenced where that run is over; the zero Peer is not checked.
func Put(by core.Peer, cs []core.Change) []byte {
	w := begin(kindPut)
	w.peer(by)
	w.uint(uint64(len(cs)))
	for i := range cs {
		w.change(&cs[i])
	}
	return w.b
}

// Registration is what a node says of itself when its run begins.
type Registration struct {
	Rack      string
	Addresses map[string]string // core.NodeInfo.Addresses
	Clean     bool              // its disk was closed in order
	SameBoot  bool              // its machine has not restarted since it was last written
	Damaged   []core.StreamID   // streams of which its disk lacks what was flushed
}

// Register begins a run of a node: an older run of it is over. A node that is not
// known joins; a disk that is not known replaces the node's disk, where the run on
// that one is fenced.
func Register(p core.Peer, r Registration) []byte {
	w := begin(kindRegister)
	w.peer(p)
	w.string(r.Rack)
	w.addresses(r.Addresses)
	w.bool(r.Clean)
	w.bool(r.SameBoot)
	w.uint(uint64(len(r.Damaged)))
	for _, id := range r.Damaged {
		w.uint(uint64(id))
	}
	return w.b
}

// Registers says whose run a command begins, if it is a Register.
func Registers(command []byte) (core.Peer, bool) {
	if len(command) < 2 || command[0] != version || kind(command[1]) != kindRegister {
		return core.Peer{}, false
	}
	r := &reader{b: command[2:]}
	p := r.peer()
	return p, r.why == ""
}

// Fence says that a run of a node is dead.
func Fence(p core.Peer) []byte {
	w := begin(kindFence)
	w.peer(p)
	return w.b
}

// HandOver says that a run of a node is about to end: what it leads goes to others
// that are in sync.
func HandOver(p core.Peer) []byte {
	w := begin(kindHandOver)
	w.peer(p)
	return w.b
}

// InSyncChange is what the leader of a stream in Epoch says of one copy: that it is
// in sync from here on (Raft: that it votes), or no longer.
type InSyncChange struct {
	Stream core.StreamID
	Gen    core.Generation
	Epoch  core.Epoch
	Disk   core.DiskID
	Add    bool
}

// InSync changes in-sync sets, of many streams in one entry. An item is refused
// alone, where its stream has moved on; Result.IDs names the refused items' streams.
func InSync(cs []InSyncChange) []byte {
	w := begin(kindInSync)
	w.uint(uint64(len(cs)))
	for _, c := range cs {
		w.uint(uint64(c.Stream))
		w.uint(uint64(c.Gen))
		w.int(int64(c.Epoch))
		w.uint(uint64(c.Disk))
		w.bool(c.Add)
	}
	return w.b
}

// Move puts a stream's copies on other nodes, the preferred leader first.
func Move(name string, to []core.NodeID) []byte {
	w := begin(kindMove)
	w.string(name)
	w.nodes(to)
	return w.b
}

// LogEnd is where a copy of a stream ends: the epoch of its last entry and its index.
type LogEnd struct {
	Stream core.StreamID
	Epoch  core.Epoch
	Index  core.Index
}

// Report says where copies on one disk end, of streams in Catalog.Asked: of which
// every copy that counts may lack something.
func Report(by core.Peer, ends []LogEnd) []byte {
	w := begin(kindReport)
	w.peer(by)
	w.uint(uint64(len(ends)))
	for _, e := range ends {
		w.uint(uint64(e.Stream))
		w.int(int64(e.Epoch))
		w.int(int64(e.Index))
	}
	return w.b
}

// Decide is an operator's word: the copy on that disk leads, whatever is lost.
func Decide(name string, disk core.DiskID) []byte {
	w := begin(kindDecide)
	w.string(name)
	w.uint(uint64(disk))
	return w.b
}

// Yielding is a leader's word, in Epoch, that another copy in sync has all that it
// acknowledged, and that it takes nothing until it hears what became of it. Out: it
// cannot write, and leaves the in-sync set.
type Yielding struct {
	Stream core.StreamID
	Gen    core.Generation
	Epoch  core.Epoch
	To     core.DiskID
	Out    bool
}

// Yield hands leader-follower streams over, of many in one entry. An item is refused
// alone, where its stream has moved on or To may not lead; Result.IDs names those.
func Yield(ys []Yielding) []byte {
	w := begin(kindYield)
	w.uint(uint64(len(ys)))
	for _, y := range ys {
		w.uint(uint64(y.Stream))
		w.uint(uint64(y.Gen))
		w.int(int64(y.Epoch))
		w.uint(uint64(y.To))
		w.bool(y.Out)
	}
	return w.b
}

// KindChange ends the change of a stream's kind of replication.
type KindChange struct {
	Stream  core.StreamID
	Gen     core.Generation // the one that ends
	Seal    core.Index      // of its last entry
	Floor   core.Epoch      // the highest epoch that any copy may have seen
	Members []core.Member   // those that hold Seal are InSync
}

// Changed ends the change of a stream's kind: the new policy, Gen+1, an epoch above
// Floor, these members.
func Changed(k KindChange) []byte {
	w := begin(kindChanged)
	w.uint(uint64(k.Stream))
	w.uint(uint64(k.Gen))
	w.int(int64(k.Seal))
	w.int(int64(k.Floor))
	w.members(k.Members)
	return w.b
}

// Grow goes on giving streams the copies they asked for, while Catalog.Growing.
func Grow() []byte { return begin(kindGrow).b }

// Vote names the nodes that shall vote in the catalog.
func Vote(nodes []core.NodeID) []byte {
	w := begin(kindVote)
	w.nodes(nodes)
	return w.b
}

// The groups of a Change, as their first byte.
const (
	changeDocument byte = 1 + iota
	changeDefine
	changeAlter
	changeRemove
)

func (w *writer) change(c *core.Change) {
	switch {
	case c.Define != nil:
		w.byte(changeDefine)
		w.definition(c.Define)
	case c.Stream != "" && c.Alter != nil:
		w.byte(changeAlter)
		w.string(c.Stream)
		w.uint(uint64(c.IfID))
		w.alteration(c.Alter)
	case c.Stream != "":
		w.byte(changeRemove)
		w.string(c.Stream)
		w.uint(uint64(c.IfID))
	default:
		w.byte(changeDocument)
		w.string(c.Key)
		w.optional(c.Value)
		w.int(int64(c.Expect))
		w.owner(c.Owner)
	}
}

func (r *reader) change() (c core.Change) {
	switch r.byte() {
	case changeDefine:
		d := r.definition()
		c.Define = &d
	case changeAlter:
		c.Stream, c.IfID = r.string(), core.StreamID(r.uint())
		c.Alter = r.alteration()
	case changeRemove:
		c.Stream, c.IfID = r.string(), core.StreamID(r.uint())
	case changeDocument:
		c.Key, c.Value = r.string(), r.optional()
		c.Expect, c.Owner = core.Revision(r.int()), r.owner()
	default:
		r.fail("a change is of no known kind")
	}
	return c
}
