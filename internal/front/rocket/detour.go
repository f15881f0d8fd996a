package rocket

import (
	"fmt"
	"strconv"
	"strings"

	"trine/internal/core"
	"trine/internal/front/rocket/topology"
	"trine/internal/front/rocket/wire"
)

// retryMax is after how many tries a message goes to the dead letters.
const retryMax = 16

// detour sends a message elsewhere first, where its properties ask for it: to wait
// for its time, for its transaction's end, or to the dead letters.
func (c *Conn) detour(now core.Now, h *sendHeader, g *topology.Group, q *topology.Queue,
	m *content) bool {
	s := send{ask: c.ask(), group: g, shown: q.ID, count: 1, bytes: len(c.frame)}
	for _, timer := range []string{wire.PropDelaySeconds, wire.PropDelayMs, wire.PropDeliverMs} {
		if m.prop(timer) != nil {
			c.fail(wire.MessageIllegal, "messages with "+timer+" are not supported: use a delay level")
			return true
		}
	}
	if m.prop(wire.PropReplyClient) != nil && m.prop(wire.PropCluster) == nil {
		m.props = wire.AppendProp(append(c.slab.take(len(m.props)+64), m.props...),
			wire.PropCluster, c.f.o.Cluster) // by which the answer finds the way back
	}
	if string(m.prop(wire.PropTranMsg)) == "true" {
		s.tx = append([]byte{}, m.prop(wire.PropUniqueKey)...)
		m.sysFlag &^= wire.SysRollback
		c.aside(m, q)
		c.enterAt(s, topology.HalfTopic, 0, m)
		return true
	}
	if group, retry := strings.CutPrefix(q.Topic, topology.RetryPrefix); retry {
		limit := h.maxReconsumed
		if limit < 0 {
			limit = int64(c.f.sub(group).RetryMax)
		}
		if h.reconsumed >= limit {
			m.props = wire.WithoutProps(nil, m.props, wire.PropDelay)
			c.enterAt(s, topology.DlqPrefix+group, 0, m)
			return true
		}
	}
	if level, _ := wire.ParseInt(m.prop(wire.PropDelay)); level > 0 {
		c.aside(m, q)
		c.enterAt(s, topology.ScheduleTopic, delayQueue(level), m)
		return true
	}
	return false
}

// aside notes in a message where it belongs.
func (c *Conn) aside(m *content, q *topology.Queue) {
	setAside(m, q.Topic, q.ID)
}

func setAside(m *content, topic string, id int) {
	p := wire.WithoutProps(make([]byte, 0, len(m.props)+len(topic)+40), m.props,
		wire.PropRealTopic, wire.PropRealQueue)
	p = wire.AppendProp(p, wire.PropRealTopic, topic)
	m.props = wire.AppendProp(p, wire.PropRealQueue, strconv.Itoa(id))
}

// enterAt enters a message in a queue of the group of s, which is made if need be.
func (c *Conn) enterAt(s send, topic string, id int, m *content) {
	if len(m.props) > wire.PropsBytesMax {
		c.refuse(s, &core.Error{Op: "send", Name: topic, Kind: core.TooLarge, Detail: "its properties"})
		return
	}
	r := m.record(&c.slab)
	if q := c.f.queueAt(topic, s.group.Name, id); q != nil {
		s.queue = q
		c.enter(s, r)
		return
	}
	c.f.view.Ensure(&topology.Change{Topic: topic, Grow: true,
		Wishes: []topology.Wish{systemWish(topic, s.group.Name)}},
		func(err error) {
			c.locked(func(now core.Now) {
				s.queue = c.f.queueAt(topic, s.group.Name, id)
				if err == nil && s.queue == nil {
					err = &core.Error{Op: "send", Name: topic, Kind: core.Unavailable,
						Detail: fmt.Sprintf("no queue %d at %s", id, s.group.Name)}
				}
				if err != nil {
					c.refuse(s, err)
					return
				}
				c.enter(s, r)
				c.endTurn(now)
			})
		})
}

