//go:build !race

// The Go client races with itself.

package rocket

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	gc "github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func (s *served) producer(t *testing.T, group string) rocketmq.Producer {
	t.Helper()
	p, err := rocketmq.NewProducer(producer.WithNameServer([]string{s.addr}),
		producer.WithGroupName(group),
		producer.WithInstanceName(group+t.Name()))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Shutdown() })
	return p
}

type got struct {
	sync.Mutex
	bodies map[string]int
	queues map[int]int
	order  []string
}

func (g *got) add(m *primitive.MessageExt) {
	g.Lock()
	defer g.Unlock()
	if g.bodies == nil {
		g.bodies, g.queues = map[string]int{}, map[int]int{}
	}
	g.bodies[string(m.Body)]++
	g.queues[m.Queue.QueueId]++
	g.order = append(g.order, string(m.Body))
}

func (g *got) count() int {
	g.Lock()
	defer g.Unlock()
	return len(g.bodies)
}

func (s *served) consumer(t *testing.T, group, instance, topic, tags string, g *got,
	o ...gc.Option) rocketmq.PushConsumer {
	t.Helper()
	o = append([]gc.Option{gc.WithNameServer([]string{s.addr}), gc.WithGroupName(group),
		gc.WithInstance(instance + t.Name()), gc.WithConsumeFromWhere(gc.ConsumeFromFirstOffset)}, o...)
	c, err := rocketmq.NewPushConsumer(o...)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Subscribe(topic, gc.MessageSelector{Type: gc.TAG, Expression: tags},
		func(_ context.Context, ms ...*primitive.MessageExt) (gc.ConsumeResult, error) {
			for _, m := range ms {
				g.add(m)
			}
			return gc.ConsumeSuccess, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Shutdown() })
	return c
}

func TestGoClientSendsInEveryWayAndConsumes(t *testing.T) {
	s := serve(t, Options{})
	p := s.producer(t, "pg")
	ctx := context.Background()
	send := func(n int, do func(*primitive.Message) error, body string) {
		for i := range n {
			m := primitive.NewMessage("topic", []byte(fmt.Sprintf(body, i)))
			m.WithTag("a").WithKeys([]string{fmt.Sprint("k", i)})
			if err := do(m); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(20, func(m *primitive.Message) error {
		r, err := p.SendSync(ctx, m)
		if err == nil && (r.Status != primitive.SendOK || r.OffsetMsgID == "") {
			t.Errorf("result %v", r)
		}
		return err
	}, "sync %d")
	send(5, func(m *primitive.Message) error { return p.SendOneWay(ctx, m) }, "oneway %d")
	var wait sync.WaitGroup
	send(5, func(m *primitive.Message) error {
		wait.Add(1)
		return p.SendAsync(ctx, func(_ context.Context, _ *primitive.SendResult, err error) {
			if err != nil {
				t.Error(err)
			}
			wait.Done()
		}, m)
	}, "async %d")
	wait.Wait()
	send(2, func(m *primitive.Message) error { _, err := p.SendSync(ctx, m); return err },
		"compressed %d "+strings.Repeat("long ", 2000))
	var batch []*primitive.Message
	for i := range 10 {
		batch = append(batch, primitive.NewMessage("topic", []byte(fmt.Sprint("batch ", i))))
	}
	if _, err := p.SendSync(ctx, batch...); err != nil {
		t.Fatal(err)
	}
	var all got
	s.consumer(t, "cg", "one", "topic", "*", &all)
	await(t, "42 messages", func() bool { return all.count() == 42 })
	for b, n := range all.bodies {
		if n != 1 {
			t.Errorf("%q came %d times", b, n)
		}
	}
	var tagged got
	s.consumer(t, "cg-tags", "one", "topic", "b || c", &tagged)
	m := primitive.NewMessage("topic", []byte("with c"))
	m.WithTag("c")
	if _, err := p.SendSync(ctx, m); err != nil {
		t.Fatal(err)
	}
	await(t, "the tagged message", func() bool { return tagged.count() == 1 })
	if tagged.bodies["with c"] != 1 {
		t.Errorf("got %v", tagged.bodies)
	}
}

func TestTwoConsumersDivideTheQueues(t *testing.T) {
	s := serve(t, Options{})
	s.makeTopic(t, "topic", 8)
	p := s.producer(t, "pg")
	var a, b got
	ca := s.consumer(t, "cg", "a", "topic", "*", &a)
	s.consumer(t, "cg", "b", "topic", "*", &b)
	await(t, "both members", func() bool { return len(s.clients("cg")) == 2 })
	sent := 0
	both := func() bool {
		for range 16 {
			if _, err := p.SendSync(context.Background(), primitive.NewMessage("topic",
				[]byte(fmt.Sprint(sent)))); err != nil {
				t.Fatal(err)
			}
			sent++
		}
		time.Sleep(50 * time.Millisecond)
		return a.count() > 0 && b.count() > 0
	}
	await(t, "messages at both", both)
	await(t, "all messages", func() bool { return a.count()+b.count() >= sent })
	if err := ca.Shutdown(); err != nil {
		t.Fatal(err)
	}
	await(t, "one member", func() bool { return len(s.clients("cg")) == 1 })
	before := b.count()
	for range 16 {
		if _, err := p.SendSync(context.Background(), primitive.NewMessage("topic",
			[]byte(fmt.Sprint(sent)))); err != nil {
			t.Fatal(err)
		}
		sent++
	}
	await(t, "all queues at the one who stayed", func() bool { return b.count() >= before+16 })
}

func TestConsumerGoesOnWhereItsGroupStopped(t *testing.T) {
	s := serve(t, Options{})
	s.makeTopic(t, "topic", 2)
	p := s.producer(t, "pg")
	send := func(from, to int) {
		for i := from; i < to; i++ {
			if _, err := p.SendSync(context.Background(), primitive.NewMessage("topic",
				[]byte(fmt.Sprint(i)))); err != nil {
				t.Fatal(err)
			}
		}
	}
	var a, b got
	send(0, 10)
	c := s.consumer(t, "cg", "a", "topic", "*", &a)
	// The client notes a moment later what its handler has returned from: it lags till
	// then.
	await(t, "ten messages, noted", func() bool {
		return a.count() == 10 && c.GetOffsetDiffMap()["topic"] == 0
	})
	if err := c.Shutdown(); err != nil { // it commits its offsets, and awaits no answer
		t.Fatal(err)
	}
	send(10, 20) // what still answers its pulls finds it gone
	// Another connection's questions may overtake its offsets, but not the member's end.
	await(t, "the first consumer's end", func() bool { return len(s.clients("cg")) == 0 })
	await(t, "its offsets", func() bool { return s.consumed("cg", "topic") == 10 })
	s.consumer(t, "cg", "b", "topic", "*", &b)
	await(t, "ten more", func() bool { return b.count() >= 10 })
	b.Lock()
	defer b.Unlock()
	for i := range 10 {
		if b.bodies[fmt.Sprint(i)] != 0 {
			t.Errorf("what was consumed came again: %v", b.order)
			break
		}
	}
}

// consumed adds up a group's offsets in a topic of this node.
func (s *served) consumed(group, topic string) (sum int64) {
	s.offsets.mu.Lock()
	defer s.offsets.mu.Unlock()
	for key, at := range s.offsets.at[group] {
		if strings.HasPrefix(key, topic+string(rune(offsetSeparator))) {
			sum += at
		}
	}
	return sum
}
