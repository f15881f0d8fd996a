package amqp

import (
	"trine/internal/core"
	"trine/internal/front/amqp/topology"
)

// homeChanged looks after consumers of a queue whose stream changed: where its only
// copy is out of reach, they are told that it is over.
func (f *Front) homeChanged(s *core.Stream) {
	vhost, name, _ := topology.CutName(s.Name, topology.StreamPrefix)
	q := f.view.Queue(vhost, name)
	if q == nil || !f.down(q) {
		return
	}
	for _, c := range f.openConns() {
		c.w.Lock()
		if c.vhost == vhost {
			c.homeDown(q)
		}
		c.w.Unlock()
	}
}

// leaderChanged ends the consumers that asked to end (x-cancel-on-ha-failover) when their
// queue has another leader: what they were lent may be given to others.
func (f *Front) leaderChanged(s *core.Stream) {
	if !f.followers.Load() || s.Leader == 0 {
		return
	}
	for _, c := range f.openConns() {
		c.w.Lock()
		for _, ch := range c.sortedChannels() {
			for _, cs := range ch.allConsumers() {
				if cs.queue.Stream.ID == s.ID && cs.leader != 0 && cs.leader != s.Leader && !cs.detached {
					ch.ended(cs)
					c.detach(cs, func() {})
				}
			}
		}
		c.w.Wake()
		c.w.Unlock()
	}
}

// homeDown ends this connection's consumers of a queue that is out of reach.
func (c *conn) homeDown(q *queue) {
	for _, ch := range c.sortedChannels() {
		for _, cs := range ch.allConsumers() {
			if cs.queue.Stream.ID == q.Stream.ID && cs.getting == nil && !cs.detached {
				ch.ended(cs)
				c.detach(cs, func() {})
			}
		}
	}
	c.w.Wake()
}
