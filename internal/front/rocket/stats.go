package rocket

import (
	"strconv"
	"strings"
	"sync/atomic"

	"trine/internal/core"
	"trine/internal/front/rocket/topology"
	"trine/internal/front/rocket/wire"
)

// meter counts messages and keeps ten minutes of samples, one every ten seconds.
type meter struct {
	count atomic.Int64
	past  []int64 // guarded by Front.timeMu; the newest last
	next  core.Time
}

const (
	meterEvery = 10 * core.Second
	meterKeeps = 61
)

// sample is called by Tick. Front.timeMu held.
func (m *meter) sample(now core.Now) {
	if now.Mono < m.next {
		return
	}
	m.next = now.Mono + meterEvery
	m.past = append(m.past, m.count.Load())
	if len(m.past) > meterKeeps {
		m.past = m.past[1:]
	}
}

// tps gives the rates of the last 10 s, minute and ten minutes, as brokers write
// them.
func (m *meter) tps() string {
	var out []string
	for _, n := range []int{1, 6, 60} {
		n = min(n, len(m.past)-1)
		rate := 0.0
		if n > 0 {
			rate = float64(m.past[len(m.past)-1]-m.past[len(m.past)-1-n]) / float64(10*n)
		}
		out = append(out, strconv.FormatFloat(rate, 'f', 2, 64))
	}
	return strings.Join(out, " ")
}

// runtimeInfo takes code 28: what this node can say of itself.
func (c *Conn) runtimeInfo(now core.Now) {
	f := c.f
	f.mu.RLock()
	conns, groups := len(f.members.conns), len(f.members.groups)
	f.mu.RUnlock()
	f.timeMu.Lock()
	in, out, started := f.in.tps(), f.out.tps(), f.started
	f.timeMu.Unlock()
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	table := map[string]string{"brokerVersion": n(wire.ProtocolVersion), "brokerVersionDesc": "V5_3_3",
		"brokerActive": "true", "bootTimestamp": n(int64(started.Wall)),
		"runtime": n(int64(now.Mono-started.Mono)/int64(core.Second)) + " seconds",
		"putTps":  in, "getTransferedTps": out, "getTransferredTps": out,
		"msgPutTotalTodayNow": n(f.in.count.Load()), "msgGetTotalTodayNow": n(f.out.count.Load()),
		"msgPutTotalTodayMorning": "0", "msgGetTotalTodayMorning": "0",
		"msgPutTotalYesterdayMorning": "0", "msgGetTotalYesterdayMorning": "0",
		"sendThreadPoolQueueSize": "0", "pullThreadPoolQueueSize": "0", // nothing waits in pools here
		"sendThreadPoolQueueHeadWaitTimeMills": "0", "pullThreadPoolQueueHeadWaitTimeMills": "0",
		"clientConnections": n(int64(conns)), "consumerGroups": n(int64(groups)),
		"topics":    n(int64(len(f.view.Topics()))),
		"trineMode": string(f.view.Group(c.group).Mode)}
	c.reply(map[string]any{"table": table})
}

// ends is where a queue begins and ends, and when its last message was stored.
type ends struct {
	queue      *topology.Queue
	start, end core.Offset
	last       core.Stamp
	at         core.Offset // where a time is, if that was asked
	err        error
}

// survey asks for the ends of queues, and for a time's place where stamp >= 0, and
// calls done on the node's loop.
func (f *Front) survey(qs []*topology.Queue, stamp core.Stamp, done func([]ends)) {
	es := make([]ends, len(qs))
	kinds := []core.FindKind{core.FindStart, core.FindEnd, core.FindLastest}
	if stamp >= 0 {
		kinds = append(kinds, core.FindStamp)
	}
	left := len(qs) * len(kinds) // counted on the node's loop alone
	if left == 0 {
		f.core.Cluster().Sync(func(error) { done(nil) })
		return
	}
	for i, q := range qs {
		es[i].queue = q
		st := q.Stream.Load()
		id := core.StreamID(0)
		if st != nil {
			id = st.ID
		}
		for _, kind := range kinds {
			f.core.Log().Find(core.Find{Stream: id, Kind: kind, Stamp: stamp}, func(found core.Found,
				err error) {
				e := &es[i]
				switch {
				case err != nil:
					e.err = err
				case kind == core.FindStart:
					e.start = found.Offset
				case kind == core.FindEnd:
					e.end = found.Offset
				case kind == core.FindLastest:
					e.last = max(found.Stamp, 0)
				default:
					e.at = found.Offset
				}
				if left--; left == 0 {
					done(es)
				}
			})
		}
	}
}

// partQueues gives the queues of a topic at the asked broker name.
func (c *Conn) partQueues(name string) []*topology.Queue {
	if t := c.f.view.Topic([]byte(name)); t != nil {
		if p := t.Part(c.brokerName(c.cmd.Get("bname"))); p != nil {
			return p.Queues
		}
	}
	return nil
}

// replyTable answers with a table by queues, which is JSON for fastjson alone: its
// keys are objects.
func (c *Conn) replyTable(a ask, head string, es []ends, value func(b []byte, e *ends) []byte) {
	c.locked(func(core.Now) {
		body := append([]byte{'{'}, head...)
		body = append(body, `"offsetTable":{`...)
		n := 0
		for i := range es {
			e := &es[i]
			if e.err != nil {
				continue
			}
			if n++; n > 1 {
				body = append(body, ',')
			}
			body = wire.AppendQueue(body, e.queue.Group, e.queue.ID, e.queue.Topic)
			body = value(append(body, ':'), e)
		}
		c.answerTo(a, wire.Success, "")
		c.endBody(append(body, '}', '}'))
	})
}

