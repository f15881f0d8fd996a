package topology

import (
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
	Declared    string // the kind that it was declared as
	Kind        string // classic, mirrored, quorum or stream: as it is kept now
	Policy      string // the policy in force, or ""
	Stream      *core.Stream
}

// ExchangeInfo is one exchange.
type ExchangeInfo struct {
	VHost, Name, Type             string
	Durable, AutoDelete, Internal bool
	Arguments                     map[string]any
}

// BindingInfo is one binding.
type BindingInfo struct {
	VHost, Source, Destination, Key string
	ToQueue                         bool
	Arguments                       map[string]any
}

// VHosts gives the virtual hosts in order.
func (v *View) VHosts() []string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return sortedKeys(v.vhosts)
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
				Declared: q.Kind, Kind: kindOfStream(q.Label, q.Stream), Policy: e.name, Stream: q.Stream})
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
				AutoDelete: x.AutoDelete, Internal: x.Internal, Arguments: TableInfo(x.Arguments)})
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
					Key: b.Key, ToQueue: b.ToQueue, Arguments: TableInfo(b.Arguments)})
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
	if v.Type == wire.TypeVoid {
		return nil
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
