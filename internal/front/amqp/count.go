package amqp

import "trine/internal/front/amqp/topology"

// counts are the node's own: of what its channels did, and of what came and went.
type counts struct {
	total topology.Tally
	churn topology.Churn
}

// Counted gives what this node's channels did since it started.
func (f *Front) Counted() topology.Tallied { return f.counts.total.Read() }

// Churn gives how often connections, channels and queues came and went on this node
// since it started.
func (f *Front) Churn() *topology.Churn { return &f.counts.churn }

// Tell brings the tallies up to date with all connections. each, where it is not nil,
// is told of every channel, by its connection's id and its number, what it counted
// since it was opened.
func (f *Front) Tell(each func(conn uint64, channel int, all *topology.Tallied)) {
	for _, c := range f.openConns() {
		c.w.Lock()
		for _, ch := range c.channels {
			ch.tell()
			if each != nil {
				each(c.w.Info().ID, int(ch.id), &ch.counter.All)
			}
		}
		for _, cs := range c.consumers {
			cs.tell()
		}
		c.w.Unlock()
	}
}

func (ch *channel) tell() {
	ch.counter.Tell(&ch.c.f.counts.total)
	ch.target.tell()
}

func (cs *consumer) tell() { cs.counter.Tell(cs.queue.Tally) }

// tell counts for the exchange that was published to.
func (t *target) tell() {
	if t.exchange != nil && t.in > 0 {
		t.exchange.Tally.Add(topology.Published, t.in)
		t.exchange.Tally.Add(topology.Routed, t.out)
	}
	t.in, t.out = 0, 0
}

// countRoute counts a message that was published, and the queues it went to.
func (ch *channel) countRoute(p *publication, x *exchange, queues int) {
	ch.counter.One(topology.Published)
	switch {
	case queues > 0:
	case p.mandatory:
		ch.counter.One(topology.Returned)
	default:
		ch.counter.One(topology.Dropped)
	}
	if t := &ch.target; t.exchange == x {
		t.in++
		t.out += uint64(queues)
		return
	}
	x.Tally.Add(topology.Published, 1)
	x.Tally.Add(topology.Routed, uint64(queues))
}

// countDelivery counts a message that a consumer or a basic.get was given.
func (ch *channel) countDelivery(cs *consumer, c topology.Count, again bool) {
	if cs.noAck {
		c++ // the same without acknowledgement
	}
	cs.counter.One(c)
	ch.counter.One(c)
	if again {
		cs.counter.One(topology.Again)
		ch.counter.One(topology.Again)
	}
}
