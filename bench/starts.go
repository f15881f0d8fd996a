package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	settle   = 8 * time.Second // until a broker that began is idle
	startMax = 3 * time.Minute
)

// sides runs fn once for each side, Trine first.
func sides(o *options, out *outcome, fn func(trine bool) (measured, error)) error {
	for _, trine := range []bool{true, false} {
		if trine && o.only == "peer" || !trine && o.only == "trine" {
			continue
		}
		m, err := fn(trine)
		if err != nil {
			return fmt.Errorf("%s: %w", out.side(trine), err)
		}
		m.LoadAvg = loadAverage()
		out.add(trine, m)
	}
	return nil
}

// idle measures the memory and CPU of a broker that nobody uses.
func idle(ctx context.Context, o *options, r *row) (out outcome, err error) {
	out.Measure = "rss"
	return out, sides(o, &out, func(trine bool) (m measured, err error) {
		c, err := start(ctx, o, r, trine)
		if err != nil {
			return m, err
		}
		defer c.stop()
		time.Sleep(settle)
		pids := c.pids()
		before, began := cpu(pids), time.Now()
		time.Sleep(o.span)
		m.IdleCPU = (cpu(pids) - before).Seconds() / time.Since(began).Seconds()
		m.RSS, m.Peak = memory(pids)
		return m, nil
	})
}

// coldStart measures from the start of an empty broker to the first acknowledgement.
// A peer's script ends when the peer says that it serves: the client tries meanwhile.
func coldStart(ctx context.Context, o *options, r *row) (out outcome, err error) {
	out.Measure = "seconds"
	return out, sides(o, &out, func(trine bool) (m measured, err error) {
		began := time.Now()
		name := fresh("start")
		acked := make(chan error, 1)
		probe := &cluster{o: o, row: r, trine: trine}
		probe.addresses()
		if !trine { // what cleaning takes is no part of the start
			if err := probe.empty(ctx); err != nil {
				return m, err
			}
			began = time.Now()
		}
		go func() { acked <- probe.first(ctx, name) }() // waited for below
		c, err := start(ctx, o, r, trine)
		if err != nil {
			return m, err
		}
		defer c.stop()
		if err := <-acked; err != nil {
			return m, err
		}
		m.Seconds = probe.at.Sub(began).Seconds()
		m.RSS, m.Peak = memory(c.pids())
		return m, nil
	})
}

// restart measures from the SIGKILL of a broker with many streams, and its start at
// once, to the first acknowledgement on one of them.
func restart(ctx context.Context, o *options, r *row) (out outcome, err error) {
	out.Measure = "seconds"
	return out, sides(o, &out, func(trine bool) (m measured, err error) {
		c, err := start(ctx, o, r, trine)
		if err != nil {
			return m, err
		}
		defer c.stop()
		name := fresh("many")
		if err := c.many(ctx, name, o.streams); err != nil {
			return m, fmt.Errorf("make %d streams: %w", o.streams, err)
		}
		time.Sleep(2 * time.Second)
		c.kill(syscall.SIGKILL)
		began := time.Now()
		acked := make(chan error, 1)
		go func() { acked <- c.first(ctx, name) }() // waited for below
		if err := c.again(ctx); err != nil {
			return m, err
		}
		if err := <-acked; err != nil {
			return m, err
		}
		m.Seconds = c.at.Sub(began).Seconds()
		m.RSS, m.Peak = memory(c.pids())
		return m, nil
	})
}

// many makes streams: partitions of one topic, or queues, each with a message.
func (c *cluster) many(ctx context.Context, name string, n int) error {
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	switch c.row.peer {
	case "kafka":
		cl, err := kgo.NewClient(kgo.SeedBrokers(c.kafka...), kgo.DefaultProduceTopic(name),
			kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			return err
		}
		defer cl.Close()
		if _, err := kadm.NewClient(cl).CreateTopic(ctx, int32(n), 1, nil, name); err != nil {
			return err
		}
		var rs []*kgo.Record
		for i := range n {
			rs = append(rs, &kgo.Record{Partition: int32(i), Value: []byte("x")})
		}
		return cl.ProduceSync(ctx, rs...).FirstErr()
	case "rabbitmq":
		conn, err := amqp.Dial("amqp://guest:guest@" + c.amqp[0] + "/")
		if err != nil {
			return err
		}
		defer conn.Close()
		ch, err := conn.Channel()
		if err != nil {
			return err
		}
		if err := ch.Confirm(false); err != nil {
			return err
		}
		for i := range n {
			if err := rabbitOne(ctx, ch, fmt.Sprintf("%s-%d", name, i)); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("no row makes many streams of %s", c.row.peer)
}

// first sends one message until it is acknowledged, and notes when that was.
func (c *cluster) first(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		once, cancel := context.WithTimeout(ctx, 20*time.Second)
		err = c.once(once, name)
		cancel()
		if err == nil {
			c.at = time.Now()
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("no acknowledgement: %w", err)
}

func (c *cluster) once(ctx context.Context, name string) error {
	switch c.row.peer {
	case "kafka":
		if err := reach(c.kafka[0]); err != nil {
			return err
		}
		cl, err := kgo.NewClient(kgo.SeedBrokers(c.kafka...), kgo.DefaultProduceTopic(name),
			kgo.AllowAutoTopicCreation(), kgo.ProducerLinger(0), kgo.RetryBackoffFn(func(int) time.Duration {
				return 20 * time.Millisecond
			}), kgo.MetadataMinAge(20*time.Millisecond))
		if err != nil {
			return err
		}
		defer cl.Close()
		return cl.ProduceSync(ctx, &kgo.Record{Value: []byte("x")}).FirstErr()
	case "rabbitmq":
		conn, err := amqp.Dial("amqp://guest:guest@" + c.amqp[0] + "/")
		if err != nil {
			return err
		}
		defer conn.Close()
		ch, err := conn.Channel()
		if err == nil {
			err = ch.Confirm(false)
		}
		if err != nil {
			return err
		}
		return rabbitOne(ctx, ch, name+"-0")
	}
	if err := reach(c.rocket[0]); err != nil {
		return err
	}
	p, err := rocketProducer(c)
	if err != nil {
		return err
	}
	defer p.Shutdown()
	r, err := p.SendSync(ctx, primitive.NewMessage(name, []byte("x")))
	if err == nil && r.Status != primitive.SendOK {
		err = fmt.Errorf("send: status %d", r.Status)
	}
	return err
}

func rabbitOne(ctx context.Context, ch *amqp.Channel, queue string) error {
	_, err := ch.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": "classic"})
	if err != nil {
		return err
	}
	d, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", queue, false, false,
		amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte("x")})
	if err != nil {
		return err
	}
	if ok, err := d.WaitContext(ctx); err != nil || !ok {
		return fmt.Errorf("not confirmed: %w", err)
	}
	return nil
}
