package drill

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kafkaLoad is one producer and one partition.
type kafkaLoad struct {
	acks       string
	idempotent bool
	majority   bool

	p     *plan
	topic string
	c     *kgo.Client
}

func (k *kafkaLoad) options() []kgo.Opt {
	var seeds []string
	for _, n := range k.p.at {
		seeds = append(seeds, k.p.cluster.Address(n, Kafka))
	}
	return []kgo.Opt{kgo.SeedBrokers(seeds...), kgo.DialTimeout(requestMax),
		kgo.RetryBackoffFn(func(int) time.Duration { return backOffMax }),
		kgo.RequestTimeoutOverhead(requestMax), kgo.MetadataMinAge(backOffMax),
		kgo.ProducerLinger(0)}
}

func (k *kafkaLoad) prepare(ctx context.Context, p *plan) error {
	k.p, k.topic = p, "drill-"+p.id
	opts := append(k.options(), kgo.DefaultProduceTopic(k.topic), kgo.ProduceRequestTimeout(requestMax/2),
		kgo.RequestTimeoutOverhead(requestMax/2), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedRecords(4*p.rate), kgo.UnknownTopicRetries(-1))
	if k.acks == "1" {
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()))
	}
	if !k.idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	c, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	k.c = c
	t := kmsg.NewCreateTopicsRequestTopic()
	// The preferred leader stands first among a partition's nodes.
	at := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	for i := range nodes {
		at.Replicas = append(at.Replicas, int32((p.leader-1+i)%nodes+1))
	}
	t.Topic, t.NumPartitions, t.ReplicationFactor = k.topic, -1, -1
	t.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{at}
	mode := "in-sync"
	if k.majority {
		mode = "majority"
	}
	for name, value := range map[string]string{"trine.mode": mode, "min.insync.replicas": "2"} {
		v := value
		t.Configs = append(t.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: name, Value: &v})
	}
	r := kmsg.NewPtrCreateTopicsRequest()
	r.TimeoutMillis, r.Topics = 10000, []kmsg.CreateTopicsRequestTopic{t}
	resp, err := r.RequestWith(ctx, c)
	if err != nil {
		return fmt.Errorf("create topic: %w", err)
	}
	if e := resp.Topics[0]; e.ErrorCode != 0 {
		return fmt.Errorf("create topic: error %d", e.ErrorCode)
	}
	if err := p.cluster.Lead(ctx, k.topic, p.leader); err != nil {
		return err
	}
	if err := p.cluster.Healthy(ctx, k.topic, nodes); err != nil {
		return err
	}
	return c.ProduceSync(ctx, &kgo.Record{Value: []byte("warm up")}).FirstErr()
}

func (k *kafkaLoad) load(ctx, within context.Context) {
	var wait sync.WaitGroup
	paced(ctx, k.p.rate, func() {
		seq, body := k.p.ledger.Next(0)
		wait.Add(1)
		k.c.Produce(within, &kgo.Record{Value: body}, func(_ *kgo.Record, err error) {
			k.p.ledger.Told(0, seq, err, errors.Is(err, kgo.ErrMaxBuffered))
			wait.Done()
		})
	})
	if k.c.Flush(within) != nil {
		k.c.Close() // fails what still waits
	}
	wait.Wait()
}

func (k *kafkaLoad) drain(ctx context.Context) error {
	c, err := kgo.NewClient(append(k.options(), kgo.ConsumeTopics(k.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))...)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with ctx, which ends below
		quiet(ctx, k.p.ledger, time.Second)
		cancel()
	}()
	for ctx.Err() == nil {
		fs := c.PollFetches(ctx)
		fs.EachError(func(_ string, _ int32, err error) {
			if ctx.Err() == nil {
				k.p.ledger.Fail(fmt.Errorf("fetch: %w", err))
			}
		})
		fs.EachRecord(func(r *kgo.Record) {
			k.p.ledger.Read(r.Value, fmt.Sprint(r.Partition), r.Offset, false)
		})
	}
	return nil
}

func (k *kafkaLoad) close() {
	if k.c != nil {
		k.c.Close()
	}
}
