package amqp

import (
	"trine/internal/core"
	"trine/internal/front/amqp/route"
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
	if err := c.may(configure, gate.Exchange, name); err != nil {
		return err
	}
	if err := c.mayAlso(gate.Exchange, name, m.Arguments, "alternate-exchange"); err != nil {
		return err
	}
	if err := checkExchange(m.Type, m.Arguments); err != nil {
		return err
	}
	if x != nil {
		if err := sameExchange(x, m, c.vhost); err != nil {
			return err
		}
		return ok()
	}
	if err := reserved("exchange", name); err != nil {
		return err
	}
	if v, there := m.Arguments.Get("alternate-exchange"); there && text(v) != "" {
		return invalidArg("alternate-exchange", subject{"exchange", name, c.vhost}, text(v))
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

// checkExchange refuses a declaration that no exchange can follow.
func checkExchange(typ string, args wire.Table) error {
	refuse := func(format string, a ...any) error {
		return wire.Errorf(wire.PreconditionFailed, format, a...)
	}
	if typ == route.Delayed {
		v, _ := args.Get("x-delayed-type")
		name, ok := v.Text()
		switch {
		case !ok:
			return refuse("Invalid argument, 'x-delayed-type' must be an existing exchange type")
		case string(name) == route.Delayed:
			return refuse("Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'")
		}
		typ = string(name)
	}
	switch route.KindOf(typ) {
	case 0:
		return refuse("unknown exchange type '%s'", typ)
	case route.ConsistentHash:
		_, header := args.Get("hash-header")
		property, there := args.Get("hash-property")
		switch {
		case header && there:
			return refuse("hash-header and hash-property are mutually exclusive")
		case there && !route.HashProperty(property.String()):
			return refuse("Unsupported property: %s", property)
		}
	case route.RecentHistory:
		if v, ok := args.Get("x-recent-history-length"); ok {
			if n, ok := v.Int(); !ok || n <= 0 {
				return refuse("Invalid argument %s, 'x-recent-history-length' must be a positive integer",
					erlang(v))
			}
		}
	}
	return nil
}

// erlang gives a value as RabbitMQ's replies print it where they do not know its type.
func erlang(v wire.Value) string {
	if _, ok := v.Text(); ok {
		return "<<\"" + v.String() + "\">>"
	}
	return v.String()
}

// sameExchange compares a declaration with the first one.
func sameExchange(x *exchange, m *wire.ExchangeDeclare, vhost string) error {
	of := subject{"exchange", x.Name, vhost}
	switch {
	case m.Type != x.Type:
		return inequivalent("type", of, quoted(m.Type), quoted(x.Type))
	case m.Durable != x.Durable:
		return inequivalent("durable", of, quotedBool(m.Durable), quotedBool(x.Durable))
	case m.AutoDelete != x.AutoDelete:
		return inequivalent("auto_delete", of, quotedBool(m.AutoDelete), quotedBool(x.AutoDelete))
	case m.Internal != x.Internal:
		return inequivalent("internal", of, quotedBool(m.Internal), quotedBool(x.Internal))
	}
	return sameArgument("alternate-exchange", of, m.Arguments, x.Arguments)
}

func (ch *channel) exchangeDelete(m *wire.ExchangeDelete) error {
	c := ch.c
	name := stripped(m.Exchange)
	if err := refuseDefault(name); err != nil {
		return err
	}
	if err := c.may(configure, gate.Exchange, name); err != nil {
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
