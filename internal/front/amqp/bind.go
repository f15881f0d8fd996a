package amqp

import (
	"encoding/json"
	"fmt"

	"trine/internal/core"
	"trine/internal/front/amqp/access"
	"trine/internal/front/amqp/route"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
	"trine/internal/front/gate"
)

// bindRequest is queue.bind, exchange.bind, or one of their opposites.
type bindRequest struct {
	id      wire.ID
	source  string
	dest    string
	toQueue bool
	key     string
	args    wire.Table
	tries   int
	ok      func()
}

func (ch *channel) queueBind(m *wire.QueueBind) error {
	name, key, err := ch.queueAndKey(m.Queue, m.RoutingKey)
	if err != nil {
		return err
	}
	return ch.bind(&bindRequest{id: m.ID(), source: stripped(m.Exchange), dest: name, toQueue: true,
		key: key, args: m.Arguments, ok: func() {
			if !m.NoWait {
				ch.c.send(ch.id, &wire.QueueBindOk{})
			}
		}})
}

func (ch *channel) queueUnbind(m *wire.QueueUnbind) error {
	name, key, err := ch.queueAndKey(m.Queue, m.RoutingKey)
	if err != nil {
		return err
	}
	return ch.unbind(&bindRequest{id: m.ID(), source: stripped(m.Exchange), dest: name, toQueue: true,
		key: key, args: m.Arguments, ok: func() { ch.c.send(ch.id, &wire.QueueUnbindOk{}) }})
}

func (ch *channel) exchangeBind(m *wire.ExchangeBind) error {
	return ch.bind(&bindRequest{id: m.ID(), source: stripped(m.Source), dest: stripped(m.Destination),
		key: m.RoutingKey, args: m.Arguments, ok: func() {
			if !m.NoWait {
				ch.c.send(ch.id, &wire.ExchangeBindOk{})
			}
		}})
}

func (ch *channel) exchangeUnbind(m *wire.ExchangeUnbind) error {
	return ch.unbind(&bindRequest{id: m.ID(), source: stripped(m.Source), dest: stripped(m.Destination),
		key: m.RoutingKey, args: m.Arguments, ok: func() {
			if !m.NoWait {
				ch.c.send(ch.id, &wire.ExchangeUnbindOk{})
			}
		}})
}

// queueAndKey fills in what "" stands for: the queue declared last, and its name.
func (ch *channel) queueAndKey(queue, key string) (string, string, error) {
	name, err := ch.queueName(queue)
	if err == nil && queue == "" && key == "" {
		key = name
	}
	return name, key, err
}

// may asks for what joining or parting two things needs.
func (r *bindRequest) may(c *conn) error {
	typ := gate.Exchange
	if r.toQueue {
		typ = gate.Queue
	}
	if err := c.rights.May(access.Write, typ, r.dest); err != nil {
		return err
	}
	if err := c.rights.May(access.Read, gate.Exchange, r.source); err != nil {
		return err
	}
	if x := c.f.view.Exchange(c.vhost, r.source); x != nil {
		return c.rights.MayBind(x, r.key)
	}
	return nil
}

// refuseDefaults keeps the default exchange out of bindings.
func (r *bindRequest) refuseDefaults() error {
	if !r.toQueue && r.dest == "" {
		return refuseDefault("")
	}
	return refuseDefault(r.source)
}

// ends finds what a binding would join.
func (ch *channel) ends(r *bindRequest) (x *exchange, q *queue, to *exchange, err error) {
	v, vhost := ch.c.f.view, ch.c.vhost
	if r.toQueue {
		if q = v.Queue(vhost, r.dest); q == nil {
			return nil, nil, nil, noQueue(r.dest, vhost)
		}
	} else if to = v.Exchange(vhost, r.dest); to == nil {
		return nil, nil, nil, noExchange(r.dest, vhost)
	}
	if x = v.Exchange(vhost, r.source); x == nil {
		return nil, nil, nil, noExchange(r.source, vhost)
	}
	return x, q, to, nil
}

func (ch *channel) bind(r *bindRequest) error {
	if err := r.refuseDefaults(); err != nil {
		return err
	}
	if err := r.may(ch.c); err != nil {
		return err
	}
	if _, _, _, err := ch.ends(r); err != nil {
		return ch.whenSure(r.id, func() error { return ch.bindNow(r) })
	}
	return ch.bindNow(r)
}

