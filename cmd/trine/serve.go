package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"trine/internal/core"
	"trine/internal/front/admin"
	"trine/internal/journal"
	"trine/internal/node"
)

// The longest that the parts of a stop may take.
const (
	handOverMax = 3 * time.Second
	drainMax    = 5 * time.Second
)

func serveCommand() *cobra.Command {
	c := standard("127.0.0.1", 0)
	var file string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node",
		Long: "Run a node. Without configuration it is a cluster alone, keeps its data in\n" +
			"./trine-data and listens on loopback, for all three protocols on their standard ports.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file != "" {
				if err := c.load(file, cmd.Flags()); err != nil {
					return err
				}
			}
			if err := c.check(); err != nil {
				return err
			}
			return serve(c)
		},
	}
	c.flags(cmd.Flags())
	cmd.Flags().StringVar(&file, "config", "", "TOML file; flags stand above it")
	return cmd
}

// serve runs a node until a signal or its own failure ends it.
func serve(c config) error {
	log, err := newLog(c.LogLevel)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() { // ends with the process: a second signal ends that at once
		s := <-signals
		log.Info("stopping", "signal", s.String())
		cancel(errStopped)
		<-signals
		os.Exit(1)
	}()
	defer paceCollector()()
	s := &server{config: c, log: log}
	err = s.start(ctx)
	if err == nil {
		select {
		case <-ctx.Done():
		case <-s.node.Done():
			err = s.node.Err()
		}
	}
	s.stop(err == nil)
	if errors.Is(err, errStopped) {
		err = nil
	}
	if err != nil && s.serving {
		log.Error("the node ends", "err", err)
	}
	return err
}

var errStopped = errors.New("stopped by a signal")

func newLog(level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %q is none of debug, info, warn, error", level)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: l}))
	slog.SetDefault(log)
	return log, nil
}

// server is a node with its front ends.
type server struct {
	config config
	log    *slog.Logger
	node   *node.Node
	admin  *admin.Admin
	http   []*http.Server
	pprof  *http.Server // nil: not asked for
	fronts fronts

	serving bool // it has begun: its end is an event of its log
}

func (s *server) start(ctx context.Context) error {
	c := &s.config
	if err := c.probe(); err != nil {
		return err
	}
	serverTLS, clientTLS, err := c.TLS.nodes()
	if err != nil {
		return err
	}
	forClients, err := c.TLS.clients()
	if err != nil {
		return err
	}
	if c.Pprof != "" {
		if s.pprof, err = servePprof(c.Pprof); err != nil {
			return err
		}
	}
	s.admin = admin.New(s.log)
	if err := s.serveHTTP(forClients); err != nil {
		return err
	}
	peers, err := c.peers()
	if err != nil {
		return err
	}
	files := journal.OSFS()
	if c.volatile {
		s.log.Warn("writes are kept in memory until they are flushed: for drills only")
		files = journal.VolatileFS(files)
	}
	s.node, err = node.Start(ctx, node.Config{FS: files, Node: core.NodeID(c.Node), Dir: c.Data, Listen: c.Listen,
		Advertise: c.linkAddress(), Peers: peers, Rack: c.Rack, Addresses: c.addresses(), Log: s.log,
		ServerTLS: serverTLS, ClientTLS: clientTLS})
	if err != nil {
		return err
	}
	awaitMember(ctx, seam{s.node}, s.node.Done())
	if err := s.node.Err(); err != nil {
		return err
	}
	if err := s.fronts.start(c, seam{s.node}, s.admin, forClients, s.log); err != nil {
		return err
	}
	s.admin.Begin(seam{s.node})
	s.serving = true
	s.log.Info("serving", "node", c.Node, "amqp", c.AMQP.Listen, "kafka", c.Kafka.Listen,
		"nameserver", c.RocketMQ.NameServer, "broker", c.RocketMQ.Broker, "http", c.HTTP.Listen)
	return nil
}

// serveHTTP opens the HTTP listeners, plain and over TLS.
func (s *server) serveHTTP(forClients *tls.Config) error {
	for _, one := range []struct {
		flag, at string
		tls      *tls.Config
	}{{"http", s.config.HTTP.Listen, nil}, {"https", s.config.HTTP.ListenTLS, forClients}} {
		if one.at == off {
			continue
		}
		l, err := listen(one.flag, one.at)
		if err != nil {
			return err
		}
		h := &http.Server{Handler: s.admin, ReadHeaderTimeout: 10 * time.Second, TLSConfig: one.tls,
			ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
		s.http = append(s.http, h)
		if one.tls == nil {
			go h.Serve(l) // ends with Shutdown or Close in stop
		} else {
			go h.ServeTLS(l, "", "") // likewise
		}
	}
	return nil
}

// stop ends everything in the order that costs clients least: what the node leads
// goes to others first, then its clients, then the node itself.
func (s *server) stop(handOver bool) {
	if s.pprof != nil {
		defer s.pprof.Close()
	}
	if s.admin != nil {
		s.admin.End()
	}
	if s.node != nil && handOver {
		ctx, cancel := context.WithTimeout(context.Background(), handOverMax)
		if err := s.node.HandOver(ctx); err != nil {
			s.log.Warn("not everything was handed over", "err", err)
		}
		cancel()
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainMax)
	defer cancel()
	s.fronts.stop(ctx)
	for _, h := range s.http {
		if h.Shutdown(ctx) != nil {
			h.Close()
		}
	}
	if s.node != nil {
		if err := s.node.Close(); err != nil {
			s.log.Error("close the node", "err", err)
		}
	}
}

// linkAddress is where other nodes call this one.
func (c *config) linkAddress() string {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil || port == "0" {
		return ""
	}
	if c.Advertise != "" {
		host = c.Advertise
	} else if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if host, err = os.Hostname(); err != nil {
			return ""
		}
	}
	return net.JoinHostPort(host, port)
}

// probe says at once which port is busy: the listeners open only when the node
// serves, which may take until the other nodes are there.
func (c *config) probe() error {
	for _, l := range c.listeners() {
		if *l.at == off {
			continue
		}
		p, err := listen(l.flag, *l.at)
		if err != nil {
			return err
		}
		p.Close()
	}
	return nil
}

// busyError says that somebody else listens where a listener is wanted.
type busyError struct{ at, flag string }

func (e *busyError) Error() string {
	s := e.stop() + ", or name another port with --" + e.flag
	if e.flag != "listen" {
		s += ", or --" + e.flag + " off"
	}
	return s
}

// stop is the part of the error that holds for every command.
func (e *busyError) stop() string {
	return fmt.Sprintf("listen on %s: the port is busy: stop what listens there (another trine, "+
		"another broker?)", e.at)
}

func listen(flag, at string) (net.Listener, error) {
	l, err := net.Listen("tcp", at)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &busyError{at, flag}
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s (--%s): %w", at, flag, err)
	}
	return l, nil
}
