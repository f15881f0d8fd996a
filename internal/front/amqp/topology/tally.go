package topology

import "sync/atomic"

// Count says what is counted.
type Count uint8

// What is counted. Of a queue and of a channel Published is what was put into it; of
// an exchange it is what came in, and Routed what went out to queues.
const (
	Published Count = iota
	Routed
	Confirmed
	Returned     // unroutable, given back to the publisher
	Dropped      // unroutable, dropped
	Delivered    // to consumers that acknowledge
	DeliveredAll // to those that do not
	Got          // by basic.get, to be acknowledged
	GotAll       // by basic.get, not to be acknowledged
	GotNothing
	Again // of all delivered or got: flagged as redelivered
	Acked
	Counts // how many there are
)

// Tallied are counts at one moment.
type Tallied [Counts]uint64

// Add adds what o counted.
func (t *Tallied) Add(o *Tallied) {
	for i := range t {
		t[i] += o[i]
	}
}

// Sub takes off what o counted.
func (t *Tallied) Sub(o *Tallied) {
	for i := range t {
		t[i] -= o[i]
	}
}

// Zero says that nothing was counted.
func (t *Tallied) Zero() bool { return *t == Tallied{} }

// Tally counts what this node's connections did with one thing. It is added to by
// turns and by whoever reads it, never by the message (front/amqp, count.go).
type Tally struct{ n [Counts]atomic.Uint64 }

// Add counts n more. Nobody counts for what is no queue: a nil Tally takes it.
func (t *Tally) Add(c Count, n uint64) {
	if n > 0 && t != nil {
		t.n[c].Add(n)
	}
}

// AddAll counts what o counted.
func (t *Tally) AddAll(o *Tallied) {
	for c, n := range o {
		t.Add(Count(c), n)
	}
}

// Read gives the counts.
func (t *Tally) Read() (r Tallied) {
	for i := range t.n {
		r[i] = t.n[i].Load()
	}
	return r
}

// Churn counts what came and went on a node.
type Churn struct {
	ConnectionsOpened, ConnectionsClosed atomic.Uint64
	ChannelsOpened, ChannelsClosed       atomic.Uint64
	QueuesDeclared                       atomic.Uint64 // with those that were there already
	QueuesCreated, QueuesDeleted         atomic.Uint64
}

// Counter counts what one channel or consumer does. It is guarded by its
// connection's lock and costs a message an addition; the tallies that all
// connections share are told of it when somebody asks, and when it ends.
//
//	message ──▶ Counter.All ──▶ Tell ──▶ tallies of queue, exchange, node
type Counter struct {
	All  Tallied
	told Tallied // what the tallies have of it
}

// One counts one more.
func (n *Counter) One(c Count) { n.All[c]++ }

// Tell gives what was counted since it was told last.
func (n *Counter) Tell(to ...*Tally) {
	if n.All == n.told {
		return
	}
	more := n.All
	more.Sub(&n.told)
	n.told = n.All
	for _, t := range to {
		t.AddAll(&more)
	}
}
