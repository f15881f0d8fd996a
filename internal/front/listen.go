package front

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"trine/internal/core"
)

// Options are what a Server needs to know. Zero fields take the defaults.
type Options struct {
	Name      string                  // of the front end, for the log: "amqp"
	Open      func(w Wire) Conn       // makes the protocol's side of a new connection; lock held
	TLS       *tls.Config             // nil: plain
	Handshake time.Duration           // 10 s: until Wire.Ready
	ConnsMax  int                     // 65536 connections at once
	BytesMax  int                     // 1 MiB: owed by one connection before reading stops
	OutMax    int                     // 4 MiB: unsent by one connection before reading stops
	Budget    *Budget                 // the node's; nil: one of its own
	Clock     func() core.Now         // nil: the system's
	Log       *slog.Logger            // nil: slog.Default
	Wrap      func(net.Conn) net.Conn // nil: none; tests put faults in here
}

// Server accepts connections and runs each: one goroutine reads and feeds, one
// writes what appeared. Shutdown waits for the end of all of them.
type Server struct {
	o     Options
	l     net.Listener
	group sync.WaitGroup // the accepting goroutine and every connection's reader
	mu    sync.Mutex     // guards conns and shut
	conns map[*socket]struct{}
	shut  bool
}

var lastConnID atomic.Uint64

// Serve begins to accept on l, which the Server owns from here on.
func Serve(l net.Listener, o Options) *Server {
	if o.Handshake == 0 {
		o.Handshake = 10 * time.Second
	}
	if o.ConnsMax == 0 {
		o.ConnsMax = 65536
	}
	if o.BytesMax == 0 {
		o.BytesMax = 1 << 20
	}
	if o.OutMax == 0 {
		o.OutMax = 4 << 20
	}
	if o.Budget == nil {
		o.Budget = NewBudget(NodeBytesMax)
	}
	if o.Clock == nil {
		o.Clock = SystemClock()
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &Server{o: o, l: l, conns: map[*socket]struct{}{}}
	s.group.Add(1)
	go s.accept() // Shutdown waits for its end
	return s
}

// SystemClock gives a clock whose monotonic time begins now.
func SystemClock() func() core.Now {
	start := time.Now()
	return func() core.Now {
		t := time.Now()
		return core.Now{Mono: core.Time(t.Sub(start)) + core.Second, Wall: core.Stamp(t.UnixMilli())}
	}
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.l.Addr() }

// Conns counts the connections that are open.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *Server) accept() {
	defer s.group.Done()
	for {
		nc, err := s.l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of file descriptors, or a client gone already
			s.o.Log.Warn("accept", "front", s.o.Name, "err", err)
			time.Sleep(10 * time.Millisecond)
			continue
		}
		s.take(nc)
	}
}

func (s *Server) take(nc net.Conn) {
	if t, ok := nc.(*net.TCPConn); ok {
		_ = t.SetNoDelay(true)
	}
	if s.o.Wrap != nil {
		nc = s.o.Wrap(nc)
	}
	if s.o.TLS != nil {
		nc = tls.Server(nc, s.o.TLS)
	}
	c := newSocket(s, nc)
	s.mu.Lock()
	full := len(s.conns) >= s.o.ConnsMax
	if s.shut || full {
		s.mu.Unlock()
		if full {
			_ = nc.Close()
			s.o.Log.Warn("connection refused: too many", "front", s.o.Name, "max", s.o.ConnsMax)
			return
		}
		reset(nc)
		return
	}
	s.conns[c] = struct{}{}
	s.group.Add(1)
	s.mu.Unlock()
	go c.run() // Shutdown waits for its end
}

func (s *Server) forget(c *socket) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.group.Done()
}

// Shutdown stops accepting, lets every connection say goodbye, and waits for their
// end; what is open when ctx ends is cut.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.shut = true
	open := make([]*socket, 0, len(s.conns))
	for c := range s.conns {
		open = append(open, c)
	}
	s.mu.Unlock()
	err := s.l.Close()
	for _, c := range open {
		c.sayGoodbye()
	}
	done := make(chan struct{})
	go func() { s.group.Wait(); close(done) }() // ends with the last connection, below
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
		for _, c := range open {
			_ = c.nc.Close()
		}
		<-done
	}
	return err
}
