package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// manyQueues is the measurement of many durable queues that are all used a little.
type manyQueues struct {
	o       *options
	kind    string
	nodes   int
	queues  int
	bytes   int
	workers int // connections that publish, and as many that consume
	span    time.Duration
	warm    time.Duration
	rest    time.Duration
}

// queuesMain is bench/run queues.
func queuesMain(ctx context.Context, o *options, args []string) error {
	m := manyQueues{o: o}
	f := flag.NewFlagSet("queues", flag.ExitOnError)
	f.StringVar(&m.kind, "kind", "classic", "classic, quorum or mirror")
	f.IntVar(&m.nodes, "nodes", 1, "of Trine")
	f.IntVar(&m.queues, "n", 10_000, "durable queues; each is sent a message a second")
	f.IntVar(&m.bytes, "bytes", 100, "a message")
	f.IntVar(&m.workers, "connections", 8, "that publish, and as many that consume")
	f.DurationVar(&m.span, "for", time.Minute, "length of the measurement")
	f.DurationVar(&m.warm, "settle", 10*time.Second, "load before it")
	f.DurationVar(&m.rest, "rest", 40*time.Second, "until queues are taken to be at rest")
	f.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: bench/run queues [OPTION]...\n"+
			"Durable queues with a consumer each and a persistent, confirmed message a second each, sent on\n"+
			"schedule (open loop): CPU, memory, latency from when a message was due; memory of an idle queue.")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	fmt.Printf("%s, %s, load %.1f; %d node(s), %d %s queues, %d B\n", machine(),
		time.Now().UTC().Format(time.RFC3339), loadAverage(), m.nodes, m.queues, m.kind, m.bytes)
	return m.measure(ctx)
}

func (m *manyQueues) measure(ctx context.Context) error {
	c, err := startProfiled(ctx, m.o, &row{name: "queues-" + m.kind, nodes: m.nodes})
	if err != nil {
		return err
	}
	defer c.stop()
	if err := pause(ctx, 5*time.Second); err != nil {
		return err
	}
	empty, err := c.holds(ctx, "empty")
	if err != nil {
		return err
	}
	fmt.Printf("empty: %v\n", empty)
	at, err := c.counted(ctx)
	if err != nil {
		return err
	}
	if err := c.makeStreams(ctx, m.kind, 0, m.queues, true); err != nil {
		return err
	}
	if err := c.awaitLed(ctx, at.streams+m.queues, 0, nil); err != nil {
		return err
	}
	if err := m.still(ctx, c, "declared, at rest", empty); err != nil {
		return err
	}
	l, err := m.begin(ctx, c)
	if err != nil {
		return err
	}
	if err := m.still(ctx, c, "a consumer each, at rest", empty); err != nil {
		l.end()
		return err
	}
	err = m.load(ctx, c, l)
	l.end()
	if err != nil {
		return err
	}
	return m.still(ctx, c, "after the load, no consumer, at rest", empty)
}

// still prints what the cluster holds once nothing happens.
func (m *manyQueues) still(ctx context.Context, c *cluster, what string, empty held) error {
	if err := pause(ctx, m.rest); err != nil {
		return err
	}
	watch, began := c.watch(), time.Now()
	if err := pause(ctx, 10*time.Second); err != nil {
		return err
	}
	used, _ := watch()
	share := used.Seconds() / time.Since(began).Seconds()
	h, err := c.holds(ctx, slug(what))
	if err != nil {
		return err
	}
	n := float64(m.queues)
	fmt.Printf("%s: %v; a queue and node above the empty one: RSS %.2f KiB, live heap %.2f KiB; CPU %.2f %% of one core\n",
		what, h, (h.rss-empty.rss)*1024/n, (h.heap-empty.heap)*1024/n, 100*share)
	return nil
}

// manyLoad is what publishes and consumes.
type manyLoad struct {
	*load
	publishers []*amqp.Channel
	measuring  atomic.Bool
	ends       delays // from when a message was due until it was delivered
	confirms   delays
	sent       atomic.Int64
	delivered  atomic.Int64
}

// begin connects, and gives every queue its consumer.
func (m *manyQueues) begin(ctx context.Context, c *cluster) (*manyLoad, error) {
	base, _ := newLoad(ctx)
	l := &manyLoad{load: base}
	var conns []*amqp.Connection
	l.close = func() {
		for _, c := range conns {
			c.Close()
		}
	}
	for w := range m.workers {
		conn, ch, err := c.dial(w % m.nodes)
		if err != nil {
			l.end()
			return nil, err
		}
		conns = append(conns, conn)
		l.publishers = append(l.publishers, ch)
		if err := ch.Confirm(false); err != nil {
			l.end()
			return nil, err
		}
	}
	var all sync.WaitGroup
	for w := range m.workers {
		conn, ch, err := c.dial(w % m.nodes)
		if err != nil {
			l.end()
			return nil, err
		}
		conns = append(conns, conn)
		all.Go(func() { l.fail(m.consume(l, ch, w)) }) // waited for below
	}
	all.Wait()
	if err := l.err(); err != nil {
		l.end()
		return nil, err
	}
	return l, nil
}

