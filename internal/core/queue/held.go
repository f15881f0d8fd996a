package queue

import (
	"slices"
	"sort"

	"trine/internal/core"
)

// held is what one consumer holds, in order of offsets. Most comes in at the back
// and goes at the front; what goes in between stays as a gap until gaps are many.
type held struct {
	list []loan
	head int // where the first begins, which is no gap
	gaps int
}

// loan is one message in a consumer's hands.
type loan struct {
	offset   core.Offset
	size     int32
	priority uint8 // its lane
	gap      bool  // it is held no longer
}

func (h *held) len() int { return len(h.list) - h.head - h.gaps }

// items gives what is held, with gaps.
func (h *held) items() []loan { return h.list[h.head:] }

func (h *held) add(l loan) {
	if len(h.list) == cap(h.list) && h.head+h.gaps > len(h.list)/2 {
		h.compact()
	}
	if n := len(h.list); n == h.head || h.list[n-1].offset < l.offset {
		h.list = append(h.list, l)
		return
	}
	i, _ := h.find(l.offset, l.offset)
	if at := &h.list[h.head+i]; at.offset == l.offset {
		h.gaps--
		*at = l
		return
	}
	h.list = slices.Insert(h.list, h.head+i, l)
}

func (h *held) compact() {
	kept := h.list[:0]
	for _, l := range h.items() {
		if !l.gap {
			kept = append(kept, l)
		}
	}
	h.list, h.head, h.gaps = kept, 0, 0
}

// find gives the bounds of the items from from to to: the first, and the first
// behind them.
func (h *held) find(from, to core.Offset) (i, j int) {
	items := h.items()
	if len(items) > 0 && items[0].offset < from {
		i = sort.Search(len(items), func(i int) bool { return items[i].offset >= from })
	}
	if j = i; j < len(items) && items[j].offset <= to {
		j++
		if j < len(items) && items[j].offset <= to {
			j += sort.Search(len(items)-j, func(k int) bool { return items[j+k].offset > to })
		}
	}
	return i, j
}

// cut takes the items i to j-1 out, and says how many were there.
func (h *held) cut(i, j int) int {
	n := 0
	for k := h.head + i; k < h.head+j; k++ {
		if !h.list[k].gap {
			h.list[k].gap = true
			n++
		}
	}
	h.gaps += n
	for h.head < len(h.list) && h.list[h.head].gap {
		h.head++
		h.gaps--
	}
	switch {
	case h.head == len(h.list):
		h.list, h.head = h.list[:0], 0
	case h.gaps > 64 && h.gaps > len(h.items())/2:
		h.compact()
	}
	return n
}