// systemWish says how many queues a topic of the broker's own has in a group.
func systemWish(topic, group string) topology.Wish {
	n := 1
	if topic == topology.ScheduleTopic {
		n = len(delays)
	}
	return topology.Wish{Group: group, Read: n, Write: n, Perm: wire.PermRead | wire.PermWrite}
}

// queueAt gives a queue, nil where it is not known or has no stream yet.
func (f *Front) queueAt(topic, group string, id int) *topology.Queue {
	t := f.view.Topic([]byte(topic))
	if t == nil {
		return nil
	}
	p := t.Part(group)
	if p == nil || id < 0 || id >= len(p.Queues) || p.Queues[id].Stream.Load() == nil {
		return nil
	}
	return p.Queues[id]
}

// sendBack takes code 36: a consumer gives a message back, to have it again later.
func (c *Conn) sendBack(now core.Now) {
	number, offset := wire.PhysicalParts(c.cmd.Int("offset", -1))
	q := c.f.view.Queue(number)
	group := c.cmd.Str("group")
	if q == nil || q.Stream.Load() == nil {
		if !c.afterSync() {
			c.fail(wire.SystemError, "look message by offset failed, "+c.cmd.Str("offset"))
		}
		return
	}
	if err := topology.CheckName(topology.RetryPrefix + group); err != nil || group == "" {
		c.fail(wire.InvalidParameter, "the group's name cannot be part of a topic's")
		return
	}
	a, g := c.ask(), c.f.view.Group(q.Group)
	level, limit := c.cmd.Int("delayLevel", 0), c.cmd.Int("maxReconsumeTimes", -1)
	origin := c.cmd.Str("originMsgId")
	if limit < 0 {
		limit = int64(c.f.sub(group).RetryMax)
	}
	c.f.fetch(q.Stream.Load().ID, core.Offset(offset), func(m *content, _ core.Stamp, err error) {
		c.locked(func(now core.Now) {
			if err != nil {
				c.failTo(a, wire.SystemError, "look message by offset failed: "+err.Error())
				return
			}
			s := send{ask: a, group: g, count: 1, then: func(_ core.Now, _ core.Appended, err error) {
				c.outcome(a, err)
			}}
			c.back(s, group, q, m, backTo{level: level, limit: limit, origin: origin, offset: offset})
			c.endTurn(now)
		})
	})
}

type backTo struct {
	level, limit int64
	origin       string
	offset       int64
}

// back enters a message that a group gave back: for its retry topic, by way of the
// delays, or for its dead letters.
func (c *Conn) back(s send, group string, q *topology.Queue, m *content, to backTo) {
	p := wire.WithoutProps(nil, m.props, wire.PropDelay, wire.PropWait, wire.PropRealTopic,
		wire.PropRealQueue)
	if m.prop(wire.PropRetryTopic) == nil {
		p = wire.AppendProp(p, wire.PropRetryTopic, q.Topic)
	}
	p = wire.AppendProp(p, wire.PropWait, "false")
	if m.prop(wire.PropOriginID) == nil {
		if to.origin == "" {
			to.origin = string(wire.AppendMessageID(nil, &c.local, wire.PhysicalOf(q.Number, to.offset)))
		}
		p = wire.AppendProp(p, wire.PropOriginID, to.origin)
	}
	m.props = p
	if int64(m.reconsumed) >= to.limit || to.level < 0 {
		c.enterAt(s, topology.DlqPrefix+group, 0, m)
		return
	}
	if to.level == 0 {
		to.level = 3 + int64(m.reconsumed)
	}
	m.reconsumed++
	m.props = wire.AppendProp(m.props, wire.PropDelay, strconv.FormatInt(to.level, 10))
	setAside(m, topology.RetryPrefix+group, 0)
	c.enterAt(s, topology.ScheduleTopic, delayQueue(to.level), m)
}
