package group

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kmsg"

	"trine/internal/core"
)

// The versions of the records in the offsets topic, as Kafka 4 writes them.
const (
	offsetKeyVersion   = 1
	groupKeyVersion    = 2
	offsetValueVersion = 3
	groupValueVersion  = 3
)

// Load takes in a record of the partition, in order, before the first Step. What
// it cannot read is another's, and passed over.
func (c *Coordinator) Load(r *core.Record) {
	if len(r.Key) < 2 {
		return
	}
	switch binary.BigEndian.Uint16(r.Key) {
	case 0, offsetKeyVersion:
		var k kmsg.OffsetCommitKey
		if k.ReadFrom(r.Key) == nil {
			c.loadOffset(&k, r.Value)
		}
	case groupKeyVersion:
		var k kmsg.GroupMetadataKey
		if k.ReadFrom(r.Key) == nil {
			c.loadGroup(&k, r.Value)
		}
	}
}

func (c *Coordinator) loadOffset(k *kmsg.OffsetCommitKey, value []byte) {
	g, at := c.get(k.Group), place{k.Topic, k.Partition}
	if value == nil {
		if g != nil {
			delete(g.offsets, at)
		}
		return
	}
	var v kmsg.OffsetCommitValue
	if v.ReadFrom(value) != nil {
		return
	}
	if g == nil {
		g = c.make(k.Group)
		g.since = -1
	}
	epoch := v.LeaderEpoch
	if v.Version < 3 {
		epoch = -1
	}
	g.offsets[at] = offset{at: v.Offset, epoch: epoch, metadata: v.Metadata,
		stamp: core.Stamp(v.CommitTimestamp)}
}

func (c *Coordinator) loadGroup(k *kmsg.GroupMetadataKey, value []byte) {
	g := c.get(k.Group)
	var v kmsg.GroupMetadataValue
	if value != nil && v.ReadFrom(value) != nil {
		return
	}
	if g == nil {
		if value == nil {
			return
		}
		g = c.make(k.Group)
	}
	g.members, g.static = nil, map[string]string{}
	g.state, g.protocol, g.leader, g.generation, g.protocolType = Empty, "", "", 0, ""
	if value == nil {
		return // its offsets may still be there; Loaded drops it if they are not
	}
	g.protocolType, g.generation, g.since = v.ProtocolType, v.Generation,
		core.Stamp(v.CurrentStateTimestamp)
	if v.Protocol != nil {
		g.protocol = *v.Protocol
	}
	if v.Leader != nil {
		g.leader = *v.Leader
	}
	for i := range v.Members {
		in := &v.Members[i]
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = g.protocol, in.Subscription
		m := &member{id: in.MemberID, instance: in.InstanceID, client: in.ClientID, host: in.ClientHost,
			rebalanceMs: in.RebalanceTimeoutMillis, sessionMs: in.SessionTimeoutMillis, synced: true,
			protocols: []kmsg.JoinGroupRequestProtocol{p}, assignment: in.Assignment}
		g.members = append(g.members, m)
		if m.instance != nil {
			g.static[*m.instance] = m.id
		}
	}
	if len(g.members) > 0 {
		g.state = Stable
	}
}

// Loaded ends the loading: the members that are known get a session from now on.
func (c *Coordinator) Loaded(now core.Now, out *Effects) {
	c.now, c.out = now, out
	for _, name := range c.names() {
		g := c.groups[name]
		for _, m := range g.members {
			c.heard(g, m)
		}
		c.forgetIfUnused(g)
	}
	c.timers()
	c.out = nil
}

func groupKey(name string) []byte {
	k := kmsg.GroupMetadataKey{Version: groupKeyVersion, Group: name}
	return k.AppendTo(nil)
}

// groupRecord gives the record of a group as it stands, with these assignments.
func (c *Coordinator) groupRecord(g *group, assignments map[string][]byte) core.Record {
	v := kmsg.NewGroupMetadataValue()
	v.Version, v.ProtocolType, v.Generation = groupValueVersion, g.protocolType, g.generation
	v.CurrentStateTimestamp = int64(c.now.Wall)
	if g.protocol != "" {
		v.Protocol = &g.protocol
	}
	if g.leader != "" {
		v.Leader = &g.leader
	}
	for _, m := range g.members {
		o := kmsg.NewGroupMetadataValueMember()
		o.MemberID, o.InstanceID, o.ClientID, o.ClientHost = m.id, m.instance, m.client, m.host
		o.RebalanceTimeoutMillis, o.SessionTimeoutMillis = m.rebalanceMs, m.sessionMs
		o.Subscription, o.Assignment = m.metadata(g.protocol), assignments[m.id]
		if o.Assignment == nil {
			o.Assignment = []byte{}
		}
		v.Members = append(v.Members, o)
	}
	return core.Record{Stamp: c.now.Wall, Key: groupKey(g.name), Value: v.AppendTo(nil)}
}

// offsetRecord gives the record of a committed offset; nil: it is gone.
func offsetRecord(group string, p place, o *offset, now core.Stamp) core.Record {
	k := kmsg.OffsetCommitKey{Version: offsetKeyVersion, Group: group, Topic: p.topic,
		Partition: p.partition}
	r := core.Record{Stamp: now, Key: k.AppendTo(nil)}
	if o != nil {
		v := kmsg.NewOffsetCommitValue()
		v.Version, v.Offset, v.LeaderEpoch = offsetValueVersion, o.at, o.epoch
		v.Metadata, v.CommitTimestamp = o.metadata, int64(o.stamp)
		r.Value = v.AppendTo(nil)
	}
	return r
}
