package rocket

import (
	"log/slog"
	"slices"
	"strings"
	"sync"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/front/rocket/nameserver"
	"trine/internal/front/rocket/topology"
)

// The names of what stands in the catalog beside what topology and nameserver have: see doc.go.
const (
	memberPrefix = topology.Prefix + "member/"
	lockPrefix   = topology.Prefix + "lock/"
	offsetsName  = topology.Prefix + "offsets"
)

// Options are what a Front needs to know. Zero fields take the defaults.
type Options struct {
	Cluster     string             // DefaultCluster: the cluster's name towards clients
	Default     topology.GroupConf // of nodes' own groups without a document: mode single
	PortStep    int                // 10: between the ports of groups
	NoAuto      bool               // topics do not create themselves
	MessageMax  int                // 4 MiB: bytes of a message's body
	PullBytes   int                // 256 KiB: of an answered pull
	HoldMax     core.Time          // 3 s: how long a request waits for a queue without a leader
	SendWaitMax core.Time          // 2.5 s: how long a send waits, below the 3 s of clients
	Region      string             // DefaultRegion
	Log         *slog.Logger
}

// Front is one node's front end. Safe for any goroutine.
type Front struct {
	core  front.Core
	o     Options
	view  *topology.View
	names *nameserver.Server

	offsets offsets
	back    schedule
	trans   transactions
	watchers
	started core.Now // the first Tick
	in, out meter    // messages from and to clients

	mu      sync.RWMutex
	subs    map[string]*subDoc // by consumer group
	members members
	bodies  bodyPool
}

// New makes the front end of the node that c is. The node must be a member of a
// cluster. Tick must be called regularly.
func New(c front.Core, o Options) *Front {
	if o.Cluster == "" {
		o.Cluster = "DefaultCluster"
	}
	if o.Default.Mode == "" {
		o.Default.Mode = topology.ModeSingle
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
	f := &Front{core: c, o: o, view: topology.NewView(c, o.Default),
		subs: map[string]*subDoc{}, members: newMembers()}
	f.names = nameserver.New(c, f.view, nameserver.Options{Cluster: o.Cluster, PortStep: o.PortStep,
		NoAuto: o.NoAuto})
	f.offsets.init(f)
	f.back.init(f)
	f.trans.init(f)
	f.watch()
	return f
}

// watch begins to follow the catalog. Its callbacks come on the node's loop.
func (f *Front) watch() {
	f.core.Cluster().Watch(topology.Prefix, f.documentsChanged)
	f.core.Streams().Watch(topology.Prefix, f.streamChanged)
}

func (f *Front) streamChanged(s *core.Stream, gone bool) {
	f.view.StreamChanged(s, gone)
	if s.Name == offsetsName && !gone {
		f.offsets.follow(s.ID)
	}
}

func (f *Front) documentsChanged(ds []core.Document) {
	f.view.DocumentsChanged(ds)
	f.names.DocumentsChanged(ds)
	var changed []string // consumer groups whose members changed
	f.mu.Lock()
	for i := range ds {
		d := &ds[i]
		switch {
		case strings.HasPrefix(d.Key, subPrefix):
			f.subChanged(d)
		case strings.HasPrefix(d.Key, memberPrefix):
			if g := f.memberChanged(d); g != "" && !slices.Contains(changed, g) {
				changed = append(changed, g)
			}
		}
	}
	f.mu.Unlock()
	for _, g := range changed {
		f.notifyMembers(g)
	}
}
