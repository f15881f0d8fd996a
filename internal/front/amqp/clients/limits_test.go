package clients

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/front/amqp"
	"trine/internal/front/gate"
	"trine/internal/seamtest"
)

// seat is the seam as another node of the same cluster has it.
type seat struct {
	front.Core
	self core.Peer
}

func (s seat) Self() core.Peer { return s.self }

// TestLimitsCountOverAllNodes: connections through one node count at the other, and are
// free again there when they end.
func TestLimitsCountOverAllNodes(t *testing.T) {
	b := seamtest.New(seamtest.RealTime(), seamtest.Nodes(2))
	defer b.Close()
	g, err := gate.New(b.Cluster(), gate.Options{})
	ok(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ok(t, g.Await(ctx))
	var at []string
	for _, n := range b.Cluster().Nodes() {
		f := amqp.New(seat{b, n.Peer}, amqp.Options{Gate: g, Log: slog.New(slog.DiscardHandler)})
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ok(t, err)
		s := front.Serve(l, front.Options{Name: "amqp", Open: f.Open})
		defer func() { ok(t, s.Shutdown(ctx)) }()
		at = append(at, l.Addr().String())
		if n.Self {
			h := &house{t: t, broker: b, front: f}
			api := h.api(t)
			for path, body := range map[string]string{"vhost-limits/%2F/max-connections": `{"value":2}`,
				"user-limits/guest/max-channels": `{"value":2}`} {
				if status, b := ask(t, api, "PUT", path, "application/json", []byte(body)); status != 204 {
					t.Fatalf("%s: %d %s", path, status, b)
				}
			}
		}
	}
	dial := func(at string) (*amqp091.Connection, error) { return amqp091.Dial("amqp://guest:guest@" + at + "/") }
	until := func(what string, fn func() bool) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); !fn(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(what)
			}
		}
	}
	first, err := dial(at[0])
	ok(t, err)
	defer first.Close()
	second, err := dial(at[1])
	ok(t, err)
	until("a third may come to node 1", func() bool {
		c, err := dial(at[0])
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	open(t, first)
	open(t, second)
	until("a third channel is open at node 2", func() bool {
		ch, err := second.Channel()
		if err == nil {
			ch.Close()
		}
		return err != nil
	})
	<-second.NotifyClose(make(chan *amqp091.Error, 1)) // which costs it the connection
	until("none may come to node 1 though one has gone", func() bool {
		c, err := dial(at[0])
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// TestCopiesNeedTheirTopicsToo: a routing key that a user may not publish with is refused
// in CC and BCC too.
func TestCopiesNeedTheirTopicsToo(t *testing.T) {
	h := gatedHouse(t)
	at := h.api(t)
	for _, c := range [][2]string{{"users/ann", `{"password":"ann","tags":""}`},
		{"permissions/%2F/ann", `{"configure":"","write":".*","read":""}`},
		{"topic-permissions/%2F/ann", `{"exchange":"amq.topic","write":"^{username}\\.","read":""}`}} {
		if status, b := ask(t, at, "PUT", c[0], "application/json", []byte(c[1])); status != 201 {
			t.Fatalf("%s: %d %s", c[0], status, b)
		}
	}
	for header, want := range map[string]int{"CC": 403, "BCC": 403, "other": 0} {
		c, err := amqp091.Dial("amqp://ann:ann@" + h.server.Addr().String() + "/")
		ok(t, err)
		ch := open(t, c)
		closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
		ok(t, ch.Confirm(false))
		sent, err := ch.PublishWithDeferredConfirm("amq.topic", "ann.1", false, false,
			amqp091.Publishing{Headers: table{header: []any{"ann.2", "bob.1"}}})
		ok(t, err)
		select {
		case e := <-closed:
			if e == nil || e.Code != want {
				t.Errorf("%s: %v", header, e)
			}
		case <-sent.Done():
			if want != 0 {
				t.Errorf("%s: it was taken", header)
			}
		}
		_ = c.Close()
	}
}
