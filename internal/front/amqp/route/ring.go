package route

import "sort"

// ring holds the bindings of a hashing exchange in an order that every node has
// alike, each with as many buckets as it weighs:
//
//	spot      a (3)        b (1)   c (2)
//	buckets   0   1   2    3       4   5
//	end                3       4         6
//
// Of several bindings to one target the first alone has buckets.
type ring[D comparable] struct {
	spots []spot[D]
	total int64
}

type spot[D comparable] struct {
	dest   D
	weight int64
	end    int64 // its buckets are those from the former spot's end to its own
}

func (r *ring[D]) add(weight int64, d D, order func(a, b D) int, target func(D) string) {
	at := len(r.spots)
	if order != nil {
		at = sort.Search(len(r.spots), func(i int) bool { return order(r.spots[i].dest, d) > 0 })
	}
	r.spots = append(r.spots, spot[D]{})
	copy(r.spots[at+1:], r.spots[at:])
	r.spots[at] = spot[D]{dest: d, weight: weight}
	r.settle(target)
}

func (r *ring[D]) remove(d D, target func(D) string) {
	for i := range r.spots {
		if r.spots[i].dest == d {
			r.spots = append(r.spots[:i], r.spots[i+1:]...)
			break
		}
	}
	r.settle(target)
}

// settle gives out the buckets anew.
func (r *ring[D]) settle(target func(D) string) {
	r.total = 0
	seen := map[string]bool{}
	for i := range r.spots {
		s := &r.spots[i]
		twice := false
		if target != nil {
			name := target(s.dest)
			twice = seen[name]
			seen[name] = true
		}
		if !twice {
			r.total += s.weight
		}
		s.end = r.total
	}
}

// bucket gives whose bucket n is.
func (r *ring[D]) bucket(n int64) D {
	i := sort.Search(len(r.spots), func(i int) bool { return r.spots[i].end > n })
	return r.spots[i].dest
}
