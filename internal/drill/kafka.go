package drill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kafkaLoad is one producer and one partition.
type kafkaLoad struct {
	acks       string
	idempotent bool
	majority   bool
	minimum    int  // of copies in sync; 0: 2
	once       bool // without retries
	defaults   bool // the client's own

	p     *plan
	topic string
	c     *kgo.Client
}

func (k *kafkaLoad) options() []kgo.Opt {
	var seeds []string
	for _, n := range k.p.at {
		seeds = append(seeds, k.p.cluster.Address(n, Kafka))
	}
	opts := []kgo.Opt{kgo.SeedBrokers(seeds...)}
	if k.defaults {
		return opts
	}
	return append(opts, kgo.DialTimeout(requestMax),
		kgo.RetryBackoffFn(func(int) time.Duration { return backOffMax }),
		kgo.RequestTimeoutOverhead(requestMax), kgo.MetadataMinAge(backOffMax))
}

func (k *kafkaLoad) producer() []kgo.Opt {
	opts := append(k.options(), kgo.DefaultProduceTopic(k.topic), kgo.ProducerLinger(0),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(8*k.p.rate))
	if !k.defaults {
		opts = append(opts, kgo.ProduceRequestTimeout(requestMax/2), kgo.RequestTimeoutOverhead(requestMax/2),
			kgo.UnknownTopicRetries(-1))
	}
	if k.acks == "1" {
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()))
	}
	if !k.idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	if k.once {
		opts = append(opts, kgo.RecordRetries(0))
	}
	return opts
}

func (k *kafkaLoad) prepare(ctx context.Context, p *plan) error {
	k.p, k.topic = p, "drill-"+p.id
	c, err := kgo.NewClient(k.producer()...)
	if err != nil {
		return err
	}
	k.c = c
	if err := k.create(ctx); err != nil {
		return err
	}
	if err := p.cluster.Lead(ctx, k.topic, p.leader); err != nil {
		return err
	}
	if err := p.cluster.Healthy(ctx, k.wants()); err != nil {
		return err
	}
	return c.ProduceSync(ctx, &kgo.Record{Value: []byte("warm up")}).FirstErr()
}

func (k *kafkaLoad) create(ctx context.Context) error {
	t := kmsg.NewCreateTopicsRequestTopic()
	// The preferred leader stands first among a partition's nodes.
	at := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	for i := range nodes {
		at.Replicas = append(at.Replicas, int32((k.p.leader-1+i)%nodes+1))
	}
	t.Topic, t.NumPartitions, t.ReplicationFactor = k.topic, -1, -1
	t.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{at}
	mode := "in-sync"
	if k.majority {
		mode = "majority"
	}
	minimum := fmt.Sprint(cmp.Or(k.minimum, 2))
	for name, value := range map[string]string{"trine.mode": mode, "min.insync.replicas": minimum} {
		v := value
		t.Configs = append(t.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: name, Value: &v})
	}
	r := kmsg.NewPtrCreateTopicsRequest()
	r.TimeoutMillis, r.Topics = 10000, []kmsg.CreateTopicsRequestTopic{t}
	resp, err := r.RequestWith(ctx, k.c)
	if err != nil {
		return fmt.Errorf("create topic: %w", err)
	}
	if e := resp.Topics[0]; e.ErrorCode != 0 {
		return fmt.Errorf("create topic: error %d", e.ErrorCode)
	}
	return nil
}

func (k *kafkaLoad) wants() []Want { return []Want{{Part: k.topic, Copies: nodes, Leader: k.p.leader}} }

// home does nothing: these clients follow the leader.
func (k *kafkaLoad) home(context.Context) error { return nil }

// told gives what became of a record: an error's name, and whether it says that
// nothing was written.
func (k *kafkaLoad) told(err error) (error, bool) {
	var said *kerr.Error
	if errors.As(err, &said) {
		return errors.New(said.Message), k.once && said == kerr.NotEnoughReplicas
	}
	return err, errors.Is(err, kgo.ErrMaxBuffered)
}

func (k *kafkaLoad) load(ctx, within context.Context) {
	var wait sync.WaitGroup
	paced(ctx, k.p.rate, func() {
		seq, body := k.p.ledger.Next(0)
		wait.Add(1)
		k.c.Produce(within, &kgo.Record{Value: body}, func(_ *kgo.Record, err error) {
			err, refused := k.told(err)
			k.p.ledger.Told(0, seq, err, refused)
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
