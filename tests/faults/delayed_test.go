package faults

import (
	"context"
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"trine/tests/nodes"
)

// TestDelayedMessagesOutliveTheNodeThatTookThem kills the node that leads the delays of
// an exchange, whose client it is too, while confirmed messages wait, some of them
// coming due in its absence.
func TestDelayedMessagesOutliveTheNodeThatTookThem(t *testing.T) {
	c := dev(t, 3)
	ch := channel(t, c.Hosts[0])
	if err := ch.ExchangeDeclare("late", "x-delayed-message", true, false, false, false,
		amqp.Table{"x-delayed-type": "direct"}); err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]string{"waiting": "quorum", "read": "stream"} {
		other := channel(t, c.Hosts[1])
		if _, err := other.QueueDeclare(name, true, false, false, false,
			amqp.Table{"x-queue-type": kind}); err != nil {
			t.Fatal(err)
		}
		if err := other.QueueBind(name, "k", "late", false, nil); err != nil {
			t.Fatal(err)
		}
	}
	c.Until(t, 2, c.Whole)
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	const n = 300
	var waits []*amqp.DeferredConfirmation
	due := map[string]time.Time{}
	for i := range n {
		body := fmt.Sprintf("message %05d", i)
		delay := 1500 + 10*i
		due[body] = time.Now().Add(time.Duration(delay) * time.Millisecond)
		d, err := ch.PublishWithDeferredConfirm("late", "k", true, false, amqp.Publishing{
			DeliveryMode: amqp.Persistent, Body: []byte(body), Headers: amqp.Table{"x-delay": int32(delay)}})
		if err != nil {
			t.Fatal(err)
		}
		waits = append(waits, d)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, d := range waits {
		if ok, err := d.WaitContext(ctx); err != nil || !ok {
			t.Fatalf("confirmed %v, %v", ok, err)
		}
	}
	c.Do(t, "kill", 1)

	for _, name := range []string{"waiting", "read"} {
		reader := channel(t, c.Hosts[2])
		if err := reader.Qos(1000, 0, false); err != nil {
			t.Fatal(err)
		}
		ds, err := reader.Consume(name, "", false, false, false, false, firstOf(name))
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		end := time.After(30 * time.Second)
		for len(got) < n {
			select {
			case d := <-ds:
				body := string(d.Body)
				if early := time.Until(due[body]); early > 0 {
					t.Errorf("%s: %s came %v early", name, body, early)
				}
				got[body]++
				if err := d.Ack(false); err != nil {
					t.Fatal(err)
				}
			case <-end:
				t.Fatalf("%s: %d of %d delayed messages came", name, len(got), n)
			}
		}
		twice := 0
		for _, times := range got {
			twice += times - 1
		}
		t.Logf("%s: all %d, %d of them twice", name, n, twice)
	}
	c.Do(t, "start", 1)
	c.Until(t, 2, c.Whole)
	if !stored(t, c, "amqp/d/%2F/late") {
		t.Error("the delays have no stream")
	}
	again := channel(t, c.Hosts[1])
	if err := again.ExchangeDelete("late", false, false); err != nil {
		t.Fatal(err)
	}
	if stored(t, c, "amqp/d/%2F/late") {
		t.Error("the delays outlive their exchange")
	}
}

func firstOf(queue string) amqp.Table {
	if queue == "read" {
		return amqp.Table{"x-stream-offset": "first"}
	}
	return nil
}

// stored says whether node 2 knows a stream.
func stored(t *testing.T, c *nodes.Cluster, name string) bool {
	t.Helper()
	s, err := c.Status(2)
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range s.Streams {
		if st.Name == name {
			return true
		}
	}
	return false
}
