package core

import "fmt"

type (
	// NodeID names a node of the cluster, from 1. 0 is no node.
	NodeID int32
	// DiskID names a data directory for ever; it is drawn at random when the
	// directory is made, is never 0, and is the identity of a copy: a node that
	// comes back with another disk is another copy.
	DiskID uint64
	// Incarnation names one run of a node's process: 1 to 1<<62-1, random.
	Incarnation uint64
	// StreamID names a stream for ever; it is never reused. 0 is no stream.
	StreamID uint64
	// Index counts the entries of a stream; the first has 1, 0 is before it.
	Index int64
	// Offset counts the records of a stream that a client may read, from 0.
	Offset int64
	// Epoch counts the leaders of a stream. It is a raft term where the stream
	// is replicated by majority, and the catalog's count elsewhere.
	Epoch int32
	// Generation counts the kinds of replication a stream has had, from 1.
	Generation uint32
	// Revision is the catalog's index at which something last changed.
	Revision int64
	// Time is nanoseconds on the node's monotonic clock: for timers and leases.
	Time int64
	// Stamp is milliseconds since 1970 UTC: what records carry. -1 is none.
	Stamp int64
)

// CatalogStream is the stream that the catalog itself is.
const CatalogStream StreamID = 1

// The units of Time.
const (
	Microsecond Time = 1000
	Millisecond      = 1000 * Microsecond
	Second           = 1000 * Millisecond
)

// Now is one reading of both clocks. It is read once a turn and passed down.
type Now struct {
	Mono Time
	Wall Stamp
}

// Peer is one run of a node on one disk: what a handshake establishes.
type Peer struct {
	Node        NodeID
	Disk        DiskID
	Incarnation Incarnation
}

func (p Peer) String() string { return fmt.Sprintf("node %d (disk %x)", p.Node, uint64(p.Disk)) }

// Session names what one run of a node enters into streams for its clients. It
// is also the producer id that its batches bear: below -1, so that clients who
// read the batch see a batch without a producer.
type Session int64

// SessionOf gives the session of a node's run.
func SessionOf(i Incarnation) Session { return -2 - Session(i) }
