package drill

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Result is one mode in one series: the same fault injected again and again into one
// cluster, with everything read back at its end.
type Result struct {
	Mode    string         `json:"mode"`
	Fault   string         `json:"fault"`
	Layout  string         `json:"layout"`
	Rate    int            `json:"rate"`          // of this mode, messages a second
	Valid   bool           `json:"valid"`         // everything was healthy and read back
	Why     string         `json:"why,omitempty"` // it does not count
	Broken  []string       `json:"broken,omitempty"`
	Errors  map[string]int `json:"errors,omitempty"`
	Crashed []int          `json:"crashed,omitempty"` // nodes that ended by themselves
	Kept    string         `json:"kept,omitempty"`    // where data and logs are
	Began   time.Time      `json:"began"`             // the load
	Runs    []Injection    `json:"injections"`
	Verdict
}

// Injection is one fault as one mode saw it.
type Injection struct {
	Catalog int    `json:"catalog"` // node that leads the catalog
	Leader  int    `json:"leader"`  // of the streams
	Target  int    `json:"target"`  // that is broken
	Note    string `json:"note,omitempty"`
	Valid   bool   `json:"valid"`
	Why     string `json:"why,omitempty"`
	Window
	Gaps
}

// series owns the clients of one cluster while one fault is injected.
type series struct {
	o     *Options
	c     Cluster
	f     fleet
	fault string
	seats seats
	start time.Time
	track []*track
	asked sync.WaitGroup // changes of modes, under way
}

// track is one mode of a series.
type track struct {
	m    *Mode
	w    workload
	p    *plan
	res  Result
	last *Injection
	step int // of Mode.Changes
}

// The lengths of what surrounds a fault.
const (
	warmUp    = time.Second
	quietFor  = time.Second             // load before the fault, as noise
	awayFor   = 1500 * time.Millisecond // how long a killed node stays away
	brokenFor = 5 * time.Second         // how long pauses and cuts stay
	tailFor   = time.Second             // load after all is healthy again
	plainFor  = 3 * time.Second         // a run without a fault
)

// How long may pass until something is as it shall be.
const (
	readyMax   = 40 * time.Second // clients and streams at the start
	healthyMax = 30 * time.Second // nodes and copies after a fault
	answerMax  = 45 * time.Second // the first acknowledgement after a fault
	outcomeMax = 35 * time.Second // outcomes after the load
	drainMax   = 90 * time.Second // everything is read back
)

// run carries a series out and gives a result for each mode.
func (s *series) run(ctx context.Context, id string) []Result {
	s.c.Crashed()
	err := s.prepare(ctx, id)
	defer func() {
		for _, t := range s.track {
			t.w.close()
		}
	}()
	if err == nil {
		err = s.load(ctx)
	}
	crashed := s.c.Crashed()
	var all []Result
	for _, t := range s.track {
		all = append(all, t.judge(err, crashed))
	}
	return all
}

func (s *series) prepare(ctx context.Context, id string) error {
	var err error
	if s.seats, err = s.seat(ctx); err != nil {
		err = fmt.Errorf("seat the clients: %w", err)
	}
	errs := make([]error, len(s.f.modes))
	ready, cancel := context.WithTimeout(ctx, readyMax)
	defer cancel()
	var wait sync.WaitGroup
	rate := max(1, s.o.Rate/len(s.f.modes))
	for i, m := range s.f.modes {
		t := &track{m: m, w: m.open(), res: Result{Mode: m.Name, Fault: s.fault, Rate: rate,
			Layout: s.f.layout(s.o.Rate)}}
		t.p = &plan{id: fmt.Sprintf("%s-%02d", id, i+1), leader: s.seats.leader, target: s.seats.target,
			at: s.seats.at(m.Dead), groups: s.f.groups(m, s.seats), rate: rate, cluster: s.c}
		t.p.ledger = NewLedger(t.p.id)
		s.track = append(s.track, t)
		if err == nil {
			wait.Go(func() { // ends with ready at the latest; waited for below
				if e := t.w.prepare(ready, t.p); e != nil {
					errs[i] = fmt.Errorf("prepare %s: %w", m.Name, e)
				}
			})
		}
	}
	wait.Wait()
	return errors.Join(append(errs, err)...)
}

// load runs all clients, injects the faults, and reads everything back.
func (s *series) load(ctx context.Context) error {
	s.start = time.Now()
	loading, stop := context.WithCancel(ctx)
	defer stop()
	within, give := context.WithCancel(ctx)
	defer give()
	var wait sync.WaitGroup
	for _, t := range s.track {
		t.p.ledger.start, t.res.Began = s.start, s.start
		wait.Go(func() { t.w.load(loading, within) }) // ends after stop, with give at the latest
	}
	sleep(ctx, warmUp)
	err := s.inject(ctx)
	stop()
	late := time.AfterFunc(outcomeMax, give)
	wait.Wait()
	late.Stop()
	healthy, cancel := context.WithTimeout(ctx, healthyMax)
	defer cancel()
	if e := s.c.Healthy(healthy, s.wants(false)); err == nil && e != nil {
		err = fmt.Errorf("after the load: %w", e)
	}
	return errors.Join(err, s.drain(ctx))
}

func (s *series) drain(ctx context.Context) error {
	drained, enough := context.WithTimeout(ctx, drainMax)
	defer enough()
	errs := make([]error, len(s.track))
	var wait sync.WaitGroup
	for i, t := range s.track {
		wait.Go(func() { errs[i] = t.w.drain(drained) }) // ends with drained at the latest
	}
	wait.Wait()
	return errors.Join(errs...)
}

func (s *series) now() time.Duration { return time.Since(s.start) }

// wants gives all streams as they shall be; led: by who shall lead them, too.
func (s *series) wants(led bool) (all []Want) {
	for _, t := range s.track {
		for _, w := range t.w.wants() {
			if !led {
				w.Leader = 0
			}
			if t.step > 0 {
				ch := t.m.Changes[(t.step-1)%len(t.m.Changes)]
				w.Mode, w.Copies = ch.Mode, ch.Copies
			}
			all = append(all, w)
		}
	}
	return all
}

func (t *track) judge(err error, crashed []int) Result {
	r := t.res
	var ws []Window
	for _, one := range r.Runs {
		ws = append(ws, one.Window)
	}
	e := t.p.ledger.Evidence()
	if t.m.Queue {
		r.Verdict = CheckQueue(e, ws)
		if t.m.Dead {
			r.Verdict.Reordered = reordered(firmly(e))
		}
	} else {
		r.Verdict = CheckLog(e)
	}
	r.Errors, r.Crashed = e.Errors, crashed
	r.Broken = t.m.broken(r.Fault, &r.Verdict)
	if len(crashed) > 0 {
		r.Broken = append(r.Broken, fmt.Sprintf("node %v ended by itself", crashed))
	}
	if t.m.Refuses && below(e, ws) > 0 {
		r.Broken = append(r.Broken, "acknowledged with a copy away")
	}
	if r.Valid = err == nil; !r.Valid {
		r.Why = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	if r.Valid && t.m.Refuses && r.Fault != "none" && r.Refused == 0 {
		r.Valid, r.Why = false, "nothing was refused, so nothing was shown"
	}
	return r
}

// below counts what was acknowledged while a copy was away: from a little later, for what
// was under way then, until the repair.
func below(e Evidence, ws []Window) (n int) {
	for _, at := range answered(e) {
		for _, w := range ws {
			if at > w.Away+belowAfter && at < w.Heal {
				n++
			}
		}
	}
	return n
}

const belowAfter = 100 * time.Millisecond
