// Package front is the seam between the broker and those who speak to
// strangers: what a front end may ask of it, and what every front end needs.
//
// Four interfaces, six methods each at most, named after no protocol. Every verb
// works on any node. No verb blocks, and none calls back before it returned:
// outcomes arrive on the node's loop, which the callee must not hold up. The types
// live in core, so that the node satisfies the seam without knowing of it.
package front

import "trine/internal/core"

// Streams is what exists.
type Streams interface {
	// Define makes a stream. Exist where the name is taken; the stream is then
	// given too, so that the caller can compare.
	Define(d core.Definition, done func(*core.Stream, error))
	Alter(name string, a core.Alteration, done func(*core.Stream, error))
	// Lookup asks this node's copy of the catalog, at once. That a stream is not
	// there may be answered to a client only after Cluster.Sync.
	Lookup(name string) *core.Stream
	// Remove ends a stream. ifID is 0 or the id that it must have.
	Remove(name string, ifID core.StreamID, done func(error))
	// List gives the streams whose names begin with prefix, in order of their names.
	List(prefix string) []*core.Stream
	// Watch tells every stream below prefix that is there, then each change: of its
	// definition, members, epoch or leader. gone: the stream was removed.
	Watch(prefix string, changed func(s *core.Stream, gone bool))
}

// Log is a stream by offset.
type Log interface {
	// Append hands over what one turn of a connection has to append, in order.
	Append(as []core.Append)
	Read(r core.Read, done func([]core.ReadAnswer))
	Find(f core.Find, done func(core.Found, error))
	// Trim gives the stream's new first offset.
	Trim(t core.Trim, done func(core.Offset, error))
}

// Queue is a stream that lends its messages.
type Queue interface {
	Attach(a core.Attach, h core.Holder, done func(error))
	Credit(c core.Credit)
	// Settle hands over what one turn of a connection has to settle, in order.
	Settle(ss []core.Settle)
	// Detach ends an attachment: what it held goes back, in its old place.
	Detach(s core.StreamID, c core.ConsumerID, done func(error))
	Inspect(s core.StreamID, done func(core.QueueInfo, error))
	// Purge drops the ready messages and counts them.
	Purge(s core.StreamID, done func(int64, error))
}

// Cluster is what the nodes agree on.
type Cluster interface {
	// Put takes several changes, all or nothing, and gives the revision they made.
	Put(cs []core.Change, done func(core.Revision, error))
	// Get asks this node's copy, at once, as Streams.Lookup does.
	Get(key string) (core.Document, bool)
	// Watch tells every document below prefix that is there, then each change, a
	// turn's changes together. A deleted document has a nil Value.
	Watch(prefix string, changed func([]core.Document))
	Nodes() []core.NodeInfo
	// Move puts a stream's copies on other nodes, the preferred leader first; with
	// the same nodes in another order it only moves the leadership.
	Move(name string, to []core.NodeID, done func(error))
	// Sync calls done once this node's copy of the catalog has all that was agreed
	// before the call: only then may "there is no such thing" be answered.
	Sync(done func(error))
}

// Core is the whole seam.
type Core interface {
	Streams() Streams
	Log() Log
	Queue() Queue
	Cluster() Cluster
	// Self is this run of this node, once it is a member of a cluster.
	Self() core.Peer
	// OnForward names who routes what queues give up, for streams below prefix.
	// done is called once, from any goroutine.
	OnForward(prefix string, route func(f core.Forward, done func(error)))
}
