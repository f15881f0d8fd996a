package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// gaining is the measurement of a mirrored queue that gains a copy while it is used.
type gaining struct {
	o        *options
	messages int
	bytes    int
	rate     float64
	span     time.Duration
	before   time.Duration // load before the copy is asked for
	runs     int
}

// mirrorMain is bench/run mirror.
func mirrorMain(ctx context.Context, o *options, args []string) error {
	g := gaining{o: o}
	f := flag.NewFlagSet("mirror", flag.ExitOnError)
	f.IntVar(&g.messages, "n", 1_000_000, "messages in the queue when it begins")
	f.IntVar(&g.bytes, "bytes", 100, "a message")
	f.Float64Var(&g.rate, "rate", 2000, "messages published a second, and as many consumed, on schedule")
	f.DurationVar(&g.span, "for", 40*time.Second, "length of a run")
	f.DurationVar(&g.before, "before", 10*time.Second, "of it, before the third copy is asked for")
	f.IntVar(&g.runs, "runs", 1, "pairs of runs, without and with the new copy")
	f.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: bench/run mirror [OPTION]...\n"+
			"Three nodes; a queue mirrored to two (ha-mode exactly) and full, published to and consumed from on\n"+
			"schedule; in every other run the policy asks for a third copy meanwhile. Delays count from when a\n"+
			"publish was due until it was confirmed, and from when a message was wanted until it was there.")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	fmt.Printf("%s, %s, load %.1f; %d messages of %d B wait, %.0f/s in and out\n", machine(),
		time.Now().UTC().Format(time.RFC3339), loadAverage(), g.messages, g.bytes, g.rate)
	for range g.runs {
		var without, with *gained
		var err error
		if without, err = g.run(ctx, false); err == nil {
			with, err = g.run(ctx, true)
		}
		if err != nil {
			return err
		}
		a, b := without.confirms.at(0.999)[0], with.confirms.at(0.999)[0]
		x, y := without.takes.at(0.999)[0], with.takes.at(0.999)[0]
		fmt.Printf("p99.9 with the new copy above without it: confirm %+.1f ms, consume %+.1f ms\n\n", ms(b-a), ms(y-x))
	}
	return nil
}

// gained is what one run gave.
type gained struct {
	confirms, takes delays
	gap             time.Duration // the longest between two confirms
	synced          time.Duration // from asking for the copy until it was in sync
	load            float64
}

func (g *gaining) run(ctx context.Context, gain bool) (*gained, error) {
	c, err := startProfiled(ctx, g.o, &row{name: "mirror", nodes: 3})
	if err != nil {
		return nil, err
	}
	defer c.stop()
	if err := pause(ctx, 2*time.Second); err != nil {
		return nil, err
	}
	if err := c.exactly(ctx, 2); err != nil {
		return nil, err
	}
	conn, ch, err := c.dial(0)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_, err = ch.QueueDeclare(mirrored, true, false, false, false, nil)
	if err == nil {
		err = c.awaitCopies(ctx, 2)
	}
	if err == nil {
		err = c.fill(ctx, mirrored, g.messages, plain(g.bytes))
	}
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, 3*time.Second); err != nil {
		return nil, err
	}
	out := &gained{}
	if err := g.load(ctx, c, out, gain); err != nil {
		return nil, err
	}
	what := "two copies all the time"
	if gain {
		what = fmt.Sprintf("a third copy, in sync %.2f s after it was asked for", out.synced.Seconds())
	}
	fmt.Printf("%s; load %.1f\n  confirm: %v; longest without one %.1f ms\n  consume: %v\n", what, out.load, &out.confirms,
		ms(out.gap), &out.takes)
	return out, nil
}

