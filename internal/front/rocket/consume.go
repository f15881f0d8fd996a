package rocket

import (
	"encoding/json"
	"fmt"

	"trine/internal/core"
	"trine/internal/front/rocket/topology"
	"trine/internal/front/rocket/wire"
)

// clientHandlers are what every client asks of a broker.
var clientHandlers = map[int]func(*Conn, core.Now){
	wire.HeartBeat:         (*Conn).heartbeat,
	wire.UnregisterClient:  (*Conn).unregister,
	wire.ConsumerList:      (*Conn).consumerList,
	wire.CheckClientConfig: (*Conn).checkClient,
	wire.EndTransaction:    (*Conn).endTransaction,
	wire.ViewMessage:       (*Conn).viewMessage,
	wire.QueryMessage:      (*Conn).queryMessage,
	wire.SendReply:         (*Conn).sendReply,
	wire.SendReplyV2:       (*Conn).sendReply,
}

// consumerHandlers are what consumers ask.
var consumerHandlers = map[int]func(*Conn, core.Now){
	wire.QueryConsumerOffset:  (*Conn).queryOffset,
	wire.UpdateConsumerOffset: (*Conn).updateOffset,
	wire.MaxOffset:            (*Conn).maxOffset,
	wire.MinOffset:            (*Conn).minOffset,
	wire.SearchOffset:         (*Conn).searchOffset,
	wire.EarliestStamp:        (*Conn).earliestStamp,
	wire.SendMessageBack:      (*Conn).sendBack,
	wire.LockQueues:           (*Conn).lockQueues,
	wire.UnlockQueues:         (*Conn).unlockQueues,
}

// asked gives the queue that a request is about. Where there is none the request
// was answered, or will be.
func (c *Conn) asked() *topology.Queue {
	t := c.f.view.Topic(c.cmd.Get("topic"))
	id := int(c.cmd.Int("queueId", -1))
	if t != nil {
		if p := c.partOf(t, c.cmd.Get("bname"), id); p != nil && id >= 0 && id < len(p.Queues) &&
			p.Queues[id].Stream.Load() != nil {
			return p.Queues[id]
		}
	}
	if c.afterSync() {
		return nil
	}
	if t == nil {
		c.fail(wire.TopicNotExist, "topic "+c.cmd.Str("topic")+" does not exist")
	} else {
		c.fail(wire.SystemError, fmt.Sprintf("queueId %d is illegal: topic %s at %s", id, t.Name,
			c.brokerName(c.cmd.Get("bname"))))
	}
	return nil
}

// find asks the core where something is in a queue and answers with the offset.
func (c *Conn) find(q *topology.Queue, find core.Find, reply func(a ask, found core.Found)) {
	find.Stream = q.Stream.Load().ID
	a := c.ask()
	c.f.core.Log().Find(find, func(found core.Found, err error) {
		c.locked(func(core.Now) {
			if err != nil {
				c.failTo(a, codeOf(err), err.Error())
				return
			}
			reply(a, found)
		})
	})
}

func (c *Conn) replyOffset(a ask, v int64) {
	if a.oneway {
		return
	}
	c.answerTo(a, wire.Success, "").Int("offset", v)
	c.end()
}

// maxOffset takes code 30: the offset that the next message gets.
func (c *Conn) maxOffset(core.Now) {
	if q := c.asked(); q != nil {
		c.find(q, core.Find{Kind: core.FindEnd}, func(a ask, found core.Found) {
			c.replyOffset(a, int64(found.Offset))
		})
	}
}

// minOffset takes code 31.
func (c *Conn) minOffset(core.Now) {
	if q := c.asked(); q != nil {
		c.find(q, core.Find{Kind: core.FindStart}, func(a ask, found core.Found) {
			c.replyOffset(a, int64(found.Offset))
		})
	}
}

// searchOffset takes code 29: the first message at or after a time, or the end.
func (c *Conn) searchOffset(core.Now) {
	q := c.asked()
	if q == nil {
		return
	}
	stamp := core.Stamp(c.cmd.Int("timestamp", 0))
	again := func(a ask, kind core.FindKind) {
		c.f.core.Log().Find(core.Find{Stream: q.Stream.Load().ID, Kind: kind}, func(f core.Found,
			err error) {
			c.locked(func(core.Now) { c.replyOffset(a, int64(f.Offset)) })
		})
	}
	if stamp < 0 { // "latest"
		again(c.ask(), core.FindEnd)
		return
	}
	c.find(q, core.Find{Kind: core.FindStamp, Stamp: stamp}, func(a ask, found core.Found) {
		if found.Offset >= 0 {
			c.replyOffset(a, int64(found.Offset))
			return
		}
		again(a, core.FindEnd)
	})
}

// earliestStamp takes code 32: when the first message was stored.
func (c *Conn) earliestStamp(core.Now) {
	q := c.asked()
	if q == nil {
		return
	}
	c.find(q, core.Find{Kind: core.FindStamp, Stamp: 0}, func(a ask, found core.Found) {
		stamp := int64(found.Stamp)
		if found.Offset < 0 {
			stamp = -1
		}
		c.answerTo(a, wire.Success, "").Int("timestamp", stamp)
		c.end()
	})
}

// queryOffset takes code 14. A group without an offset starts at 0 where nothing
// was dropped yet, as with RocketMQ while a queue's head is in memory.
func (c *Conn) queryOffset(core.Now) {
	q := c.asked()
	if q == nil {
		return
	}
	group, a := c.cmd.Str("consumerGroup"), c.ask()
	zero := c.cmd.Str("setZeroIfNotFound") != "false"
	none := func() {
		c.failTo(a, wire.QueryNotFound,
			"not found, maybe this group consumes for the first time")
	}
	c.f.offsets.current(func(err error) {
		v, known := c.f.offsets.get(group, q)
		if err == nil && !known && zero {
			c.f.core.Log().Find(core.Find{Stream: q.Stream.Load().ID, Kind: core.FindStart},
				func(found core.Found, err error) {
					c.locked(func(core.Now) {
						if err != nil || found.Offset > 0 {
							none()
							return
						}
						c.replyOffset(a, 0)
					})
				})
			return
		}
		c.locked(func(core.Now) {
			switch {
			case err != nil:
				c.failTo(a, wire.SystemError, err.Error())
			case !known:
				none()
			default:
				c.replyOffset(a, v)
			}
		})
	})
}

// updateOffset takes code 15. Some clients send -1 for queues that they have not
// begun: that says nothing.
func (c *Conn) updateOffset(core.Now) {
	q := c.asked()
	if q == nil {
		return
	}
	group, a := c.cmd.Get("consumerGroup"), c.ask()
	at := c.cmd.Int("commitOffset", -1)
	if at < 0 || len(group) == 0 {
		c.failTo(a, wire.Success, "")
		return
	}
	if a.oneway {
		c.updates.add(group, q, at, nil)
		return
	}
	c.updates.add(group, q, at, func(err error) {
		c.locked(func(core.Now) { c.outcome(a, err) })
	})
}

// checkClient takes code 46: whether a subscription can be understood.
func (c *Conn) checkClient(core.Now) {
	var body struct {
		Data struct {
			Sub  string `json:"subString"`
			Kind string `json:"expressionType"`
		} `json:"subscriptionData"`
	}
	if err := json.Unmarshal(c.cmd.Body, &body); err != nil {
		c.fail(wire.SystemError, "the subscription cannot be read")
		return
	}
	if _, err := newFilter(body.Data.Sub, body.Data.Kind); err != nil {
		c.fail(wire.SubscriptionParse, err.Error())
		return
	}
	c.ok()
}
