package amqp

import (
	"bytes"
	"fmt"
	"slices"

	"trine/internal/core"
	"trine/internal/front/amqp/letter"
	"trine/internal/front/amqp/wire"
)

// content is a message that is arriving: method, header, body frames.
type content struct {
	expects   uint8 // the type of frame that must come next; 0: a method
	exchange  []byte
	key       []byte
	mandatory bool
	props     wire.Properties // in the connection's slab
	fields    wire.Fields     // of props
	body      []byte          // in the slab; grows to size
	size      int
}

// unexpected is the reply to any other frame than the one that must come next.
func (t *content) unexpected() error {
	text := "expected content body, got non content body frame instead"
	if t.expects == wire.FrameHeader {
		text = "expected content header for class 60, got non content header frame instead"
	}
	return &wire.Error{Code: wire.UnexpectedFrame, ID: wire.IDBasicPublish, Text: text}
}

// drop forgets what has arrived and says how many bytes that was.
func (t *content) drop() int {
	n := len(t.body)
	t.expects, t.body, t.props = 0, nil, nil
	return n
}

// publish takes basic.publish.
func (ch *channel) publish(payload []byte) error {
	var p wire.Publish
	if err := p.Read(payload); err != nil {
		return err
	}
	if p.Immediate {
		return &wire.Error{Code: wire.NotImplemented, ID: wire.IDBasicPublish, Text: "immediate=true"}
	}
	t := &ch.content
	t.exchange = append(t.exchange[:0], p.Exchange...)
	t.key = append(t.key[:0], p.RoutingKey...)
	t.mandatory = p.Mandatory
	t.expects = wire.FrameHeader
	return nil
}

// contentFrame takes a header or body frame.
func (ch *channel) contentFrame(now core.Now, f wire.Frame) error {
	t := &ch.content
	switch {
	case t.expects == 0:
		return errNoMethod()
	case f.Type != t.expects:
		return t.unexpected()
	case f.Type == wire.FrameHeader:
		if err := ch.header(f.Payload); err != nil {
			return err
		}
	default:
		if len(t.body)+len(f.Payload) > t.size {
			return &wire.Error{Code: wire.FrameError, ID: wire.IDBasicPublish,
				Text: "content body frame exceeds remaining content size"}
		}
		if err := ch.body(f.Payload); err != nil {
			return err
		}
	}
	if t.expects != wire.FrameBody || len(t.body) < t.size {
		return nil
	}
	ch.c.partial -= len(t.body)
	t.expects = 0
	return withID(ch.arrived(now), wire.IDBasicPublish)
}

func (ch *channel) header(payload []byte) error {
	t, c := &ch.content, ch.c
	var fields wire.Fields
	h, err := wire.ParseHeader(payload, &fields)
	if err != nil {
		return withID(err, wire.IDBasicPublish)
	}
	if h.Class != wire.IDBasicPublish.Class() {
		return &wire.Error{Code: wire.UnexpectedFrame, ID: wire.IDBasicPublish,
			Text: fmt.Sprintf("expected content header for class 60, got one for class %d instead", h.Class)}
	}
	if h.Weight != 0 {
		return t.unexpected()
	}
	if h.BodySize > uint64(c.f.o.MessageMax) {
		t.drop()
		return &wire.Error{Code: wire.PreconditionFailed, ID: wire.IDBasicPublish,
			Text: wire.Errorf(0, "message size %d is larger than configured max size %d",
				h.BodySize, c.f.o.MessageMax).Text}
	}
	t.size = int(h.BodySize)
	t.props = c.slab.Take(len(h.Raw))
	copy(t.props, h.Raw)
	_, _ = t.fields.Read(t.props) // the same bytes as above
	t.body = nil
	t.expects = wire.FrameBody
	return nil
}

// body adds a frame's part. A large body's memory grows as its bytes arrive.
func (ch *channel) body(part []byte) error {
	t, c := &ch.content, ch.c
	if t.body == nil {
		t.body = c.slab.Take(min(t.size, max(len(part), 64<<10)))[:0]
	}
	t.body = append(t.body, part...)
	if c.partial += len(part); c.partial > partialBytesMax {
		return wire.Errorf(wire.ResourceError, "unfinished messages of over %d bytes", partialBytesMax)
	}
	return nil
}

// target is the exchange that a channel published to last.
type target struct {
	revision uint64
	name     []byte
	exchange *exchange
	in, out  uint64 // messages that came into it and left it, which its tally was not told of
}

// exchange finds an exchange, at once where it is the last one again.
func (ch *channel) exchange(name []byte) *exchange {
	l, v := &ch.target, ch.c.f.view
	if now := v.Revision(); l.exchange == nil || l.revision != now || !bytes.Equal(l.name, name) {
		l.tell()
		l.exchange = v.Exchange(ch.c.vhost, string(name))
		l.revision, l.name = now, append(l.name[:0], name...)
	}
	return l.exchange
}

