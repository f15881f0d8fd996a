package drill

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
)

// seats say who is who in a cluster while one fault is injected again and again.
//
//	target  is broken; it leads the streams if the fault is of their leader
//	client  is the node that clients call, and leads the streams otherwise
//	other   is the third
type seats struct {
	target, client, other int
	leader                int
}

// at gives the nodes that clients call.
func (s seats) at(dead bool) []int {
	if dead {
		return []int{s.target, s.client, s.other}
	}
	return []int{s.client, s.other}
}

// seat chooses. The target's successor in the ring is its groups' slave in RocketMQ,
// and has its own on the clients' node: it serves on whole when the target is gone.
func (s *series) seat(ctx context.Context) (seats, error) {
	catalog, err := s.c.CatalogLeader(ctx)
	if err != nil {
		return seats{}, err
	}
	next := func(n int) int { return n%nodes + 1 }
	if s.fault == "kill-catalog" {
		// The catalog's leadership returns to the two nodes that are asked first; nodes
		// in the order of their numbers are asked first. Clients call the last.
		return s.seats.forCatalog(catalog), nil
	}
	st := seats{other: catalog, client: next(catalog)}
	st.target = next(st.client)
	if st.leader = st.target; !leads(s.fault) {
		st.leader = st.client
	}
	return st, nil
}

// forCatalog breaks who leads the catalog, and keeps the clients where they are.
func (s seats) forCatalog(catalog int) seats {
	if s.client == 0 {
		s.client = nodes
		if catalog == nodes {
			s.client = nodes - 1
		}
	}
	s.target, s.leader = catalog, s.client
	s.other = 1 + 2 + 3 - s.target - s.client
	return s
}

// inject runs all injections of a series. An error ends it.
func (s *series) inject(ctx context.Context) error {
	n := s.f.runs
	if s.fault == "alter" {
		longest := 0
		for _, t := range s.track {
			longest = max(longest, len(t.m.Changes))
		}
		n *= longest
	}
	for i := range n {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		one, err := s.one(ctx, i)
		if err != nil {
			return fmt.Errorf("injection %d of %d: %w", i+1, n, err)
		}
		for _, t := range s.track {
			t.noted(one)
		}
		s.tell(i+1, n)
	}
	return nil
}

// one injects once: who shall lead leads, a quiet time, the fault, the repair, and
// load until all is as before.
func (s *series) one(ctx context.Context, i int) (in Injection, err error) {
	if err := s.arrange(ctx); err != nil {
		return in, fmt.Errorf("before the fault: %w", err)
	}
	in.Leader, in.Target = s.seats.leader, s.seats.target
	if in.Catalog, err = s.c.CatalogLeader(ctx); err != nil {
		return in, err
	}
	if s.f.hold > 0 {
		s.c.Hold(s.seats.target, s.f.hold)
		defer s.c.Hold(s.seats.target, 0)
	}
	in.Quiet = s.now()
	sleep(ctx, quietFor)
	in.Fault = s.now()
	if s.fault == "alter" {
		in.Note, err = s.alter(ctx, i)
	}
	heal := s.damage()
	s.c.Hold(s.seats.target, 0)
	in.Away = s.away(ctx, in.Fault)
	s.stay(ctx, in.Fault)
	in.Heal = s.now()
	if err = errors.Join(err, heal()); err != nil {
		return in, err
	}
	if err := s.recovered(ctx, in.Heal); err != nil {
		return in, err
	}
	sleep(ctx, tailFor)
	in.End = s.now()
	return in, nil
}

// arrange gives every seat to who shall have it, and waits until all is healthy.
func (s *series) arrange(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyMax)
	defer cancel()
	if err := s.catalog(ctx); err != nil {
		return err
	}
	errs := make([]error, len(s.track))
	var wait sync.WaitGroup
	for i, t := range s.track {
		wait.Go(func() { // ends with ctx at the latest; waited for below
			for _, w := range t.w.wants() {
				if w.Leader > 0 && errs[i] == nil {
					errs[i] = s.c.Lead(ctx, w.Part, w.Leader)
				}
			}
			errs[i] = errors.Join(errs[i], t.w.home(ctx))
		})
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return s.c.Healthy(ctx, s.wants(true))
}

