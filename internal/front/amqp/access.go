package amqp

import (
	"trine/internal/core"
	"trine/internal/front/amqp/route"
	"trine/internal/front/amqp/wire"
	"trine/internal/front/gate"
)

// access is what RabbitMQ's permissions are about.
type access uint8

const (
	configure access = iota // make and delete
	write                   // put into
	read                    // take out of
)

var accesses = [...]struct {
	name string
	op   gate.Op
}{{"configure", gate.Create}, {"write", gate.Write}, {"read", gate.Read}}

// may refuses what the connection's user is not allowed to do with a queue or an
// exchange.
func (c *conn) may(a access, typ gate.Type, name string) error {
	if typ == gate.Exchange && name == "" {
		name = "amq.default"
	}
	p := gate.Principal{User: c.user, Addr: gate.Addr(c.w.Info())}
	err := c.f.o.Gate.Check(p, gate.Need{Op: accesses[a].op,
		Resource: gate.Resource{Type: typ, Tenant: c.vhost, Name: name}})
	switch core.KindOf(err) {
	case core.OK:
		return nil
	case core.Denied:
		return wire.Errorf(wire.AccessRefused, "%s access to %s '%s' in vhost '%s' refused for user '%s'",
			accesses[a].name, typ, name, c.vhost, c.user)
	}
	return unsure(err)
}

// mayKnow refuses one who may do nothing with a queue or an exchange to find out whether
// it is there.
func (c *conn) mayKnow(typ gate.Type, name string) error {
	p := gate.Principal{User: c.user, Addr: gate.Addr(c.w.Info())}
	for _, a := range accesses {
		need := gate.Need{Op: a.op, Resource: gate.Resource{Type: typ, Tenant: c.vhost, Name: name}}
		if k := core.KindOf(c.f.o.Gate.Check(p, need)); k != core.Denied {
			return nil
		}
	}
	return c.may(configure, typ, name)
}

// mayTopic asks for what the routing key needs where a user's rights to an exchange go
// by topics.
func (c *conn) mayTopic(a access, x *exchange, key string) error {
	if x.Kind != route.TopicKind {
		return nil
	}
	t := c.f.o.Gate.Topic(c.user, c.vhost, x.Name)
	if t == nil || a == write && t.MayWrite([]byte(key)) || a == read && t.MayRead(key) {
		return nil
	}
	return noTopic(a, x, key, c)
}

func noTopic(a access, x *exchange, key string, c *conn) error {
	return wire.Errorf(wire.AccessRefused, "%s access to topic '%s' in exchange '%s' in vhost '%s' "+
		"refused for user '%s'", accesses[a].name, key, x.Name, c.vhost, c.user)
}

// mayAlso asks for what a declaration's further exchange needs: to read the one
// that gives messages on, and to write to the other.
func (c *conn) mayAlso(typ gate.Type, name string, args wire.Table, arg string) error {
	v, ok := args.Get(arg)
	if !ok {
		return nil
	}
	to, _ := v.Text()
	if err := c.may(read, typ, name); err != nil {
		return err
	}
	return c.may(write, gate.Exchange, string(to))
}

// writes are the exchanges that a channel is known to be allowed to write to.
type writes struct {
	revision uint64
	names    map[string]*gate.Topic // nil: whatever the key
}

// writesMax bounds what a channel remembers.
const writesMax = 256

// mayPublish is may(write) to an exchange, remembered while the rules stay.
func (ch *channel) mayPublish(exchange []byte) error {
	g, w := ch.c.f.o.Gate, &ch.writes
	if now := g.Revision(); w.revision != now || len(w.names) >= writesMax {
		clear(w.names)
		w.revision = now
	}
	if _, known := w.names[string(exchange)]; known {
		return nil
	}
	name := string(exchange)
	if err := ch.c.may(write, gate.Exchange, name); err != nil {
		return err
	}
	if w.names == nil {
		w.names = map[string]*gate.Topic{}
	}
	w.names[name] = g.Topic(ch.c.user, ch.c.vhost, name)
	return nil
}

// mayPublishTopic asks for the routing key, once mayPublish has found the exchange.
func (ch *channel) mayPublishTopic(x *exchange, key []byte) error {
	if x.Kind != route.TopicKind {
		return nil
	}
	if t := ch.writes.names[x.Name]; t != nil && !t.MayWrite(key) {
		return noTopic(write, x, string(key), ch.c)
	}
	return nil
}
