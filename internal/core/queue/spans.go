package queue

import (
	"math/bits"
	"slices"
	"sort"

	"trine/internal/core"
)

// spansMax bounds what is remembered of sizes and stamps: 4,096 spans of 32 bytes.
const spansMax = 4096

// span is a run of offsets appended together: their bytes, together, and the latest
// of their stamps. Each message has its share, so that the shares of all are the sum.
type span struct {
	from, to core.Offset
	sum      int64
	stamp    core.Stamp
}

func (n *span) count() int64 { return int64(n.to - n.from + 1) }

// below gives the shares of the first i messages.
func (n *span) below(i int64) int64 {
	switch i {
	case 0:
		return 0
	case n.count():
		return n.sum
	}
	hi, lo := bits.Mul64(uint64(n.sum), uint64(i))
	q, _ := bits.Div64(hi, lo, uint64(n.count()))
	return int64(q)
}

// spans is what a queue knows of its messages' sizes and stamps. Neighbours that
// agree are one span, so that a short queue is known exactly. When there are too
// many, neighbours that lie close in time, against the whole, become one: a stamp
// is then late by at most a thousandth of the backlog's width, never early.
type spans struct {
	list []span // ascending, without overlap
	hint int    // where the last search ended
}

// append adds offsets behind all others. It says whether spans were merged, which
// changes the sizes of messages that are there.
func (s *spans) append(n span) bool {
	if last := len(s.list) - 1; last >= 0 {
		l := &s.list[last]
		if l.stamp == n.stamp && l.to+1 == n.from && l.alike(&n) {
			l.to, l.sum = n.to, l.sum+n.sum
			return false
		}
	}
	s.list = append(s.list, n)
	return len(s.list) > spansMax
}

// alike says whether the messages of two spans have one size.
func (n *span) alike(o *span) bool {
	a, b := n.count(), o.count()
	return n.sum%a == 0 && o.sum%b == 0 && n.sum/a == o.sum/b
}

// merge drops spans of which nothing is live and joins neighbours.
func (s *spans) merge(live *ranges) {
	s.hint = 0
	kept := s.list[:0]
	for _, n := range s.list {
		if c, i, ok := live.at(n.from); ok && live.chunks[c][i].From <= n.to {
			kept = append(kept, n)
		}
	}
	s.list = kept
	if len(s.list) <= spansMax/2 {
		return
	}
	lo, hi := s.list[0].stamp, s.list[0].stamp
	for _, n := range s.list {
		lo, hi = min(lo, n.stamp), max(hi, n.stamp)
	}
	near := (hi - lo) / (spansMax / 4)
	joined := s.list[:1]
	since := s.list[0].stamp
	for _, n := range s.list[1:] {
		l := &joined[len(joined)-1]
		if n.stamp-since > near || since-n.stamp > near {
			joined, since = append(joined, n), n.stamp
			continue
		}
		l.to, l.stamp, l.sum = n.to, max(l.stamp, n.stamp), l.sum+n.sum
	}
	s.list = slices.Clip(joined)
}

// trim forgets what lies below o.
func (s *spans) trim(o core.Offset) {
	n := 0
	for n < len(s.list) && s.list[n].to < o {
		n++
	}
	switch {
	case n == 0:
	case n > len(s.list)/2:
		s.list = s.list[:copy(s.list, s.list[n:])]
	default:
		s.list = s.list[n:]
	}
	s.hint = max(s.hint-n, 0)
}

// at finds the first span that ends at or behind o; the list's length if none.
func (s *spans) at(o core.Offset) int {
	for i := s.hint; i < min(s.hint+2, len(s.list)); i++ {
		if s.list[i].to >= o && (i == 0 || s.list[i-1].to < o) {
			s.hint = i
			return i
		}
	}
	i := sort.Search(len(s.list), func(i int) bool { return s.list[i].to >= o })
	s.hint = min(i, max(len(s.list)-1, 0))
	return i
}

// bytes gives the sizes of the offsets from to to, together.
func (s *spans) bytes(from, to core.Offset) int64 {
	sum := int64(0)
	for i := s.at(from); i < len(s.list) && s.list[i].from <= to; i++ {
		n := &s.list[i]
		sum += n.below(int64(min(n.to, to)-n.from+1)) - n.below(int64(max(n.from, from)-n.from))
	}
	return sum
}

// find gives the span of o.
func (s *spans) find(o core.Offset) (span, bool) {
	i := s.at(o)
	if i == len(s.list) || s.list[i].from > o {
		return span{}, false
	}
	return s.list[i], true
}
