package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// declareMain is bench/run declare: durable queues declared a second, by one client that
// waits for each answer, and by many channels at once.
func declareMain(ctx context.Context, o *options, args []string) error {
	var n int
	f := flag.NewFlagSet("declare", flag.ExitOnError)
	f.IntVar(&n, "n", 10_000, "how many queues; a fifth one after the other, the rest at once")
	f.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: bench/run declare [OPTION]...\n"+
			"Classic queues on one node and on three, and quorum queues on three.")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	fmt.Printf("%s, %s, load %.1f\n", machine(), time.Now().UTC().Format(time.RFC3339), loadAverage())
	t := tabwriter.NewWriter(os.Stdout, 0, 4, 1, ' ', 0)
	fmt.Fprintf(t, "| durable queues\t| one channel\t| %d channels\t| all led after\t| broker CPU a queue\t| load\t| others\t|\n",
		declarers)
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	var failed error
	for _, d := range []declaring{{"classic", 1}, {"quorum", 1}, {"classic", 3}, {"quorum", 3}} {
		line, err := d.measure(ctx, o, n)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s, %d nodes: %w", d.kind, d.nodes, err))
			continue
		}
		fmt.Fprintln(t, line)
	}
	t.Flush()
	return failed
}

// declaring is a row of the table.
type declaring struct {
	kind  string
	nodes int
}

func (d declaring) measure(ctx context.Context, o *options, n int) (string, error) {
	c, err := start(ctx, o, &row{name: fmt.Sprintf("declare-%s-%d", d.kind, d.nodes), nodes: d.nodes}, true)
	if err != nil {
		return "", err
	}
	defer c.stop()
	if err := pause(ctx, 2*time.Second); err != nil { // all have joined and hold the catalog
		return "", err
	}
	base, err := c.counted(ctx)
	if err != nil {
		return "", err
	}
	one := max(1, n/5)
	defer c.profiles(5 * time.Second)()
	watch := c.watch()
	began := time.Now()
	if err := c.declareInTurn(ctx, d.kind, one); err != nil {
		return "", err
	}
	alone := time.Since(began)
	began = time.Now()
	if err := c.makeStreams(ctx, d.kind, one, n, true); err != nil {
		return "", err
	}
	many := time.Since(began)
	began = time.Now()
	if err := c.awaitLed(ctx, base.streams+n, 0, nil); err != nil {
		return "", err
	}
	led := time.Since(began)
	used, others := watch()
	return fmt.Sprintf("| %s, %d nodes\t| %.0f/s\t| %.0f/s\t| %.0f ms\t| %.0f us\t| %.1f\t| %.0f %%\t|", d.kind, d.nodes,
		float64(one)/alone.Seconds(), float64(n-one)/many.Seconds(), ms(led),
		float64(used.Microseconds())/float64(n), loadAverage(), 100*others), nil
}

// declareInTurn declares on one channel of the first node, each once the one before is there.
func (c *cluster) declareInTurn(ctx context.Context, kind string, n int) error {
	conn, ch, err := c.dial(0)
	if err != nil {
		return err
	}
	defer conn.Close()
	for i := range n {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		_, err := ch.QueueDeclare(fmt.Sprintf("many.%s.%d", kind, i), true, false, false, false,
			amqp.Table{"x-queue-type": kind})
		if err != nil {
			return fmt.Errorf("declare: %w", err)
		}
	}
	return nil
}

// watch begins to count processor time; what it gives ends that: the broker's time, and the
// share of all processors that neither broker nor client used.
func (c *cluster) watch() func() (used time.Duration, others float64) {
	pids, self := c.pids(), []int{os.Getpid()}
	broker, ours, all, began := cpu(pids), cpu(self), busy(), time.Now()
	return func() (time.Duration, float64) {
		used, client := cpu(pids)-broker, cpu(self)-ours
		rest := (busy() - all - used - client).Seconds()
		return used, max(0, rest/time.Since(began).Seconds()/processors)
	}
}
