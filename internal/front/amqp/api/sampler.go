package api

import (
	"sync"
	"time"

	"trine/internal/front/amqp"
	"trine/internal/front/amqp/topology"
)

// sampleEvery is how far apart samples are, as in RabbitMQ. They are taken at whole
// multiples of it, so that the nodes' samples can be added.
const sampleEvery = 5 * time.Second

// How many samples are kept: of one thing, and of the node.
const (
	samplesMax     = 13
	nodeSamplesMax = 121
)

// sampler remembers what was counted at each of the last whole five seconds. What
// did not change for as long as samples are kept has none: a thing at rest costs
// nothing.
//
//	counters ──▶ Front.Tell ──▶ tallies ──▶ series, every 5 s ──▶ rates
type sampler struct {
	f    *amqp.Front
	stop chan struct{}
	done sync.WaitGroup

	mu       sync.Mutex // guards all below
	tallies  map[*topology.Tally]*series
	channels map[channelKey]*series
	traffic  map[uint64]*series // of connections: Published is what came, Routed what went
	total    series
	churn    [churns]series
	last     int64 // when, in ms
}

type channelKey struct {
	conn   uint64
	number int
}

// series are the samples of one thing, the newest last.
type series struct {
	samples []sample
	seen    int64 // when it was there last
}

// sample is what had been counted at one moment.
type sample struct {
	At      int64            `json:"at"` // ms
	Counted topology.Tallied `json:"counted"`
}

func newSampler(f *amqp.Front) *sampler {
	s := &sampler{f: f, stop: make(chan struct{}), tallies: map[*topology.Tally]*series{},
		channels: map[channelKey]*series{}, traffic: map[uint64]*series{}}
	s.take(time.Now())
	s.done.Go(s.run) // waited for by close
	return s
}

func (s *sampler) close() {
	close(s.stop)
	s.done.Wait()
}

func (s *sampler) run() {
	for {
		next := time.Now().Truncate(sampleEvery).Add(sampleEvery)
		select {
		case <-time.After(time.Until(next)):
			s.take(next)
		case <-s.stop:
			return
		}
	}
}

// take takes a sample of everything.
func (s *sampler) take(now time.Time) {
	at := now.Truncate(sampleEvery).UnixMilli()
	s.mu.Lock()
	defer s.mu.Unlock()
	if at == s.last {
		return
	}
	s.last = at
	s.f.Tell(func(conn uint64, number int, all *topology.Tallied) {
		keep(s.channels, channelKey{conn, number}, at, *all)
	})
	s.f.View().Tallies(func(t *topology.Tally) { keep(s.tallies, t, at, t.Read()) })
	s.f.Traffic(func(conn, received, sent uint64) {
		keep(s.traffic, conn, at, topology.Tallied{received, sent})
	})
	forget(s.traffic, at)
	forget(s.channels, at)
	forget(s.tallies, at)
	s.total.add(at, s.f.Counted(), nodeSamplesMax)
	for i, n := range churnOf(s.f.Churn()) {
		s.churn[i].add(at, topology.Tallied{n}, samplesMax)
	}
}

// keep adds a sample of one thing, unless it has never done anything.
func keep[K comparable](m map[K]*series, k K, at int64, t topology.Tallied) {
	one := m[k]
	if one == nil {
		if t.Zero() {
			return
		}
		one = &series{}
		one.add(at-sampleEvery.Milliseconds(), topology.Tallied{}, samplesMax)
		m[k] = one
	}
	one.seen = at
	one.add(at, t, samplesMax)
}

// forget drops what is gone.
func forget[K comparable](m map[K]*series, at int64) {
	for k, one := range m {
		if one.seen != at {
			delete(m, k)
		}
	}
}

func (s *series) add(at int64, t topology.Tallied, most int) {
	if len(s.samples) == most {
		copy(s.samples, s.samples[1:])
		s.samples = s.samples[:most-1]
	}
	s.samples = append(s.samples, sample{at, t})
}

// stat is what is shown of something that is counted. Those of several nodes add up.
type stat struct {
	Counted topology.Tallied         `json:"counted"`
	Rates   [topology.Counts]float64 `json:"rates"` // per second
	Samples []sample                 `json:"samples,omitempty"`
}

// stat gives a series with the counts that are known now. Lock held.
func (s *series) stat(now topology.Tallied, samples bool) stat {
	st := stat{Counted: now}
	if s == nil {
		return st
	}
	if n := len(s.samples); n > 1 {
		a, b := &s.samples[n-2], &s.samples[n-1]
		for i := range st.Rates {
			st.Rates[i] = (float64(b.Counted[i]) - float64(a.Counted[i])) * 1000 / float64(b.At-a.At)
		}
	}
	if samples {
		st.Samples = append([]sample(nil), s.samples...)
	}
	return st
}

func (s *sampler) tally(t *topology.Tally, samples bool) stat {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tallies[t].stat(t.Read(), samples)
}

func (s *sampler) channel(k channelKey, now topology.Tallied, samples bool) stat {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.channels[k].stat(now, samples)
}

// bytes gives how fast bytes come and go on a connection, a second.
func (s *sampler) bytes(conn uint64) (received, sent float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.traffic[conn].stat(topology.Tallied{}, false)
	return st.Rates[0], st.Rates[1]
}

func (s *sampler) node(samples bool) (total stat, churn [churns]stat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	total = s.total.stat(s.f.Counted(), samples)
	for i, n := range churnOf(s.f.Churn()) {
		churn[i] = s.churn[i].stat(topology.Tallied{n}, false)
	}
	return total, churn
}

// churns is how many kinds of coming and going there are.
const churns = 7

// churnNames are their names, in the order of churnOf.
var churnNames = [churns]string{"connection_created", "connection_closed", "channel_created",
	"channel_closed", "queue_declared", "queue_created", "queue_deleted"}

func churnOf(c *topology.Churn) [churns]uint64 {
	return [churns]uint64{c.ConnectionsOpened.Load(), c.ConnectionsClosed.Load(),
		c.ChannelsOpened.Load(), c.ChannelsClosed.Load(), c.QueuesDeclared.Load(),
		c.QueuesCreated.Load(), c.QueuesDeleted.Load()}
}

// add adds another node's.
func (st *stat) add(o *stat) {
	st.Counted.Add(&o.Counted)
	for i := range st.Rates {
		st.Rates[i] += o.Rates[i]
	}
	for _, theirs := range o.Samples {
		for i := range st.Samples {
			if st.Samples[i].At == theirs.At {
				st.Samples[i].Counted.Add(&theirs.Counted)
			}
		}
	}
	if st.Samples == nil {
		st.Samples = o.Samples
	}
}
