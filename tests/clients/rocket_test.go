package clients

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

func TestRocketmqClientGoWritesThroughOneNameServerAndReadsThroughAnother(t *testing.T) {
	rlog.SetLogLevel("error")
	want := lines(400)
	p, err := producer.NewDefaultProducer(producer.WithNameServer([]string{hosts[0] + ":9876"}),
		producer.WithGroupName("writers"), producer.WithInstanceName("writers"), producer.WithRetry(2))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Shutdown() }()
	for _, v := range want {
		r, err := p.SendSync(context.Background(), primitive.NewMessage("RocketGo", []byte(v)))
		if err != nil || r.Status != primitive.SendOK {
			t.Fatalf("send: %v, %v", r, err)
		}
	}
	c, err := consumer.NewPushConsumer(consumer.WithNameServer([]string{hosts[2] + ":9876"}),
		consumer.WithGroupName("readers"), consumer.WithInstance("readers"), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got []string
	all := make(chan struct{})
	err = c.Subscribe("RocketGo", consumer.MessageSelector{}, func(_ context.Context, ms ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		mu.Lock()
		defer mu.Unlock()
		for _, m := range ms {
			if got = append(got, string(m.Body)); len(got) == len(want) {
				close(all)
			}
		}
		return consumer.ConsumeSuccess, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Shutdown() }()
	select {
	case <-all:
	case <-time.After(60 * time.Second):
	}
	mu.Lock()
	defer mu.Unlock()
	same(t, got, want)
}

func TestJavaRocketClient(t *testing.T) {
	out := java(t, "RocketRoundtrip", hosts[1]+":9876", hosts[2]+":9876", "200")
	if want := fmt.Sprintf("%d messages read back\n", 200); out != want {
		t.Fatalf("it says %q", out)
	}
}

// java runs one of the Java programs and gives what it prints last.
func java(t *testing.T, class string, args ...string) string {
	t.Helper()
	return program(t, "", append(javaCommand(class+".java"), args...)...)
}
