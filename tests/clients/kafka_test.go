package clients

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestKafkaClientsReadWhatEachOtherWrote(t *testing.T) {
	all := []client{
		{"franz-go", func(addresses, stream, by string, n int) error {
			return franzWrite(addresses, stream, by, n)
		}, franzRead},
		{"kcat", kcatWrite, kcatRead},
		other("java", javaCommand("KafkaClient.java")),
		other("kafka-python", pythonCommand("kafka_python.py")),
		other("confluent", pythonCommand("confluent.py")),
	}
	for _, mode := range []string{"in-sync", "majority"} {
		t.Run(mode, func(t *testing.T) {
			prefix := "clients-" + mode + "-"
			for _, c := range all {
				createTopic(t, prefix+c.name, mode)
			}
			everyoneReadsEveryone(t, "9092", prefix, 1000, all)
		})
	}
}

// createTopic makes a topic of three partitions, which so many nodes lead.
func createTopic(t *testing.T, topic, mode string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(addresses("9092", 0), ",")...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err = kadm.NewClient(cl).CreateTopic(ctx, 3, 3, map[string]*string{"trine.mode": &mode},
		topic)
	if err != nil {
		t.Fatal(err)
	}
}

func franzWrite(addresses, stream, by string, n int, opts ...kgo.Opt) error {
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(strings.Split(addresses, ",")...))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var failed error
	for i := range n {
		r := &kgo.Record{Topic: stream, Key: []byte(key(i)), Value: []byte(text(by, i))}
		cl.Produce(ctx, r, func(_ *kgo.Record, err error) { failed = errors.Join(failed, err) })
	}
	return errors.Join(cl.Flush(ctx), failed)
}

func franzRead(addresses, group string, n int, streams []string) (all []message, err error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(addresses, ",")...),
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(streams...), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for len(all) < n {
		f := cl.PollFetches(ctx)
		if err := f.Err(); err != nil {
			return nil, fmt.Errorf("after %d of %d: %w", len(all), n, err)
		}
		f.EachRecord(func(r *kgo.Record) {
			all = append(all, message{r.Topic, fmt.Sprint(r.Partition), r.Offset, string(r.Key),
				string(r.Value)})
		})
	}
	if err := cl.CommitUncommittedOffsets(ctx); err != nil {
		return nil, err
	}
	return all, committed(ctx, cl, group, n)
}

// committed is nil once the group's offsets sum up to n.
func committed(ctx context.Context, cl *kgo.Client, group string, n int) error {
	offsets, err := kadm.NewClient(cl).FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	sum := int64(0)
	offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
	if sum != int64(n) {
		return fmt.Errorf("group %s: %d messages committed, not %d", group, sum, n)
	}
	return nil
}

func kcatWrite(addresses, stream, by string, n int) error {
	var in strings.Builder
	for i := range n {
		fmt.Fprintf(&in, "%s\t%s\n", key(i), text(by, i))
	}
	_, err := outside(in.String(), "kcat", "-P", "-b", addresses, "-t", stream, "-K", `\t`,
		"-X", "acks=all", "-X", "enable.idempotence=true", "-z", "lz4")
	return err
}

func kcatRead(addresses, group string, n int, streams []string) ([]message, error) {
	out, err := outside("", append([]string{"kcat", "-q", "-b", addresses, "-X",
		"auto.offset.reset=earliest", "-c", fmt.Sprint(n), "-f", `%t\t%p\t%o\t%k\t%s\n`,
		"-G", group}, streams...)...)
	if err != nil {
		return nil, err
	}
	return parse(out)
}

// TestKafkaClientsWriteToTopicsThatCreateThemselves lets each client name a topic that nobody
// made: it gets three copies, of which two must be in sync, and everyone reads it.
func TestKafkaClientsWriteToTopicsThatCreateThemselves(t *testing.T) {
	all := []client{
		{"franz-go", func(addresses, stream, by string, n int) error {
			return franzWrite(addresses, stream, by, n, kgo.AllowAutoTopicCreation())
		}, franzRead},
		{"kcat", kcatWrite, kcatRead},
		other("java", javaCommand("KafkaClient.java")),
		other("kafka-python", pythonCommand("kafka_python.py")),
		other("confluent", pythonCommand("confluent.py")),
	}
	everyoneReadsEveryone(t, "9092", "made-by-itself-", 100, all)
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(addresses("9092", 1), ",")...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, c := range all {
		copies, min := copiesOf(t, cl, "made-by-itself-"+c.name)
		if copies != 3 || min != "2" {
			t.Errorf("%s: %d copies, of which %s must be in sync; not 3 and 2", c.name, copies, min)
		}
	}
}

// copiesOf gives how many copies a topic has, and how many must be in sync.
func copiesOf(t *testing.T, cl *kgo.Client, topic string) (copies int, min string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	admin := kadm.NewClient(cl)
	topics, err := admin.ListTopics(ctx, topic)
	if err != nil || topics[topic].Err != nil {
		t.Fatalf("list %s: %v, %v", topic, err, topics[topic].Err)
	}
	settings, err := admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings[0].Configs {
		if s.Key == "min.insync.replicas" {
			min = s.MaybeValue()
		}
	}
	return len(topics[topic].Partitions[0].Replicas), min
}

// TestKcatCompressesInEveryWay writes with each codec through one node and reads through another.
func TestKcatCompressesInEveryWay(t *testing.T) {
	want := lines(300)
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t.Run(codec, func(t *testing.T) {
			topic := "kcat-" + codec
			// A first batch of one line would not get smaller, and kcat sends that as it is.
			write := []string{"kcat", "-P", "-b", hosts[0] + ":9092", "-t", topic, "-X", "acks=all",
				"-X", "linger.ms=1000", "-X", "allow.auto.create.topics=true", "-z", codec}
			program(t, strings.Join(want, "\n")+"\n", write...)
			out := program(t, "", "kcat", "-C", "-q", "-e", "-b", hosts[2]+":9092", "-t", topic)
			if got := strings.Split(strings.TrimSuffix(out, "\n"), "\n"); !slices.Equal(got, want) {
				t.Fatalf("%d lines read of %d, or in another order", len(got), len(want))
			}
			attributes := firstBatch(t, topic).Attributes
			if now := [...]string{"none", "gzip", "snappy", "lz4", "zstd"}[attributes&7]; now != codec {
				t.Errorf("it is stored with %s", now)
			}
		})
	}
}

// firstBatch fetches the first record batch of a topic's only partition, as it is stored.
func firstBatch(t *testing.T, topic string) (b kmsg.RecordBatch) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(addresses("9092", 0), ",")...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	topics, err := kadm.NewClient(cl).ListTopics(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	r := kmsg.NewFetchRequest()
	r.MaxBytes = 1 << 20
	p := kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes, p.CurrentLeaderEpoch = 1<<20, -1
	r.Topics = []kmsg.FetchRequestTopic{{Topic: topic, TopicID: topics[topic].ID,
		Partitions: []kmsg.FetchRequestTopicPartition{p}}}
	a, err := cl.Broker(int(topics[topic].Partitions[0].Leader)).RetriableRequest(ctx, &r)
	if err != nil {
		t.Fatal(err)
	}
	raw := a.(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches
	if len(raw) < 61 {
		t.Fatalf("%s: %d bytes of batches", topic, len(raw))
	}
	if err := b.ReadFrom(raw[:12+binary.BigEndian.Uint32(raw[8:])]); err != nil {
		t.Fatal(err)
	}
	return b
}
