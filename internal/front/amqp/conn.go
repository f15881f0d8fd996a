package amqp

import (
	"errors"
	"io"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/front/amqp/access"
	"trine/internal/front/amqp/letter"
	"trine/internal/front/amqp/wire"
)

// stage is how far a connection has come.
type stage uint8

const (
	awaitsHeader stage = iota
	awaitsStartOk
	awaitsTuneOk
	awaitsOpen
	running
	leaving // the client closes: its channels are being put in order
	closing // connection.close was sent, close-ok is awaited
	over    // nothing is read any more
)

// String gives a stage as RabbitMQ's replies name it.
func (s stage) String() string {
	switch s {
	case awaitsHeader, awaitsStartOk:
		return "starting"
	case awaitsTuneOk:
		return "tuning"
	case awaitsOpen:
		return "opening"
	case running:
		return "running"
	}
	return "closing"
}

// frameMaxFirst is the largest frame before a size was agreed on.
const frameMaxFirst = 8192

// closeWaitMax is how long close-ok is awaited.
const closeWaitMax = 10 * core.Second

// loginDelay is how long a refused login is kept waiting, so that nobody guesses
// passwords quickly.
const loginDelay = core.Second

// partialBytesMax bounds the bytes of messages that have not arrived whole, over
// all channels of a connection.
const partialBytesMax = 64 << 20

// conn is one connection. The Wire's lock guards all of it.
type conn struct {
	f *Front
	w front.Wire

	stage     stage
	in        []byte // the beginning of a frame whose end has not arrived
	frameMax  int
	chanMax   int
	heartbeat core.Time // 0: none
	heard     core.Time // when bytes last came
	said      core.Time // when bytes last left
	deadline  core.Time // 0, or when the connection is cut
	failure   error     // what it is cut with then

	user, vhost  string
	rights       access.Rights
	mechanism    string     // of the login
	properties   wire.Table // what the client says of itself
	since        core.Stamp // when it opened
	counted      bool       // in the node's tally
	asking       bool       // whether what refuses the client is all that was agreed
	again        func()     // asks anew then
	clientCloses bool       // capability authentication_failure_close
	clientCancel bool       // capability consumer_cancel_notify
	clientBlock  bool       // capability connection.blocked

	channels  map[uint16]*channel
	consumers map[core.ConsumerID]*consumer
	unpaid    []*consumer // those with delivered bytes to give back as credit
	payAt     core.Time   // 0, or when all of them are given it back
	left      bool        // its channels are being put in order, or are
	readers   []*consumer // of streams
	readAt    core.Time   // 0, or when those that were refused ask again
	due       []*channel  // answers came: their backlog is to be worked off
	partial   int         // bytes of unfinished messages

	now     core.Time // of the last event, about
	ackAt   core.Time // 0, or when a message may be with the client for too long
	alarm   alarm
	tracing tracing
	pace    front.Pace

	turn turn
	slab letter.Slab
}

func newConn(f *Front, w front.Wire) *conn {
	return &conn{f: f, w: w, frameMax: frameMaxFirst, channels: map[uint16]*channel{},
		consumers: map[core.ConsumerID]*consumer{}}
}

// Feed takes what arrived.
func (c *conn) Feed(now core.Now, b []byte) error {
	c.heard, c.now = now.Mono, now.Mono
	if len(c.in) > 0 {
		c.in = append(c.in, b...)
		b = c.in
	}
	rest, err := c.frames(now, b)
	c.keep(rest)
	c.endTurn()
	return err
}

// keep holds on to what did not make a frame.
func (c *conn) keep(rest []byte) {
	if len(rest) == 0 {
		if cap(c.in) > frameMaxFirst {
			c.in = nil
		}
		c.in = c.in[:0]
		return
	}
	c.in = append(c.in[:0], rest...)
}

var errProtocol = errors.New("connection: the client speaks another protocol")

// frames works off whole frames and gives what is left.
func (c *conn) frames(now core.Now, b []byte) (rest []byte, err error) {
	if c.stage == awaitsHeader {
		if len(b) < wire.ProtocolHeaderSize {
			return b, nil
		}
		if !wire.SpokenHeader(b) {
			c.w.Out().B = append(c.w.Out().B, wire.ProtocolHeader[:]...)
			return nil, errProtocol
		}
		b = b[wire.ProtocolHeaderSize:]
		c.start()
	}
	for c.stage != over {
		f, n, err := wire.Cut(b, c.frameMax)
		if err != nil {
			c.broken(asReply(err))
			return nil, nil
		}
		if n == 0 {
			return b, nil
		}
		b = b[n:]
		if err := c.frame(now, f); err != nil {
			c.broken(asReply(err))
		}
	}
	return nil, nil
}

