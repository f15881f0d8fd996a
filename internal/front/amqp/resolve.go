package amqp

import (
	"slices"

	"trine/internal/front/amqp/route"
	"trine/internal/front/amqp/wire"
)

// resolved is where a message goes.
type resolved struct {
	queues []*queue
	byKey  bool // the routing key alone decided: the answer may be kept
}

// resolver finds where messages go; it is memory that one channel keeps.
type resolver struct {
	scratch route.Scratch
	found   []*binding
	visited []*exchange
	pending []*exchange
}

// resolve follows the bindings from x on: each exchange at most once, each queue at
// most once; an exchange that has no match hands on to its alternate.
func (v *view) resolve(vhost string, x *exchange, key []byte, headers wire.Table, s *resolver) resolved {
	v.mu.RLock()
	defer v.mu.RUnlock()
	r := resolved{byKey: true}
	h := v.vhosts[vhost]
	if h == nil {
		return r
	}
	s.visited, s.pending = s.visited[:0], append(s.pending[:0], x)
	for len(s.pending) > 0 {
		x := s.pending[0]
		s.pending = s.pending[1:]
		if slices.Contains(s.visited, x) {
			continue
		}
		s.visited = append(s.visited, x)
		r.byKey = r.byKey && x.kind.ByKey()
		if !h.follow(x, key, headers, s, &r) {
			if alt := h.exchanges[x.alternate()]; alt != nil && x.alternate() != "" {
				s.pending = append(s.pending, alt)
			}
		}
	}
	return r
}

// follow takes one exchange's bindings; false where none matched.
func (h *vhost) follow(x *exchange, key []byte, headers wire.Table, s *resolver, r *resolved) bool {
	if x.name == "" {
		q := h.queues[string(key)]
		if q != nil && !slices.Contains(r.queues, q) {
			r.queues = append(r.queues, q)
		}
		return q != nil
	}
	s.found = x.out.Match(key, headers, &s.scratch, s.found[:0])
	for _, b := range s.found {
		if b.exchange != nil {
			s.pending = append(s.pending, b.exchange)
		} else if len(s.found) == 1 || !slices.Contains(r.queues, b.queue) {
			r.queues = append(r.queues, b.queue)
		}
	}
	return len(s.found) > 0
}