func appendField(b []byte, name string, v int64) []byte {
	b = append(wire.AppendString(b, name), ':')
	return strconv.AppendInt(b, v, 10)
}

// topicStats takes code 202.
func (c *Conn) topicStats(core.Now) {
	qs := c.partQueues(c.cmd.Str("topic"))
	if qs == nil {
		if !c.afterSync() {
			c.fail(wire.TopicNotExist, "topic["+c.cmd.Str("topic")+"] not exist")
		}
		return
	}
	a := c.ask()
	c.f.survey(qs, -1, func(es []ends) {
		c.replyTable(a, "", es, func(b []byte, e *ends) []byte {
			b = appendField(append(b, '{'), "lastUpdateTimestamp", int64(e.last))
			b = appendField(append(b, ','), "maxOffset", int64(e.end))
			b = appendField(append(b, ','), "minOffset", int64(e.start))
			return append(b, '}')
		})
	})
}

// consumeStats takes code 208: how far a group is, of one topic or of all.
func (c *Conn) consumeStats(core.Now) {
	group, a := c.cmd.Str("consumerGroup"), c.ask()
	topics := c.f.offsets.topicsOf(group)
	if t := c.cmd.Str("topic"); t != "" {
		topics = []string{t}
	}
	var qs []*topology.Queue
	for _, t := range topics {
		qs = append(qs, c.partQueues(t)...)
	}
	c.f.offsets.current(func(error) {
		c.f.survey(qs, -1, func(es []ends) {
			c.replyTable(a, `"consumeTps":0.0,`, es, func(b []byte, e *ends) []byte {
				at, known := c.f.offsets.get(group, e.queue)
				if !known {
					at = 0
				}
				b = appendField(append(b, '{'), "brokerOffset", int64(e.end))
				b = appendField(append(b, ','), "consumerOffset", at)
				b = appendField(append(b, ','), "lastTimestamp", int64(e.last))
				b = appendField(append(b, ','), "pullOffset", at)
				return append(b, '}')
			})
		})
	})
}

// resetOffsets takes code 222: a group goes on from a time, at this broker name's
// queues of a topic. Its members are told to begin anew.
func (c *Conn) resetOffsets(core.Now) {
	topic, group, a := c.cmd.Str("topic"), c.cmd.Str("group"), c.ask()
	stamp, force := core.Stamp(c.cmd.Int("timestamp", 0)), c.cmd.Bool("isForce")
	only, to := c.cmd.Int("queueId", -1), c.cmd.Int("offset", -1)
	qs := c.partQueues(topic)
	if qs == nil {
		if !c.afterSync() {
			c.fail(wire.TopicNotExist, "topic["+topic+"] not exist")
		}
		return
	}
	if only >= 0 && int(only) < len(qs) {
		qs = qs[only : only+1]
	}
	c.f.offsets.current(func(error) {
		c.f.survey(qs, max(stamp, 0), func(es []ends) {
			var u updates
			for i := range es {
				e := &es[i]
				switch {
				case to >= 0 && only >= 0:
					e.at = min(max(core.Offset(to), e.start), e.end)
				case stamp < 0 || e.at < 0:
					e.at = e.end
				}
				if old, known := c.f.offsets.get(group, e.queue); known && !force && core.Offset(old) < e.at {
					e.at = core.Offset(old)
				}
				if e.err == nil {
					u.add([]byte(group), e.queue, int64(e.at), nil)
				}
			}
			u.flush(c.f)
			c.f.tellReset(topic, group, es)
			c.replyTable(a, "", es, func(b []byte, e *ends) []byte {
				return strconv.AppendInt(b, int64(e.at), 10)
			})
		})
	})
}

// tellReset sends code 220 to the members of a group that are connected here.
func (f *Front) tellReset(topic, group string, es []ends) {
	body := []byte(`{"offsetTable":{`)
	for i := range es {
		if i > 0 {
			body = append(body, ',')
		}
		body = wire.AppendQueue(body, es[i].queue.Group, es[i].queue.ID, topic)
		body = strconv.AppendInt(append(body, ':'), int64(es[i].at), 10)
	}
	body = append(body, '}', '}')
	for _, m := range f.consumersOf(group) {
		m.locked(func(core.Now) {
			if m.reg[group] == nil {
				return
			}
			m.request(wire.ResetClientOffsets, func(w *wire.Writer) {
				w.Str("topic", topic)
				w.Str("group", group)
				w.Int("timestamp", 0)
				w.Bool("isForce", true)
			}, body, nil)
		})
	}
}

// cloneOffsets takes code 314: a group begins where another stands.
func (c *Conn) cloneOffsets(core.Now) {
	from, to, a := c.cmd.Str("srcGroup"), c.cmd.Str("destGroup"), c.ask()
	qs := c.partQueues(c.cmd.Str("topic"))
	c.f.offsets.current(func(err error) {
		var u updates
		for _, q := range qs {
			if at, known := c.f.offsets.get(from, q); known {
				u.add([]byte(to), q, at, nil)
			}
		}
		if len(u.records) == 0 || err != nil {
			c.locked(func(core.Now) { c.outcome(a, err) })
			return
		}
		u.wait = append(u.wait, func(err error) { c.locked(func(core.Now) { c.outcome(a, err) }) })
		u.flush(c.f)
	})
}