// asReply gives the reply that an error is. Errors of the core that nobody
// translated end the connection.
func asReply(err error) *wire.Error {
	var e *wire.Error
	if errors.As(err, &e) {
		return e
	}
	return wire.Errorf(wire.InternalError, "%v", err)
}

// frame takes one frame. Its error ends the connection.
func (c *conn) frame(now core.Now, f wire.Frame) error {
	if c.stage == closing {
		return c.whileClosing(f)
	}
	if c.stage == leaving {
		return nil
	}
	if err := f.Check(); err != nil {
		return err
	}
	if f.Channel == 0 {
		switch f.Type {
		case wire.FrameHeartbeat:
			return nil
		case wire.FrameHeader, wire.FrameBody:
			return f.Unexpected()
		}
		m, err := wire.ParseMethod(f.Payload)
		if err != nil {
			return err
		}
		return c.method(now, m)
	}
	if c.stage != running || f.Type == wire.FrameHeartbeat {
		return f.Unexpected()
	}
	return c.channelFrame(now, f)
}

// whileClosing waits for the client's close-ok, or for its own close.
func (c *conn) whileClosing(f wire.Frame) error {
	if f.Type != wire.FrameMethod || f.Channel != 0 {
		return nil
	}
	switch wire.PeekID(f.Payload) {
	case wire.IDConnectionCloseOk:
		c.end(nil)
	case wire.IDConnectionClose:
		c.send(0, &wire.ConnectionCloseOk{})
		c.end(nil)
	}
	return nil
}

// method takes a method of channel 0.
func (c *conn) method(now core.Now, m wire.Method) error {
	switch m := m.(type) {
	case *wire.ConnectionClose:
		return c.clientLeaves()
	case *wire.ConnectionStartOk:
		if c.stage == awaitsStartOk && !c.asking {
			return c.startOk(m)
		}
	case *wire.ConnectionTuneOk:
		if c.stage == awaitsTuneOk {
			return c.tuneOk(now, m)
		}
	case *wire.ConnectionOpen:
		if c.stage == awaitsOpen && !c.asking {
			return c.open(m)
		}
	case *wire.ConnectionUpdateSecret:
		if c.stage == running {
			c.send(0, &wire.ConnectionUpdateSecretOk{})
			return nil
		}
	}
	return &wire.Error{Code: wire.ChannelError, ID: m.ID(),
		Text: "unexpected method in connection state " + c.stage.String()}
}

// send appends a method.
func (c *conn) send(channel uint16, m wire.Method) {
	o := c.w.Out()
	o.B = wire.AppendMethod(o.B, channel, m)
}

// broken ends the connection by an error: all its channels are put in order, and
// the client is told.
func (c *conn) broken(e *wire.Error) {
	if c.stage >= closing {
		return
	}
	if c.stage < running {
		c.refuse(e)
		return
	}
	c.f.log.Info("connection closed for its client's error", "front", "amqp",
		"client", c.w.Info().Remote, "user", c.user, "reply", e.Code, "text", e.Text)
	c.closeWith(e)
}

// forced ends a connection that runs though its client did nothing wrong.
func (c *conn) forced(why, text string) {
	if c.stage >= closing {
		return
	}
	c.f.log.Info("connection closed: "+why, "front", "amqp",
		"client", c.w.Info().Remote, "user", c.user, "text", text)
	c.closeWith(wire.Errorf(wire.ConnectionForced, "%s", text))
}

// closeWith sends connection.close and puts all channels in order.
func (c *conn) closeWith(e *wire.Error) {
	c.send(0, &wire.ConnectionClose{Code: e.Code, Text: e.ReplyText(), Class: e.ID.Class(),
		Method: e.ID.Method()})
	c.stage = closing
	c.failure = e
	c.countOut()
	c.cutAt(c.w.Now().Mono + closeWaitMax)
	c.leaveAll(nil)
}

// cutAt ends the connection at t whatever happens.
func (c *conn) cutAt(t core.Time) {
	c.deadline = t
	c.w.TickAt(t)
}

func (c *conn) end(err error) {
	c.stage = over
	c.w.End(err)
}

