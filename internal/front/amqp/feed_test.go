package amqp

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/front/amqp/wire"
	"trine/internal/seamtest"
)

// hand is a Wire without a socket: a test feeds its conn by hand.
type hand struct {
	sync.Mutex
	b     *seamtest.Broker
	conn  front.Conn
	out   front.Output
	owed  int
	held  bool
	ended bool
	err   error
	tick  core.Time
}

func (h *hand) Out() *front.Output { return &h.out }
func (h *hand) Wake()              {}
func (h *hand) TickAt(t core.Time) { h.tick = earlier(h.tick, t) }
func (h *hand) Owe(n int)          { h.owed += n }
func (h *hand) Hold(on bool)       { h.held = on }
func (h *hand) Ready()             {}
func (h *hand) End(err error)      { h.ended, h.err = true, err }
func (h *hand) Now() core.Now      { return h.b.Now() }
func (h *hand) Info() front.Info {
	a := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
	return front.Info{ID: 1, Local: a, Remote: a}
}

// feed hands bytes over and lets everything that follows from them happen.
func (h *hand) feed(b []byte) {
	h.Lock()
	err := h.conn.Feed(h.b.Now(), b)
	if err != nil && !h.ended {
		h.ended, h.err = true, err
	}
	h.Unlock()
	h.rest()
}

// rest lets the broker come to rest, and the conn work off what waited.
func (h *hand) rest() {
	for {
		h.b.Idle()
		h.Lock()
		due := h.tick != 0 && h.tick <= h.b.Now().Mono
		if due {
			h.tick = 0
			h.tick = h.conn.Tick(h.b.Now())
		}
		h.Unlock()
		if !due {
			return
		}
	}
}

// said takes what was written.
func (h *hand) said() []byte {
	h.Lock()
	defer h.Unlock()
	parts, _ := h.out.Take(nil, nil)
	return bytes.Join(parts, nil)
}

