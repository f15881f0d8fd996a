package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// load is a client at work: done counts what the broker acknowledged so far.
type load struct {
	done   atomic.Int64
	cancel context.CancelFunc
	wait   sync.WaitGroup
	mu     sync.Mutex
	failed error
	close  func()
}

// newLoad gives a load and the context in which its goroutines run until end.
func newLoad(ctx context.Context) (*load, context.Context) {
	l := &load{close: func() {}}
	ctx, l.cancel = context.WithCancel(ctx)
	return l, ctx
}

// fail keeps the first error.
func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil && err != nil {
		l.failed = err
	}
}

func (l *load) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// end stops the client and waits for its goroutines.
func (l *load) end() {
	l.cancel()
	l.close()
	l.wait.Wait()
}

// measured is what one measurement of one broker gave.
type measured struct {
	CPU      float64 `json:"cpu_us_per_message,omitempty"`
	Rate     float64 `json:"messages_per_second,omitempty"`
	RSS      float64 `json:"rss_mib,omitempty"`
	Peak     float64 `json:"rss_peak_mib,omitempty"`
	Seconds  float64 `json:"seconds,omitempty"`  // of a start
	IdleCPU  float64 `json:"idle_cpu,omitempty"` // of one core
	LoadAvg  float64 `json:"load_average"`
	Others   float64 `json:"others_cpu,omitempty"` // of all processors: neither broker nor client
	Messages int64   `json:"messages,omitempty"`
	P50      float64 `json:"p50_ms,omitempty"` // end to end, from when a message was due
	P99      float64 `json:"p99_ms,omitempty"`
	Most     float64 `json:"most_ms,omitempty"`
}

// measure runs a row's load against a broker: warm-up, then the measured span.
func (c *cluster) measure(ctx context.Context, warm time.Duration) (m measured, err error) {
	setup, cancel := context.WithTimeout(ctx, 60*time.Second)
	l, err := c.row.load(setup, c)
	if err != nil {
		cancel()
		return m, fmt.Errorf("begin load: %w", err)
	}
	defer cancel()
	defer l.end()
	time.Sleep(warm)
	pids := c.pids()
	profiled := c.profiles(c.o.span)
	defer profiled()
	self := []int{os.Getpid()}
	worked, ours := busy(), cpu(self)
	before, n, began := cpu(pids), l.done.Load(), time.Now()
	time.Sleep(c.o.span)
	used, n, took := cpu(pids)-before, l.done.Load()-n, time.Since(began)
	worked, ours = busy()-worked, cpu(self)-ours
	m.Others = max(0, (worked-ours-used).Seconds()/took.Seconds()/float64(runtime.NumCPU()))
	m.LoadAvg = loadAverage()
	m.RSS, m.Peak = memory(pids)
	if err := l.err(); err != nil {
		return m, err
	}
	if n < 10 {
		return m, fmt.Errorf("%d messages were acknowledged in %v", n, took)
	}
	m.Messages = n
	m.CPU = float64(used.Microseconds()) / float64(n)
	m.Rate = float64(n) / took.Seconds()
	return m, nil
}

// throughput measures a row's load in the order A B B A.
func throughput(ctx context.Context, o *options, r *row) (outcome, error) {
	return inTurn(ctx, o, r, (*cluster).measure)
}

// inTurn measures in the order A B B A.
func inTurn(ctx context.Context, o *options, r *row,
	measure func(*cluster, context.Context, time.Duration) (measured, error)) (out outcome, err error) {
	for _, turn := range []struct {
		trine bool
		times int
	}{{true, 1}, {false, 2}, {true, 1}} {
		if turn.trine && o.only == "peer" || !turn.trine && o.only == "trine" {
			continue
		}
		c, err := start(ctx, o, r, turn.trine)
		if err != nil {
			return out, err
		}
		warm := o.warm
		if !turn.trine {
			warm = o.warmPeer
		}
		for range turn.times {
			m, err := measure(c, ctx, warm)
			warm = o.warm // it has compiled by now
			if err != nil {
				c.stop()
				return out, fmt.Errorf("%s: %w", out.side(turn.trine), err)
			}
			out.add(turn.trine, m)
		}
		c.stop()
	}
	return out, nil
}
