package shard

import (
	"hash/fnv"

	"trine/internal/core"
)

// Digest is what one copy has applied, for comparing copies: equal indexes must have
// equal sums.
type Digest struct {
	Stream core.StreamID
	Name   string
	Leads  bool
	Done   core.Index
	Next   core.Offset
	Sum    uint64
}

// Digests gives a Digest of every copy on this disk. It is for tests: it encodes all.
func (s *Shard) Digests() []Digest {
	var ds []Digest
	for _, c := range s.list {
		h := fnv.New64a()
		h.Write(c.mem.Encode())
		switch {
		case c == s.agreed:
			h.Write(s.encodeCatalog())
		case c.q != nil:
			h.Write(c.q.Encode())
		}
		ds = append(ds, Digest{c.id, s.nameOf(c), c.leads, c.done, c.next, h.Sum64()})
	}
	return ds
}
