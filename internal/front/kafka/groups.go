package kafka

import (
	"net"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"trine/internal/core"
	"trine/internal/front/kafka/group"
)

// refusal gives the answer that refuses a whole request with one code.
func refusal(q kmsg.Request, code int16) kmsg.Response {
	switch q := q.(type) {
	case *kmsg.JoinGroupRequest:
		r := answerTo[*kmsg.JoinGroupResponse](q)
		r.ErrorCode, r.Generation, r.MemberID = code, -1, q.MemberID
		return r
	case *kmsg.SyncGroupRequest:
		r := answerTo[*kmsg.SyncGroupResponse](q)
		r.ErrorCode = code
		return r
	case *kmsg.HeartbeatRequest:
		r := answerTo[*kmsg.HeartbeatResponse](q)
		r.ErrorCode = code
		return r
	case *kmsg.LeaveGroupRequest:
		r := answerTo[*kmsg.LeaveGroupResponse](q)
		r.ErrorCode = code
		return r
	case *kmsg.OffsetCommitRequest:
		return commitRefusal(q, code)
	case *kmsg.OffsetFetchRequest:
		return offsetFetchRefusal(q, code)
	case *kmsg.DescribeGroupsRequest:
		r := answerTo[*kmsg.DescribeGroupsResponse](q)
		for _, name := range q.Groups {
			g := kmsg.NewDescribeGroupsResponseGroup()
			g.Group, g.ErrorCode = name, code
			r.Groups = append(r.Groups, g)
		}
		return r
	case *kmsg.ListGroupsRequest:
		r := answerTo[*kmsg.ListGroupsResponse](q)
		r.ErrorCode = code
		return r
	case *kmsg.DeleteGroupsRequest:
		r := answerTo[*kmsg.DeleteGroupsResponse](q)
		for _, name := range q.Groups {
			g := kmsg.NewDeleteGroupsResponseGroup()
			g.Group, g.ErrorCode = name, code
			r.Groups = append(r.Groups, g)
		}
		return r
	case *kmsg.OffsetDeleteRequest:
		r := answerTo[*kmsg.OffsetDeleteResponse](q)
		r.ErrorCode = code
		return r
	}
	core.Assert(false, "%T is no request of a group", q)
	return nil
}

func commitRefusal(q *kmsg.OffsetCommitRequest, code int16) kmsg.Response {
	r := answerTo[*kmsg.OffsetCommitResponse](q)
	for i := range q.Topics {
		t := kmsg.NewOffsetCommitResponseTopic()
		t.Topic = q.Topics[i].Topic
		for j := range q.Topics[i].Partitions {
			p := kmsg.NewOffsetCommitResponseTopicPartition()
			p.Partition, p.ErrorCode = q.Topics[i].Partitions[j].Partition, code
			t.Partitions = append(t.Partitions, p)
		}
		r.Topics = append(r.Topics, t)
	}
	return r
}

func offsetFetchRefusal(q *kmsg.OffsetFetchRequest, code int16) kmsg.Response {
	r := answerTo[*kmsg.OffsetFetchResponse](q)
	r.ErrorCode = code
	for i := range q.Topics {
		t := kmsg.NewOffsetFetchResponseTopic()
		t.Topic = q.Topics[i].Topic
		for _, n := range q.Topics[i].Partitions {
			p := kmsg.NewOffsetFetchResponseTopicPartition()
			p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode = n, -1, -1, kmsg.StringPtr(""),
				code
			t.Partitions = append(t.Partitions, p)
		}
		r.Topics = append(r.Topics, t)
	}
	for i := range q.Groups {
		g := kmsg.NewOffsetFetchResponseGroup()
		g.Group, g.ErrorCode = q.Groups[i].Group, code
		r.Groups = append(r.Groups, g)
	}
	return r
}

// askGroup hands a request to the coordinator of a group; answer is called under
// the connection's lock, once.
func (c *Conn) askGroup(r *request, name string, q kmsg.Request, answer func(kmsg.Response)) {
	if name == "" {
		if _, fetches := q.(*kmsg.OffsetFetchRequest); !fetches {
			answer(refusal(q, errInvalidGroupID))
			return
		}
	}
	co, code := c.f.coordinator(name)
	if code != errNone {
		answer(refusal(q, code))
		return
	}
	e := group.Event{Request: q, Client: strings.Clone(r.client), Host: c.clientHost()}
	if join, ok := q.(*kmsg.JoinGroupRequest); ok && join.MemberID == "" {
		e.Random = c.f.memberSuffix()
	}
	co.ask(e, func(a kmsg.Response) { c.later(func() { answer(a) }) })
}

// clientHost is the client's address as Kafka's tools show it.
func (c *Conn) clientHost() string {
	if a := c.w.Info().Remote; a != nil {
		if host, _, err := net.SplitHostPort(a.String()); err == nil {
			return "/" + host
		}
	}
	return "/"
}