// catalog sees to it that the catalog is led from where the fault needs it: a node
// that leads it and must not is stopped in order, and started again.
func (s *series) catalog(ctx context.Context) error {
	for {
		n, err := s.c.CatalogLeader(ctx)
		if err != nil {
			return err
		}
		if s.fault == "kill-catalog" && n != s.seats.client {
			s.seats = s.seats.forCatalog(n)
			return nil
		}
		if s.fault != "kill-catalog" && n != s.seats.target {
			return nil
		}
		s.c.End(n, syscall.SIGTERM)
		if err := s.c.Start(n); err != nil {
			return err
		}
		if err := s.c.Healthy(ctx, s.wants(false)); err != nil {
			return err
		}
		sleep(ctx, quietFor)
	}
}

// damage breaks what the fault says, and gives how to repair it.
func (s *series) damage() (heal func() error) {
	c, target := s.c, s.seats.target
	all := []int{target}
	switch s.fault {
	case "none":
		return func() error { return nil }
	case "pause":
		c.Signal(target, syscall.SIGSTOP)
		return func() error { c.Signal(target, syscall.SIGCONT); return nil }
	case "cut", "reset":
		state := Silent
		if s.fault == "reset" {
			state = Reset
		}
		err := c.Link(target, state)
		return func() error { return errors.Join(err, c.Link(target, Open)) }
	case "term":
		c.Signal(target, syscall.SIGTERM)
		return func() error { c.End(target, syscall.SIGTERM); return c.Start(target) }
	case "kill-all", "power":
		all = []int{1, 2, 3}
	}
	for _, n := range all {
		c.Signal(n, syscall.SIGKILL)
	}
	return func() error {
		var errs []error
		for _, n := range all {
			c.End(n, syscall.SIGKILL)
		}
		for _, n := range all {
			errs = append(errs, c.Start(n))
		}
		return errors.Join(errs...)
	}
}

// away waits for the end of a node that was asked to stop: until then it serves, and its
// copies count.
func (s *series) away(ctx context.Context, fault time.Duration) time.Duration {
	if s.fault != "term" {
		return fault
	}
	for !s.c.Gone(s.seats.target) && s.now() < fault+endMax && ctx.Err() == nil {
		sleep(ctx, time.Millisecond)
	}
	return s.now()
}

// stay lasts as long as the fault does.
func (s *series) stay(ctx context.Context, fault time.Duration) {
	switch s.fault {
	case "kill-all", "power":
		return
	case "none":
		sleep(ctx, plainFor)
		return
	case "pause", "cut", "reset":
		sleep(ctx, brokenFor)
		return
	}
	sleep(ctx, awayFor)
	for s.now() < fault+answerMax && ctx.Err() == nil {
		waits := false
		for _, t := range s.track {
			waits = waits || t.m.Patient && t.p.ledger.LastAck() < s.now()-awayFor/2
		}
		if !waits {
			return
		}
		sleep(ctx, backOffMax)
	}
}

// recovered waits until all nodes and copies are as they were and every mode's
// clients have been answered since.
func (s *series) recovered(ctx context.Context, heal time.Duration) error {
	healthy, cancel := context.WithTimeout(ctx, healthyMax)
	defer cancel()
	if s.fault == "alter" {
		s.altered(healthy)
	}
	if err := s.c.Healthy(healthy, s.wants(false)); err != nil {
		return fmt.Errorf("%v after the repair: %w", healthyMax, err)
	}
	for _, t := range s.track {
		for t.p.ledger.LastAck() < heal && s.now() < heal+answerMax && ctx.Err() == nil {
			sleep(ctx, backOffMax)
		}
	}
	return ctx.Err()
}

// noted keeps an injection as this mode saw it.
func (t *track) noted(in Injection) {
	in.Gaps = t.p.ledger.Measured(in.Window)
	quiet := (in.Fault - in.Quiet).Seconds()
	enough := int(float64(t.p.rate) * quiet / 4)
	switch in.Valid = true; {
	case in.Before < enough:
		in.Valid, in.Why = false, fmt.Sprintf("%d acknowledged in %.1f s before the fault, of %d that make a run",
			in.Before, quiet, enough)
	case t.p.ledger.LastAck() < in.Heal:
		in.Valid, in.Why = false, fmt.Sprintf("no acknowledgement within %v of the repair", answerMax)
	}
	t.res.Runs = append(t.res.Runs, in)
	t.last = &t.res.Runs[len(t.res.Runs)-1]
}
