package drill

import (
	"context"
	"time"
)

// plan is who is who in one run.
type plan struct {
	id      string // names of topics and queues hold it
	leader  int    // of the stream
	target  int    // the node that is broken
	at      []int  // the nodes that clients call: those that are not broken come first
	rate    int
	cluster Cluster
	ledger  *Ledger
}

// workload is one protocol's clients. Each method is called once, in this order.
type workload interface {
	// prepare makes topics or queues, led by plan.leader, and connects clients.
	prepare(ctx context.Context, p *plan) error
	// load sends until ctx ends, then waits for outcomes until within ends.
	load(ctx, within context.Context)
	// drain reads everything back; it gives up when ctx ends.
	drain(ctx context.Context) error
	close()
}

// patience of the clients in judged runs.
const (
	backOffMax = 20 * time.Millisecond
	requestMax = time.Second
)

// paced calls send rate times a second until ctx ends. What send is late by is
// caught up, at most a fifth of a second.
func paced(ctx context.Context, rate int, send func()) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	last, owed := time.Now(), 0.0
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			owed = min(owed+now.Sub(last).Seconds()*float64(rate), float64(rate)/5)
			last = now
			for ; owed >= 1 && ctx.Err() == nil; owed-- {
				send()
			}
		}
	}
}

// quiet waits until nothing more comes: all that was acknowledged was read and
// nothing came for still, or ctx ends.
func quiet(ctx context.Context, l *Ledger, still time.Duration) {
	last, since := l.Count(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
		if n := l.Count(); n != last {
			last, since = n, time.Now()
		}
		if time.Since(since) > still && l.Missing() == 0 {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
