package topology

import (
	"slices"

	"trine/internal/front/amqp/route"
	"trine/internal/front/amqp/wire"
)

// Resolved is where a message goes.
type Resolved struct {
	Queues []*Queue
	ByKey  bool // the routing key alone decided: the answer may be kept
}

// Resolver finds where messages go; it is memory that one channel keeps.
type Resolver struct {
	scratch route.Scratch
	found   []*Binding
	visited []*Exchange
	pending []*Exchange
}

// Resolve follows the bindings from x on: each exchange at most once, each queue at
// most once; an exchange that has no match hands on to its alternate.
func (v *View) Resolve(vhost string, x *Exchange, key []byte, headers wire.Table, s *Resolver) Resolved {
	v.mu.RLock()
	defer v.mu.RUnlock()
	r := Resolved{ByKey: true}
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
		r.ByKey = r.ByKey && x.Kind.ByKey()
		if !h.follow(x, key, headers, s, &r) {
			if alt := h.exchanges[x.alternate()]; alt != nil && x.alternate() != "" {
				s.pending = append(s.pending, alt)
			}
		}
	}
	return r
}

// follow takes one exchange's bindings; false where none matched.
func (h *vhost) follow(x *Exchange, key []byte, headers wire.Table, s *Resolver, r *Resolved) bool {
	if x.Name == "" {
		q := h.queues[string(key)]
		if q != nil && !slices.Contains(r.Queues, q) {
			r.Queues = append(r.Queues, q)
		}
		return q != nil
	}
	s.found = x.out.Match(key, headers, &s.scratch, s.found[:0])
	for _, b := range s.found {
		if b.exchange != nil {
			s.pending = append(s.pending, b.exchange)
		} else if len(s.found) == 1 || !slices.Contains(r.Queues, b.queue) {
			r.Queues = append(r.Queues, b.queue)
		}
	}
	return len(s.found) > 0
}
