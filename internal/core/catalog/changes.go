package catalog

import (
	"slices"
	"strings"

	"trine/internal/core"
)

// Changes is what changed since the last call of Catalog.Changes.
type Changes struct {
	Streams   []core.StreamID // new or changed, and still there; sorted
	Gone      []*core.Stream  // removed, as they were last
	Documents []core.Document // in order of their keys; Value nil: deleted
	Nodes     bool
	Losses    []Loss
}

// Loss says that a copy leads which may lack what was acknowledged.
type Loss struct {
	Stream core.StreamID
	Disk   core.DiskID
	Epoch  core.Epoch // of its last entry, where it was reported
	Index  core.Index // its last entry, where it was reported
	Why    string
}

// changed gathers Changes. Its documents are those that changed; what became of
// them is looked up when they are asked for.
type changed struct {
	streams   []core.StreamID
	gone      []*core.Stream
	documents map[string]core.Document
	nodes     bool
	losses    []Loss
}

// Changes gives in out, which is reused, what changed since the last call.
func (c *Catalog) Changes(out *Changes) {
	*out = Changes{Streams: out.Streams[:0], Gone: out.Gone[:0], Documents: out.Documents[:0],
		Losses: out.Losses[:0]}
	for _, id := range c.changed.streams {
		if st := c.streams[id]; st != nil {
			st.dirty = false
			out.Streams = append(out.Streams, id)
		}
	}
	slices.Sort(out.Streams)
	out.Gone = append(out.Gone, c.changed.gone...)
	for _, d := range c.changed.documents {
		out.Documents = append(out.Documents, d)
	}
	slices.SortFunc(out.Documents, func(a, b core.Document) int {
		return strings.Compare(a.Key, b.Key)
	})
	out.Nodes = c.changed.nodes
	out.Losses = append(out.Losses, c.changed.losses...)
	clear(c.changed.gone)
	clear(c.changed.documents)
	c.changed = changed{streams: c.changed.streams[:0], gone: c.changed.gone[:0],
		documents: c.changed.documents, losses: c.changed.losses[:0]}
}
