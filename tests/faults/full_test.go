package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"trine/tests/nodes"
)

// diskBytes is the size of the disk that is filled: more than the 64 MiB that a journal reserves.
const diskBytes = 160 << 20

// onSmallDisk lays a small disk over a directory; the test is skipped where that is not permitted.
func onSmallDisk(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	unmount, err := nodes.Mount(dir, diskBytes)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("SKIPPED: a full disk: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unmount(); err != nil {
			t.Error(err)
		}
	})
}

// fill leaves so many bytes of a disk; free gives them all back.
func fill(t *testing.T, dir string, left int64) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for b := make([]byte, 64<<10); ; {
		var st syscall.Statfs_t
		if err := syscall.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		if int64(st.Bavail)*st.Bsize <= left {
			break
		}
		if _, err := f.Write(b); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// attempt writes one message by each protocol's client and waits a little for its fate.
type attempt struct {
	kafka  *kgo.Client
	topics []string
	rocket *rocket
	host   string
	queues []string

	acknowledged map[string][]string // by stream, in order
	doubtful     map[string]map[string]bool
	n, groups    int
}

// once tries every stream once and gives the error of each that failed.
func (a *attempt) once(t *testing.T, patience time.Duration) map[string]error {
	t.Helper()
	failed := map[string]error{}
	note := func(name, text string, err error) {
		if err == nil {
			a.acknowledged[name] = append(a.acknowledged[name], text)
			return
		}
		failed[name] = err
		if a.doubtful[name] == nil {
			a.doubtful[name] = map[string]bool{}
		}
		a.doubtful[name][text] = true
	}
	a.n++
	text := fmt.Sprintf("message %05d", a.n)
	for _, s := range a.topics {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := a.kafka.ProduceSync(ctx, &kgo.Record{Topic: s, Value: []byte(text)}).FirstErr()
		cancel()
		note(s, text, err)
	}
	for _, q := range a.queues { // each by a connection of its own
		note(q, text, publishOnce(t, a.host, q, text, patience))
	}
	if a.rocket != nil {
		note(a.rocket.topic, text, a.rocket.send(text, patience))
	}
	return failed
}

// impatient is a client that says at once what became of a record, and tries nothing twice.
func impatient(t *testing.T, c *nodes.Cluster) *kgo.Client {
	t.Helper()
	return kafka(t, c.Addresses("9092", 0), kgo.DisableIdempotentWrite(), kgo.RecordRetries(0),
		kgo.ProduceRequestTimeout(time.Second), kgo.RequestTimeoutOverhead(2*time.Second),
		kgo.RecordDeliveryTimeout(4*time.Second))
}

// publishOnce gives what became of one message.
func publishOnce(t *testing.T, host, queue, text string, patience time.Duration) error {
	t.Helper()
	c, err := amqp.Dial("amqp://guest:guest@" + host + ":5672/")
	if err != nil {
		return err
	}
	defer c.Close()
	ch, err := c.Channel()
	if err != nil {
		return err
	}
	if err := ch.Confirm(false); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	d, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", queue, true, false,
		amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(text)})
	if err != nil {
		return err
	}
	ok, err := d.WaitContext(ctx)
	if err == nil && !ok {
		err = errors.New("nacked")
	}
	return err
}

// rocket is a RocketMQ producer of one topic.
type rocket struct {
	p          primitiveProducer
	nameServer string
	topic      string
}

type primitiveProducer interface {
	SendSync(ctx context.Context, ms ...*primitive.Message) (*primitive.SendResult, error)
	Shutdown() error
}

func rocketProducer(t *testing.T, host, topic string) *rocket {
	t.Helper()
	rlog.SetLogLevel("error")
	p, err := producer.NewDefaultProducer(producer.WithNameServer([]string{host + ":9876"}),
		producer.WithGroupName("w"+topic), producer.WithInstanceName("w"+topic), producer.WithRetry(2),
		producer.WithSendMsgTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Shutdown() })
	return &rocket{p, host + ":9876", topic}
}

func (r *rocket) send(text string, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got, err := r.p.SendSync(ctx, primitive.NewMessage(r.topic, []byte(text)))
	if err == nil && got.Status != primitive.SendOK {
		err = fmt.Errorf("status %d", got.Status)
	}
	return err
}

