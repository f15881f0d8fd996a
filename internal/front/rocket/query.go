package rocket

import (
	"bytes"

	"trine/internal/core"
	"trine/internal/core/record"
	"trine/internal/front/rocket/topology"
	"trine/internal/front/rocket/wire"
)

// viewMessage takes code 33: one message by its physical offset.
func (c *Conn) viewMessage(core.Now) {
	number, offset := wire.PhysicalParts(c.cmd.Int("offset", -1))
	q := c.f.view.Queue(number)
	if q == nil || q.Stream.Load() == nil {
		if !c.afterSync() {
			c.fail(wire.SystemError, "can not find message by the offset, "+c.cmd.Str("offset"))
		}
		return
	}
	a := c.ask()
	c.f.fetch(q.Stream.Load().ID, core.Offset(offset), func(m *content, stamp core.Stamp, err error) {
		c.locked(func(core.Now) {
			if err != nil {
				c.failTo(a, wire.SystemError, "can not find message by the offset: "+err.Error())
				return
			}
			s := m.stored(q, core.Offset(offset), stamp, c.local)
			c.answerTo(a, wire.Success, "")
			c.endBody(wire.AppendMessage(nil, &s))
		})
	})
}

// query is a search for messages by key: no index is kept, the queues' records of
// the asked time are read through.
type query struct {
	ask
	c      *Conn
	topic  string
	key    []byte
	unique bool
	left   int // messages that may still be found
	begin  core.Stamp
	end    core.Stamp
	queues []*topology.Queue
	out    []byte
	last   core.Stamp
	bytes  int // that may still be read
}

const (
	queryMessagesMax = 64
	queryBytesMax    = 256 << 20
	queryReadBytes   = 1 << 20
)

// queryMessage takes code 12.
func (c *Conn) queryMessage(core.Now) {
	t := c.f.view.Topic(c.cmd.Get("topic"))
	if t == nil {
		if !c.afterSync() {
			c.fail(wire.QueryNotFound, "topic "+c.cmd.Str("topic")+" does not exist")
		}
		return
	}
	q := &query{ask: c.ask(), c: c, topic: t.Name, key: bytes.Clone(c.cmd.Get("key")),
		unique: c.cmd.Bool("_UNIQUE_KEY_QUERY"),
		left:   int(min(max(c.cmd.Int("maxNum", 32), 1), queryMessagesMax)),
		begin:  core.Stamp(c.cmd.Int("beginTimestamp", 0)),
		end:    core.Stamp(c.cmd.Int("endTimestamp", 1<<62)), bytes: queryBytesMax}
	for _, p := range t.Parts {
		if name := c.cmd.Get("bname"); len(name) == 0 && p.Group == c.group || string(name) == p.Group ||
			len(t.Parts) == 1 {
			q.queues = append(q.queues, p.Queues...)
		}
	}
	q.next()
}

// next goes on with the next queue, or answers.
func (q *query) next() {
	for len(q.queues) > 0 && q.left > 0 {
		mq := q.queues[0]
		q.queues = q.queues[1:]
		st := mq.Stream.Load()
		if st == nil {
			continue
		}
		q.c.f.core.Log().Find(core.Find{Stream: st.ID, Kind: core.FindStamp, Stamp: q.begin},
			func(found core.Found, err error) {
				if err != nil || found.Offset < 0 {
					q.next()
					return
				}
				q.read(mq, st.ID, found.Offset)
			})
		return
	}
	q.c.f.after(0, func(core.Now) { q.c.locked(func(core.Now) { q.answer() }) })
}

func (q *query) answer() {
	if len(q.out) == 0 {
		q.c.failTo(q.ask, wire.QueryNotFound, "can not find message, maybe time range not correct")
		return
	}
	w := q.c.answerTo(q.ask, wire.Success, "")
	w.Int("indexLastUpdateTimestamp", int64(q.last))
	w.Int("indexLastUpdatePhyoffset", 0)
	q.c.endBody(q.out)
}

