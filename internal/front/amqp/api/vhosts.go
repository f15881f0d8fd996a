package api

import (
	"slices"

	"trine/internal/core"
	"trine/internal/front/amqp/api/form"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/gate"
)

// hostRoutes are the paths of this file.
var hostRoutes = []route{
	{"GET", "vhosts", managers, false, (*server).vhosts},
	{"GET", "vhosts/*", administrators, true, (*server).vhost},
	{"PUT", "vhosts/*", administrators, false, (*server).putVHost},
	{"DELETE", "vhosts/*", administrators, true, (*server).removeVHost},
	{"POST", "vhosts/*/start/*", administrators, true, (*server).startVHost},
}

// queueType gives the kind of a virtual host's queues where nobody says.
func queueType(h topology.HostDoc) string {
	if h.QueueType == "" {
		return topology.Classic
	}
	return h.QueueType
}

// hostMetadata is what RabbitMQ keeps of a virtual host beside its name.
func hostMetadata(h topology.HostDoc) object {
	return object{"description": h.Description, "tags": form.List(h.Tags), "default_queue_type": queueType(h)}
}

func (s *server) hostObject(h topology.Host) object {
	state := object{}
	for _, n := range s.f.Core().Cluster().Nodes() {
		if n.Alive {
			state[topology.NodeName(n.Node)] = "running"
		}
	}
	return object{"name": h.Name, "tracing": h.Tracing, "description": h.Description,
		"tags": form.List(h.Tags), "default_queue_type": queueType(h.HostDoc),
		"metadata": hostMetadata(h.HostDoc), "cluster_state": state}
}

func (s *server) vhosts(c *call) (any, error) {
	all := []object{}
	for _, h := range s.f.View().Hosts() {
		if s.sees(c, h.Name) {
			all = append(all, s.hostObject(h))
		}
	}
	return c.list(all)
}

func (s *server) vhost(c *call) (any, error) {
	h, ok := s.f.View().Host(c.arg(1))
	if !ok {
		return nil, errNone
	}
	return s.hostObject(h), nil
}

func (s *server) putVHost(c *call) (any, error) {
	o, err := c.body()
	if err != nil {
		return nil, err
	}
	name := c.arg(1)
	_, there := s.f.View().Host(name)
	cs, err := s.hostChanges(name, o, c.User)
	if err != nil {
		return nil, err
	}
	if !there { // what was left of one of that name is not the new one's
		err := s.wait(c, func(told func(error)) { s.f.View().SweepHost(s.f.Core(), name, told) }, done)
		if err != done {
			return nil, err
		}
	}
	return s.put(c, madeOr(there), cs...)
}

// hostChanges makes a virtual host of what JSON says of it; who makes one may do
// everything in it.
func (s *server) hostChanges(name string, o object, by string) ([]core.Change, error) {
	before, there := s.f.View().Host(name)
	d := topology.HostDoc{Description: text(o, "description"), Tracing: flag(o, "tracing"),
		QueueType: before.QueueType}
	if name == "" {
		return nil, bad("a virtual host needs a name")
	}
	if _, says := o["tracing"]; !says {
		d.Tracing = before.Tracing
	}
	if v, says := o["tags"]; says {
		tags, err := form.Tags(v)
		if err != nil {
			return nil, err
		}
		d.Tags = tags
	}
	kind := text(o, "default_queue_type")
	if kind == "" {
		kind = text(o, "defaultqueuetype") // its first name
	}
	if kind != "" && kind != "undefined" {
		if !slices.Contains([]string{topology.Classic, topology.Quorum, topology.Stream}, kind) {
			return nil, bad("invalid queue type: " + kind)
		}
		d.QueueType = kind
	}
	cs := []core.Change{topology.PutHost(name, d)}
	if known, err := s.known(); err == nil && !there {
		if _, is := known.Account(by); is {
			ch, err := gate.Permit(by, name, gate.Permission{Configure: ".*", Write: ".*", Read: ".*"})
			if err != nil {
				return nil, err
			}
			cs = append(cs, ch)
		}
	}
	return cs, nil
}

func (s *server) removeVHost(c *call) (any, error) {
	known, err := s.known()
	if err != nil {
		return nil, err
	}
	return nil, s.wait(c, func(told func(error)) {
		s.f.View().EndHost(s.f.Core(), c.arg(1), known.RemoveTenant(c.arg(1)), told)
	}, done)
}

// startVHost has nothing to do: a virtual host runs wherever its node does.
func (s *server) startVHost(c *call) (any, error) {
	for _, n := range s.f.Core().Cluster().Nodes() {
		if topology.NodeName(n.Node) == c.arg(3) {
			return nil, done
		}
	}
	return nil, errNone
}
