package kafka

import (
	"crypto/rand"
	"log/slog"
	"sync"
	"time"

	"trine/internal/core"
	"trine/internal/front"
)

// Name is the front end's name in core.NodeInfo.Addresses and in logs.
const Name = "kafka"

// Config is what a Front starts with. Zero fields take the defaults.
type Config struct {
	DefaultCopies     int  // 1: copies of topics that do not say
	MinInSync         int  // 1: min.insync.replicas of topics that do not say
	AutoCreate        bool // topics are made when a client asks about them
	Partitions        int  // 1: of topics that do not say
	OffsetsPartitions int  // 16: of __consumer_offsets
	RequestBytesMax   int  // 100 MiB: a longer request ends its connection

	RebalanceDelay core.Time // how long the first members of a group wait for others
	Log            *slog.Logger

	// What the outside gives; tests and simulations give their own.
	Now   func() core.Now
	Later func(at core.Time, f func()) // calls f at that time, or soon; never at once
	NewID func() [16]byte              // random
}

func (c *Config) setDefaults() {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.DefaultCopies, 1)
	def(&c.MinInSync, 1)
	def(&c.Partitions, 1)
	def(&c.OffsetsPartitions, 16)
	def(&c.RequestBytesMax, 100<<20)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = front.SystemClock()
	}
	if c.NewID == nil {
		c.NewID = func() (id [16]byte) {
			_, _ = rand.Read(id[:]) // never fails
			id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
			return id
		}
	}
}

// Front is the front end of one node. Its Conns may be used from any goroutine,
// each under its own Wire's lock.
type Front struct {
	core   front.Core
	cfg    Config
	log    *slog.Logger
	apis   []api
	topics *topics
	groups *coordinators
	ids    producerIDs
	later  timers
}

// New makes the front end over a node, and begins to watch what it needs.
func New(c front.Core, cfg Config) *Front {
	f := &Front{core: c, cfg: cfg}
	if f.cfg.Later == nil {
		f.cfg.Later = func(at core.Time, do func()) { f.later.at(f.cfg.Now().Mono, at, do) }
	}
	f.cfg.setDefaults()
	f.log = f.cfg.Log.With("front", Name)
	f.apis = newAPIs()
	f.topics = newTopics(f)
	f.groups = newCoordinators(f)
	f.ids.f = f
	c.Cluster().Watch(topicPrefix, f.topics.documents)
	c.Streams().Watch(streamPrefix, f.topics.stream)
	return f
}

// Close ends the groups' coordination and waits until nothing runs any more. The
// connections must have ended.
func (f *Front) Close() {
	f.groups.close()
	f.later.close()
}

// timers are what Config.Later was asked for on the system's clock.
type timers struct {
	mu     sync.Mutex
	set    map[*time.Timer]struct{}
	closed bool
	group  sync.WaitGroup
}

// at calls do at a time, or soon.
func (t *timers) at(now, at core.Time, do func()) {
	d := time.Duration(0)
	if at != 0 {
		d = max(0, time.Duration(at-now))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed && d > 0 {
		return
	}
	if t.set == nil {
		t.set = map[*time.Timer]struct{}{}
	}
	t.group.Add(1)
	var timer *time.Timer
	timer = time.AfterFunc(d, func() { // close waits for its end
		defer t.group.Done()
		t.mu.Lock()
		delete(t.set, timer)
		t.mu.Unlock()
		do()
	})
	t.set[timer] = struct{}{}
}

// close gives up what is not due, and waits for the rest.
func (t *timers) close() {
	t.mu.Lock()
	t.closed = true
	for timer := range t.set {
		if timer.Stop() {
			delete(t.set, timer)
			t.group.Done()
		}
	}
	t.mu.Unlock()
	t.group.Wait()
}

// Open makes the protocol's side of a new connection, for front.Options.
func (f *Front) Open(w front.Wire) front.Conn { return newConn(f, w) }

// self is this node's id.
func (f *Front) self() core.NodeID { return f.core.Self().Node }
