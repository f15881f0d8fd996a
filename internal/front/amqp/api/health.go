package api

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"trine/internal/core"
	"trine/internal/front/amqp/direct"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
)

// healthRoutes are the paths of this file. Those that RabbitMQ has since 4.1 are
// answered too.
var healthRoutes = []route{
	{"GET", "health/checks/alarms", managers, false, (*server).alarms},
	{"GET", "health/checks/local-alarms", managers, false, (*server).alarms},
	{"GET", "health/checks/virtual-hosts", managers, false, (*server).inService},
	{"GET", "health/checks/port-listener/*", managers, false, (*server).portListener},
	{"GET", "health/checks/protocol-listener/*", managers, false, (*server).protocolListener},
	{"GET", "health/checks/node-is-quorum-critical", managers, false, (*server).quorumCritical},
	{"GET", "health/checks/node-is-mirror-sync-critical", managers, false, (*server).mirrorCritical},
	{"GET", "health/checks/certificate-expiration/*/*", managers, false, (*server).certificates},
	{"GET", "health/checks/is-in-service", managers, false, (*server).inService},
	{"GET", "health/checks/ready-to-serve-clients", managers, false, (*server).inService},
	{"GET", "health/checks/below-node-connection-limit", managers, false, (*server).belowLimit},
	{"GET", "health/checks/reached-target-cluster-size", managers, false, (*server).targetSize},
	{"GET", "health/checks/metadata-store/initialized", managers, false, (*server).inService},
	{"GET", "health/checks/metadata-store/initialized/with-data", managers, false, (*server).inService},
	{"GET", "health/checks/quorum-queues-without-elected-leaders/all-vhosts", managers, false,
		(*server).leaderless},
	{"GET", "health/checks/quorum-queues-without-elected-leaders/all-vhosts/pattern/*", managers, false,
		(*server).leaderless},
	{"GET", "health/checks/quorum-queues-without-elected-leaders/vhost/*", managers, false,
		(*server).leaderless},
	{"GET", "health/checks/quorum-queues-without-elected-leaders/vhost/*/pattern/*", managers, false,
		(*server).leaderless},
	{"GET", "healthchecks/node", managers, false, (*server).inService},
	{"GET", "healthchecks/node/*", managers, false, (*server).inService},
	{"GET", "aliveness-test/*", managers, true, (*server).aliveness},
}

func well() (any, error) { return object{"status": "ok"}, nil }

// ill answers 503, as load balancers expect it.
func ill(reason string, more object) (any, error) {
	o := object{"status": "failed", "reason": reason}
	for k, v := range more {
		o[k] = v
	}
	return nil, &trouble{Status: http.StatusServiceUnavailable, Body: o}
}

// alarms tells of disks that have hardly room: the only alarm there is. A node whose
// memory is short stops reading instead.
func (s *server) alarms(c *call) (any, error) {
	all := []object{}
	for _, n := range s.f.Core().Cluster().Nodes() {
		if n.Cramped && n.Alive && (n.Self || c.arg(2) == "alarms") {
			all = append(all, object{"node": topology.NodeName(n.Node), "resource": "disk"})
		}
	}
	if len(all) == 0 {
		return well()
	}
	where := "on node " + topology.NodeName(s.f.Core().Self().Node)
	if c.arg(2) == "alarms" {
		where = "in the cluster"
	}
	return ill("There are alarms in effect "+where, object{"alarms": all})
}

// inService asks the cluster: a node without a majority serves little.
func (s *server) inService(c *call) (any, error) {
	if err := s.do(c, s.f.Core().Cluster().Sync); err != nil {
		return ill("this node cannot reach a majority of the cluster", nil)
	}
	return well()
}

func (s *server) own() []listener {
	self := s.f.Core().Self().Node
	return slices.DeleteFunc(s.allListeners(), func(l listener) bool { return l.node != self })
}

func (s *server) portListener(c *call) (any, error) {
	port, err := strconv.Atoi(c.arg(3))
	if err != nil {
		return nil, bad("Invalid port")
	}
	ports := []int{}
	for _, l := range s.own() {
		ports = append(ports, l.port)
	}
	if slices.Contains(ports, port) {
		return object{"status": "ok", "port": port}, nil
	}
	return ill("No active listener", object{"missing": port, "ports": ports})
}

// sameProtocol are names that mean the same listener.
var sameProtocol = map[string]string{"amqp091": "amqp", "amqp0.9.1": "amqp", "amqp-0-9-1": "amqp",
	"amqp0-9-1": "amqp", "amqps": "amqp/ssl", "distribution": "clustering", "management": "http"}

func (s *server) protocolListener(c *call) (any, error) {
	have := []string{}
	for _, l := range s.own() {
		have = append(have, l.protocol)
	}
	for p := range strings.SplitSeq(strings.ToLower(c.arg(3)), ",") {
		if same := sameProtocol[p]; same != "" {
			p = same
		}
		if slices.Contains(have, p) {
			return object{"status": "ok", "protocol": c.arg(3)}, nil
		}
	}
	return ill("No active listener", object{"missing": c.arg(3), "protocols": have})
}

