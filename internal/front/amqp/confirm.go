package amqp

import (
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
)

// confirms are the messages whose publisher waits, by sequence number.
//
//	base            last
//	 │ 0 2 0 1 ...   │     how many queues have yet to answer; done: 0
//	 └ the oldest that is not done
type confirms struct {
	base   uint64 // the sequence of the first element
	last   uint64 // given out last
	open   []pending
	head   int
	answer []uint64 // scratch: those that a group has finished
}

type pending struct {
	left   int32
	failed bool
	done   bool
}

func (cs *confirms) next() uint64 {
	if cs.head == len(cs.open) {
		cs.open, cs.head, cs.base = cs.open[:0], 0, cs.last+1
	} else if cs.head > 1024 && cs.head > len(cs.open)/2 {
		n := copy(cs.open, cs.open[cs.head:])
		cs.open, cs.head = cs.open[:n], 0
	}
	cs.last++
	cs.open = append(cs.open, pending{})
	return cs.last
}

func (cs *confirms) at(seq uint64) *pending { return &cs.open[cs.head+int(seq-cs.base)] }

// routed says how many queues have to answer.
func (cs *confirms) routed(seq uint64, queues int) {
	cs.at(seq).left = int32(queues)
}

// advance passes over what is done at the front.
func (cs *confirms) advance() {
	for cs.head < len(cs.open) && cs.open[cs.head].done {
		cs.head++
		cs.base++
	}
}

// confirmSelect takes confirm.select.
func (ch *channel) confirmSelect(m *wire.ConfirmSelect) error {
	if ch.mode == transactional {
		return wire.Errorf(wire.PreconditionFailed, "cannot switch from tx to confirm mode")
	}
	if ch.mode == plain {
		ch.mode = confirming
		ch.confirms.base = 1
	}
	if !m.NoWait {
		ch.c.send(ch.id, &wire.ConfirmSelectOk{})
	}
	return nil
}

// failed counts a queue that cannot take a message.
func (cs *confirms) failed(seq uint64) {
	p := cs.at(seq)
	p.left--
	p.failed = true
}

// confirmedNow answers a message for which nobody is asked.
func (ch *channel) confirmedNow(seq uint64) {
	cs := &ch.confirms
	p := cs.at(seq)
	p.done = true
	nack := p.failed
	if !nack {
		ch.counter.One(topology.Confirmed)
	}
	cs.advance()
	o := ch.c.w.Out()
	o.B = wire.AppendConfirm(o.B, ch.id, seq, false, nack)
}

// confirmed counts a group's outcome against its messages and answers those that
// are done: the oldest together, others each by itself, failures always so.
func (c *conn) confirmed(g *group, ok bool) {
	for i := 0; i < len(g.confirm); {
		ch := g.confirm[i].ch
		j := i
		for j < len(g.confirm) && g.confirm[j].ch == ch {
			j++
		}
		if !ch.dead && !ch.closing {
			ch.confirmGroup(g.confirm[i:j], ok)
		}
		i = j
	}
}

func (ch *channel) confirmGroup(ws []waiting, ok bool) {
	cs, o := &ch.confirms, ch.c.w.Out()
	cs.answer = cs.answer[:0]
	for _, w := range ws {
		if w.seq == 0 { // of a transaction
			ch.tx.lost = ch.tx.lost || !ok
			continue
		}
		p := cs.at(w.seq)
		p.left--
		p.failed = p.failed || !ok
		if p.left > 0 {
			continue
		}
		p.done = true
		if p.failed {
			o.B = wire.AppendConfirm(o.B, ch.id, w.seq, false, true)
		} else {
			cs.answer = append(cs.answer, w.seq)
			ch.counter.One(topology.Confirmed)
		}
	}
	before := cs.base
	cs.advance()
	together := 0
	for together < len(cs.answer) && cs.answer[together] < cs.base {
		together++
	}
	if together > 0 {
		last := cs.answer[together-1]
		o.B = wire.AppendConfirm(o.B, ch.id, last, last > before, false)
	}
	for _, seq := range cs.answer[together:] {
		o.B = wire.AppendConfirm(o.B, ch.id, seq, false, false)
	}
	ch.c.w.Wake()
}
