package replica

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"trine/internal/core"
)

// A group's members are what its own log says: every change is an entry, and a
// checkpoint holds what came of them. The group begins with Config.Members, which
// every copy is given alike, also one that joined later: it replays the changes.

// foundMembers takes the members from the checkpoint, or, where that is older than
// the group, those that the group began with.
func (c *group) foundMembers() (err error) {
	if c.cp != nil && c.cp.Gen == c.cfg.Gen && len(c.cp.Members) > 0 {
		c.members, err = decodeMembers(c.cp.Members)
		return err
	}
	for _, m := range c.cfg.Members {
		if m.InSync {
			c.members.Voters = append(c.members.Voters, uint64(m.Disk))
		}
	}
	if len(c.members.Voters) == 0 {
		return fmt.Errorf("none of its %d first members votes", len(c.cfg.Members))
	}
	slices.Sort(c.members.Voters)
	if c.cp != nil {
		cp := *c.cp // as another copy of this generation needs it
		cp.Gen, cp.Members = c.cfg.Gen, encodeMembers(c.members)
		c.cp = &cp
	}
	return nil
}

func isMember(m raftMembers, id uint64) bool {
	return slices.Contains(m.Voters, id) || slices.Contains(m.Learners, id) ||
		slices.Contains(m.VotersOutgoing, id) || slices.Contains(m.LearnersNext, id)
}

// peerView is what raft's leader knows of a member.
type peerView struct {
	disk    core.DiskID
	match   core.Index
	flows   bool // it takes entries as they come
	behind  bool // it waits for a checkpoint
	active  bool // heard of lately
	learner bool
}

func (c *group) eachPeer(fn func(peerView)) {
	c.node.WithProgress(func(id uint64, typ raft.ProgressType, p tracker.Progress) {
		fn(peerView{core.DiskID(id), core.Index(p.Match), p.State == tracker.StateReplicate,
			p.State == tracker.StateSnapshot, p.RecentActive, typ == raft.ProgressTypeLearner})
	})
}

// look has the leader look at its members, every few ticks.
func (c *group) look() {
	if c.ticks++; c.ticks%beatTicks != 0 {
		return
	}
	voters := 0
	last := c.tail.Last()
	c.eachPeer(func(p peerView) {
		a := c.account(p.disk)
		if p.match >= last {
			a.caughtAt = c.now
		}
		if p.active || p.disk == c.cfg.Self {
			a.heardAt = c.now
		}
		if !p.learner && c.now-a.heardAt <= heardWithin {
			voters++
		}
	})
	if voters != c.voters {
		c.voters, c.changed = voters, true
	}
	// A checkpoint may have been lost on the way, or given up by who got it.
	if c.ticks%int(installAfter/TickEvery) == 0 {
		c.eachPeer(func(p peerView) {
			if p.behind && p.active {
				c.node.ReportSnapshot(uint64(p.disk), raft.SnapshotFailure)
			}
		})
	}
}

// heardWithin is longer than raft takes to mark a peer heard of that it has just
// marked silent.
const heardWithin = 8 * TickEvery

// account gives what is remembered of a member beside raft's own account.
func (c *group) account(d core.DiskID) *account {
	for i := range c.accounts {
		if c.accounts[i].disk == d {
			return &c.accounts[i]
		}
	}
	c.accounts = append(c.accounts, account{d, c.now, c.now})
	return &c.accounts[len(c.accounts)-1]
}

// nextChange is the next change of members and whom it concerns; 0: none.
func (c *group) nextChange() change {
	ch, _ := c.wanted()
	return ch
}

// wanted gives the next step from the members there are to those wished for:
// learners are added first, then promoted as they catch up; who is not wished for
// goes last, and a leader not before it has handed over.
func (c *group) wanted() (change, core.DiskID) {
	if !c.assigned || len(c.asg.Members) == 0 || !c.leads {
		return 0, 0
	}
	for _, m := range c.asg.Members {
		if !isMember(c.members, uint64(m.Disk)) {
			return addLearner, m.Disk
		}
	}
	for _, d := range c.asg.Learners {
		if !isMember(c.members, uint64(d)) {
			return addLearner, d
		}
	}
	for _, m := range c.asg.Members {
		if slices.Contains(c.members.Learners, uint64(m.Disk)) {
			return promote, m.Disk
		}
	}
	for _, id := range c.members.Learners {
		if d := core.DiskID(id); !c.wished(d) && !slices.Contains(c.asg.Learners, d) {
			return remove, d
		}
	}
	for _, id := range c.members.Voters {
		if d := core.DiskID(id); d != c.cfg.Self && !c.wished(d) {
			return remove, d // as a learner it comes again, where it is to be one
		}
	}
	if !c.wished(c.cfg.Self) {
		return remove, c.cfg.Self
	}
	return 0, 0
}

