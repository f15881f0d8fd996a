package shard

import "trine/internal/core"

// A consumer that leaves may have left something with its queue's leader: messages in its
// hands, room for more. The leader must hear of it, however long that takes: what an
// attachment without a consumer holds would be given to nobody.

// detaching is a consumer that has left, until the leader has heard of it.
type detaching struct {
	id   core.ConsumerID
	sent bool
	done func() // nil: nobody waits, or was told that nobody leads now
}

// detach has the leader told that a consumer is gone. done is called once it knows, or at
// once where nobody is known to lead.
func (s *Shard) detach(t *target, id core.ConsumerID, done func()) {
	if t.stale && done != nil {
		done()
		done = nil
	}
	t.detaches = append(t.detaches, &detaching{id: id, done: done})
	s.sendDetaches(t)
	s.pend(t)
}

func (s *Shard) sendDetaches(t *target) {
	for _, d := range append([]*detaching(nil), t.detaches...) {
		if d.sent || t.stale || t.unsettled(d.id) {
			continue
		}
		d.sent = true
		m := &core.DetachAsk{Stream: t.id, Consumer: core.Consumer{Incarnation: s.cfg.Self.Incarnation, ID: d.id}}
		if t.leader == s.cfg.Self.Node {
			s.detached(t, d, s.detachHere(m))
			continue
		}
		s.request(t.leader, m, func(r *core.Response) { s.detached(t, d, r.Err) })
	}
}

// detached takes the leader's answer. Without one it, or its successor, is asked again.
func (s *Shard) detached(t *target, d *detaching, err *core.Error) {
	switch kindOf(err) {
	case core.NotLeader, core.NoLeader, core.Unknown, core.Unavailable, core.Shut, core.Fenced:
		s.again(t)
	default:
		for i, o := range t.detaches {
			if o == d {
				t.detaches = append(t.detaches[:i:i], t.detaches[i+1:]...)
				break
			}
		}
	}
	if done := d.done; done != nil {
		d.done = nil
		done()
	}
}

// unsettled says whether settlements of a consumer wait to be sent: they go first, for what
// is given back is no longer the consumer's to settle.
func (t *target) unsettled(id core.ConsumerID) bool {
	for _, f := range t.settles {
		if !f.sent && f.of(id) {
			return true
		}
	}
	return false
}

// unsent has all that is under way to the leader sent once more.
func (t *target) unsent() {
	for _, f := range t.flights {
		f.sent = false
	}
	for _, f := range t.settles {
		f.sent = false
	}
	for _, d := range t.detaches {
		d.sent = false
	}
}

// detachHere ends an attachment to a queue that this node leads.
func (s *Shard) detachHere(m *core.DetachAsk) *core.Error {
	c, err := s.lending("consume", m.Stream)
	if err != nil {
		return err
	}
	c.q.Detach(m.Consumer)
	delete(c.lender.tries, m.Consumer)
	s.mark(c)
	return nil
}
