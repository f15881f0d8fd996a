package amqp

import (
	"trine/internal/core"
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
	names    map[string]bool
}

// writesMax bounds what a channel remembers.
const writesMax = 256

// mayPublish is may(write) to an exchange, remembered while the rules stay.
func (ch *channel) mayPublish(exchange string) error {
	g, w := ch.c.f.o.Gate, &ch.writes
	if now := g.Revision(); w.revision != now || len(w.names) >= writesMax {
		clear(w.names)
		w.revision = now
	}
	if w.names[exchange] {
		return nil
	}
	if err := ch.c.may(write, gate.Exchange, exchange); err != nil {
		return err
	}
	if w.names == nil {
		w.names = map[string]bool{}
	}
	w.names[exchange] = true
	return nil
}
