package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// clock is an open-loop schedule: the nth thing is due at a time that follows from n alone,
// however late the one before it was.
type clock struct {
	start time.Time
	every time.Duration
}

func clockOf(rate float64) clock {
	return clock{time.Now(), time.Duration(float64(time.Second) / rate)}
}

func (c clock) due(n int64) time.Time { return c.start.Add(time.Duration(n) * c.every) }

// await sleeps until the nth is due; false: the context ended before.
func (c clock) await(ctx context.Context, n int64) bool {
	d := time.Until(c.due(n))
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// pause waits so long, or until the context ends.
func pause(ctx context.Context, d time.Duration) error {
	if d > 0 {
		clock{time.Now(), d}.await(ctx, 1)
	}
	return ctx.Err()
}

// delays are lengths of time, all of them kept, so that their percentiles are exact.
type delays struct {
	mu  sync.Mutex
	all []uint32 // microseconds
}

func (d *delays) add(t time.Duration) {
	d.mu.Lock()
	d.all = append(d.all, uint32(min(max(0, t.Microseconds()), math.MaxUint32)))
	d.mu.Unlock()
}

// at gives the delays that the shares (0.5, 0.99) of all stay within, and the longest.
func (d *delays) at(shares ...float64) (out []time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.Sort(d.all)
	for _, s := range append(shares, 1) {
		i := int(math.Ceil(s*float64(len(d.all)))) - 1
		if len(d.all) == 0 {
			out = append(out, 0)
			continue
		}
		out = append(out, time.Duration(d.all[max(0, i)])*time.Microsecond)
	}
	return out
}

func (d *delays) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.all)
}

func (d *delays) String() string {
	q := d.at(0.5, 0.99, 0.999)
	return fmt.Sprintf("p50 %.1f, p99 %.1f, p99.9 %.1f, most %.1f ms (%d)", ms(q[0]), ms(q[1]), ms(q[2]),
		ms(q[3]), d.count())
}

// dial connects to the nth node.
func (c *cluster) dial(n int) (*amqp.Connection, *amqp.Channel, error) {
	conn, err := amqp.Dial("amqp://guest:guest@" + c.amqp[n] + "/")
	if err != nil {
		return nil, nil, err
	}
	ch, err := conn.Channel()
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, ch, nil
}

// fill publishes n messages, each as shape gives it for its number, and returns when all are
// confirmed.
func (c *cluster) fill(ctx context.Context, queue string, n int, shape func(i int) amqp.Publishing) error {
	conn, ch, err := c.dial(0)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := ch.Confirm(false); err != nil {
		return err
	}
	const window = 4000
	why := conn.NotifyClose(make(chan *amqp.Error, 1))
	free, closed := make(chan struct{}, window), make(chan struct{})
	confirms := ch.NotifyPublish(make(chan amqp.Confirmation, window))
	nacked, got := 0, 0
	go func() { // ends when all are confirmed, or the connection closes
		defer close(closed)
		for got = 0; got < n; got++ {
			cf, ok := <-confirms
			if !ok {
				return
			}
			if !cf.Ack {
				nacked++
			}
			<-free
		}
	}()
	for i := range n {
		select {
		case free <- struct{}{}:
		case <-closed:
			return fmt.Errorf("publish to %s: closed after %d confirms: %w", queue, got, <-why)
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := ch.PublishWithContext(ctx, "", queue, false, false, shape(i)); err != nil {
			return fmt.Errorf("publish to %s: %w", queue, err)
		}
	}
	<-closed
	if nacked > 0 || got < n {
		return fmt.Errorf("publish to %s: %d of %d confirmed, %d nacked: closed %v", queue, got, n, nacked,
			conn.IsClosed())
	}
	return nil
}

// plain shapes persistent messages of so many bytes.
func plain(bytes int) func(int) amqp.Publishing {
	body := make([]byte, bytes)
	return func(int) amqp.Publishing {
		return amqp.Publishing{DeliveryMode: amqp.Persistent, Body: body}
	}
}

// take consumes until n messages came or none came for a while, acknowledging them a
// hundred at a time, and tells see of each.
func (c *cluster) take(ctx context.Context, queue string, n int, see func(*amqp.Delivery)) (int, error) {
	conn, ch, err := c.dial(0)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := ch.Qos(1000, 0, false); err != nil {
		return 0, err
	}
	ds, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return 0, err
	}
	got, idle := 0, time.NewTimer(quiet)
	defer idle.Stop()
	for got < n {
		idle.Reset(quiet)
		select {
		case d, ok := <-ds:
			if !ok {
				return got, errors.New("the consumer was ended")
			}
			if see != nil {
				see(&d)
			}
			if got++; got%100 == 0 || got == n {
				if err := d.Ack(true); err != nil {
					return got, err
				}
			}
		case <-idle.C:
			return got, nil
		case <-ctx.Done():
			return got, ctx.Err()
		}
	}
	ch.Close() // answered after what was acknowledged
	return got, nil
}

// quiet is how long nothing comes before a consumer takes it that nothing will.
const quiet = 5 * time.Second

// held is what a cluster holds: resident memory and live heap of the mean node after a
// collection, and bytes on its disks.
type held struct{ rss, heap, disk float64 } // MiB

func (h held) String() string {
	return fmt.Sprintf("RSS %.1f MiB, live heap %.2f MiB, disk %.1f MiB", h.rss, h.heap, h.disk)
}

// holds measures a cluster that began with startProfiled. Its heap profiles are kept in the
// directory for profiles, if there is one, under a name.
func (c *cluster) holds(ctx context.Context, name string) (h held, err error) {
	for i := range c.row.nodes {
		if err := c.collect(ctx, i, name); err != nil {
			return h, err
		}
		m, err := metricsOf(ctx, trineHost(i))
		if err != nil {
			return h, err
		}
		h.heap += m["go_memstats_heap_alloc_bytes"] / (1 << 20) / float64(c.row.nodes)
	}
	rss, _ := memory(c.pids())
	h.rss = rss / float64(c.row.nodes)
	h.disk = onDisk(c.dir) / float64(c.row.nodes)
	return h, nil
}

// slug is a text as part of a file's name.
func slug(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, ",", ""), " ", "-") }

// collect has a node collect its garbage.
func (c *cluster) collect(ctx context.Context, node int, name string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet,
		"http://"+trineHost(node)+":6060/debug/pprof/heap?gc=1", nil)
	if err != nil {
		return err
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil || c.o.profile == "" {
		return err
	}
	os.MkdirAll(c.o.profile, 0o755)
	return os.WriteFile(filepath.Join(c.o.profile, fmt.Sprintf("%s-%s-node%d.heap", c.row.name, name,
		node+1)), b, 0o644)
}

// onDisk is what the files below a directory take, in MiB, logs aside.
func onDisk(dir string) float64 {
	sum := int64(0)
	filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(p) == ".log" && filepath.Dir(p) == dir {
			return nil
		}
		if i, err := d.Info(); err == nil {
			if s, ok := i.Sys().(*syscall.Stat_t); ok {
				sum += s.Blocks * 512
			}
		}
		return nil
	})
	return float64(sum) / (1 << 20)
}
