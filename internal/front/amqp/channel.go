package amqp

import (
	"fmt"
	"slices"

	"trine/internal/core"
	"trine/internal/front/amqp/access"
	"trine/internal/front/amqp/route"
	"trine/internal/front/amqp/tally"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
	"trine/internal/front/gate"
)

// mode is how a channel publishes.
type mode uint8

const (
	plain mode = iota
	confirming
	transactional
)

// channel is one channel of a connection.
//
//	open ──▶ closing (channel.close was sent; all but close-ok is dropped)
//	  │          │
//	  └──────────┴──▶ dead (no longer in conn.channels)
type channel struct {
	c       *conn
	id      uint16
	closing bool
	dead    bool

	waits   int          // answers that the channel stands still for
	then    func() error // what goes on once nothing is awaited, before the backlog
	backlog []byte       // whole frames that came meanwhile
	queued  bool         // in conn.due

	lastQueue string // what "" means in most methods
	mode      mode
	content   content
	resolver  topology.Resolver
	message   route.Message // what resolver is asked for
	routes    routes
	writes    access.Writes
	target    target
	confirms  confirms
	tx        tx

	lastTag     uint64 // the delivery tag given out last
	unacked     unacked
	consumers   map[string]*consumer // by tag
	notices     []string             // tags of those that ended, and whose client is to be told
	order       []*consumer          // the same, as they came
	getters     map[getterKey]*consumer
	prefetch    int // of consumers to come; 0: no limit
	shared      int // of all consumers together; 0: no limit
	outstanding int // delivered to consumers and not settled, where shared limits
	reply       *replyTo
	counter     topology.Counter
}

// channelFrame takes a frame of a channel other than 0.
func (c *conn) channelFrame(now core.Now, f wire.Frame) error {
	ch := c.channels[f.Channel]
	if ch == nil {
		return c.firstFrame(f)
	}
	if ch.closing {
		if f.Type == wire.FrameMethod {
			switch wire.PeekID(f.Payload) {
			case wire.IDChannelCloseOk:
				ch.forget()
			case wire.IDChannelClose:
				c.send(ch.id, &wire.ChannelCloseOk{})
				ch.forget()
			}
		}
		return nil
	}
	if ch.waits > 0 || len(ch.backlog) > 0 {
		ch.keep(f)
		return nil
	}
	return ch.settle(ch.frame(now, f))
}

// firstFrame takes a frame of a channel that is not open.
func (c *conn) firstFrame(f wire.Frame) error {
	if f.Type != wire.FrameMethod {
		return errNoMethod()
	}
	switch id := wire.PeekID(f.Payload); id {
	case wire.IDChannelOpen:
	case wire.IDChannelCloseOk: // both sides closed it at once
		return nil
	case wire.IDChannelClose:
		c.send(f.Channel, &wire.ChannelCloseOk{})
		return nil
	default:
		return &wire.Error{Code: wire.ChannelError, ID: id, Text: "expected 'channel.open'"}
	}
	if len(c.channels) >= c.chanMax {
		return wire.Errorf(wire.NotAllowed, "number of channels opened (%d) has reached the negotiated "+
			"channel_max (%d)", len(c.channels), c.chanMax)
	}
	if _, err := wire.ParseMethod(f.Payload); err != nil {
		return err
	}
	limit := c.f.userLimit(c.user, gate.ChannelsMax)
	if c.f.tally.Open(c.user, limit) != tally.Enough {
		return &wire.Error{Code: wire.NotAllowed, ID: wire.IDChannelOpen, Text: fmt.Sprintf("number of "+
			"channels opened for user '%s' has reached the maximum allowed user limit of (%d)",
			c.user, limit)}
	}
	if limit >= 0 {
		c.f.publishTally()
	}
	c.channels[f.Channel] = &channel{c: c, id: f.Channel, consumers: map[string]*consumer{}}
	c.f.counts.churn.ChannelsOpened.Add(1)
	c.send(f.Channel, &wire.ChannelOpenOk{})
	return nil
}

// errNoMethod is the reply to content where a method must stand.
func errNoMethod() error {
	return wire.Errorf(wire.UnexpectedFrame, "expected method frame, got non method frame instead")
}

// keep puts a frame off until the channel goes on.
func (ch *channel) keep(f wire.Frame) {
	before := len(ch.backlog)
	ch.backlog = wire.AppendFrame(ch.backlog, f.Type, f.Channel, f.Payload)
	ch.c.w.Owe(len(ch.backlog) - before)
}

