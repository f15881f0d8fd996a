package catalog

import (
	"trine/internal/core"
)

// Apply carries out one command, of the catalog's entry at index, and gives its
// result: an encoded Result. Bytes that are no command change nothing.
func (c *Catalog) Apply(index core.Index, command []byte) []byte {
	core.Assert(index > c.applied, "catalog entry %d applied after %d", index, c.applied)
	c.applied = index
	r := &reader{b: command}
	if r.byte() != version {
		r.fail("its version is not known")
	}
	if err := r.end("decode command"); err != nil {
		return Result{Kind: core.Invalid, Detail: r.why}.Encode()
	}
	return Result{}.Encode()
}

func empty(cluster uint64) *Catalog { return &Catalog{cluster: cluster} }

func (c *Catalog) addNode(id core.NodeID) *node           { return &node{} }
func (c *Catalog) addStream(st *stream)                   {}
func (c *Catalog) growing() bool                          { return len(c.short) > 0 }
func (c *Catalog) asks(st *stream, disk core.DiskID) bool { return false }

// Encode gives the whole catalog: equal catalogs give equal bytes.
func (c *Catalog) Encode() []byte { return nil }

// Decode reads what Encode gave. Everything in it counts as changed.
func Decode(b []byte) (*Catalog, error) { return nil, nil }

// Replace says that c takes the place of old: what old had and c has not is gone.
func (c *Catalog) Replace(old *Catalog) {}

// Describe gives the whole catalog as text, for stories and operators.
func (c *Catalog) Describe() string { return "" }