// clientLeaves answers connection.close once everything of the connection is in
// order: what its consumers held is back, its exclusive queues are gone.
func (c *conn) clientLeaves() error {
	c.stage = leaving
	c.cutAt(c.w.Now().Mono + closeWaitMax)
	c.leaveWhenDone()
	return nil
}

// leaveWhenDone answers connection.close when no channel has anything left to do.
func (c *conn) leaveWhenDone() {
	if c.stage != leaving || c.left {
		return
	}
	for _, ch := range c.channels {
		if !ch.closing && (ch.waits > 0 || len(ch.backlog) > 0) {
			return
		}
	}
	c.leaveAll(func() {
		if c.stage == leaving {
			c.countOut()
			c.send(0, &wire.ConnectionCloseOk{})
			c.end(nil)
			c.w.Wake()
		}
	})
}

// running says whether the client may still be told something of its channels.
func (c *conn) running() bool { return c.stage == running || c.stage == leaving }

// leaveAll ends every channel and removes the exclusive queues, then calls done
// with the lock held.
func (c *conn) leaveAll(done func()) {
	c.left = true
	c.endTurn()
	open := 1
	one := func() {
		if open--; open == 0 && done != nil {
			done()
		}
	}
	for _, ch := range c.sortedChannels() {
		open++
		ch.leave(one)
	}
	open++
	c.removeExclusive(one)
	one()
}

// Tick sends and expects heartbeats, works off what waited for answers, and ends
// what took too long.
func (c *conn) Tick(now core.Now) core.Time {
	c.now = now.Mono
	c.workOff(now)
	if again := c.again; again != nil {
		c.again = nil
		again()
	}
	if c.payAt != 0 && now.Mono >= c.payAt {
		c.payAt = 0
		if c.pay(true); len(c.unpaid) > 0 {
			c.payAt = now.Mono + payWait
		}
	}
	if c.deadline != 0 && now.Mono >= c.deadline {
		c.end(c.failure)
		return 0
	}
	if c.readAt != 0 && now.Mono >= c.readAt {
		c.readAt = 0
		c.readAll()
	}
	next := earlier(earlier(c.deadline, c.payAt), c.readAt)
	next = earlier(earlier(next, c.lookAtAlarms(now)), c.overdue(now.Mono))
	if c.heartbeat != 0 && c.stage >= running && c.stage < over {
		if now.Mono-c.heard > 2*c.heartbeat && c.pace == front.Flowing {
			c.end(wire.Errorf(wire.ConnectionForced, "missed heartbeats from client, timeout: %ds",
				c.heartbeat/core.Second))
			return 0
		}
		if c.w.Out().Len() == 0 && now.Mono-c.said >= c.heartbeat/2 {
			c.w.Out().B = wire.AppendHeartbeat(c.w.Out().B)
			c.said = now.Mono
		}
		next = earlier(next, now.Mono+c.heartbeat/2)
	}
	return next
}

// earlier gives the earlier of two times, of which 0 is none.
func earlier(a, b core.Time) core.Time {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// workOff goes on with channels whose answers came.
func (c *conn) workOff(now core.Now) {
	for len(c.due) > 0 && c.running() {
		ch := c.due[0]
		c.due = c.due[1:]
		ch.queued = false
		if !ch.dead && ch.waits == 0 {
			if err := ch.workOff(now); err != nil {
				c.broken(asReply(err))
			}
		}
	}
	c.leaveWhenDone()
	if len(c.due) == 0 {
		c.due = nil
	}
	c.endTurn()
}

// Drained gives consumers back the credit of the bytes that have left.
func (c *conn) Drained(now core.Now) {
	c.said = now.Mono
	c.pay(false)
	c.readAll()
}

// Shut says goodbye because the node stops.
func (c *conn) Shut(core.Now) {
	if c.stage < running {
		c.end(nil)
		return
	}
	c.forced("the node stops", "broker forced connection closure with reason 'shutdown'")
}

// Closed puts in order what an ended connection leaves.
func (c *conn) Closed(_ core.Now, err error) {
	if c.stage == running && err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		c.f.log.Info("connection lost", "front", "amqp", "client", c.w.Info().Remote,
			"user", c.user, "err", err)
	}
	entered := c.stage >= running && c.vhost != ""
	if entered && !c.direct() {
		c.f.counts.churn.ConnectionsClosed.Add(1)
	}
	c.stage = over
	if entered && !c.left {
		c.leaveAll(nil)
	}
	c.countOut()
	c.f.forget(c)
}
