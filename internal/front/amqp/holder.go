package amqp

import "trine/internal/core"

// holder is a conn as the core's queues see it: its Drained is not the socket's.
type holder conn

func (h *holder) Lent(lends []core.Lend) { (*conn)(h).lent(lends) }

func (h *holder) Drained(id core.ConsumerID, ready int64) {
	c := (*conn)(h)
	c.w.Lock()
	defer c.w.Unlock()
	c.creditDrained(id, ready)
}

func (h *holder) Ended(id core.ConsumerID, err error) { (*conn)(h).ended(id, err) }