func (ch *channel) bindNow(r *bindRequest) error {
	c := ch.c
	x, q, to, err := ch.ends(r)
	if err != nil {
		return err
	}
	if err := c.rights.MayBind(x, r.key); err != nil { // it may be another than before
		return err
	}
	doc := topology.BindingDoc{Source: r.source, Destination: r.dest, ToQueue: r.toQueue, Key: r.key,
		Arguments: r.args, SourceRevision: x.Revision}
	var owner core.Owner
	if q != nil {
		if err := c.mayUse(q); err != nil {
			return err
		}
		doc.Stream, owner = q.Stream.ID, q.Stream.Owner
	} else {
		doc.DestRevision = to.Revision
	}
	if err := r.suits(x, q); err != nil {
		return err
	}
	key := topology.BindingKey(c.vhost, r.source, r.toQueue, r.dest, r.key, r.args)
	if c.f.view.Bound(c.vhost, key) {
		r.ok()
		return nil
	}
	value, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	changes := []core.Change{{Key: key, Value: value, Expect: core.AnyRevision, Owner: owner}}
	ch.put(r.id, changes, func(_ core.Revision, err error) error {
		if err != nil {
			return unsure(err)
		}
		if r.tries++; r.tries < 4 && !c.f.view.Bound(c.vhost, key) {
			// One end was deleted and made anew meanwhile: bind the new one.
			return ch.whenSure(r.id, func() error { return ch.bindNow(r) })
		}
		if x.Kind == route.RecentHistory {
			return ch.catchUp(x, q, to, r)
		}
		r.ok()
		return nil
	})
	return nil
}

// catchUp gives what x kept to what was bound to it just now, before it is answered.
func (ch *channel) catchUp(x *exchange, q *queue, to *exchange, r *bindRequest) error {
	c := ch.c
	resume := ch.await(r.id)
	done := func(err error) {
		resume(func() error {
			if err != nil {
				c.f.log.Warn("recent messages are missing in what was bound", "front", "amqp",
					"vhost", c.vhost, "exchange", x.Name, "err", err)
			}
			r.ok()
			return nil
		})
	}
	c.f.onward.CatchUp(c.vhost, x, q, to, done)
	return nil
}

// suits refuses a binding that an exchange of x's kind cannot have.
func (r *bindRequest) suits(x *exchange, q *queue) error {
	why := ""
	switch x.Kind {
	case route.Headers:
		if v, there := r.args.Get("x-match"); there && v.Type != wire.TypeString {
			why = fmt.Sprintf("Invalid x-match field type %s (value %s); expected longstr", v.TypeName(), v)
			break
		}
		if _, text, ok := route.MatchKindOf(r.args); !ok {
			why = "Invalid x-match field value <<\"" + text + "\">>; expected all, any, all-with-x, " +
				"or any-with-x"
		}
	case route.ConsistentHash:
		_, why = route.Weight(r.key)
	case route.LocalRandom:
		switch {
		case r.key != "":
			why = "Non empty binding '" + r.key + "' key not permitted"
		case q == nil:
			why = "Destination not found"
		case q.Kind != classic:
			why = "Queue type rabbit_" + q.Kind + "_queue not valid for this exchange type"
		}
	}
	if why != "" {
		return wire.Errorf(wire.PreconditionFailed, "%s", why)
	}
	return nil
}

// unbind removes a binding; that it is not there is no error.
func (ch *channel) unbind(r *bindRequest) error {
	c := ch.c
	if err := r.refuseDefaults(); err != nil {
		return err
	}
	if err := r.may(c); err != nil {
		return err
	}
	if q := c.f.view.Queue(c.vhost, r.dest); r.toQueue && q != nil {
		if err := c.mayUse(q); err != nil {
			return err
		}
	}
	key := topology.BindingKey(c.vhost, r.source, r.toQueue, r.dest, r.key, r.args)
	changes := c.f.view.RemoveBinding(c.vhost, key)
	if len(changes) == 0 {
		if r.tries++; r.tries > 1 {
			r.ok()
			return nil
		}
		return ch.whenSure(r.id, func() error { return ch.unbind(r) })
	}
	ch.put(r.id, changes, func(_ core.Revision, err error) error {
		if k := core.KindOf(err); k == core.Conflict || k == core.NotExist {
			return ch.whenSure(r.id, func() error { return ch.unbind(r) })
		}
		if err != nil {
			return unsure(err)
		}
		r.ok()
		return nil
	})
	return nil
}
