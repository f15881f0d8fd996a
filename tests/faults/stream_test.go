package faults

import (
	"context"
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// TestAStreamIsReadOnThroughItsLeadersDeath publishes to a stream through one node and
// reads it through another while the node that leads it is killed.
func TestAStreamIsReadOnThroughItsLeadersDeath(t *testing.T) {
	c := dev(t, 3)
	if _, err := channel(t, c.Hosts[0]).QueueDeclare("s", true, false, false, false,
		amqp.Table{"x-queue-type": "stream"}); err != nil {
		t.Fatal(err)
	}
	c.Until(t, 2, c.Whole)
	reader := channel(t, c.Hosts[2])
	if err := reader.Qos(50, 0, false); err != nil {
		t.Fatal(err)
	}
	ds, err := reader.Consume("s", "", false, false, false, false, amqp.Table{"x-stream-offset": "first"})
	if err != nil {
		t.Fatal(err)
	}
	writer := channel(t, c.Hosts[1])
	if err := writer.Confirm(false); err != nil {
		t.Fatal(err)
	}
	const n = 2000
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	wrote := make(chan error, 1)
	go func() { // ends with the last confirm
		var waits []*amqp.DeferredConfirmation
		for i := range n {
			if i == n/2 {
				c.Do(t, "kill", 1)
			}
			d, err := writer.PublishWithDeferredConfirm("", "s", false, false, amqp.Publishing{
				Body: []byte(fmt.Sprintf("message %05d", i))})
			if err != nil {
				wrote <- err
				return
			}
			if waits = append(waits, d); i%100 == 99 {
				for _, d := range waits {
					if ok, err := d.WaitContext(ctx); err != nil || !ok {
						wrote <- fmt.Errorf("message %d: confirmed %v, %w", i, ok, err)
						return
					}
				}
				waits = nil
			}
		}
		wrote <- nil
	}()
	for i := range n {
		select {
		case d := <-ds:
			want := fmt.Sprintf("message %05d", i)
			if string(d.Body) != want || d.Headers["x-stream-offset"] != int64(i) {
				t.Fatalf("%s at %v, want %s", d.Body, d.Headers["x-stream-offset"], want)
			}
			if err := d.Ack(false); err != nil {
				t.Fatal(err)
			}
		case <-ctx.Done():
			t.Fatalf("%d of %d messages came", i, n)
		}
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
}
