package shard

import (
	"sort"

	"trine/internal/core"
)

// request is what this node asked another and was not answered yet.
type request struct {
	to   core.NodeID
	done func(*core.Response) // nil: no answer is waited for
}

// request asks another node. done is called once: with its answer, or with Unknown
// when the connection ends before it came.
func (s *Shard) request(to core.NodeID, b core.Body, done func(*core.Response)) (id uint64) {
	p := s.peers[to]
	if p == nil || !p.up {
		if done != nil {
			done(&core.Response{Err: fail("ask", core.Unavailable, "node %d is not linked", to)})
		}
		return 0
	}
	id = s.id()
	if done != nil {
		s.requests[id] = &request{to: to, done: done}
	}
	s.send(to, &core.Request{ID: id, Body: b})
	return id
}

// unanswered gives a request up: a connection can be silent for minutes before it ends.
func (s *Shard) unanswered(id uint64) {
	if q := s.requests[id]; q != nil {
		delete(s.requests, id)
		q.done(&core.Response{ID: id, Err: fail("ask", core.Unknown, "node %d does not answer", q.to)})
	}
}

func (s *Shard) responded(p *peer, r *core.Response) {
	q := s.requests[r.ID]
	if q == nil || q.to != p.node {
		return
	}
	delete(s.requests, r.ID)
	q.done(r)
}

// dropRequests answers Unknown for all that a node was asked: its link ended.
func (s *Shard) dropRequests(p *peer) {
	var ids []uint64
	for id, q := range s.requests {
		if q.to == p.node {
			ids = append(ids, id)
		}
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	for _, id := range ids {
		q := s.requests[id]
		delete(s.requests, id)
		q.done(&core.Response{ID: id, Err: fail("ask", core.Unknown, "the link to node %d ended", p.node)})
	}
}

func (s *Shard) respond(p *peer, id uint64, err *core.Error, b core.Body) {
	r := &core.Response{ID: id, Err: err}
	if err == nil {
		r.Body = b
		if b == nil {
			r.Body = &core.Done{}
		}
	}
	s.send(p.node, r)
}

// requested answers another node, from what this one leads.
func (s *Shard) requested(p *peer, m *core.Request) {
	run, id := p.id.Incarnation, m.ID
	answer := func(err error, b core.Body) {
		if p.up && p.id.Incarnation == run {
			var e *core.Error
			if err != nil {
				e = asError("answer", err)
			}
			s.respond(p, id, e, b)
		}
	}
	if st := streamOf(m.Body); st != 0 && s.views[st] == nil {
		// The asker knows it; this node has not applied its making, or already its end, of
		// which the asker hears itself.
		s.respond(p, id, fail("answer", core.Unavailable, "the stream is not known here"), nil)
		return
	}
	switch b := m.Body.(type) {
	case *core.Enter:
		s.enter(b, appendWait, asker{peer: p, run: run, id: id})
	case *core.Read:
		b.Here = true
		s.read(b, func(as []core.ReadAnswer) { answer(nil, &core.ReadDone{Parts: as}) })
	case *core.Find:
		b.Here = true
		s.find(b, func(f core.Found, err error) { answer(err, &f) })
	case *core.Trim:
		b.Here = true
		s.trim(b, func(o core.Offset, err error) { answer(err, &core.Trimmed{Start: o}) })
	case *core.AttachAsk:
		epoch, err := s.attachHere(b, p.node)
		s.respond(p, id, err, &core.Attached{Epoch: epoch})
	case *core.CreditAsk:
		s.creditHere(b)
	case *core.SettleAsk:
		s.settleHere(b, run, func(err *core.Error) { answer(orNil(err), &core.SettleDone{Seq: b.Seq}) })
	case *core.DetachAsk:
		s.respond(p, id, s.detachHere(b), nil)
	case *core.InspectAsk:
		c, err := s.lending("inspect", b.Stream)
		if err != nil {
			s.respond(p, id, err, nil)
			return
		}
		info := c.q.Inspect()
		s.respond(p, id, nil, &info)
	case *core.PurgeAsk:
		c, err := s.lending("purge", b.Stream)
		if err != nil {
			s.respond(p, id, err, nil)
			return
		}
		n := c.q.Purge()
		s.mark(c)
		s.respond(p, id, nil, &core.Purged{Messages: n})
	case *core.Propose:
		s.proposed(p, id, b)
	case *core.ReadIndex:
		if index, ok := s.readIndex(); ok {
			s.respond(p, id, nil, &core.ReadIndexDone{Index: index})
			return
		}
		s.respond(p, id, &core.Error{Op: "ask the catalog", Kind: core.NotLeader}, nil)
	}
}

// streamOf gives the stream that a request is about; 0 where it is about none or many.
func streamOf(b core.Body) core.StreamID {
	switch b := b.(type) {
	case *core.Enter:
		return b.Stream
	case *core.Read:
		if len(b.Parts) == 1 {
			return b.Parts[0].Stream
		}
	case *core.Find:
		return b.Stream
	case *core.Trim:
		return b.Stream
	case *core.AttachAsk:
		return b.Stream
	case *core.SettleAsk:
		return b.Stream
	case *core.InspectAsk:
		return b.Stream
	case *core.PurgeAsk:
		return b.Stream
	}
	return 0
}
