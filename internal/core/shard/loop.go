package shard

import (
	"fmt"

	"trine/internal/core"
	"trine/internal/core/catalog"
	"trine/internal/core/queue"
	"trine/internal/core/record"
	"trine/internal/core/replica"
)

// The defaults of Options.
const (
	beatDefault      = 100 * core.Millisecond
	silenceDefault   = core.Second
	leaseDefault     = core.Second
	lagMaxDefault    = 10 * core.Second
	tailBytesDefault = 4 << 20
)

// Shard is one loop's state. See the package doc for its rules.
type Shard struct {
	cfg  Config
	opt  Options
	now  core.Now
	out  *Turn
	rand uint64

	timers timers
	beatAt core.Time

	// Who is there.
	peers   map[core.NodeID]*peer
	order   []*peer // by node
	session core.Session

	// What is agreed: the machine as applied here, and who waits for it.
	machine *catalog.Catalog
	agreed  *copyOf // the catalog's own copy on this disk
	seen    sessions
	applied waits // for an index of the catalog to be applied here
	changes catalog.Changes
	views   map[core.StreamID]*core.Stream
	hints   map[core.StreamID]core.Lead // who leads what Raft elects
	member  bool                        // the catalog shows this run as alive
	joining bool                        // a registration is under way

	// Copies on this disk.
	copies    map[core.StreamID]*copyOf
	list      []*copyOf // in order of their streams
	recovered map[core.StreamID]*core.Recovered
	dirty     []*copyOf
	awake     []*copyOf // whom every beat looks at
	seekers   []*copyOf // groups that look for a leader, the catalog first
	seekAt    core.Time // when they are looked at next; 0: nobody seeks
	withheld  []*copyOf // would answer or lend, and wait for this node's lease
	announce  []core.Lead

	// Writes and loads under way.
	nextID     uint64
	writes     map[uint64]writeRef
	writesFrom uint64 // nextID when the map was made
	loads      map[uint64]func([]core.Entry, error)

	// What this node asked of others, and entered for its clients.
	requests   map[uint64]*request
	targets    map[core.StreamID]*target
	touched    []*target
	builders   []*record.Builder // free
	pending    []*target         // which every beat looks at: with something under way, or owed
	holdings   map[core.ConsumerID]*holding
	proposals  proposals
	syncs      syncs
	syncTimed  bool // a timer for them runs
	leaving    *leaving
	doubtsSelf bool // as it was shown: this node doubts itself
	cramped    bool // its disk has hardly room for more
	hadLease   bool // this run has had a lease
	beganAt    core.Time
	found      []core.Peer // whose lease may rest on what an earlier run of this node answered

	leaseNumber uint64 // counts how often the lease was regained
	sureOf      uint64 // the number of the lease for which all that was agreed is applied
	sureAsked   uint64 // and for which that was asked

	claims    claims
	wishes    []catalog.InSyncChange
	heirs     []*copyOf // led here, and to be handed over
	lends     []lendsOut
	ready     replica.Ready // reused, as is effects
	effects   queue.Effects
	earlies   []earlyMessage
	restored  bool // a checkpoint of the catalog was taken and is not followed yet
	growing   bool
	reporting bool
}

// New makes the shard of a node's run. Nothing is sent before the first Step.
func New(cfg Config) (*Shard, error) {
	if cfg.Self.Node <= 0 || cfg.Self.Disk == 0 || cfg.Self.Incarnation == 0 {
		return nil, &core.Error{Op: "start", Kind: core.Invalid, Detail: "node, disk and run must be named"}
	}
	s := &Shard{
		cfg: cfg, opt: cfg.Options.withDefaults(), rand: cfg.Seed | 1,
		peers: map[core.NodeID]*peer{}, session: core.SessionOf(cfg.Self.Incarnation),
		views: map[core.StreamID]*core.Stream{}, hints: map[core.StreamID]core.Lead{},
		copies: map[core.StreamID]*copyOf{}, recovered: map[core.StreamID]*core.Recovered{},
		writes: map[uint64]writeRef{}, loads: map[uint64]func([]core.Entry, error){},
		requests: map[uint64]*request{}, targets: map[core.StreamID]*target{},
		holdings: map[core.ConsumerID]*holding{},
	}
	for i := range cfg.Disk.Streams {
		r := &cfg.Disk.Streams[i]
		s.recovered[r.Stream] = r
	}
	return s, s.openCatalog()
}

func (o Options) withDefaults() Options {
	set := func(t *core.Time, d core.Time) {
		if *t == 0 {
			*t = d
		}
	}
	set(&o.Beat, beatDefault)
	set(&o.Silence, silenceDefault)
	set(&o.Lease, leaseDefault)
	set(&o.LagMax, lagMaxDefault)
	if o.TailBytes == 0 {
		o.TailBytes = tailBytesDefault
	}
	return o
}

// Step takes what happened since the last call and says what to do.
func (s *Shard) Step(now core.Now, in []Event, out *Turn) {
	s.now, s.out = now, out
	if s.beatAt == 0 {
		s.begin()
	}
	for i := range in {
		s.event(&in[i])
	}
	s.timers.run(s.now.Mono)
	if now.Mono >= s.beatAt {
		s.beat()
	}
	s.finish()
	out.WakeAt = s.beatAt
	if t, ok := s.timers.next(); ok && t < out.WakeAt {
		out.WakeAt = t
	}
	s.out = nil
}

