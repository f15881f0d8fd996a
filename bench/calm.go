package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

// calmMain is bench/run calm: three nodes with a light load of each protocol on a
// machine that others keep busy must go on as they are. It counts every change of a
// leader, of streams and of the catalog, and every node that was held dead.
func calmMain(ctx context.Context, o *options, args []string) (err error) {
	var long time.Duration
	var loops int
	f := flag.NewFlagSet("calm", flag.ExitOnError)
	f.DurationVar(&long, "for", 10*time.Minute, "how long")
	f.IntVar(&loops, "loops", 2, "foreign processes that never rest, for each processor")
	if err := f.Parse(args); err != nil {
		return err
	}
	c, err := startLogged(ctx, o, &row{name: "calm", nodes: 3}, "info")
	if err != nil {
		return err
	}
	defer c.stop()
	ls, err := calmLoads(ctx, c)
	defer func() {
		for _, l := range ls {
			l.end()
		}
	}()
	if err != nil {
		return err
	}
	time.Sleep(3 * time.Second)
	before, err := epochs(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	end, err := spin(loops * runtime.NumCPU())
	if err != nil {
		return err
	}
	defer end()
	fmt.Printf("%s: three nodes, %d foreign busy processes, %v\n", machine(), loops*runtime.NumCPU(), long)
	select {
	case <-time.After(long):
	case <-ctx.Done():
	}
	busy := loadAverage()
	took := time.Since(began)
	for _, l := range ls {
		l.print(os.Stdout, took)
	}
	after, err := epochs(ctx)
	if err != nil {
		return err
	}
	catalog, dead, err := c.logged(began)
	if err != nil {
		return err
	}
	changes := changed(before, after)
	fmt.Printf("load average %.1f: %d elections of streams, %d of the catalog, %d times a node was held dead\n",
		busy, changes, catalog, dead)
	if changes+catalog+dead > 0 {
		return errors.New("it was not calm")
	}
	return nil
}

// spin begins processes that use a processor each; end ends them.
func spin(n int) (end func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var all []*exec.Cmd
	end = func() {
		for _, p := range all {
			p.Process.Kill()
			p.Wait()
		}
	}
	for range n {
		p := exec.Command(self, "spin")
		p.Env = append(os.Environ(), "GOMAXPROCS=1")
		if err := p.Start(); err != nil {
			end()
			return nil, err
		}
		all = append(all, p)
	}
	return end, nil
}

// spinMain never rests; it ends when its parent is gone.
func spinMain() {
	parent := os.Getppid()
	for n := 0; ; n++ {
		if n%(1<<28) == 0 && os.Getppid() != parent {
			return
		}
	}
}

// epochs gives the epoch of every stream, as the first node knows it.
func epochs(ctx context.Context) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+trineHost(0)+":15672/api/trine/v1/streams", nil)
	if err != nil {
		return nil, err
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	var all []struct {
		Name  string `json:"name"`
		Epoch int    `json:"epoch"`
	}
	if err := json.NewDecoder(a.Body).Decode(&all); err != nil {
		return nil, fmt.Errorf("ask for streams: %w", err)
	}
	out := map[string]int{}
	for _, s := range all {
		out[s.Name] = s.Epoch
	}
	return out, nil
}

// changed counts the epochs that began, and names the streams.
func changed(before, after map[string]int) (n int) {
	var names []string
	for name, e := range after {
		if b, ok := before[name]; ok && e != b {
			n += e - b
			names = append(names, fmt.Sprintf("%s: epoch %d, was %d", name, e, b))
		}
	}
	slices.Sort(names)
	for _, s := range names {
		fmt.Println(" ", s)
	}
	return n
}

// logged counts in the nodes' logs, from a time on, who began to lead the catalog and
// who was held dead.
func (c *cluster) logged(from time.Time) (catalog, dead int, err error) {
	for i := range c.row.nodes {
		f, err := os.Open(filepath.Join(c.dir, trineHost(i)+".log"))
		if err != nil {
			return 0, 0, err
		}
		for l := bufio.NewScanner(f); l.Scan(); {
			at, rest, _ := strings.Cut(strings.TrimPrefix(l.Text(), "time="), " ")
			if t, err := time.Parse(time.RFC3339Nano, at); err != nil || t.Before(from) {
				continue
			}
			switch {
			case strings.Contains(rest, "leads the catalog"):
				catalog++
			case strings.Contains(rest, "held dead"), strings.Contains(rest, "link down"):
				dead++
			default:
				continue
			}
			fmt.Printf("  node %d: %s\n", i+1, l.Text())
		}
		f.Close()
	}
	return catalog, dead, nil
}

// calmRate is how many messages a second one load sends.
const calmRate = 50

// calmLoad sends at a fixed rate, one after the other, and keeps how long each took.
type calmLoad struct {
	name   string
	send   func(ctx context.Context) error
	close  func()
	cancel context.CancelFunc
	wait   sync.WaitGroup

	mu     sync.Mutex
	took   []time.Duration
	failed int
	last   error
}

