package amqp

import (
	"trine/internal/core"
	"trine/internal/front/amqp/access"
	"trine/internal/front/amqp/declare"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
	"trine/internal/front/gate"
)

// put asks for changes and goes on with the outcome. A nil error given to then
// means that they hold.
func (ch *channel) put(id wire.ID, changes []core.Change, then func(core.Revision, error) error) {
	resume := ch.await(id)
	ch.c.f.core.Cluster().Put(changes, func(r core.Revision, err error) {
		resume(func() error { return then(r, err) })
	})
}

func refuseDefault(name string) error {
	if name == "" {
		return wire.Errorf(wire.AccessRefused, "%s", errDefaultExchange)
	}
	return nil
}

func (ch *channel) exchangeDeclare(m *wire.ExchangeDeclare) error {
	c := ch.c
	name := stripped(m.Exchange)
	if err := refuseDefault(name); err != nil {
		return err
	}
	ok := func() error {
		if !m.NoWait {
			c.send(ch.id, &wire.ExchangeDeclareOk{})
		}
		return nil
	}
	x := c.f.view.Exchange(c.vhost, name)
	if m.Passive {
		if err := c.rights.MayKnow(gate.Exchange, name); err != nil {
			return err
		}
		if x != nil {
			return ok()
		}
		return ch.whenSure(m.ID(), func() error {
			if c.f.view.Exchange(c.vhost, name) == nil {
				return noExchange(name, c.vhost)
			}
			return ok()
		})
	}
	if err := c.rights.May(access.Configure, gate.Exchange, name); err != nil {
		return err
	}
	if err := declare.Exchange(m.Type, m.Arguments); err != nil {
		return err
	}
	if x != nil {
		if err := declare.SameExchange(x, m, c.vhost); err != nil {
			return err
		}
		return ok()
	}
	if err := reserved("exchange", name); err != nil {
		return err
	}
	if err := c.rights.MayAlso(gate.Exchange, name, m.Arguments, "alternate-exchange"); err != nil {
		return err
	}
	if err := declare.Alternate(m.Arguments, declare.Subject{Kind: "exchange", Name: name,
		VHost: c.vhost}); err != nil {
		return err
	}
	changes, err := c.f.view.DeclareExchange(c.vhost, name, topology.ExchangeDoc{Type: m.Type,
		Durable: m.Durable, AutoDelete: m.AutoDelete, Internal: m.Internal, Arguments: m.Arguments})
	if err != nil {
		return err
	}
	ch.put(m.ID(), changes, func(_ core.Revision, err error) error {
		if k := core.KindOf(err); k == core.Conflict || k == core.Exist { // somebody was quicker
			return ch.whenSure(m.ID(), func() error { return ch.exchangeDeclare(m) })
		}
		if err != nil {
			return unsure(err)
		}
		return ok()
	})
	return nil
}

func (ch *channel) exchangeDelete(m *wire.ExchangeDelete) error {
	c := ch.c
	name := stripped(m.Exchange)
	if err := refuseDefault(name); err != nil {
		return err
	}
	if err := c.rights.May(access.Configure, gate.Exchange, name); err != nil {
		return err
	}
	x := c.f.view.Exchange(c.vhost, name)
	if x != nil && x.Revision == 0 {
		return wire.Errorf(wire.AccessRefused, "deletion of system exchange '%s' in vhost '%s' not allowed",
			name, c.vhost)
	}
	ok := func() error {
		if !m.NoWait {
			c.send(ch.id, &wire.ExchangeDeleteOk{})
		}
		return nil
	}
	if x == nil {
		return ch.whenSure(m.ID(), func() error {
			if c.f.view.Exchange(c.vhost, name) != nil {
				return ch.exchangeDelete(m)
			}
			return ok()
		})
	}
	if m.IfUnused && c.f.view.Used(x) {
		return wire.Errorf(wire.PreconditionFailed, "exchange '%s' in vhost '%s' in use", name, c.vhost)
	}
	ch.put(m.ID(), c.f.view.RemoveExchange(c.vhost, x), func(_ core.Revision, err error) error {
		switch core.KindOf(err) {
		case core.OK:
			return ok()
		case core.Conflict, core.NotExist:
			return ch.whenSure(m.ID(), func() error { return ch.exchangeDelete(m) })
		}
		return unsure(err)
	})
	return nil
}
