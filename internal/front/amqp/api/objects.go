package api

import (
	"encoding/json"
	"net"
	"net/netip"
	"slices"
	"time"

	"trine/internal/core"
	"trine/internal/front/amqp"
	"trine/internal/front/amqp/topology"
)

func address(hostPort string) net.Addr {
	a, err := netip.ParseAddrPort(hostPort)
	if err != nil {
		return &net.TCPAddr{}
	}
	return net.TCPAddrFromAddrPort(a)
}

type object = map[string]any

// objectRoutes are the paths of this file.
var objectRoutes = []route{
	{"GET", "overview", managers, false, (*server).overview},
	{"GET", "nodes", monitors, false, (*server).nodes},
	{"GET", "nodes/*", monitors, false, (*server).nodes},
	{"GET", "connections", managers, false, (*server).connections},
	{"GET", "connections/*", managers, false, (*server).connections},
	{"DELETE", "connections/*", administrators, false, (*server).closeConnection},
	{"GET", "exchanges", managers, false, (*server).exchanges},
	{"GET", "exchanges/*", managers, true, (*server).exchanges},
	{"GET", "exchanges/*/*", managers, true, (*server).exchanges},
	{"GET", "queues", managers, false, (*server).queues},
	{"GET", "queues/*", managers, true, (*server).queues},
	{"GET", "queues/*/*", managers, true, (*server).queues},
	{"DELETE", "queues/*/*", managers, true, (*server).removeQueue},
	{"DELETE", "queues/*/*/contents", managers, true, (*server).removeQueue},
	{"GET", "bindings", managers, false, (*server).bindings},
	{"GET", "bindings/*", managers, true, (*server).bindings},
	{"GET", "policies", managers, false, (*server).policies},
	{"GET", "policies/*", managers, true, (*server).policies},
	{"GET", "policies/*/*", managers, true, (*server).policies},
	{"PUT", "policies/*/*", policymakers, true, (*server).putPolicy},
	{"DELETE", "policies/*/*", policymakers, true, (*server).clearPolicy},
	{"GET", "aliveness-test/*", managers, true, (*server).well},
	{"GET", "health/checks/*", managers, false, (*server).well},
	{"GET", "health/checks/*/*", managers, false, (*server).well},
	{"GET", "health/checks/*/*/*", managers, false, (*server).well},
}

func (s *server) well(*call) (any, error) { return object{"status": "ok"}, nil }

func (s *server) overview(*call) (any, error) {
	self := s.f.Core().Self().Node
	return object{"rabbitmq_version": s.f.Version(), "management_version": s.f.Version(),
		"product_name": "RabbitMQ", "product_version": s.f.Version(), "cluster_name": s.f.ClusterName(),
		"node": topology.NodeName(self), "rates_mode": "none", "exchange_types": exchangeTypes(),
		"object_totals": object{"connections": len(s.f.Connections()), "queues": len(s.f.View().Queues("")),
			"exchanges": len(s.f.View().Exchanges(""))},
		"listeners": []any{}}, nil
}

func exchangeTypes() []object {
	var all []object
	for _, t := range []string{"direct", "fanout", "headers", "topic"} {
		all = append(all, object{"name": t, "enabled": true})
	}
	return all
}

func (s *server) nodes(c *call) (any, error) {
	all := []object{}
	for _, n := range s.f.Core().Cluster().Nodes() {
		o := object{"name": topology.NodeName(n.Node), "running": n.Alive, "type": "disc", "rack": n.Rack,
			"mem_alarm": false, "disk_free_alarm": false}
		if c.arg(1) == topology.NodeName(n.Node) {
			return o, nil
		}
		all = append(all, o)
	}
	if c.arg(1) != "" {
		return nil, errNone
	}
	return all, nil
}

func connection(i amqp.ConnectionInfo) object {
	name, _ := i.Properties["connection_name"].(string)
	return object{"name": i.Name, "user": i.User, "vhost": i.VHost, "peer": i.Client,
		"client_properties": i.Properties, "user_provided_name": name, "channels": i.Channels,
		"channel_max": i.ChannelMax, "frame_max": i.FrameMax, "timeout": i.HeartbeatS, "state": i.State,
		"ssl": i.TLS, "protocol": "AMQP 0-9-1", "connected_at": i.Since}
}

func (s *server) connections(c *call) (any, error) {
	all := []object{}
	for _, i := range s.f.Connections() {
		if c.arg(1) == i.Name {
			return connection(i), nil
		}
		all = append(all, connection(i))
	}
	if c.arg(1) != "" {
		return nil, errNone
	}
	return all, nil
}

func (s *server) closeConnection(c *call) (any, error) {
	reason := c.Header.Get("X-Reason")
	if reason == "" {
		reason = "Closed via management plugin"
	}
	if !s.f.CloseConnection(c.arg(1), reason) {
		return nil, errNone
	}
	return nil, done
}

func (s *server) exchanges(c *call) (any, error) {
	all := []object{}
	for _, x := range s.f.View().Exchanges(c.arg(1)) {
		o := object{"name": x.Name, "vhost": x.VHost, "type": x.Type, "durable": x.Durable,
			"auto_delete": x.AutoDelete, "internal": x.Internal, "arguments": x.Arguments}
		if len(c.path) > 2 && c.arg(2) == x.Name {
			return o, nil
		}
		all = append(all, o)
	}
	if len(c.path) > 2 {
		return nil, errNone
	}
	return all, nil
}

