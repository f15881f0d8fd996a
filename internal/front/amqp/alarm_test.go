package amqp

import (
	"strings"
	"testing"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/front/amqp/wire"
)

// helloBlocked is hello of a client that understands connection.blocked.
func helloBlocked() []byte {
	b := append([]byte(nil), wire.ProtocolHeader[:]...)
	caps := wire.Table(nil).PutBool("connection.blocked", true)
	for _, m := range []wire.Method{
		&wire.ConnectionStartOk{ClientProperties: wire.Table(nil).PutTable("capabilities", caps),
			Mechanism: "PLAIN", Response: []byte("\x00guest\x00guest"), Locale: "en_US"},
		&wire.ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072, Heartbeat: 10},
		&wire.ConnectionOpen{VHost: "/"},
	} {
		b = wire.AppendMethod(b, 0, m)
	}
	b = wire.AppendMethod(b, 1, &wire.ChannelOpen{})
	return wire.AppendMethod(b, 1, &wire.QueueDeclare{Queue: "q", Durable: true})
}

func (h *hand) cramp(on bool) {
	ns := h.b.Cluster().Nodes()
	ns[0].Cramped = on
	h.b.SetNodes(ns)
	h.b.Advance(2 * 100e6)
	h.rest()
}

func TestAPublisherWithoutConfirmsWaitsForRoom(t *testing.T) {
	h := newHand(t)
	h.feed(helloBlocked())
	h.said()
	h.cramp(true)
	h.feed(message091(nil, 1, "", "nowhere", "x", false)) // what no full disk concerns
	if got := methods(t, h.said()); got != "" || h.held {
		t.Fatalf("%s, held %v", got, h.held)
	}
	h.feed(message091(message091(nil, 1, "", "q", "one", false), 1, "", "q", "two", false))
	if got := methods(t, h.said()); got != "ConnectionBlocked" || !h.held {
		t.Fatalf("%s, held %v", got, h.held)
	}
	h.Lock()
	h.conn.(*conn).SetPace(h.b.Now(), front.Paused) // as the socket says that holds it
	h.Unlock()
	for range 10 { // nobody hears the client meanwhile
		h.b.Advance(5e9)
		h.rest()
	}
	if h.ended {
		t.Fatal("a client that is not read was cut for its silence:", h.err)
	}
	h.said()
	h.cramp(false)
	if got := methods(t, h.said()); got != "ConnectionUnblocked" || h.held {
		t.Fatalf("%s, held %v", got, h.held)
	}
	h.feed(wire.AppendMethod(nil, 1, &wire.QueueDeclare{Queue: "q", Passive: true}))
	m := &wire.QueueDeclareOk{}
	if got := lastMethod(t, h.said(), m); m.Messages != 2 {
		t.Fatalf("%s: %+v", got, m)
	}
}

func TestAPublisherWithConfirmsIsRefusedAndTold(t *testing.T) {
	h := newHand(t)
	h.feed(helloBlocked())
	h.said()
	h.feed(wire.AppendMethod(nil, 1, &wire.ConfirmSelect{}))
	h.said()
	h.cramp(true)
	h.feed(message091(message091(nil, 1, "", "q", "one", false), 1, "", "q", "two", false))
	if got := methods(t, h.said()); got != "ConnectionBlocked Nack Nack" || h.held {
		t.Fatalf("%s, held %v", got, h.held)
	}
	h.cramp(false)
	if got := methods(t, h.said()); got != "ConnectionUnblocked" {
		t.Fatal(got)
	}
	h.feed(message091(nil, 1, "", "q", "three", false))
	if got := methods(t, h.said()); got != "Ack" {
		t.Fatal(got)
	}
}

func TestATransactionThatIsNotWhollyStoredIsNotCommitted(t *testing.T) {
	for name, refuse := range map[string]func(h *hand){
		"its disk is full": func(h *hand) { h.cramp(true) },
		"its queue is full": func(h *hand) {
			h.b.Fail(func(verb, name string) error {
				if verb == "append" {
					return &core.Error{Op: verb, Name: name, Kind: core.Full, Detail: core.LimitReached}
				}
				return nil
			})
		},
	} {
		h := newHand(t)
		h.feed(helloBlocked())
		h.said()
		h.feed(wire.AppendMethod(nil, 1, &wire.TxSelect{}))
		refuse(h)
		h.said()
		h.feed(wire.AppendMethod(message091(nil, 1, "", "q", "x", false), 1, &wire.TxCommit{}))
		if got := methods(t, h.said()); !strings.HasSuffix(got,
			"ChannelClose PRECONDITION_FAILED - partial tx completion") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestAClientIsToldWhenTheNodeKeepsItWaiting(t *testing.T) {
	h := newHand(t)
	h.feed(helloBlocked())
	h.said()
	pace := func(p front.Pace) {
		h.Lock()
		h.conn.(*conn).SetPace(h.b.Now(), p)
		h.Unlock()
		h.rest()
	}
	pace(front.Short)
	h.b.Advance(5e8)
	h.rest()
	pace(front.Flowing) // soon over: nobody is troubled
	h.b.Advance(2e9)
	h.rest()
	if got := methods(t, h.said()); got != "" {
		t.Fatal(got)
	}
	pace(front.Short)
	h.b.Advance(15e8)
	h.rest()
	if got := methods(t, h.said()); got != "ConnectionBlocked" {
		t.Fatal(got)
	}
	pace(front.Flowing)
	if got := methods(t, h.said()); got != "ConnectionUnblocked" {
		t.Fatal(got)
	}
}

// lastMethod reads the last method of a row of frames into m.
func lastMethod(t *testing.T, b []byte, m *wire.QueueDeclareOk) string {
	t.Helper()
	names := methods(t, b)
	for len(b) > 0 {
		f, n, _ := wire.Cut(b, 1<<20)
		b = b[n:]
		if got, err := wire.ParseMethod(f.Payload); err == nil && f.Type == wire.FrameMethod {
			if ok, is := got.(*wire.QueueDeclareOk); is {
				*m = *ok
			}
		}
	}
	return names
}
