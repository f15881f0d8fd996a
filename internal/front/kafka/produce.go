package kafka

import (
	"sync"

	"trine/internal/core"
	"trine/internal/core/record"
)

// coders are what batches are looked into with. One holds the state of codecs,
// too much for every connection to have its own.
var coders = sync.Pool{New: func() any { return new(record.Coder) }}

// produce begins a Produce request: every partition's batch is judged here, at
// the door, and handed to the core in one call.
func produce(c *Conn, r *request) error {
	p := &producing{}
	if err := readProduce(r, p); err != nil {
		return err
	}
	r.body = nil
	if p.resolve() {
		p.begin(nil)
		return nil
	}
	c.held = true
	c.certain(false, func(err error) {
		c.held = false
		p.resolve()
		p.begin(err)
	})
	return nil
}

// resolve finds the partitions; false where one is not known here.
func (p *producing) resolve() bool {
	ts, sure := p.r.c.f.topics, true
	for i := range p.topics {
		t := &p.topics[i]
		var found *topic
		if p.r.version >= 13 {
			found = ts.getID(t.id)
		} else {
			found = ts.get(t.name)
		}
		for j := t.from; j < t.to; j++ {
			part := &p.parts[j]
			part.topic, part.p = found, found.part(part.index)
			sure = sure && part.p != nil
		}
	}
	return sure
}

// begin judges the batches and appends those that pass. unsure prevented that the
// catalog was asked.
func (p *producing) begin(unsure error) {
	c := p.r.c
	now := c.w.Now().Wall
	ack := core.AckCommit
	switch p.acks {
	case 0:
		ack = core.AckNone
	case 1:
		ack = core.AckLeader
	}
	coder := coders.Get().(*record.Coder)
	appends := p.oneAppend[:0]
	if len(p.parts) > 1 {
		appends = make([]core.Append, 0, len(p.parts))
	}
	for i := range p.parts {
		part := &p.parts[i]
		part.code, part.why = p.judge(part, coder, now, unsure)
		if part.code != errNone {
			continue
		}
		a := core.Append{Stream: part.stream.ID, Ack: ack, Batch: part.batch, Here: true,
			WaitMax: core.Time(max(p.timeoutMs, 0)) * core.Millisecond, To: p, Token: uint64(i)}
		appends = append(appends, a)
	}
	coders.Put(coder)
	p.open = len(appends)
	if p.acks == 0 {
		p.r.silent = true
		for i := range p.parts {
			if code := p.parts[i].code; code != errNone { // all that can be said without an answer
				c.f.log.Debug("batch refused", "topic", p.topicName(&p.parts[i]), "code", code)
				c.w.End(nil)
				return
			}
		}
		for i := range appends {
			appends[i].To = nil
		}
		p.open = 0
	}
	if len(appends) > 0 {
		c.f.core.Log().Append(appends)
	}
	if p.open == 0 {
		p.r.reply(p)
		return
	}
	c.advance() // the next may begin
}

func (p *producing) topicName(part *produced) string {
	if part.topic != nil {
		return part.topic.name
	}
	return ""
}

// judge gives the code with which a part's batch is refused, and why.
func (p *producing) judge(part *produced, coder *record.Coder, now core.Stamp,
	unsure error) (int16, string) {
	switch {
	case p.acks < -1 || p.acks > 1:
		return errInvalidRequiredAcks, ""
	case part.p == nil && unsure != nil:
		return errLeaderNotAvailable, ""
	case part.p == nil && part.topic == nil && p.r.version >= 13:
		return errUnknownTopicID, ""
	case part.p == nil:
		return errUnknownTopic, ""
	case part.topic.internal():
		return errInvalidTopic, "the topic is the broker's own"
	}
	if part.stream = part.p.stream.Load(); part.stream == nil {
		return errLeaderNotAvailable, ""
	}
	return p.judgeBatch(part, coder, now)
}