// critical gives the queues that one copy less would stop: those of a kind that have
// a copy here, and no more of them than just enough.
func (s *server) critical(kind string, enough func(*topology.QueueInfo, int) bool) []object {
	self, alive := s.f.Core().Self().Node, s.alive()
	all := []object{}
	for _, q := range s.f.View().Queues("") {
		here, others := false, 0
		for _, m := range q.Stream.Members {
			switch {
			case m.Node == self:
				here = true
			case alive[m.Node] && m.InSync:
				others++
			}
		}
		if q.Kind == kind && here && !enough(&q, others) {
			all = append(all, object{"name": q.Name, "virtual_host": q.VHost, "type": q.Declared,
				"readable_name": "queue '" + q.Name + "' in vhost '" + q.VHost + "'"})
		}
	}
	return all
}

func (s *server) quorumCritical(*call) (any, error) {
	if len(s.f.Core().Cluster().Nodes()) == 1 {
		return object{"status": "ok", "reason": "single node cluster"}, nil
	}
	qs := s.critical(topology.Quorum, func(q *topology.QueueInfo, others int) bool {
		return others > len(q.Stream.Members)/2
	})
	if len(qs) == 0 {
		return well()
	}
	return ill("There are quorum queues that would lose their quorum if the target node is shut down",
		object{"queues": qs})
}

func (s *server) mirrorCritical(*call) (any, error) {
	if len(s.f.Core().Cluster().Nodes()) == 1 {
		return object{"status": "ok", "reason": "single node cluster"}, nil
	}
	qs := s.critical("mirrored", func(_ *topology.QueueInfo, others int) bool { return others > 0 })
	if len(qs) == 0 {
		return well()
	}
	return ill("There are classic mirrored queues without online synchronised mirrors",
		object{"queues": qs})
}

// certificates has none to look at: the listeners for clients speak no TLS.
func (s *server) certificates(c *call) (any, error) {
	if n, err := strconv.Atoi(c.arg(3)); err != nil || n < 0 {
		return nil, bad("Invalid expiration period: " + c.arg(3))
	}
	if !slices.Contains([]string{"days", "weeks", "months", "years"}, c.arg(4)) {
		return nil, bad("Time unit not recognised. Use: days, weeks, months, years.")
	}
	return well()
}

func (s *server) belowLimit(*call) (any, error) {
	n, _, _ := s.f.Sizes()
	return object{"status": "ok", "limit": "infinity", "connections": n}, nil
}

func (s *server) targetSize(*call) (any, error) {
	n := 0
	for _, node := range s.f.Core().Cluster().Nodes() {
		if node.Alive {
			n++
		}
	}
	return object{"status": "ok", "cluster_size": n, "target_cluster_size_hint": 1}, nil
}

// leaderless finds quorum queues that nobody leads.
func (s *server) leaderless(c *call) (any, error) {
	host, pattern := "", ".*"
	for i, p := range c.path {
		switch {
		case p == "vhost" && i == 3:
			host = c.arg(i + 1)
		case p == "pattern":
			pattern = c.arg(i + 1)
		}
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, bad("Invalid pattern: " + pattern)
	}
	if host != "" && !s.f.View().HasHost(host) {
		return nil, errNone
	}
	alive, qs := s.alive(), []object{}
	for _, q := range s.f.View().Queues(host) {
		if q.Kind == topology.Quorum && re.MatchString(q.Name) && !alive[q.Stream.Leader] {
			qs = append(qs, object{"name": q.Name, "virtual_host": q.VHost, "type": "quorum",
				"readable_name": "queue '" + q.Name + "' in vhost '" + q.VHost + "'"})
		}
	}
	if len(qs) == 0 {
		return well()
	}
	return ill("Detected quorum queues without an elected leader", object{"queues": qs})
}

// alivenessQueue is what the test sends one message through.
const alivenessQueue = "aliveness-test"

func (s *server) aliveness(c *call) (any, error) {
	d := direct.Open(s.f, c.User, c.arg(1), c.info())
	defer d.Close()
	ctx, cancel := context.WithTimeout(c.Context(), answerMax)
	defer cancel()
	if _, err := d.Call(ctx, &wire.QueueDeclare{Queue: alivenessQueue}); err != nil {
		return nil, fromChannel(err)
	}
	if _, err := d.Publish(ctx, "", alivenessQueue, wire.NoProperties, []byte("test_message")); err != nil {
		if core.KindOf(err) == core.Refused {
			return ill("the message was refused", nil)
		}
		return nil, fromChannel(err)
	}
	m, err := d.Get(ctx, alivenessQueue, true)
	switch {
	case err != nil:
		return nil, fromChannel(err)
	case m == nil:
		return ill("aliveness-test queue is empty", nil)
	}
	return well()
}
