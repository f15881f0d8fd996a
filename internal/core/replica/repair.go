package replica

import "trine/internal/core"

// A disk can lose what it had answered to have. Raft's leader does not look below
// an answer: it would ask for ever, and be refused for ever, as fast as the network
// carries it. So the leader's copy itself sends such a disk what is missing, as
// appends of its epoch, until raft's account of the disk is true again.

// repair takes an answer by a copy that has less than it said before, and says
// whether it did.
func (c *group) repair(m *core.Replicate) bool {
	if !m.Reject && c.repairing != m.From {
		return false
	}
	match := core.Index(0)
	c.eachPeer(func(p peerView) {
		if p.disk == m.From {
			match = p.match
		}
	})
	from := m.Index
	if m.Reject {
		from = m.Hint
	}
	if from >= match {
		if c.repairing == m.From {
			c.repairing = 0
		}
		return false
	}
	if m.Reject {
		from = agreeing(&c.tail, min(from, c.tail.Last()), m.LogEpoch)
	}
	c.repairing = m.From
	epoch, ok := c.tail.EpochAt(from)
	if !ok {
		if cp := c.checkpointFor(m.From); cp != nil {
			c.post(&core.Replicate{Type: core.RepCheckpoint, From: c.cfg.Self, To: m.From,
				Epoch: c.epoch(), Index: cp.Index, LogEpoch: cp.Epoch, Checkpoint: cp}, 0)
		}
		return true
	}
	es := c.tail.Slice(from+1, match, c.cfg.MessageBytesMax)
	c.post(&core.Replicate{Type: core.RepAppend, From: c.cfg.Self, To: m.From, Epoch: c.epoch(),
		Index: from, LogEpoch: epoch, Entries: es,
		Commit: min(c.committed, from+core.Index(len(es)))}, c.cfg.MessageBytesMax)
	return true
}

// A copy in doubt votes for nobody until its leader has vouched for it: its answers
// say that it doubts (Vote), and once it has all that it ever answered to have in
// this epoch, and all that holds, an empty append tells it so (Hint).

// vouch answers a copy that doubts.
func (c *group) vouch(m *core.Replicate) {
	if m.Reject || m.Vote != m.From || c.committed < c.start || m.Index < c.committed {
		return
	}
	match := core.Index(0)
	c.eachPeer(func(p peerView) {
		if p.disk == m.From {
			match = p.match
		}
	})
	if epoch, ok := c.tail.EpochAt(m.Index); ok && m.Index >= match {
		c.post(&core.Replicate{Type: core.RepAppend, From: c.cfg.Self, To: m.From,
			Epoch: c.epoch(), Index: m.Index, LogEpoch: epoch, Commit: c.committed,
			Hint: m.Index}, c.cfg.MessageBytesMax)
	}
}

// vouched ends a copy's doubt where its leader says so.
func (c *group) vouched(m *core.Replicate) {
	epoch, ok := c.tail.EpochAt(m.Hint)
	if c.doubtful && m.Hint > 0 && m.Epoch == c.epoch() && ok && epoch == m.LogEpoch &&
		c.disk.persisted >= m.Hint {
		c.doubtful = false
	}
}

// A disk may have been made a voter, or have ceased to be one, and another not know
// yet that this holds. If its log is the longest nobody may win without it, and it
// does not stand itself. So votes, asked for and answered, say what their sender
// knows to hold (Commit, and in Vote that entry's epoch): where that entry stands in
// the receiver's log too, all up to it holds there.

// hints adds to a vote what is known to hold.
func (c *group) hints(m *core.Replicate) {
	if epoch, ok := c.tail.EpochAt(c.committed); ok {
		m.Commit, m.Vote = c.committed, core.DiskID(epoch)
	}
}

// learn takes from a vote what holds. Raft has no word for it but its
// state at the start, so it starts again, which ends a candidacy: one that is refused
// a vote has lost little.
func (c *group) learn(m *core.Replicate) {
	epoch, ok := c.tail.EpochAt(m.Commit)
	if !ok || m.Commit <= c.committed || core.DiskID(epoch) != m.Vote || c.leads || c.lead != 0 ||
		c.node.HasReady() || c.disk.persisted < m.Commit {
		return
	}
	c.committed, c.state.Commit = m.Commit, uint64(m.Commit)
	c.build()
}
