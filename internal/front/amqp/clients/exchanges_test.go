package clients

import (
	"fmt"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"trine/internal/front/amqp"
)

func exchange(t *testing.T, ch *amqp091.Channel, name, typ string, args table) {
	t.Helper()
	ok(t, ch.ExchangeDeclare(name, typ, true, false, false, false, args))
}

func bindTo(t *testing.T, ch *amqp091.Channel, q, key, x string) {
	t.Helper()
	declare(t, ch, q, nil)
	ok(t, ch.QueueBind(q, key, x, false, nil))
}

func send(t *testing.T, ch *amqp091.Channel, x, key string, m amqp091.Publishing) {
	t.Helper()
	c, err := ch.PublishWithDeferredConfirm(x, key, true, false, m)
	ok(t, err)
	if !c.Wait() {
		t.Fatal("nacked")
	}
}

func count(t *testing.T, ch *amqp091.Channel, q string) int {
	t.Helper()
	got, err := ch.QueueDeclarePassive(q, true, false, false, false, nil)
	ok(t, err)
	return got.Messages
}

func TestExchangesThatChooseOneQueueChooseOneEach(t *testing.T) {
	for typ, key := range map[string]string{"x-consistent-hash": "2", "x-modulus-hash": "k",
		"x-random": "k", "x-local-random": ""} {
		t.Run(typ, func(t *testing.T) {
			h := newHouse(t, amqp.Options{})
			ch := h.channel()
			ok(t, ch.Confirm(false))
			exchange(t, ch, "x", typ, nil)
			for _, q := range []string{"a", "b", "c"} {
				bindTo(t, ch, q, key, "x")
			}
			for i := range 150 {
				send(t, ch, "x", fmt.Sprint("key", i), amqp091.Publishing{})
			}
			sum := 0
			for _, q := range []string{"a", "b", "c"} {
				n := count(t, ch, q)
				if sum += n; n < 20 {
					t.Errorf("%s has %d of 150", q, n)
				}
			}
			if sum != 150 {
				t.Errorf("%d of 150 are there", sum)
			}
		})
	}
}

func TestAHashedHeaderKeepsItsQueue(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch := h.channel()
	ok(t, ch.Confirm(false))
	exchange(t, ch, "x", "x-consistent-hash", table{"hash-header": "customer"})
	exchange(t, ch, "y", "x-consistent-hash", table{"hash-property": "message_id"})
	for _, x := range []string{"x", "y"} {
		for i := range 4 {
			bindTo(t, ch, fmt.Sprint(x, i), "1", x)
		}
	}
	for i := range 20 {
		send(t, ch, "x", fmt.Sprint(i), amqp091.Publishing{Headers: table{"customer": "bob"}})
		send(t, ch, "y", fmt.Sprint(i), amqp091.Publishing{MessageId: "one"})
	}
	for _, x := range []string{"x", "y"} {
		var counts []int
		for i := range 4 {
			if n := count(t, ch, fmt.Sprint(x, i)); n > 0 {
				counts = append(counts, n)
			}
		}
		if len(counts) != 1 || counts[0] != 20 {
			t.Errorf("%s: %v", x, counts)
		}
	}
}

func TestRecentHistoryIsGivenToWhoComesLater(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch := h.channel()
	ok(t, ch.Confirm(false))
	exchange(t, ch, "x", "x-recent-history", table{"x-recent-history-length": 3})
	bindTo(t, ch, "early", "", "x")
	for i := range 500 {
		send(t, ch, "x", fmt.Sprint("key", i), amqp091.Publishing{Body: []byte(fmt.Sprint(i))})
	}
	send(t, ch, "x", "secret", amqp091.Publishing{Body: []byte("unkept"),
		Headers: table{"x-recent-history-no-store": true}})
	bindTo(t, ch, "late", "", "x")
	if n := count(t, ch, "late"); n != 3 {
		t.Fatalf("%d messages of the history", n)
	}
	for _, want := range []string{"497", "498", "499"} {
		if d := mustGet(t, ch, "late"); string(d.Body) != want || d.Exchange != "x" ||
			d.RoutingKey != "key"+want {
			t.Errorf("%s by %s from %s, want %s", d.Body, d.RoutingKey, d.Exchange, want)
		}
	}
	ok(t, ch.QueueBind("late", "", "x", false, nil)) // once more: it is bound already
	empty(t, ch, "late")
	exchange(t, ch, "further", "fanout", nil)
	bindTo(t, ch, "behind", "", "further")
	ok(t, ch.ExchangeBind("further", "", "x", false, nil))
	if n := count(t, ch, "behind"); n != 3 {
		t.Errorf("%d messages behind another exchange", n)
	}
	if n := count(t, ch, "early"); n != 501 {
		t.Errorf("%d messages were routed", n)
	}
	ok(t, ch.ExchangeDelete("x", false, false))
	exchange(t, ch, "x", "x-recent-history", nil)
	bindTo(t, ch, "new", "", "x")
	empty(t, ch, "new")
}

