package clients

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestKafkaClientsReadWhatEachOtherWrote(t *testing.T) {
	all := []client{
		{"franz-go", franzWrite, franzRead},
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

func franzWrite(addresses, stream, by string, n int) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(addresses, ",")...))
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
