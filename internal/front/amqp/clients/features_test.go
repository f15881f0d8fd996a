package clients

import (
	"fmt"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"trine/internal/front/amqp"
)

func consume(t *testing.T, ch *amqp091.Channel, q string, autoAck bool) <-chan amqp091.Delivery {
	t.Helper()
	ds, err := ch.Consume(q, "", autoAck, false, false, false, nil)
	ok(t, err)
	return ds
}

// mustGet takes one message that must be there.
func mustGet(t *testing.T, ch *amqp091.Channel, q string) amqp091.Delivery {
	t.Helper()
	for range 100 {
		d, there, err := ch.Get(q, false)
		ok(t, err)
		if there {
			return d
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("nothing is in %s", q)
	panic("unreachable")
}

func empty(t *testing.T, ch *amqp091.Channel, q string) {
	t.Helper()
	if d, there, err := ch.Get(q, true); err != nil || there {
		t.Fatalf("%s: %s, %v", q, d.Body, err)
	}
}

func TestUnackedMessagesComeAgainInTheirOldPlace(t *testing.T) {
	for _, kind := range []string{"classic", "quorum"} {
		h := newHouse(t, amqp.Options{})
		ch := h.channel()
		declare(t, ch, "q", table{"x-queue-type": kind})
		for i := range 4 {
			publish(t, ch, "", "q", fmt.Sprint(i))
		}
		one := open(t, h.dial())
		ok(t, one.Qos(3, 0, false))
		ds := consume(t, one, "q", false)
		first, second := receive(t, ds), receive(t, ds)
		receive(t, ds)
		nothing(t, ds) // prefetch
		ok(t, second.Ack(false))
		if d := receive(t, ds); string(d.Body) != "3" {
			t.Fatalf("%s", d.Body)
		}
		ok(t, first.Nack(false, true))
		d := receive(t, ds)
		if string(d.Body) != "0" || !d.Redelivered {
			t.Fatalf("%+v", d)
		}
		if n := d.Headers["x-delivery-count"]; kind == "quorum" && n != int64(1) {
			t.Errorf("x-delivery-count %v", n)
		}
		ok(t, one.Close())
		for _, want := range []string{"0", "2", "3"} {
			if d := mustGet(t, ch, "q"); string(d.Body) != want || !d.Redelivered {
				t.Fatalf("%s: got %s, want %s, redelivered %v", kind, d.Body, want, d.Redelivered)
			}
		}
	}
}

func TestACancelledConsumerKeepsWhatItHolds(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch := h.channel()
	_, err := ch.QueueDeclare("q", false, false, false, false, nil)
	ok(t, err)
	publish(t, ch, "", "q", "one")
	ds, err := ch.Consume("q", "tag", false, false, false, false, nil)
	ok(t, err)
	d := receive(t, ds)
	ok(t, ch.Cancel("tag", false))
	q, err := ch.QueueDeclarePassive("q", false, false, false, false, nil)
	ok(t, err)
	if q.Consumers != 0 || q.Messages != 0 {
		t.Fatalf("%+v", q)
	}
	publish(t, ch, "", "q", "two")
	ok(t, d.Ack(false))
	if d := mustGet(t, ch, "q"); string(d.Body) != "two" || d.Redelivered {
		t.Fatalf("%+v", d)
	}
}

func TestASharedPrefetchHoldsForTheWholeChannel(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch := h.channel()
	declare(t, ch, "a", nil)
	declare(t, ch, "b", nil)
	for i := range 4 {
		publish(t, ch, "", "a", fmt.Sprint("a", i))
		publish(t, ch, "", "b", fmt.Sprint("b", i))
	}
	ok(t, ch.Qos(3, 0, true))
	all := make(chan amqp091.Delivery, 10)
	for _, q := range []string{"a", "b"} {
		ds := consume(t, ch, q, false)
		go func() {
			for d := range ds {
				all <- d
			}
		}()
	}
	for left := 8; left > 0; left-- {
		d := receive(t, all)
		if left == 8 {
			receive(t, all)
			receive(t, all)
			nothing(t, all)
			left -= 2
			ok(t, ch.Ack(3, true))
			continue
		}
		ok(t, d.Ack(false))
	}
	nothing(t, all)
}

func TestDeadLettersSayHowTheyDied(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch := h.channel()
	declare(t, ch, "grave", nil)
	ok(t, ch.ExchangeDeclare("dlx", "fanout", true, false, false, false, nil))
	ok(t, ch.QueueBind("grave", "", "dlx", false, nil))
	for name, c := range map[string]struct {
		args   table
		reason string
		die    func(q string)
	}{
		"rejected": {table{}, "rejected", func(q string) { ok(t, mustGet(t, ch, q).Reject(false)) }},
		"expired":  {table{"x-message-ttl": 20}, "expired", func(string) {}},
		"maxlen": {table{"x-max-length": 1}, "maxlen", func(q string) {
			publish(t, ch, "", q, "newer")
		}},
		"delivery_limit": {table{"x-queue-type": "quorum", "x-delivery-limit": 1}, "delivery_limit",
			func(q string) {
				ok(t, mustGet(t, ch, q).Nack(false, true))
				ok(t, mustGet(t, ch, q).Nack(false, true))
			}},
	} {
		t.Run(name, func(t *testing.T) {
			c.args["x-dead-letter-exchange"] = "dlx"
			declare(t, ch, "q-"+name, c.args)
			ok(t, ch.Publish("", "q-"+name, false, false, amqp091.Publishing{Body: []byte("x"),
				Headers: table{"x-death": "a client's own", "mine": "kept"}}))
			c.die("q-" + name)
			d := mustGet(t, ch, "grave")
			ok(t, d.Ack(false))
			deaths, _ := d.Headers["x-death"].([]any)
			if len(deaths) != 1 || d.Headers["mine"] != "kept" {
				t.Fatalf("%v", d.Headers)
			}
			death := deaths[0].(amqp091.Table)
			if death["reason"] != c.reason || death["queue"] != "q-"+name || death["count"] != int64(1) ||
				death["exchange"] != "" || fmt.Sprint(death["routing-keys"]) != "[q-"+name+"]" ||
				d.Headers["x-first-death-reason"] != c.reason || d.Exchange != "dlx" {
				t.Errorf("%v from %s", d.Headers, d.Exchange)
			}
		})
	}
}

func TestDeadLettersThatGoRoundAreDroppedUnlessRejected(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch := h.channel()
	declare(t, ch, "round", table{"x-dead-letter-exchange": "", "x-message-ttl": 30})
	publish(t, ch, "", "round", "x")
	time.Sleep(100 * time.Millisecond)
	empty(t, ch, "round")

	declare(t, ch, "again", table{"x-dead-letter-exchange": ""})
	publish(t, ch, "", "again", "x")
	for range 3 {
		ok(t, mustGet(t, ch, "again").Reject(false))
	}
	d := mustGet(t, ch, "again")
	death := d.Headers["x-death"].([]any)[0].(amqp091.Table)
	if death["count"] != int64(3) {
		t.Errorf("%v", d.Headers)
	}
}

func TestPriorityExpirationAndOverflow(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch := h.channel()
	declare(t, ch, "p", table{"x-max-priority": 5})
	for _, p := range []uint8{1, 9, 0, 3} {
		ok(t, ch.Publish("", "p", false, false, amqp091.Publishing{Priority: p,
			Body: []byte(fmt.Sprint(p))}))
	}
	for _, want := range []string{"9", "3", "1", "0"} {
		if d := mustGet(t, ch, "p"); string(d.Body) != want {
			t.Fatalf("%s before %s", d.Body, want)
		}
	}
	declare(t, ch, "e", nil)
	ok(t, ch.Publish("", "e", false, false, amqp091.Publishing{Expiration: "20"}))
	time.Sleep(100 * time.Millisecond)
	empty(t, ch, "e")

	declare(t, ch, "full", table{"x-max-length": 1, "x-overflow": "reject-publish"})
	ok(t, ch.Confirm(false))
	for i, want := range []bool{true, false} {
		d, err := ch.PublishWithDeferredConfirm("", "full", false, false, amqp091.Publishing{})
		ok(t, err)
		if d.Wait() != want {
			t.Errorf("publish %d was confirmed: %v", i, !want)
		}
	}
}

func TestExclusiveAndAutoDeleteQueuesGo(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch := h.channel()
	c := h.dial()
	owner := open(t, c)
	_, err := owner.QueueDeclare("mine", false, false, true, false, nil)
	ok(t, err)
	ok(t, owner.ExchangeDeclare("x", "direct", false, true, false, false, nil))
	ok(t, owner.QueueBind("mine", "k", "x", false, nil))
	ok(t, c.Close())
	if err := ch.ExchangeDeclarePassive("x", "direct", false, true, false, false, nil); err == nil {
		t.Error("an auto-delete exchange outlives its last binding")
	}
	ch = h.channel()
	if _, err := ch.QueueDeclarePassive("mine", false, false, false, false, nil); err == nil {
		t.Error("an exclusive queue outlives its connection")
	}
	ch = h.channel()
	_, err = ch.QueueDeclare("auto", false, true, false, false, nil)
	ok(t, err)
	_, err = ch.Consume("auto", "t", true, false, false, false, nil)
	ok(t, err)
	ok(t, ch.Cancel("t", false))
	for i := 0; ; i++ {
		ch = h.channel()
		_, err := ch.QueueDeclarePassive("auto", false, true, false, false, nil)
		if err != nil {
			break
		}
		if i == 50 {
			t.Fatal("an auto-delete queue outlives its last consumer")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestADeletedQueueCancelsItsConsumers(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch, other := h.channel(), h.channel()
	declare(t, ch, "q", nil)
	cancels := ch.NotifyCancel(make(chan string, 1))
	_, err := ch.Consume("q", "tag", false, false, false, false, nil)
	ok(t, err)
	_, err = other.QueueDelete("q", false, false, false)
	ok(t, err)
	if tag := receive(t, cancels); tag != "tag" {
		t.Fatal(tag)
	}
}

func TestExchangesRouteThroughOthers(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch := h.channel()
	declare(t, ch, "q", nil)
	declare(t, ch, "lost", nil)
	ok(t, ch.ExchangeDeclare("fall", "fanout", true, false, false, false, nil))
	ok(t, ch.QueueBind("lost", "", "fall", false, nil))
	ok(t, ch.ExchangeDeclare("a", "topic", true, false, false, false,
		table{"alternate-exchange": "fall"}))
	ok(t, ch.ExchangeDeclare("b", "headers", true, false, true, false, nil))
	ok(t, ch.ExchangeBind("b", "in.#", "a", false, nil))
	ok(t, ch.ExchangeBind("a", "", "b", false, table{"x-match": "all"})) // a loop
	ok(t, ch.QueueBind("q", "", "b", false, table{"x-match": "any", "to": "q"}))
	ok(t, ch.Publish("a", "in.here", false, false, amqp091.Publishing{Body: []byte("through"),
		Headers: table{"to": "q"}}))
	ok(t, ch.Publish("a", "elsewhere", true, false, amqp091.Publishing{Body: []byte("fell")}))
	if d := mustGet(t, ch, "q"); string(d.Body) != "through" || d.Exchange != "a" {
		t.Errorf("%+v", d)
	}
	if d := mustGet(t, ch, "lost"); string(d.Body) != "fell" || d.RoutingKey != "elsewhere" {
		t.Errorf("%+v", d)
	}
	empty(t, ch, "q")
}

func TestCopiesGoToFurtherKeys(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch := h.channel()
	for _, q := range []string{"a", "b", "c"} {
		declare(t, ch, q, nil)
	}
	ok(t, ch.Publish("", "a", false, false, amqp091.Publishing{Headers: table{
		"CC": []any{"b", "a"}, "BCC": []any{"c"}}}))
	for _, q := range []string{"a", "b", "c"} {
		d := mustGet(t, ch, q)
		if _, there := d.Headers["BCC"]; there || d.Headers["CC"] == nil {
			t.Errorf("%s: %v", q, d.Headers)
		}
		empty(t, ch, q)
	}
}

func TestATransactionHappensAtItsCommit(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch, other := h.channel(), h.channel()
	declare(t, ch, "q", nil)
	publish(t, other, "", "q", "old")
	d := mustGet(t, ch, "q")
	ok(t, ch.Tx())
	publish(t, ch, "", "q", "rolled back")
	ok(t, ch.TxRollback())
	publish(t, ch, "", "q", "new")
	ok(t, d.Ack(false))
	empty(t, other, "q")
	ok(t, ch.TxCommit())
	if d := mustGet(t, other, "q"); string(d.Body) != "new" {
		t.Errorf("%s", d.Body)
	}
	ok(t, ch.Close())
	empty(t, other, "q")
}

func TestRepliesComeDirectly(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	client, server := h.channel(), h.channel()
	declare(t, server, "rpc", nil)
	replies := consume(t, client, "amq.rabbitmq.reply-to", true)
	ok(t, client.Publish("", "rpc", false, false, amqp091.Publishing{
		ReplyTo: "amq.rabbitmq.reply-to", CorrelationId: "7"}))
	d := mustGet(t, server, "rpc")
	if len(d.ReplyTo) <= len("amq.rabbitmq.reply-to.") {
		t.Fatalf("reply to %q", d.ReplyTo)
	}
	_, err := server.QueueDeclarePassive(d.ReplyTo, false, false, false, false, nil)
	ok(t, err)
	ok(t, server.Publish("", d.ReplyTo, true, false, amqp091.Publishing{CorrelationId: d.CorrelationId}))
	if r := receive(t, replies); r.CorrelationId != "7" {
		t.Errorf("%+v", r)
	}
	ok(t, client.Close())
	if _, err := server.QueueDeclarePassive(d.ReplyTo, false, false, false, false, nil); err == nil {
		t.Error("the reply queue outlives its channel")
	}
}

func TestLargeMessagesAndManyFlowThroughTheWindow(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch := h.channel()
	declare(t, ch, "q", nil)
	body := make([]byte, 700<<10)
	for i := range 5 {
		body[0] = byte(i)
		ok(t, ch.Publish("", "q", false, false, amqp091.Publishing{Body: body}))
	}
	for range 3000 {
		publish(t, ch, "", "q", "small")
	}
	ds := consume(t, open(t, h.dial()), "q", false) // never acked: bytes must not stop it
	for i := range 5 {
		if d := receive(t, ds); len(d.Body) != len(body) || d.Body[0] != byte(i) {
			t.Fatalf("message %d has %d bytes", i, len(d.Body))
		}
	}
	for range 3000 {
		receive(t, ds)
	}
}
