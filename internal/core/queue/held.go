package queue

import (
	"slices"
	"sort"

	"trine/internal/core"
)

// held is what one consumer holds, in order of offsets. Most comes in at the back
// and goes at the front.
type held struct {
	list []loan
	head int
}

// loan is one message in a consumer's hands.
type loan struct {
	offset   core.Offset
	size     int32
	priority uint8 // its lane
}

// items gives what is held.
func (h *held) items() []loan { return h.list[h.head:] }

func (h *held) add(l loan) {
	if len(h.list) == cap(h.list) && h.head > len(h.list)/2 {
		n := copy(h.list, h.list[h.head:])
		h.list, h.head = h.list[:n], 0
	}
	if n := len(h.list); n == h.head || h.list[n-1].offset < l.offset {
		h.list = append(h.list, l)
		return
	}
	i, _ := h.find(l.offset, l.offset)
	h.list = slices.Insert(h.list, h.head+i, l)
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

// cut takes the items i to j-1 out.
func (h *held) cut(i, j int) {
	if i == 0 {
		h.head += j
	} else {
		h.list = slices.Delete(h.list, h.head+i, h.head+j)
	}
	if h.head == len(h.list) {
		h.list, h.head = h.list[:0], 0
	}
}