// relay answers a request with what its group's coordinator says.
func (c *Conn) relay(r *request, name string, q kmsg.Request) {
	c.askGroup(r, name, q, func(a kmsg.Response) { r.reply(a) })
}

func (c *Conn) joinGroup(r *request, q *kmsg.JoinGroupRequest)   { c.relay(r, q.Group, q) }
func (c *Conn) syncGroup(r *request, q *kmsg.SyncGroupRequest)   { c.relay(r, q.Group, q) }
func (c *Conn) heartbeat(r *request, q *kmsg.HeartbeatRequest)   { c.relay(r, q.Group, q) }
func (c *Conn) leaveGroup(r *request, q *kmsg.LeaveGroupRequest) { c.relay(r, q.Group, q) }
func (c *Conn) offsetDelete(r *request, q *kmsg.OffsetDeleteRequest) {
	c.relay(r, q.Group, q)
}

// offsetCommit takes out the partitions that do not exist, and relays the others.
func (c *Conn) offsetCommit(r *request, q *kmsg.OffsetCommitRequest) {
	exists := func(topic string, i int32) bool { return c.f.topics.get(topic).part(i) != nil }
	sure := true
	for i := range q.Topics {
		for j := range q.Topics[i].Partitions {
			sure = sure && exists(q.Topics[i].Topic, q.Topics[i].Partitions[j].Partition)
		}
	}
	if sure {
		c.relay(r, q.Group, q)
		return
	}
	c.certain(false, func(unsure error) {
		if unsure != nil {
			r.reply(commitRefusal(q, errCoordinatorUnavailable))
			return
		}
		a := commitRefusal(q, errUnknownTopic).(*kmsg.OffsetCommitResponse)
		known := *q
		known.Topics = nil
		for i := range q.Topics {
			t := q.Topics[i]
			t.Partitions = nil
			for _, p := range q.Topics[i].Partitions {
				if exists(t.Topic, p.Partition) {
					t.Partitions = append(t.Partitions, p)
				}
			}
			if len(t.Partitions) > 0 {
				known.Topics = append(known.Topics, t)
			}
		}
		c.askGroup(r, q.Group, &known, func(part kmsg.Response) {
			mergeCommitted(a, part.(*kmsg.OffsetCommitResponse))
			r.reply(a)
		})
	})
}

// mergeCommitted puts the codes of part into a, which has every partition.
func mergeCommitted(a, part *kmsg.OffsetCommitResponse) {
	type place struct {
		topic string
		index int32
	}
	codes := map[place]int16{}
	for _, t := range part.Topics {
		for _, p := range t.Partitions {
			codes[place{t.Topic, p.Partition}] = p.ErrorCode
		}
	}
	for i := range a.Topics {
		for j := range a.Topics[i].Partitions {
			p := &a.Topics[i].Partitions[j]
			if code, ok := codes[place{a.Topics[i].Topic, p.Partition}]; ok {
				p.ErrorCode = code
			}
		}
	}
}

// offsetFetch asks each group's coordinator by itself.
func (c *Conn) offsetFetch(r *request, q *kmsg.OffsetFetchRequest) {
	if q.Version < 8 {
		c.relay(r, q.Group, q)
		return
	}
	a := answerTo[*kmsg.OffsetFetchResponse](q)
	a.Groups = make([]kmsg.OffsetFetchResponseGroup, len(q.Groups))
	c.each(r, len(q.Groups), func(i int) (string, kmsg.Request) {
		one := *q
		one.Groups = q.Groups[i : i+1]
		return q.Groups[i].Group, &one
	}, func(i int, part kmsg.Response) {
		a.Groups[i] = part.(*kmsg.OffsetFetchResponse).Groups[0]
	}, func() { r.reply(a) })
}

// each asks n coordinators, takes in their answers, and calls all at the end.
func (c *Conn) each(r *request, n int, ask func(i int) (string, kmsg.Request),
	take func(i int, a kmsg.Response), all func()) {
	open := n + 1
	end := func() {
		if open--; open == 0 {
			all()
		}
	}
	for i := range n {
		name, q := ask(i)
		c.askGroup(r, name, q, func(a kmsg.Response) {
			take(i, a)
			end()
		})
	}
	end()
}

func (c *Conn) describeGroups(r *request, q *kmsg.DescribeGroupsRequest) {
	a := answerTo[*kmsg.DescribeGroupsResponse](q)
	a.Groups = make([]kmsg.DescribeGroupsResponseGroup, len(q.Groups))
	c.each(r, len(q.Groups), func(i int) (string, kmsg.Request) {
		one := *q
		one.Groups = q.Groups[i : i+1]
		return q.Groups[i], &one
	}, func(i int, part kmsg.Response) {
		a.Groups[i] = part.(*kmsg.DescribeGroupsResponse).Groups[0]
		if q.IncludeAuthorizedOperations {
			a.Groups[i].AuthorizedOperations = groupOperations
		}
	}, func() { r.reply(a) })
}

