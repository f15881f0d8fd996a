package nameserver

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"trine/internal/core"
	"trine/internal/front/rocket/topology"
	"trine/internal/front/rocket/wire"
)

// place is where a group is to be had at present.
type place struct {
	group  *topology.Group
	addr   string
	master bool // its queues take writes
}

// places gives every group that can be used, in order of the groups' names.
func (s *Server) places(local string) []place {
	nodes := s.core.Cluster().Nodes()
	var ps []place
	for _, g := range s.view.Groups() {
		if p, ok := s.placeOf(g, nodes, local); ok {
			ps = append(ps, p)
		}
	}
	return ps
}

// placeOf gives the address of a living node for a group: the first of its nodes
// that lives and is not doubted. Where nobody takes over for the first, the others
// only serve reads.
func (s *Server) placeOf(g *topology.Group, nodes []core.NodeInfo, local string) (place, bool) {
	at := g.Places(nodes)
	if g.Elects() {
		for _, n := range nodes {
			if !slices.Contains(at, n.Node) {
				at = append(at, n.Node) // any node forwards
			}
		}
	}
	for i, id := range at {
		for _, n := range nodes {
			addr, serves := n.Addresses[topology.AddressName]
			if n.Node != id || !serves || !n.Alive || n.Doubted && !n.Self {
				continue
			}
			p := place{group: g, master: i == 0 || g.Elects()}
			p.addr, serves = s.address(g, n.Node, addr, local)
			return p, serves
		}
	}
	return place{}, false
}

// address gives a node's address for a group: the port says which group is meant. A
// node that named no host is taken to be where the client dialled.
func (s *Server) address(g *topology.Group, n core.NodeID, addr, local string) (string, bool) {
	host, port, err := net.SplitHostPort(addr)
	base, err2 := strconv.Atoi(port)
	if err != nil || err2 != nil {
		return "", false
	}
	if host == "" {
		if host, _, err = net.SplitHostPort(local); err != nil {
			return "", false
		}
	}
	return net.JoinHostPort(host, strconv.Itoa(base+s.portOffset(g, n))), true
}

// portOffset gives by how much the port of a group lies above a node's first.
func (s *Server) portOffset(g *topology.Group, n core.NodeID) int {
	switch {
	case g.Home == n:
		return 0
	case g.Home != 0:
		return s.o.PortStep * int(g.Home)
	}
	return s.o.PortStep*g.Index + s.o.PortStep/2
}

// Port is one more port that a node must listen on, above the first by Offset, for a
// group.
type Port struct {
	Group  string
	Offset int
}

// Ports gives the ports, beside the first, by which this node is to be had for
// groups at present: those for which it stands in.
func (s *Server) Ports() []Port {
	self := s.core.Self().Node
	var ps []Port
	for _, g := range s.view.Groups() {
		alone := g.Mode == topology.ModeSingle
		if g.Home == self || alone && g.Home != 0 {
			continue
		}
		ps = append(ps, Port{g.Name, s.portOffset(g, self)})
	}
	return ps
}

func (p *place) broker(cluster string) wire.RouteBroker {
	id := int64(0)
	if !p.master {
		id = 1
	}
	return wire.RouteBroker{Cluster: cluster, Name: p.group.Name,
		Addrs: []wire.BrokerAddr{{ID: id, Addr: p.addr}}}
}

// Brokers gives all groups that can be used. local is the address that the client
// dialled.
func (s *Server) Brokers(local string) (bs []wire.RouteBroker) {
	for _, p := range s.places(local) {
		bs = append(bs, p.broker(s.o.Cluster))
	}
	return bs
}

// Route gives where a topic's queues are to be had, without queues where no node with
// one lives; known is false where there is no such topic. local is the address that
// the client dialled.
func (s *Server) Route(topic []byte, local string) (r wire.Route, known bool) {
	t, name := s.view.Topic(topic), string(topic)
	// A consumer asks for its retry topic before the heartbeat that makes it, and
	// then not again for 30 s: it is told what there will be.
	retry := t == nil && len(name) > len(topology.RetryPrefix) &&
		strings.HasPrefix(name, topology.RetryPrefix)
	if t == nil && !retry && !s.isTemplate(name) {
		return r, false
	}
	for _, p := range s.places(local) {
		g := p.group
		q := wire.RouteQueues{Broker: g.Name, Read: topology.QueuesTemplate,
			Write: topology.QueuesTemplate, Perm: wire.PermRead | wire.PermWrite | wire.PermInherit}
		if retry {
			q.Read, q.Write, q.Perm = 1, 1, wire.PermRead|wire.PermWrite
		}
		if t != nil {
			part := t.Part(g.Name)
			if part == nil {
				continue
			}
			q.Read, q.Write, q.Perm, q.SysFlag = part.Read, part.Write, part.Perm, t.Doc.SysFlag
		}
		if g.Wiped {
			q.Perm &^= wire.PermWrite
		}
		r.Queues = append(r.Queues, q)
		r.Brokers = append(r.Brokers, p.broker(s.o.Cluster))
	}
	if d, ok := s.core.Cluster().Get(Key("ORDER_TOPIC_CONFIG", name)); ok {
		r.OrderConf = string(d.Value)
	}
	return r, true
}

// isTemplate says whether a name stands for brokers: the template topic, the
// cluster, or a group.
func (s *Server) isTemplate(name string) bool {
	if name == topology.TemplateTopic && !s.o.NoAuto || name == s.o.Cluster {
		return true
	}
	return slices.ContainsFunc(s.view.Groups(), func(g *topology.Group) bool { return g.Name == name })
}
