package amqp

import (
	"cmp"
	"slices"

	"trine/internal/core"
	"trine/internal/front/amqp/listed"
	"trine/internal/front/amqp/topology"
)

// Channels gives this node's open channels, by connection and number.
func (f *Front) Channels() []listed.Channel {
	var all []listed.Channel
	f.eachRunning(func(c *conn, i *listed.Connection) {
		for _, ch := range c.sortedChannels() {
			all = append(all, ch.info(i))
		}
	})
	slices.SortStableFunc(all, func(a, b listed.Channel) int {
		return cmp.Compare(a.Connection.Name, b.Connection.Name)
	})
	return all
}

// Consumers gives this node's consumers, by channel, as they came.
func (f *Front) Consumers() []listed.Consumer {
	var all []listed.Consumer
	f.eachRunning(func(c *conn, i *listed.Connection) {
		for _, ch := range c.sortedChannels() {
			info := ch.info(i)
			for _, cs := range ch.order {
				if cs.attached && cs.getting == nil {
					all = append(all, cs.info(&info))
				}
			}
		}
	})
	return all
}

// Sizes counts this node's open connections, their channels and their consumers.
func (f *Front) Sizes() (connections, channels, consumers int) {
	for _, c := range f.openConns() {
		c.w.Lock()
		if c.stage == running {
			connections++
			channels += len(c.channels)
			for _, ch := range c.channels {
				consumers += len(ch.order)
			}
		}
		c.w.Unlock()
	}
	return connections, channels, consumers
}

func (f *Front) eachRunning(fn func(*conn, *listed.Connection)) {
	for _, c := range f.openConns() {
		c.w.Lock()
		if c.stage == running {
			i := c.info()
			fn(c, &i)
		}
		c.w.Unlock()
	}
}

func (ch *channel) info(i *listed.Connection) listed.Channel {
	u := &ch.unacked
	return listed.Channel{Connection: i, Number: int(ch.id), Confirms: ch.mode == confirming,
		Transactional: ch.mode == transactional, Prefetch: ch.prefetch, Shared: ch.shared,
		Consumers: len(ch.order), Unacked: len(u.list) - u.head - u.gaps,
		Unconfirmed: ch.confirms.waiting(), Uncommitted: len(ch.tx.messages),
		UncommittedAs: len(ch.tx.settles), Counted: ch.counter.All}
}

// waiting counts the messages whose publisher waits.
func (cs *confirms) waiting() (n int) {
	for _, p := range cs.open[cs.head:] {
		if !p.done {
			n++
		}
	}
	return n
}

func (cs *consumer) info(ch *listed.Channel) listed.Consumer {
	single := cs.queue.Stream.Queue != nil && cs.queue.Stream.Queue.SingleActive
	return listed.Consumer{Channel: ch, ID: cs.id, Tag: cs.tag, VHost: cs.queue.VHost, Queue: cs.queue.Name,
		Stream: cs.queue.Stream.ID, Single: single, Acks: !cs.noAck, Exclusive: cs.exclusive,
		Prefetch: cs.prefetch, TimeoutMs: int64(cs.timeout / core.Millisecond), Arguments: topology.TableInfo(cs.arguments), Counted: cs.counter.All}
}
