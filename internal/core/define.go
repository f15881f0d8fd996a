package core

// Definition is what a front end asks a stream to be.
type Definition struct {
	Name   string // unique in the cluster; front ends prefix theirs
	Policy Policy
	Keep   Keep
	Queue  *QueueSettings // nil: no queue machine over the stream
	At     []NodeID       // where its copies live, the preferred leader first; nil: the catalog places them
	Owner  Owner          // zero: lives until removed
	Labels []byte         // the front end's own, returned as given
}

// Owner ties a stream or document to one connection of one run of a node: the
// end of that run (its fence), or its front end, removes what it owns.
type Owner struct {
	Node        NodeID
	Incarnation Incarnation
	Conn        uint64
}

// Keep says which records a stream keeps. Zero fields mean without limit.
type Keep struct {
	MsMax        int64 // records older than this may go
	BytesMax     int64 // and those beyond this size, oldest first
	SegmentBytes int64 // size at which a segment file ends; 0: the journal's default
	SegmentMs    int64 // age at which it ends
	Compact      bool  // keep the last record of every key
	TombstoneMs  int64 // how long compaction keeps a key's deletion
	CompactLagMs int64 // records younger than this are not compacted
	DirtyRatio   float32
}

// QueueSettings are the rules of a queue machine. Zero fields mean without limit.
type QueueSettings struct {
	Priorities    uint8  // levels above 0; 0: first in, first out
	TTLMs         int64  // -1 none, 0 expires unless it can be lent at once
	LengthMax     int64  // ready messages
	BytesMax      int64  // bytes of ready messages
	DropHead      bool   // at a limit: drop the oldest; else refuse the newest
	DeliveryLimit int32  // returns after which a message is given up; -1 none
	SingleActive  bool   // one consumer at a time, the others wait
	IdleMs        int64  // removed after so long without use
	AutoDelete    bool   // removed when the last consumer that it had has left
	ForwardTo     []byte // the front end's own: where what is given up goes; nil: nowhere
	ForwardRetry  bool   // at least once, else at most once
	ReturnToBack  bool   // a returned message goes behind the ready ones
}

// Alteration changes a stream; nil fields stay.
type Alteration struct {
	Policy *Policy
	Keep   *Keep
	Queue  *QueueSettings
	At     []NodeID
	Labels []byte
}

// Member is one copy of a stream, as the catalog wishes it.
type Member struct {
	Node   NodeID
	Disk   DiskID
	InSync bool // leader-follower kinds: it counts for commit; Raft: it votes
}

// Stream is what this node knows of a stream at one moment. It is immutable: a
// change makes a new one.
type Stream struct {
	Definition
	ID       StreamID
	Created  Revision
	Revision Revision
	Gen      Generation
	Epoch    Epoch
	Leader   NodeID // 0: none known
	Members  []Member
	Changing bool // its kind of replication is being changed
}

// InSyncCount gives how many copies count for commit.
func (s *Stream) InSyncCount() int {
	n := 0
	for _, m := range s.Members {
		if m.InSync {
			n++
		}
	}
	return n
}

// Document is bytes in the catalog that only the front end who put them can read.
type Document struct {
	Key      string
	Value    []byte // nil in a Watch: it was deleted
	Revision Revision
	Owner    Owner
}

// AnyRevision and NoRevision are what a Change may expect beside a revision.
const (
	AnyRevision Revision = 0  // whatever is there, or nothing
	NoRevision  Revision = -1 // nothing may be there
)

// Change is one step of a Put. Exactly one of its groups is used.
type Change struct {
	// A document: put when Value is not nil, deleted otherwise.
	Key    string
	Value  []byte
	Expect Revision
	Owner  Owner

	Define *Definition // a stream to define; Exist where it is there already

	Stream string      // the stream to alter or remove
	Alter  *Alteration // nil: remove Stream
	IfID   StreamID    // 0, or the id that Stream must have
}

// NodeInfo is what the cluster knows of a node.
type NodeInfo struct {
	Peer
	Alive     bool
	Self      bool
	Voter     bool // votes in the catalog
	Leads     bool // leads the catalog
	Cramped   bool // its disk has hardly room: streams that no other node has take nothing new
	Doubted   bool // not heard of lately; of Self: it hears no majority, or has no lease
	Rack      string
	Addresses map[string]string // a front end's name to host:port, "" host: what the client dialled
	Revision  Revision
}
