package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	"trine/internal/core"
)

// lengths remembers what queues said of their lengths when they were asked, to tell
// how fast they change, and what all of them said together, which is asked for at
// most every five seconds.
type lengths struct {
	mu     sync.Mutex // guards all below
	queues map[core.StreamID]*lengthPair
	swept  time.Time

	sweep  sync.Mutex // held while all queues are asked
	totals [2]int64
	asked  time.Time
	before [2]int64
	older  time.Time
}

type lengthPair struct{ a, b lengthAt }

type lengthAt struct {
	at          time.Time
	ready, lent int64
}

// forgetAfter is when a queue that nobody asked for is forgotten.
const forgetAfter = time.Minute

// rate takes what a queue says and gives how fast ready and lent change, a second.
func (l *lengths) rate(id core.StreamID, now time.Time, i *core.QueueInfo) (r [2]float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.swept) > forgetAfter {
		for id, p := range l.queues {
			if now.Sub(p.b.at) > forgetAfter {
				delete(l.queues, id)
			}
		}
		l.swept = now
	}
	p := l.queues[id]
	if p == nil {
		p = &lengthPair{}
		l.queues[id] = p
	}
	if now.Sub(p.b.at) >= sampleEvery {
		p.a, p.b = p.b, lengthAt{now, i.Ready, i.Lent}
	}
	if p.a.at.IsZero() {
		return r
	}
	s := p.b.at.Sub(p.a.at).Seconds()
	return [2]float64{float64(p.b.ready-p.a.ready) / s, float64(p.b.lent-p.a.lent) / s}
}

// totals gives what all queues hold together.
func (s *server) totals(c *call) object {
	l := &s.lengths
	l.sweep.Lock()
	defer l.sweep.Unlock()
	if now := time.Now(); now.Sub(l.asked) >= sampleEvery {
		var ids []core.StreamID
		for _, q := range s.f.View().Queues("") {
			ids = append(ids, q.Stream.ID)
		}
		l.before, l.older = l.totals, l.asked
		l.totals, l.asked = [2]int64{}, now
		for _, i := range s.inspectAll(c, ids) {
			l.totals[0] += i.Ready
			l.totals[1] += i.Lent
		}
	}
	var r [2]float64
	if t := l.asked.Sub(l.older).Seconds(); !l.older.IsZero() && t > 0 {
		for i := range r {
			r[i] = float64(l.totals[i]-l.before[i]) / t
		}
	}
	return object{"messages": l.totals[0] + l.totals[1], "messages_ready": l.totals[0],
		"messages_unacknowledged": l.totals[1], "messages_details": object{"rate": r[0] + r[1]},
		"messages_ready_details":          object{"rate": r[0]},
		"messages_unacknowledged_details": object{"rate": r[1]}}
}

// do asks the cluster for something and waits: nil where it is done.
func (s *server) do(c *call, ask func(func(error))) error {
	ctx, cancel := context.WithTimeout(c.Context(), answerMax)
	defer cancel()
	told := make(chan error, 1)
	ask(func(err error) { told <- err })
	select {
	case err := <-told:
		if err != nil {
			return unsure(err)
		}
		return nil
	case <-ctx.Done():
		return called(http.StatusServiceUnavailable, "service_unavailable",
			"the cluster did not answer in time")
	}
}