func (l *calmLoad) begin(ctx context.Context) {
	ctx, l.cancel = context.WithCancel(ctx)
	l.wait.Go(func() { // ends with end
		tick := time.NewTicker(time.Second / calmRate)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			once, cancel := context.WithTimeout(ctx, 30*time.Second)
			began := time.Now()
			err := l.send(once)
			cancel()
			l.mu.Lock()
			if err == nil {
				l.took = append(l.took, time.Since(began))
			} else if ctx.Err() == nil {
				l.failed, l.last = l.failed+1, err
			}
			l.mu.Unlock()
		}
	})
}

func (l *calmLoad) end() {
	if l.cancel != nil {
		l.cancel()
	}
	l.wait.Wait()
	l.close()
}

func (l *calmLoad) print(w *os.File, span time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.took)
	at := func(p int) float64 {
		if len(l.took) == 0 {
			return 0
		}
		return ms(l.took[min(len(l.took)-1, len(l.took)*p/1000)])
	}
	fmt.Fprintf(w, "  %-16s %6.1f acknowledged a second, %d failed, p50 %.1f ms, p99 %.1f ms, most %.1f ms\n", l.name,
		float64(len(l.took))/span.Seconds(), l.failed, at(500), at(990), at(1000))
	if l.last != nil {
		fmt.Fprintf(w, "    last failure: %v\n", l.last)
	}
}

// calmLoads are a light load of each protocol, of both kinds of replication.
func calmLoads(ctx context.Context, c *cluster) (ls []*calmLoad, err error) {
	add := func(l *calmLoad, err error) error {
		if err == nil {
			l.begin(ctx)
			ls = append(ls, l)
		}
		return err
	}
	for _, kind := range []string{"insync", "majority"} {
		if err := add(calmKafka(ctx, c, kind)); err != nil {
			return ls, err
		}
	}
	for _, kind := range []string{"quorum", "mirror"} {
		if err := add(calmAMQP(ctx, c, kind)); err != nil {
			return ls, err
		}
	}
	return ls, add(calmRocket(ctx, c))
}

func calmKafka(ctx context.Context, c *cluster, kind string) (*calmLoad, error) {
	if err := c.makeTopics(ctx, kind, 0, 6, true); err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.kafka...), kgo.DefaultProduceTopic("many-"+kind+"-0"),
		kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		return nil, err
	}
	return &calmLoad{name: "kafka " + kind, close: cl.Close, send: func(ctx context.Context) error {
		return cl.ProduceSync(ctx, &kgo.Record{Value: make([]byte, kafkaBytes)}).FirstErr()
	}}, nil
}

func calmAMQP(ctx context.Context, c *cluster, kind string) (*calmLoad, error) {
	if err := c.makeStreams(ctx, kind, 0, 1, true); err != nil {
		return nil, err
	}
	conn, err := amqp.Dial("amqp://guest:guest@" + c.amqp[1] + "/")
	if err != nil {
		return nil, err
	}
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	name := fmt.Sprintf("many.%s.0", kind)
	var ds <-chan amqp.Delivery
	if err == nil {
		ds, err = ch.Consume(name, "", false, false, false, false, nil)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	l := &calmLoad{name: "amqp " + kind, close: func() { conn.Close() }}
	go func() { // ends when the connection closes
		for d := range ds {
			d.Ack(false)
		}
	}()
	l.send = func(ctx context.Context) error {
		d, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", name, false, false,
			amqp.Publishing{Body: make([]byte, amqpBytes), DeliveryMode: amqp.Persistent})
		if err != nil {
			return err
		}
		ok, err := d.WaitContext(ctx)
		if err == nil && !ok {
			err = errors.New("it was refused")
		}
		return err
	}
	return l, nil
}

func calmRocket(ctx context.Context, c *cluster) (*calmLoad, error) {
	topic := fresh("calm")
	if err := rocketMajority(ctx, c, topic); err != nil {
		return nil, err
	}
	p, err := rocketProducer(c)
	if err != nil {
		return nil, err
	}
	send := func(ctx context.Context) error { return rocketSend(ctx, p, topic) }
	for end := time.Now().Add(20 * time.Second); ; {
		if err = send(ctx); err == nil || time.Now().After(end) {
			break
		}
		time.Sleep(100 * time.Millisecond) // the route is asked for again
	}
	return &calmLoad{name: "rocketmq dledger", send: send, close: func() { p.Shutdown() }}, err
}

func rocketSend(ctx context.Context, p rocketmq.Producer, topic string) error {
	r, err := p.SendSync(ctx, primitive.NewMessage(topic, make([]byte, rocketBytes)))
	if err == nil && r.Status != primitive.SendOK {
		err = fmt.Errorf("send: status %d", r.Status)
	}
	return err
}
