package amqp

import (
	"trine/internal/front/amqp/wire"
)

// tx is what a transaction has gathered: nothing of it happens before its commit.
type tx struct {
	messages []*publication
	settles  []wire.Settlement
	bytes    int
	lost     bool // a queue refused a message of the commit under way
}

func (ch *channel) txSelect() error {
	if ch.mode == confirming {
		return wire.Errorf(wire.PreconditionFailed, "cannot switch from confirm to tx mode")
	}
	ch.mode = transactional
	ch.c.send(ch.id, &wire.TxSelectOk{})
	return nil
}

// keep puts a message off until the commit.
func (t *tx) keep(c *conn, p *publication) {
	q := *p
	q.exchange = append([]byte(nil), p.exchange...)
	q.key = append([]byte(nil), p.key...)
	fields := *p.fields
	q.fields = &fields
	t.messages = append(t.messages, &q)
	t.bytes += len(p.body)
	c.partial += len(p.body)
}

// settle puts a settlement off, but refuses at once what can never be settled.
func (t *tx) settle(ch *channel, s wire.Settlement) error {
	u := &ch.unacked
	if !s.Multiple {
		i := u.find(s.Tag)
		if i == len(u.list) || u.list[i].tag != s.Tag || u.list[i].settled || t.has(s.Tag) {
			return unknownTag(s.Tag)
		}
	}
	t.settles = append(t.settles, s)
	return nil
}

func (t *tx) has(tag uint64) bool {
	for _, s := range t.settles {
		if !s.Multiple && s.Tag == tag {
			return true
		}
	}
	return false
}

// clear forgets it.
func (t *tx) clear(c *conn) {
	c.partial -= t.bytes
	*t = tx{}
}

func (ch *channel) txCommit() error {
	if ch.mode != transactional {
		return wire.Errorf(wire.PreconditionFailed, "channel is not transactional")
	}
	messages, settles := ch.tx.messages, ch.tx.settles
	ch.tx.clear(ch.c)
	return ch.commitFrom(messages, settles)
}

// commitFrom carries out messages, then settlements, then answers. A message whose
// route is not sure interrupts it.
func (ch *channel) commitFrom(messages []*publication, settles []wire.Settlement) error {
	c := ch.c
	for i, p := range messages {
		x := c.f.view.Exchange(c.vhost, string(p.exchange))
		if x == nil {
			return noExchange(string(p.exchange), c.vhost)
		}
		if err := ch.route(p, x, false); err != nil {
			return err
		}
		if ch.waits > 0 {
			rest := messages[i+1:]
			ch.then = func() error { return ch.commitFrom(rest, settles) }
			return nil
		}
	}
	for _, s := range settles {
		if err := ch.settleNow(s); err != nil {
			return err
		}
	}
	return ch.afterSettled(wire.IDTxCommit, func() error {
		if ch.tx.lost {
			ch.tx.lost = false
			return wire.Errorf(wire.PreconditionFailed, "partial tx completion")
		}
		c.send(ch.id, &wire.TxCommitOk{})
		return nil
	})
}

func (ch *channel) txRollback() error {
	if ch.mode != transactional {
		return wire.Errorf(wire.PreconditionFailed, "channel is not transactional")
	}
	ch.tx.clear(ch.c)
	ch.c.send(ch.id, &wire.TxRollbackOk{})
	return nil
}
