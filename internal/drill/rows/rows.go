package rows

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"trine/internal/drill"
)

// Kinds are the queues, all of which meet each fault at the same time.
var Kinds = []string{"classic", "mirrored", "quorum"}

// Faults are what node 1 meets.
var Faults = []string{"kill", "stop", "cable", "partition", "pause"}

// nodes is how many there are; node 1 leads and is broken.
const nodes = 3

// Options are what a drill is told.
type Options struct {
	Program string        // the broker
	Dir     string        // data and logs
	Base    string        // the address below node 1's
	Before  time.Duration // load before the fault
	Away    time.Duration // of a silence or a pause
	Down    time.Duration // from a process's end until it is started again
	After   time.Duration // load after the repair
	Patient time.Duration // after which a client that hears nothing goes elsewhere
	Say     func(string)
}

// Run injects faults, each into a cluster of its own, and gives a row for each queue.
func Run(ctx context.Context, o Options, faults []string) (all []Row, err error) {
	for _, f := range faults {
		if !slices.Contains(Faults, f) {
			return nil, fmt.Errorf("no fault %q; there are %s", f, strings.Join(Faults, ", "))
		}
	}
	for _, f := range faults {
		rows, err := o.one(ctx, f)
		if err != nil {
			return all, fmt.Errorf("fault %q: %w", f, err)
		}
		all = append(all, rows...)
	}
	return all, nil
}

// scene is one cluster with all that uses it.
type scene struct {
	o       *Options
	c       drill.Cluster
	door    *drill.Proxy // through which clients reach node 1
	fault   string
	wait    sync.WaitGroup
	publish context.Context // publishers end with it
	consume context.Context // consumers end with it
	queues  []*queue
}

func (o *Options) one(ctx context.Context, fault string) (rows []Row, err error) {
	dir := filepath.Join(o.Dir, fault)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	s := &scene{o: o, fault: fault}
	if s.c, err = drill.StartLocal(ctx, o.Program, dir, o.Base, false); err != nil {
		return nil, err
	}
	defer s.c.Close()
	if s.door, err = drill.NewProxy("127.0.0.1:0", s.c.Address(1, drill.AMQP)); err != nil {
		return nil, err
	}
	defer s.door.Close()
	var endPublish, endConsume context.CancelFunc
	s.publish, endPublish = context.WithCancel(ctx)
	s.consume, endConsume = context.WithCancel(ctx)
	defer s.wait.Wait()
	defer endConsume()
	defer endPublish()
	if err := s.prepare(ctx); err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	for _, q := range s.queues {
		q.begin(s)
	}
	asked, err := s.play(ctx)
	if err != nil {
		return nil, err
	}
	endPublish()
	s.drain(ctx)
	for _, q := range s.queues {
		r := q.row(fault)
		if q.kind == "classic" {
			r.Asked = asked
		}
		rows = append(rows, r)
		o.Say(r.String())
	}
	return rows, ctx.Err()
}

// prepare declares the queues on node 1, and sees to it that it leads them.
func (s *scene) prepare(ctx context.Context) error {
	err := s.c.Policy(ctx, "mirrored", "^mirrored$", map[string]any{"ha-mode": "all"})
	if err != nil {
		return err
	}
	conn, err := s.dial(1)
	if err != nil {
		return err
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	var wants []drill.Want
	for _, kind := range Kinds {
		args, copies := amqp.Table{"x-queue-type": "classic"}, nodes
		switch kind {
		case "quorum":
			args["x-queue-type"] = "quorum"
		case "classic":
			copies = 1
		}
		if _, err := ch.QueueDeclare(kind, true, false, false, false, args); err != nil {
			return err
		}
		wants = append(wants, drill.Want{Part: kind, Copies: copies, Leader: 1})
		s.queues = append(s.queues, newQueue(kind))
	}
	for _, kind := range Kinds[1:] {
		if err := s.c.Lead(ctx, kind, 1); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return s.c.Healthy(ctx, wants)
}

// play breaks and repairs node 1 under load. It gives how the classic queue was answered for
// on another node meanwhile.
func (s *scene) play(ctx context.Context) (asked string, err error) {
	sleep(ctx, s.o.Before)
	s.mark(func(q *queue, t time.Time) { q.broken = t })
	heal, err := s.damage()
	if err != nil {
		return "", err
	}
	sleep(ctx, time.Second)
	answer := make(chan string, 1)
	go func() { answer <- s.ask() }() // ends with its connection, which the cluster's end closes
	away := s.o.Away
	if s.fault == "kill" || s.fault == "stop" {
		away = s.o.Down
	}
	sleep(ctx, away-time.Second)
	s.mark(func(q *queue, t time.Time) { q.healed = t })
	if err := heal(); err != nil {
		return "", err
	}
	sleep(ctx, s.o.After)
	s.mark(func(q *queue, t time.Time) { q.ended = t })
	select {
	case asked = <-answer:
	default:
		asked = "no answer until the end"
	}
	return asked, ctx.Err()
}

func (s *scene) mark(fn func(*queue, time.Time)) {
	now := time.Now()
	for _, q := range s.queues {
		q.mu.Lock()
		fn(q, now)
		q.mu.Unlock()
	}
}

// damage breaks node 1, and gives how to repair it.
func (s *scene) damage() (heal func() error, err error) {
	switch s.fault {
	case "kill":
		s.c.Signal(1, syscall.SIGKILL)
		return func() error { s.c.End(1, syscall.SIGKILL); return s.c.Start(1) }, nil
	case "stop":
		s.c.Signal(1, syscall.SIGTERM)
		return func() error { s.c.End(1, syscall.SIGTERM); return s.c.Start(1) }, nil
	case "pause":
		s.c.Signal(1, syscall.SIGSTOP)
		return func() error { s.c.Signal(1, syscall.SIGCONT); return nil }, nil
	case "cable":
		err = s.door.Set(drill.Silent)
	}
	err = errors.Join(err, s.c.Link(1, drill.Silent))
	return func() error { return errors.Join(s.door.Set(drill.Open), s.c.Link(1, drill.Open)) }, err
}

// ask declares the classic queue passively on node 2, and says what came of it and when.
func (s *scene) ask() string {
	conn, err := s.dial(2)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return err.Error()
	}
	began := time.Now()
	_, err = ch.QueueDeclarePassive("classic", true, false, false, false, nil)
	said := "it is there"
	if err != nil {
		said = err.Error()
	}
	return fmt.Sprintf("%s (%d ms)", said, time.Since(began).Milliseconds())
}

// drain waits until nothing came to any consumer for a while.
func (s *scene) drain(ctx context.Context) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end) && ctx.Err() == nil; sleep(ctx, time.Second) {
		still := true
		for _, q := range s.queues {
			q.mu.Lock()
			still = still && time.Since(q.last) > 5*time.Second
			q.mu.Unlock()
		}
		if still {
			return
		}
	}
}

// dial connects to a node as its clients do.
func (s *scene) dial(node int) (*amqp.Connection, error) {
	at := s.c.Address(node, drill.AMQP)
	if node == 1 {
		at = s.door.Addr()
	}
	return amqp.DialConfig("amqp://guest:guest@"+at+"/", amqp.Config{Heartbeat: s.o.Patient,
		Dial: amqp.DefaultDial(2 * time.Second)})
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
