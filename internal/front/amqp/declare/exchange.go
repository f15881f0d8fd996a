package declare

import (
	"trine/internal/front/amqp/route"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
)

// Exchange refuses a declaration that no exchange can follow.
func Exchange(typ string, args wire.Table) error {
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
		if typ == "" {
			return refuse("invalid exchange type ''")
		}
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

// Alternate refuses an alternate exchange that is no name.
func Alternate(args wire.Table, of Subject) error {
	if v, there := args.Get("alternate-exchange"); there && text(v) != "" {
		return noName("alternate-exchange", v, of)
	}
	return nil
}

// SameExchange compares a declaration with the first one.
func SameExchange(x *topology.Exchange, m *wire.ExchangeDeclare, vhost string) error {
	of := Subject{"exchange", x.Name, vhost}
	switch {
	case m.Type != x.Type:
		return inequivalent("type", of, quoted(m.Type), quoted(x.Type))
	case m.Durable != x.Durable:
		return inequivalent("durable", of, truth(m.Durable), truth(x.Durable))
	case m.AutoDelete != x.AutoDelete:
		return inequivalent("auto_delete", of, truth(m.AutoDelete), truth(x.AutoDelete))
	case m.Internal != x.Internal:
		return inequivalent("internal", of, truth(m.Internal), truth(x.Internal))
	}
	return sameArgument("alternate-exchange", of, m.Arguments, x.Arguments)
}
