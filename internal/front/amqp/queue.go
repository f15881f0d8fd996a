package amqp

import (
	"encoding/json"
	"math/rand/v2"
	"strings"

	"trine/internal/core"
	"trine/internal/front/amqp/access"
	"trine/internal/front/amqp/declare"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
	"trine/internal/front/gate"
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
	if q.Exclusive && q.Stream.Owner != c.owner() {
		return locked(q.Name, q.VHost)
	}
	return nil
}

// down says whether a queue's only copy is on a node that is not there.
func (f *Front) down(q *queue) bool {
	s := q.Stream
	return q.Homeless() || s.Policy.Copies == 1 && s.Policy.Election == core.ElectNone &&
		s.Leader != f.core.Self().Node && !f.alive(s.Leader)
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
	if q := c.f.view.Queue(c.vhost, name); q != nil {
		return use(q)
	}
	return ch.whenSure(id, func() error {
		q := c.f.view.Queue(c.vhost, name)
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
		if err := ch.c.rights.MayKnow(gate.Queue, name); err != nil {
			return err
		}
		return ch.withQueue(m.ID(), name, func(q *queue) error { return ch.declared(m, q, nil) })
	}
	of := declare.Subject{Kind: "queue", Name: name, VHost: ch.c.vhost}
	m.Arguments = declare.WithKind(m, ch.c.f.view.QueueType(ch.c.vhost))
	kind, err := declare.KindOf(m.Arguments, of)
	if err != nil {
		return err
	}
	if err := declare.Queue(m, kind, of); err != nil {
		return err
	}
	if name == "" {
		name = generated(ch.c.f.o.Rand, "amq.gen-")
	} else if err := reserved("queue", name); err != nil {
		return err
	}
	if err := ch.c.rights.May(access.Configure, gate.Queue, name); err != nil {
		return err
	}
	if q := ch.c.f.view.Queue(ch.c.vhost, name); q != nil {
		return ch.redeclared(m, q, kind)
	}
	if err := ch.c.rights.MayAlso(gate.Queue, name, m.Arguments, "x-dead-letter-exchange"); err != nil {
		return err
	}
	max := ch.c.f.view.Limit(ch.c.vhost, topology.QueuesMax)
	if max >= 0 && ch.c.f.view.QueueCount(ch.c.vhost) >= max {
		return wire.Errorf(wire.PreconditionFailed, "cannot declare queue '%s': queue limit in vhost "+
			"'%s' (%d) is reached", name, ch.c.vhost, max)
	}
	return ch.define(m, name, kind)
}

// redeclared answers for a queue that is there already.
func (ch *channel) redeclared(m *wire.QueueDeclare, q *queue, kind string) error {
	c := ch.c
	if q.Exclusive != m.Exclusive || q.Exclusive && q.Stream.Owner != c.owner() {
		return locked(q.Name, q.VHost)
	}
	if err := declare.SameQueue(q, m, kind); err != nil {
		return err
	}
	if c.f.down(q) {
		return homeDown(q)
	}
	return ch.declared(m, q, func() error { return ch.define(m, q.Name, kind) })
}

// declared answers with what is in a queue. gone is what to do where it has just gone, as
// one does whose last consumer left; nil: say so.
func (ch *channel) declared(m *wire.QueueDeclare, q *queue, gone func() error) error {
	ch.lastQueue = q.Name
	if !m.Passive {
		ch.c.f.counts.churn.QueuesDeclared.Add(1)
	}
	if m.NoWait {
		return nil
	}
	return ch.inspectOr(m.ID(), q, gone, func(i core.QueueInfo) error {
		ch.c.send(ch.id, &wire.QueueDeclareOk{Queue: q.Name, Messages: uint32(i.Ready),
			Consumers: uint32(len(i.Consumers))})
		return nil
	})
}

// inspect asks a queue for its counts, as they are after all that this connection
// did before.
func (ch *channel) inspect(id wire.ID, q *queue, then func(core.QueueInfo) error) error {
	return ch.inspectOr(id, q, nil, then)
}

func (ch *channel) inspectOr(id wire.ID, q *queue, gone func() error, then func(core.QueueInfo) error) error {
	return ch.afterSettled(id, func() error {
		resume := ch.await(id)
		if q.Kind == streamed {
			ch.c.f.measure(q, func(n int64, err error) {
				resume(func() error {
					if err != nil {
						return ch.c.queueTrouble(q, err)
					}
					return then(core.QueueInfo{Ready: n})
				})
			})
			return nil
		}
		ch.c.f.core.Queue().Inspect(q.Stream.ID, func(i core.QueueInfo, err error) {
			resume(func() error {
				switch {
				case gone != nil && core.KindOf(err) == core.NotExist:
					return gone()
				case err != nil:
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
		return noQueue(q.Name, q.VHost)
	case core.Locked:
		return inExclusiveUse(q)
	case core.NoLeader, core.Unavailable, core.Unknown:
		if c.f.down(q) {
			return homeDown(q)
		}
	}
	return wire.Errorf(wire.NotFound, "failed to perform operation on queue '%s' in vhost '%s' due to "+
		"timeout", q.Name, q.VHost)
}

// define makes a queue.
func (ch *channel) define(m *wire.QueueDeclare, name, kind string) error {
	c := ch.c
	l := label{Durable: m.Durable, Exclusive: m.Exclusive, AutoDelete: m.AutoDelete,
		Arguments: m.Arguments, Kind: kind, Node: c.f.core.Self().Node}
	l.Node = c.f.view.Locate(c.vhost, name, l, c.f.living(), rand.IntN)
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
			q := c.f.view.Saw(s)
			if exists {
				return ch.redeclared(m, q, kind)
			}
			ch.lastQueue = name
			c.f.counts.churn.QueuesDeclared.Add(1)
			c.f.counts.churn.QueuesCreated.Add(1)
			c.f.recheck(c.vhost, name)
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
	e := f.view.Effective(vhost, name, l)
	d := core.Definition{Name: topology.StreamName(vhost, name), Labels: labels}
	if d.Policy, d.At = e.Copies(l); l.Kind == streamed {
		d.Keep = e.Keep(l)
		return d, nil
	}
	settings := e.Settings(l)
	d.Queue = &settings
	return d, nil
}

func (ch *channel) queuePurge(m *wire.QueuePurge) error {
	name, err := ch.queueName(m.Queue)
	if err != nil {
		return err
	}
	if err := ch.c.rights.May(access.Read, gate.Queue, name); err != nil {
		return err
	}
	return ch.withQueue(m.ID(), name, func(q *queue) error {
		if q.Kind == streamed {
			return streamCannot("queue.purge", q)
		}
		return ch.afterSettled(m.ID(), func() error {
			resume := ch.await(m.ID())
			ch.c.f.core.Queue().Purge(q.Stream.ID, func(n int64, err error) {
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
	if err := c.rights.May(access.Configure, gate.Queue, name); err != nil {
		return err
	}
	q := c.f.view.Queue(c.vhost, name)
	if q == nil {
		return ch.whenSure(m.ID(), func() error {
			if c.f.view.Queue(c.vhost, name) != nil {
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
	if flag := conditions(m); flag != "" && q.Kind == quorum {
		return wire.Errorf(wire.NotImplemented, "cannot delete queue '%s' in vhost '%s'. queue.delete "+
			"operations with %s flag set are not supported by quorum queues", q.Name, q.VHost, flag)
	}
	if c.f.down(q) || q.Kind == streamed { // of streams, neither condition is looked at
		return ch.remove(m, q, 0)
	}
	return ch.inspect(m.ID(), q, func(i core.QueueInfo) error {
		switch {
		case m.IfUnused && len(i.Consumers) > 0:
			return wire.Errorf(wire.PreconditionFailed, "queue '%s' in vhost '%s' in use", q.Name, q.VHost)
		case m.IfEmpty && i.Ready > 0:
			return wire.Errorf(wire.PreconditionFailed, "queue '%s' in vhost '%s' not empty", q.Name,
				q.VHost)
		}
		return ch.remove(m, q, i.Ready)
	})
}

// conditions names the first condition that a queue.delete has, or none.
func conditions(m *wire.QueueDelete) string {
	switch {
	case m.IfUnused:
		return "if-unused"
	case m.IfEmpty:
		return "if-empty"
	}
	return ""
}

func (ch *channel) deleted(m *wire.QueueDelete, messages int64) error {
	if !m.NoWait {
		ch.c.send(ch.id, &wire.QueueDeleteOk{Messages: uint32(messages)})
	}
	return nil
}

// remove ends a queue, its bindings, and the auto-delete exchanges that had no others.
func (ch *channel) remove(m *wire.QueueDelete, q *queue, messages int64) error {
	ch.put(m.ID(), ch.c.f.view.RemoveQueue(q), func(_ core.Revision, err error) error {
		switch core.KindOf(err) {
		case core.OK, core.NotExist:
			ch.c.f.counts.churn.QueuesDeleted.Add(1)
			return ch.deleted(m, messages)
		case core.Conflict: // another of that name, or of an exchange's, stands there now
			return ch.whenSure(m.ID(), func() error { return ch.queueDelete(m) })
		}
		return unsure(err)
	})
	return nil
}

// removeExclusive removes what this connection owns, then calls done with the lock
// held.
func (c *conn) removeExclusive(done func()) {
	owned := c.f.view.Owned(c.vhost, c.owner())
	open := 1
	one := func() {
		if open--; open == 0 {
			done()
		}
	}
	for _, q := range owned {
		open++
		c.f.core.Cluster().Put(c.f.view.RemoveQueue(q), func(_ core.Revision, err error) {
			c.w.Lock()
			defer c.w.Unlock()
			if k := core.KindOf(err); k != core.OK && k != core.NotExist {
				c.f.log.Warn("an exclusive queue stays", "front", "amqp", "queue", q.Name, "err", err)
			}
			one()
		})
	}
	one()
}
