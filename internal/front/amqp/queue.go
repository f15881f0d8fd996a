package amqp

import (
	"encoding/json"
	"strings"

	"trine/internal/core"
	"trine/internal/front/amqp/wire"
)

// queueName gives what a method's queue field means.
func (ch *channel) queueName(name string) (string, error) {
	if name = stripped(name); name != "" {
		return name, nil
	}
	if ch.lastQueue == "" {
		return "", wire.Errorf(wire.NotFound, "no previously declared queue")
	}
	return ch.lastQueue, nil
}

// owner names this connection, to the core.
func (c *conn) owner() core.Owner {
	self := c.f.core.Self()
	return core.Owner{Node: self.Node, Incarnation: self.Incarnation, Conn: c.w.Info().ID}
}

// mayUse keeps other connections from an exclusive queue.
func (c *conn) mayUse(q *queue) error {
	if q.Exclusive && q.stream.Owner != c.owner() {
		return locked(q.name, q.vhost)
	}
	return nil
}

// down says whether a queue's only copy is on a node that is not there.
func (f *Front) down(q *queue) bool {
	s := q.stream
	return q.homeless() || s.Policy.Copies == 1 && s.Policy.Election == core.ElectNone &&
		s.Leader != f.core.Self().Node && !f.alive(s.Leader)
}

// homeless says what the catalog knows of that: nobody leads, and nobody else may.
func (q *queue) homeless() bool {
	s := q.stream
	return s.Leader == 0 && s.Policy.Copies == 1 && s.Policy.Election == core.ElectNone
}

// withQueue finds a queue and goes on with it: at once where this node knows it,
// else when it is sure.
func (ch *channel) withQueue(id wire.ID, name string, then func(*queue) error) error {
	c := ch.c
	use := func(q *queue) error {
		if err := c.mayUse(q); err != nil {
			return err
		}
		if c.f.down(q) {
			return homeDown(q)
		}
		return then(q)
	}
	if q := c.f.view.queue(c.vhost, name); q != nil {
		return use(q)
	}
	return ch.whenSure(id, func() error {
		q := c.f.view.queue(c.vhost, name)
		if q == nil {
			return noQueue(name, c.vhost)
		}
		return use(q)
	})
}

// afterSettled goes on once all that the connection published and settled so far
// has its outcome.
func (ch *channel) afterSettled(id wire.ID, then func() error) error {
	c := ch.c
	c.endTurn()
	if c.turn.left == 0 {
		return then()
	}
	ch.waits++
	c.settled(func() {
		ch.waits--
		if !ch.dead && !ch.closing && c.running() {
			ch.after(withID(then(), id))
		}
	})
	return nil
}

func (ch *channel) queueDeclare(m *wire.QueueDeclare) error {
	name := stripped(m.Queue)
	if strings.HasPrefix(name, replyQueue) {
		return ch.declareReply(m, name)
	}
	if m.Passive {
		name, err := ch.queueName(name)
		if err != nil {
			return err
		}
		return ch.withQueue(m.ID(), name, func(q *queue) error { return ch.declared(m, q) })
	}
	of := subject{"queue", name, ch.c.vhost}
	kind, err := kindOf(m.Arguments, of)
	if err != nil {
		return err
	}
	if err := checkDeclaration(m, kind, of); err != nil {
		return err
	}
	if name == "" {
		name = generated(ch.c.f.o.Rand, "amq.gen-")
	} else if err := reserved("queue", name); err != nil {
		return err
	}
	if q := ch.c.f.view.queue(ch.c.vhost, name); q != nil {
		return ch.redeclared(m, q, kind)
	}
	return ch.define(m, name, kind)
}

// redeclared answers for a queue that is there already.
func (ch *channel) redeclared(m *wire.QueueDeclare, q *queue, kind string) error {
	c := ch.c
	if q.Exclusive != m.Exclusive || q.Exclusive && q.stream.Owner != c.owner() {
		return locked(q.name, q.vhost)
	}
	if err := q.checkEquivalence(m, kind); err != nil {
		return err
	}
	if c.f.down(q) {
		return homeDown(q)
	}
	return ch.declared(m, q)
}