// all reads the topic until it has all of want.
func (r *rocket) all(t *testing.T, group string, want []string) map[string]int {
	t.Helper()
	c, err := consumer.NewPushConsumer(consumer.WithNameServer([]string{r.nameServer}),
		consumer.WithGroupName(group), consumer.WithInstance(group),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	if err != nil {
		t.Fatal(err)
	}
	came := make(chan string, 1000)
	err = c.Subscribe(r.topic, consumer.MessageSelector{}, func(_ context.Context,
		ms ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		for _, m := range ms {
			came <- string(m.Body)
		}
		return consumer.ConsumeSuccess, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Shutdown() }()
	got, missing := map[string]int{}, map[string]bool{}
	for _, w := range want {
		missing[w] = true
	}
	for end := time.After(20 * time.Second); len(missing) > 0; {
		select {
		case s := <-came:
			got[s]++
			delete(missing, s)
		case <-end:
			t.Fatalf("%s: %d of %d acknowledged messages did not come", r.topic, len(missing), len(want))
		}
	}
	return got
}

// holds fails unless what was read is what was acknowledged, in order; what failed may stand
// between, where it was retried or its answer was lost.
func (a *attempt) holds(t *testing.T, name string, got []string) {
	t.Helper()
	i := 0
	for _, s := range got {
		if i < len(a.acknowledged[name]) && s == a.acknowledged[name][i] {
			i++
		} else if !a.doubtful[name][s] {
			t.Fatalf("%s: %q was read, which is not what was written there", name, s)
		}
	}
	if i < len(a.acknowledged[name]) {
		t.Fatalf("%s: %d of %d acknowledged messages are missing, the first %q", name,
			len(a.acknowledged[name])-i, len(a.acknowledged[name]), a.acknowledged[name][i])
	}
}

// most gives how many records a topic of one partition has.
func most(t *testing.T, cl *kgo.Client, topic string) int {
	t.Helper()
	ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	o, _ := ends.Lookup(topic, 0)
	return int(o.Offset)
}

// ready gives how many messages wait in a queue.
func ready(t *testing.T, host, queue string) int {
	t.Helper()
	ch := channel(t, host)
	defer ch.Close()
	q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return q.Messages
}

// readBack reads every stream through a node, and compares.
func (a *attempt) readBack(t *testing.T, when string) {
	t.Helper()
	t.Logf("%s: reading back", when)
	for _, s := range a.topics {
		a.holds(t, s, everything(t, a.host+":9092", s, most(t, a.kafka, s)))
	}
	for _, q := range a.queues {
		a.holds(t, q, peek(t, a.host, q, ready(t, a.host, q)))
	}
	if a.rocket != nil {
		a.groups++
		a.rocket.all(t, fmt.Sprintf("readers-%d", a.groups), a.acknowledged[a.rocket.topic])
	}
}

// recovers waits until every stream takes messages again, without anybody's help.
func (a *attempt) recovers(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		failed := a.once(t, 2*time.Second)
		if len(failed) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("space is there again, and still: %v", failed)
		}
	}
}

// TestASingleNodesFullDiskIsSaidAndOutlived: nobody can take over. While the journal's reserve
// is left, every write is refused at once and every read and settlement goes on; at the disk's
// last byte reads of logs go on, and nothing acknowledged is lost or changed.
func TestASingleNodesFullDiskIsSaidAndOutlived(t *testing.T) {
	data := t.TempDir()
	onSmallDisk(t, filepath.Join(data, "node-1"))
	c := devOn(t, data, 1)
	a := &attempt{kafka: impatient(t, c), host: c.Hosts[0], topics: []string{"lazy", "flushed"},
		queues: []string{"classic", "quorum"}, rocket: rocketProducer(t, c.Hosts[0], "Rocket"),
		acknowledged: map[string][]string{}, doubtful: map[string]map[string]bool{}}
	one := "1"
	for s, settings := range map[string]map[string]*string{"lazy": nil,
		"flushed": {"flush.messages": &one}} {
		if _, err := kadm.NewClient(a.kafka).CreateTopic(t.Context(), 1, 1, settings, s); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range a.queues {
		if _, err := channel(t, a.host).QueueDeclare(q, true, false, false, false,
			amqp.Table{"x-queue-type": q}); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		if failed := a.once(t, 5*time.Second); len(failed) > 0 {
			t.Fatal(failed)
		}
	}
	free := fill(t, c.Node(1), 8<<20)
	time.Sleep(500 * time.Millisecond) // the node looks ten times a second
	a.allFail(t, "the reserve is left", 5)
	settleOne(t, a, "classic")
	settleOne(t, a, "quorum")
	a.readBack(t, "the reserve is left")
	free()
	a.recovers(t)

	free = fill(t, c.Node(1), 0)
	time.Sleep(500 * time.Millisecond)
	a.allFail(t, "not a byte is left", 5)
	for _, s := range a.topics {
		a.holds(t, s, everything(t, a.host+":9092", s, most(t, a.kafka, s)))
	}
	free()
	a.recovers(t)
	a.readBack(t, "space again")
	c.Do(t, "kill", 1)
	c.Do(t, "start", 1)
	a.kafka = impatient(t, c)
	a.readBack(t, "started again")
}

// allFail fails unless n streams refuse a message, each with an error and not by silence.
func (a *attempt) allFail(t *testing.T, when string, n int) {
	t.Helper()
	failed := a.once(t, 3*time.Second)
	for name, err := range failed {
		t.Logf("%s: %s: %v", when, name, err)
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, kgo.ErrRecordTimeout) {
			t.Errorf("%s: %s: no answer", when, name)
		}
	}
	if len(failed) != n {
		t.Errorf("%s: %d of %d streams refused a message", when, len(failed), n)
	}
}

