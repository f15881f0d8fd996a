package replica

import (
	"slices"

	"trine/internal/core"
)

// send translates what raft says, and queues it.
func (c *group) send(m *raftMessage) {
	out, ok := outgoing(m)
	if !ok {
		return
	}
	size := 0
	switch out.Type {
	case core.RepAppendAnswer:
		if c.doubtful {
			out.Vote = c.cfg.Self
		}
	case core.RepVote, core.RepPreVote, core.RepVoteAnswer, core.RepPreVoteAnswer:
		c.hints(out)
	}
	switch m.Type {
	case raftAppend:
		if n := len(m.Entries); n > 0 {
			out.Entries = c.tail.Slice(core.Index(m.Entries[0].Index),
				core.Index(m.Entries[n-1].Index), 1<<62)
			if !same(out.Entries, m.Entries) {
				return // overwritten since: raft sends again what still counts
			}
		}
		for i := range out.Entries {
			size += out.Entries[i].Size()
		}
		if len(out.Entries) == 0 && c.owe(out) {
			return
		}
	case raftInstall:
		cp := c.checkpointFor(out.To)
		if cp == nil || m.Snapshot == nil || uint64(cp.Index) != m.Snapshot.Metadata.Index {
			return
		}
		out.Checkpoint = cp
		out.Index, out.LogEpoch = out.Checkpoint.Index, out.Checkpoint.Epoch
	}
	c.post(out, size)
}

// post queues a message. What a turn has to say to a copy in several appends, or
// answers to appends, goes in one.
func (c *group) post(m *core.Replicate, size int) {
	m.Stream, m.Gen = c.cfg.Stream, c.cfg.Gen
	if m.Type == core.RepAppend {
		c.owed = slices.DeleteFunc(c.owed, func(o *core.Replicate) bool { return o.To == m.To })
	}
	for i := len(c.sends) - 1; i >= 0; i-- {
		last := c.sends[i]
		if last.To != m.To {
			continue
		}
		if last.Type != m.Type || last.Epoch != m.Epoch || last.Reject || m.Reject {
			break
		}
		switch n := core.Index(len(last.Entries)); {
		case m.Type == core.RepAppendAnswer:
			last.Index = max(last.Index, m.Index)
			return
		case m.Type == core.RepAppend && m.Index == last.Index+n &&
			c.sizes[i]+size <= c.cfg.MessageBytesMax:
			if len(m.Entries) > 0 {
				last.Entries = c.tail.span(last.Index+1, m.Index+core.Index(len(m.Entries)))
			}
			last.Commit = max(last.Commit, m.Commit)
			c.sizes[i] += size
			return
		}
		break
	}
	c.sends, c.sizes = append(c.sends, m), append(c.sizes, size)
}

// owe puts an append aside that only says what holds: most often the next entries
// say it too, before the tick. The catalog's copies shall know at once.
func (c *group) owe(m *core.Replicate) bool {
	flows := false
	if c.leads && c.cfg.Stream != core.CatalogStream {
		c.eachPeer(func(p peerView) {
			flows = flows || p.disk == m.To && p.flows && p.match >= m.Index
		})
	}
	if flows {
		c.owed = slices.DeleteFunc(c.owed, func(o *core.Replicate) bool { return o.To == m.To })
		c.owed = append(c.owed, m)
	}
	return flows
}

// pay sends what is owed.
func (c *group) pay() {
	owed := c.owed
	c.owed = nil
	for _, m := range owed {
		if m.Epoch == c.epoch() && c.leads {
			c.post(m, 0)
		}
	}
}

// same says whether es are the entries that raft means. Equal at the ends is equal
// between: epochs name a log.
func same(es []core.Entry, means []raftEntry) bool {
	n := len(es)
	return n == len(means) && es[0].Index == core.Index(means[0].Index) &&
		uint64(es[0].Epoch) == means[0].Term && uint64(es[n-1].Epoch) == means[n-1].Term
}

// checkpointFor gives the checkpoint as it is sent to a copy. A copy takes only one
// that names it, so it is named as a learner, which no vote counts.
func (c *group) checkpointFor(d core.DiskID) *core.Checkpoint {
	if c.cp == nil {
		return nil
	}
	members, err := decodeMembers(c.cp.Members)
	if err != nil || isMember(members, uint64(d)) {
		return c.cp
	}
	cp := *c.cp
	members.Learners = append(members.Learners, uint64(d))
	cp.Members = encodeMembers(members)
	return &cp
}
