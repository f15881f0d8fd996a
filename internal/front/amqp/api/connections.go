package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"trine/internal/core"
	"trine/internal/front/amqp/listed"
	"trine/internal/front/amqp/topology"
)

// connectionRoutes are the paths of this file.
var connectionRoutes = []route{
	{"GET", "connections", managers, false, (*server).connections},
	{"GET", "connections/*", managers, false, (*server).connection},
	{"DELETE", "connections/*", managers, false, (*server).closeConnection},
	{"GET", "connections/*/channels", managers, false, (*server).channels},
	{"GET", "connections/username/*", managers, false, (*server).connectionsOf},
	{"DELETE", "connections/username/*", managers, false, (*server).closeConnectionsOf},
	{"GET", "vhosts/*/connections", managers, true, (*server).connections},
	{"GET", "vhosts/*/channels", managers, true, (*server).channels},
	{"GET", "channels", managers, false, (*server).channels},
	{"GET", "channels/*", managers, false, (*server).channel},
	{"GET", "consumers", managers, false, (*server).consumers},
	{"GET", "consumers/*", managers, true, (*server).consumers},
}

func (s *server) ownConnections() []object {
	all := []object{}
	node := topology.NodeName(s.f.Core().Self().Node)
	for _, i := range s.f.Connections() {
		name, _ := i.Properties["connection_name"].(string)
		received, sent := s.sampler.bytes(i.ID)
		all = append(all, object{"name": i.Name, "user": i.User, "vhost": i.VHost, "node": node,
			"user_who_performed_action": i.User, "client_properties": i.Properties,
			"user_provided_name": name, "channels": i.Channels, "channel_max": i.ChannelMax,
			"frame_max": i.FrameMax, "timeout": i.HeartbeatS, "state": i.State, "ssl": i.TLS,
			"protocol": "AMQP 0-9-1", "type": "network", "auth_mechanism": i.Mechanism,
			"connected_at": i.Since, "host": i.Host, "port": i.Port, "peer_host": i.PeerHost,
			"recv_oct": i.Received, "send_oct": i.Sent, "send_pend": i.Pending,
			"recv_oct_details": object{"rate": received}, "send_oct_details": object{"rate": sent},
			"peer_port": i.PeerPort, "peer_cert_subject": "", "peer_cert_issuer": "",
			"peer_cert_validity": "", "ssl_protocol": "", "ssl_cipher": "", "ssl_hash": "",
			"ssl_key_exchange": ""})
	}
	return all
}

// connectionDetails is a connection as its channels show it.
func connectionDetails(i *listed.Connection) object {
	return object{"name": i.Name, "peer_host": i.PeerHost, "peer_port": i.PeerPort}
}

func (s *server) ownChannels(samples bool) []object {
	all := []object{}
	node := topology.NodeName(s.f.Core().Self().Node)
	for _, i := range s.f.Channels() {
		st := s.sampler.channel(channelKey{i.Connection.ID, i.Number}, i.Counted, samples)
		o := object{"name": i.Name(), "number": i.Number, "node": node, "user": i.Connection.User,
			"user_who_performed_action": i.Connection.User, "vhost": i.Connection.VHost,
			"state": "running", "confirm": i.Confirms, "transactional": i.Transactional,
			"prefetch_count": i.Prefetch, "global_prefetch_count": i.Shared,
			"consumer_count": i.Consumers, "messages_unacknowledged": i.Unacked,
			"messages_unconfirmed": i.Unconfirmed, "messages_uncommitted": i.Uncommitted,
			"acks_uncommitted": i.UncommittedAs, "pending_raft_commands": 0,
			"connection_details": connectionDetails(i.Connection)}
		if m := st.messages(span{}, published, outcomes, deliveries); m != nil {
			o["message_stats"] = m
		}
		all = append(all, o)
	}
	return all
}

func (s *server) ownConsumers() []object {
	all := []object{}
	node := topology.NodeName(s.f.Core().Self().Node)
	for _, i := range s.f.Consumers() {
		ch := i.Channel
		all = append(all, object{"consumer_tag": i.Tag, "ack_required": i.Acks, "exclusive": i.Exclusive,
			"prefetch_count": i.Prefetch, "arguments": i.Arguments, "active": true, "activity_status": "up",
			"consumer_timeout": i.TimeoutMs, "queue": object{"name": i.Queue, "vhost": i.VHost},
			"single": i.Single, "id": i.ID, "delivered": i.Counted,
			"channel_details": object{"name": ch.Name(), "number": ch.Number, "node": node,
				"user": ch.Connection.User, "connection_name": ch.Connection.Name,
				"peer_host": ch.Connection.PeerHost, "peer_port": ch.Connection.PeerPort}})
	}
	return all
}

// seen keeps what the user may see: monitors all, others what is their own, in
// virtual hosts that they may enter.
func (s *server) seen(c *call, all []object) []object {
	if c.is(monitors) {
		return all
	}
	return slices.DeleteFunc(all, func(o object) bool {
		host, _ := o["vhost"].(string)
		return o["user"] != c.User || !s.enters(c, host)
	})
}

func (s *server) allConnections(c *call) []object {
	all := []object{}
	for _, p := range s.gather(c, "connections") {
		all = append(all, p.Connections...)
	}
	sortBy(all, "name")
	return s.seen(c, all)
}

func sortBy(all []object, keys ...string) {
	slices.SortStableFunc(all, func(a, b object) int {
		for _, k := range keys {
			if n := compare(dotted(a, k), dotted(b, k)); n != 0 {
				return n
			}
		}
		return 0
	})
}

func with(all []object, key, value string) []object {
	return slices.DeleteFunc(all, func(o object) bool { return o[key] != value })
}