func (c *group) wished(d core.DiskID) bool {
	return slices.ContainsFunc(c.asg.Members, func(m core.Member) bool { return m.Disk == d })
}

// reconfigure proposes the next step, once the one before is applied.
func (c *group) reconfigure() {
	if !c.leads || c.applied < c.start || c.quiet {
		return
	}
	ch, d := c.wanted()
	if ch == 0 || c.changing() || c.node.BasicStatus().LeadTransferee != 0 {
		return
	}
	switch {
	case ch == remove && d == c.cfg.Self:
		c.Yield(c.now, 0)
		return
	case ch == promote && !c.ripe(d):
		return
	}
	es := []core.Entry{{Kind: core.EntryMembers, Data: encodeChange(ch, d)}}
	number(es, &c.tail, c.epoch(), c.cfg.Gen)
	if c.node.Step(c.proposal(es)) == nil {
		c.staged = append(c.staged, es...)
		c.busyAt = c.now
	}
}

// changing says whether a change of members is in the log and not applied.
func (c *group) changing() bool {
	for i := c.applied + 1; i <= c.tail.Last(); i++ {
		if e := c.tail.Entry(i); e != nil && e.Kind == core.EntryMembers {
			return true
		}
	}
	return false
}

// ripe says whether a learner has all that holds: as a voter it holds nobody up.
func (c *group) ripe(d core.DiskID) bool {
	ok := false
	c.eachPeer(func(p peerView) {
		ok = ok || p.disk == d && p.flows && p.active && p.match >= c.committed
	})
	return ok
}

// stranger says whether m comes from a disk that is no member and is not about to
// be one. It may not have seen the entry that removed it: the leader tells it. A
// copy that does not lead may be behind itself, unless it is quiet.
func (c *group) stranger(m *core.Replicate) bool {
	if !c.leads {
		return c.quiet && !isMember(c.members, uint64(m.From))
	}
	votes := m.Type == core.RepVote || m.Type == core.RepPreVote
	if isMember(c.members, uint64(m.From)) || c.wished(m.From) ||
		slices.Contains(c.asg.Learners, m.From) || c.applied < c.start ||
		m.Epoch > c.epoch() && !votes {
		return false
	}
	c.post(&core.Replicate{Type: core.RepQuiet, From: c.cfg.Self, To: m.From, Epoch: c.epoch(),
		Index: c.applied, Reject: true}, 0)
	return true
}

// Yield hands over to a voter: the one named, or the one with the longest log,
// wished for rather than not.
func (c *group) Yield(now core.Time, to core.DiskID) {
	c.now = max(c.now, now)
	if !c.leads || to == c.cfg.Self {
		return
	}
	c.wake()
	if to == 0 {
		if c.node == nil {
			return
		}
		best := peerView{match: -1}
		c.eachPeer(func(p peerView) {
			better := c.wished(p.disk) && !c.wished(best.disk) ||
				c.wished(p.disk) == c.wished(best.disk) && p.match > best.match
			if p.disk != c.cfg.Self && !p.learner && p.active && better {
				best = p
			}
		})
		to = best.disk
	}
	if slices.Contains(c.members.Voters, uint64(to)) {
		c.node.TransferLeader(uint64(to))
		c.changed = true
	}
}

func (c *group) Progress(now core.Time) []Progress {
	if !c.leads || c.node == nil {
		return nil
	}
	c.now = max(c.now, now)
	var ps []Progress
	last := c.tail.Last()
	c.eachPeer(func(p peerView) {
		out := Progress{Disk: p.disk, Match: p.match, InSync: !p.learner}
		if p.match < last {
			out.Lag = c.now - c.account(p.disk).caughtAt
		}
		ps = append(ps, out)
	})
	return ps
}
