package drill

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// Result is one run.
type Result struct {
	Mode    string         `json:"mode"`
	Fault   string         `json:"fault"`
	Valid   bool           `json:"valid"`
	Why     string         `json:"why,omitempty"` // it does not count
	Broken  []string       `json:"broken,omitempty"`
	Errors  map[string]int `json:"errors,omitempty"`
	Crashed []int          `json:"crashed,omitempty"` // nodes that ended by themselves
	Began   time.Time      `json:"began"`             // the load
	FaultAt time.Duration  `json:"fault_at_ns"`
	Leader  int            `json:"leader"`
	Target  int            `json:"target"`
	Verdict
}

// timing is how one run's time is spent.
type timing struct {
	total time.Duration // of the load
	fault time.Duration // from its start
	held  time.Duration // how long the fault stays
}

// longest is how long pauses and cuts stay.
const longest = 5 * time.Second

// tailAfter is how long the load goes on after the repair, at least.
const tailAfter = 2 * time.Second

func times(fault string, seconds float64) timing {
	total := time.Duration(seconds * float64(time.Second))
	t := timing{total: total, fault: total / 4, held: total / 4}
	switch fault {
	case "pause", "cut", "reset":
		t.held = min(longest, total)
		t.total = max(total, t.fault+t.held+tailAfter)
	case "kill-all", "power":
		t.held = 0
	}
	return t
}

// place says who leads, who is broken, and whom clients call.
func place(ctx context.Context, c Cluster, fault string) (leader, target int, at []int, err error) {
	catalog, err := c.CatalogLeader(ctx)
	if err != nil {
		return 0, 0, nil, err
	}
	leader = catalog%nodes + 1
	other := leader%nodes + 1
	target = leader
	switch fault {
	case "kill-catalog":
		target = catalog
	case "kill-other":
		target = other
	}
	for _, n := range []int{other, catalog, leader} {
		if n != target {
			at = append(at, n)
		}
	}
	return leader, target, append(at, target), nil
}

// run breaks c once. hold delays the leader's followers.
func run(ctx context.Context, c Cluster, m *Mode, fault, id string, o *Options) (res Result) {
	res = Result{Mode: m.Name, Fault: fault}
	invalid := func(err error) Result {
		res.Why = err.Error()
		return res
	}
	c.Crashed()
	leader, target, at, err := place(ctx, c, fault)
	if err != nil {
		return invalid(err)
	}
	p := &plan{id: id, leader: leader, target: target, at: at, rate: o.Rate, cluster: c}
	res.Leader, res.Target = leader, target
	w := m.open()
	defer w.close()
	p.ledger = NewLedger(id)
	ready, cancel := context.WithTimeout(ctx, 30*time.Second)
	err = w.prepare(ready, p)
	cancel()
	if err != nil {
		return invalid(fmt.Errorf("prepare: %w", err))
	}
	if o.Hold > 0 {
		c.Hold(leader, o.Hold)
		defer c.Hold(leader, 0)
	}
	t := times(fault, o.Seconds)
	p.ledger.start, res.Began = time.Now(), time.Now()
	loading, stop := context.WithTimeout(ctx, t.total)
	defer stop()
	within, give := context.WithTimeout(ctx, t.total+outcomeMax)
	defer give()
	ended := make(chan struct{})
	go func() { w.load(loading, within); close(ended) }() // waited for below
	sleep(loading, t.fault)
	res.FaultAt = p.ledger.Now()
	err = inject(loading, c, fault, target, t.held)
	c.Hold(leader, 0)
	<-ended
	healthy, cancel := context.WithTimeout(ctx, healthyMax)
	defer cancel()
	if err == nil {
		err = c.Healthy(healthy, id, m.Copies)
	}
	drained, enough := context.WithTimeout(ctx, drainMax)
	defer enough()
	if e := w.drain(drained); err == nil {
		err = e
	}
	return judge(res, m, p.ledger, t, err, c.Crashed(), o)
}

// How long may pass until outcomes are known, all nodes are healthy, all is read.
const (
	outcomeMax = 35 * time.Second
	healthyMax = 30 * time.Second
	drainMax   = 25 * time.Second
)

func judge(res Result, m *Mode, l *Ledger, t timing, err error, crashed []int, o *Options) Result {
	e := l.Evidence()
	fault := res.FaultAt
	if res.Fault == "none" {
		fault = -1
	}
	if m.Queue {
		res.Verdict = CheckQueue(e, fault, t.total)
	} else {
		res.Verdict = CheckLog(e, fault, t.total)
	}
	res.Errors, res.Crashed = e.Errors, crashed
	res.Broken = m.broken(res.Fault, &res.Verdict)
	if len(crashed) > 0 {
		res.Broken = append(res.Broken, "crashed")
	}
	enough := int(float64(o.Rate) * t.fault.Seconds() / 4)
	switch {
	case err != nil:
		res.Why = err.Error()
	case res.Before < enough:
		res.Why = fmt.Sprintf("%d acknowledged before the fault, of %d that make a run", res.Before, enough)
	default:
		res.Valid = true
	}
	return res
}

// inject breaks the target, and repairs it after held.
func inject(ctx context.Context, c Cluster, fault string, target int, held time.Duration) error {
	all := []int{target}
	switch fault {
	case "none":
		return nil
	case "pause":
		c.Signal(target, syscall.SIGSTOP)
		sleep(ctx, held)
		c.Signal(target, syscall.SIGCONT)
		return nil
	case "cut", "reset":
		s := Silent
		if fault == "reset" {
			s = Reset
		}
		err := c.Link(target, s)
		sleep(ctx, held)
		if e := c.Link(target, Open); err == nil {
			err = e
		}
		return err
	case "term":
		c.End(target, syscall.SIGTERM)
		sleep(ctx, held)
		return c.Start(target)
	case "kill-all", "power":
		all = []int{1, 2, 3}
	}
	for _, n := range all {
		c.Signal(n, syscall.SIGKILL)
	}
	for _, n := range all {
		c.End(n, syscall.SIGKILL)
	}
	sleep(ctx, held)
	for _, n := range slices.Backward(all) {
		if err := c.Start(n); err != nil {
			return err
		}
	}
	return nil
}