func (q *query) read(mq *topology.Queue, id core.StreamID, from core.Offset) {
	r := core.Read{Parts: []core.ReadPart{{Stream: id, From: from, BytesMax: queryReadBytes}},
		BytesMax: queryReadBytes, Stable: true}
	q.c.f.core.Log().Read(r, func(as []core.ReadAnswer) {
		next, past := from, false
		for _, b := range as[0].Batches {
			q.bytes -= len(b)
			h, err := record.Parse(b)
			if err != nil || h.Control() {
				continue
			}
			_ = record.Each(b, record.UnpackedMax, func(at core.Offset, r *core.Record) bool {
				past = r.Stamp > q.end
				if at >= from && !past {
					q.look(mq, at, r)
				}
				return !past && q.left > 0
			})
			next = h.Next()
		}
		if as[0].Err != nil || next == from || past || q.left == 0 || q.bytes <= 0 {
			q.next()
			return
		}
		q.read(mq, id, next)
	})
}

// look takes a message that has the key.
func (q *query) look(mq *topology.Queue, at core.Offset, r *core.Record) {
	var m content
	m.read(r, nil)
	has := q.unique && bytes.Equal(m.prop(wire.PropUniqueKey), q.key)
	if !has && !q.unique {
		for _, k := range bytes.Fields(m.prop(wire.PropKeys)) {
			has = has || bytes.Equal(k, q.key)
		}
	}
	if !has {
		return
	}
	s := m.stored(mq, at, r.Stamp, q.c.local)
	q.out = wire.AppendMessage(q.out, &s)
	q.left--
	q.last = max(q.last, r.Stamp)
}

// replyHoldMax is how long a reply waits for its client to announce itself: a
// producer may ask before its first heartbeat.
const replyHoldMax = 2 * core.Second

// sendReply takes codes 324 and 325: an answer to a request of another client, who
// is named by a property and gets it at once.
func (c *Conn) sendReply(now core.Now) {
	h, ok := sendHeaderOf(&c.cmd)
	if !ok {
		c.fail(wire.SystemError, "the header has no topic or queueId")
		return
	}
	client := string(wire.Prop(h.props, wire.PropReplyClient))
	f := c.f
	f.mu.RLock()
	to := f.members.byID[client]
	f.mu.RUnlock()
	if to == nil && (c.heldUntil == 0 || now.Mono < c.heldUntil) {
		c.hold(now, replyHoldMax)
		return
	}
	if to == nil {
		c.fail(wire.SystemError, "push reply message fail, channel of <"+client+"> not found.")
		return
	}
	topic, body := string(h.topic), bytes.Clone(c.cmd.Body)
	props, group := bytes.Clone(h.props), string(h.producerGroup)
	push := func(core.Now) {
		to.request(wire.PushReply, func(w *wire.Writer) {
			w.Str("producerGroup", group)
			w.Str("defaultTopic", topology.TemplateTopic)
			w.Int("defaultTopicQueueNums", h.defaultQueues)
			w.Int("queueId", h.queue)
			w.Int("reconsumeTimes", h.reconsumed)
			w.Bool("unitMode", h.unit)
			w.Str("bornHost", c.w.Info().Remote.String())
			w.Str("storeHost", c.w.Info().Local.String())
			w.Int("bornTimestamp", h.bornMs)
			w.Int("storeTimestamp", int64(now.Wall))
			w.Str("topic", topic)
			w.Int("flag", h.flag)
			w.Int("sysFlag", h.sysFlag)
			w.Bytes("properties", props)
		}, body, nil)
	}
	w := c.answer(wire.Success, "")
	w.Str("msgId", "") // nothing is stored
	w.Int("queueId", h.queue)
	w.Int("queueOffset", 0)
	w.Str("MSG_REGION", f.o.Region)
	w.Str("TRACE_ON", "false")
	c.end()
	if to == c {
		push(now)
		return
	}
	f.after(0, func(core.Now) { to.locked(push) }) // not under this connection's lock
}
