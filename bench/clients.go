package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The loads' shapes.
const (
	kafkaBytes   = 1024
	amqpBytes    = 100
	amqpWindow   = 1000 // published and not confirmed
	amqpAcks     = 100  // deliveries that one ack settles
	amqpPrefetch = 500
	rocketBytes  = 128
	rocketSends  = 64
	rocketQueues = 4
)

func fresh(kind string) string { return fmt.Sprintf("bench-%s-%d", kind, time.Now().UnixNano()) }

// oneRecord makes franz-go send each record in a batch of its own, at once.
func oneRecord() []kgo.Opt {
	return []kgo.Opt{kgo.ProducerBatchMaxBytes(kafkaBytes + 200), kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(1000)}
}

// fullBatch makes franz-go fill batches of 16 KiB.
func fullBatch() []kgo.Opt {
	return []kgo.Opt{kgo.ProducerBatchMaxBytes(16 << 10), kgo.ProducerLinger(5 * time.Millisecond)}
}

// kafkaLoad is one producer of a topic with one partition and a copy on every node.
func kafkaLoad(shape func() []kgo.Opt) func(context.Context, *cluster) (*load, error) {
	return func(setup context.Context, c *cluster) (*load, error) {
		topic := fresh("kafka")
		opts := append(shape(), kgo.SeedBrokers(c.kafka...), kgo.DefaultProduceTopic(topic),
			kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(kgo.NoCompression()))
		cl, err := kgo.NewClient(opts...)
		if err != nil {
			return nil, err
		}
		_, err = kadm.NewClient(cl).CreateTopic(setup, 1, int16(c.row.nodes), nil, topic)
		if err != nil {
			cl.Close()
			return nil, fmt.Errorf("create topic: %w", err)
		}
		l, ctx := newLoad(context.WithoutCancel(setup))
		l.close = cl.Close
		body := make([]byte, kafkaBytes)
		l.wait.Go(func() { // ends with l.end
			for ctx.Err() == nil {
				cl.Produce(ctx, &kgo.Record{Value: body}, func(_ *kgo.Record, err error) {
					if err == nil {
						l.done.Add(1)
					} else if ctx.Err() == nil {
						l.fail(err)
					}
				})
			}
		})
		return l, nil
	}
}

// amqpLoad is a publisher and a consumer of one queue, each with its connection to
// the first node. A message is done when its delivery is acknowledged. A mirrored queue is a
// classic one that a policy gives a copy on every node.
func amqpLoad(kind string) func(context.Context, *cluster) (*load, error) {
	return func(setup context.Context, c *cluster) (*load, error) {
		kind := kind
		if kind == "mirrored" {
			if err := mirror(setup, c); err != nil {
				return nil, err
			}
			kind = "classic"
		}
		l, ctx := newLoad(context.WithoutCancel(setup))
		var conns [2]*amqp.Connection
		l.close = func() {
			for _, c := range conns {
				if c != nil {
					c.Close()
				}
			}
		}
		var chans [2]*amqp.Channel
		var err error
		for i := range conns {
			if conns[i], err = amqp.Dial("amqp://guest:guest@" + c.amqp[0] + "/"); err == nil {
				chans[i], err = conns[i].Channel()
			}
			if err != nil {
				l.end()
				return nil, err
			}
		}
		pub, con, name := chans[0], chans[1], fresh(kind)
		_, err = pub.QueueDeclare(name, true, false, false, false, amqp.Table{"x-queue-type": kind})
		var ds <-chan amqp.Delivery
		if err = errors.Join(err, con.Qos(amqpPrefetch, 0, false), pub.Confirm(false)); err == nil {
			ds, err = con.Consume(name, "", false, false, false, false, nil)
		}
		if err != nil {
			l.end()
			return nil, err
		}
		window := make(chan struct{}, amqpWindow)
		confirms := pub.NotifyPublish(make(chan amqp.Confirmation, amqpWindow))
		l.wait.Go(func() { // ends when the connection closes
			n := 0
			for d := range ds {
				if n++; n%amqpAcks == 0 {
					if err := d.Ack(true); err != nil {
						return
					}
					l.done.Add(amqpAcks)
				}
			}
		})
		l.wait.Go(func() { // ends when the connection closes
			for cf := range confirms {
				if !cf.Ack {
					l.fail(errors.New("a message was refused"))
				}
				<-window
			}
		})
		l.wait.Go(func() { publish(ctx, l, pub, name, window) }) // ends with l.end
		return l, nil
	}
}

