package kafka

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"trine/internal/core"
)

// createTopics makes each topic by itself: one may be refused while others are made.
func (c *Conn) createTopics(r *request, q *kmsg.CreateTopicsRequest) {
	a := answerTo[*kmsg.CreateTopicsResponse](q)
	a.Topics = make([]kmsg.CreateTopicsResponseTopic, len(q.Topics))
	times := map[string]int{}
	for i := range q.Topics {
		times[q.Topics[i].Topic]++
	}
	open := len(q.Topics)
	end := func(i int, p *topicPlan, err error) {
		t := &a.Topics[i]
		t.NumPartitions, t.ReplicationFactor, t.ConfigErrorCode = -1, -1, 0
		t.ErrorCode, t.ErrorMessage = adminFault(err)
		if err == nil {
			t.TopicID, t.NumPartitions, t.ReplicationFactor = p.id, int32(p.partitions), int16(p.copies)
			t.Configs = createdConfigs(c.f, &p.settings)
		}
		if open--; open == 0 {
			r.reply(a)
		}
	}
	if open == 0 {
		r.reply(a)
		return
	}
	c.certain(false, func(unsure error) {
		for i := range q.Topics {
			t := &q.Topics[i]
			a.Topics[i] = kmsg.NewCreateTopicsResponseTopic()
			a.Topics[i].Topic = t.Topic
			switch {
			case unsure != nil:
				end(i, nil, unsure)
				continue
			case times[t.Topic] > 1:
				end(i, nil, faultf(errInvalidRequest, "Duplicate topic name."))
				continue
			}
			p, err := c.f.planTopic(wanted(t))
			if err != nil || q.ValidateOnly {
				end(i, p, err)
				continue
			}
			c.f.putTopic(p, func(err error) { c.later(func() { end(i, p, err) }) })
		}
	})
}

func wanted(t *kmsg.CreateTopicsRequestTopic) newTopic {
	n := newTopic{name: t.Topic, partitions: int(t.NumPartitions), copies: int(t.ReplicationFactor)}
	for _, s := range t.Configs {
		if s.Value == nil {
			continue // the default
		}
		if n.written == nil {
			n.written = map[string]string{}
		}
		n.written[s.Name] = *s.Value
	}
	if len(t.ReplicaAssignment) > 0 {
		n.assignment = map[int32][]int32{}
		for _, p := range t.ReplicaAssignment {
			n.assignment[p.Partition] = p.Replicas
		}
	}
	return n
}

func createdConfigs(f *Front, s *settings) []kmsg.CreateTopicsResponseTopicConfig {
	var out []kmsg.CreateTopicsResponseTopicConfig
	for i := range settingTable {
		d := &settingTable[i]
		v := kmsg.NewCreateTopicsResponseTopicConfig()
		value, source := f.shown(d, s)
		v.Name, v.Value, v.Source = d.name, &value, int8(source)
		out = append(out, v)
	}
	return out
}

// deleteTopics removes each topic whole, by name or by id.
func (c *Conn) deleteTopics(r *request, q *kmsg.DeleteTopicsRequest) {
	asked := q.Topics
	for _, name := range q.TopicNames {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		asked = append(asked, t)
	}
	a := answerTo[*kmsg.DeleteTopicsResponse](q)
	a.Topics = make([]kmsg.DeleteTopicsResponseTopic, len(asked))
	open := len(asked)
	if open == 0 {
		r.reply(a)
		return
	}
	end := func(i int, err error) {
		a.Topics[i].ErrorCode, a.Topics[i].ErrorMessage = adminFault(err)
		if open--; open == 0 {
			r.reply(a)
		}
	}
	c.certain(false, func(unsure error) {
		for i := range asked {
			t := &a.Topics[i]
			*t = kmsg.NewDeleteTopicsResponseTopic()
			t.Topic, t.TopicID = asked[i].Topic, asked[i].TopicID
			found := c.f.topics.asked(&kmsg.MetadataRequestTopic{Topic: t.Topic, TopicID: t.TopicID})
			switch {
			case unsure != nil:
				end(i, unsure)
				continue
			case found == nil && t.Topic == nil:
				end(i, faultf(errUnknownTopicID, "This server does not host this topic ID."))
				continue
			case found == nil:
				end(i, faultf(errUnknownTopic, "This server does not host this topic-partition."))
				continue
			case found.internal():
				end(i, faultf(errInvalidTopic, "the topic is the broker's own"))
				continue
			}
			t.Topic, t.TopicID = &found.name, found.id
			c.f.removeTopic(found, func(err error) { c.later(func() { end(i, err) }) })
		}
	})
}

// removeTopic removes a topic. done is called by the node's loop.
func (f *Front) removeTopic(t *topic, done func(error)) {
	cs := []core.Change{{Key: topicKey(t.name), Expect: t.revision}}
	for _, p := range t.parts {
		if s := p.stream.Load(); s != nil {
			cs = append(cs, core.Change{Stream: s.Name, IfID: s.ID})
		}
	}
	f.core.Cluster().Put(cs, func(_ core.Revision, err error) { done(err) })
}

