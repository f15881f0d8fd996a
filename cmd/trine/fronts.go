package main

import (
	"context"
	"log/slog"
	"net"
	"sync"

	"trine/internal/front"
	"trine/internal/front/admin"
	"trine/internal/front/amqp"
	"trine/internal/front/kafka"
	"trine/internal/front/rocket"
)

// The keys of the listeners' addresses in core.NodeInfo.Addresses.
const (
	addressAMQP   = "amqp"
	addressKafka  = kafka.Name
	addressRocket = "rocket"
)

// fronts are the protocols that a node speaks, and their listeners.
type fronts struct {
	servers []interface{ Shutdown(context.Context) error }
	closers []func()
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
func (f *fronts) start(c *config, core front.Core, http *admin.Admin, log *slog.Logger) error {
	budget := front.NewBudget(front.NodeBytesMax)
	clock := front.SystemClock()
	open := func(name, flag, at string, o func(front.Wire) front.Conn) error {
		l, err := listen(flag, at)
		if err != nil {
			return err
		}
		f.servers = append(f.servers, front.Serve(l, front.Options{Name: name, Open: o, Budget: budget,
			Clock: clock, Log: log}))
		return nil
	}
	if c.AMQP.Listen != off {
		a := amqp.New(core, amqp.Options{Log: log})
		if err := open("amqp", "amqp", c.AMQP.Listen, a.Open); err != nil {
			return err
		}
	}
	if c.Kafka.Listen != off {
		k := kafka.New(core, kafka.Config{DefaultCopies: c.Kafka.Copies, MinInSync: c.Kafka.MinInSync,
			Partitions: c.Kafka.Partitions, AutoCreate: c.Kafka.AutoCreate, Log: log, Now: clock})
		f.closers = append(f.closers, k.Close)
		if err := open("kafka", "kafka", c.Kafka.Listen, k.Open); err != nil {
			return err
		}
	}
	if c.RocketMQ.NameServer != off || c.RocketMQ.Broker != off {
		l := rocket.Listen{Budget: budget, Clock: clock, Log: log}
		for _, one := range []struct {
			l        *net.Listener
			flag, at string
		}{{&l.NameServer, "nameserver", c.RocketMQ.NameServer}, {&l.Broker, "broker", c.RocketMQ.Broker}} {
			if one.at == off {
				continue
			}
			var err error
			if *one.l, err = listen(one.flag, one.at); err != nil {
				return err
			}
		}
		f.servers = append(f.servers, rocket.New(core, rocket.Options{Log: log}).Serve(l))
	}
	return nil
}

// stop lets all connections end, at once, and waits for them.
func (f *fronts) stop(ctx context.Context) {
	var wait sync.WaitGroup
	for _, s := range f.servers {
		wait.Go(func() { s.Shutdown(ctx) }) // waited for below
	}
	wait.Wait()
	for _, c := range f.closers {
		c()
	}
}
