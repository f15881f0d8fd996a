package replica

import (
	"go.etcd.io/raft/v3"

	"trine/internal/core"
)

func (c *group) Ready(rd *Ready) bool {
	rd.Reset()
	if c.node != nil {
		c.reconfigure()
		for c.node.HasReady() {
			c.drain()
		}
	}
	c.stateToWrite()
	var wrote bool
	if rd.Writes, wrote = c.disk.write(rd.Writes, c.cfg.Stream, &c.tail); wrote {
		c.busyAt = c.now
	}
	c.settle()
	rd.Sends = append(rd.Sends, c.sends...)
	clear(c.sends)
	c.sends, c.sizes = c.sends[:0], c.sizes[:0]
	rd.Committed, rd.Changed = c.committed, c.changed
	more := len(rd.Writes) > 0 || len(rd.Sends) > 0 || rd.Changed || c.committed != c.gave
	c.changed, c.gave = false, c.committed
	return more
}

// drain takes one of raft's Readys into what this copy will write and send.
func (c *group) drain() {
	rd := c.node.Ready()
	if rd.Snapshot.Metadata.Index != 0 {
		c.install(core.Index(rd.Snapshot.Metadata.Index), rd.Snapshot.Metadata.ConfState)
	}
	c.sync(rd.Entries)
	if !raft.IsEmptyHardState(rd.HardState) {
		c.changed = c.changed || rd.Term != c.state.Term
		c.state, c.committed = rd.HardState, core.Index(rd.Commit)
	}
	if rd.SoftState != nil {
		c.role(rd.SoftState)
	}
	for i := range rd.Messages {
		switch m := &rd.Messages[i]; m.To {
		case raft.LocalAppendThread:
			if len(m.Responses) > 0 {
				c.waits = append(c.waits, wait{0, m.Responses})
			}
		case raft.LocalApplyThread:
		default:
			c.send(m)
		}
	}
	clear(c.views)
	c.views = c.views[:0]
	clear(c.staged)
	c.staged, c.given = c.staged[:0], nil
	if !c.disk.pending(&c.tail) && !c.stateChanged() && len(c.disk.flying) == 0 {
		c.settle()
	}
}

// settle ties what waits to the write that it waits for: the last one given out.
// Where none is under way it has nothing to wait for.
func (c *group) settle() {
	for i := range c.waits {
		if w := &c.waits[i]; w.write == 0 {
			w.write = c.disk.id
		}
	}
	if len(c.disk.flying) == 0 && len(c.waits) > 0 {
		waits := c.waits
		c.waits = nil
		for _, w := range waits {
			c.tell(w.msgs)
		}
	}
}

// sync makes the tail what raft's log is, given the entries that are new in it.
func (c *group) sync(es []raftEntry) {
	for i := range es {
		e := &es[i]
		index := core.Index(e.Index)
		if epoch, ok := c.tail.EpochAt(index); ok {
			if uint64(epoch) == e.Term && index >= c.disk.from {
				continue // proposed here
			}
			c.tail.cut(index)
			c.disk.cutting(index)
		}
		c.tail.append(c.whole(e))
	}
}

// whole gives the entry that raft means: one that was received, or raft's own.
func (c *group) whole(e *raftEntry) core.Entry {
	for i := len(c.staged) - 1; i >= 0; i-- {
		if s := &c.staged[i]; s.Index == core.Index(e.Index) && uint64(s.Epoch) == e.Term {
			return *s
		}
	}
	return core.Entry{Index: core.Index(e.Index), Epoch: core.Epoch(e.Term), Gen: c.cfg.Gen,
		Kind: kindOf(e), Base: c.tail.Next(), Data: e.Data}
}

// install replaces the log by the checkpoint that raft has accepted.
func (c *group) install(index core.Index, members raftMembers) {
	var cp *core.Checkpoint
	for _, g := range c.given {
		if g.Index == index {
			cp = g
		}
	}
	core.Assert(cp != nil, "raft installs a checkpoint that it was given: %d", index)
	c.tail.restore(cp)
	c.disk.installing(cp)
	c.cp, c.members, c.applied = cp, members, cp.Index
}

func (c *group) role(s *raft.SoftState) {
	c.changed = true
	c.lead = core.DiskID(s.Lead)
	if c.leads = s.RaftState == raft.StateLeader; c.leads {
		c.start, c.repairing, c.ticks, c.accounts = c.tail.Last(), 0, 0, nil
		c.owed, c.voters = nil, len(c.members.Voters)
		c.inquiry, c.confirmed = inquiry{}, 0
		c.busyAt = c.now
	}
}

func (c *group) stateChanged() bool {
	return c.state.Term != c.written.Term || c.state.Vote != c.written.Vote
}

// stateToWrite has raft's state written when it changed in term or vote. A higher
// committed index alone asks for no write, but goes with the next: beside an entry
// stands on disk what was known to hold when it was appended, which is what keeps
// a restarted copy from standing for election by outdated members.
func (c *group) stateToWrite() {
	if c.stateChanged() || c.state.Commit != c.written.Commit && c.disk.pending(&c.tail) {
		c.disk.state = &core.HardState{Epoch: core.Epoch(c.state.Term),
			Vote: core.DiskID(c.state.Vote), Commit: core.Index(c.state.Commit)}
		c.written = c.state
	}
}

func (c *group) Status() Status {
	s := Status{Leads: c.leads, Leader: c.lead, Epoch: c.epoch(), Last: c.tail.Last(),
		Persisted: c.disk.persisted, Committed: c.committed, LogEnd: c.tail.Next(),
		Quiet: c.removed || c.quiet, Removed: c.removed, Level: !c.doubtful}
	if c.quiet && !c.removed && c.node != nil && c.cfg.SleepAfter >= 0 {
		s.TickAt = c.busyAt + c.cfg.QuietAfter + c.cfg.SleepAfter
	}
	if c.leads {
		s.InSync, s.MinOK, s.Caught = c.voters, true, c.committed >= c.start
		s.Confirmed = c.confirmed
	}
	return s
}

// Tick counts raft's time.
func (c *group) Tick(now core.Time) {
	c.now = max(c.now, now)
	switch {
	case c.node == nil || c.removed:
	case c.quiet:
		if s := c.Status(); s.Due(c.now) {
			c.sleep()
		}
	case c.doubtful && !c.leads:
	default:
		c.pay()
		c.node.Tick()
		if c.leads {
			c.look()
			c.maybeQuiet()
		}
	}
}
