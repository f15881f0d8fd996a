package topology

import (
	"encoding/binary"
	"math"

	"trine/internal/core"
	"trine/internal/front/amqp/wire"
)

// QueueInfo is one queue, as it was declared and as it is kept.
type QueueInfo struct {
	VHost, Name string
	Durable     bool
	Exclusive   bool
	AutoDelete  bool
	Arguments   map[string]any
	Declared    string         // the kind that it was declared as
	Kind        string         // classic, mirrored, quorum or stream: as it is kept now
	Policy      string         // the policy in force, or ""
	Operator    string         // the operator's, or ""
	Definition  map[string]any // what both say together
	Stream      *core.Stream
	Tally       *Tally
}

// ExchangeInfo is one exchange.
type ExchangeInfo struct {
	VHost, Name, Type             string
	Durable, AutoDelete, Internal bool
	Arguments                     map[string]any
	Policy                        string // the policy in force, or ""
	Predeclared                   bool
	Tally                         *Tally
}

// BindingInfo is one binding.
type BindingInfo struct {
	VHost, Source, Destination, Key string
	ToQueue                         bool
	Arguments                       map[string]any
	Table                           wire.Table // the arguments as they were given
}

// Queues gives the queues of a virtual host, or of all where it is "".
func (v *View) Queues(host string) []QueueInfo {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var all []QueueInfo
	v.each(host, func(h *vhost) {
		for _, name := range sortedKeys(h.queues) {
			q := h.queues[name]
			if q.Reply {
				continue
			}
			e := v.policies.effective(h.name, name, q.Label)
			all = append(all, QueueInfo{VHost: h.name, Name: name, Durable: q.Durable,
				Exclusive: q.Exclusive, AutoDelete: q.AutoDelete, Arguments: TableInfo(q.Arguments),
				Declared: q.Kind, Kind: kindOfStream(q.Label, q.Stream), Policy: e.user.named(),
				Operator: e.operator.named(), Definition: e.Definition(), Stream: q.Stream, Tally: q.Tally})
		}
	})
	return all
}

func kindOfStream(l Label, s *core.Stream) string {
	if l.Kind == Stream {
		return Stream
	}
	switch s.Policy.Mode() {
	case "majority":
		return Quorum
	case "single":
		return Classic
	}
	return "mirrored"
}

// Exchanges gives the exchanges of a virtual host, or of all where it is "".
func (v *View) Exchanges(host string) []ExchangeInfo {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var all []ExchangeInfo
	v.each(host, func(h *vhost) {
		for _, name := range sortedKeys(h.exchanges) {
			x := h.exchanges[name]
			all = append(all, ExchangeInfo{VHost: h.name, Name: name, Type: x.Type, Durable: x.Durable,
				AutoDelete: x.AutoDelete, Internal: x.Internal, Arguments: TableInfo(x.Arguments),
				Policy: strongest(v.policies.list, h.name, name, exchanges).named(), Predeclared: x.Revision == 0,
				Tally: x.Tally})
		}
	})
	return all
}

// Bindings gives the bindings of a virtual host, or of all where it is "".
func (v *View) Bindings(host string) []BindingInfo {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var all []BindingInfo
	v.each(host, func(h *vhost) {
		for _, key := range sortedKeys(h.bindings) {
			if b := h.bindings[key]; b.linked {
				all = append(all, BindingInfo{VHost: h.name, Source: b.Source, Destination: b.Destination,
					Key: b.Key, ToQueue: b.ToQueue, Arguments: TableInfo(b.Arguments), Table: b.Arguments})
			}
		}
	})
	return all
}

// Policies gives the policies of a virtual host, or of all where it is "", the
// strongest first.
func (v *View) Policies(vhost string) []Policy {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var all []Policy
	for _, p := range v.policies.list {
		if vhost == "" || p.VHost == vhost {
			all = append(all, *p)
		}
	}
	return all
}

// OperatorPolicies gives those of the operators, in the same order.
func (v *View) OperatorPolicies(vhost string) []Policy {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var all []Policy
	for _, p := range v.policies.operators {
		if vhost == "" || p.VHost == vhost {
			all = append(all, *p)
		}
	}
	return all
}

// named gives a policy's name, or "".
func (p *Policy) named() string {
	if p == nil {
		return ""
	}
	return p.Name
}

// Tallies calls fn for every queue's and every exchange's tally, in no order, with
// the view locked.
func (v *View) Tallies(fn func(*Tally)) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, h := range v.vhosts {
		for _, q := range h.queues {
			fn(q.Tally)
		}
		for _, x := range h.exchanges {
			fn(x.Tally)
		}
	}
}

// EachQueue calls fn for every queue, with the view locked.
func (v *View) EachQueue(fn func(vhost, name string, t *Tally)) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, h := range v.vhosts {
		for name, q := range h.queues {
			fn(h.name, name, q.Tally)
		}
	}
}

// EachExchange calls fn for every exchange, with the view locked.
func (v *View) EachExchange(fn func(vhost, name string, t *Tally)) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, h := range v.vhosts {
		for name, x := range h.exchanges {
			fn(h.name, name, x.Tally)
		}
	}
}

// Sizes counts the queues and exchanges that there are.
func (v *View) Sizes() (queues, exchanges int) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, h := range v.vhosts {
		queues, exchanges = queues+len(h.queues), exchanges+len(h.exchanges)
	}
	return queues, exchanges
}

// each calls fn for one virtual host, or for all in order. Lock held.
func (v *View) each(name string, fn func(*vhost)) {
	for _, n := range sortedKeys(v.vhosts) {
		if name == "" || n == name {
			fn(v.vhosts[n])
		}
	}
}

// TableInfo gives a table as JSON would have it.
func TableInfo(t wire.Table) map[string]any {
	m := map[string]any{}
	for {
		name, v, rest, ok := t.Next()
		if !ok {
			return m
		}
		m[string(name)] = valueInfo(v)
		t = rest
	}
}

func valueInfo(v wire.Value) any {
	if n, ok := v.Int(); ok {
		return n
	}
	if b, ok := v.Bool(); ok {
		return b
	}
	if t, ok := v.Table(); ok {
		return TableInfo(t)
	}
	if a, ok := v.Array(); ok {
		list := []any{}
		for {
			e, rest, ok := a.Next()
			if !ok {
				return list
			}
			list, a = append(list, valueInfo(e)), rest
		}
	}
	switch v.Type {
	case wire.TypeVoid:
		return nil
	case wire.TypeTimestamp:
		return int64(binary.BigEndian.Uint64(v.Raw))
	case wire.TypeDouble:
		return math.Float64frombits(binary.BigEndian.Uint64(v.Raw))
	case wire.TypeFloat:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(v.Raw)))
	}
	return v.String()
}

// Owned gives the queues of a virtual host that an owner has, in order.
func (v *View) Owned(host string, o core.Owner) []*Queue {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var owned []*Queue
	if h := v.vhosts[host]; h != nil {
		for _, name := range sortedKeys(h.queues) {
			if q := h.queues[name]; q.Exclusive && q.Stream.Owner == o {
				owned = append(owned, q)
			}
		}
	}
	return owned
}
