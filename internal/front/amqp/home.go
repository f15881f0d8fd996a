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
