package nodes

import (
	"context"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Publish writes persistent messages to a queue and waits until all are confirmed.
func Publish(t *testing.T, ch *amqp.Channel, queue string, bodies []string) {
	t.Helper()
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	var waits []*amqp.DeferredConfirmation
	for _, b := range bodies {
		d, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", queue, true, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(b)})
		if err != nil {
			t.Fatal(err)
		}
		waits = append(waits, d)
	}
	for _, d := range waits {
		if ok, err := d.WaitContext(ctx); err != nil || !ok {
			t.Fatalf("publish to %s: confirmed %v, %v", queue, ok, err)
		}
	}
}
