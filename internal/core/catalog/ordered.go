package catalog

import (
	"slices"
	"strings"
)

// ordered is a map from strings that keeps their order: blocks of sorted keys, each
// at most blockMax long, so that neither an insertion nor a walk below a prefix
// touches more than it must.
type ordered[V any] struct {
	at     map[string]V
	blocks [][]string
}

const blockMax = 512

func newOrdered[V any]() *ordered[V] { return &ordered[V]{at: make(map[string]V)} }

func (o *ordered[V]) get(key string) (V, bool) {
	v, ok := o.at[key]
	return v, ok
}

// block gives the block in which key is or would be.
func (o *ordered[V]) block(key string) int {
	i, found := slices.BinarySearchFunc(o.blocks, key,
		func(b []string, key string) int { return strings.Compare(b[0], key) })
	if found || i == 0 {
		return i
	}
	return i - 1
}

func (o *ordered[V]) put(key string, v V) {
	_, there := o.at[key]
	o.at[key] = v
	if there {
		return
	}
	if len(o.blocks) == 0 {
		o.blocks = append(o.blocks, append(make([]string, 0, 8), key))
		return
	}
	i := o.block(key)
	b := o.blocks[i]
	j, _ := slices.BinarySearch(b, key)
	b = slices.Insert(b, j, key)
	o.blocks[i] = b
	if len(b) <= blockMax {
		return
	}
	if j == len(b)-1 { // keys that come in order fill their blocks
		o.blocks[i] = b[:j]
		o.blocks = slices.Insert(o.blocks, i+1, []string{key})
		return
	}
	half := slices.Clone(b[blockMax/2:])
	clear(b[blockMax/2:])
	o.blocks[i] = b[:blockMax/2]
	o.blocks = slices.Insert(o.blocks, i+1, half)
}

func (o *ordered[V]) remove(key string) {
	if _, there := o.at[key]; !there {
		return
	}
	delete(o.at, key)
	i := o.block(key)
	j, _ := slices.BinarySearch(o.blocks[i], key)
	o.blocks[i] = slices.Delete(o.blocks[i], j, j+1)
	if len(o.blocks[i]) == 0 {
		o.blocks = slices.Delete(o.blocks, i, i+1)
	}
}

func (o *ordered[V]) size() int { return len(o.at) }

// each calls do for every key that begins with prefix, in order.
func (o *ordered[V]) each(prefix string, do func(key string, v V)) {
	if len(o.blocks) == 0 {
		return
	}
	i := o.block(prefix)
	j, _ := slices.BinarySearch(o.blocks[i], prefix)
	for ; i < len(o.blocks); i, j = i+1, 0 {
		for _, key := range o.blocks[i][j:] {
			if !strings.HasPrefix(key, prefix) {
				return
			}
			do(key, o.at[key])
		}
	}
}
