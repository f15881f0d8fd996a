package rocket

import (
	"fmt"
	"strings"

	"trine/internal/front/rocket/wire"
)

// filter says which messages a subscription wants. nil wants all.
type filter struct {
	hashes []int32 // of tags: the client compares the tags themselves
}

// newFilter reads a subscription's expression.
func newFilter(expression, kind string) (*filter, error) {
	switch kind {
	case "", "TAG":
	default:
		return nil, fmt.Errorf("expression type %q is not supported: only TAG is", kind)
	}
	expression = strings.TrimSpace(expression)
	if expression == "" || expression == "*" {
		return nil, nil
	}
	f := &filter{}
	for _, tag := range strings.Split(expression, "||") {
		if tag = strings.TrimSpace(tag); tag != "" {
			f.hashes = append(f.hashes, wire.TagHash([]byte(tag)))
		}
	}
	if len(f.hashes) == 0 {
		return nil, fmt.Errorf("expression %q has no tag", expression)
	}
	return f, nil
}

func (f *filter) matches(m *content) bool {
	if f == nil {
		return true
	}
	tags := m.prop(wire.PropTags)
	if tags == nil {
		return false
	}
	h := wire.TagHash(tags)
	for _, want := range f.hashes {
		if h == want {
			return true
		}
	}
	return false
}