// createPartitions adds partitions to topics.
func (c *Conn) createPartitions(r *request, q *kmsg.CreatePartitionsRequest) {
	a := answerTo[*kmsg.CreatePartitionsResponse](q)
	a.Topics = make([]kmsg.CreatePartitionsResponseTopic, len(q.Topics))
	open := len(q.Topics)
	if open == 0 {
		r.reply(a)
		return
	}
	end := func(i int, err error) {
		a.Topics[i].ErrorCode, a.Topics[i].ErrorMessage = adminFault(err)
		if open--; open == 0 {
			r.reply(a)
		}
	}
	c.certain(false, func(unsure error) {
		for i := range q.Topics {
			t := &q.Topics[i]
			a.Topics[i] = kmsg.NewCreatePartitionsResponseTopic()
			a.Topics[i].Topic = t.Topic
			if unsure != nil {
				end(i, unsure)
				continue
			}
			cs, err := c.f.planPartitions(t)
			if err != nil || q.ValidateOnly {
				end(i, err)
				continue
			}
			c.f.core.Cluster().Put(cs, func(_ core.Revision, err error) { c.later(func() { end(i, err) }) })
		}
	})
}

func (f *Front) planPartitions(q *kmsg.CreatePartitionsRequestTopic) ([]core.Change, error) {
	t := f.topics.get(q.Topic)
	if t == nil {
		return nil, faultf(errUnknownTopic, "The topic '%s' does not exist.", q.Topic)
	}
	has, count := len(t.parts), int(q.Count)
	switch {
	case t.internal():
		return nil, faultf(errInvalidTopic, "the topic is the broker's own")
	case count == has:
		return nil, faultf(errInvalidPartitions, "Topic already has %d partition(s).", has)
	case count < has:
		return nil, faultf(errInvalidPartitions,
			"The topic %s currently has %d partition(s); %d would not be an increase.",
			q.Topic, has, count)
	case count > partitionsMax:
		return nil, faultf(errInvalidPartitions, "a topic has at most %d partitions", partitionsMax)
	case q.Assignment != nil && len(q.Assignment) != count-has:
		return nil, faultf(errInvalidAssignment,
			"Attempted to add %d additional partition(s), but only %d assignment(s) were specified.",
			count-has, len(q.Assignment))
	}
	copies := f.cfg.DefaultCopies
	for _, p := range t.parts {
		if s := p.stream.Load(); s != nil {
			copies = s.Policy.Copies
			break
		}
	}
	cs := []core.Change{{Key: topicKey(t.name), Value: encodeTopic(t.id, count, t.settings.written),
		Expect: t.revision}}
	for i := has; i < count; i++ {
		var at []int32
		if q.Assignment != nil {
			at = q.Assignment[i-has].Replicas
			if err := f.checkNodes(at, copies); err != nil {
				return nil, err
			}
		}
		cs = append(cs, core.Change{Define: f.define(t.name, int32(i), &t.settings, copies, at)})
	}
	return cs, nil
}

// deleteRecords moves the first offsets of partitions on.
func (c *Conn) deleteRecords(r *request, q *kmsg.DeleteRecordsRequest) {
	a := answerTo[*kmsg.DeleteRecordsResponse](q)
	open := 1
	end := func() {
		if open--; open == 0 {
			r.reply(a)
		}
	}
	for i := range q.Topics {
		t := kmsg.NewDeleteRecordsResponseTopic()
		t.Topic = q.Topics[i].Topic
		for _, asked := range q.Topics[i].Partitions {
			p := kmsg.NewDeleteRecordsResponseTopicPartition()
			p.Partition, p.LowWatermark = asked.Partition, -1
			t.Partitions = append(t.Partitions, p)
		}
		a.Topics = append(a.Topics, t)
	}
	sure := !slices.ContainsFunc(q.Topics, func(t kmsg.DeleteRecordsRequestTopic) bool {
		known := c.f.topics.get(t.Topic)
		return slices.ContainsFunc(t.Partitions, func(p kmsg.DeleteRecordsRequestTopicPartition) bool {
			return known.part(p.Partition) == nil
		})
	})
	c.certain(sure, func(unsure error) {
		for i := range q.Topics {
			known := c.f.topics.get(q.Topics[i].Topic)
			for j, asked := range q.Topics[i].Partitions {
				p := &a.Topics[i].Partitions[j]
				s, code := c.streamOf(known, asked.Partition, unsure)
				if code == errNone && asked.Offset < -1 {
					code = errOffsetOutOfRange
				}
				if p.ErrorCode = code; code != errNone {
					continue
				}
				open++
				c.f.core.Log().Trim(core.Trim{Stream: s.ID, Before: core.Offset(asked.Offset), Here: true},
					func(start core.Offset, err error) {
						c.later(func() {
							if p.ErrorCode = dataCode(err, 0); err == nil {
								p.LowWatermark = int64(start)
							}
							end()
						})
					})
			}
		}
		end()
	})
}

// streamOf gives a partition's stream, or the code that says why there is none.
func (c *Conn) streamOf(t *topic, index int32, unsure error) (*core.Stream, int16) {
	p := t.part(index)
	switch {
	case p == nil && unsure != nil:
		return nil, errLeaderNotAvailable
	case p == nil:
		return nil, errUnknownTopic
	}
	if s := p.stream.Load(); s != nil {
		return s, errNone
	}
	return nil, errLeaderNotAvailable
}
