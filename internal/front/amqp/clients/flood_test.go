package clients

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"trine/internal/front/amqp"
	"trine/internal/front/amqp/wire"
)

// heap gives the bytes in use after a collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// running is a raw client with as many channels as it likes and channel 1 open.
func (h *house) running(frameMax uint32) *raw {
	h.t.Helper()
	r, err := dialRaw(h.server.Addr().String())
	ok(h.t, err)
	h.t.Cleanup(func() { _ = r.c.Close() })
	r.say(wire.ProtocolHeader[:])
	r.say(methodOn(0, startOk))
	r.say(tuneOkWith(2047, frameMax))
	r.say(methodOn(0, openTo))
	r.say(methodOn(1, &wire.ChannelOpen{}))
	for {
		_, m, err := r.next(5 * time.Second)
		ok(h.t, err)
		if m.ID() == wire.IDChannelOpenOk {
			return r
		}
	}
}

// closedWith reads until the connection is closed and gives the reply's code.
func (r *raw) closedWith(t *testing.T) uint16 {
	t.Helper()
	for {
		_, m, err := r.next(20 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if c, is := m.(*wire.ConnectionClose); is {
			return c.Code
		}
	}
}

// neighbour is another client, who is served whatever happens beside him.
func (h *house) neighbour() func() {
	ch := h.channel()
	ok(h.t, ch.Confirm(false))
	declare(h.t, ch, "neighbour", nil)
	return func() {
		h.t.Helper()
		done := make(chan bool, 1)
		go func() { // ends with the confirm, or the connection
			c, err := ch.PublishWithDeferredConfirm("", "neighbour", true, false, amqp091.Publishing{})
			done <- err == nil && c.Wait()
		}()
		if !receive(h.t, done) {
			h.t.Error("the neighbour was refused")
		}
	}
}

func TestAFloodOfChannelsWithHalfMessagesIsBounded(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	served := h.neighbour()
	before := heap()
	r := h.running(131072)
	part := make([]byte, 60<<10)
	go func() { // ends when the connection does
		for ch := uint16(1); ch < 2048; ch++ {
			b := []byte{}
			if ch > 1 {
				b = methodOn(ch, &wire.ChannelOpen{})
			}
			b = append(b, methodOn(ch, &wire.BasicPublish{RoutingKey: []byte("q")})...)
			b = wire.AppendHeader(b, ch, 16<<20, wire.NoProperties)
			r.say(wire.AppendFrame(b, wire.FrameBody, ch, part))
		}
	}()
	if code := r.closedWith(t); code != wire.ResourceError {
		t.Errorf("closed with %d", code)
	}
	if grown := heap() - before; grown > 160<<20 {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
	served()
	r.say(methodOn(0, &wire.ConnectionCloseOk{}))
	for range 100 {
		if heap()-before < 16<<20 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if left := heap() - before; left > 16<<20 {
		t.Errorf("%d MiB stay when it is over", left>>20)
	}
}

func TestAClientThatReadsNothingIsReadNoMore(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	served := h.neighbour()
	before := heap()
	r := h.running(131072)
	_ = r.c.SetWriteDeadline(time.Now().Add(2 * time.Second))
	ask := bytes.Repeat(methodOn(1, &wire.ExchangeDeclare{Exchange: "amq.direct", Passive: true}), 1000)
	sent := 0
	for {
		n, err := r.c.Write(ask)
		if sent += n; err != nil {
			break
		}
		if sent > 1<<30 {
			t.Fatal("it is read for ever")
		}
	}
	if grown := heap() - before; grown > 64<<20 {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
	served()
	served()
}

func TestBadTablesAreSyntaxErrors(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	served := h.neighbour()
	deep := wire.Table(nil).PutBool("x", true)
	for range 100 {
		deep = wire.Table(nil).PutTable("t", deep)
	}
	long := wire.Table(nil).PutString("s", "text")
	binary.BigEndian.PutUint32(long[3:], 1<<31) // of the string
	unknown := wire.Table(nil).PutBool("x", true)
	unknown[2] = '?'
	for name, args := range map[string]wire.Table{"deep": deep, "long": long, "unknown": unknown,
		"cut": wire.Table(nil).PutString("s", "text")[:5], "a name beyond its end": {200, 'x'}} {
		for what, say := range map[string][]byte{
			"arguments": methodOn(1, &wire.QueueDeclare{Queue: "q", Arguments: args}),
			"headers": wire.AppendHeader(publishTo("q"), 1, 0,
				(&wire.Fields{Flags: wire.HasHeaders, Headers: args}).Append(nil)),
		} {
			r := h.running(131072)
			r.say(say)
			if code := r.closedWith(t); code != wire.SyntaxError && code != wire.FrameError {
				t.Errorf("%s %s: closed with %d", name, what, code)
			}
		}
	}
	served()
}

func TestMessagesAboveTheLimitAreRefusedWithoutBeingKept(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	served := h.neighbour()
	before := heap()
	r := h.running(131072)
	b := wire.AppendHeader(publishTo("q"), 1, 1<<30, wire.NoProperties)
	r.say(b)
	_, m, err := r.next(5 * time.Second)
	ok(t, err)
	if c, is := m.(*wire.ChannelClose); !is || c.Code != wire.PreconditionFailed {
		t.Fatalf("%+v", m)
	}
	part := wire.AppendFrame(nil, wire.FrameBody, 1, make([]byte, 131064))
	for range 1000 { // it goes on all the same
		r.say(part)
	}
	served()
	if grown := heap() - before; grown > 32<<20 {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
	r.say(methodOn(1, &wire.ChannelCloseOk{}))
	r.say(methodOn(1, &wire.ChannelOpen{}))
	if _, m, err := r.next(5 * time.Second); err != nil || m.ID() != wire.IDChannelOpenOk {
		t.Errorf("the channel's number is not free: %v, %v", m, err)
	}
}

func TestOtherProtocolsAreToldWhichIsSpoken(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	for _, first := range []string{"GET / HTTP/1.1\r\n\r\n", "AMQP\x00\x01\x00\x00", "AMQP\x03\x01\x00\x00",
		"\x16\x03\x01\x02\x00\x01\x00\x01", strings.Repeat("\xff", 8)} {
		r, err := dialRaw(h.server.Addr().String())
		ok(t, err)
		r.say([]byte(first))
		got := make([]byte, 16)
		_ = r.c.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, _ := r.c.Read(got)
		if string(got[:n]) != "AMQP\x00\x00\x09\x01" {
			t.Errorf("%q: %q", first, got[:n])
		}
		if _, err := r.c.Read(got); err == nil {
			t.Errorf("%q: it goes on", first)
		}
		_ = r.c.Close()
	}
}
