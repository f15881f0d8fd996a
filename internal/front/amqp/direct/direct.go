// Package direct is a connection without a socket: how the HTTP API does what AMQP's
// methods do, with their checks and their replies.
//
//	caller ──▶ Feed ──▶ front.Conn ──▶ Out ──▶ frames ──▶ caller
package direct

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/front/amqp"
	"trine/internal/front/amqp/wire"
)

// Conn is one connection in a virtual host. It has one channel, is listed nowhere, and
// is used by one goroutine at a time.
type Conn struct {
	c        front.Conn
	wire     socketless
	frameMax int
	in       []byte // the beginning of a frame whose end has not been taken
	replies  []reply
	closed   bool
}

// reply is one method that came back, with its content.
type reply struct {
	method wire.Method
	props  wire.Properties
	body   []byte
	size   int // of the body; -1: the header has not come
}

// open numbers the connections of this process; the numbers of sockets are below.
var open atomic.Uint64

// Open makes a connection for a user who was let in already, in a virtual host that
// he may enter.
func Open(f *amqp.Front, user, vhost string, client front.Info) *Conn {
	d := &Conn{frameMax: f.FrameMax()}
	client.ID = amqp.DirectSpace | open.Add(1)
	d.wire = socketless{info: client, clock: f.Clock(), woken: make(chan struct{}, 1)}
	d.c = f.Enter(&d.wire, user, vhost)
	return d
}

// Close puts in order what the connection leaves: what it holds goes back.
func (d *Conn) Close() {
	d.wire.Lock()
	defer d.wire.Unlock()
	if !d.closed {
		d.closed, d.wire.over = true, true
		d.c.Closed(d.wire.Now(), nil)
	}
}

// Call sends a method and waits for its answer. Where the broker closes the channel
// or the connection the error is its *wire.Error.
func (d *Conn) Call(ctx context.Context, m wire.Method) (wire.Method, error) {
	r, err := d.await(ctx, wire.AppendMethod(nil, 1, m))
	if err != nil {
		return nil, err
	}
	return r.method, nil
}

// Publish sends one message and waits until it is confirmed. routed is false where
// no queue was found for it; the error is Refused where a queue refused it.
func (d *Conn) Publish(ctx context.Context, exchange, key string, props wire.Properties,
	body []byte) (routed bool, err error) {
	if _, err := d.Call(ctx, &wire.ConfirmSelect{}); err != nil {
		return false, err
	}
	b := wire.AppendMethod(nil, 1, &wire.BasicPublish{Exchange: []byte(exchange),
		RoutingKey: []byte(key), Mandatory: true})
	b = wire.AppendContent(b, 1, props, body, d.frameMax)
	for routed = true; ; b = nil {
		r, err := d.await(ctx, b)
		if err != nil {
			return false, err
		}
		switch r.method.(type) {
		case *wire.BasicReturn:
			routed = false
		case *wire.BasicAck:
			return routed, nil
		case *wire.BasicNack:
			return routed, &core.Error{Op: "publish", Name: exchange, Kind: core.Refused}
		}
	}
}

// Message is one message taken out of a queue.
type Message struct {
	Exchange, Key string
	Tag           uint64
	Redelivered   bool
	Ready         int // messages that remain
	Properties    wire.Properties
	Body          []byte
}

// Get takes one message, or none.
func (d *Conn) Get(ctx context.Context, queue string, noAck bool) (*Message, error) {
	r, err := d.await(ctx, wire.AppendMethod(nil, 1, &wire.BasicGet{Queue: queue, NoAck: noAck}))
	if err != nil {
		return nil, err
	}
	ok, got := r.method.(*wire.BasicGetOk)
	if !got {
		return nil, nil
	}
	return &Message{Exchange: string(ok.Exchange), Key: string(ok.RoutingKey), Tag: ok.DeliveryTag,
		Redelivered: ok.Redelivered, Ready: int(ok.Messages), Properties: r.props, Body: r.body}, nil
}

// Reject gives up a message of a queue, or gives it back, and waits until that is so.
func (d *Conn) Reject(ctx context.Context, queue string, tag uint64, requeue bool) error {
	b := wire.AppendMethod(nil, 1, &wire.BasicReject{DeliveryTag: tag, Requeue: requeue})
	// The answer to a declaration counts what is there after all that was settled.
	_, err := d.await(ctx, wire.AppendMethod(b, 1, &wire.QueueDeclare{Queue: queue, Passive: true}))
	return err
}

