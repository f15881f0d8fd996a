package amqp

import (
	"encoding/json"
	"slices"

	"trine/internal/core"
	"trine/internal/front/amqp/route"
	"trine/internal/front/amqp/wire"
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
		if q = v.queue(vhost, r.dest); q == nil {
			return nil, nil, nil, noQueue(r.dest, vhost)
		}
	} else if to = v.exchange(vhost, r.dest); to == nil {
		return nil, nil, nil, noExchange(r.dest, vhost)
	}
	if x = v.exchange(vhost, r.source); x == nil {
		return nil, nil, nil, noExchange(r.source, vhost)
	}
	return x, q, to, nil
}

func (ch *channel) bind(r *bindRequest) error {
	if err := r.refuseDefaults(); err != nil {
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
	doc := bindingDoc{Source: r.source, Destination: r.dest, ToQueue: r.toQueue, Key: r.key,
		Arguments: r.args, SourceRevision: x.revision}
	var owner core.Owner
	if q != nil {
		if err := c.mayUse(q); err != nil {
			return err
		}
		doc.Stream, owner = q.stream.ID, q.stream.Owner
	} else {
		doc.DestRevision = to.revision
	}
	if x.kind == route.Headers {
		if _, text, ok := route.MatchKindOf(r.args); !ok {
			return wire.Errorf(wire.PreconditionFailed, "Invalid x-match field value <<\"%s\">>; "+
				"expected all, any, all-with-x, or any-with-x", text)
		}
	}
	key := bindingKey(c.vhost, r.source, r.toQueue, r.dest, r.key, r.args)
	if c.f.view.bound(c.vhost, key) {
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
		if r.tries++; r.tries < 4 && !c.f.view.bound(c.vhost, key) {
			// One end was deleted and made anew meanwhile: bind the new one.
			return ch.whenSure(r.id, func() error { return ch.bindNow(r) })
		}
		r.ok()
		return nil
	})
	return nil
}

// bound says whether a binding is there and in use.
func (v *view) bound(vhost, key string) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	h := v.vhosts[vhost]
	return h != nil && h.bindings[key] != nil && h.bindings[key].linked
}

// unbind removes a binding; that it is not there is no error.
func (ch *channel) unbind(r *bindRequest) error {
	c := ch.c
	if err := r.refuseDefaults(); err != nil {
		return err
	}
	if q := c.f.view.queue(c.vhost, r.dest); r.toQueue && q != nil {
		if err := c.mayUse(q); err != nil {
			return err
		}
	}
	key := bindingKey(c.vhost, r.source, r.toQueue, r.dest, r.key, r.args)
	changes := c.f.view.withoutBindings(c.vhost, nil, func(h *vhost) []*binding {
		if b := h.bindings[key]; b != nil {
			return []*binding{b}
		}
		return nil
	})
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

// withoutBindings adds to changes the removal of the bindings picked, and of the
// auto-delete exchanges that lose their last one by it.
func (v *view) withoutBindings(vhost string, changes []core.Change,
	pick func(*vhost) []*binding) []core.Change {
	v.mu.RLock()
	defer v.mu.RUnlock()
	h := v.vhosts[vhost]
	if h == nil {
		return changes
	}
	known := map[string]bool{}
	for _, c := range changes {
		known[c.Key] = true
	}
	work := slices.Clone(pick(h))
	for n := 0; n < len(work); n++ {
		b := work[n]
		if known[b.document] {
			continue
		}
		known[b.document] = true
		changes = append(changes, core.Change{Key: b.document, Expect: core.AnyRevision})
		x := h.exchanges[b.Source]
		if x == nil || !x.AutoDelete || known[exchangeKey(vhost, x.name)] || !h.losesAll(x, work) {
			continue
		}
		known[exchangeKey(vhost, x.name)] = true
		changes = append(changes, core.Change{Key: exchangeKey(vhost, x.name), Expect: x.revision})
		work = append(work, h.byTarget[x.name]...) // it takes the bindings to it along
	}
	return changes
}

// losesAll says whether all bindings from an exchange are among those that go.
func (h *vhost) losesAll(x *exchange, going []*binding) bool {
	for _, b := range h.bySource[x.name] {
		if b.linked && !slices.Contains(going, b) {
			return false
		}
	}
	return true
}