func TestADelayedMessageComesWhenItsTimeIsOver(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch := h.channel()
	ok(t, ch.Confirm(false))
	returned := ch.NotifyReturn(make(chan amqp091.Return, 10))
	exchange(t, ch, "x", "x-delayed-message", table{"x-delayed-type": "topic"})
	bindTo(t, ch, "q", "a.#", "x")
	bindTo(t, ch, "copy", "b.#", "x")
	ds := consume(t, ch, "q", true)
	start := time.Now()
	delayed := func(ms any, body string) {
		send(t, ch, "x", "a.b", amqp091.Publishing{Body: []byte(body), Expiration: "60000", Priority: 3,
			Headers: table{"x-delay": ms, "BCC": []any{"b.c"}}})
	}
	delayed(int32(400), "second")
	delayed(int64(200), "first")
	delayed("600", "third")
	delayed(int32(-1), "at once")
	send(t, ch, "x", "a.b", amqp091.Publishing{Body: []byte("without")})
	for _, want := range []struct {
		body string
		ms   int
		left any
	}{{"at once", 0, int64(1)}, {"without", 0, nil}, {"first", 200, int64(-200)},
		{"second", 400, int64(-400)}, {"third", 600, int64(-600)}} {
		d := receive(t, ds)
		if took := time.Since(start); string(d.Body) != want.body ||
			took < time.Duration(want.ms-1)*time.Millisecond { // stamps are whole milliseconds
			t.Fatalf("%s after %v, want %s", d.Body, took, want.body)
		}
		if d.Exchange != "x" || d.RoutingKey != "a.b" || want.ms > 0 && d.Headers["x-delay"] != want.left {
			t.Errorf("%+v, want x-delay %v", d, want.left)
		}
		if _, there := d.Headers["BCC"]; there {
			t.Error("BCC is shown")
		}
	}
	if n := count(t, ch, "copy"); n != 4 {
		t.Errorf("%d copies by BCC", n)
	}
	nothing(t, returned)
}

func TestADelayedMessageFollowsTheBindingsOfItsTime(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch := h.channel()
	ok(t, ch.Confirm(false))
	exchange(t, ch, "x", "x-delayed-message", table{"x-delayed-type": "direct"})
	exchange(t, ch, "front", "fanout", nil)
	exchange(t, ch, "gone", "x-delayed-message", table{"x-delayed-type": "direct"})
	ok(t, ch.ExchangeBind("x", "", "front", false, nil))
	ok(t, ch.ExchangeBind("gone", "", "front", false, nil))
	send(t, ch, "front", "k", amqp091.Publishing{Body: []byte("late"), Headers: table{"x-delay": 300}})
	bindTo(t, ch, "q", "k", "x")
	ok(t, ch.QueueBind("q", "k", "gone", false, nil))
	ok(t, ch.ExchangeDelete("gone", false, false))
	if d := receive(t, consume(t, ch, "q", true)); string(d.Body) != "late" || d.Exchange != "front" {
		t.Fatalf("%+v", d)
	}
	time.Sleep(50 * time.Millisecond)
	if n := count(t, ch, "q"); n != 0 {
		t.Errorf("what was delayed by an exchange that is gone came too: %d", n)
	}
}

func TestExchangesSayWhyTheyRefuse(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	setup := h.channel()
	exchange(t, setup, "hash", "x-consistent-hash", nil)
	exchange(t, setup, "near", "x-local-random", nil)
	declare(t, setup, "q", nil)
	declare(t, setup, "qq", table{"x-queue-type": "quorum"})
	for want, do := range map[string]func(ch *amqp091.Channel) error{
		"PRECONDITION_FAILED - Invalid argument, 'x-delayed-type' must be an existing exchange type": declaring(
			"x-delayed-message", nil),
		"PRECONDITION_FAILED - Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'": declaring(
			"x-delayed-message", table{"x-delayed-type": "x-delayed-message"}),
		"PRECONDITION_FAILED - unknown exchange type 'zzz'": declaring("x-delayed-message",
			table{"x-delayed-type": "zzz"}),
		"PRECONDITION_FAILED - Unsupported property: app_id": declaring("x-consistent-hash",
			table{"hash-property": "app_id"}),
		"PRECONDITION_FAILED - hash-header and hash-property are mutually exclusive": declaring(
			"x-consistent-hash", table{"hash-property": "message_id", "hash-header": "h"}),
		"PRECONDITION_FAILED - Invalid argument 0, 'x-recent-history-length' must be a positive integer": declaring(
			"x-recent-history", table{"x-recent-history-length": 0}),
		`PRECONDITION_FAILED - The binding key must be an integer: <<"k">>`: func(ch *amqp091.Channel) error {
			return ch.QueueBind("q", "k", "hash", false, nil)
		},
		"PRECONDITION_FAILED - Non empty binding 'k' key not permitted": func(ch *amqp091.Channel) error {
			return ch.QueueBind("q", "k", "near", false, nil)
		},
		"PRECONDITION_FAILED - Queue type rabbit_quorum_queue not valid for this exchange type": func(
			ch *amqp091.Channel) error {
			return ch.QueueBind("qq", "", "near", false, nil)
		},
		"PRECONDITION_FAILED - Destination not found": func(ch *amqp091.Channel) error {
			return ch.ExchangeBind("hash", "", "near", false, nil)
		},
	} {
		err := do(h.channel())
		if e, is := err.(*amqp091.Error); !is || e.Code != 406 || e.Reason != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func declaring(typ string, args table) func(*amqp091.Channel) error {
	return func(ch *amqp091.Channel) error {
		return ch.ExchangeDeclare("bad", typ, true, false, false, false, args)
	}
}
