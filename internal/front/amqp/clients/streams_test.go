package clients

import (
	"fmt"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"trine/internal/front/amqp"
)

var aStream = table{"x-queue-type": "stream"}

func streamOf(t *testing.T, h *house, name string, messages int) *amqp091.Channel {
	t.Helper()
	ch := h.channel()
	ok(t, ch.Confirm(false))
	declare(t, ch, name, aStream)
	for i := range messages {
		send(t, ch, "", name, amqp091.Publishing{Body: []byte(fmt.Sprint(i))})
	}
	return ch
}

func readStream(t *testing.T, ch *amqp091.Channel, q string, prefetch int, offset any) <-chan amqp091.Delivery {
	t.Helper()
	ok(t, ch.Qos(prefetch, 0, false))
	args := table{}
	if offset != nil {
		args["x-stream-offset"] = offset
	}
	ds, err := ch.Consume(q, "", false, false, false, false, args)
	ok(t, err)
	return ds
}

func TestAStreamIsReadByEachFromWhereHeSays(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	before := time.Now().Add(-time.Minute)
	ch := streamOf(t, h, "s", 10)
	if n := count(t, ch, "s"); n != 10 {
		t.Fatalf("%d messages", n)
	}
	for _, c := range []struct {
		offset any
		first  int64
	}{{"first", 0}, {int64(4), 4}, {int32(9), 9}, {"last", 9}, {before, 0}, {"1h", 0}, {"next", 10}, {nil, 10},
		{int64(12), 12}, {time.Now().Add(time.Hour), 10}} {
		t.Run(fmt.Sprint(c.offset), func(t *testing.T) {
			ds := readStream(t, h.channel(), "s", 100, c.offset)
			if c.first < 10 {
				for at := c.first; at < 10; at++ {
					d := receive(t, ds)
					if d.Headers["x-stream-offset"] != at || string(d.Body) != fmt.Sprint(at) ||
						d.Redelivered || d.RoutingKey != "s" {
						t.Fatalf("%+v, want %d", d, at)
					}
				}
			}
			nothing(t, ds)
		})
	}
	ds := readStream(t, h.channel(), "s", 1, "next")
	late := readStream(t, h.channel(), "s", 1, int64(11))
	send(t, ch, "", "s", amqp091.Publishing{Body: []byte("new")})
	if d := receive(t, ds); string(d.Body) != "new" || d.Headers["x-stream-offset"] != int64(10) {
		t.Fatalf("%+v", d)
	}
	nothing(t, late)
	send(t, ch, "", "s", amqp091.Publishing{Body: []byte("newer")})
	if d := receive(t, late); string(d.Body) != "newer" {
		t.Fatalf("%+v", d)
	}
}

func TestAStreamsConsumerHoldsNoMoreThanItsPrefetch(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	streamOf(t, h, "s", 6)
	ch := h.channel()
	ds := readStream(t, ch, "s", 2, "first")
	one, two := receive(t, ds), receive(t, ds)
	nothing(t, ds)
	ok(t, one.Nack(false, true)) // counts as an acknowledgement: nothing comes back
	three := receive(t, ds)
	nothing(t, ds)
	ok(t, three.Ack(true))
	for _, want := range []string{"3", "4"} {
		if d := receive(t, ds); string(d.Body) != want {
			t.Fatalf("%s, want %s", d.Body, want)
		}
	}
	if err := two.Ack(false); err != nil {
		t.Fatal(err)
	}
	e := receive(t, ch.NotifyClose(make(chan *amqp091.Error, 1)))
	if e.Reason != "PRECONDITION_FAILED - unknown delivery tag 2" {
		t.Fatal(e)
	}
}