// mirror has all queues copied to every node.
func mirror(ctx context.Context, c *cluster) error {
	host, _, err := net.SplitHostPort(c.amqp[0])
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+host+":15672/api/policies/%2F/bench",
		strings.NewReader(`{"pattern":"^bench","definition":{"ha-mode":"all","ha-sync-mode":"automatic"},"apply-to":"queues"}`))
	if err != nil {
		return err
	}
	r.SetBasicAuth("guest", "guest")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("set the policy that mirrors: %s", answer.Status)
	}
	return nil
}

// publish sends what the window lets it.
func publish(ctx context.Context, l *load, pub *amqp.Channel, queue string, window chan<- struct{}) {
	p := amqp.Publishing{Body: make([]byte, amqpBytes), DeliveryMode: amqp.Persistent}
	for {
		select {
		case window <- struct{}{}:
		case <-ctx.Done():
			return
		}
		if err := pub.PublishWithContext(ctx, "", queue, false, false, p); err != nil {
			if ctx.Err() == nil {
				l.fail(err)
			}
			return
		}
	}
}

// rocketLoad is one producer that 64 goroutines share, each with one send in flight.
func rocketLoad(setup context.Context, c *cluster) (*load, error) {
	topic := fresh("rocket")
	if c.trine && c.row.nodes > 1 {
		if err := rocketMajority(setup, c, topic); err != nil {
			return nil, err
		}
	}
	p, err := rocketProducer(c)
	if err != nil {
		return nil, err
	}
	l, ctx := newLoad(context.WithoutCancel(setup))
	l.close = func() { p.Shutdown() }
	body := make([]byte, rocketBytes)
	for i := range body {
		body[i] = 'x'
	}
	for { // the first sends make the topic
		r, err := p.SendSync(setup, primitive.NewMessage(topic, body))
		if err == nil && r.Status == primitive.SendOK {
			break
		}
		if setup.Err() != nil {
			l.end()
			return nil, fmt.Errorf("first send: %w", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	for range rocketSends {
		l.wait.Go(func() { // ends with l.end
			for ctx.Err() == nil {
				r, err := p.SendSync(ctx, primitive.NewMessage(topic, body))
				if err == nil && r.Status == primitive.SendOK {
					l.done.Add(1)
				} else if ctx.Err() == nil {
					l.fail(fmt.Errorf("send: %v %w", r, err))
				}
			}
		})
	}
	return l, nil
}

func rocketProducer(c *cluster) (rocketmq.Producer, error) {
	p, err := rocketmq.NewProducer(producer.WithNameServer(primitive.NamesrvAddr(c.rocket)),
		producer.WithInstanceName(fresh("client")), producer.WithGroupName("bench"),
		producer.WithDefaultTopicQueueNums(rocketQueues))
	if err != nil {
		return nil, err
	}
	return p, p.Start()
}

// rocketMajority makes Trine's first broker group what DLedger is, and the topic in it.
func rocketMajority(ctx context.Context, c *cluster, topic string) error {
	at := trineHost(0) + ":10911"
	if err := updateBrokerConfig(at, "enableDLegerCommitLog=true"); err != nil {
		return err
	}
	a, err := admin.NewAdmin(admin.WithResolver(primitive.NewPassthroughResolver(c.rocket)))
	if err != nil {
		return err
	}
	defer a.Close()
	return a.CreateTopic(ctx, admin.WithTopicCreate(topic), admin.WithBrokerAddrCreate(at),
		admin.WithReadQueueNums(rocketQueues), admin.WithWriteQueueNums(rocketQueues))
}