func (s *server) bindings(c *call) (any, error) {
	all := []object{}
	for _, b := range s.f.View().Bindings(c.arg(1)) {
		kind := "exchange"
		if b.ToQueue {
			kind = "queue"
		}
		all = append(all, object{"source": b.Source, "vhost": b.VHost, "destination": b.Destination,
			"destination_type": kind, "routing_key": b.Key, "arguments": b.Arguments})
	}
	return all, nil
}

// queue is a queue with its copies; counts are asked for one queue alone.
func queue(q topology.QueueInfo) object {
	kind := q.Kind
	if kind == "mirrored" {
		kind = "classic"
	}
	o := object{"name": q.Name, "vhost": q.VHost, "type": kind, "durable": q.Durable,
		"exclusive": q.Exclusive, "auto_delete": q.AutoDelete, "arguments": q.Arguments,
		"node": topology.NodeName(q.Stream.Leader), "leader": topology.NodeName(q.Stream.Leader),
		"state": "running", "trine_kind": q.Kind, "trine_stream": q.Stream.Name}
	if q.Policy != "" {
		o["policy"] = q.Policy
	}
	if q.Stream.Leader == 0 {
		o["state"] = "down"
	}
	members, synced := []string{}, []string{}
	for _, m := range q.Stream.Members {
		members = append(members, topology.NodeName(m.Node))
		if m.InSync && m.Node != q.Stream.Leader {
			synced = append(synced, topology.NodeName(m.Node))
		}
	}
	o["members"] = members
	if q.Kind == "mirrored" {
		o["slave_nodes"] = slices.DeleteFunc(slices.Clone(members), func(n string) bool {
			return n == topology.NodeName(q.Stream.Leader)
		})
		o["synchronised_slave_nodes"] = synced
	}
	return o
}

func (s *server) queues(c *call) (any, error) {
	all := []object{}
	for _, q := range s.f.View().Queues(c.arg(1)) {
		if len(c.path) > 2 && q.Name != c.arg(2) {
			continue
		}
		o := queue(q)
		if i, ok := s.inspect(c, q.Stream.ID); ok {
			o["messages_ready"], o["messages_unacknowledged"] = i.Ready, i.Lent
			o["messages"], o["consumers"] = i.Ready+i.Lent, len(i.Consumers)
			o["message_bytes_ready"] = i.Bytes
		}
		if len(c.path) > 2 {
			return o, nil
		}
		all = append(all, o)
	}
	if len(c.path) > 2 {
		return nil, errNone
	}
	return all, nil
}

// inspect asks a queue for its counts; one that does not answer soon has none.
func (s *server) inspect(c *call, id core.StreamID) (core.QueueInfo, bool) {
	type outcome struct {
		core.QueueInfo
		err error
	}
	told := make(chan outcome, 1)
	s.f.Core().Queue().Inspect(id, func(i core.QueueInfo, err error) { told <- outcome{i, err} })
	select {
	case o := <-told:
		return o.QueueInfo, o.err == nil
	case <-time.After(inspectMax):
	case <-c.Context().Done():
	}
	return core.QueueInfo{}, false
}

func (s *server) removeQueue(c *call) (any, error) {
	for _, q := range s.f.View().Queues(c.arg(1)) {
		if q.Name != c.arg(2) {
			continue
		}
		if c.arg(3) == "contents" {
			return nil, s.wait(c, func(told func(error)) {
				s.f.Core().Queue().Purge(q.Stream.ID, func(_ int64, err error) { told(err) })
			}, done)
		}
		return nil, s.wait(c, func(told func(error)) { s.f.RemoveQueue(q.VHost, q.Name, told) }, done)
	}
	return nil, errNone
}

func policy(p topology.Policy) object {
	return object{"vhost": p.VHost, "name": p.Name, "pattern": p.Pattern, "apply-to": p.ApplyTo,
		"priority": p.Priority, "definition": p.Definition}
}

func (s *server) policies(c *call) (any, error) {
	all := []object{}
	for _, p := range s.f.View().Policies(c.arg(1)) {
		if len(c.path) > 2 && c.arg(2) == p.Name {
			return policy(p), nil
		}
		all = append(all, policy(p))
	}
	if len(c.path) > 2 {
		return nil, errNone
	}
	return all, nil
}

func (s *server) putPolicy(c *call) (any, error) {
	p := topology.Policy{ApplyTo: "all"}
	if err := json.NewDecoder(c.Body).Decode(&p); err != nil {
		return nil, refused("malformed policy: " + err.Error())
	}
	p.VHost, p.Name = c.arg(1), c.arg(2)
	if p.VHost == "" || p.Name == "" {
		return nil, errNone
	}
	return nil, s.wait(c, func(told func(error)) { topology.SetPolicy(s.f.Core(), p, told) }, created)
}

func (s *server) clearPolicy(c *call) (any, error) {
	return nil, s.wait(c, func(told func(error)) {
		topology.ClearPolicy(s.f.Core(), c.arg(1), c.arg(2), told)
	}, done)
}