// workOff takes the frames that were put off, until one makes the channel wait.
func (ch *channel) workOff(now core.Now) error {
	b := ch.backlog
	ch.backlog = nil
	done := 0
	for done < len(b) && ch.waits == 0 && !ch.dead && !ch.closing {
		f, n, err := wire.Cut(b[done:], ch.c.frameMax)
		if err != nil || n == 0 {
			return err // what was kept was whole
		}
		done += n
		if err := ch.settle(ch.frame(now, f)); err != nil {
			return err
		}
	}
	ch.c.w.Owe(-done)
	if ch.dead || ch.closing {
		ch.c.w.Owe(done - len(b))
		return nil
	}
	if done < len(b) {
		ch.backlog = append(b[done:len(b):len(b)], ch.backlog...)
	}
	return nil
}

// settle ends the channel where its error is one of a channel's, and gives on those
// that end the connection.
func (ch *channel) settle(err error) error {
	if err == nil {
		return nil
	}
	e := asReply(err)
	if e.Connection() {
		return e
	}
	ch.fail(e)
	return nil
}

// fail closes the channel by an error.
func (ch *channel) fail(e *wire.Error) {
	if ch.dead || ch.closing {
		return
	}
	ch.c.f.log.Info("channel closed for its client's error", "front", "amqp",
		"client", ch.c.w.Info().Remote, "channel", ch.id, "reply", e.Code, "text", e.Text)
	ch.closing = true
	ch.c.endTurn()
	ch.c.send(ch.id, &wire.ChannelClose{Code: e.Code, Text: e.ReplyText(), Class: e.ID.Class(),
		Method: e.ID.Method()})
	ch.release(func() {})
}

// frame takes a frame of an open channel. Its error is one of a channel or of a
// connection.
func (ch *channel) frame(now core.Now, f wire.Frame) error {
	if f.Type != wire.FrameMethod {
		return ch.contentFrame(now, f)
	}
	id := wire.PeekID(f.Payload)
	if ch.content.expects != 0 {
		return ch.content.unexpected()
	}
	switch id { // what must not allocate
	case wire.IDBasicPublish:
		return ch.publish(f.Payload)
	case wire.IDBasicAck, wire.IDBasicNack, wire.IDBasicReject:
		var s wire.Settlement
		if err := s.Read(f.Payload); err != nil {
			return err
		}
		return withID(ch.settlement(s), id)
	}
	m, err := wire.ParseMethod(f.Payload)
	if err != nil {
		return err
	}
	return withID(ch.method(m), id)
}

// withID says which method an error comes from.
func withID(err error, id wire.ID) error {
	if err == nil {
		return nil
	}
	e := asReply(err)
	if e.ID == 0 {
		e.ID = id
	}
	return e
}

// method takes a method that is no publish and no settlement.
func (ch *channel) method(m wire.Method) error {
	c := ch.c
	switch m := m.(type) {
	case *wire.ChannelOpen:
		return &wire.Error{Code: wire.ChannelError, ID: m.ID(), Text: "second 'channel.open' seen"}
	case *wire.ChannelClose:
		ch.close()
		return nil
	case *wire.ChannelFlow:
		if !m.Active {
			return wire.Errorf(wire.NotImplemented, "active=false")
		}
		c.send(ch.id, &wire.ChannelFlowOk{Active: true})
		return nil
	case *wire.AccessRequest:
		c.send(ch.id, &wire.AccessRequestOk{Ticket: 1})
		return nil
	case *wire.ExchangeDeclare:
		return ch.exchangeDeclare(m)
	case *wire.ExchangeDelete:
		return ch.exchangeDelete(m)
	case *wire.ExchangeBind:
		return ch.exchangeBind(m)
	case *wire.ExchangeUnbind:
		return ch.exchangeUnbind(m)
	case *wire.QueueDeclare:
		return ch.queueDeclare(m)
	case *wire.QueueBind:
		return ch.queueBind(m)
	case *wire.QueueUnbind:
		return ch.queueUnbind(m)
	case *wire.QueuePurge:
		return ch.queuePurge(m)
	case *wire.QueueDelete:
		return ch.queueDelete(m)
	case *wire.ConfirmSelect:
		return ch.confirmSelect(m)
	case *wire.TxSelect:
		return ch.txSelect()
	case *wire.TxCommit:
		return ch.txCommit()
	case *wire.TxRollback:
		return ch.txRollback()
	}
	return ch.basicMethod(m)
}

