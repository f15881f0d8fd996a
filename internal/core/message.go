package core

// Message is what one node says to another: one of the types in this file.
// Package link gives each its bytes.
type Message interface{ message() }

// Lane is one of the two connections between a pair of nodes.
type Lane uint8

// The lanes. One connection for both makes false elections: a vote behind 1 MiB
// of batches is late.
const (
	LaneControl Lane = iota // beats, votes, answers, settlements: small, never held back
	LaneBulk                // batches, lends, copying
)

// Beat is a node's heartbeat, for all that it leads and follows. It leaves only
// while the node's loop turns and its disk answers.
type Beat struct {
	Seq     uint64
	Sent    Time // the sender's clock, returned in the answer: leases count from it
	Wall    Stamp
	Applied Index // of the catalog
	Cramped bool  // its disk has hardly room for more
}

// BeatAnswer answers a Beat. A voter of the catalog that answers supports no
// fencing of the asker for one second.
type BeatAnswer struct {
	Seq  uint64
	Sent Time // as in the Beat
}

// Suspect says what its sender holds of another node's life.
type Suspect struct {
	Peer     Peer
	Evidence bool // its connections ended and it was not there when called again
	Silent   bool // nothing was heard of it for the time that judges silence
	Back     bool // the suspicion is withdrawn
}

// ReplicateType says what a Replicate is. The values are on the wire.
type ReplicateType uint8

// The types of Replicate; the first two serve both kinds of replication.
const (
	RepAppend       ReplicateType = 1 + iota // entries after (Index, LogEpoch), and the committed index
	RepAppendAnswer                          // Index: the last that matches; or Reject with a hint
	RepVote
	RepVoteAnswer
	RepPreVote
	RepPreVoteAnswer
	RepHeartbeat
	RepHeartbeatAnswer
	RepCheckpoint // Checkpoint replaces what the receiver has
	RepTimeoutNow // the receiver shall campaign at once
	RepReadIndex  // leader: which epoch are you in? Hint names the question
	RepReadIndexAnswer
	RepUnreachable // only within a node
	RepCheckpointStatus
	RepTransfer
	RepForgetLeader
	RepQuiet // leader: all hold Index, committed: no more heartbeats until there is work
)

// Replicate is what two copies of a stream say to each other.
type Replicate struct {
	Stream     StreamID
	Gen        Generation
	Type       ReplicateType
	From, To   DiskID
	Epoch      Epoch
	LogEpoch   Epoch
	Index      Index
	Commit     Index
	Vote       DiskID
	Reject     bool
	Hint       Index
	Context    []byte
	Entries    []Entry
	Checkpoint *Checkpoint
}

// Lead says who leads a stream.
type Lead struct {
	Stream StreamID
	Gen    Generation
	Epoch  Epoch
	Leader NodeID // 0: its former leader gave it up
}

// Leading announces leaderships, to every node.
type Leading struct{ Leads []Lead }

// Fill asks the leader for the committed entries from Index From on: a copy that
// was given a checkpoint fetches what lies below it.
type Fill struct {
	Stream   StreamID
	ID       uint64
	From     Index
	BytesMax int
}

// Filled answers a Fill. Next is where to go on.
type Filled struct {
	Stream  StreamID
	ID      uint64
	Entries []Entry
	Next    Index
	Done    bool
	Kind    Kind
}

// Request carries an ask to the node that can answer it.
type Request struct {
	ID   uint64 // the asker's own
	Body Body
}

// Response answers a Request.
type Response struct {
	ID   uint64
	Err  *Error
	Body Body
}

// Body is what a Request asks or a Response answers: one of the types that
// follow, or Read, Find, Trim, Found, QueueInfo of this package.
type Body interface{ body() }

// Enter is an append on its way to the leader: one batch. A gathered one bears the
// session and sequence in its header.
//
// After is, for a gathered batch, the last sequence of its session that comes before it
// and is not known to be refused; -1: none. The leader takes the batch only behind that.
type Enter struct {
	Stream  StreamID
	After   int32
	Ack     Ack
	IfEpoch Epoch
	Batch   []byte
}

// Entered answers an Enter.
type Entered struct{ Appended }

// ReadDone answers a Read.
type ReadDone struct{ Parts []ReadAnswer }

// Trimmed answers a Trim.
type Trimmed struct{ Start Offset }

// AttachAsk attaches a consumer, or attaches it again to a new leader, with what
// it holds.
type AttachAsk struct {
	Attach
	Incarnation Incarnation
	Try         uint32        // counts the attachments of this consumer: lends name theirs
	Held        []OffsetRange // lent by an earlier leader, not settled
}

