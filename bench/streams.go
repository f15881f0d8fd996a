package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// scale is the measurement of many streams: three nodes of Trine, streams of one kind
// at a time, nobody who uses them.
type scale struct {
	o       *options
	kinds   []string
	streams int
	rest    time.Duration // until streams that were made are at rest
	span    time.Duration // in which the CPU is counted
	spread  bool
}

// level is the cluster at rest with so many streams.
type level struct {
	streams      int
	created, led time.Duration // to make what was added, and until all is led
	rss, heap    float64       // MiB, of the mean node
	perStream    float64       // KiB of RSS a stream and node, above the empty cluster
	cpu          float64       // of one core, all nodes
	switches     float64       // context switches a second, all nodes
	load         float64
}

// streamsMain is bench/run streams.
func streamsMain(ctx context.Context, o *options, args []string) error {
	s := scale{o: o}
	var kinds string
	f := flag.NewFlagSet("streams", flag.ExitOnError)
	f.StringVar(&kinds, "kinds", "insync,majority,quorum", "of "+strings.Join(streamKinds(), ", "))
	f.IntVar(&s.streams, "n", 10_000, "how many streams; a tenth is measured first")
	f.DurationVar(&s.rest, "rest", 40*time.Second, "until what was made is taken to be at rest")
	f.DurationVar(&s.span, "span", 20*time.Second, "in which CPU is counted")
	f.BoolVar(&s.spread, "spread", false, "leaders on all nodes; else the first, which is killed, leads all")
	f.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: bench/run streams [OPTION]...\n"+
			"Three nodes; streams are made, led, at rest; then one node that leads is killed.")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	for k := range strings.SplitSeq(kinds, ",") {
		if !slices.Contains(streamKinds(), k) {
			return fmt.Errorf("no kind %q; there are %s", k, strings.Join(streamKinds(), ", "))
		}
		s.kinds = append(s.kinds, k)
	}
	fmt.Printf("%s, %s, three nodes, %d streams of each kind\n", machine(),
		time.Now().UTC().Format(time.RFC3339), s.streams)
	var failed error
	for _, k := range s.kinds {
		if err := s.measure(ctx, k); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", k, err))
			fmt.Println(k+":", err)
		}
	}
	return failed
}

func (s *scale) measure(ctx context.Context, kind string) error {
	c, err := start(ctx, s.o, &row{name: "streams-" + kind, nodes: 3}, true)
	if err != nil {
		return err
	}
	defer c.stop()
	var levels []level
	for _, n := range []int{0, s.streams / 10, s.streams} {
		l, err := s.fill(ctx, c, kind, levels, n)
		if err != nil {
			return fmt.Errorf("%d streams: %w", n, err)
		}
		levels = append(levels, l)
		fmt.Fprintf(os.Stderr, "%s: %d streams: made in %.2f s, led %.2f s later\n", kind, n,
			l.created.Seconds(), l.led.Seconds())
	}
	if kind == "classic" {
		s.print(kind, levels)
		return nil // its one copy waits for its node
	}
	moved, err := s.kill(ctx, c)
	s.print(kind, levels)
	fmt.Printf("%d leaders moved by one SIGKILL: first seen %.0f ms, half %.0f ms, all %.0f ms after it\n",
		moved.streams, ms(moved.first), ms(moved.half), ms(moved.all))
	return err
}

// fill makes streams until there are n, waits until all are led and at rest, and
// measures what they cost.
func (s *scale) fill(ctx context.Context, c *cluster, kind string, before []level, n int) (l level, err error) {
	l.streams = n
	has := 0
	if k := len(before); k > 0 {
		has = before[k-1].streams
	}
	if n > has {
		base, err := c.counted(ctx)
		if err != nil {
			return l, err
		}
		began := time.Now()
		if err := c.makeStreams(ctx, kind, has, n, s.spread); err != nil {
			return l, err
		}
		l.created, began = time.Since(began), time.Now()
		if err := c.awaitLed(ctx, base.streams+n-has, 0, nil); err != nil {
			return l, err
		}
		l.led = time.Since(began)
	}
	time.Sleep(s.rest)
	pids := c.pids()
	cpuBefore, switched, began := cpu(pids), switches(pids), time.Now()
	time.Sleep(s.span)
	took := time.Since(began).Seconds()
	l.cpu = (cpu(pids) - cpuBefore).Seconds() / took
	l.switches = float64(switches(pids)-switched) / took
	now, _ := memory(pids)
	l.rss = now / float64(len(pids))
	at, err := c.counted(ctx)
	if err != nil {
		return l, err
	}
	l.heap = at.heap / 3
	l.load = loadAverage()
	if n > 0 && len(before) > 0 {
		l.perStream = (l.rss - before[0].rss) * 1024 / float64(n)
	}
	return l, nil
}

// moves is how long leaderships were on their way.
type moves struct {
	streams     int // that the killed node led
	first, half time.Duration
	all         time.Duration
}

// kill ends the first node at once and waits until the others lead all.
func (s *scale) kill(ctx context.Context, c *cluster) (m moves, err error) {
	at, err := c.counted(ctx)
	if err != nil {
		return m, err
	}
	m.streams = at.ledBy[0]
	kept := at.streams - m.streams
	defer c.profiles(2 * time.Second)()
	began := time.Now()
	if err := c.killNode(0); err != nil {
		return m, err
	}
	err = c.awaitLed(ctx, at.streams, 1, func(led int) {
		if led > kept && m.first == 0 {
			m.first = time.Since(began)
		}
		if led >= kept+m.streams/2 && m.half == 0 {
			m.half = time.Since(began)
		}
	})
	m.all = time.Since(began)
	return m, err
}

// killNode ends one node with SIGKILL.
func (c *cluster) killNode(i int) error {
	if err := c.nodes[i].Process.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	c.nodes[i].Wait()
	c.nodes = slices.Delete(slices.Clone(c.nodes), i, i+1)
	return nil
}

func (s *scale) print(kind string, ls []level) {
	t := tabwriter.NewWriter(os.Stdout, 0, 4, 1, ' ', 0)
	fmt.Fprintf(t, "\n| %s\t| made in\t| led after\t| RSS a node\t| live heap\t| RSS a stream\t| CPU at rest\t| switches\t| load\t|\n", kind)
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, l := range ls {
		per := "-"
		if l.streams > 0 {
			per = fmt.Sprintf("%.2f KiB", l.perStream)
		}
		fmt.Fprintf(t, "| %d\t| %.2f s\t| %.2f s\t| %.1f MiB\t| %.1f MiB\t| %s\t| %.2f %%\t| %.0f/s\t| %.1f\t|\n", l.streams,
			l.created.Seconds(), l.led.Seconds(), l.rss, l.heap, per, 100*l.cpu, l.switches, l.load)
	}
	t.Flush()
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
