package amqp

import (
	"trine/internal/core"
	"trine/internal/front/amqp/declare"
	"trine/internal/front/amqp/wire"
)

// ackTimeout is how long a message may be with a client that does not acknowledge it,
// where nobody says: half an hour, as in RabbitMQ.
const ackTimeout = 30 * 60 * core.Second

// timeoutOf gives how long a queue's consumers may hold a message; 0: for ever.
func (f *Front) timeoutOf(q *queue) core.Time {
	t := max(f.o.AckTimeout, 0)
	ms := declare.Number(q.Arguments, "x-consumer-timeout", 0)
	if own := core.Time(ms) * core.Millisecond; own > 0 && (t == 0 || own < t) {
		t = own
	}
	return t
}

// handOut notes that a message is in the client's hands.
func (ch *channel) handOut(d delivery) {
	c := ch.c
	d.at = c.now
	ch.unacked.push(d)
	if t := d.consumer.timeout; t != 0 && (c.ackAt == 0 || d.at+t < c.ackAt) {
		c.ackAt = d.at + t
		c.w.TickAt(c.ackAt)
	}
}

// overdue closes the channels whose oldest message is with the client for too long, and
// gives when to look again, or 0. What they hold goes back.
func (c *conn) overdue(now core.Time) core.Time {
	if c.ackAt == 0 || now < c.ackAt {
		return c.ackAt
	}
	c.ackAt = 0
	for _, ch := range c.sortedChannels() {
		d := ch.unacked.oldest()
		if d == nil || d.consumer.timeout == 0 || ch.closing {
			continue
		}
		t := d.consumer.timeout
		if d.at+t > now {
			c.ackAt = earlier(c.ackAt, d.at+t)
			continue
		}
		ch.fail(wire.Errorf(wire.PreconditionFailed, "delivery acknowledgement on channel %d timed out. "+
			"Timeout value used: %d ms. This timeout value can be configured, see consumers doc guide to "+
			"learn more", ch.id, t/core.Millisecond))
	}
	return c.ackAt
}
