// Package amqp speaks AMQP 0-9-1 with RabbitMQ's extensions over the seam.
//
// What is declared stands in the catalog, as streams and documents (topology).
// Every node compiles the routes from its own copy of the catalog (view). A
// connection (conn) is a front.Conn: it has no goroutine. What one Feed has to
// append and to settle is handed to the core together. A channel that waits for an
// answer keeps its further frames until the answer is there; other channels go on.
package amqp

import (
	"crypto/rand"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/front/amqp/access"
	"trine/internal/front/amqp/onward"
	"trine/internal/front/amqp/tally"
	"trine/internal/front/amqp/topology"
)

// Options are what the front end is told. Zero fields take the defaults.
type Options struct {
	Version    string          // 4.0.5: clients read X.Y.Z and decide by it what they may use
	Cluster    string          // "trine": the cluster's name, as clients see it
	Gate       access.Gate     // who may log in; nil: guest from loopback
	LoginFrom  access.From     // by which of its names a certificate logs in; "": the distinguished one
	MessageMax int             // 16 MiB: the largest body
	FrameMax   int             // 128 KiB
	ChannelMax int             // 2047 on one connection
	Heartbeat  int             // 60 s: what is proposed
	AckTimeout core.Time       // 30 min: how long a client may hold a message; < 0: for ever
	Rand       io.Reader       // names that the server draws; nil: crypto/rand
	Clock      func() core.Now // nil: the system's
	Log        *slog.Logger
}

// Front is the front end on one node.
type Front struct {
	core front.Core
	o    Options
	view *topology.View
	log  *slog.Logger

	lastConsumer atomic.Uint64
	onward       onward.Router
	followers    atomic.Bool // some consumer is to end with its queue's leader
	cramped      atomic.Pointer[crampedNodes]

	counts counts
	tally  *tally.Tally

	mu    sync.Mutex // guards conns
	conns map[*conn]struct{}
}

// New begins to watch the catalog. The core must be a member of its cluster.
func New(c front.Core, o Options) *Front {
	if o.Version == "" {
		o.Version = "4.0.5"
	}
	if o.Cluster == "" {
		o.Cluster = "trine"
	}
	if o.Gate == nil {
		o.Gate = access.Guest{}
	}
	if o.MessageMax == 0 {
		o.MessageMax = 16 << 20
	}
	if o.FrameMax == 0 {
		o.FrameMax = 128 << 10
	}
	if o.ChannelMax == 0 {
		o.ChannelMax = 2047
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 60
	}
	if o.AckTimeout == 0 {
		o.AckTimeout = ackTimeout
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Clock == nil {
		o.Clock = front.SystemClock()
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	f := &Front{core: c, o: o, view: topology.NewView(), log: o.Log, conns: map[*conn]struct{}{},
		tally: tally.New(topology.CountKey(c.Self().Node))}
	f.view.Here = c.Self().Node
	f.onward.Core, f.onward.View, f.onward.Clock, f.onward.Log = c, f.view, o.Clock, o.Log
	f.onward.Draws.Seed(o.Rand)
	o.Gate.OnUser(f.userChanged)
	c.Cluster().Watch(topology.DocumentPrefix, f.documents)
	c.Streams().Watch(topology.DocumentPrefix, f.streamChanged)
	c.OnForward(topology.DocumentPrefix, f.onward.Forward)
	return f
}

// Open makes the protocol's side of a connection: front.Options.Open.
func (f *Front) Open(w front.Wire) front.Conn {
	c := newConn(f, w)
	f.mu.Lock()
	f.conns[c] = struct{}{}
	f.mu.Unlock()
	return c
}

func (f *Front) forget(c *conn) {
	f.mu.Lock()
	delete(f.conns, c)
	f.mu.Unlock()
}

// nextConsumer draws a consumer's id.
func (f *Front) nextConsumer() core.ConsumerID {
	return core.ConsumerID(f.lastConsumer.Add(1)<<4 | consumerSpace)
}

// consumerSpace sets this front end's consumers apart from those of others on the
// same node.
const consumerSpace = 1

// living gives the nodes that are there, this one among them.
func (f *Front) living() []core.NodeID {
	at := []core.NodeID{f.core.Self().Node}
	for _, i := range f.core.Cluster().Nodes() {
		if i.Alive && !i.Self && !i.Doubted {
			at = append(at, i.Node)
		}
	}
	slices.Sort(at)
	return at
}

// alive says whether a node is.
func (f *Front) alive(n core.NodeID) bool {
	for _, i := range f.core.Cluster().Nodes() {
		if i.Node == n {
			return i.Alive
		}
	}
	return false
}

// caretaker says whether this node does what one node must: the first that lives.
func (f *Front) caretaker() bool {
	self := f.core.Self().Node
	for _, i := range f.core.Cluster().Nodes() {
		if i.Alive && i.Node < self {
			return false
		}
	}
	return true
}