func (ch *channel) basicMethod(m wire.Method) error {
	switch m := m.(type) {
	case *wire.BasicQos:
		return ch.qos(m)
	case *wire.BasicConsume:
		return ch.consume(m)
	case *wire.BasicCancel:
		return ch.cancel(m)
	case *wire.BasicCancelOk:
		return nil // of a cancel notice
	case *wire.BasicGet:
		return ch.get(m)
	case *wire.BasicRecover:
		return ch.recover(m.Requeue, true)
	case *wire.BasicRecoverAsync:
		return ch.recover(m.Requeue, false)
	}
	return wire.Errorf(wire.CommandInvalid, "unimplemented method")
}

// await gives a way to go on with a channel once something was answered: it is
// called on the node's loop. Until then the channel stands still.
func (ch *channel) await(id wire.ID) func(then func() error) {
	ch.waits++
	called := false
	return func(then func() error) {
		c := ch.c
		c.w.Lock()
		defer c.w.Unlock()
		core.Assert(!called, "an outcome is told once")
		called = true
		ch.waits--
		if ch.dead || ch.closing || !c.running() {
			return
		}
		ch.after(withID(then(), id))
		c.endTurn()
		c.w.Wake()
	}
}

// after carries an outcome to its end: an error is sent, and what was put off is
// taken up again.
func (ch *channel) after(err error) {
	c := ch.c
	if err := ch.settle(err); err != nil {
		c.broken(asReply(err))
		return
	}
	for ch.waits == 0 && ch.then != nil && !ch.closing {
		then := ch.then
		ch.then = nil
		if err := ch.settle(then()); err != nil {
			c.broken(asReply(err))
			return
		}
	}
	if !ch.closing {
		ch.tellCancelled()
	}
	if ch.waits == 0 && len(ch.backlog) > 0 && !ch.queued {
		ch.queued = true
		c.due = append(c.due, ch)
		c.w.TickAt(c.w.Now().Mono)
	}
	c.leaveWhenDone()
}

// close answers the client's channel.close once all is in order.
func (ch *channel) close() {
	c := ch.c
	ch.closing = true
	c.endTurn()
	ch.release(func() {
		if !ch.dead && c.running() {
			c.send(ch.id, &wire.ChannelCloseOk{})
			ch.forget()
			c.w.Wake()
		}
	})
}

// leave ends the channel with its connection.
func (ch *channel) leave(done func()) {
	if ch.dead {
		done()
		return
	}
	first := !ch.closing
	ch.closing = true
	if first {
		ch.release(done)
	} else {
		done()
	}
	ch.forget()
}

// release gives back all that the channel holds of the core; done is called with
// the lock held, perhaps at once.
func (ch *channel) release(done func()) {
	c := ch.c
	open := 1
	one := func() {
		if open--; open == 0 {
			done()
		}
	}
	for _, cs := range ch.allConsumers() {
		open++
		c.detach(cs, one)
	}
	ch.consumers, ch.order, ch.getters = map[string]*consumer{}, nil, nil
	if ch.reply != nil {
		open++
		c.dropReply(ch, one)
	}
	c.w.Owe(-len(ch.backlog))
	ch.backlog = nil
	c.partial -= ch.content.drop()
	ch.unacked.clear()
	ch.tx.clear(c)
	one()
}

// allConsumers are those with a tag, the stopped ones, and those of basic.get.
func (ch *channel) allConsumers() []*consumer {
	all := slices.Clone(ch.order)
	for _, cs := range ch.getters {
		all = append(all, cs)
	}
	for _, cs := range ch.c.consumers {
		if cs.ch == ch && cs.stopped {
			all = append(all, cs)
		}
	}
	slices.SortFunc(all, func(a, b *consumer) int { return int(a.id>>4) - int(b.id>>4) })
	return all
}

// forget takes the channel out of its connection: its number is free again.
func (ch *channel) forget() {
	if !ch.dead {
		ch.tell()
		ch.c.f.counts.churn.ChannelsClosed.Add(1)
		if !ch.c.direct() {
			ch.c.f.tally.Shut(ch.c.user)
		}
	}
	ch.dead = true
	if ch.c.channels[ch.id] == ch {
		delete(ch.c.channels, ch.id)
	}
}

func (c *conn) sortedChannels() []*channel {
	all := make([]*channel, 0, len(c.channels))
	for _, ch := range c.channels {
		all = append(all, ch)
	}
	slices.SortFunc(all, func(a, b *channel) int { return int(a.id) - int(b.id) })
	return all
}
