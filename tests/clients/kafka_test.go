package clients

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestFranzGoWritesThroughOneNodeAndReadsThroughAnother(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	want := lines(2000)
	p, err := kgo.NewClient(kgo.SeedBrokers(hosts[0]+":9092"), kgo.DefaultProduceTopic("franz"),
		kgo.AllowAutoTopicCreation())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var records []*kgo.Record
	for _, v := range want {
		records = append(records, &kgo.Record{Key: []byte("key"), Value: []byte(v)})
	}
	if err := p.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(hosts[2]+":9092"), kgo.ConsumeTopics("franz"),
		kgo.ConsumerGroup("franz"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var got []string
	for len(got) < len(want) {
		f := c.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatalf("after %d records: %v", len(got), err)
		}
		f.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%d records, or in another order", len(got))
	}
	if err := c.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestKcat(t *testing.T) {
	want := lines(1000)
	program(t, strings.Join(want, "\n")+"\n", "kcat", "-P", "-b", hosts[1]+":9092", "-t", "kcat",
		"-p", "0", "-X", "acks=all")
	out := program(t, "", "kcat", "-C", "-b", hosts[2]+":9092", "-t", "kcat", "-p", "0", "-e", "-q")
	if got := strings.Split(strings.TrimSuffix(out, "\n"), "\n"); !slices.Equal(got, want) {
		t.Fatalf("%d records, or in another order", len(got))
	}
}

func TestKafkaPython(t *testing.T) {
	out := program(t, "", python(), "python/kafka_roundtrip.py", hosts[0]+":9092",
		hosts[2]+":9092", "1000")
	if out != "1000 records read back in order\n" {
		t.Fatalf("it says %q", out)
	}
}

func TestJavaKafkaClient(t *testing.T) {
	out := java(t, "KafkaRoundtrip", hosts[1]+":9092", hosts[0]+":9092", "1000")
	if out != "1000 records read back in order\n" {
		t.Fatalf("it says %q", out)
	}
}