// load publishes and consumes on schedule, and asks for the copy meanwhile.
func (g *gaining) load(ctx context.Context, c *cluster, out *gained, gain bool) error {
	l, run := newLoad(ctx)
	var conns [2]*amqp.Connection
	var chans [2]*amqp.Channel
	var err error
	l.close = func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}
	defer l.end()
	for i := range conns {
		if conns[i], chans[i], err = c.dial(i); err != nil { // the consumer is on another node
			return err
		}
	}
	if err := g.publish(run, l, chans[0], out); err != nil {
		return err
	}
	if err := g.consume(run, l, chans[1], out); err != nil {
		return err
	}
	end := time.After(g.span)
	defer c.profiles(g.span - g.before)()
	if gain {
		if err := pause(ctx, g.before); err != nil {
			return err
		}
		asked := time.Now()
		if err := c.exactly(ctx, 3); err != nil {
			return err
		}
		if err := c.awaitCopies(ctx, 3); err != nil {
			return err
		}
		out.synced = time.Since(asked)
	}
	select {
	case <-end:
	case <-ctx.Done():
	}
	out.load = loadAverage()
	return errors.Join(l.err(), ctx.Err())
}

// publish begins to send on schedule, and to count confirms.
func (g *gaining) publish(ctx context.Context, l *load, ch *amqp.Channel, out *gained) error {
	if err := ch.Confirm(false); err != nil {
		return err
	}
	confirms := ch.NotifyPublish(make(chan amqp.Confirmation, 1<<16))
	at, shape := clockOf(g.rate), plain(g.bytes)
	l.wait.Go(func() { // ends with l.end
		for n := int64(0); at.await(ctx, n); n++ {
			if err := ch.PublishWithContext(ctx, "", mirrored, false, false, shape(0)); err != nil {
				if ctx.Err() == nil {
					l.fail(fmt.Errorf("publish: %w", err))
				}
				return
			}
		}
	})
	l.wait.Go(func() { // ends when the connection closes
		last := time.Now()
		for cf := range confirms {
			now := time.Now()
			if !cf.Ack {
				l.fail(errors.New("a message was refused"))
			}
			if ctx.Err() != nil {
				continue
			}
			out.confirms.add(now.Sub(at.due(int64(cf.DeliveryTag - 1))))
			out.gap, last = max(out.gap, now.Sub(last)), now
		}
	})
	return nil
}

// consume begins to take messages on schedule, each as it is wanted: no more lie ready in the
// client than come in 10 ms.
func (g *gaining) consume(ctx context.Context, l *load, ch *amqp.Channel, out *gained) error {
	if err := ch.Qos(max(1, int(g.rate/100)), 0, false); err != nil {
		return err
	}
	ds, err := ch.Consume(mirrored, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	at := clockOf(g.rate)
	l.wait.Go(func() { // ends with l.end
		for n := int64(0); at.await(ctx, n); n++ {
			d, ok := <-ds
			if ok {
				ok = d.Ack(false) == nil
			}
			if !ok {
				if ctx.Err() == nil {
					l.fail(errors.New("the consumer was ended"))
				}
				return
			}
			out.takes.add(time.Since(at.due(n)))
		}
	})
	return nil
}

// mirrored is the queue's name.
const mirrored = "full"

// exactly has a policy mirror the queue to so many nodes.
func (c *cluster) exactly(ctx context.Context, copies int) error {
	return c.policy(ctx, fmt.Sprintf(`{"pattern":"^%s$","definition":{"ha-mode":"exactly","ha-params":%d},`+
		`"apply-to":"queues"}`, mirrored, copies))
}

// policy sets the one policy there is.
func (c *cluster) policy(ctx context.Context, body string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut,
		"http://"+trineHost(0)+":15672/api/policies/%2F/bench", strings.NewReader(body))
	if err != nil {
		return err
	}
	r.SetBasicAuth("guest", "guest")
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if a.StatusCode/100 != 2 {
		return fmt.Errorf("set a policy: %s", a.Status)
	}
	return nil
}

// awaitCopies waits until so many copies of the queue are in sync.
func (c *cluster) awaitCopies(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet,
			"http://"+trineHost(0)+":15672/api/queues/%2F/"+mirrored, nil)
		if err != nil {
			return err
		}
		r.SetBasicAuth("guest", "guest")
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			return fmt.Errorf("%d copies: %w", n, err)
		}
		var q struct {
			Synced []string `json:"synchronised_slave_nodes"`
		}
		err = json.NewDecoder(a.Body).Decode(&q)
		a.Body.Close()
		if err == nil && len(q.Synced) >= n-1 {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}
