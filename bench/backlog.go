package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// waiting is the measurement of what lies in queues.
type waiting struct {
	o        *options
	messages int
	bytes    int
	rest     time.Duration
	empty    held
}

// backlogs are the measurements' names, in the order they are made.
func backlogs() []string { return []string{"ready", "head", "cycle", "retry", "priority"} }

// backlogMain is bench/run backlog.
func backlogMain(ctx context.Context, o *options, args []string) error {
	w := waiting{o: o}
	f := flag.NewFlagSet("backlog", flag.ExitOnError)
	f.IntVar(&w.messages, "n", 1_000_000, "messages")
	f.IntVar(&w.bytes, "bytes", 100, "a message")
	f.DurationVar(&w.rest, "rest", 15*time.Second, "until what was done is taken to be over")
	only := f.String("only", strings.Join(backlogs(), ","), "which measurements")
	f.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: bench/run backlog [OPTION]...\n"+
			"One node, persistent messages in durable classic queues; memory after a collection, disk as allocated.\n"+
			"  ready     messages that wait, above the empty broker; then the queue is emptied\n"+
			"  head      the first is not settled while three times as many are published and consumed behind it\n"+
			"  cycle     messages expire from one queue into another and back: an automatic cycle, which ends\n"+
			"  retry     a tenth is rejected into a waiting queue and back, five times each: a cycle that is meant\n"+
			"  priority  ten priorities, and a time to live on every other message")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	fmt.Printf("%s, %s, load %.1f; %d messages of %d B\n", machine(), time.Now().UTC().Format(time.RFC3339),
		loadAverage(), w.messages, w.bytes)
	var failed error
	for name := range strings.SplitSeq(*only, ",") {
		if ctx.Err() != nil {
			break
		}
		if !slices.Contains(backlogs(), name) {
			return fmt.Errorf("no measurement %q; there are %s", name, strings.Join(backlogs(), ", "))
		}
		if err := w.measure(ctx, name); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", name, err))
			fmt.Printf("%s: FAILED: %v\n", name, err)
		}
	}
	return failed
}

func (w *waiting) measure(ctx context.Context, name string) error {
	c, err := startProfiled(ctx, w.o, &row{name: "backlog-" + name, nodes: 1})
	if err != nil {
		return err
	}
	defer c.stop()
	if err := c.warmUp(ctx); err != nil {
		c.said()
		return err
	}
	if err := pause(ctx, w.rest); err != nil {
		return err
	}
	if w.empty, err = c.holds(ctx, "empty"); err != nil {
		return err
	}
	fmt.Printf("\n%s; empty, once used: %v\n", name, w.empty)
	steps := map[string]func(context.Context, *cluster) error{"ready": w.ready, "head": w.head,
		"cycle": w.cycle, "retry": w.retry, "priority": w.priority}
	began := time.Now()
	if err = steps[name](ctx, c); err != nil {
		c.said()
	}
	fmt.Printf("  took %.0f s, load %.1f\n", time.Since(began).Seconds(), loadAverage())
	return err
}

// said prints what the nodes logged last.
func (c *cluster) said() {
	for i := range c.row.nodes {
		b, _ := os.ReadFile(filepath.Join(c.dir, trineHost(i)+".log"))
		fmt.Fprintf(os.Stderr, "node %d said:\n%s\n", i+1, b[max(0, len(b)-2000):])
	}
}

// warmUp uses a broker once, so that what any use costs is not taken for the backlog's.
func (c *cluster) warmUp(ctx context.Context) error {
	if err := c.declare("warm", nil); err != nil {
		return err
	}
	if err := c.fill(ctx, "warm", 200_000, plain(100)); err != nil {
		return err
	}
	_, err := c.take(ctx, "warm", 200_000, nil)
	return err
}

func (c *cluster) declare(queue string, args amqp.Table) error {
	conn, ch, err := c.dial(0)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = ch.QueueDeclare(queue, true, false, false, false, args)
	return err
}

// still prints what the broker holds once nothing happens, for n messages that wait.
func (w *waiting) still(ctx context.Context, c *cluster, what string, n int) error {
	if err := pause(ctx, w.rest); err != nil {
		return err
	}
	h, err := c.holds(ctx, slug(what))
	if err != nil {
		return err
	}
	fmt.Printf("  %s: %v; above the empty one: RSS %+.0f KiB, live heap %+.0f KiB", what, h,
		(h.rss-w.empty.rss)*1024, (h.heap-w.empty.heap)*1024)
	if n > 0 {
		fmt.Printf(" (%.2f B a message)", (h.heap-w.empty.heap)*(1<<20)/float64(n))
	}
	fmt.Println()
	return nil
}

