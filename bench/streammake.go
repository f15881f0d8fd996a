package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// streamKinds are what bench/run streams can make many of.
func streamKinds() []string { return []string{"insync", "majority", "quorum", "mirror", "classic"} }

// partitionsEach is how many partitions one topic has, and one request makes.
const partitionsEach = 1000

// makeStreams makes the streams from one number to another, of a kind that clients
// know: partitions of Kafka topics, or queues.
func (c *cluster) makeStreams(ctx context.Context, kind string, from, to int, spread bool) error {
	switch kind {
	case "insync", "majority":
		return c.makeTopics(ctx, kind, from, to, spread)
	case "mirror":
		if err := c.mirrorAll(ctx); err != nil {
			return err
		}
	}
	return c.makeQueues(ctx, kind, from, to, spread)
}

func (c *cluster) makeTopics(ctx context.Context, kind string, from, to int, spread bool) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.kafka...))
	if err != nil {
		return err
	}
	defer cl.Close()
	for at := from; at < to; {
		n := min(partitionsEach, to-at)
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic = fmt.Sprintf("many-%s-%d", kind, at)
		t.NumPartitions, t.ReplicationFactor = int32(n), 3
		if !spread {
			t.NumPartitions, t.ReplicationFactor = -1, -1
			for i := range n {
				a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
				a.Partition, a.Replicas = int32(i), []int32{1, 2, 3}
				t.ReplicaAssignment = append(t.ReplicaAssignment, a)
			}
		}
		if kind == "majority" {
			k := kmsg.NewCreateTopicsRequestTopicConfig()
			k.Name, k.Value = "trine.mode", kmsg.StringPtr("majority")
			t.Configs = append(t.Configs, k)
		}
		r := kmsg.NewPtrCreateTopicsRequest()
		r.TimeoutMillis = 60_000
		r.Topics = append(r.Topics, t)
		a, err := r.RequestWith(ctx, cl)
		if err != nil {
			return fmt.Errorf("create topic: %w", err)
		}
		if err := kerr.ErrorForCode(a.Topics[0].ErrorCode); err != nil {
			return fmt.Errorf("create topic: %w", err)
		}
		at += n
	}
	return nil
}

// declarers is how many channels declare queues at once.
const declarers = 32

func (c *cluster) makeQueues(ctx context.Context, kind string, from, to int, spread bool) error {
	args := amqp.Table{"x-queue-type": "classic"}
	if kind == "quorum" {
		args["x-queue-type"] = "quorum"
	}
	var conns []*amqp.Connection
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for i, at := range c.amqp {
		if i > 0 && !spread {
			break
		}
		conn, err := amqp.Dial("amqp://guest:guest@" + at + "/")
		if err != nil {
			return err
		}
		conns = append(conns, conn)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for d := range declarers {
		all.Go(func() { // waited for below
			ch, err := conns[d%len(conns)].Channel()
			for i := from + d; err == nil && i < to && ctx.Err() == nil; i += declarers {
				_, err = ch.QueueDeclare(fmt.Sprintf("many.%s.%d", kind, i), true, false, false, false, args)
			}
			if err != nil {
				cancel(fmt.Errorf("declare: %w", err))
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// mirrorAll has a policy mirror every queue to all nodes.
func (c *cluster) mirrorAll(ctx context.Context) error {
	return c.policy(ctx, `{"pattern":"^many\\.","definition":{"ha-mode":"all"},"apply-to":"queues"}`)
}

// counts is what Trine's nodes say of streams.
type counts struct {
	streams int // as the last node knows them
	ledBy   []int
	led     int
	heap    float64 // MiB that live, all nodes
}

// counted asks every node that runs.
func (c *cluster) counted(ctx context.Context) (out counts, err error) {
	for i := range c.row.nodes {
		m, err := metricsOf(ctx, trineHost(i))
		if err != nil {
			return out, err
		}
		out.add(m)
	}
	return out, nil
}

func (o *counts) add(m map[string]float64) {
	led := int(m["trine_streams_led"])
	o.streams = int(m["trine_streams"])
	o.ledBy = append(o.ledBy, led)
	o.led += led
	o.heap += m["go_memstats_heap_alloc_bytes"] / (1 << 20)
}

const ledMax = 5 * time.Minute

// awaitLed waits until the nodes from one number on lead that many streams together
// and all know them; seen is told of each look.
func (c *cluster) awaitLed(ctx context.Context, streams, from int, seen func(led int)) error {
	ctx, cancel := context.WithTimeout(ctx, ledMax)
	defer cancel()
	for {
		led, known := 0, true
		for i := from; i < c.row.nodes; i++ {
			m, err := metricsOf(ctx, trineHost(i))
			if err != nil {
				return fmt.Errorf("%d of %d streams are led: %w", led, streams, err)
			}
			led += int(m["trine_streams_led"])
			known = known && int(m["trine_streams"]) >= streams
		}
		if seen != nil {
			seen(led)
		}
		if known && led >= streams {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// metricsOf gives a node's metrics without labels.
func metricsOf(ctx context.Context, host string) (map[string]float64, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+":15672/metrics", nil)
	if err != nil {
		return nil, err
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(a.Body); err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for l := bufio.NewScanner(&b); l.Scan(); {
		name, value, ok := strings.Cut(l.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil && name != "#" {
			out[name] = v
		}
	}
	return out, nil
}
