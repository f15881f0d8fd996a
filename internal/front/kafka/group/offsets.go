package group

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"trine/internal/core"
)

// place is a partition of a topic.
type place struct {
	topic     string
	partition int32
}

// offset is what a group committed for a place.
type offset struct {
	at       int64
	epoch    int32
	metadata string
	stamp    core.Stamp
	order    uint64 // of the write: an earlier one that is told later does not count
}

// places gives the places of the committed offsets in order.
func (g *group) places() []place {
	out := make([]place, 0, len(g.offsets))
	for p := range g.offsets {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	return out
}

func (c *Coordinator) commit(e *Event, q *kmsg.OffsetCommitRequest) {
	r := q.ResponseKind().(*kmsg.OffsetCommitResponse)
	g, code := c.committer(q)
	var rs []core.Record
	var taken []place
	var values []offset
	for i := range q.Topics {
		t := kmsg.NewOffsetCommitResponseTopic()
		t.Topic, t.TopicID = q.Topics[i].Topic, q.Topics[i].TopicID
		for j := range q.Topics[i].Partitions {
			in := &q.Topics[i].Partitions[j]
			p := kmsg.NewOffsetCommitResponseTopicPartition()
			p.Partition, p.ErrorCode = in.Partition, code
			o := offset{at: in.Offset, epoch: in.LeaderEpoch, stamp: c.now.Wall}
			if in.Metadata != nil {
				o.metadata = *in.Metadata
			}
			switch {
			case code != errNone:
			case len(o.metadata) > c.cfg.MetadataMax:
				p.ErrorCode = errMetadataTooLarge
			default:
				at := place{t.Topic, in.Partition}
				rs = append(rs, offsetRecord(g.name, at, &o, c.now.Wall))
				taken, values = append(taken, at), append(values, o)
			}
			t.Partitions = append(t.Partitions, p)
		}
		r.Topics = append(r.Topics, t)
	}
	if len(rs) == 0 {
		if g != nil {
			c.forgetIfUnused(g)
		}
		c.reply(e.ID, r)
		return
	}
	order := c.writes + 1
	c.write(g, rs, func(code int16) {
		for i, p := range taken {
			if code == errNone && g.state != Dead && g.offsets[p].order < order {
				values[i].order = order
				g.offsets[p] = values[i]
			}
		}
		if code != errNone {
			for i := range r.Topics {
				for j := range r.Topics[i].Partitions {
					if p := &r.Topics[i].Partitions[j]; p.ErrorCode == errNone {
						p.ErrorCode = code
					}
				}
			}
			c.forgetIfUnused(g)
		}
		c.reply(e.ID, r)
	})
}

// committer gives the group that a commit belongs to, or why it may not commit.
// A commit without a generation comes from someone who assigns partitions himself.
func (c *Coordinator) committer(q *kmsg.OffsetCommitRequest) (*group, int16) {
	g := c.get(q.Group)
	alone := q.Generation < 0 && q.MemberID == "" && q.InstanceID == nil
	switch {
	case g == nil && q.Generation < 0:
		return c.make(q.Group), errNone
	case g == nil:
		return nil, errIllegalGeneration
	case alone && g.state == Empty:
		return g, errNone
	}
	m, code := g.validate(q.MemberID, q.InstanceID)
	switch {
	case code != errNone:
		return nil, code
	case q.Generation != g.generation:
		return nil, errIllegalGeneration
	case g.state == CompletingRebalance:
		return nil, errRebalanceInProgress
	}
	c.heard(g, m)
	return g, errNone
}

func (c *Coordinator) fetch(e *Event, q *kmsg.OffsetFetchRequest) {
	r := q.ResponseKind().(*kmsg.OffsetFetchResponse)
	if q.Version < 8 {
		var all []kmsg.OffsetFetchRequestGroupTopic
		for i := range q.Topics {
			all = append(all, kmsg.OffsetFetchRequestGroupTopic{Topic: q.Topics[i].Topic,
				Partitions: q.Topics[i].Partitions})
		}
		if q.Topics != nil && all == nil {
			all = []kmsg.OffsetFetchRequestGroupTopic{}
		}
		for _, t := range c.committed(q.Group, all) {
			o := kmsg.NewOffsetFetchResponseTopic()
			o.Topic = t.Topic
			for _, p := range t.Partitions {
				o.Partitions = append(o.Partitions,
					kmsg.OffsetFetchResponseTopicPartition{Partition: p.Partition,
						Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: p.Metadata, ErrorCode: p.ErrorCode})
			}
			r.Topics = append(r.Topics, o)
		}
		c.reply(e.ID, r)
		return
	}
	for i := range q.Groups {
		g := kmsg.NewOffsetFetchResponseGroup()
		g.Group = q.Groups[i].Group
		g.Topics = c.committed(g.Group, q.Groups[i].Topics)
		r.Groups = append(r.Groups, g)
	}
	c.reply(e.ID, r)
}

// committed gives a group's offsets for the places asked for, nil for all.
func (c *Coordinator) committed(name string,
	asked []kmsg.OffsetFetchRequestGroupTopic) []kmsg.OffsetFetchResponseGroupTopic {
	g := c.get(name)
	if asked == nil {
		if g == nil {
			return nil
		}
		for _, p := range g.places() {
			if n := len(asked); n == 0 || asked[n-1].Topic != p.topic {
				asked = append(asked, kmsg.OffsetFetchRequestGroupTopic{Topic: p.topic})
			}
			t := &asked[len(asked)-1]
			t.Partitions = append(t.Partitions, p.partition)
		}
	}
	var out []kmsg.OffsetFetchResponseGroupTopic
	for i := range asked {
		t := kmsg.NewOffsetFetchResponseGroupTopic()
		t.Topic, t.TopicID = asked[i].Topic, asked[i].TopicID
		for _, n := range asked[i].Partitions {
			p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
			p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = n, -1, -1, kmsg.StringPtr("")
			if g != nil {
				if o, ok := g.offsets[place{t.Topic, n}]; ok {
					p.Offset, p.LeaderEpoch, p.Metadata = o.at, o.epoch, kmsg.StringPtr(o.metadata)
				}
			}
			t.Partitions = append(t.Partitions, p)
		}
		out = append(out, t)
	}
	return out
}

// forget writes that offsets are gone, and the group with them if all is false
// and nothing is left of it.
func (c *Coordinator) forget(g *group, gone []place, group bool, then func(code int16)) {
	var rs []core.Record
	for _, p := range gone {
		rs = append(rs, offsetRecord(g.name, p, nil, c.now.Wall))
	}
	if group {
		rs = append(rs, core.Record{Stamp: c.now.Wall, Key: groupKey(g.name)})
	}
	if len(rs) == 0 {
		then(errNone)
		return
	}
	c.write(g, rs, func(code int16) {
		if code == errNone && g.state != Dead {
			for _, p := range gone {
				delete(g.offsets, p)
			}
			if group && g.state == Empty && g.writes == 0 && len(g.members) == 0 && len(g.pending) == 0 {
				c.drop(g)
			}
		}
		then(code)
	})
}

// expireOffsets forgets what groups without members committed long ago.
func (c *Coordinator) expireOffsets() {
	before := c.now.Wall - core.Stamp(c.cfg.RetentionMs)
	for _, name := range c.names() {
		g := c.groups[name]
		if g.state != Empty || len(g.pending) > 0 || g.writes > 0 {
			continue
		}
		since := core.Stamp(-1) // of one who assigns partitions himself only the commit counts
		if g.protocolType != "" {
			since = g.since
		}
		var gone []place
		for _, p := range g.places() {
			if max(g.offsets[p].stamp, since) < before {
				gone = append(gone, p)
			}
		}
		empty := len(gone) == len(g.offsets)
		if len(gone) > 0 || empty && g.since < before {
			c.forget(g, gone, empty, func(int16) {})
		}
	}
}

// topicGone forgets what was committed for a topic.
func (c *Coordinator) topicGone(topic string) {
	for _, name := range c.names() {
		g := c.groups[name]
		var gone []place
		for _, p := range g.places() {
			if p.topic == topic {
				gone = append(gone, p)
			}
		}
		if len(gone) > 0 {
			c.forget(g, gone, false, func(int16) {})
		}
	}
}