// judgeBatch checks a batch and does to it what the topic's settings ask.
func (p *producing) judgeBatch(
	part *produced, coder *record.Coder, now core.Stamp,
) (int16, string) {
	s := &part.topic.settings
	b := part.batch
	if len(b) == 0 {
		return errInvalidRecord, "a partition needs one batch, got none"
	}
	h, err := record.Check(b)
	switch {
	case err != nil:
		return batchCode(err), err.Error()
	case len(b) > s.recordsMax:
		return errMessageTooLarge, ""
	case h.Control():
		return errInvalidRecord, "clients are not allowed to write control records"
	case h.Count == 0 || h.Span() != h.Count:
		return errInvalidRecord, "the count of records does not match the last offset delta"
	case h.Producer < -1, h.Producer >= 0 && (h.ProducerEpoch < 0 || h.Sequence < 0):
		return errInvalidRecord, "the producer's id, epoch or sequence is invalid"
	case h.Transactional() || p.txn != nil:
		return errInvalidTxnState, "transactions are not served"
	case h.Codec() == record.Zstd && p.r.version < 7:
		return errUnsupportedCompression, "zstd needs version 7 of Produce"
	}
	var noKey bool
	if s.compact {
		err = coder.Each(b, record.UnpackedMax, func(_ core.Offset, r *core.Record) bool {
			noKey = r.Key == nil
			return !noKey
		})
	}
	greatest := h.Max
	if err == nil {
		greatest, err = coder.CheckStamps(b, record.UnpackedMax)
	}
	switch {
	case err != nil:
		return batchCode(err), err.Error()
	case noKey:
		return errInvalidRecord, "compacted topic cannot accept message without key in topic partition " +
			streamName(part.topic.name, part.index)[len(streamPrefix):]
	case h.AppendTime():
		return errInvalidTimestamp, "producers do not set the time of appending"
	case !s.appendTime && (greatest > after(now, s.afterMsMax) ||
		h.First < after(now, -s.beforeMsMax)):
		return errInvalidTimestamp, "the timestamp is outside the bounds of the topic"
	}
	if greatest != h.Max {
		record.SetMax(b, greatest)
	}
	part.base, part.stamp = -1, -1
	if !s.producers && h.Codec() != s.codec {
		if part.batch, err = coder.Recompress(b, s.codec, record.UnpackedMax); err != nil {
			return batchCode(err), err.Error()
		}
	}
	if s.appendTime {
		record.SetStamp(part.batch, now)
		part.stamp = now
	}
	return errNone, ""
}

// after gives a stamp ms later, or earlier, without overflow.
func after(s core.Stamp, ms int64) core.Stamp {
	sum := s + core.Stamp(ms)
	switch {
	case ms > 0 && sum < s:
		return 1<<63 - 1
	case ms < 0 && sum > s:
		return -1 << 63
	}
	return sum
}

// Appended is told an outcome, by the node's loop.
func (p *producing) Appended(token uint64, a core.Appended, err error) {
	p.r.c.later(func() {
		part := &p.parts[token]
		s := part.p.stream.Load()
		if err == nil {
			part.base, part.start = a.Base, a.Start
		} else {
			fewer := s != nil && s.InSyncCount() < s.Policy.MinInSync
			part.code = produceCode(err, fewer)
			part.stamp = -1
			if part.code == errNotLeader {
				part.leader, part.epoch = p.r.c.f.leaderOf(err, s)
			}
		}
		part.batch = nil
		if p.open--; p.open == 0 {
			p.r.reply(p)
		}
	})
}

// leaderOf gives who leads, from an error or from what is known of the stream. It is
// not this node, which has just said so.
func (f *Front) leaderOf(err error, s *core.Stream) (core.NodeID, core.Epoch) {
	if e, ok := err.(*core.Error); ok && e.Kind == core.NotLeader && e.Leader != 0 && e.Epoch != 0 {
		return e.Leader, e.Epoch
	}
	if s == nil || s.Leader == f.core.Self().Node {
		return 0, 0
	}
	return s.Leader, s.Epoch
}
