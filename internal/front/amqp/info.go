package amqp

import (
	"cmp"
	"fmt"
	"slices"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/front/amqp/wire"
)

// ConnectionInfo is one connection of this node, for those who operate it.
type ConnectionInfo struct {
	Name       string // "client:port -> server:port"
	User       string
	VHost      string
	Client     string // the client's host:port
	Properties map[string]any
	Channels   int
	ChannelMax int
	FrameMax   int
	HeartbeatS int
	State      string
	TLS        bool
	Since      core.Stamp
}

// QueueInfo is one queue, as it was declared and as it is kept.
type QueueInfo struct {
	VHost, Name string
	Durable     bool
	Exclusive   bool
	AutoDelete  bool
	Arguments   map[string]any
	Declared    string // the kind that it was declared as
	Kind        string // classic, mirrored or quorum: as it is kept now
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

// Core is the seam that the front end stands on.
func (f *Front) Core() front.Core { return f.core }

// Gate is who lets users in.
func (f *Front) Gate() Gate { return f.o.Gate }

// Version is RabbitMQ's, as clients are told.
func (f *Front) Version() string { return f.o.Version }

// ClusterName is the cluster's, as clients are told.
func (f *Front) ClusterName() string { return f.o.Cluster }

// NodeName is a node's name, as clients are told.
func NodeName(n core.NodeID) string { return nodeName(n) }

// Connections gives this node's open connections by name.
func (f *Front) Connections() []ConnectionInfo {
	var all []ConnectionInfo
	for _, c := range f.openConns() {
		c.w.Lock()
		if c.stage == running {
			all = append(all, c.info())
		}
		c.w.Unlock()
	}
	slices.SortFunc(all, func(a, b ConnectionInfo) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func (f *Front) openConns() []*conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	conns := make([]*conn, 0, len(f.conns))
	for c := range f.conns {
		conns = append(conns, c)
	}
	return conns
}

func (c *conn) name() string {
	i := c.w.Info()
	return fmt.Sprintf("%s -> %s", i.Remote, i.Local)
}

func (c *conn) info() ConnectionInfo {
	return ConnectionInfo{Name: c.name(), User: c.user, VHost: c.vhost, Client: c.w.Info().Remote.String(),
		Properties: tableInfo(c.properties), Channels: len(c.channels), ChannelMax: c.chanMax,
		FrameMax: c.frameMax, HeartbeatS: int(c.heartbeat / core.Second), State: "running",
		TLS: c.w.Info().TLS != nil, Since: c.since}
}

// CloseConnection ends a connection as an operator's doing; false where none of that
// name is open on this node.
func (f *Front) CloseConnection(name, reason string) bool {
	for _, c := range f.openConns() {
		c.w.Lock()
		found := c.stage == running && c.name() == name
		if found {
			c.broken(wire.Errorf(wire.ConnectionForced, "%s", reason))
			c.w.Wake()
		}
		c.w.Unlock()
		if found {
			return true
		}
	}
	return false
}

// VHosts gives the virtual hosts in order.
func (f *Front) VHosts() []string {
	f.view.mu.RLock()
	defer f.view.mu.RUnlock()
	return sortedKeys(f.view.vhosts)
}

// Queues gives the queues of a virtual host, or of all where it is "".
func (f *Front) Queues(vhost string) []QueueInfo {
	f.view.mu.RLock()
	defer f.view.mu.RUnlock()
	var all []QueueInfo
	f.view.each(vhost, func(h *vhostView) {
		for _, name := range sortedKeys(h.queues) {
			q := h.queues[name]
			if q.Reply {
				continue
			}
			e := f.view.policies.effective(h.name, name, q.label)
			all = append(all, QueueInfo{VHost: h.name, Name: name, Durable: q.Durable,
				Exclusive: q.Exclusive, AutoDelete: q.AutoDelete, Arguments: tableInfo(q.Arguments),
				Declared: q.Kind, Kind: kindOfStream(q.stream), Policy: e.name, Stream: q.stream})
		}
	})
	return all
}

func kindOfStream(s *core.Stream) string {
	switch s.Policy.Mode() {
	case "majority":
		return quorum
	case "single":
		return classic
	}
	return "mirrored"
}

// Exchanges gives the exchanges of a virtual host, or of all where it is "".
func (f *Front) Exchanges(vhost string) []ExchangeInfo {
	f.view.mu.RLock()
	defer f.view.mu.RUnlock()
	var all []ExchangeInfo
	f.view.each(vhost, func(h *vhostView) {
		for _, name := range sortedKeys(h.exchanges) {
			x := h.exchanges[name]
			all = append(all, ExchangeInfo{VHost: h.name, Name: name, Type: x.Type, Durable: x.Durable,
				AutoDelete: x.AutoDelete, Internal: x.Internal, Arguments: tableInfo(x.Arguments)})
		}
	})
	return all
}

// Bindings gives the bindings of a virtual host, or of all where it is "".
func (f *Front) Bindings(vhost string) []BindingInfo {
	f.view.mu.RLock()
	defer f.view.mu.RUnlock()
	var all []BindingInfo
	f.view.each(vhost, func(h *vhostView) {
		for _, key := range sortedKeys(h.bindings) {
			if b := h.bindings[key]; b.linked {
				all = append(all, BindingInfo{VHost: h.name, Source: b.Source, Destination: b.Destination,
					Key: b.Key, ToQueue: b.ToQueue, Arguments: tableInfo(b.Arguments)})
			}
		}
	})
	return all
}

// Policies gives the policies of a virtual host, or of all where it is "", the
// strongest first.
func (f *Front) Policies(vhost string) []Policy {
	f.view.mu.RLock()
	defer f.view.mu.RUnlock()
	var all []Policy
	for _, p := range f.view.policies.list {
		if vhost == "" || p.VHost == vhost {
			all = append(all, *p)
		}
	}
	return all
}

// AddVHost makes a virtual host.
func (f *Front) AddVHost(name string, done func(error)) {
	put(f.core, core.Change{Key: vhostPrefix + escape(name), Value: []byte("{}")}, done)
}

// vhostView is vhost where a parameter takes its name.
type vhostView = vhost

// each calls fn for one virtual host, or for all in order. Lock held.
func (v *view) each(name string, fn func(*vhost)) {
	for _, n := range sortedKeys(v.vhosts) {
		if name == "" || n == name {
			fn(v.vhosts[n])
		}
	}
}

// tableInfo gives a table as JSON would have it.
func tableInfo(t wire.Table) map[string]any {
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
		return tableInfo(t)
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

// RemoveQueue removes a queue and its bindings.
func (f *Front) RemoveQueue(vhost, name string, done func(error)) {
	q := f.view.queue(vhost, name)
	if q == nil {
		done(&core.Error{Op: "remove queue", Name: name, Kind: core.NotExist})
		return
	}
	f.core.Cluster().Put(f.removal(q), func(_ core.Revision, err error) { done(err) })
}
