package api

import (
	"cmp"
	"encoding/json"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"trine/internal/core"
	kinds "trine/internal/front/amqp/route"
	"trine/internal/front/amqp/topology"
)

// overviewRoutes are the paths of this file.
var overviewRoutes = []route{
	{"GET", "overview", managers, false, (*server).overview},
	{"GET", "cluster-name", managers, false, (*server).clusterName},
	{"PUT", "cluster-name", administrators, false, (*server).putClusterName},
	{"GET", "extensions", managers, false, (*server).extensions},
	{"POST", "rebalance/queues", administrators, false, (*server).rebalance},
}

func address(hostPort string) net.Addr {
	a, err := netip.ParseAddrPort(hostPort)
	if err != nil {
		return &net.TCPAddr{}
	}
	return net.TCPAddrFromAddrPort(a)
}

func (s *server) overview(c *call) (any, error) {
	rates, err := c.span("msg_rates")
	if err != nil {
		return nil, err
	}
	var total stat
	var churn [churns]stat
	connections, channels, consumers := 0, 0, 0
	for _, p := range s.gather(c, "totals") {
		total.add(&p.Total)
		for i := range churn {
			churn[i].add(&p.Churn[i])
		}
		connections, channels, consumers = connections+p.Connected, channels+p.Opened,
			consumers+p.Consuming
	}
	queues, exchanges := s.f.View().Sizes()
	o := object{"object_totals": object{"connections": connections, "channels": channels,
		"consumers": consumers, "queues": queues, "exchanges": exchanges},
		"queue_totals": s.totals(c), "churn_rates": churnObject(&churn)}
	s.identity(o)
	if m := total.messages(rates, published, outcomes, deliveries); m != nil {
		o["message_stats"] = m
	} else {
		o["message_stats"] = object{}
	}
	if !c.is(monitors) {
		return o, nil
	}
	o["listeners"], o["contexts"] = s.listeners(), s.contexts()
	return o, nil
}

// identity says who answers.
func (s *server) identity(o object) {
	v := s.f.Version()
	for _, k := range []string{"rabbitmq_version", "management_version", "product_version"} {
		o[k] = v
	}
	o["product_name"], o["cluster_name"] = "RabbitMQ", s.clusterNamed()
	o["node"] = topology.NodeName(s.f.Core().Self().Node)
	o["rates_mode"], o["exchange_types"] = "basic", exchangeTypes()
	o["erlang_version"], o["erlang_full_version"] = "none", "none: "+s.build
	o["cluster_tags"], o["node_tags"] = object{}, object{}
	o["statistics_db_event_queue"], o["disable_stats"], o["enable_queue_totals"] = 0, false, false
	o["is_op_policy_updating_enabled"], o["default_queue_type"] = true, topology.Classic
	o["sample_retention_policies"] = object{"global": []int{600}, "basic": []int{60},
		"detailed": []int{60}}
}

func churnObject(churn *[churns]stat) object {
	o := object{}
	for i, name := range churnNames {
		o[name] = churn[i].Counted[0]
		o[name+"_details"] = object{"rate": churn[i].Rates[0]}
	}
	return o
}

// exchangeTypes are those that may be declared.
func exchangeTypes() []object {
	all := []object{}
	for _, t := range kinds.Names() {
		all = append(all, object{"name": t, "description": "exchange of type " + t, "enabled": true})
	}
	return all
}

// protocols are the names that RabbitMQ has for listeners.
var protocols = map[string]string{"amqp": "amqp", "amqps": "amqp/ssl", "http": "http",
	"https": "https", "link": "clustering"}

// listener is one listener of a node.
type listener struct {
	node     core.NodeID
	protocol string
	host     string
	port     int
}

