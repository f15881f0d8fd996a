package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/front/admin"
	"trine/internal/front/amqp"
	"trine/internal/front/amqp/access"
	"trine/internal/front/amqp/api"
	"trine/internal/front/gate"
	"trine/internal/front/kafka"
	"trine/internal/front/rocket"
)

// The keys of the listeners' addresses in core.NodeInfo.Addresses.
const (
	addressAMQP   = "amqp"
	addressKafka  = kafka.Name
	addressRocket = "rocket"
)

// memberMax is how long the front ends wait for the node to be seen as a member by
// its own catalog. Later they serve what needs no majority.
const memberMax = 5 * time.Second

// fronts are the protocols that a node speaks, and their listeners.
type fronts struct {
	services []shutter
	closers  []func()
	budget   *front.Budget
}

// shutter is a listener's server.
type shutter interface {
	Shutdown(ctx context.Context) error
}

// addresses are what the other nodes are told of the listeners.
func (c *config) addresses() map[string]string {
	as := map[string]string{}
	for name, at := range map[string]string{addressAMQP: c.AMQP.Listen, addressKafka: c.Kafka.Listen,
		addressRocket: c.RocketMQ.Broker, admin.Name: c.HTTP.Listen} {
		if at != off {
			as[name] = c.advertised(at)
		}
	}
	return as
}

// start opens all listeners that are wanted.
func (f *fronts) start(c *config, seam front.Core, http *admin.Admin, forClients *tls.Config,
	log *slog.Logger) error {
	f.budget = front.NewBudget(front.NodeBytesMax)
	clock := front.SystemClock()
	open := func(name, at string, o func(front.Wire) front.Conn, t *tls.Config) error {
		l, err := listen(name, at)
		if err != nil {
			return err
		}
		f.services = append(f.services, front.Serve(l, front.Options{Name: name, Open: o, TLS: t,
			Budget: f.budget, Clock: clock, Log: log}))
		return nil
	}
	if c.AMQP.Listen != off || c.AMQP.ListenTLS != off {
		a, err := f.amqp(c, seam, http, log)
		if err != nil {
			return err
		}
		if c.AMQP.Listen != off {
			if err := open("amqp", c.AMQP.Listen, a.Open, nil); err != nil {
				return err
			}
		}
		if c.AMQP.ListenTLS != off {
			if err := open("amqps", c.AMQP.ListenTLS, a.Open, forClients); err != nil {
				return err
			}
		}
	}
	if c.Kafka.Listen != off {
		k := kafka.New(seam, kafka.Config{DefaultCopies: c.Kafka.Copies, MinInSync: c.Kafka.MinInSync,
			Partitions: c.Kafka.Partitions, AutoCreate: c.Kafka.AutoCreate, Log: log, Now: clock})
		f.closers = append(f.closers, k.Close)
		if err := open("kafka", c.Kafka.Listen, k.Open, nil); err != nil {
			return err
		}
	}
	if c.RocketMQ.Broker == off && c.RocketMQ.NameServer == off {
		return nil
	}
	l := rocket.Listen{Budget: f.budget, Clock: clock, Log: log}
	for _, one := range []struct {
		flag, at string
		to       *net.Listener
	}{{"nameserver", c.RocketMQ.NameServer, &l.NameServer}, {"broker", c.RocketMQ.Broker, &l.Broker}} {
		if one.at == off {
			continue
		}
		got, err := listen(one.flag, one.at)
		if err != nil {
			if l.NameServer != nil {
				l.NameServer.Close()
			}
			return err
		}
		*one.to = got
	}
	f.services = append(f.services, rocket.New(seam, rocket.Options{Log: log}).Serve(l))
	return nil
}

// amqp makes AMQP's front end, with its users and its HTTP API.
func (f *fronts) amqp(c *config, seam front.Core, http *admin.Admin, log *slog.Logger) (*amqp.Front, error) {
	near := c.AMQP.Loopback
	if len(near) == 1 && near[0] == "none" || near == nil {
		near = []string{}
	}
	g, err := gate.New(seam.Cluster(), gate.Options{LoopbackUsers: near, Log: log})
	if err != nil {
		return nil, err
	}
	known, cancel := context.WithTimeout(context.Background(), time.Second)
	_ = g.Await(known) // later logins wait for the users themselves
	cancel()
	a := amqp.New(seam, amqp.Options{Gate: g, LoginFrom: access.From(c.AMQP.LoginFrom), Log: log})
	tools := api.New(a, api.Options{Dir: c.Data, Log: log,
		Disk: func() (free, least int64) { return diskFree(c.Data), diskReserve }})
	f.closers = append(f.closers, tools.Close)
	http.Handle("/api/", tools)
	if c.AMQP.Definitions != "" {
		file, err := os.ReadFile(c.AMQP.Definitions)
		if err != nil {
			return nil, fmt.Errorf("read definitions: %w", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { bring(ctx, tools, file, log); close(ended) }() // awaited by the closer below
		f.closers = append(f.closers, func() { cancel(); <-ended })
	}
	return a, nil
}

// bring imports definitions as soon as the cluster takes them.
func bring(ctx context.Context, tools *api.Server, file []byte, log *slog.Logger) {
	for {
		err := tools.Import(ctx, file)
		switch {
		case err == nil:
			log.Info("definitions are imported", "front", "amqp")
			return
		case core.KindOf(err) == core.Invalid:
			log.Error("definitions are not imported", "front", "amqp", "err", err)
			return
		}
		log.Warn("definitions are not imported yet", "front", "amqp", "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// stop lets all connections end, at once, and waits for them.
func (f *fronts) stop(ctx context.Context) {
	var wait sync.WaitGroup
	for _, s := range f.services {
		wait.Go(func() { s.Shutdown(ctx) }) // waited for below
	}
	wait.Wait()
	for _, c := range f.closers {
		c()
	}
}

// awaitMember waits until this run shows in the node's own copy of the catalog.
func awaitMember(ctx context.Context, c front.Core, ended <-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, memberMax)
	defer cancel()
	for {
		for _, n := range c.Cluster().Nodes() {
			if n.Peer == c.Self() && n.Alive {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ended:
			return
		case <-time.After(2 * time.Millisecond):
		}
	}
}