func newHand(t testing.TB) *hand {
	b := seamtest.New()
	t.Cleanup(b.Close)
	f := New(b, Options{Rand: strings.NewReader(strings.Repeat("0123456789", 10000)),
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	b.Idle()
	h := &hand{b: b}
	h.conn = f.Open(h)
	return h
}

// hello is what a client says until its connection is open, with channel 1.
func hello() []byte {
	b := append([]byte(nil), wire.ProtocolHeader[:]...)
	for _, m := range []wire.Method{
		&wire.ConnectionStartOk{Mechanism: "PLAIN", Response: []byte("\x00guest\x00guest"), Locale: "en_US"},
		&wire.ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072, Heartbeat: 0},
		&wire.ConnectionOpen{VHost: "/"},
	} {
		b = wire.AppendMethod(b, 0, m)
	}
	return wire.AppendMethod(b, 1, &wire.ChannelOpen{})
}

func message091(b []byte, ch uint16, exchange, key, body string, mandatory bool) []byte {
	b = wire.AppendMethod(b, ch, &wire.BasicPublish{Exchange: []byte(exchange),
		RoutingKey: []byte(key), Mandatory: mandatory})
	return wire.AppendContent(b, ch, wire.NoProperties, []byte(body), 131072)
}

// dialog is a whole conversation: what a client says, without waiting.
func dialog(large int) []byte {
	b := hello()
	for _, m := range []wire.Method{
		&wire.QueueDeclare{Queue: "q", Durable: true},
		&wire.ExchangeDeclare{Exchange: "x", Type: "topic", Durable: true},
		&wire.QueueBind{Queue: "q", Exchange: "x", RoutingKey: "a.#"},
		&wire.ConfirmSelect{},
	} {
		b = wire.AppendMethod(b, 1, m)
	}
	b = message091(b, 1, "x", "a.b", "one", true)
	b = message091(b, 1, "x", "nowhere", "two", true)
	b = message091(b, 1, "", "q", strings.Repeat("three", large), false)
	for _, m := range []wire.Method{
		&wire.BasicGet{Queue: "q"}, &wire.BasicAck{DeliveryTag: 1},
		&wire.BasicConsume{Queue: "q", Tag: "t"}, &wire.BasicAck{DeliveryTag: 2},
		&wire.BasicCancel{Tag: "t"}, &wire.QueueDelete{Queue: "q"}, &wire.ChannelClose{Code: 200},
	} {
		b = wire.AppendMethod(b, 1, m)
	}
	return wire.AppendMethod(b, 0, &wire.ConnectionClose{Code: 200})
}

// methods names what stands in a row of frames.
func methods(t *testing.T, b []byte) string {
	t.Helper()
	var names []string
	for len(b) > 0 {
		f, n, err := wire.Cut(b, 1<<20)
		if err != nil || n == 0 {
			t.Fatalf("%d bytes are no frame: %v", len(b), err)
		}
		b = b[n:]
		if f.Type != wire.FrameMethod {
			continue
		}
		m, err := wire.ParseMethod(f.Payload)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(strings.TrimPrefix(typeName(m), "*wire."), "Basic")
		if d, is := m.(*wire.ConnectionClose); is {
			name += " " + d.Text
		}
		if d, is := m.(*wire.ChannelClose); is {
			name += " " + d.Text
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func TestADialogIsAnsweredAlikeHoweverItIsCut(t *testing.T) {
	whole := newHand(t)
	whole.feed(dialog(30000))
	want := methods(t, whole.said())
	if !strings.HasSuffix(want, "ChannelCloseOk ConnectionCloseOk") || !whole.ended || whole.err != nil {
		t.Fatalf("%s, ended %v: %v", want, whole.ended, whole.err)
	}
	if whole.owed != 0 {
		t.Errorf("%d bytes are owed in the end", whole.owed)
	}
	for _, size := range []int{1, 7, 100, 4096} {
		h := newHand(t)
		for b := dialog(30000); len(b) > 0; {
			n := min(size, len(b))
			if size == 1 && len(b) > 2000 && len(b) < 100000 { // the large body, in fewer steps
				n = 1000
			}
			h.feed(b[:n])
			b = b[n:]
		}
		// Confirms may come earlier or together, and so may the answers around them.
		if got := methods(t, h.said()); sorted(got) != sorted(want) {
			t.Errorf("in pieces of %d:\n%s\n%s", size, got, want)
		}
	}
}

func TestPublishersAnswersComeInOrder(t *testing.T) {
	h := newHand(t)
	h.feed(hello())
	b := wire.AppendMethod(nil, 1, &wire.ConfirmSelect{})
	b = message091(b, 1, "", "nobody", "x", true)
	h.feed(b)
	got := methods(t, h.said())
	if !strings.HasSuffix(got, "ConfirmSelectOk Return Ack") {
		t.Fatal(got)
	}
}

func TestFramesOutOfOrderEndTheConnection(t *testing.T) {
	publish := wire.AppendMethod(nil, 1, &wire.BasicPublish{RoutingKey: []byte("q")})
	for name, c := range map[string]struct {
		say  []byte
		want string
	}{
		"a body without a method": {wire.AppendFrame(nil, wire.FrameBody, 1, []byte("x")),
			"UNEXPECTED_FRAME"},
		"a method within content": {wire.AppendMethod(publish, 1, &wire.QueueDeclare{Queue: "q"}),
			"UNEXPECTED_FRAME"},
		"a channel that is not open": {wire.AppendMethod(nil, 9, &wire.QueueDeclare{Queue: "q"}),
			"CHANNEL_ERROR - expected 'channel.open'"},
		"a channel opened twice": {wire.AppendMethod(nil, 1, &wire.ChannelOpen{}),
			"CHANNEL_ERROR - second 'channel.open' seen"},
		"a wrong end of a frame":    {append(wire.AppendHeartbeat(nil)[:7], 0), "FRAME_ERROR"},
		"a frame that is too large": {[]byte{1, 0, 1, 0xff, 0xff, 0xff, 0xff}, "FRAME_ERROR"},
		"an unknown method": {wire.AppendFrame(nil, wire.FrameMethod, 1, []byte{0, 99, 0, 99}),
			"NOT_IMPLEMENTED"},
		"a connection method on a channel": {wire.AppendMethod(nil, 1, &wire.ConnectionOpen{}),
			"COMMAND_INVALID"},
		"more body than announced": {wire.AppendFrame(wire.AppendHeader(publish, 1, 1, wire.NoProperties),
			wire.FrameBody, 1, []byte("xx")), "FRAME_ERROR"},
	} {
		h := newHand(t)
		h.feed(hello())
		h.said()
		h.feed(c.say)
		if got := methods(t, h.said()); !strings.HasPrefix(got, "ConnectionClose "+c.want) {
			t.Errorf("%s: %s", name, got)
		}
		h.feed(wire.AppendMethod(nil, 0, &wire.ConnectionCloseOk{}))
		if !h.ended {
			t.Errorf("%s: not ended by close-ok", name)
		}
	}
}

func TestABodyAboveTheLimitClosesItsChannelBeforeItArrives(t *testing.T) {
	h := newHand(t)
	h.feed(hello())
	h.said()
	b := wire.AppendMethod(nil, 1, &wire.BasicPublish{RoutingKey: []byte("q")})
	h.feed(wire.AppendHeader(b, 1, 16<<20+1, wire.NoProperties))
	want := "ChannelClose PRECONDITION_FAILED - message size 16777217 is larger than configured max " +
		"size 16777216"
	if got := methods(t, h.said()); got != want {
		t.Fatal(got)
	}
}

func TestASilentClientIsCutAndAQuietServerBeats(t *testing.T) {
	h := newHand(t)
	b := append([]byte(nil), wire.ProtocolHeader[:]...)
	b = wire.AppendMethod(b, 0, &wire.ConnectionStartOk{Mechanism: "PLAIN",
		Response: []byte("\x00guest\x00guest")})
	b = wire.AppendMethod(b, 0, &wire.ConnectionTuneOk{ChannelMax: 10, FrameMax: 4096, Heartbeat: 10})
	h.feed(wire.AppendMethod(b, 0, &wire.ConnectionOpen{VHost: "/"}))
	h.said()
	for range 6 {
		h.b.Advance(5e9)
		h.rest()
	}
	beats := h.said()
	if len(beats) == 0 || !bytes.Equal(beats[:8], wire.AppendHeartbeat(nil)) {
		t.Errorf("no heartbeat: %x", beats)
	}
	if !h.ended || !strings.Contains(h.err.Error(), "missed heartbeats") {
		t.Errorf("ended %v: %v", h.ended, h.err)
	}
}

func FuzzFeed(f *testing.F) {
	f.Add(dialog(3)[len(hello()):], 100)
	f.Add(wire.AppendMethod(nil, 1, &wire.TxSelect{}), 3)
	seed := wire.AppendMethod(nil, 1, &wire.QueueDeclare{Queue: "q"})
	seed = wire.AppendMethod(seed, 1, &wire.BasicConsume{Queue: "q", NoAck: true})
	f.Add(message091(seed, 1, "", "q", "body", true), 20)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		h := newHand(t)
		h.feed(hello())
		for size = max(size, 1); len(b) > 0 && !h.ended; {
			n := min(size, len(b))
			h.feed(b[:n])
			b = b[n:]
		}
		h.Lock()
		h.conn.Closed(h.b.Now(), io.ErrUnexpectedEOF)
		h.Unlock()
		h.b.Idle()
	})
}

func typeName(v any) string { return fmt.Sprintf("%T", v) }

func sorted(words string) string {
	ws := strings.Fields(words)
	slices.Sort(ws)
	return strings.Join(ws, " ")
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