// begin starts the clocks of the run.
func (s *Shard) begin() {
	now := s.now
	s.beatAt, s.beganAt = now.Mono, now.Mono
	s.findRuns()
	for _, n := range s.cfg.Peers {
		s.peer(n).heard = now.Mono
	}
	for _, m := range s.machine.Voters() {
		if m.Node != s.cfg.Self.Node {
			s.peer(m.Node).heard = now.Mono
		}
	}
	s.seek(s.agreed, 0) // alone it leads at once
}

func (s *Shard) event(e *Event) {
	switch e.Kind {
	case Tick: // the timers run in any case
	case Message:
		s.message(e.Peer, e.Msg)
	case LinkUp:
		s.linkUp(e.Peer)
	case LinkDown:
		s.linkDown(e.Peer, e.Gone)
	case Asked:
		s.asked(e.Ask)
	case Flushed:
		s.flushed(e.ID, nil)
	case Failed:
		s.failed(e.ID, e.Err)
	case Room:
		s.cramped = e.Gone
		s.showNodes()
	case Began:
		s.began(core.StreamID(e.ID), e.Start)
	case Loaded:
		if f := s.loads[e.ID]; f != nil {
			delete(s.loads, e.ID)
			f(e.Found, nil)
		}
	}
}

// finish carries consequences through until none is left: what was entered goes to
// its leader, copies say what to write and send, what committed is applied, queues
// decide, and all of that may touch further copies.
func (s *Shard) finish() {
	for round := 0; ; round++ {
		core.Assert(round < 1000, "a turn of one step must end")
		if s.restored {
			s.restored = false
			s.catalogChanged()
		}
		s.lateDelivery()
		s.enterGathered()
		if len(s.dirty) == 0 && len(s.touched) == 0 {
			break
		}
		dirty := s.dirty
		s.dirty = nil
		for _, c := range dirty {
			c.dirty = false
			s.work(c)
		}
	}
	s.sendLends()
	s.sendWishes()
	s.sendClaims()
	s.sendAnnouncements()
	s.checkLeaving()
}

func (s *Shard) message(from core.Peer, m core.Message) {
	p := s.peers[from.Node]
	if p == nil || !p.up || p.id != from {
		return // of an earlier run or connection
	}
	p.heard = s.now.Mono
	switch m := m.(type) {
	case *core.Beat:
		s.beaten(p, m)
	case *core.BeatAnswer:
		s.beatAnswered(p, m)
	case *core.Suspect:
		s.told(p, m)
	case *core.Replicate:
		s.replicate(p, m)
	case *core.Leading:
		s.leading(m)
	case *core.Fill:
		s.fill(p, m)
	case *core.Filled:
		s.filled(p, m)
	case *core.Request:
		s.requested(p, m)
	case *core.Response:
		s.responded(p, m)
	case *core.Lends:
		s.lent(p, m)
	case *core.Holds:
		s.holds(p, m)
	case *core.Held:
		s.held(p, m)
	}
}

// id gives the next number for a write, load or request of this run.
func (s *Shard) id() uint64 {
	s.nextID++
	return s.nextID
}

// random gives the next pseudo-random number of this run (xorshift).
func (s *Shard) random() uint64 {
	s.rand ^= s.rand << 13
	s.rand ^= s.rand >> 7
	s.rand ^= s.rand << 17
	return s.rand
}

func (s *Shard) note(level int, text string, args ...any) {
	s.out.Log = append(s.out.Log, Note{Level: level, Text: text, Args: args})
}

func (s *Shard) send(to core.NodeID, m core.Message) {
	if p := s.peers[to]; p != nil && p.up {
		s.out.Sends = append(s.out.Sends, Send{To: to, Lane: laneOf(m), Msg: m})
	}
}

func (s *Shard) answer(f func()) { s.out.Answers = append(s.out.Answers, Answer{Do: f}) }

func (s *Shard) load(l core.Load, done func([]core.Entry, error)) {
	l.ID = s.id()
	s.loads[l.ID] = done
	s.out.Loads = append(s.out.Loads, l)
}

// laneOf says on which connection a message travels: small ones that others wait
// for never stand behind batches.
func laneOf(m core.Message) core.Lane {
	switch m := m.(type) {
	case *core.Replicate:
		if len(m.Entries) > 0 || m.Checkpoint != nil {
			return core.LaneBulk
		}
	case *core.Filled, *core.Lends, *core.Holds, *core.Held: // claims in order with lends
		return core.LaneBulk
	case *core.Request:
		switch m.Body.(type) {
		case *core.Enter, *core.AttachAsk, *core.SettleAsk, *core.CreditAsk, *core.DetachAsk:
			return core.LaneBulk // in order among themselves
		}
	case *core.Response:
		if _, ok := m.Body.(*core.ReadDone); ok {
			return core.LaneBulk
		}
	}
	return core.LaneControl
}

func fail(op string, kind core.Kind, format string, args ...any) *core.Error {
	return &core.Error{Op: op, Kind: kind, Detail: fmt.Sprintf(format, args...)}
}
