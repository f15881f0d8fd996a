package amqp

import (
	"encoding/json"

	"trine/internal/core"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
)

// replyQueue is the pseudo-queue of direct reply-to. Who consumes from it gets a
// private queue whose name is the token that stands in his requests' reply-to: so
// that any node routes the answers, and nothing is kept per request.
const replyQueue = "amq.rabbitmq.reply-to"

// replyTo is a channel's private queue.
type replyTo struct {
	tag   string
	queue *queue
}

// consumeReplies takes basic.consume on the pseudo-queue.
func (ch *channel) consumeReplies(m *wire.BasicConsume) error {
	c := ch.c
	if !m.NoAck {
		return wire.Errorf(wire.PreconditionFailed, "reply consumer cannot acknowledge")
	}
	if ch.reply != nil {
		return wire.Errorf(wire.PreconditionFailed, "reply consumer already set")
	}
	l := label{Exclusive: true, Kind: classic, Reply: true, Node: c.f.core.Self().Node}
	labels, err := json.Marshal(l)
	if err != nil {
		return err
	}
	name := generated(c.f.o.Rand, replyQueue+".")
	d := core.Definition{Name: topology.StreamName(c.vhost, name), Policy: core.Single(core.FlushLazy),
		At: []core.NodeID{l.Node}, Owner: c.owner(), Labels: labels,
		Queue: &core.QueueSettings{TTLMs: -1, DeliveryLimit: -1, DropHead: true}}
	resume := ch.await(m.ID())
	c.f.core.Streams().Define(d, func(s *core.Stream, err error) {
		resume(func() error {
			if err != nil {
				return unsure(err)
			}
			q := c.f.view.Saw(s)
			if m.Tag == "" {
				m.Tag = generated(c.f.o.Rand, "amq.ctag-")
			}
			ch.reply = &replyTo{tag: m.Tag, queue: q}
			return ch.attach(m, q)
		})
	})
	return nil
}

// declareReply answers for the pseudo-queue, or for a token: is anybody there?
func (ch *channel) declareReply(m *wire.QueueDeclare, name string) error {
	c := ch.c
	ok := func() error {
		ch.lastQueue = name
		if !m.NoWait {
			c.send(ch.id, &wire.QueueDeclareOk{Queue: name, Consumers: 1})
		}
		return nil
	}
	if name == replyQueue {
		return ok()
	}
	if c.f.view.Queue(c.vhost, name) != nil {
		return ok()
	}
	return ch.whenSure(m.ID(), func() error {
		if c.f.view.Queue(c.vhost, name) == nil {
			return noQueue(name, c.vhost)
		}
		return ok()
	})
}

// rewriteReplyTo puts the channel's token into the message that is arriving.
func (ch *channel) rewriteReplyTo() error {
	if ch.reply == nil {
		return wire.Errorf(wire.PreconditionFailed, "fast reply consumer does not exist")
	}
	t := &ch.content
	t.fields.ReplyTo = []byte(ch.reply.queue.Name)
	t.props = t.fields.Append(ch.c.slab.Take(len(t.props) + wire.ShortMax)[:0])
	return nil
}

// dropReply removes a channel's private queue; done is called with the lock held.
func (c *conn) dropReply(ch *channel, done func()) {
	q := ch.reply.queue
	ch.reply = nil
	c.f.core.Streams().Remove(q.Stream.Name, q.Stream.ID, func(error) {
		c.w.Lock()
		defer c.w.Unlock()
		done()
	})
}
