package clients

import (
	"fmt"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"trine/internal/front/amqp"
	"trine/internal/front/amqp/topology"
)

func TestAQueueAtItsLimitRefusesEachByItself(t *testing.T) {
	for overflow, dead := range map[string]int{"reject-publish": 0, "reject-publish-dlx": 15} {
		h := newHouse(t, amqp.Options{})
		ch := h.channel()
		ok(t, ch.Confirm(false))
		declare(t, ch, "dead", nil)
		declare(t, ch, "q", table{"x-max-length": 5, "x-overflow": overflow, "x-dead-letter-exchange": "",
			"x-dead-letter-routing-key": "dead"})
		var all []*amqp091.DeferredConfirmation
		for i := range 20 { // in one go
			c, err := ch.PublishWithDeferredConfirm("", "q", false, false, amqp091.Publishing{
				Body: []byte(fmt.Sprint(i))})
			ok(t, err)
			all = append(all, c)
		}
		acked := 0
		for _, c := range all {
			if c.Wait() {
				acked++
			}
		}
		if n := count(t, ch, "q"); n != 5 || acked != 5 {
			t.Errorf("%s: %d are in the queue, %d were confirmed", overflow, n, acked)
		}
		time.Sleep(100 * time.Millisecond)
		if n := count(t, ch, "dead"); n != dead {
			t.Errorf("%s: %d dead letters", overflow, n)
		}
		if d, there, _ := ch.Get("dead", true); there && (string(d.Body) != "5" ||
			d.Headers["x-first-death-reason"] != "maxlen" || d.Headers["x-first-death-queue"] != "q") {
			t.Errorf("%+v", d)
		}
	}
}

func TestAPolicyGivesAnAlternateExchange(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch := h.channel()
	ok(t, ch.Confirm(false))
	exchange(t, ch, "x", "direct", nil)
	exchange(t, ch, "rest", "fanout", nil)
	bindTo(t, ch, "q", "", "rest")
	rest, done := "rest", make(chan error, 1)
	topology.SetPolicy(h.broker, topology.Policy{VHost: "/", Name: "p", Pattern: "^x$", ApplyTo: "exchanges",
		Definition: topology.PolicyDefinition{Alternate: &rest}}, func(err error) { done <- err })
	ok(t, receive(t, done))
	send(t, ch, "x", "k", amqp091.Publishing{Body: []byte("one")})
	if d := mustGet(t, ch, "q"); string(d.Body) != "one" || d.Exchange != "x" {
		t.Errorf("%+v", d)
	}
}