// declared answers with what is in a queue.
func (ch *channel) declared(m *wire.QueueDeclare, q *queue) error {
	ch.lastQueue = q.name
	if m.NoWait {
		return nil
	}
	return ch.inspect(m.ID(), q, func(i core.QueueInfo) error {
		ch.c.send(ch.id, &wire.QueueDeclareOk{Queue: q.name, Messages: uint32(i.Ready),
			Consumers: uint32(len(i.Consumers))})
		return nil
	})
}

// inspect asks a queue for its counts, as they are after all that this connection
// did before.
func (ch *channel) inspect(id wire.ID, q *queue, then func(core.QueueInfo) error) error {
	return ch.afterSettled(id, func() error {
		resume := ch.await(id)
		ch.c.f.core.Queue().Inspect(q.stream.ID, func(i core.QueueInfo, err error) {
			resume(func() error {
				if err != nil {
					return ch.c.queueTrouble(q, err)
				}
				return then(i)
			})
		})
		return nil
	})
}

// queueTrouble is the reply to an error that the core gave for a queue.
func (c *conn) queueTrouble(q *queue, err error) error {
	switch core.KindOf(err) {
	case core.NotExist:
		return noQueue(q.name, q.vhost)
	case core.Locked:
		return wire.Errorf(wire.AccessRefused, "queue '%s' in vhost '%s' in exclusive use", q.name, q.vhost)
	case core.NoLeader, core.Unavailable:
		if c.f.down(q) {
			return homeDown(q)
		}
	}
	return wire.Errorf(wire.NotFound, "failed to perform operation on queue '%s' in vhost '%s' due to "+
		"timeout", q.name, q.vhost)
}

// define makes a queue.
func (ch *channel) define(m *wire.QueueDeclare, name, kind string) error {
	c := ch.c
	l := label{Durable: m.Durable, Exclusive: m.Exclusive, AutoDelete: m.AutoDelete,
		Arguments: m.Arguments, Kind: kind, Node: c.f.core.Self().Node}
	d, err := c.f.definition(c.vhost, name, l)
	if err != nil {
		return err
	}
	switch {
	case l.Exclusive:
		d.Owner = c.owner()
	case !l.Durable && d.Policy.Copies == 1:
		d.Owner = c.owner() // of this run of the node, not of the connection
		d.Owner.Conn = 0
	}
	resume := ch.await(m.ID())
	c.f.core.Streams().Define(d, func(s *core.Stream, err error) {
		resume(func() error {
			exists := core.KindOf(err) == core.Exist && s != nil
			if err != nil && !exists {
				return unsure(err)
			}
			q := c.f.saw(s)
			if exists {
				return ch.redeclared(m, q, kind)
			}
			ch.lastQueue = name
			if !m.NoWait {
				c.send(ch.id, &wire.QueueDeclareOk{Queue: name})
			}
			return nil
		})
	})
	return nil
}

// definition says what stream a queue is, by its label and the policies in force.
func (f *Front) definition(vhost, name string, l label) (core.Definition, error) {
	labels, err := json.Marshal(l)
	if err != nil {
		return core.Definition{}, err
	}
	f.view.mu.RLock()
	e := f.view.policies.effective(vhost, name, l)
	f.view.mu.RUnlock()
	settings := e.settings(l)
	policy, at := e.copies(l)
	return core.Definition{Name: streamName(vhost, name), Policy: policy, At: at, Queue: &settings,
		Labels: labels}, nil
}

func (ch *channel) queuePurge(m *wire.QueuePurge) error {
	name, err := ch.queueName(m.Queue)
	if err != nil {
		return err
	}
	return ch.withQueue(m.ID(), name, func(q *queue) error {
		return ch.afterSettled(m.ID(), func() error {
			resume := ch.await(m.ID())
			ch.c.f.core.Queue().Purge(q.stream.ID, func(n int64, err error) {
				resume(func() error {
					if err != nil {
						return ch.c.queueTrouble(q, err)
					}
					if !m.NoWait {
						ch.c.send(ch.id, &wire.QueuePurgeOk{Messages: uint32(n)})
					}
					return nil
				})
			})
			return nil
		})
	})
}