// all consumes what must be there, and no more.
func (w *waiting) all(ctx context.Context, c *cluster, queue string, n int) error {
	began := time.Now()
	got, err := c.take(ctx, queue, n+1, nil)
	if err == nil && got != n {
		err = fmt.Errorf("%d messages came out of %s, not %d", got, queue, n)
	}
	if err == nil {
		fmt.Printf("  %d came out of %s, %.0f/s\n", got, queue,
			float64(got)/(time.Since(began)-quiet).Seconds())
	}
	return err
}

// ready: messages that wait.
func (w *waiting) ready(ctx context.Context, c *cluster) error {
	if err := c.declare("ready", nil); err != nil {
		return err
	}
	began := time.Now()
	if err := c.fill(ctx, "ready", w.messages, plain(w.bytes)); err != nil {
		return err
	}
	fmt.Printf("  filled at %.0f/s\n", float64(w.messages)/time.Since(began).Seconds())
	if err := w.still(ctx, c, "all ready", w.messages); err != nil {
		return err
	}
	if err := w.all(ctx, c, "ready", w.messages); err != nil {
		return err
	}
	return w.still(ctx, c, "emptied", 0)
}

// head: one consumer keeps the first message while everything behind it goes through.
func (w *waiting) head(ctx context.Context, c *cluster) error {
	if err := c.declare("head", nil); err != nil {
		return err
	}
	if err := c.fill(ctx, "head", w.messages, plain(w.bytes)); err != nil {
		return err
	}
	conn, ch, err := c.dial(0)
	if err != nil {
		return err
	}
	defer conn.Close()
	first, ok, err := ch.Get("head", false)
	if err != nil || !ok {
		return fmt.Errorf("get the first message: there %v: %w", ok, err)
	}
	if err := w.still(ctx, c, "the first in hand, all ready", w.messages); err != nil {
		return err
	}
	watched := c.sample(ctx)
	for range 3 { // as many again enter while what is there leaves
		filled := make(chan error, 1)
		go func() { filled <- c.fill(ctx, "head", w.messages, plain(w.bytes)) }() // waited for below
		got, err := c.take(ctx, "head", w.messages, nil)
		if err := errors.Join(err, <-filled); err != nil || got != w.messages {
			return fmt.Errorf("%d of %d came: %w", got, w.messages, err)
		}
	}
	err = w.all(ctx, c, "head", w.messages-1)
	rss, disk := watched()
	fmt.Printf("  most meanwhile: RSS %.1f MiB, disk %.1f MiB\n", rss, disk)
	if err != nil {
		return err
	}
	if err := w.still(ctx, c, "the first in hand, nothing else", 0); err != nil {
		return err
	}
	if err := first.Ack(false); err != nil {
		return err
	}
	return w.still(ctx, c, "the first settled", 0)
}

// sample looks at memory and disk every half second; what it gives ends that: the most.
func (c *cluster) sample(ctx context.Context) func() (rss, disk float64) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	var most, files float64
	go func() { // ends when the function given is called
		defer close(done)
		for ctx.Err() == nil {
			now, _ := memory(c.pids())
			most, files = max(most, now), max(files, onDisk(c.dir))
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
		}
	}()
	return func() (float64, float64) {
		cancel()
		<-done
		return most, files
	}
}

// through passes messages into a dead-letter queue by name.
func through(queue string, more amqp.Table) amqp.Table {
	t := amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue}
	for k, v := range more {
		t[k] = v
	}
	return t
}

// cycle: what expires from one queue into another and back was dropped by nobody's wish.
func (w *waiting) cycle(ctx context.Context, c *cluster) error {
	soon := amqp.Table{"x-message-ttl": int32(1000)}
	err := errors.Join(c.declare("cycle-a", through("cycle-b", soon)), c.declare("cycle-b", through("cycle-a", soon)))
	if err != nil {
		return err
	}
	watched, began := c.sample(ctx), time.Now()
	if err := c.fill(ctx, "cycle-a", w.messages, plain(w.bytes)); err != nil {
		return err
	}
	left, err := c.awaitEmpty(ctx, "cycle-a", "cycle-b")
	rss, disk := watched()
	fmt.Printf("  %d left %.1f s after the first was published; most meanwhile: RSS %.1f MiB, disk %.1f MiB\n", left,
		time.Since(began).Seconds(), rss, disk)
	if err != nil {
		return err
	}
	return w.still(ctx, c, "after the cycle", 0)
}

