package rocket

import (
	"log/slog"
	"sync"

	"trine/internal/core"
	"trine/internal/front"
)

// addressName is under what a node registers this front end's address:
// core.NodeInfo.Addresses.
const addressName = "rocket"

// Options are what a Front needs to know. Zero fields take the defaults.
type Options struct {
	Cluster     string    // DefaultCluster: the cluster's name towards clients
	Default     GroupConf // of nodes' own groups without a document: mode single
	PortStep    int       // 10: between the ports of groups
	NoAuto      bool      // topics do not create themselves
	MessageMax  int       // 4 MiB: bytes of a message's body
	PullBytes   int       // 256 KiB: of an answered pull
	HoldMax     core.Time // 3 s: how long a request waits for a queue without a leader
	SendWaitMax core.Time // 2.5 s: how long a send waits, below the 3 s of clients
	Region      string    // DefaultRegion
	Log         *slog.Logger
}

// Front is one node's front end. Safe for any goroutine.
type Front struct {
	core front.Core
	o    Options

	offsets offsets
	back    schedule
	trans   transactions
	watchers
	started core.Now // the first Tick
	in, out meter    // messages from and to clients

	mu        sync.RWMutex
	topics    map[string]*topic
	queues    map[string]*queue // by their streams' names
	numbers   map[uint32]*queue
	streams   map[string]*core.Stream
	groupDocs map[string]*groupDoc
	kv        map[string]struct{} // keys of the key-value table
	subs      map[string]*subDoc  // by consumer group
	changes   []*change           // of topics: the first is on its way
	members   members
	bodies    bodyPool
}

// New makes the front end of the node that c is. The node must be a member of a
// cluster. Tick must be called regularly.
func New(c front.Core, o Options) *Front {
	if o.Cluster == "" {
		o.Cluster = "DefaultCluster"
	}
	if o.Default.Mode == "" {
		o.Default.Mode = ModeSingle
	}
	if o.PortStep == 0 {
		o.PortStep = 10
	}
	if o.MessageMax == 0 {
		o.MessageMax = 4 << 20
	}
	if o.PullBytes == 0 {
		o.PullBytes = 256 << 10
	}
	if o.HoldMax == 0 {
		o.HoldMax = 3 * core.Second
	}
	if o.SendWaitMax == 0 {
		o.SendWaitMax = 2500 * core.Millisecond
	}
	if o.Region == "" {
		o.Region = "DefaultRegion"
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	f := &Front{core: c, o: o, topics: map[string]*topic{}, queues: map[string]*queue{},
		numbers: map[uint32]*queue{}, streams: map[string]*core.Stream{},
		groupDocs: map[string]*groupDoc{}, kv: map[string]struct{}{}, subs: map[string]*subDoc{},
		members: newMembers()}
	f.offsets.init(f)
	f.back.init(f)
	f.trans.init(f)
	f.watch()
	return f
}