// arrived takes a whole message.
func (ch *channel) arrived(now core.Now) error {
	t := &ch.content
	if err := ch.writes.May(&ch.c.rights, t.exchange); err != nil {
		return err
	}
	x := ch.exchange(t.exchange)
	if x == nil {
		return ch.whenSure(wire.IDBasicPublish, func() error {
			if ch.c.f.view.Exchange(ch.c.vhost, string(t.exchange)) == nil {
				return noExchange(string(t.exchange), ch.c.vhost)
			}
			return ch.arrived(ch.c.w.Now())
		})
	}
	if x.Internal {
		return wire.Errorf(wire.AccessRefused, "cannot publish to internal exchange '%s' in vhost '%s'",
			x.Name, ch.c.vhost)
	}
	if err := ch.writes.MayKey(&ch.c.rights, x, t.key, &t.fields); err != nil {
		return err
	}
	if err := ch.checkProperties(); err != nil {
		return err
	}
	p := publication{now: now, exchange: t.exchange, key: t.key, mandatory: t.mandatory,
		props: t.props, fields: &t.fields, body: t.body}
	t.body, t.props = nil, nil
	if ch.mode == transactional {
		ch.tx.keep(ch.c, &p)
		return nil
	}
	if ch.mode == confirming {
		p.seq = ch.confirms.next()
	}
	return ch.route(&p, x, false)
}

// checkProperties refuses what a message may not say of itself.
func (ch *channel) checkProperties() error {
	f := &ch.content.fields
	if f.Flags&wire.HasUserID != 0 && string(f.UserID) != ch.c.user && !ch.c.impersonates() {
		return wire.Errorf(wire.PreconditionFailed,
			"user_id property set to '%s' but authenticated user was '%s'", f.UserID, ch.c.user)
	}
	if f.Flags&wire.HasExpiration != 0 {
		if _, err := letter.Expiration(f.Expiration); err != nil {
			return err
		}
	}
	if f.Flags&wire.HasReplyTo != 0 && string(f.ReplyTo) == replyQueue {
		return ch.rewriteReplyTo()
	}
	return nil
}

// impersonates says whether the user may name others as a message's user.
func (c *conn) impersonates() bool {
	a, _ := c.f.o.Gate.Account(c.user)
	return slices.Contains(a.Tags, "impersonator")
}

// publication is a message on its way to its queues.
type publication struct {
	now       core.Now
	exchange  []byte
	key       []byte
	mandatory bool
	props     wire.Properties
	fields    *wire.Fields
	body      []byte
	seq       uint64 // where its publisher waits for a confirm
}

// route finds a message's queues and puts it into the turn. That it finds none is
// believed only when sure: once the catalog has all that was agreed before.
func (ch *channel) route(p *publication, x *exchange, sure bool) error {
	c := ch.c
	to, err := ch.targets(p, x)
	if err != nil {
		return err
	}
	if (!to.Routed() || to.Missing) && !sure {
		q := ch.keepPublication(p)
		return ch.whenSure(wire.IDBasicPublish, func() error {
			x := c.f.view.Exchange(c.vhost, string(q.exchange))
			if x == nil {
				return noExchange(string(q.exchange), c.vhost)
			}
			return ch.route(q, x, true)
		})
	}
	ch.countRoute(p, x, len(to.Queues)+len(to.Stores))
	if !to.Routed() && p.mandatory {
		ch.giveBack(p)
	}
	if ch.c.traced() {
		ch.tapIn(p, to.Queues)
	}
	if p.seq != 0 {
		ch.confirms.routed(p.seq, len(to.Queues)+len(to.Stores))
		ch.confirms.at(p.seq).failed = to.Missing
	}
	ch.tx.lost = ch.tx.lost || to.Missing
	if len(to.Queues) > 0 {
		r := ch.record(p)
		for _, q := range to.Queues {
			ch.append(p, q, r)
		}
	}
	for _, q := range to.Stores {
		ch.append(p, q, ch.kept(p, q.Store))
	}
	if p.seq != 0 && ch.confirms.at(p.seq).left == 0 {
		ch.confirmedNow(p.seq)
	}
	return nil
}

// append puts a message's record for one queue into the turn.
func (ch *channel) append(p *publication, q *queue, r core.Record) {
	if q.Homeless() && p.seq != 0 { // at once: others on this connection must not wait
		ch.confirms.failed(p.seq)
		return
	}
	if ch.blocked(p, q, r) {
		return
	}
	g := ch.c.append(q, r)
	if p.seq != 0 || ch.mode == transactional {
		g.confirm = append(g.confirm, waiting{ch, p.seq})
	}
}

// keepPublication makes a publication outlive the frames it came in.
func (ch *channel) keepPublication(p *publication) *publication {
	q := *p
	q.exchange, q.key = bytes.Clone(p.exchange), bytes.Clone(p.key)
	fields := *p.fields
	q.fields = &fields
	return &q
}

// record makes the record that all its queues share.
func (ch *channel) record(p *publication) core.Record {
	return ch.c.slab.Record(p.now.Wall, p.exchange, p.key, letter.WithoutBCC(p.props, p.fields), p.fields, p.body)
}

// giveBack returns an unroutable message.
func (ch *channel) giveBack(p *publication) {
	o := ch.c.w.Out()
	o.B = wire.AppendMethod(o.B, ch.id, &wire.BasicReturn{Code: wire.NoRoute, Text: "NO_ROUTE",
		Exchange: p.exchange, RoutingKey: p.key})
	o.B = wire.AppendContent(o.B, ch.id, p.props, p.body, ch.c.frameMax)
}

// whenSure calls then when this node's copy of the catalog has all that was agreed
// before now; the channel stands still meanwhile.
func (ch *channel) whenSure(id wire.ID, then func() error) error {
	resume := ch.await(id)
	ch.c.f.core.Cluster().Sync(func(err error) {
		resume(func() error {
			if err != nil {
				return unsure(err)
			}
			return then()
		})
	})
	return nil
}

// unsure is the reply where the catalog could not be asked.
func unsure(err error) error {
	return wire.Errorf(wire.InternalError, "the cluster cannot be asked at present: %v", err)
}
