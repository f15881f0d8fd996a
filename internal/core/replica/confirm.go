package replica

import "trine/internal/core"

// A copy that leads and could not be heard for a while may have been superseded, and does
// not know it: the next answers that it gets may be to what it said long before. Before
// its word counts again it asks the voters for their epochs, under a number of its
// caller's: who has voted for another knows a higher one, and of any later leader's
// votes every majority holds one.
//
//	Confirm(n) ── RepReadIndex{epoch, Hint: n} ──▶ voters ── RepReadIndexAnswer{their
//	epoch, n} ──▶ a majority in this epoch: Status().Confirmed = n; a higher one: it ends

// inquiry is what a leader has heard under a number.
type inquiry struct {
	number core.Index
	heard  []core.DiskID
}

func (c *group) Confirm(now core.Time, number uint64) {
	c.now = max(c.now, now)
	if !c.leads {
		return
	}
	if c.inquiry.number != core.Index(number) {
		c.inquiry = inquiry{number: core.Index(number)}
	}
	for _, id := range c.members.Voters {
		if d := core.DiskID(id); d != c.cfg.Self {
			c.post(&core.Replicate{Type: core.RepReadIndex, From: c.cfg.Self, To: d,
				Epoch: c.epoch(), Hint: core.Index(number)}, 0)
		}
	}
	c.hear(c.cfg.Self)
}

// asked answers a leader that asks for this voter's epoch. What it voted counts from the
// moment of the vote, written or not.
func (c *group) asked(m *core.Replicate) {
	if c.doubtful {
		return // it may have forgotten a vote
	}
	c.post(&core.Replicate{Type: core.RepReadIndexAnswer, From: c.cfg.Self, To: m.From,
		Epoch: max(c.epoch(), c.termNow()), Hint: m.Hint}, 0)
}

// termNow gives the epoch that raft is in, which may be ahead of its last Ready.
func (c *group) termNow() core.Epoch {
	if c.node == nil {
		return 0
	}
	return core.Epoch(c.node.BasicStatus().Term)
}

// told takes a voter's epoch.
func (c *group) told(m *core.Replicate) {
	switch {
	case !c.leads || m.Hint != c.inquiry.number:
	case m.Epoch == c.epoch():
		c.hear(m.From)
	case m.Epoch > c.epoch():
		c.wake()
		_ = c.node.Step(aliveMessage(m.From, m.Epoch)) // raft follows the higher epoch
	}
}

func (c *group) hear(d core.DiskID) {
	q := &c.inquiry
	for _, h := range q.heard {
		if h == d {
			return
		}
	}
	q.heard = append(q.heard, d)
	n := 0
	for _, h := range q.heard {
		for _, id := range c.members.Voters {
			if core.DiskID(id) == h {
				n++
			}
		}
	}
	if n > len(c.members.Voters)/2 && c.confirmed < uint64(q.number) {
		c.confirmed, c.changed = uint64(q.number), true
	}
}

// Confirm is the catalog's business under leader-follower.
func (c *following) Confirm(core.Time, uint64) {}

// Hurt is known to Raft as doubt only: what it counts lies in the tail.
func (c *group) Hurt(core.Time, bool) {}