// consume gives each queue of a worker a consumer of its own, on one channel.
func (m *manyQueues) consume(l *manyLoad, ch *amqp.Channel, worker int) error {
	if err := ch.Qos(100, 0, false); err != nil {
		return err
	}
	for q := worker; q < m.queues; q += m.workers {
		ds, err := ch.Consume(m.name(q), "", false, false, false, false, nil)
		if err != nil {
			return fmt.Errorf("consume: %w", err)
		}
		l.wait.Go(func() { // ends when the connection closes
			for d := range ds {
				if l.measuring.Load() {
					l.ends.add(time.Since(dueOf(d.Body)))
				}
				if d.Ack(false) == nil {
					l.delivered.Add(1)
				}
			}
		})
	}
	return nil
}

func (m *manyQueues) name(q int) string { return fmt.Sprintf("many.%s.%d", m.kind, q) }

// A message begins with when it was due.
func putDue(body []byte, t time.Time)      { binary.BigEndian.PutUint64(body, uint64(t.UnixNano())) }
func dueOf(body []byte) time.Time          { return time.Unix(0, int64(binary.BigEndian.Uint64(body))) }
func (m *manyQueues) each() float64        { return float64(m.queues) / float64(m.workers) }
func (m *manyQueues) total() time.Duration { return m.warm + m.span }

// load publishes to all queues in turn, each once a second.
func (m *manyQueues) load(ctx context.Context, c *cluster, l *manyLoad) error {
	run, cancel := context.WithTimeout(ctx, m.total())
	defer cancel()
	var all sync.WaitGroup
	for w, ch := range l.publishers {
		confirms := ch.NotifyPublish(make(chan amqp.Confirmation, m.queues))
		at := clockOf(m.each())
		all.Go(func() { l.fail(m.publish(run, l, ch, w, at)) })
		l.wait.Go(func() { // ends when the connection closes
			for cf := range confirms {
				if !cf.Ack {
					l.fail(errors.New("a message was refused"))
				}
				if l.measuring.Load() {
					l.confirms.add(time.Since(at.due(int64(cf.DeliveryTag - 1))))
				}
				l.done.Add(1)
			}
		})
	}
	if err := pause(ctx, m.warm); err != nil {
		return err
	}
	l.measuring.Store(true)
	defer c.profiles(m.span / 2)()
	watch, n, began := c.watch(), l.delivered.Load(), time.Now()
	all.Wait()
	l.measuring.Store(false)
	used, others := watch()
	n, took := l.delivered.Load()-n, time.Since(began)
	load := loadAverage()
	now, peak := memory(c.pids())
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if l.delivered.Load() == l.sent.Load() && l.done.Load() == l.sent.Load() {
			break
		}
	}
	if err := l.err(); err != nil {
		return err
	}
	fmt.Printf("load for %.0f s: %d messages due, %d published in all, %d confirmed, %d delivered; %.0f/s\n",
		took.Seconds(), int(m.span.Seconds())*m.queues, l.sent.Load(), l.done.Load(), l.delivered.Load(),
		float64(n)/took.Seconds())
	fmt.Printf("broker CPU %.0f %% of one core, %.1f us a message; others used %.0f %% of all; load %.1f\n",
		100*used.Seconds()/took.Seconds(), float64(used.Microseconds())/float64(n), 100*others, load)
	fmt.Printf("RSS %.1f MiB, most %.1f MiB (all nodes)\n", now, peak)
	fmt.Printf("end to end: %v\nconfirm: %v\n", &l.ends, &l.confirms)
	return nil
}

// publish sends a worker's queues a message in turn, when it is due.
func (m *manyQueues) publish(ctx context.Context, l *manyLoad, ch *amqp.Channel, worker int, at clock) error {
	queue := worker
	for n := int64(0); at.await(ctx, n); n++ {
		body := make([]byte, max(8, m.bytes))
		putDue(body, at.due(n))
		p := amqp.Publishing{DeliveryMode: amqp.Persistent, Body: body}
		if err := ch.PublishWithContext(context.WithoutCancel(ctx), "", m.name(queue), false, false, p); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		l.sent.Add(1)
		if queue += m.workers; queue >= m.queues {
			queue = worker
		}
	}
	return nil
}
