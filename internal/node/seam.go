package node

import (
	"slices"
	"strings"
	"sync"

	"trine/internal/core"
	"trine/internal/core/shard"
)

// Streams is what exists: the view of it that front ends are given.
type Streams struct{ n *Node }

// Log is a stream by offset, for front ends.
type Log struct{ n *Node }

// Queue is a stream that lends its messages, for front ends.
type Queue struct{ n *Node }

// Cluster is what the nodes agree on, for front ends.
type Cluster struct{ n *Node }

// Streams gives the seam's view of what exists.
func (n *Node) Streams() Streams { return Streams{n} }

// Log gives the seam's view of streams by offset.
func (n *Node) Log() Log { return Log{n} }

// Queue gives the seam's view of queues.
func (n *Node) Queue() Queue { return Queue{n} }

// Cluster gives the seam's view of what the nodes agree on.
func (n *Node) Cluster() Cluster { return Cluster{n} }

// Self is this run of this node.
func (n *Node) Self() core.Peer { return n.self }

// ask hands an ask to the loop. After Close it is dropped: no outcome comes.
func (n *Node) ask(a *shard.Ask) { n.inbox.put(shard.Event{Kind: shard.Asked, Ask: a}) }

// onLoop has the loop call fn.
func (n *Node) onLoop(fn func()) {
	n.inbox.change(func(b *batch) { b.calls = append(b.calls, fn) })
}

// Define makes a stream.
func (s Streams) Define(d core.Definition, done func(*core.Stream, error)) {
	s.n.ask(&shard.Ask{Define: &d, StreamDone: done})
}

// Alter changes a stream.
func (s Streams) Alter(name string, a core.Alteration, done func(*core.Stream, error)) {
	s.n.ask(&shard.Ask{Name: name, Alter: &a, StreamDone: done})
}

// Lookup gives a stream of this node's copy of the catalog, or nil.
func (s Streams) Lookup(name string) *core.Stream { return s.n.view.lookup(name) }

// Remove ends a stream.
func (s Streams) Remove(name string, ifID core.StreamID, done func(error)) {
	s.n.ask(&shard.Ask{Name: name, Remove: true, IfID: ifID, Done: done})
}

// List gives the streams below prefix in the order of their names.
func (s Streams) List(prefix string) []*core.Stream { return s.n.view.list(prefix) }

// Watch tells every stream below prefix and each change, on the loop.
func (s Streams) Watch(prefix string, changed func(s *core.Stream, gone bool)) {
	s.n.onLoop(func() { s.n.view.watchStreams(streamWatcher{prefix, changed}) })
}

// Append hands over appends in order. The slice stays the caller's.
func (l Log) Append(as []core.Append) {
	l.n.ask(&shard.Ask{Appends: slices.Clone(as)})
}

// Read asks for batches.
func (l Log) Read(r core.Read, done func([]core.ReadAnswer)) {
	l.n.ask(&shard.Ask{Read: &r, ReadDone: done})
}

// Find asks where something is.
func (l Log) Find(f core.Find, done func(core.Found, error)) {
	l.n.ask(&shard.Ask{Find: &f, FindDone: done})
}

// Trim gives up records.
func (l Log) Trim(t core.Trim, done func(core.Offset, error)) {
	l.n.ask(&shard.Ask{Trim: &t, TrimDone: done})
}

// Attach asks a queue to lend to a consumer.
func (q Queue) Attach(a core.Attach, h core.Holder, done func(error)) {
	q.n.ask(&shard.Ask{Attach: &a, Holder: h, Done: done})
}

// Credit gives a consumer more to be lent.
func (q Queue) Credit(c core.Credit) { q.n.ask(&shard.Ask{Credit: &c}) }

// Settle hands over settlements in order. The slice stays the caller's.
func (q Queue) Settle(ss []core.Settle) {
	q.n.ask(&shard.Ask{Settles: slices.Clone(ss)})
}

// Detach ends an attachment.
func (q Queue) Detach(s core.StreamID, c core.ConsumerID, done func(error)) {
	who := core.Consumer{Incarnation: q.n.self.Incarnation, ID: c}
	q.n.ask(&shard.Ask{Detach: &core.DetachAsk{Stream: s, Consumer: who}, Done: done})
}

// Inspect asks a queue of itself.
func (q Queue) Inspect(s core.StreamID, done func(core.QueueInfo, error)) {
	q.n.ask(&shard.Ask{Inspect: &core.InspectAsk{Stream: s}, InspectDone: done})
}

// Purge drops a queue's ready messages.
func (q Queue) Purge(s core.StreamID, done func(int64, error)) {
	q.n.ask(&shard.Ask{Purge: &core.PurgeAsk{Stream: s}, PurgeDone: done})
}

// Put takes several changes, all or nothing.
func (c Cluster) Put(cs []core.Change, done func(core.Revision, error)) {
	c.n.ask(&shard.Ask{Put: cs, PutDone: done})
}

// Get gives a document of this node's copy of the catalog.
func (c Cluster) Get(key string) (core.Document, bool) { return c.n.view.document(key) }

// Watch tells every document below prefix and each change, on the loop.
func (c Cluster) Watch(prefix string, changed func([]core.Document)) {
	c.n.onLoop(func() { c.n.view.watchDocuments(documentWatcher{prefix, changed}) })
}

// Nodes gives the nodes of this node's copy of the catalog.
func (c Cluster) Nodes() []core.NodeInfo { return c.n.view.allNodes() }

// Move puts a stream's copies on other nodes.
func (c Cluster) Move(name string, to []core.NodeID, done func(error)) {
	c.n.ask(&shard.Ask{Name: name, Move: to, Done: done})
}

// Sync calls done once this node's copy of the catalog has all that was agreed
// before the call.
func (c Cluster) Sync(done func(error)) { c.n.ask(&shard.Ask{Sync: true, Done: done}) }

// routes are the front ends that route what queues give up.
type routes struct {
	mu     sync.RWMutex
	routes []route
}

type route struct {
	prefix string
	to     func(f core.Forward, done func(error))
}

// OnForward names who routes what queues below prefix give up.
func (n *Node) OnForward(prefix string, to func(f core.Forward, done func(error))) {
	n.routes.mu.Lock()
	defer n.routes.mu.Unlock()
	n.routes.routes = append(n.routes.routes, route{prefix, to})
}

// forward gives f to the route with the longest prefix of its stream's name.
func (r *routes) forward(f *core.Forward, done func(*core.Forward, error)) {
	r.mu.RLock()
	var best *route
	for i := range r.routes {
		p := r.routes[i].prefix
		if strings.HasPrefix(f.Stream.Name, p) && (best == nil || len(p) > len(best.prefix)) {
			best = &r.routes[i]
		}
	}
	r.mu.RUnlock()
	if best == nil {
		done(f, &core.Error{Op: "forward", Name: f.Stream.Name, Kind: core.NotExist,
			Detail: "no front end routes for it"})
		return
	}
	mine := *f
	best.to(mine, func(err error) { done(&mine, err) })
}

// forwarded tells the shard what became of a forward.
func (n *Node) forwarded(f *core.Forward, err error) {
	n.ask(&shard.Ask{ForwardDone: &shard.ForwardDone{Stream: f.Stream.ID, Epoch: f.Stream.Epoch,
		Offset: f.Offset, Err: err}})
}
