package faults

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"trine/tests/nodes"
)

func TestMain(m *testing.M) { os.Exit(nodes.Main(m.Run)) }

// dev starts n nodes that end with the test.
func dev(t *testing.T, n int) *nodes.Cluster {
	t.Helper()
	return devOn(t, t.TempDir(), n)
}

func devOn(t *testing.T, data string, n int) *nodes.Cluster {
	t.Helper()
	c, err := nodes.Dev(data, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Stop()
		if t.Failed() {
			tell(t, c)
		}
	})
	return c
}

// tell logs what the nodes said last.
func tell(t *testing.T, c *nodes.Cluster) {
	t.Log(c.Said())
	for i := range c.Hosts {
		b, _ := os.ReadFile(c.Node(i+1) + ".log")
		t.Logf("node %d:\n%s", i+1, b[max(0, len(b)-4000):])
	}
}

// lines gives n different texts, the first with number from.
func lines(from, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("message %05d", from+i))
	}
	return all
}

func kafka(t *testing.T, addresses string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(strings.Split(addresses, ",")...),
		kgo.MetadataMinAge(20*time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration {
			return 20 * time.Millisecond
		}))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// topic makes one of one partition and three copies, its leader on the first of the nodes.
func topic(t *testing.T, cl *kgo.Client, name, mode string) {
	t.Helper()
	_, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 3,
		map[string]*string{"trine.mode": &mode}, name)
	if err != nil {
		t.Fatal(err)
	}
}

// produce writes texts, each acknowledged by every copy that its topic asks for.
func produce(t *testing.T, cl *kgo.Client, topic string, texts []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var rs []*kgo.Record
	for _, s := range texts {
		rs = append(rs, &kgo.Record{Topic: topic, Value: []byte(s)})
	}
	if err := cl.ProduceSync(ctx, rs...).FirstErr(); err != nil {
		t.Fatalf("write to %s: %v", topic, err)
	}
}

// everything reads a topic of one partition from its beginning until it has n records.
func everything(t *testing.T, addresses, topic string, n int) (all []string) {
	t.Helper()
	cl := kafka(t, addresses, kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for len(all) < n {
		f := cl.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatalf("%s: after %d of %d: %v", topic, len(all), n, err)
		}
		f.EachRecord(func(r *kgo.Record) { all = append(all, string(r.Value)) })
	}
	return all
}

func channel(t *testing.T, host string) *amqp.Channel {
	t.Helper()
	c, err := amqp.Dial("amqp://guest:guest@" + host + ":5672/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// publish writes persistent messages and waits until all are confirmed.
func publish(t *testing.T, host, queue string, texts []string) {
	t.Helper()
	ch := channel(t, host)
	defer ch.Close()
	nodes.Publish(t, ch, queue, texts)
}

// peek consumes n messages and gives them back to the queue.
func peek(t *testing.T, host, queue string, n int) (all []string) {
	t.Helper()
	ch := channel(t, host)
	defer ch.Close()
	ds, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	end := time.After(30 * time.Second)
	for len(all) < n {
		select {
		case d, ok := <-ds:
			if !ok {
				t.Fatalf("queue %s: the channel ended after %d of %d", queue, len(all), n)
			}
			all = append(all, string(d.Body))
		case <-end:
			t.Fatalf("queue %s: %d of %d messages came", queue, len(all), n)
		}
	}
	return all
}

// same fails unless got is want, in that order.
func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		i := 0
		for i < len(got) && i < len(want) && got[i] == want[i] {
			i++
		}
		t.Fatalf("%s: %d messages read, %d written; they differ from the %dth on", what, len(got),
			len(want), i)
	}
}
