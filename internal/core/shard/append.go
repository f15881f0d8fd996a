package shard

import (
	"trine/internal/core"
	"trine/internal/core/record"
	"trine/internal/core/stream"
)

// asker is who waits for an answer: a batch that this node entered, a front end's
// finished batch, or another node.
type asker struct {
	flight *flight // entered here, by session
	to     core.Appender
	token  uint64
	peer   *peer // another node
	run    core.Incarnation
	id     uint64
}

// ack is an append whose answer has not left.
type ack struct {
	index core.Index
	level core.Ack
	until core.Time // after which nobody is to wait
	who   asker
	done  core.Appended
}

// enter appends one batch to a copy that leads, or says why not. Its answer is
// Unknown after wait.
func (s *Shard) enter(m *core.Enter, wait core.Time, who asker) {
	c := s.copies[m.Stream]
	if c == nil || !c.leads {
		s.refuse(who, s.notLeader("append", m.Stream))
		return
	}
	if c.sealing != nil {
		s.refuse(who, &core.Error{Op: "append", Name: c.def.Name, Kind: core.Unavailable,
			Detail: "its kind of replication is being changed"})
		return
	}
	if m.IfEpoch != 0 && m.IfEpoch != c.epoch {
		s.refuse(who, &core.Error{Op: "append", Name: c.def.Name, Kind: core.Fenced, Epoch: c.epoch})
		return
	}
	h, err := record.Parse(m.Batch)
	if err != nil || h.Size() != len(m.Batch) {
		s.refuse(who, &core.Error{Op: "append", Name: c.def.Name, Kind: core.Invalid, Err: err})
		return
	}
	st := c.rep.Status()
	a := ack{level: m.Ack, until: s.now.Mono + wait, who: who,
		done: core.Appended{Start: c.start, Stamp: h.Max, Epoch: c.epoch}}
	// Whether it is there already comes first: what is must not be called refused.
	verdict, base := c.ahead.Check(&h)
	if h.Producer < -1 {
		verdict, base = c.ahead.CheckEntered(&h, m.After)
	}
	switch verdict {
	case stream.New:
	case stream.Repeated, stream.RepeatedLost:
		a.index, a.done.Base = st.Last, base
		if verdict == stream.RepeatedLost {
			a.done.Base = -1
		}
		if h.Producer >= 0 && a.index > c.done && s.deposed(c) {
			s.refuse(who, leaseOver(c, core.Unknown))
			return
		}
		s.await(c, a)
		return
	case stream.Gap:
		if !s.certain(c) {
			s.refuse(who, leaseOver(c, core.NoLeader))
			return
		}
		s.refuse(who, &core.Error{Op: "append", Name: c.def.Name, Kind: core.OutOfOrder})
		return
	default:
		s.refuse(who, &core.Error{Op: "append", Name: c.def.Name, Kind: core.Fenced,
			Detail: "the producer's epoch is over"})
		return
	}
	if err := s.closed(c, m, &h, st.MinOK); err != nil {
		s.refuse(who, err)
		return
	}
	e := []core.Entry{{Kind: core.EntryBatch, Count: h.LastDelta + 1, Data: m.Batch}}
	if err := s.proposes(c, e); err != nil {
		s.refuse(who, asError("append", err))
		return
	}
	c.ahead.Append(&e[0])
	a.index, a.done.Base = e[0].Index, e[0].Base
	s.await(c, a)
}

func leaseOver(c *copyOf, k core.Kind) *core.Error {
	return &core.Error{Op: "append", Name: c.def.Name, Kind: k, Detail: "this node's lease is over"}
}

// deposed says whether another may lead by now what c led: its node's lease is over.
// Before a run's first lease it leads by an election that came after its start.
func (s *Shard) deposed(c *copyOf) bool {
	return s.hadLease && c.def.Policy.Election != core.ElectNone && !s.leased()
}

// closed says why a copy takes no new batch now, nil where it does.
func (s *Shard) closed(c *copyOf, m *core.Enter, h *record.Header, minOK bool) *core.Error {
	switch {
	case h.Producer >= -1 && s.deposed(c):
		// A client's own batch is sent once: the client is told at once to look for who
		// leads by now. What a node entered waits, for it can be sent again.
		return leaseOver(c, core.NotLeader)
	case c.yielding != nil:
		return &core.Error{Op: "append", Name: c.def.Name, Kind: core.Unavailable,
			Detail: "the leadership is being handed over"}
	case len(c.refused) > 0 || s.cramped && len(c.def.Members) == 1:
		// Where nobody else can lead, nothing is begun that the disk might refuse: what comes
		// behind a refused write, a queue's notes among it, waits too.
		return &core.Error{Op: "append", Name: c.def.Name, Kind: core.Full,
			Detail: "the disk of its leader is full"}
	case m.Ack == core.AckCommit && !minOK && !c.raft: // under Raft it waits for a majority
		return &core.Error{Op: "append", Name: c.def.Name, Kind: core.Refused, Epoch: c.epoch}
	case c.q != nil && c.ready && c.q.Full(int64(h.Count)+int64(c.rep.Status().LogEnd-c.next), int64(len(m.Batch))-record.HeaderSize):
		return &core.Error{Op: "append", Name: c.def.Name, Kind: core.Full, Detail: core.LimitReached}
	}
	return nil
}