// settleOne takes a queue's first message and acknowledges it.
func settleOne(t *testing.T, a *attempt, queue string) {
	t.Helper()
	ch := channel(t, a.host)
	defer ch.Close()
	d, ok, err := ch.Get(queue, false)
	if err != nil || !ok || string(d.Body) != a.acknowledged[queue][0] {
		t.Fatalf("%s: got %q, %v, %v", queue, d.Body, ok, err)
	}
	if err := d.Ack(false); err != nil {
		t.Fatal(err)
	}
	a.acknowledged[queue] = a.acknowledged[queue][1:]
	for end := time.Now().Add(5 * time.Second); ready(t, a.host, queue) != len(a.acknowledged[queue]); {
		if time.Now().After(end) {
			t.Fatalf("%s: %d messages are left, not %d", queue, ready(t, a.host, queue),
				len(a.acknowledged[queue]))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestOneFullNodeOfThreeHandsItsLeadershipsOver: the others take over what can be taken over;
// writes go on through any node, and all of it is there when the node has space again.
func TestOneFullNodeOfThreeHandsItsLeadershipsOver(t *testing.T) {
	data := t.TempDir()
	onSmallDisk(t, filepath.Join(data, "node-1"))
	c := devOn(t, data, 3)
	a := &attempt{kafka: impatient(t, c), host: c.Hosts[1], topics: []string{"in-sync", "majority"},
		queues: []string{"quorum"}, rocket: rocketProducer(t, c.Hosts[1], "Rocket"),
		acknowledged: map[string][]string{}, doubtful: map[string]map[string]bool{}}
	for _, mode := range a.topics {
		topic(t, a.kafka, mode, mode)
	}
	if _, err := channel(t, c.Hosts[0]).QueueDeclare("quorum", true, false, false, false,
		amqp.Table{"x-queue-type": "quorum"}); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if failed := a.once(t, 5*time.Second); len(failed) > 0 {
			t.Fatal(failed)
		}
	}
	for _, st := range c.Until(t, 1, c.Whole).Streams {
		if len(st.Members) == 3 {
			if _, err := nodes.Trine("stream", "move", st.Name, "--to", "1,2,3", "--http",
				c.Hosts[0]+":15672"); err != nil {
				t.Fatal(err)
			}
		}
	}
	led := func(by func(int) bool) func(*nodes.Status) error {
		return func(s *nodes.Status) error {
			for _, st := range s.Streams {
				if len(st.Members) == 3 && !by(st.Leader) {
					return fmt.Errorf("%s: node %d leads", st.Name, st.Leader)
				}
			}
			return nil
		}
	}
	c.Until(t, 2, led(func(n int) bool { return n == 1 }))

	for _, left := range []int64{8 << 20, 0} {
		free := fill(t, c.Node(1), left)
		began := time.Now()
		a.recovers(t) // no stream stays where it cannot be written
		t.Logf("%d bytes left: everything is written again after %s", left, time.Since(began))
		for range 3 { // a leader whose write is refused says so once, and is replaced
			a.recovers(t)
		}
		c.Until(t, 2, led(func(n int) bool { return n > 1 }))
		sender := a.rocket
		if left == 0 {
			a.rocket = nil // its own group's offsets have nowhere to be written
		}
		a.readBack(t, fmt.Sprintf("%d bytes left", left))
		a.rocket = sender
		free()
		a.recovers(t)
		c.Until(t, 2, c.Whole)
	}
	a.host = c.Hosts[0]
	c.Do(t, "kill", 3)
	a.recovers(t)
	c.Do(t, "start", 3)
	c.Until(t, 1, c.Whole)
	a.readBack(t, "through the node that was full")
}
