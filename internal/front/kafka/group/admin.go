package group

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (c *Coordinator) describe(e *Event, q *kmsg.DescribeGroupsRequest) {
	r := q.ResponseKind().(*kmsg.DescribeGroupsResponse)
	for _, name := range q.Groups {
		d := kmsg.NewDescribeGroupsResponseGroup()
		d.Group = name
		g := c.get(name)
		if g == nil {
			d.State = Dead.String()
			if q.Version >= 6 {
				d.ErrorCode, d.ErrorMessage = errGroupNotFound, kmsg.StringPtr("Group "+name+" not found.")
			}
			r.Groups = append(r.Groups, d)
			continue
		}
		d.State, d.ProtocolType = g.state.String(), g.protocolType
		if g.state == Stable {
			d.Protocol = g.protocol
		}
		for _, m := range g.members {
			o := kmsg.NewDescribeGroupsResponseGroupMember()
			o.MemberID, o.InstanceID, o.ClientID, o.ClientHost = m.id, m.instance, m.client, m.host
			if g.state == Stable {
				o.ProtocolMetadata, o.MemberAssignment = m.metadata(g.protocol), m.assignment
			}
			d.Members = append(d.Members, o)
		}
		r.Groups = append(r.Groups, d)
	}
	c.reply(e.ID, r)
}

func (c *Coordinator) list(e *Event, q *kmsg.ListGroupsRequest) {
	r := q.ResponseKind().(*kmsg.ListGroupsResponse)
	has := func(filter []string, v string) bool {
		return len(filter) == 0 || slices.ContainsFunc(filter,
			func(f string) bool { return strings.EqualFold(f, v) })
	}
	for _, name := range c.names() {
		g := c.groups[name]
		if !has(q.StatesFilter, g.state.String()) || !has(q.TypesFilter, "classic") {
			continue
		}
		o := kmsg.NewListGroupsResponseGroup()
		o.Group, o.ProtocolType, o.GroupState, o.GroupType = name, g.protocolType, g.state.String(),
			"classic"
		r.Groups = append(r.Groups, o)
	}
	c.reply(e.ID, r)
}

// remove deletes groups that have no members.
func (c *Coordinator) remove(e *Event, q *kmsg.DeleteGroupsRequest) {
	r := q.ResponseKind().(*kmsg.DeleteGroupsResponse)
	r.Groups = make([]kmsg.DeleteGroupsResponseGroup, len(q.Groups))
	open := 1
	end := func() {
		if open--; open == 0 {
			c.reply(e.ID, r)
		}
	}
	for i, name := range q.Groups {
		o := &r.Groups[i]
		*o = kmsg.NewDeleteGroupsResponseGroup()
		o.Group = name
		g := c.get(name)
		switch {
		case name == "":
			o.ErrorCode = errInvalidGroupID
		case g == nil:
			o.ErrorCode = errGroupNotFound
		case g.state != Empty || len(g.pending) > 0:
			o.ErrorCode = errNonEmptyGroup
		case g.writes > 0:
			o.ErrorCode = errNotAvailable
		default:
			open++
			c.forget(g, g.places(), true, func(code int16) {
				o.ErrorCode = code
				end()
			})
		}
	}
	end()
}

func (c *Coordinator) offsetDelete(e *Event, q *kmsg.OffsetDeleteRequest) {
	r := q.ResponseKind().(*kmsg.OffsetDeleteResponse)
	g := c.get(q.Group)
	if g == nil {
		r.ErrorCode = errGroupNotFound
		c.reply(e.ID, r)
		return
	}
	if g.state != Empty && g.protocolType != protocolConsumer {
		r.ErrorCode = errNonEmptyGroup
		c.reply(e.ID, r)
		return
	}
	var gone []place
	for i := range q.Topics {
		t := kmsg.NewOffsetDeleteResponseTopic()
		t.Topic = q.Topics[i].Topic
		subscribed := g.subscribed(t.Topic)
		for j := range q.Topics[i].Partitions {
			p := kmsg.NewOffsetDeleteResponseTopicPartition()
			p.Partition = q.Topics[i].Partitions[j].Partition
			if subscribed {
				p.ErrorCode = errSubscribed
			} else if at := (place{t.Topic, p.Partition}); g.offsets[at] != (offset{}) {
				gone = append(gone, at)
			}
			t.Partitions = append(t.Partitions, p)
		}
		r.Topics = append(r.Topics, t)
	}
	c.forget(g, gone, false, func(code int16) {
		r.ErrorCode = code
		c.reply(e.ID, r)
	})
}

// subscribed says whether a member of a group of consumers reads the topic.
func (g *group) subscribed(topic string) bool {
	for _, m := range g.members {
		for i := range m.protocols {
			var s kmsg.ConsumerMemberMetadata
			if s.ReadFrom(m.protocols[i].Metadata) != nil || slices.Contains(s.Topics, topic) {
				return true // what cannot be read may be anything
			}
		}
	}
	return false
}