// OffsetRange is the offsets From to To, both included.
type OffsetRange struct{ From, To Offset }

// Attached answers an AttachAsk.
type Attached struct{ Epoch Epoch }

// CreditAsk carries credit.
type CreditAsk struct {
	Credit
	Incarnation Incarnation
}

// SettleAsk carries settlements of one session for one queue. Seq numbers them
// from 1 per stream, so that a new leader takes none twice. Epoch is of the leadership
// that has attached the consumers: any other would pass their settlements over.
type SettleAsk struct {
	Stream  StreamID
	Epoch   Epoch
	Session Session
	Seq     int64
	Settles []Settle // all of Stream
}

// SettleDone says that the settlements up to Seq hold.
type SettleDone struct{ Seq int64 }

// DetachAsk ends an attachment.
type DetachAsk struct {
	Stream   StreamID
	Consumer Consumer
}

// InspectAsk asks for a QueueInfo.
type InspectAsk struct{ Stream StreamID }

// PurgeAsk drops a queue's ready messages.
type PurgeAsk struct{ Stream StreamID }

// Purged answers a PurgeAsk.
type Purged struct{ Messages int64 }

// Propose asks the catalog's leader to append a command (core/catalog encodes it).
type Propose struct{ Command []byte }

// Proposed answers: where it was appended and what its application said.
type Proposed struct {
	Index  Index
	Result []byte
}

// ReadIndex asks the catalog's leader for an index that covers all that was
// agreed before.
type ReadIndex struct{}

// ReadIndexDone answers it.
type ReadIndexDone struct{ Index Index }

// Done is an answer without content.
type Done struct{}

// Lends carries what consumers of the receiving node were lent, in order.
type Lends struct {
	Stream  StreamID
	Epoch   Epoch
	Lends   []Lend
	Drained []DrainedCredit
	Ended   []EndedAttachment
}

// DrainedCredit answers a Credit with Drain.
type DrainedCredit struct {
	Consumer ConsumerID
	Ready    int64
}

// EndedAttachment is an attachment that the queue ended.
type EndedAttachment struct {
	Consumer ConsumerID
	Kind     Kind
}

// Holds asks a node to attach the consumers it has for the given streams again,
// with what they hold, to the sender, who now leads them; it answers with Held.
type Holds struct{ Leads []Lead }

// Held says that all consumers for those streams were attached again.
type Held struct{ Streams []StreamID }

// Join asks a member of the cluster to take the sender in, or to tell it who is in.
type Join struct {
	Peer      Peer
	Empty     bool // no cluster on its disk
	Rack      string
	Addresses map[string]string
	Named     []NodeID // the nodes that its configuration names, itself included
}

// JoinAnswer tells what the answering node knows of its cluster.
type JoinAnswer struct {
	Peer    Peer
	Cluster uint64   // 0: it is empty too
	Voters  []Member // the first voters of the catalog
	Kind    Kind     // why the join is refused
	Detail  string

	Addresses []NodeAddress // of the nodes it knows, so that whoever joins can call all
}

// NodeAddress is where a node is called by the others.
type NodeAddress struct {
	Node    NodeID
	Address string // host:port
}

func (*Beat) message()       {}
func (*BeatAnswer) message() {}
func (*Suspect) message()    {}
func (*Replicate) message()  {}
func (*Leading) message()    {}
func (*Fill) message()       {}
func (*Filled) message()     {}
func (*Request) message()    {}
func (*Response) message()   {}
func (*Lends) message()      {}
func (*Holds) message()      {}
func (*Held) message()       {}
func (*Join) message()       {}
func (*JoinAnswer) message() {}

func (*Enter) body()         {}
func (*Entered) body()       {}
func (*Read) body()          {}
func (*ReadDone) body()      {}
func (*Find) body()          {}
func (*Found) body()         {}
func (*Trim) body()          {}
func (*Trimmed) body()       {}
func (*AttachAsk) body()     {}
func (*Attached) body()      {}
func (*CreditAsk) body()     {}
func (*SettleAsk) body()     {}
func (*SettleDone) body()    {}
func (*DetachAsk) body()     {}
func (*InspectAsk) body()    {}
func (*QueueInfo) body()     {}
func (*PurgeAsk) body()      {}
func (*Purged) body()        {}
func (*Propose) body()       {}
func (*Proposed) body()      {}
func (*ReadIndex) body()     {}
func (*ReadIndexDone) body() {}
func (*Done) body()          {}
