package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// pacedRate is how many messages a second are due in the rows that measure delays.
const pacedRate = 3000

// paced measures how long a message takes from when it was due to be published until its
// consumer has it: persistent, confirmed, acknowledged one by one, in an open loop.
func paced(kind string) func(context.Context, *options, *row) (outcome, error) {
	return func(ctx context.Context, o *options, r *row) (outcome, error) {
		out, err := inTurn(ctx, o, r, func(c *cluster, ctx context.Context, warm time.Duration) (measured, error) {
			return c.pace(ctx, kind, warm)
		})
		out.Measure = "p99"
		return out, err
	}
}

func (c *cluster) pace(ctx context.Context, kind string, warm time.Duration) (m measured, err error) {
	queue, args := fresh(kind), amqp.Table{"x-queue-type": "quorum"}
	if kind != "quorum" {
		args = nil
	}
	if kind == "mirrored" {
		if err := mirror(ctx, c); err != nil {
			return m, err
		}
	}
	in, pub, err := c.dial(0)
	if err != nil {
		return m, err
	}
	defer in.Close()
	at, con, err := c.dial(0)
	if err != nil {
		return m, err
	}
	defer at.Close()
	_, err = pub.QueueDeclare(queue, true, false, false, false, args)
	if err = errors.Join(err, pub.Confirm(false), con.Qos(amqpPrefetch, 0, false)); err != nil {
		return m, err
	}
	ds, err := con.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return m, err
	}
	confirms := pub.NotifyPublish(make(chan amqp.Confirmation, 1<<16))
	go func() { // ends with the connection
		for range confirms {
		}
	}()
	skip, total := int64(warm.Seconds()*pacedRate), int64((warm+c.o.span).Seconds()*pacedRate)
	all, clk := delays{}, clockOf(pacedRate)
	received := make(chan error, 1)
	go func() { received <- receive(ds, clk, skip, total, &all) }()
	for n := range total {
		if !clk.await(ctx, n) {
			return m, ctx.Err()
		}
		body := binary.BigEndian.AppendUint64(make([]byte, 0, amqpBytes), uint64(n))
		if err := pub.PublishWithContext(ctx, "", queue, false, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: body[:amqpBytes]}); err != nil {
			return m, err
		}
	}
	select {
	case err = <-received:
	case <-time.After(30 * time.Second):
		err = fmt.Errorf("%d of %d messages came", all.count(), total-skip)
	}
	if err != nil {
		return m, err
	}
	q := all.at(0.5, 0.99)
	m.P50, m.P99, m.Most, m.Messages = ms(q[0]), ms(q[1]), ms(q[2]), int64(all.count())
	m.LoadAvg = loadAverage()
	m.RSS, m.Peak = memory(c.pids())
	return m, nil
}

// receive takes the deliveries and acknowledges each. Those from skip on count.
func receive(ds <-chan amqp.Delivery, clk clock, skip, total int64, all *delays) error {
	for d := range ds {
		n := int64(binary.BigEndian.Uint64(d.Body))
		if n >= skip {
			all.add(time.Since(clk.due(n)))
		}
		if err := d.Ack(false); err != nil {
			return err
		}
		if n == total-1 {
			return nil
		}
	}
	return errors.New("the consumer was ended")
}
