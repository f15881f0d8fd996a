package queue

import (
	"slices"
	"sort"

	"trine/internal/core"
)

// chunkMax bounds what one change of a set moves: 256 ranges of 16 bytes.
const chunkMax = 256

// ranges is a set of offsets, kept as its ranges in ascending order, in chunks, so
// that a set of a million neighbours is one range and a set of a million loners
// still changes in microseconds. The zero value is empty.
type ranges struct {
	chunks [][]core.OffsetRange // none is empty
	n      int64
}

func (s *ranges) empty() bool { return s.n == 0 }

// first gives the lowest offset of a set that is not empty.
func (s *ranges) first() core.Offset { return s.chunks[0][0].From }

// at finds the first range that ends at or behind o.
func (s *ranges) at(o core.Offset) (c, i int, ok bool) {
	if len(s.chunks) == 0 || s.chunks[0][0].To >= o {
		return 0, 0, len(s.chunks) > 0
	}
	c = sort.Search(len(s.chunks), func(i int) bool {
		return s.chunks[i][len(s.chunks[i])-1].To >= o
	})
	if c == len(s.chunks) {
		return 0, 0, false
	}
	chunk := s.chunks[c]
	return c, sort.Search(len(chunk), func(i int) bool { return chunk[i].To >= o }), true
}

func (s *ranges) has(o core.Offset) bool {
	c, i, ok := s.at(o)
	return ok && s.chunks[c][i].From <= o
}

// add puts the offsets from to to, both included, into the set.
func (s *ranges) add(from, to core.Offset) {
	if last := len(s.chunks) - 1; last >= 0 {
		chunk := s.chunks[last]
		end := &chunk[len(chunk)-1]
		switch {
		case from == end.To+1:
			end.To = to
			s.n += int64(to - from + 1)
			return
		case from > end.To && len(chunk) < chunkMax:
			s.chunks[last] = append(chunk, core.OffsetRange{From: from, To: to})
			s.n += int64(to - from + 1)
			return
		}
	}
	s.remove(from, to)
	s.n += int64(to - from + 1)
	c, i, ok := s.at(from)
	if !ok {
		var chunk []core.OffsetRange
		if len(s.chunks) == 0 && cap(s.chunks) > 0 {
			chunk = s.chunks[:1][0] // what the last one left
		}
		s.chunks = append(s.chunks, append(chunk[:0], core.OffsetRange{From: from, To: to}))
		return
	}
	right := &s.chunks[c][i]
	left := s.before(c, i)
	switch {
	case left != nil && left.To+1 == from && right.From == to+1:
		left.To = right.To
		s.drop(c, i)
	case left != nil && left.To+1 == from:
		left.To = to
	case right.From == to+1:
		right.From = from
	default:
		s.insert(c, i, core.OffsetRange{From: from, To: to})
	}
}

// before gives the range before the one at (c, i).
func (s *ranges) before(c, i int) *core.OffsetRange {
	switch {
	case i > 0:
		return &s.chunks[c][i-1]
	case c > 0:
		return &s.chunks[c-1][len(s.chunks[c-1])-1]
	}
	return nil
}

func (s *ranges) insert(c, i int, r core.OffsetRange) {
	chunk := slices.Insert(s.chunks[c], i, r)
	s.chunks[c] = chunk
	if len(chunk) > chunkMax {
		half := len(chunk) / 2
		s.chunks = slices.Insert(s.chunks, c+1, slices.Clone(chunk[half:]))
		s.chunks[c] = chunk[:half]
	}
}

func (s *ranges) drop(c, i int) {
	chunk := s.chunks[c]
	switch {
	case len(chunk) > 1 && i == 0:
		s.chunks[c] = chunk[1:]
	case len(chunk) > 1:
		s.chunks[c] = slices.Delete(chunk, i, i+1)
	case len(s.chunks) == 1:
		s.chunks = s.chunks[:0] // the chunk is used again
	case c == 0:
		s.chunks[0] = nil
		s.chunks = s.chunks[1:]
	default:
		s.chunks = slices.Delete(s.chunks, c, c+1)
	}
}

// remove takes the offsets from to to, both included, out of the set and says how
// many of them were in it.
func (s *ranges) remove(from, to core.Offset) int64 {
	before := s.n
	for from <= to {
		c, i, ok := s.at(from)
		if !ok || s.chunks[c][i].From > to {
			break
		}
		r := &s.chunks[c][i]
		lo, hi := max(r.From, from), min(r.To, to)
		s.n -= int64(hi - lo + 1)
		switch {
		case lo == r.From && hi == r.To:
			s.drop(c, i)
		case lo == r.From:
			r.From = hi + 1
		case hi == r.To:
			r.To = lo - 1
		default:
			rest := core.OffsetRange{From: hi + 1, To: r.To}
			r.To = lo - 1
			s.insert(c, i+1, rest)
		}
		from = hi + 1
	}
	return before - s.n
}

// each calls fn for the parts of the set between from and to, both included, in
// ascending order, until it returns false. fn may not change the set.
func (s *ranges) each(from, to core.Offset, fn func(from, to core.Offset) bool) {
	c, i, ok := s.at(from)
	if !ok {
		return
	}
	for ; c < len(s.chunks); c, i = c+1, 0 {
		for _, r := range s.chunks[c][i:] {
			if r.From > to || !fn(max(r.From, from), min(r.To, to)) {
				return
			}
		}
	}
}

// rest lets go of the memory of a set that is empty.
func (s *ranges) rest() {
	if s.n == 0 {
		*s = ranges{}
	}
}

// list gives the parts of the set between from and to, both included.
func (s *ranges) list(from, to core.Offset) []core.OffsetRange {
	var out []core.OffsetRange
	s.each(from, to, func(from, to core.Offset) bool {
		out = append(out, core.OffsetRange{From: from, To: to})
		return true
	})
	return out
}

// all gives the set's ranges.
func (s *ranges) all() []core.OffsetRange { return s.list(0, offsetMax) }

// clone gives a set of its own with the same offsets.
func (s *ranges) clone() ranges {
	out := ranges{n: s.n, chunks: make([][]core.OffsetRange, len(s.chunks))}
	for i, c := range s.chunks {
		out.chunks[i] = slices.Clone(c)
	}
	return out
}

const offsetMax = core.Offset(1<<63 - 1)
