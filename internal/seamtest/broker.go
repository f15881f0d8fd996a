// Package seamtest is the broker's seam in memory, for tests of front ends: what
// they ask is answered by the real record batches, producers' rules and queue
// machines, on one node, without disks, links or replication.
//
//	b := seamtest.New()            // its clock stands until Advance
//	b := seamtest.New(seamtest.RealTime())
//	defer b.Close()
//
// As in the node, all that is asked is done in order by one goroutine, the loop,
// which also makes every call back: none comes from within the verb that asked.
package seamtest

import (
	"slices"
	"sync"
	"time"

	"trine/internal/core"
	"trine/internal/front"
)

var _ front.Core = (*Broker)(nil)

// Broker is the seam. Its methods may be called by any goroutine, but those that
// wait, Advance, Idle and Close, not from a call back.
type Broker struct {
	mu      sync.Mutex // held while state changes, not while callbacks run
	wake    *sync.Cond
	todo    []func() // by the loop, in order
	calls   []func() // out to whoever waits, once mu is free
	closed  bool
	ended   chan struct{}
	ticking chan struct{}

	self     core.Peer
	now      core.Now
	nodes    []core.NodeInfo
	revision core.Revision
	streams  map[string]*log
	byID     map[core.StreamID]*log
	docs     map[string]core.Document
	reads    []*waiting
	onStream []streamWatch
	onDoc    []docWatch
	forwards []forwarder
	fail     func(verb, name string) error
}

type forwarder struct {
	prefix string
	route  func(core.Forward, func(error))
}

// Option changes what New makes.
type Option func(*Broker, *options)

type options struct{ real bool }

// RealTime lets the broker's clock run.
func RealTime() Option { return func(_ *Broker, o *options) { o.real = true } }

// Nodes makes a cluster of n nodes. The broker itself is node 1; that it does not
// lead a stream shows only where an ask says Here.
func Nodes(n int) Option {
	return func(b *Broker, _ *options) {
		b.nodes = nil
		for i := range n {
			p := core.Peer{Node: core.NodeID(i + 1), Disk: core.DiskID(i + 1),
				Incarnation: core.Incarnation(i + 1)}
			b.nodes = append(b.nodes, core.NodeInfo{Peer: p, Alive: true, Self: i == 0,
				Voter: true, Leads: i == 0, Addresses: map[string]string{}})
		}
	}
}

// New gives a broker of one node. Its clock stands at the beginning of 2026 until
// Advance moves it.
func New(with ...Option) *Broker {
	b := &Broker{self: core.Peer{Node: 1, Disk: 1, Incarnation: 1}, revision: 1,
		streams: map[string]*log{}, byID: map[core.StreamID]*log{},
		docs: map[string]core.Document{}, ended: make(chan struct{}),
		ticking: make(chan struct{})}
	b.wake = sync.NewCond(&b.mu)
	b.now = core.Now{Mono: core.Second, Wall: core.Stamp(time.Date(2026, 1, 1, 0, 0, 0, 0,
		time.UTC).UnixMilli())}
	o := options{}
	Nodes(1)(b, &o)
	for _, w := range with {
		w(b, &o)
	}
	if o.real {
		b.now.Wall = core.Stamp(time.Now().UnixMilli())
		go b.run(time.Now()) // Close waits for its end
	} else {
		close(b.ticking)
	}
	go b.loop() // Close waits for its end
	return b
}

// run moves the clock with the real one.
func (b *Broker) run(start time.Time) {
	defer close(b.ticking)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	first := b.now
	for range tick.C {
		d := time.Since(start)
		ok := b.post(func() {
			b.now.Mono = first.Mono + core.Time(d)
			b.now.Wall = first.Wall + core.Stamp(d.Milliseconds())
			b.tick()
		})
		if !ok {
			return
		}
	}
}

// loop does what was asked, in order, and calls back.
func (b *Broker) loop() {
	defer close(b.ended)
	b.mu.Lock()
	for {
		for len(b.todo) == 0 && !b.closed {
			b.wake.Wait()
		}
		if len(b.todo) == 0 {
			b.mu.Unlock()
			return
		}
		do := b.todo[0]
		b.todo = b.todo[1:]
		do()
		calls := b.calls
		b.calls = nil
		b.mu.Unlock()
		for _, c := range calls {
			c()
		}
		b.mu.Lock()
	}
}

// post hands something to the loop; false where the broker is closed.
func (b *Broker) post(do func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.todo = append(b.todo, do)
	b.wake.Signal()
	return true
}

// call makes a callback once the present event is done.
func (b *Broker) call(f func()) { b.calls = append(b.calls, f) }

// Idle waits until all that was asked before, and all that its callbacks asked, is
// done.
func (b *Broker) Idle() {
	for quiet := 0; quiet < 2; {
		done := make(chan bool)
		if !b.post(func() {
			rest := len(b.todo)
			b.call(func() { done <- rest == 0 })
		}) {
			return
		}
		if <-done {
			quiet++
		} else {
			quiet = 0
		}
	}
}

// Advance moves a clock that stands, and waits until what follows is done.
func (b *Broker) Advance(d time.Duration) {
	b.Idle()
	b.post(func() {
		b.now.Mono += core.Time(d)
		b.now.Wall += core.Stamp(d.Milliseconds())
		b.tick()
	})
	b.Idle()
}

// Close ends the broker; what is asked afterwards is never answered.
func (b *Broker) Close() {
	b.mu.Lock()
	b.closed = true
	b.wake.Broadcast()
	b.mu.Unlock()
	<-b.ticking
	<-b.ended
}

// Now gives the broker's clock.
func (b *Broker) Now() core.Now {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

// Fail sets a judge who is asked before every verb on a stream or document: its
// error, where it gives one, is the answer. The verbs are append, read, find, trim,
// attach, settle, define, alter, remove and put.
func (b *Broker) Fail(judge func(verb, name string) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = judge
}

func (b *Broker) judge(verb, name string) error {
	if b.fail == nil {
		return nil
	}
	return b.fail(verb, name)
}

// SetNodes says what Nodes answers, for instance with addresses.
func (b *Broker) SetNodes(nodes []core.NodeInfo) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes = slices.Clone(nodes)
}

// tick does what time alone does.
func (b *Broker) tick() {
	for _, name := range b.names("") {
		if l := b.streams[name]; l != nil && l.queue != nil {
			b.turn(l)
		}
	}
	b.answerReads()
}

// Streams, Log, Queue and Cluster give the parts of the seam.
func (b *Broker) Streams() front.Streams { return streams{b} }

// Log is the part for streams by offset.
func (b *Broker) Log() front.Log { return logs{b} }

// Queue is the part for lends.
func (b *Broker) Queue() front.Queue { return queues{b} }

// Cluster is the part for documents.
func (b *Broker) Cluster() front.Cluster { return cluster{b} }

// Self is node 1.
func (b *Broker) Self() core.Peer { return b.self }

// OnForward names who routes what queues below prefix give up.
func (b *Broker) OnForward(prefix string, route func(core.Forward, func(error))) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forwards = append(b.forwards, forwarder{prefix, route})
}

func failed(op, name string, kind core.Kind, detail string) error {
	return &core.Error{Op: op, Name: name, Kind: kind, Detail: detail}
}
