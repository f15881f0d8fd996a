package amqp

import (
	"sort"

	"trine/internal/core"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
)

// delivery is one message in the client's hands.
type delivery struct {
	tag      uint64
	consumer *consumer // nil: its queue is gone, or it was settled
	offset   core.Offset
	at       core.Time // when it was delivered
	counted  bool      // against the channel's shared limit
	settled  bool
}

// unacked are a channel's deliveries that are not settled, by rising tag.
type unacked struct {
	list []delivery
	head int
	gaps int // settled ones behind head
}

func (u *unacked) push(d delivery) { u.list = append(u.list, d) }

func (u *unacked) clear() { *u = unacked{} }

// find gives the place of the first delivery whose tag is at least tag.
func (u *unacked) find(tag uint64) int {
	rest := u.list[u.head:]
	return u.head + sort.Search(len(rest), func(i int) bool { return rest[i].tag >= tag })
}

// oldest gives the first that its queue still waits for, or nil.
func (u *unacked) oldest() *delivery {
	for i := u.head; i < len(u.list); i++ {
		if d := &u.list[i]; !d.settled && d.consumer != nil {
			return d
		}
	}
	return nil
}

// advance passes over what is settled, and gives memory back.
func (u *unacked) advance() {
	for u.head < len(u.list) && u.list[u.head].settled {
		u.list[u.head] = delivery{}
		u.head++
		u.gaps--
	}
	switch {
	case u.head == len(u.list):
		u.list, u.head, u.gaps = u.list[:0], 0, 0
	case u.head > 64 && u.head > len(u.list)/2:
		n := copy(u.list, u.list[u.head:])
		clear(u.list[n:])
		u.list, u.head = u.list[:n], 0
	case u.gaps > 64 && u.gaps > len(u.list)/2:
		kept := u.list[:0]
		for _, d := range u.list[u.head:] {
			if !d.settled {
				kept = append(kept, d)
			}
		}
		clear(u.list[len(kept):])
		u.list, u.head, u.gaps = kept, 0, 0
	}
}

// orphan lets go of what came from a consumer whose queue is gone: its tags stay
// valid, and settling them does nothing. It counts those that filled the shared
// limit.
func (u *unacked) orphan(cs *consumer) int {
	n := 0
	for i := u.head; i < len(u.list); i++ {
		if d := &u.list[i]; d.consumer == cs && !d.settled {
			d.consumer = nil
			if d.counted {
				d.counted = false
				n++
			}
		}
	}
	return n
}

func unknownTag(tag uint64) error {
	return wire.Errorf(wire.PreconditionFailed, "unknown delivery tag %d", tag)
}

// settlement takes basic.ack, nack or reject.
func (ch *channel) settlement(s wire.Settlement) error {
	if ch.mode == transactional {
		return ch.tx.settle(ch, s)
	}
	return ch.settleNow(s)
}

func outcomeOf(s wire.Settlement) core.Outcome {
	switch {
	case s.ID == wire.IDBasicAck:
		return core.Accept
	case s.Requeue:
		return core.Return
	}
	return core.Reject
}

func (ch *channel) settleNow(s wire.Settlement) error {
	u, outcome := &ch.unacked, outcomeOf(s)
	from, to := u.head, len(u.list)
	switch {
	case s.Tag == 0 && s.Multiple: // all there are
	case s.Multiple:
		if s.Tag > ch.lastTag || from == to || s.Tag < u.list[from].tag {
			return unknownTag(s.Tag)
		}
		if to = u.find(s.Tag); to < len(u.list) && u.list[to].tag == s.Tag {
			to++
		}
	default:
		from = u.find(s.Tag)
		if from == len(u.list) || u.list[from].tag != s.Tag || u.list[from].settled {
			return unknownTag(s.Tag)
		}
		to = from + 1
	}
	for i := from; i < to; i++ {
		if d := &u.list[i]; !d.settled {
			ch.settleOne(d, outcome)
			u.gaps++
		}
	}
	u.advance()
	ch.deliverWaiting()
	return nil
}

// settleOne settles a delivery.
func (ch *channel) settleOne(d *delivery, o core.Outcome) {
	cs := d.consumer
	d.settled, d.consumer = true, nil
	if d.counted {
		ch.outstanding--
	}
	if cs == nil {
		return
	}
	if cs.reader != nil { // whatever the outcome: it may be given one more
		cs.held--
		ch.c.readOn(cs)
		return
	}
	ch.c.verdict(cs, d.offset, o)
	if o == core.Accept {
		cs.counter.One(topology.Acked)
		ch.counter.One(topology.Acked)
	}
	cs.held--
	if cs.stopped && cs.held == 0 {
		ch.c.endTurn()
		ch.c.detach(cs, func() {})
	}
}

// verdict adds to what the turn settles: neighbours become one range.
func (c *conn) verdict(cs *consumer, at core.Offset, o core.Outcome) {
	if !cs.dirty {
		cs.dirty = true
		c.turn.dirty = append(c.turn.dirty, cs)
	}
	if n := len(cs.verdicts); n > 0 {
		if v := &cs.verdicts[n-1]; v.Outcome == o && v.To+1 == at {
			v.To = at
			return
		}
	}
	cs.verdicts = append(cs.verdicts, core.Verdict{From: at, To: at, Outcome: o})
}

// recover gives everything that the channel holds back to its queues.
func (ch *channel) recover(requeue, answer bool) error {
	if !requeue {
		return wire.Errorf(wire.NotImplemented, "requeue=false")
	}
	u := &ch.unacked
	for i := u.head; i < len(u.list); i++ {
		if d := &u.list[i]; !d.settled {
			ch.settleOne(d, core.Return)
			u.gaps++
		}
	}
	u.advance()
	if answer {
		ch.c.send(ch.id, &wire.BasicRecoverOk{})
	}
	ch.deliverWaiting()
	return nil
}
