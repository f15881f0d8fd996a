package kafka

import (
	"net"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"trine/internal/core"
)

// node is a living node as a client is told of it.
type node struct {
	id    core.NodeID
	host  string
	port  int32
	rack  string
	self  bool
	leads bool // the catalog
	alone bool // this node, while it has no lease: another may lead what it led
}

// nodes gives the living nodes that speak this protocol, as this client can reach
// them: one that registered no host is where the client found this node. Of a node
// that is doubted clients are not told: they would wait for it.
func (c *Conn) nodes() []node {
	var out []node
	for _, n := range c.f.core.Cluster().Nodes() {
		if !n.Alive || n.Doubted && !n.Self {
			continue
		}
		if host, port, ok := c.reach(n.Addresses[Name]); ok {
			out = append(out, node{n.Node, host, port, n.Rack, n.Self, n.Leads, n.Doubted})
		}
	}
	return out
}

func (c *Conn) reach(address string) (host string, port int32, ok bool) {
	host, number, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, false
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return "", 0, false
	}
	if host == "" {
		host = c.host
	}
	return host, int32(n), true
}

// controller gives the node that a client shall ask to change topics: any can.
func controller(ns []node) int32 {
	self := int32(-1)
	for _, n := range ns {
		if n.leads {
			return int32(n.id)
		}
		if n.self {
			self = int32(n.id)
		}
	}
	return self
}

func (c *Conn) metadata(r *request, q *kmsg.MetadataRequest) {
	all := q.Topics == nil || q.Version == 0 && len(q.Topics) == 0
	sure := true
	for i := range q.Topics {
		sure = sure && c.f.topics.asked(&q.Topics[i]) != nil
	}
	create := c.f.cfg.AutoCreate && (q.AllowAutoTopicCreation || q.Version < 4)
	c.certain(sure || all, func(unsure error) {
		var missing []string
		if create && !all && unsure == nil {
			for i := range q.Topics {
				t := &q.Topics[i]
				if t.Topic != nil && t.TopicID == [16]byte{} && c.f.topics.get(*t.Topic) == nil &&
					checkName(*t.Topic) == "" {
					missing = append(missing, *t.Topic)
				}
			}
		}
		c.createMissing(missing, func(codes map[string]int16) {
			r.reply(c.metadataAnswer(q, all, unsure, codes))
		})
	})
}

// createMissing makes the topics that a client asked about, with the defaults.
// then gets the codes of those that could not be made, under the lock.
func (c *Conn) createMissing(names []string, then func(codes map[string]int16)) {
	codes := map[string]int16{}
	open := len(names)
	if open == 0 {
		then(codes)
		return
	}
	for _, name := range names {
		end := func(err error) {
			if err != nil && core.KindOf(err) != core.Exist {
				codes[name], _ = adminFault(err)
			}
			if open--; open == 0 {
				then(codes)
			}
		}
		plan, err := c.f.planTopic(newTopic{name: name, partitions: -1, copies: -1})
		if err != nil {
			end(err)
			continue
		}
		c.f.putTopic(plan, func(err error) { c.later(func() { end(err) }) })
	}
}

// asked gives the topic that a client asks about by name or id, or nil.
func (ts *topics) asked(t *kmsg.MetadataRequestTopic) *topic {
	if t.Topic != nil {
		return ts.get(*t.Topic)
	}
	return ts.getID(t.TopicID)
}

func (c *Conn) metadataAnswer(q *kmsg.MetadataRequest, all bool, unsure error,
	codes map[string]int16) *kmsg.MetadataResponse {
	a := answerTo[*kmsg.MetadataResponse](q)
	ns := c.nodes()
	for _, n := range ns {
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID, b.Host, b.Port = int32(n.id), n.host, n.port
		if n.rack != "" {
			b.Rack = kmsg.StringPtr(n.rack)
		}
		a.Brokers = append(a.Brokers, b)
	}
	a.ControllerID = controller(ns)
	a.ClusterID = c.f.clusterID()
	if q.Version >= 8 && q.IncludeClusterAuthorizedOperations {
		a.AuthorizedOperations = clusterOperations
	}
	if all {
		for _, t := range c.f.topics.all() {
			a.Topics = append(a.Topics, topicMetadata(t, q, ns))
		}
		return a
	}
	for i := range q.Topics {
		asked := &q.Topics[i]
		if t := c.f.topics.asked(asked); t != nil {
			a.Topics = append(a.Topics, topicMetadata(t, q, ns))
			continue
		}
		t := kmsg.NewMetadataResponseTopic()
		t.Topic, t.TopicID = asked.Topic, asked.TopicID
		switch {
		case unsure != nil:
			t.ErrorCode = errLeaderNotAvailable
		case asked.Topic == nil:
			t.ErrorCode = errUnknownTopicID
		case checkName(*asked.Topic) != "":
			t.ErrorCode = errInvalidTopic
		case codes[*asked.Topic] != errNone:
			t.ErrorCode = codes[*asked.Topic]
		default:
			t.ErrorCode = errUnknownTopic
		}
		if t.Topic == nil && q.Version < 12 {
			t.Topic = new(string)
		}
		a.Topics = append(a.Topics, t)
	}
	return a
}

