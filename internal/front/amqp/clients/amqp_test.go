package clients

import (
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"trine/internal/front/amqp"
)

func TestWhatIsPublishedIsConfirmedAndConsumed(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch := h.channel()
	declare(t, ch, "q", nil)
	ok(t, ch.Confirm(false))
	confirms := ch.NotifyPublish(make(chan amqp091.Confirmation, 10))
	publish(t, ch, "", "q", "one")
	publish(t, ch, "", "q", "two")
	for tag := uint64(1); tag <= 2; tag++ {
		if c := receive(t, confirms); !c.Ack || c.DeliveryTag != tag {
			t.Fatalf("%+v", c)
		}
	}
	ds, err := ch.Consume("q", "tag", false, false, false, false, nil)
	ok(t, err)
	for _, want := range []string{"one", "two"} {
		d := receive(t, ds)
		if string(d.Body) != want || d.RoutingKey != "q" || d.Redelivered {
			t.Fatalf("%+v", d)
		}
		ok(t, d.Ack(false))
	}
	ok(t, ch.Cancel("tag", false))
	if q := declare(t, ch, "q", nil); q.Messages != 0 || q.Consumers != 0 {
		t.Fatalf("%+v", q)
	}
}

func TestTheLongestNamesGoThrough(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch := h.channel()
	long := strings.Repeat("n", 255)
	exchange(t, ch, long, "direct", nil)
	bindTo(t, ch, long, long, long)
	publish(t, ch, long, long, "one")
	if d := mustGet(t, ch, long); d.Exchange != long || d.RoutingKey != long {
		t.Fatalf("%+v", d)
	}
}
