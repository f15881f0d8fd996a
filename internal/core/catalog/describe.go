package catalog

import (
	"fmt"
	"slices"
	"strings"

	"trine/internal/core"
)

// Condition says why a stream has a leader or none, as far as the catalog knows.
type Condition uint8

// The conditions.
const (
	Led      Condition = 1 + iota // a copy leads it
	Elects                        // Raft: its copies see to it themselves
	Away                          // it waits for the node of a copy that may lead
	Doubtful                      // it waits for reports: every copy that counts may lack something
	Lost                          // every copy that counts was on a disk that is gone
)

func (x Condition) String() string {
	return [...]string{"not there", "led", "elects", "away", "doubtful", "lost"}[x]
}

// Condition gives a stream's condition; 0: there is no such stream.
func (c *Catalog) Condition(id core.StreamID) Condition {
	st := c.streams[id]
	switch {
	case st == nil:
		return 0
	case c.lost(st):
		return Lost
	case st.Policy.Raft():
		return Elects
	case st.Leader != 0:
		return Led
	case len(st.doubt) > 0:
		return Doubtful
	}
	return Away
}

func (c *Catalog) lost(st *stream) bool {
	return !slices.ContainsFunc(st.Members, func(m core.Member) bool {
		return m.InSync && c.bound(m.Disk)
	})
}

// Describe gives the whole catalog as text, for stories and operators.
func (c *Catalog) Describe() string {
	var b strings.Builder
	for _, id := range c.nodeIDs {
		fmt.Fprintln(&b, c.describeNode(c.nodes[id]))
	}
	voters := &strings.Builder{}
	c.describeMembers(voters, c.streams[core.CatalogStream])
	fmt.Fprintf(&b, "voters%s\n", voters)
	c.names.each("", func(_ string, st *stream) { fmt.Fprintln(&b, c.DescribeStream(st.ID)) })
	c.documents.each("", func(key string, d *core.Document) {
		fmt.Fprintf(&b, "document %s = %q, revision %d%s\n",
			key, d.Value, d.Revision, describeOwner(d.Owner))
	})
	if c.unfinished {
		fmt.Fprintln(&b, "growing")
	}
	return b.String()
}

func (c *Catalog) describeNode(n *node) string {
	s := fmt.Sprintf("node %d disk %x run %x", n.Node, uint64(n.Disk), uint64(n.Incarnation))
	if n.rack != "" {
		s += " rack " + n.rack
	}
	switch {
	case n.Incarnation == 0:
		s += ", never registered"
	case !n.alive:
		s += ", fenced"
	case n.leaving:
		s += ", leaving"
	}
	return s + fmt.Sprintf(": %d copies, first of %d", c.on[n.Disk].size(), n.firsts)
}

// DescribeStream gives one stream on one line: its leader, epoch, generation and
// members, the ones in sync with a star.
func (c *Catalog) DescribeStream(id core.StreamID) string {
	st := c.streams[id]
	if st == nil {
		return fmt.Sprintf("stream %d: not there", id)
	}
	b := &strings.Builder{}
	fmt.Fprintf(b, "stream %s (%s %d): %s",
		st.Name, st.Policy.Mode(), st.Policy.Copies, c.Condition(id))
	if st.Leader != 0 {
		fmt.Fprintf(b, " by %d", st.Leader)
	}
	fmt.Fprintf(b, ", epoch %d, copies", st.Epoch)
	c.describeMembers(b, st)
	if st.Gen > 1 {
		fmt.Fprintf(b, ", generation %d after seal %d", st.Gen, st.seal)
	}
	if st.Changing {
		fmt.Fprintf(b, ", changing to %s %d", st.want.Mode(), st.want.Copies)
	}
	if st.to != nil {
		fmt.Fprintf(b, ", moving to %v", st.to)
	}
	for _, d := range st.doubt {
		fmt.Fprintf(b, ", doubt of disk %x", uint64(d))
	}
	for _, t := range st.told {
		fmt.Fprintf(b, ", disk %x ends at (%d, %d)", uint64(t.disk), t.epoch, t.index)
	}
	b.WriteString(describeOwner(st.Owner))
	return b.String()
}

func (c *Catalog) describeMembers(b *strings.Builder, st *stream) {
	for _, m := range st.Members {
		fmt.Fprintf(b, " %d", m.Node)
		if n := c.nodes[m.Node]; n.Disk != m.Disk {
			fmt.Fprintf(b, "(disk %x, gone)", uint64(m.Disk))
		}
		if m.InSync {
			b.WriteByte('*')
		}
	}
}

func describeOwner(o core.Owner) string {
	if o == (core.Owner{}) {
		return ""
	}
	return fmt.Sprintf(", owned by node %d run %x connection %d",
		o.Node, uint64(o.Incarnation), o.Conn)
}
