package drill

import (
	"context"
	"time"
)

// plan is who is who for one mode's clients.
type plan struct {
	id      string // names of topics and queues hold it
	leader  int    // of the streams
	target  int    // the node that is broken, or the first of them
	at      []int  // the nodes that clients call, the first while it can be had
	groups  []int  // nodes whose RocketMQ broker groups are this mode's
	rate    int
	cluster Cluster
	ledger  *Ledger
}

// workload is one mode's clients. load runs while wants and home are called; the
// other methods are called once, in this order.
type workload interface {
	// prepare makes topics or queues, led by plan.leader, and connects clients.
	prepare(ctx context.Context, p *plan) error
	// wants gives its streams as they shall be before a fault.
	wants() []Want
	// home lets clients go back to the first of plan.at.
	home(ctx context.Context) error
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
// nothing came for still, or nothing came for silentMax, or ctx ends.
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
		silent := time.Since(since)
		if silent > still && l.Missing() == 0 || silent > silentMax {
			return
		}
	}
}

// silentMax is how long what is missing is waited for: clients find a node again, and
// nodes give back what was lent, in less.
const silentMax = 10 * time.Second

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