func (s *server) allListeners() []listener {
	var all []listener
	for _, n := range s.f.Core().Cluster().Nodes() {
		if !n.Alive {
			continue
		}
		for name, at := range n.Addresses {
			host, port, err := net.SplitHostPort(at)
			if err != nil {
				continue
			}
			if host == "" {
				host = "::"
			}
			p := protocols[name]
			if p == "" {
				p = name
			}
			number, _ := strconv.Atoi(port)
			all = append(all, listener{n.Node, p, host, number})
		}
	}
	slices.SortFunc(all, func(a, b listener) int {
		return cmp.Or(cmp.Compare(a.node, b.node), strings.Compare(a.protocol, b.protocol),
			cmp.Compare(a.port, b.port))
	})
	return all
}

func (s *server) listeners() []object {
	all := []object{}
	for _, l := range s.allListeners() {
		all = append(all, object{"node": topology.NodeName(l.node), "protocol": l.protocol,
			"ip_address": l.host, "port": l.port, "socket_opts": []any{}})
	}
	return all
}

// contexts are where HTTP is answered.
func (s *server) contexts() []object {
	all := []object{}
	for _, l := range s.allListeners() {
		if l.protocol == "http" || l.protocol == "https" {
			all = append(all, object{"node": topology.NodeName(l.node), "description": "RabbitMQ Management",
				"path": "/", "ip": l.host, "port": strconv.Itoa(l.port), "ssl_opts": []any{}})
		}
	}
	return all
}

// clusterNameKey is the global parameter that holds the cluster's name.
const clusterNameKey = "cluster_name"

// clusterNamed gives the cluster's name: as it was set, else as it was configured.
func (s *server) clusterNamed() string {
	for _, p := range s.f.View().GlobalParameters() {
		var name string
		if p.Name == clusterNameKey && json.Unmarshal(p.Value, &name) == nil {
			return name
		}
	}
	return s.f.ClusterName()
}

func (s *server) clusterName(*call) (any, error) { return object{"name": s.clusterNamed()}, nil }

func (s *server) putClusterName(c *call) (any, error) {
	b, err := c.body("name")
	if err != nil {
		return nil, err
	}
	value, _ := json.Marshal(text(b, "name"))
	return nil, s.wait(c, func(told func(error)) {
		topology.SetParameter(s.f.Core(), topology.Parameter{Name: clusterNameKey, Value: value}, told)
	}, done)
}

func (s *server) extensions(*call) (any, error) { return []object{}, nil }

// rebalance moves leaders so that every node leads as many queues, as far as their
// copies let it.
func (s *server) rebalance(c *call) (any, error) {
	moves := balance(s.f.View().Queues(""), s.f.Core().Cluster().Nodes())
	for _, m := range moves {
		err := s.do(c, func(told func(error)) { s.f.Core().Cluster().Move(m.stream, m.to, told) })
		if err != nil {
			return nil, err
		}
	}
	return nil, done
}

// move puts a stream's leadership on the first of its nodes.
type move struct {
	stream string
	to     []core.NodeID
}

// balance finds who leads too much, and who of the same queue's copies leads least.
func balance(queues []topology.QueueInfo, nodes []core.NodeInfo) []move {
	leads := map[core.NodeID]int{}
	for _, n := range nodes {
		if n.Alive {
			leads[n.Node] = 0
		}
	}
	for _, q := range queues {
		leads[q.Stream.Leader]++
	}
	var moves []move
	for _, q := range queues {
		from, best := q.Stream.Leader, q.Stream.Leader
		for _, m := range q.Stream.Members {
			n, alive := leads[m.Node]
			if alive && m.InSync && n < leads[best] {
				best = m.Node
			}
		}
		if from == 0 || leads[from]-leads[best] < 2 {
			continue
		}
		leads[from]--
		leads[best]++
		to := []core.NodeID{best}
		for _, m := range q.Stream.Members {
			if m.Node != best {
				to = append(to, m.Node)
			}
		}
		moves = append(moves, move{q.Stream.Name, to})
	}
	return moves
}