func (ch *channel) queueDelete(m *wire.QueueDelete) error {
	c := ch.c
	name, err := ch.queueName(m.Queue)
	if err != nil {
		return err
	}
	q := c.f.view.queue(c.vhost, name)
	if q == nil {
		return ch.whenSure(m.ID(), func() error {
			if c.f.view.queue(c.vhost, name) != nil {
				return ch.queueDelete(m)
			}
			return ch.deleted(m, 0)
		})
	}
	if err := c.mayUse(q); err != nil {
		return err
	}
	if c.f.down(q) && (m.IfUnused || m.IfEmpty) {
		return homeDown(q)
	}
	if m.IfEmpty && q.Kind == quorum {
		return wire.Errorf(wire.NotImplemented, "cannot delete queue '%s' in vhost '%s'. queue.delete "+
			"operations with if-empty flag set are not supported by quorum queues", q.name, q.vhost)
	}
	if c.f.down(q) {
		return ch.remove(m, q, 0)
	}
	return ch.inspect(m.ID(), q, func(i core.QueueInfo) error {
		switch {
		case m.IfUnused && len(i.Consumers) > 0:
			return wire.Errorf(wire.PreconditionFailed, "queue '%s' in vhost '%s' in use", q.name, q.vhost)
		case m.IfEmpty && i.Ready > 0:
			return wire.Errorf(wire.PreconditionFailed, "queue '%s' in vhost '%s' is not empty", q.name,
				q.vhost)
		}
		return ch.remove(m, q, i.Ready)
	})
}

func (ch *channel) deleted(m *wire.QueueDelete, messages int64) error {
	if !m.NoWait {
		ch.c.send(ch.id, &wire.QueueDeleteOk{Messages: uint32(messages)})
	}
	return nil
}

// remove ends a queue, its bindings, and the auto-delete exchanges that had no others.
func (ch *channel) remove(m *wire.QueueDelete, q *queue, messages int64) error {
	ch.put(m.ID(), ch.c.f.removal(q), func(_ core.Revision, err error) error {
		switch core.KindOf(err) {
		case core.OK, core.NotExist:
			return ch.deleted(m, messages)
		case core.Conflict: // another of that name, or of an exchange's, stands there now
			return ch.whenSure(m.ID(), func() error { return ch.queueDelete(m) })
		}
		return unsure(err)
	})
	return nil
}

func (f *Front) removal(q *queue) []core.Change {
	changes := []core.Change{{Stream: q.stream.Name, IfID: q.stream.ID}}
	return f.view.withoutBindings(q.vhost, changes, func(h *vhost) []*binding {
		return h.toStream(q.name, q.stream.ID)
	})
}

// toStream gives the bindings that were made for one stream.
func (h *vhost) toStream(name string, id core.StreamID) []*binding {
	var bs []*binding
	for _, b := range h.byQueue[name] {
		if b.Stream == id {
			bs = append(bs, b)
		}
	}
	return bs
}

// sweep removes the bindings of a queue that went by itself. One node does so.
func (f *Front) sweep(host, name string, id core.StreamID) {
	changes := f.view.withoutBindings(host, nil, func(h *vhost) []*binding {
		return h.toStream(name, id)
	})
	if len(changes) == 0 || !f.caretaker() {
		return
	}
	f.core.Cluster().Put(changes, func(_ core.Revision, err error) {
		if k := core.KindOf(err); k != core.OK && k != core.Conflict && k != core.NotExist {
			f.log.Warn("bindings of a removed queue stay", "front", "amqp", "queue", name, "err", err)
		}
	})
}

// removeExclusive removes what this connection owns, then calls done with the lock
// held.
func (c *conn) removeExclusive(done func()) {
	mine := c.owner()
	var owned []*queue
	c.f.view.mu.RLock()
	if h := c.f.view.vhosts[c.vhost]; h != nil {
		for _, name := range sortedKeys(h.queues) {
			if q := h.queues[name]; q.Exclusive && q.stream.Owner == mine {
				owned = append(owned, q)
			}
		}
	}
	c.f.view.mu.RUnlock()
	open := 1
	one := func() {
		if open--; open == 0 {
			done()
		}
	}
	for _, q := range owned {
		open++
		c.f.core.Cluster().Put(c.f.removal(q), func(_ core.Revision, err error) {
			c.w.Lock()
			defer c.w.Unlock()
			if k := core.KindOf(err); k != core.OK && k != core.NotExist {
				c.f.log.Warn("an exclusive queue stays", "front", "amqp", "queue", q.name, "err", err)
			}
			one()
		})
	}
	one()
}
