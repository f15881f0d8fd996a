package rocket

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"trine/internal/core"
	"trine/internal/front"
)

// Listen says where a Service listens.
type Listen struct {
	NameServer net.Listener // nil: none
	Broker     net.Listener // nil: none, and no group's port either
	Budget     *front.Budget
	Clock      func() core.Now
	Log        *slog.Logger
}

// Service is a Front with its listeners: NameServer, broker, the broker's fast port
// (two below it), and the ports of groups for which the node stands in. One
// goroutine ticks and keeps the ports of groups open.
type Service struct {
	*Front
	l     Listen
	ended sync.WaitGroup
	stop  chan struct{}

	mu      sync.Mutex
	servers []*front.Server
	open    map[int]bool // ports above the broker's that are open
	failed  map[int]bool // those that could not be opened, which was said
}

const (
	tickEvery   = 100 * time.Millisecond
	fastPortGap = 2
)

// Serve begins to answer on the listeners, which the Service owns from here on.
func (f *Front) Serve(l Listen) *Service {
	if l.Log == nil {
		l.Log = slog.Default()
	}
	if l.Clock == nil {
		l.Clock = front.SystemClock()
	}
	s := &Service{Front: f, l: l, stop: make(chan struct{}), open: map[int]bool{},
		failed: map[int]bool{}}
	f.Tick(l.Clock())
	for _, one := range []net.Listener{l.NameServer, l.Broker} {
		if one != nil {
			s.serve(one, "")
		}
	}
	if l.Broker != nil {
		s.listen(-fastPortGap, "")
		s.ports()
	}
	s.ended.Go(s.run) // Shutdown waits for its end
	return s
}

func (s *Service) serve(l net.Listener, group string) {
	server := front.Serve(l, front.Options{Name: "rocket", Open: s.Open(group), Budget: s.l.Budget,
		Clock: s.l.Clock, Log: s.l.Log})
	s.mu.Lock()
	s.servers = append(s.servers, server)
	s.mu.Unlock()
}

// listen opens the port that lies so far above the broker's.
func (s *Service) listen(offset int, group string) {
	if s.open[offset] {
		return
	}
	host, port, err := net.SplitHostPort(s.l.Broker.Addr().String())
	base, err2 := strconv.Atoi(port)
	if err = errors.Join(err, err2); err == nil {
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(base+offset))); err == nil {
			s.open[offset] = true
			s.serve(l, group)
			return
		}
	}
	if !s.failed[offset] {
		s.failed[offset] = true
		s.l.Log.Warn("a further port of the RocketMQ broker is not open", "port", base+offset,
			"group", group, "err", err)
	}
}

// ports opens the ports of groups for which this node has come to stand in. They
// stay open: connections by them are the group's as long as they last.
func (s *Service) ports() {
	for _, p := range s.names.Ports() {
		s.listen(p.Offset, p.Group)
	}
}

func (s *Service) run() {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		s.Tick(s.l.Clock())
		if s.l.Broker != nil && n%5 == 0 {
			s.ports()
		}
	}
}

// Shutdown stops accepting, ends all connections and waits for everything.
func (s *Service) Shutdown(ctx context.Context) error {
	close(s.stop)
	s.ended.Wait()
	s.mu.Lock()
	servers := s.servers
	s.mu.Unlock()
	errs := make([]error, len(servers))
	var wait sync.WaitGroup
	for i, one := range servers {
		wait.Go(func() { errs[i] = one.Shutdown(ctx) }) // waited for below
	}
	wait.Wait()
	return errors.Join(errs...)
}