// awaitEmpty waits until queues have no message for two looks, a second apart.
func (c *cluster) awaitEmpty(ctx context.Context, queues ...string) (left int, err error) {
	conn, ch, err := c.dial(0)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	seen := 0
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(time.Second) {
		left = 0
		for _, q := range queues {
			q, err := ch.QueueDeclarePassive(q, true, false, false, false, nil)
			if err != nil {
				return 0, err
			}
			left += q.Messages
		}
		if seen++; left > 0 {
			seen = 0
		}
		if seen == 3 {
			return 0, nil
		}
	}
	return left, fmt.Errorf("%d messages are left in %s", left, strings.Join(queues, ", "))
}

// retries is how often the retry measurement rejects a message.
const retries = 5

// retry: what is rejected waits in another queue and comes back.
func (w *waiting) retry(ctx context.Context, c *cluster) error {
	n := w.messages / 10
	err := errors.Join(c.declare("work", through("wait", nil)),
		c.declare("wait", through("work", amqp.Table{"x-message-ttl": int32(500)})))
	if err != nil {
		return err
	}
	watched, began := c.sample(ctx), time.Now()
	if err := c.fill(ctx, "work", n, plain(w.bytes)); err != nil {
		return err
	}
	conn, ch, err := c.dial(0)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := ch.Qos(500, 0, false); err != nil {
		return err
	}
	ds, err := ch.Consume("work", "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	for done := 0; done < n; {
		select {
		case d, ok := <-ds:
			switch tried := rejections(d.Headers); {
			case !ok:
				return errors.New("the consumer was ended")
			case tried > retries:
				return fmt.Errorf("a message was rejected %d times", tried)
			case tried == retries:
				done++
				err = d.Ack(false)
			default:
				err = d.Reject(false)
			}
			if err != nil {
				return err
			}
		case <-time.After(30 * time.Second):
			return fmt.Errorf("%d of %d messages came back %d times; then none came", done, n, retries)
		}
	}
	rss, disk := watched()
	took := time.Since(began)
	fmt.Printf("  %d messages, each rejected %d times: %.1f s, %.0f dead letters/s; most meanwhile: RSS %.1f MiB, disk %.1f MiB\n",
		n, retries, took.Seconds(), float64(2*retries*n)/took.Seconds(), rss, disk)
	if _, err := c.awaitEmpty(ctx, "work", "wait"); err != nil {
		return err
	}
	return w.still(ctx, c, "after the retries", 0)
}

// rejections reads from x-death how often a message was rejected.
func rejections(h amqp.Table) int64 {
	deaths, _ := h["x-death"].([]any)
	for _, d := range deaths {
		t, _ := d.(amqp.Table)
		if t["reason"] == "rejected" {
			n, _ := t["count"].(int64)
			return n
		}
	}
	return 0
}

// ttlOf is the time to live of every other message of the priority measurement.
const ttlOf = 60 * time.Second

// priority: messages of ten priorities, every other one with a time to live.
func (w *waiting) priority(ctx context.Context, c *cluster) error {
	if err := c.declare("priority", amqp.Table{"x-max-priority": int32(9)}); err != nil {
		return err
	}
	body, began := make([]byte, w.bytes), time.Now()
	err := c.fill(ctx, "priority", w.messages, func(i int) amqp.Publishing {
		p := amqp.Publishing{DeliveryMode: amqp.Persistent, Body: body, Priority: uint8(i * 7 % 10)}
		if i/10%2 == 0 {
			p.Expiration = fmt.Sprint(ttlOf.Milliseconds())
		}
		return p
	})
	if err != nil {
		return err
	}
	filled := time.Since(began)
	fmt.Printf("  filled at %.0f/s\n", float64(w.messages)/filled.Seconds())
	if filled+w.rest+5*time.Second < ttlOf {
		if err := w.still(ctx, c, "all ready", w.messages); err != nil {
			return err
		}
	}
	if err := pause(ctx, time.Until(began.Add(filled+ttlOf+time.Second))); err != nil {
		return err
	}
	if err := w.still(ctx, c, "half expired", w.messages/2); err != nil {
		return err
	}
	disorder, expired, last := 0, 0, uint8(9)
	got, err := c.take(ctx, "priority", w.messages, func(d *amqp.Delivery) {
		if d.Priority > last {
			disorder++
		}
		if d.Expiration != "" {
			expired++
		}
		last = d.Priority
	})
	fmt.Printf("  %d came of %d without a time to live; %d with one, %d before a higher one\n", got-expired, w.messages/2,
		expired, disorder)
	if err == nil && (got != w.messages/2 || expired > 0 || disorder > 0) {
		err = errors.New("these are not the messages that should come, in their order")
	}
	if err != nil {
		return err
	}
	return w.still(ctx, c, "emptied", 0)
}
