package topology

import (
	"slices"

	"trine/internal/front/amqp/route"
)

// Resolved is where a message goes.
type Resolved struct {
	Queues  []*Queue
	Stores  []*Queue // of exchanges that keep messages themselves
	Delayed bool     // one of Stores gives it on later
	Missing bool     // an exchange delays it and has no store that is known here
	ByKey   bool     // the routing key alone decided: the answer may be kept
}

// Routed says whether anybody gets the message.
func (r *Resolved) Routed() bool { return len(r.Queues) > 0 || r.Delayed }

// Resolver finds where messages go; it is memory that one channel keeps.
type Resolver struct {
	scratch route.Scratch
	found   []*Binding
	visited []*Exchange
	pending []*Exchange
}

// Resolve follows the bindings from x on: each exchange at most once, each queue at
// most once; an exchange that has no match hands on to its alternate.
func (v *View) Resolve(vhost string, x *Exchange, m *route.Message, s *Resolver) Resolved {
	v.mu.RLock()
	defer v.mu.RUnlock()
	r := Resolved{ByKey: len(m.More) == 0}
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
		r.ByKey = r.ByKey && x.out.ByKey() && !x.Delays
		if !h.follow(x, m, s, &r) {
			if alt := v.alternate(h, x); alt != nil {
				s.pending = append(s.pending, alt)
			}
		}
	}
	return r
}

// alternate gives the exchange that takes what finds no binding, by x's arguments or the
// policy in force, or nil. Lock held.
func (v *View) alternate(h *vhost, x *Exchange) *Exchange {
	name, said := textOf(x.Arguments, "alternate-exchange")
	if !said {
		if p := strongest(v.policies.list, h.name, x.Name, exchanges); p != nil && p.Definition.Alternate != nil {
			name = *p.Definition.Alternate
		}
	}
	if name == "" {
		return nil
	}
	return h.exchanges[name]
}

// follow takes one exchange's bindings; false where none matched.
func (h *vhost) follow(x *Exchange, m *route.Message, s *Resolver, r *Resolved) bool {
	if x.Name == "" {
		return h.byName(m, r)
	}
	if x.Delays && route.Delay(m.Headers()) > 0 {
		h.store(x, Delays, r)
		return true
	}
	if x.Kind == route.RecentHistory && !forgettable(m) {
		h.store(x, History, r)
	}
	s.found = x.out.Match(m, &s.scratch, s.found[:0])
	for _, b := range s.found {
		if b.exchange != nil {
			s.pending = append(s.pending, b.exchange)
		} else if len(s.found) == 1 && len(r.Queues) == 0 || !slices.Contains(r.Queues, b.queue) {
			r.Queues = append(r.Queues, b.queue)
		}
	}
	return len(s.found) > 0
}

// byName is the default exchange: a message goes to the queue that its key names.
func (h *vhost) byName(m *route.Message, r *Resolved) bool {
	found := false
	add := func(key []byte) {
		q := h.queues[string(key)]
		if q != nil && !slices.Contains(r.Queues, q) {
			r.Queues = append(r.Queues, q)
		}
		found = found || q != nil
	}
	add(m.Key)
	for _, key := range m.More {
		add(key)
	}
	return found
}
