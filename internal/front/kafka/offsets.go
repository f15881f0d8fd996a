package kafka

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"trine/internal/core"
)

// The times that ListOffsets takes for places.
const (
	timeLatest        = -1
	timeEarliest      = -2
	timeMax           = -3
	timeEarliestLocal = -4
	timeLatestTiered  = -5
)

func (c *Conn) listOffsets(r *request, q *kmsg.ListOffsetsRequest) {
	a := answerTo[*kmsg.ListOffsetsResponse](q)
	sure := true
	for i := range q.Topics {
		t := kmsg.NewListOffsetsResponseTopic()
		t.Topic = q.Topics[i].Topic
		known := c.f.topics.get(t.Topic)
		for j := range q.Topics[i].Partitions {
			p := kmsg.NewListOffsetsResponseTopicPartition()
			p.Partition, p.Offset, p.Timestamp, p.LeaderEpoch = q.Topics[i].Partitions[j].Partition, -1,
				-1, -1
			t.Partitions = append(t.Partitions, p)
			sure = sure && known.part(p.Partition) != nil
		}
		a.Topics = append(a.Topics, t)
	}
	open := 1
	end := func() {
		if open--; open == 0 {
			r.reply(a)
		}
	}
	c.certain(sure, func(unsure error) {
		for i := range q.Topics {
			known := c.f.topics.get(q.Topics[i].Topic)
			for j := range q.Topics[i].Partitions {
				asked, p := &q.Topics[i].Partitions[j], &a.Topics[i].Partitions[j]
				s, code := c.streamOf(known, asked.Partition, unsure)
				if p.ErrorCode = code; code != errNone || asked.Timestamp == timeLatestTiered {
					continue
				}
				find, ok := findAt(asked.Timestamp, q.IsolationLevel == 1)
				if !ok {
					p.ErrorCode = errInvalidRequest
					continue
				}
				find.Stream, find.Here, find.IfEpoch = s.ID, true, core.Epoch(max(asked.CurrentLeaderEpoch, 0))
				open++
				c.f.core.Log().Find(find, func(found core.Found, err error) {
					c.later(func() {
						listed(p, find.Kind, found, err, find.IfEpoch)
						end()
					})
				})
			}
		}
		end()
	})
}

// findAt gives what to look for.
func findAt(time int64, stable bool) (core.Find, bool) {
	switch {
	case time >= 0:
		return core.Find{Kind: core.FindStamp, Stamp: core.Stamp(time)}, true
	case time == timeLatest && stable:
		return core.Find{Kind: core.FindStable}, true
	case time == timeLatest:
		return core.Find{Kind: core.FindEnd}, true
	case time == timeEarliest, time == timeEarliestLocal:
		return core.Find{Kind: core.FindStart}, true
	case time == timeMax:
		return core.Find{Kind: core.FindLastest}, true
	}
	return core.Find{}, false
}

func listed(p *kmsg.ListOffsetsResponseTopicPartition, k core.FindKind, f core.Found, err error,
	asked core.Epoch) {
	if p.ErrorCode = dataCode(err, asked); err != nil || f.Offset < 0 {
		return
	}
	p.Offset, p.LeaderEpoch = int64(f.Offset), int32(f.Epoch)
	if f.Epoch == 0 {
		p.LeaderEpoch = -1
	}
	if k == core.FindStamp || k == core.FindLastest {
		p.Timestamp = int64(f.Stamp)
	}
}

func (c *Conn) offsetForLeaderEpoch(r *request, q *kmsg.OffsetForLeaderEpochRequest) {
	a := answerTo[*kmsg.OffsetForLeaderEpochResponse](q)
	sure := true
	for i := range q.Topics {
		t := kmsg.NewOffsetForLeaderEpochResponseTopic()
		t.Topic = q.Topics[i].Topic
		known := c.f.topics.get(t.Topic)
		for j := range q.Topics[i].Partitions {
			p := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			p.Partition, p.LeaderEpoch, p.EndOffset = q.Topics[i].Partitions[j].Partition, -1, -1
			t.Partitions = append(t.Partitions, p)
			sure = sure && known.part(p.Partition) != nil
		}
		a.Topics = append(a.Topics, t)
	}
	open := 1
	end := func() {
		if open--; open == 0 {
			r.reply(a)
		}
	}
	c.certain(sure, func(unsure error) {
		for i := range q.Topics {
			known := c.f.topics.get(q.Topics[i].Topic)
			for j := range q.Topics[i].Partitions {
				asked, p := &q.Topics[i].Partitions[j], &a.Topics[i].Partitions[j]
				s, code := c.streamOf(known, asked.Partition, unsure)
				if p.ErrorCode = code; code != errNone {
					continue
				}
				open++
				c.f.core.Log().Find(core.Find{Stream: s.ID, Kind: core.FindEpochEnd, Here: true,
					Epoch: core.Epoch(asked.LeaderEpoch), IfEpoch: core.Epoch(max(asked.CurrentLeaderEpoch, 0))},
					func(found core.Found, err error) {
						c.later(func() {
							p.ErrorCode = dataCode(err, core.Epoch(max(asked.CurrentLeaderEpoch, 0)))
							if err == nil && found.Offset >= 0 {
								p.LeaderEpoch, p.EndOffset = int32(found.Epoch), int64(found.Offset)
							}
							end()
						})
					})
			}
		}
		end()
	})
}

// known says whether all named topics are known here.
func (ts *topics) known(names []string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return ts.get(n) == nil })
}
