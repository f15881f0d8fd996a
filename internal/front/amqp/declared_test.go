package amqp

import (
	"io"
	"log/slog"
	"strings"
	"testing"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
	"trine/internal/seamtest"
)

// overtaken is a core to which a policy comes from elsewhere just before a queue.
type overtaken struct {
	*seamtest.Broker
	policy topology.Policy
}

func (o overtaken) Streams() front.Streams { return overtakenStreams{o.Broker.Streams(), o} }

type overtakenStreams struct {
	front.Streams
	by overtaken
}

func (s overtakenStreams) Define(d core.Definition, done func(*core.Stream, error)) {
	topology.SetPolicy(s.by.Broker, s.by.policy, func(error) { s.Streams.Define(d, done) })
}

// TestAPolicyThatOvertookAQueueIsAppliedToIt: the declaring node did not know the policy,
// and who applied the policy did not know the queue.
func TestAPolicyThatOvertookAQueueIsAppliedToIt(t *testing.T) {
	b := seamtest.New()
	t.Cleanup(b.Close)
	limit := topology.Policy{VHost: "/", Name: "p", Pattern: "^q$", ApplyTo: "queues"}
	limit.Definition.MaxLength = new(int64(7))
	f := New(overtaken{b, limit}, Options{Rand: strings.NewReader(strings.Repeat("0123456789", 1000)),
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	b.Idle()
	h := &hand{b: b}
	h.conn = f.Open(h)
	h.feed(wire.AppendMethod(hello(), 1, &wire.QueueDeclare{Queue: "q", Durable: true}))
	s := b.Streams().Lookup(topology.StreamName("/", "q"))
	if s == nil || s.Queue == nil || s.Queue.LengthMax != 7 {
		t.Fatalf("the queue is %+v", s)
	}
}