// What everybody may do, as a set of bits, while nothing is denied to anyone.
const (
	clusterOperations = 1<<4 | 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12
	topicOperations   = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11
	groupOperations   = 1<<3 | 1<<6 | 1<<8
)

func topicMetadata(t *topic, q *kmsg.MetadataRequest, ns []node) kmsg.MetadataResponseTopic {
	m := kmsg.NewMetadataResponseTopic()
	m.Topic, m.TopicID, m.IsInternal = &t.name, t.id, t.internal()
	if q.Version >= 8 && q.IncludeTopicAuthorizedOperations {
		m.AuthorizedOperations = topicOperations
	}
	m.Partitions = make([]kmsg.MetadataResponseTopicPartition, 0, len(t.parts))
	for _, p := range t.parts {
		m.Partitions = append(m.Partitions, partitionMetadata(p, ns))
	}
	return m
}

func alive(ns []node, id core.NodeID) bool {
	for _, n := range ns {
		if n.id == id {
			return true
		}
	}
	return false
}

// leads says whether a node may be named as a stream's leader.
func leads(ns []node, s *core.Stream) bool {
	for _, n := range ns {
		if n.id == s.Leader {
			return !n.alone || s.Policy.Election == core.ElectNone
		}
	}
	return false
}

func partitionMetadata(p *partition, ns []node) kmsg.MetadataResponseTopicPartition {
	m := kmsg.NewMetadataResponseTopicPartition()
	m.Partition, m.Leader = p.index, -1
	m.Replicas, m.ISR, m.OfflineReplicas = []int32{}, []int32{}, []int32{}
	s := p.stream.Load()
	if s == nil {
		m.ErrorCode = errLeaderNotAvailable
		return m
	}
	m.LeaderEpoch = int32(s.Epoch)
	if leads(ns, s) {
		m.Leader = int32(s.Leader)
	} else {
		m.ErrorCode = errLeaderNotAvailable
	}
	for _, c := range s.Members {
		m.Replicas = append(m.Replicas, int32(c.Node))
		if c.InSync {
			m.ISR = append(m.ISR, int32(c.Node))
		}
		if !alive(ns, c.Node) {
			m.OfflineReplicas = append(m.OfflineReplicas, int32(c.Node))
		}
	}
	return m
}

func (c *Conn) describeCluster(r *request, q *kmsg.DescribeClusterRequest) {
	a := answerTo[*kmsg.DescribeClusterResponse](q)
	if q.Version >= 1 && q.EndpointType != 1 {
		a.ErrorCode = errMismatchedEndpoint
		a.ErrorMessage = kmsg.StringPtr("the request was sent to an endpoint for clients")
		if q.EndpointType != 2 {
			a.ErrorCode = errUnsupportedEndpoint
		}
		r.reply(a)
		return
	}
	a.EndpointType = 1
	ns := c.nodes()
	for _, n := range ns {
		b := kmsg.NewDescribeClusterResponseBroker()
		b.NodeID, b.Host, b.Port = int32(n.id), n.host, n.port
		if n.rack != "" {
			b.Rack = kmsg.StringPtr(n.rack)
		}
		a.Brokers = append(a.Brokers, b)
	}
	a.ControllerID = controller(ns)
	if id := c.f.clusterID(); id != nil {
		a.ClusterID = *id
	}
	if q.IncludeClusterAuthorizedOperations {
		a.ClusterAuthorizedOperations = clusterOperations
	}
	r.reply(a)
}
