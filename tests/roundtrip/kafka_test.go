package roundtrip

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// createTopic makes a topic of three copies under either kind of replication.
func createTopic(t *testing.T, name, mode string, partitions int32) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(hosts[0] + ":9092"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 3
	setting := kmsg.NewCreateTopicsRequestTopicConfig()
	setting.Name, setting.Value = "trine.mode", &mode
	topic.Configs = append(topic.Configs, setting)
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10000
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(context.Background(), c)
	if err != nil || resp.Topics[0].ErrorCode != 0 {
		t.Fatalf("create topic %s: %v, %+v", name, err, resp)
	}
}

func TestFranzGoWritesAndReadsThroughEveryNode(t *testing.T) {
	for _, mode := range []string{"in-sync", "majority"} {
		t.Run(mode, func(t *testing.T) {
			topic := "franz-" + mode
			createTopic(t, topic, mode, 3)
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			want := lines(3000)
			for i, h := range hosts {
				produce(ctx, t, h, topic, want[i*1000:(i+1)*1000])
			}
			c, err := kgo.NewClient(kgo.SeedBrokers(hosts[2]+":9092"), kgo.ConsumeTopics(topic),
				kgo.ConsumerGroup("g-"+mode), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			var got []string
			for len(got) < len(want) && ctx.Err() == nil {
				c.PollFetches(ctx).EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
			}
			if err := c.CommitUncommittedOffsets(ctx); err != nil {
				t.Errorf("commit: %v", err)
			}
			same(t, got, want)
		})
	}
}

func produce(ctx context.Context, t *testing.T, host, topic string, values []string) {
	t.Helper()
	p, err := kgo.NewClient(kgo.SeedBrokers(host+":9092"), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, v := range values {
		p.Produce(ctx, kgo.StringRecord(v), func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("produce: %v", err)
			}
		})
	}
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

// same compares what was read with what was written, whatever the order.
func same(t *testing.T, got, want []string) {
	t.Helper()
	got = slices.Clone(got)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("read %d of %d, or other ones", len(got), len(want))
	}
}

func TestKcatWritesThroughOneNodeAndReadsThroughAnother(t *testing.T) {
	want := lines(1000)
	program(t, strings.Join(want, "\n")+"\n", "kcat", "-P", "-b", hosts[0]+":9092", "-t", "kcat",
		"-X", "acks=all", "-z", "snappy")
	out := program(t, "", "kcat", "-C", "-b", hosts[2]+":9092", "-t", "kcat", "-e", "-q")
	if got := strings.Split(strings.TrimSuffix(out, "\n"), "\n"); !slices.Equal(got, want) {
		t.Fatalf("read %d lines of %d, or in another order", len(got), len(want))
	}
}

func TestPythonKafkaClient(t *testing.T) {
	out := program(t, "", python(), "python/kafka_roundtrip.py", hosts[1]+":9092", hosts[2]+":9092", "500")
	if out != "500 records read back in order\n" {
		t.Fatalf("it says %q", out)
	}
}

func TestJavaKafkaClient(t *testing.T) {
	out := java(t, "KafkaRoundtrip", hosts[1]+":9092", hosts[2]+":9092", "500")
	if want := fmt.Sprintf("%d records read back in order\n", 500); out != want {
		t.Fatalf("it says %q", out)
	}
}