// proposes appends to a copy, which may have slept: also one that refuses because it
// wakes has something to say, and nobody else asks it.
func (s *Shard) proposes(c *copyOf, es []core.Entry) error {
	err := c.rep.Propose(s.now.Mono, es)
	s.mark(c)
	return err
}

func (s *Shard) await(c *copyOf, a ack) {
	if a.level == core.AckNone {
		s.reply(&a, a.done, nil)
	} else {
		c.acks = append(c.acks, a)
	}
	s.mark(c)
}

// acknowledge answers the appends that hold as they asked. Below every in-sync copy
// an answer needs this node's lease, and that it hears a majority: what only a leader has
// is lost if it is cut off, and is answered no longer once that seems so.
func (s *Shard) acknowledge(c *copyOf) {
	if len(c.acks) == 0 {
		return
	}
	st := c.rep.Status()
	free := c.def == nil || c.raft || // under Raft it waits for the majority
		s.certain(c) && (!s.doubtsSelf || c.def.Policy.Election == core.ElectNone)
	keep := c.acks[:0]
	for i := range c.acks {
		a := &c.acks[i]
		holds := a.index <= c.done
		if a.level == core.AckLeader && !c.raft {
			holds = a.index <= st.Persisted
		}
		gated := a.level == core.AckLeader || c.def != nil && c.def.Policy.Commit == core.CommitLeader
		if !holds || gated && !free {
			if holds {
				s.withhold(c)
			}
			keep = append(keep, *a)
			continue
		}
		a.done.InSync = st.InSync
		s.reply(a, a.done, nil)
	}
	clear(c.acks[len(keep):])
	c.acks = keep
}

// expireAcks answers Unknown to those who waited as long as they wished.
func (s *Shard) expireAcks(c *copyOf) {
	keep := c.acks[:0]
	for i := range c.acks {
		a := &c.acks[i]
		if a.until > s.now.Mono || a.who.flight != nil {
			keep = append(keep, *a)
			continue
		}
		s.reply(a, core.Appended{}, &core.Error{Op: "append", Name: s.nameOf(c), Kind: core.Unknown,
			Detail: "it did not hold in time"})
	}
	clear(c.acks[len(keep):])
	c.acks = keep
}

// releaseHeld answers what waited for the lease.
func (s *Shard) releaseHeld() {
	if !s.leased() {
		return
	}
	for _, t := range s.pending {
		if t.missed && s.sure() {
			t.missed = false
			for _, hd := range t.holdings {
				hd.asked = 0
			}
			s.again(t)
		}
	}
	cs := s.withheld
	s.withheld = nil
	for _, c := range cs {
		c.withheld = false
		s.mark(c)
	}
}

func (s *Shard) refuse(who asker, err *core.Error) { s.reply(&ack{who: who}, core.Appended{}, err) }

func (s *Shard) reply(a *ack, done core.Appended, err *core.Error) {
	w := &a.who
	switch {
	case w.flight != nil:
		s.landed(w.flight, done, err)
	case w.to != nil:
		s.out.Answers = append(s.out.Answers, Answer{Appender: w.to, Token: w.token, Appended: done, Err: orNil(err)})
	case w.peer != nil && w.peer.up && w.peer.id.Incarnation == w.run:
		s.respond(w.peer, w.id, err, &core.Entered{Appended: done})
	}
}

// orNil keeps a nil *Error from becoming an error that is not nil.
func orNil(e *core.Error) error {
	if e == nil {
		return nil
	}
	return e
}

func asError(op string, err error) *core.Error {
	if e, ok := err.(*core.Error); ok {
		return e
	}
	return &core.Error{Op: op, Kind: core.Unknown, Err: err}
}

// notLeader says who leads a stream, as this node knows it.
func (s *Shard) notLeader(op string, id core.StreamID) *core.Error {
	v := s.views[id]
	if v == nil {
		return &core.Error{Op: op, Kind: core.NotExist, Detail: "no such stream"}
	}
	e := &core.Error{Op: op, Name: v.Name, Kind: core.NotLeader, Leader: v.Leader, Epoch: v.Epoch}
	if v.Leader == 0 {
		e.Kind = core.NoLeader
	}
	if v.Leader == s.cfg.Self.Node {
		e.Leader = 0 // not yet, or no longer
	}
	return e
}
