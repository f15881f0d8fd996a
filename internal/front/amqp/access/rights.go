// Package access says what a connection's user may do, in RabbitMQ's words: who logs in,
// and what rights each method asks for.
package access

import (
	"net/netip"

	"trine/internal/core"
	"trine/internal/front/amqp/letter"
	"trine/internal/front/amqp/route"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
	"trine/internal/front/gate"
)

// Access is what RabbitMQ's permissions are about.
type Access uint8

// The kinds of access.
const (
	Configure Access = iota // make and delete
	Write                   // put into
	Read                    // take out of
)

var accesses = [...]struct {
	name string
	op   gate.Op
}{{"configure", gate.Create}, {"write", gate.Write}, {"read", gate.Read}}

// Rights are those of a user in a virtual host.
type Rights struct {
	Gate  Gate
	User  string
	VHost string
	Addr  netip.Addr
}

func (r *Rights) check(a Access, typ gate.Type, name string) error {
	if typ == gate.Exchange && name == "" {
		name = "amq.default"
	}
	return r.Gate.Check(gate.Principal{User: r.User, Addr: r.Addr}, gate.Need{Op: accesses[a].op,
		Resource: gate.Resource{Type: typ, Tenant: r.VHost, Name: name}})
}

// May refuses what the user is not allowed to do with a queue or an exchange.
func (r *Rights) May(a Access, typ gate.Type, name string) error {
	err := r.check(a, typ, name)
	switch core.KindOf(err) {
	case core.OK:
		return nil
	case core.Denied:
		if typ == gate.Exchange && name == "" {
			name = "amq.default"
		}
		return wire.Errorf(wire.AccessRefused, "%s access to %s '%s' in vhost '%s' refused for user '%s'",
			accesses[a].name, typ, name, r.VHost, r.User)
	}
	return wire.Errorf(wire.InternalError, "the cluster cannot be asked at present: %v", err)
}

// MayKnow refuses one who may do nothing with a queue or an exchange to find out whether
// it is there.
func (r *Rights) MayKnow(typ gate.Type, name string) error {
	for a := range accesses {
		if core.KindOf(r.check(Access(a), typ, name)) != core.Denied {
			return nil
		}
	}
	return r.May(Configure, typ, name)
}

// MayAlso asks for what a declaration's further exchange needs: to read the one that
// gives messages on, and to write to the other.
func (r *Rights) MayAlso(typ gate.Type, name string, args wire.Table, arg string) error {
	v, ok := args.Get(arg)
	if !ok {
		return nil
	}
	to, _ := v.Text()
	if err := r.May(Read, typ, name); err != nil {
		return err
	}
	return r.May(Write, gate.Exchange, string(to))
}

// MayBind asks for what a binding's routing key needs where the user's rights to its
// source go by topics.
func (r *Rights) MayBind(x *topology.Exchange, key string) error {
	if x.Kind != route.TopicKind {
		return nil
	}
	if t := r.Gate.Topic(r.User, r.VHost, x.Name); t != nil && !t.MayRead(key) {
		return r.noTopic(Read, x, key)
	}
	return nil
}

func (r *Rights) noTopic(a Access, x *topology.Exchange, key string) error {
	return wire.Errorf(wire.AccessRefused, "%s access to topic '%s' in exchange '%s' in vhost '%s' "+
		"refused for user '%s'", accesses[a].name, key, x.Name, r.VHost, r.User)
}

// Writes are the exchanges that a channel is known to be allowed to write to.
type Writes struct {
	revision uint64
	names    map[string]*gate.Topic // nil: whatever the key
}

// writesMax bounds what a channel remembers.
const writesMax = 256

// May is Rights.May(Write) to an exchange, remembered while the rules stay.
func (w *Writes) May(r *Rights, exchange []byte) error {
	if now := r.Gate.Revision(); w.revision != now || len(w.names) >= writesMax {
		clear(w.names)
		w.revision = now
	}
	if _, known := w.names[string(exchange)]; known {
		return nil
	}
	name := string(exchange)
	if err := r.May(Write, gate.Exchange, name); err != nil {
		return err
	}
	if w.names == nil {
		w.names = map[string]*gate.Topic{}
	}
	w.names[name] = r.Gate.Topic(r.User, r.VHost, name)
	return nil
}

// MayKey asks for a message's routing keys, CC and BCC among them, once May has found the
// exchange.
func (w *Writes) MayKey(r *Rights, x *topology.Exchange, key []byte, f *wire.Fields) error {
	if x.Kind != route.TopicKind {
		return nil
	}
	t := w.names[x.Name]
	if t == nil {
		return nil
	}
	if !t.MayWrite(key) {
		return r.noTopic(Write, x, string(key))
	}
	if f.Flags&wire.HasHeaders == 0 {
		return nil
	}
	more, err := letter.Copies(f.Headers)
	if err != nil {
		return err
	}
	for _, key := range more {
		if !t.MayWrite(key) {
			return r.noTopic(Write, x, string(key))
		}
	}
	return nil
}