// await sends bytes and waits for the next method.
func (d *Conn) await(ctx context.Context, b []byte) (reply, error) {
	d.feed(b)
	for {
		for len(d.replies) > 0 && d.replies[0].whole() {
			r := d.replies[0]
			d.replies = d.replies[1:]
			switch m := r.method.(type) {
			case *wire.ChannelClose:
				return r, replyError(m.Code, m.Text)
			case *wire.ConnectionClose:
				return r, replyError(m.Code, m.Text)
			}
			return r, nil
		}
		if err := d.wire.ended(); err != nil {
			return reply{}, err
		}
		if err := d.wait(ctx); err != nil {
			return reply{}, err
		}
		if err := d.take(); err != nil {
			return reply{}, err
		}
	}
}

// replyError takes a reply's text apart again.
func replyError(code uint16, text string) *wire.Error {
	e := wire.Errorf(code, "")
	e.Text = text[min(len(e.Error()), len(text)):]
	return e
}

func (r *reply) whole() bool {
	switch r.method.(type) {
	case *wire.BasicReturn, *wire.BasicGetOk:
		return r.size >= 0 && len(r.body) == r.size
	}
	return true
}

// feed hands bytes to the connection.
func (d *Conn) feed(b []byte) {
	if len(b) == 0 {
		return
	}
	d.wire.Lock()
	defer d.wire.Unlock()
	if err := d.c.Feed(d.wire.Now(), b); err != nil {
		d.wire.End(err)
	}
	d.wire.Wake()
}

// wait waits until the connection may have something to say.
func (d *Conn) wait(ctx context.Context) error {
	d.wire.Lock()
	at := d.wire.tickAt
	d.wire.Unlock()
	var due <-chan time.Time
	if at != 0 {
		t := time.NewTimer(time.Duration(max(at-d.wire.Now().Mono, 0)))
		defer t.Stop()
		due = t.C
	}
	select {
	case <-d.wire.woken:
	case <-due:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// take lets the connection do what is due, and reads what it has said.
func (d *Conn) take() error {
	w := &d.wire
	w.Lock()
	defer w.Unlock()
	now := w.Now()
	if w.tickAt != 0 && w.tickAt <= now.Mono && !w.over {
		w.tickAt = 0
		w.TickAt(d.c.Tick(now))
	}
	parts, _ := w.out.Take(nil, nil)
	for _, p := range parts {
		d.in = append(d.in, p...)
	}
	if !w.over {
		d.c.Drained(now)
	}
	for {
		f, n, err := wire.Cut(d.in, d.frameMax)
		if err != nil || n == 0 {
			return err
		}
		if err := d.frame(f); err != nil {
			return err
		}
		d.in = d.in[n:]
	}
}

// frame takes one frame of the connection's.
func (d *Conn) frame(f wire.Frame) error {
	switch f.Type {
	case wire.FrameMethod:
		m, err := wire.ParseMethod(append([]byte(nil), f.Payload...))
		if err != nil {
			return err
		}
		d.replies = append(d.replies, reply{method: m, size: -1})
	case wire.FrameHeader:
		var fields wire.Fields
		h, err := wire.ParseHeader(f.Payload, &fields)
		if err != nil {
			return err
		}
		r := &d.replies[len(d.replies)-1]
		r.size, r.props = int(h.BodySize), append(wire.Properties(nil), h.Raw...)
	case wire.FrameBody:
		r := &d.replies[len(d.replies)-1]
		r.body = append(r.body, f.Payload...)
	}
	return nil
}

// socketless is what stands where a socket would.
type socketless struct {
	sync.Mutex // the Wire's lock; guards all but info and clock
	out        front.Output
	info       front.Info
	clock      func() core.Now
	woken      chan struct{}
	tickAt     core.Time
	over       bool
	err        error
}

func (w *socketless) Out() *front.Output { return &w.out }

func (w *socketless) Wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

func (w *socketless) TickAt(t core.Time) {
	if t != 0 && (w.tickAt == 0 || t < w.tickAt) {
		w.tickAt = t
	}
	w.Wake()
}

func (w *socketless) Owe(int)   {}
func (w *socketless) Hold(bool) {}
func (w *socketless) Ready()    {}

func (w *socketless) End(err error) {
	w.over, w.err = true, err
	w.Wake()
}

// ended gives what the connection ended with, if it did.
func (w *socketless) ended() error {
	w.Lock()
	defer w.Unlock()
	if !w.over {
		return nil
	}
	return &core.Error{Op: "call the broker", Kind: core.Unavailable, Err: w.err}
}

func (w *socketless) Now() core.Now    { return w.clock() }
func (w *socketless) Info() front.Info { return w.info }
