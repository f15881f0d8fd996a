package clients

import (
	"fmt"
	"slices"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"trine/tests/nodes"
)

func dial(t *testing.T, host string) *amqp.Channel {
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

func TestAmqp091GoWritesAndReadsThroughEveryNode(t *testing.T) {
	for _, kind := range []string{"classic", "quorum"} {
		t.Run(kind, func(t *testing.T) {
			name := "amqp091-" + kind
			if _, err := dial(t, hosts[0]).QueueDeclare(name, true, false, false, false,
				amqp.Table{"x-queue-type": kind}); err != nil {
				t.Fatal(err)
			}
			want := lines(1500)
			for i, h := range hosts {
				nodes.Publish(t, dial(t, h), name, want[i*500:(i+1)*500])
			}
			for i, h := range []string{hosts[2], hosts[1], hosts[0]} {
				got := take(t, dial(t, h), name, 500)
				if !slices.Equal(got, want[i*500:(i+1)*500]) {
					t.Fatalf("through %s: %d messages, or in another order", h, len(got))
				}
			}
			q, err := dial(t, hosts[1]).QueueDeclarePassive(name, true, false, false, false, nil)
			if err != nil || q.Messages != 0 {
				t.Fatalf("%d messages are left, %v", q.Messages, err)
			}
		})
	}
}

// take consumes n messages, acknowledges them, and waits until that holds.
func take(t *testing.T, ch *amqp.Channel, queue string, n int) []string {
	t.Helper()
	if err := ch.Qos(n, 0, false); err != nil {
		t.Fatal(err)
	}
	ds, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	end := time.After(30 * time.Second)
	for len(got) < n {
		select {
		case d := <-ds:
			got = append(got, string(d.Body))
			if len(got) == n {
				if err := d.Ack(true); err != nil {
					t.Fatal(err)
				}
			}
		case <-end:
			t.Fatalf("%d of %d messages came", len(got), n)
		}
	}
	if err := ch.Close(); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestPika(t *testing.T) {
	out := program(t, "", append(pythonCommand("amqp_roundtrip.py"), hosts[1], hosts[2], "500")...)
	if out != "500 messages read back in order\n" {
		t.Fatalf("it says %q", out)
	}
}

func TestJavaAmqpClient(t *testing.T) {
	out := java(t, "AmqpRoundtrip", hosts[1], hosts[2], "500")
	if want := fmt.Sprintf("%d messages read back in order\n", 500); out != want {
		t.Fatalf("it says %q", out)
	}
}