func (c *Conn) deleteGroups(r *request, q *kmsg.DeleteGroupsRequest) {
	a := answerTo[*kmsg.DeleteGroupsResponse](q)
	a.Groups = make([]kmsg.DeleteGroupsResponseGroup, len(q.Groups))
	c.each(r, len(q.Groups), func(i int) (string, kmsg.Request) {
		one := *q
		one.Groups = q.Groups[i : i+1]
		return q.Groups[i], &one
	}, func(i int, part kmsg.Response) {
		a.Groups[i] = part.(*kmsg.DeleteGroupsResponse).Groups[0]
	}, func() { r.reply(a) })
}

// listGroups gives the groups that this node coordinates: clients ask every node.
func (c *Conn) listGroups(r *request, q *kmsg.ListGroupsRequest) {
	a := answerTo[*kmsg.ListGroupsResponse](q)
	cos := c.f.groups.all()
	open := len(cos) + 1
	end := func() {
		if open--; open == 0 {
			r.reply(a)
		}
	}
	for _, co := range cos {
		co.ask(group.Event{Request: q}, func(part kmsg.Response) {
			c.later(func() {
				p := part.(*kmsg.ListGroupsResponse)
				if p.ErrorCode == errCoordinatorLoading {
					a.ErrorCode = p.ErrorCode
				}
				a.Groups = append(a.Groups, p.Groups...)
				end()
			})
		})
	}
	end()
}

// offsetsCopies is how many copies the offsets topic asks for: as in Kafka, more
// than other topics where there are nodes.
const offsetsCopies = 3

// findCoordinator says which node coordinates groups. The offsets topic is made
// when it is first asked for.
func (c *Conn) findCoordinator(r *request, q *kmsg.FindCoordinatorRequest) {
	t := c.f.topics.get(offsetsTopic)
	if q.CoordinatorType != 0 {
		r.reply(c.coordinatorAnswer(q))
		return
	}
	c.certain(t != nil, func(unsure error) {
		if unsure != nil || c.f.topics.get(offsetsTopic) != nil {
			r.reply(c.coordinatorAnswer(q))
			return
		}
		p := &topicPlan{newTopic: newTopic{name: offsetsTopic, partitions: c.f.cfg.OffsetsPartitions,
			copies: max(offsetsCopies, c.f.cfg.DefaultCopies),
			written: map[string]string{"cleanup.policy": "compact", "trine.mode": "majority",
				"segment.bytes": "104857600"}}}
		var err error
		p.settings, err = parseSettings(p.written)
		core.Assert(err == nil, "the offsets topic's settings are known: %v", err)
		c.f.putTopic(p, func(error) { c.later(func() { r.reply(c.coordinatorAnswer(q)) }) })
	})
}

func (c *Conn) coordinatorAnswer(q *kmsg.FindCoordinatorRequest) *kmsg.FindCoordinatorResponse {
	a := answerTo[*kmsg.FindCoordinatorResponse](q)
	keys := q.CoordinatorKeys
	if q.Version < 4 {
		keys = []string{q.CoordinatorKey}
	}
	ns := c.nodes()
	for _, key := range keys {
		k := c.coordinatorOf(key, q.CoordinatorType, ns)
		if q.Version < 4 {
			a.ErrorCode, a.ErrorMessage, a.NodeID, a.Host, a.Port = k.ErrorCode, k.ErrorMessage, k.NodeID,
				k.Host, k.Port
			return a
		}
		a.Coordinators = append(a.Coordinators, k)
	}
	return a
}

func (c *Conn) coordinatorOf(key string, kind int8,
	ns []node) kmsg.FindCoordinatorResponseCoordinator {
	k := kmsg.NewFindCoordinatorResponseCoordinator()
	k.Key, k.NodeID, k.Port = key, -1, -1
	fail := func(code int16, text string) kmsg.FindCoordinatorResponseCoordinator {
		k.ErrorCode, k.ErrorMessage = code, &text
		return k
	}
	switch {
	case kind != 0:
		return fail(errInvalidRequest, "only groups are coordinated")
	case key == "":
		return fail(errInvalidGroupID, "The configured groupId is invalid.")
	}
	t := c.f.topics.get(offsetsTopic)
	if t == nil {
		return fail(errCoordinatorUnavailable, "The coordinator is not available.")
	}
	if s := t.part(groupPartition(key, len(t.parts))).stream.Load(); s != nil {
		for _, n := range ns {
			if n.id == s.Leader {
				k.NodeID, k.Host, k.Port = int32(n.id), n.host, n.port
				return k
			}
		}
	}
	return fail(errCoordinatorUnavailable, "The coordinator is not available.")
}
