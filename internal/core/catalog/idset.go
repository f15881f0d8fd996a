package catalog

import (
	"slices"

	"trine/internal/core"
)

// idSet is a sorted set of streams. New streams have the highest ids, so that most
// insertions append.
type idSet []core.StreamID

func (s *idSet) add(id core.StreamID) {
	if n := len(*s); n == 0 || (*s)[n-1] < id {
		*s = append(*s, id)
		return
	}
	if i, found := slices.BinarySearch(*s, id); !found {
		*s = slices.Insert(*s, i, id)
	}
}

func (s *idSet) remove(id core.StreamID) {
	if i, found := slices.BinarySearch(*s, id); found {
		*s = slices.Delete(*s, i, i+1)
	}
}

func (s idSet) has(id core.StreamID) bool {
	_, found := slices.BinarySearch(s, id)
	return found
}
