package catalog

import (
	"slices"

	"trine/internal/core"
)

// idSet is a set of streams that is read in order. It sorts itself when it is read
// after a change, so that a fence that moves ten thousand streams costs one sort.
type idSet struct {
	at     map[core.StreamID]struct{}
	sorted []core.StreamID // nil: to be made again
}

func (s *idSet) add(id core.StreamID) {
	if s.at == nil {
		s.at = make(map[core.StreamID]struct{})
	}
	if _, there := s.at[id]; there {
		return
	}
	s.at[id] = struct{}{}
	switch n := len(s.sorted); {
	case len(s.at) == 1:
		s.sorted = []core.StreamID{id}
	case n > 0 && s.sorted[n-1] < id: // new streams have the highest ids
		s.sorted = append(s.sorted, id)
	default:
		s.sorted = nil
	}
}

func (s *idSet) remove(id core.StreamID) {
	if _, there := s.at[id]; !there {
		return
	}
	delete(s.at, id)
	s.sorted = nil
}

func (s *idSet) set(id core.StreamID, in bool) {
	if in {
		s.add(id)
	} else {
		s.remove(id)
	}
}

func (s *idSet) has(id core.StreamID) bool {
	_, there := s.at[id]
	return there
}

func (s *idSet) size() int {
	if s == nil {
		return 0
	}
	return len(s.at)
}

// list gives the set in order. It stays as it is while the set changes, so that a
// loop over it may move its streams elsewhere; it is not the caller's to write to.
func (s *idSet) list() []core.StreamID {
	if s == nil {
		return nil
	}
	if s.sorted == nil && len(s.at) > 0 {
		s.sorted = make([]core.StreamID, 0, len(s.at))
		for id := range s.at {
			s.sorted = append(s.sorted, id)
		}
		slices.Sort(s.sorted)
	}
	return s.sorted[:len(s.sorted):len(s.sorted)]
}
