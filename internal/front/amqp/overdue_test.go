package amqp

import (
	"strings"
	"testing"
	"time"

	"trine/internal/front/amqp/wire"
)

func TestAMessageIsNotLeftWithAClientForEver(t *testing.T) {
	h := newHand(t)
	h.feed(helloBlocked())
	short := wire.Table(nil).PutInt("x-consumer-timeout", 60_000)
	b := wire.AppendMethod(nil, 1, &wire.QueueDeclare{Queue: "short", Durable: true, Arguments: short})
	b = wire.AppendMethod(b, 2, &wire.ChannelOpen{})
	for _, q := range []string{"q", "short"} {
		b = message091(b, 1, "", q, "one", false)
		b = message091(b, 1, "", q, "two", false)
	}
	h.feed(b)
	beat := func(d time.Duration) {
		for ; d > 0; d -= 5 * time.Second {
			h.b.Advance(5 * time.Second)
			h.feed(wire.AppendHeartbeat(nil))
		}
	}
	b = wire.AppendMethod(nil, 1, &wire.BasicConsume{Queue: "short", Tag: "t"})
	h.feed(wire.AppendMethod(b, 2, &wire.BasicConsume{Queue: "q", Tag: "t"}))
	beat(30 * time.Second)
	h.feed(wire.AppendMethod(nil, 1, &wire.BasicAck{DeliveryTag: 1}))
	h.said()
	beat(25 * time.Second)
	if got := said(t, h); got != "" {
		t.Fatal(got)
	}
	beat(10 * time.Second)
	want := "ChannelClose PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value " +
		"used: 60000 ms. This timeout value can be configured, see consumers doc guide to learn more"
	if got := said(t, h); got != want {
		t.Fatal(got)
	}
	beat(1720 * time.Second)
	if got := said(t, h); got != "" {
		t.Fatal(got)
	}
	beat(20 * time.Second)
	if got := said(t, h); !strings.Contains(got, "channel 2 timed out. Timeout value used: 1800000 ms") {
		t.Fatal(got)
	}
	h.feed(wire.AppendMethod(wire.AppendMethod(nil, 3, &wire.ChannelOpen{}), 3,
		&wire.QueueDeclare{Queue: "short", Passive: true}))
	m := &wire.QueueDeclareOk{}
	if got := lastMethod(t, h.said(), m); m.Messages != 1 {
		t.Errorf("%s: %d messages are back", got, m.Messages)
	}
}

// said gives the methods that were said, without heartbeats.
func said(t *testing.T, h *hand) string {
	t.Helper()
	return methods(t, h.said())
}