func (s *server) connections(c *call) (any, error) {
	l, err := c.paged()
	if err != nil {
		return nil, err
	}
	all := s.allConnections(c)
	if c.path[0] == "vhosts" {
		all = with(all, "vhost", c.arg(1))
	}
	return l.reply(all, nil, nil)
}

func (s *server) connection(c *call) (any, error) {
	return one(with(s.allConnections(c), "name", c.arg(1)))
}

// one gives the only one, or says that there is none.
func one(all []object) (any, error) {
	if len(all) == 0 {
		return nil, errNone
	}
	return all[0], nil
}

func (s *server) connectionsOf(c *call) (any, error) {
	all := []object{}
	for _, o := range with(s.allConnections(c), "user", c.arg(2)) {
		all = append(all, object{"name": o["name"], "node": o["node"], "user": o["user"],
			"vhost": o["vhost"]})
	}
	return all, nil
}

func (s *server) closeConnection(c *call) (any, error) {
	all := with(s.allConnections(c), "name", c.arg(1))
	if len(all) == 0 {
		return nil, errNone
	}
	return nil, s.close(c, all)
}

func (s *server) closeConnectionsOf(c *call) (any, error) {
	return nil, s.close(c, with(s.allConnections(c), "user", c.arg(2)))
}

// close ends connections, each on its node. Who does not administer may end their own.
func (s *server) close(c *call, all []object) error {
	reason := c.Header.Get("X-Reason")
	if reason == "" {
		reason = "Closed via management plugin"
	}
	for _, o := range all {
		if !c.is(administrators) && o["user"] != c.User {
			return called(http.StatusUnauthorized, "not_authorised", "User not authorised to access object")
		}
		name, _ := o["name"].(string)
		node, _ := o["node"].(string)
		if err := s.closeOn(c.Context(), node, name, reason); err != nil {
			return err
		}
	}
	return done
}

func (s *server) closeOn(ctx context.Context, node, name, reason string) error {
	for _, n := range s.f.Core().Cluster().Nodes() {
		if topology.NodeName(n.Node) != node {
			continue
		}
		if n.Self {
			s.f.CloseConnection(name, reason)
			return nil
		}
		q := url.Values{"name": {name}, "reason": {reason}}
		if _, err := s.hop(ctx, n, http.MethodPost, closePath+"?"+q.Encode()); err != nil {
			return called(http.StatusServiceUnavailable, "service_unavailable", err.Error())
		}
	}
	return nil
}

func (s *server) allChannels(c *call) []object {
	all := []object{}
	for _, p := range s.gather(c, "channels") {
		all = append(all, p.Channels...)
	}
	sortBy(all, "connection_details.name", "number")
	return s.seen(c, all)
}

func (s *server) channels(c *call) (any, error) {
	l, err := c.paged()
	if err != nil {
		return nil, err
	}
	all := s.allChannels(c)
	switch c.path[0] {
	case "vhosts":
		all = with(all, "vhost", c.arg(1))
	case "connections":
		if len(with(s.allConnections(c), "name", c.arg(1))) == 0 {
			return nil, errNone
		}
		all = slices.DeleteFunc(all,
			func(o object) bool { return dotted(o, "connection_details.name") != c.arg(1) })
	}
	return l.reply(all, nil, nil)
}

func (s *server) channel(c *call) (any, error) {
	all := with(s.allChannels(c), "name", c.arg(1))
	if len(all) == 0 {
		return nil, errNone
	}
	o := all[0]
	o["consumer_details"] = slices.DeleteFunc(s.allConsumers(c),
		func(cs object) bool { return dotted(cs, "channel_details.name") != c.arg(1) })
	o["deliveries"], o["publishes"] = []object{}, []object{}
	return o, nil
}

// allConsumers gives the consumers of all nodes that the user may see; of queues with
// a single active consumer it says who that is.
func (s *server) allConsumers(c *call) []object {
	all := []object{}
	active := map[string]map[string]bool{}
	for _, p := range s.gather(c, "consumers") {
		for _, o := range p.Consumers {
			host, _ := dotted(o, "queue.vhost").(string)
			if !s.sees(c, host) {
				continue
			}
			if o["single"] == true {
				s.activity(c, o, active)
			}
			delete(o, "single")
			delete(o, "id")
			delete(o, "delivered")
			all = append(all, o)
		}
	}
	sortBy(all, "queue.vhost", "queue.name", "consumer_tag")
	return all
}

// activity asks a queue which consumer is the active one.
func (s *server) activity(c *call, o object, known map[string]map[string]bool) {
	host, _ := dotted(o, "queue.vhost").(string)
	name, _ := dotted(o, "queue.name").(string)
	tags, ok := known[host+"\x00"+name]
	if !ok {
		tags = map[string]bool{}
		known[host+"\x00"+name] = tags
		if q := s.f.View().Queue(host, name); q != nil {
			infos := s.inspectAll(c, []core.StreamID{q.Stream.ID})
			for _, i := range infos[q.Stream.ID].Consumers {
				if i.Active {
					tags[strings.Clone(i.Tag)+"\x00"+topology.NodeName(i.Node)] = true
				}
			}
		}
	}
	node, _ := dotted(o, "channel_details.node").(string)
	tag, _ := o["consumer_tag"].(string)
	o["active"], o["activity_status"] = false, "waiting"
	if tags[tag+"\x00"+node] {
		o["active"], o["activity_status"] = true, "single_active"
	}
}

func (s *server) consumers(c *call) (any, error) {
	l, err := c.paged()
	if err != nil {
		return nil, err
	}
	all := s.allConsumers(c)
	if host := c.arg(1); host != "" {
		all = slices.DeleteFunc(all, func(o object) bool { return dotted(o, "queue.vhost") != host })
	}
	return l.reply(all, nil, nil)
}