func TestAStreamsConsumersAreCancelledAndTold(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch := streamOf(t, h, "s", 3)
	mine := h.channel()
	ok(t, mine.Qos(1, 0, false))
	ds, err := mine.Consume("s", "tag", false, false, false, false, table{"x-stream-offset": "first"})
	ok(t, err)
	d := receive(t, ds)
	ok(t, mine.Cancel("tag", false))
	ok(t, d.Ack(false)) // of a consumer that is gone
	nothing(t, ds)
	told := mine.NotifyCancel(make(chan string, 1))
	_, err = mine.Consume("s", "again", false, false, false, false, table{"x-stream-offset": "next"})
	ok(t, err)
	_, err = ch.QueueDelete("s", false, false, false)
	ok(t, err)
	if tag := receive(t, told); tag != "again" {
		t.Error(tag)
	}
}

func TestAStreamGivesWhatItsFilterNames(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch := streamOf(t, h, "s", 1)
	for _, v := range []string{"red", "blue", "red"} {
		send(t, ch, "", "s", amqp091.Publishing{Body: []byte(v), Headers: table{"x-stream-filter-value": v}})
	}
	mine := h.channel()
	ok(t, mine.Qos(10, 0, false))
	ds, err := mine.Consume("s", "", false, false, false, false, table{"x-stream-offset": "first",
		"x-stream-filter": []any{"red"}, "x-stream-match-unfiltered": true})
	ok(t, err)
	for _, want := range []string{"0", "red", "red"} {
		if d := receive(t, ds); string(d.Body) != want {
			t.Fatalf("%s, want %s", d.Body, want)
		}
	}
	nothing(t, ds)
}

func TestAStreamTakesLargeAndManyMessages(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch := h.channel()
	ok(t, ch.Confirm(false))
	declare(t, ch, "s", aStream)
	const n = 3000
	large := make([]byte, 3<<20)
	var last *amqp091.DeferredConfirmation
	for i := range n {
		m := amqp091.Publishing{MessageId: fmt.Sprint(i)}
		if i%1000 == 500 {
			m.Body = large
		}
		c, err := ch.PublishWithDeferredConfirm("", "s", false, false, m)
		ok(t, err)
		last = c
	}
	last.Wait()
	ds := readStream(t, h.channel(), "s", 100, "first")
	for i := range n {
		d := receive(t, ds)
		if d.MessageId != fmt.Sprint(i) || i%1000 == 500 && len(d.Body) != len(large) {
			t.Fatalf("%s with %d bytes, want %d", d.MessageId, len(d.Body), i)
		}
		if i%50 == 49 {
			ok(t, d.Ack(true))
		}
	}
}

func TestAStreamsArgumentsAreJudged(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	declare(t, h.channel(), "s", table{"x-queue-type": "stream", "x-max-age": "7D",
		"x-max-length-bytes": 1 << 30, "x-stream-max-segment-size-bytes": 1 << 20, "x-initial-cluster-size": 1})
	for want, args := range map[string]table{
		"invalid arg 'x-max-age' for queue 'n' in vhost '/': invalid_max_age": {"x-max-age": "7 days"},
		"Exceeded max value for x-stream-max-segment-size-bytes": {
			"x-stream-max-segment-size-bytes": int64(3_000_000_001)},
		"invalid arg 'x-message-ttl' for queue 'n' in vhost '/' of queue type rabbit_stream_queue": {
			"x-message-ttl": 5},
		"invalid arg 'x-max-age' for queue 'n' in vhost '/' of queue type rabbit_classic_queue": {
			"x-queue-type": "classic", "x-max-age": "1h"},
	} {
		if args["x-queue-type"] == nil {
			args["x-queue-type"] = "stream"
		}
		_, err := h.channel().QueueDeclare("n", true, false, false, false, args)
		if e, is := err.(*amqp091.Error); !is || e.Reason != "PRECONDITION_FAILED - "+want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	ch := h.channel()
	ok(t, ch.Qos(1, 0, false))
	_, err := ch.Consume("s", "", false, false, false, false, table{"x-stream-offset": "soon"})
	want := "PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue 's' in vhost '/': " +
		"{invalid_stream_offset_arg,{longstr,<<\"soon\">>}}"
	if e, is := err.(*amqp091.Error); !is || e.Reason != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
