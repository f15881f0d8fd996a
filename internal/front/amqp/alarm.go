package amqp

import (
	"slices"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/front/amqp/wire"
)

// alarm is what keeps a connection from publishing: a disk without room, under a queue
// that no other disk has, or a node that owes more than it may. The client is told with
// connection.blocked. What it publishes with confirms to such a queue is refused at
// once; what it publishes without waits here, and nothing more is read until there is
// room, for nobody would learn that it is lost.
type alarm struct {
	told  bool
	disks []core.NodeID // those without room that it has met
	kept  []keptMessage
	short core.Time // 0, or when the client is to be told that memory is short
	low   bool      // memory is short for long enough to say so
	again core.Time // 0, or when the disks are looked at again
}

type keptMessage struct {
	queue  *queue
	record core.Record
}

const (
	alarmLook  = 100 * core.Millisecond // between looks at the nodes' disks
	alarmShort = core.Second            // how long memory is short before clients are told
)

// crampedNodes are the nodes whose disks have hardly room, as they were a moment ago.
type crampedNodes struct {
	at    core.Time
	nodes []core.NodeID
}

// cramped gives the nodes whose disks have hardly room. It is asked for every message.
func (f *Front) crampedNow(now core.Time) []core.NodeID {
	c := f.cramped.Load()
	if c == nil || now-c.at > alarmLook || now < c.at {
		c = &crampedNodes{at: now}
		for _, n := range f.core.Cluster().Nodes() {
			if n.Cramped && n.Alive {
				c.nodes = append(c.nodes, n.Node)
			}
		}
		f.cramped.Store(c)
	}
	return c.nodes
}

// refuses says whether a queue takes nothing because its only disk is full, and which.
func (f *Front) refuses(now core.Time, q *queue) (core.NodeID, bool) {
	cramped := f.crampedNow(now)
	if len(cramped) == 0 || len(q.Stream.Members) != 1 {
		return 0, false
	}
	n := q.Stream.Members[0].Node
	return n, slices.Contains(cramped, n)
}

// blocked says whether a message has to wait for room, or was refused for want of it.
func (ch *channel) blocked(p *publication, q *queue, r core.Record) bool {
	c := ch.c
	disk, refused := c.f.refuses(p.now.Mono, q)
	if !refused {
		return false
	}
	a := &c.alarm
	if !slices.Contains(a.disks, disk) {
		a.disks = append(a.disks, disk)
	}
	c.tellBlocked()
	a.again = p.now.Mono + alarmLook
	c.w.TickAt(a.again)
	switch {
	case p.seq != 0:
		ch.confirms.failed(p.seq)
	case ch.mode == transactional:
		ch.tx.lost = true
	default:
		a.kept = append(a.kept, keptMessage{q, r})
		c.w.Hold(true)
	}
	return true
}

// tellBlocked tells the client that it is blocked, or no longer, once for all reasons.
func (c *conn) tellBlocked() {
	a := &c.alarm
	blocked := len(a.disks) > 0 || a.low
	if blocked == a.told || c.stage != running {
		return
	}
	a.told = blocked
	switch {
	case !c.clientBlock:
	case !blocked:
		c.send(0, &wire.ConnectionUnblocked{})
	case a.low:
		c.send(0, &wire.ConnectionBlocked{Reason: "low on memory"})
	default:
		c.send(0, &wire.ConnectionBlocked{Reason: "low on disk"})
	}
}

// lookAtAlarms sees whether what blocked the connection is over; it gives when to look
// again, or 0.
func (c *conn) lookAtAlarms(now core.Now) core.Time {
	a := &c.alarm
	if a.short != 0 && now.Mono >= a.short {
		a.short, a.low = 0, true
	}
	if a.again != 0 && now.Mono >= a.again {
		a.again = 0
		cramped := c.f.crampedNow(now.Mono)
		a.disks = slices.DeleteFunc(a.disks, func(n core.NodeID) bool { return !slices.Contains(cramped, n) })
		if len(a.disks) > 0 {
			a.again = now.Mono + alarmLook
		} else {
			c.letGo()
		}
	}
	c.tellBlocked()
	return earlier(a.short, a.again)
}

// letGo hands over what waited for room.
func (c *conn) letGo() {
	for _, k := range c.alarm.kept {
		c.append(k.queue, k.record)
	}
	c.alarm.kept = nil
	c.endTurn()
	c.w.Hold(false)
}

// SetPace is front.Paced: a client that is not read is not silent, and is told where the
// node keeps it waiting for long.
func (c *conn) SetPace(now core.Now, p front.Pace) {
	c.pace, c.heard = p, now.Mono
	c.alarm.short, c.alarm.low = 0, c.alarm.low && p == front.Short
	if p == front.Short && !c.alarm.low {
		c.alarm.short = now.Mono + alarmShort
		c.w.TickAt(c.alarm.short)
	}
	c.tellBlocked()
}
