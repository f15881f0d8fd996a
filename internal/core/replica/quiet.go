package replica

import "trine/internal/core"

// A group without work stops its beats: the leader tells all members that they
// have everything, and they wait for no beat from then on; that its node lives the
// nodes' own beats say. Quiet for longer, a copy gives raft's state back. Woken it
// is a follower that knows no leader, and the last leader stands for election.

// maybeQuiet stops the leader's beats when all have everything for long enough.
func (c *group) maybeQuiet() {
	if c.now-c.busyAt < c.cfg.QuietAfter || c.nextChange() != 0 {
		return
	}
	last := c.tail.Last()
	all := c.committed == last && c.applied == last && c.disk.persisted == last &&
		len(c.disk.flying) == 0 && c.node.BasicStatus().LeadTransferee == 0 && !c.node.HasReady()
	c.eachPeer(func(p peerView) {
		all = all && (p.disk == c.cfg.Self || p.match == last && p.active)
	})
	if !all {
		return
	}
	c.quiet = true
	c.eachPeer(func(p peerView) {
		if p.disk != c.cfg.Self {
			c.post(&core.Replicate{Type: core.RepQuiet, From: c.cfg.Self, To: p.disk,
				Epoch: c.epoch(), Index: last, LogEpoch: c.tail.LastEpoch(), Commit: last}, 0)
		}
	})
}

// hush takes RepQuiet: this copy goes quiet too if it has everything, and else
// stays awake, which wakes its leader soon. Reject says: no member any more.
func (c *group) hush(m *core.Replicate) {
	if m.Reject {
		if m.Epoch >= c.epoch() && !c.leads {
			c.removed, c.changed = true, true
		}
		return
	}
	if c.node == nil || c.leads || m.Epoch != c.epoch() {
		return
	}
	if m.Index != c.tail.Last() || m.LogEpoch != c.tail.LastEpoch() ||
		m.Index != c.disk.persisted || c.lead != m.From || c.node.HasReady() {
		return
	}
	if c.committed < m.Commit {
		_ = c.node.Step(beatMessage(m.From, m.Epoch, m.Commit))
	}
	c.quiet, c.busyAt = true, c.now-c.cfg.QuietAfter
}

// wake undoes quiet and sleep.
func (c *group) wake() {
	if c.node == nil {
		own := c.leads
		if c.build(); own {
			c.stand()
		}
	}
	if !c.quiet {
		return
	}
	c.quiet, c.busyAt = false, c.now
	if c.leads {
		// Nobody was asked, so nobody's silence counts.
		c.eachPeer(func(p peerView) {
			if p.disk != c.cfg.Self {
				_ = c.node.Step(aliveMessage(p.disk, c.epoch()))
			}
		})
		for range beatTicks {
			c.node.Tick()
		}
	}
}

// sleep gives raft's state back, keeping what build needs.
func (c *group) sleep() {
	if c.node.HasReady() || len(c.sends) > 0 || len(c.waits) > 0 || len(c.disk.flying) > 0 ||
		c.applied != c.committed || c.stateChanged() || c.disk.pending(&c.tail) {
		return
	}
	c.node, c.views, c.staged, c.waits, c.accounts = nil, nil, nil, nil, nil
	c.sends, c.sizes, c.owed = nil, nil, nil
}

// stand has a copy whose members know it as their leader ask for their votes, as
// after a transfer to itself: no lease stands against it.
func (c *group) stand() {
	_ = c.node.Step(standMessage(c.cfg.Self, c.epoch()))
}
