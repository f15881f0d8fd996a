package replica

import (
	"fmt"

	"trine/internal/core"
	"trine/internal/core/record"
)

// following is a copy under leader-follower replication.
//
//	          Assign: leader is another        RepAppend, RepCheckpoint of the epoch
//	unassigned ------------------------> follows ----> matched grows, answers once written
//	     |                                |   ^
//	     | Assign: leader is this disk    |   | Assign: a higher epoch
//	     +--------------> leads <---------+---+
//	                        peers: probe -> flow <-> install; commit by the policy
//
// An epoch has one leader, and a copy leads in an epoch once only: an entry is
// known by (index, epoch), so a restarted leader, whose last entries may be on
// other disks but not on its own, must be given a new epoch first.
type following struct {
	cfg  Config
	tail Tail
	disk disk
	cp   *core.Checkpoint // the last that Compact was given, or the disk had
	now  core.Time

	asg       Assignment
	assigned  bool
	floor     core.Epoch // an earlier run of this copy was in it, and may have led it
	gave      core.Index // the committed index that Ready gave last
	fenced    core.Epoch // somebody knows this epoch, above the assigned one
	committed core.Index
	applied   core.Index
	changed   bool
	sends     []*core.Replicate

	// As a follower.
	matched core.Index // the log is the leader's up to here
	acked   core.Index // the last answer said so
	ackDue  bool
	hurt    bool              // this disk lacks something: the answers say so
	level   bool              // since the epoch began: everything that held was here
	held    []*core.Replicate // of an epoch that is not assigned yet

	// As the leader.
	leads  bool
	start  core.Index // where the log ended when the epoch began
	stated uint64     // the write that says that this epoch is led here; its entries wait for it
	yield  core.Time  // 0, or: no proposals until then
	peers  []peer
	wishes []InSyncChange
}

// NewFollowing makes a copy under leader-follower replication from what its disk
// has; rec is nil for a new one.
func NewFollowing(cfg Config, rec *core.Recovered) Copy {
	cfg.defaults()
	c := &following{cfg: cfg, tail: recoverTail(rec)}
	if rec != nil {
		c.cp = rec.Checkpoint
		c.floor = rec.State.Epoch
		c.committed = max(c.tail.base, min(rec.State.Commit, c.tail.Last()))
		c.applied = c.tail.base
	}
	c.disk.persisted, c.disk.from = c.tail.Last(), c.tail.Last()+1
	return c
}

func (c *following) Tail() *Tail { return &c.tail }

func (c *following) Assign(now core.Time, a Assignment) {
	c.now = max(c.now, now)
	if a.Gen != c.cfg.Gen || c.assigned && a.Epoch < c.asg.Epoch {
		return
	}
	fresh := !c.assigned || a.Epoch > c.asg.Epoch
	c.asg, c.assigned, c.changed = a, true, true
	c.cfg.Policy = a.Policy
	if fresh {
		c.begin()
	}
	if c.leads {
		c.setPeers()
		c.state()
		c.commit()
	}
	held := c.held
	c.held = nil
	for _, m := range held {
		c.Step(now, m)
	}
}

// begin starts an epoch, in the role that it gives to this copy.
func (c *following) begin() {
	if c.fenced <= c.asg.Epoch {
		c.fenced = 0
	}
	c.matched, c.acked, c.ackDue, c.level = 0, 0, false, false
	c.peers, c.wishes, c.stated, c.yield = nil, nil, 0, 0
	again := c.asg.Epoch <= c.floor && len(c.asg.Members) > 1
	c.leads = c.asg.Leader == c.cfg.Self && !again && c.tail.LastEpoch() <= c.asg.Epoch
	c.start = c.tail.Last()
}

// state makes sure that the disk knows of this leadership before another copy sees
// an entry of its epoch.
func (c *following) state() {
	if c.stated == 0 && len(c.peers) > 0 {
		c.disk.state = &core.HardState{Epoch: c.asg.Epoch, Vote: c.cfg.Self, Commit: c.committed}
		c.stated = c.disk.id + 1
	}
}

// stating says that the write of state is not complete.
func (c *following) stating() bool {
	return c.disk.state != nil || len(c.disk.flying) > 0 && c.disk.flying[0].id <= c.stated
}

func (c *following) Step(now core.Time, m *core.Replicate) {
	c.now = max(c.now, now)
	if m.Gen != c.cfg.Gen || m.To != c.cfg.Self || !sound(m) {
		return
	}
	switch m.Type {
	case core.RepAppend, core.RepCheckpoint:
		c.follow(m)
	case core.RepAppendAnswer:
		if m.Epoch > c.asg.Epoch && m.Epoch > c.fenced {
			c.fenced, c.changed = m.Epoch, true
		}
		if c.leads && m.Epoch == c.asg.Epoch {
			c.answered(m)
		}
	}
}

func (c *following) Propose(now core.Time, es []core.Entry) error {
	c.now = max(c.now, now)
	if err := c.refuses(); err != nil {
		return err
	}
	for i := range c.peers {
		if p := &c.peers[i]; p.match == c.tail.Last() {
			p.caughtAt = c.now
		}
	}
	number(es, &c.tail, c.asg.Epoch, c.cfg.Gen)
	c.tail.append(es...)
	return nil
}

func (c *following) refuses() error {
	e := &core.Error{Op: "propose", Epoch: c.asg.Epoch}
	switch {
	case c.leads && c.fenced == 0 && c.yield == 0:
		return nil
	case c.leads && c.fenced == 0:
		e.Kind, e.Detail = core.Unavailable, "the leadership is being handed over"
	case c.leads:
		e.Kind, e.Detail = core.NotLeader, fmt.Sprintf("epoch %d has begun", c.fenced)
	case c.asg.Leader == c.cfg.Self:
		e.Kind, e.Detail = core.NoLeader, "this copy led the epoch in an earlier run"
	case c.asg.Leader == 0:
		e.Kind = core.NoLeader
	default:
		e.Kind, e.Leader = core.NotLeader, c.nodeOf(c.asg.Leader)
	}
	return e
}

func (c *following) nodeOf(d core.DiskID) core.NodeID {
	for _, m := range c.asg.Members {
		if m.Disk == d {
			return m.Node
		}
	}
	return 0
}

// number gives entries their places after the tail's last.
func number(es []core.Entry, t *Tail, epoch core.Epoch, gen core.Generation) {
	index, base := t.Last(), t.Next()
	for i := range es {
		e := &es[i]
		index++
		e.Index, e.Epoch, e.Gen, e.Base = index, epoch, gen, base
		if e.Kind == core.EntryBatch {
			record.SetBase(e.Data, base, epoch)
		}
		base = e.Next()
	}
}

func (c *following) Persisted(write uint64) {
	c.disk.done(write)
	switch {
	case c.leads:
		c.commit()
	case c.matched > 0 && min(c.matched, c.disk.persisted) > c.acked:
		c.ackDue = true
	}
}

func (c *following) Applied(through core.Index) { c.applied = max(c.applied, through) }

func (c *following) Checkpoint(cp *core.Checkpoint) { describe(cp, &c.tail, c.applied, c.cfg.Gen) }

// describe fills what the tail knows of the place after an applied entry.
func describe(cp *core.Checkpoint, t *Tail, applied core.Index, gen core.Generation) {
	cp.Gen = gen
	if e := t.Entry(applied); e != nil {
		cp.Index, cp.Epoch, cp.Next = e.Index, e.Epoch, e.Next()
		return
	}
	core.Assert(applied == t.base, "applied %d is in the tail above %d", applied, t.base)
	cp.Index, cp.Epoch, cp.Next = t.base, t.epoch, t.next
}

func (c *following) Compact(cp *core.Checkpoint) {
	c.cp = cp
	keep := cp.Index
	if c.leads {
		for i := range c.peers {
			if p := &c.peers[i]; !p.down && p.state == flow {
				keep = min(keep, p.match)
			}
		}
	}
	compact(&c.tail, keep, cp.Index, c.cfg.TailBytesMax)
}

// compact drops entries up to keep, and further, up to most, while what stays
// is above a budget.
func compact(t *Tail, keep, most core.Index, bytesMax int) {
	size := t.bytes
	i := t.First()
	for ; i <= min(most, t.Last()) && (i <= keep || size > bytesMax); i++ {
		size -= t.Entry(i).Size()
	}
	t.drop(i - 1)
}

func (c *following) Hurt(now core.Time, hurt bool) {
	c.now = max(c.now, now)
	if c.hurt != hurt {
		c.hurt = hurt
		c.ackDue = c.ackDue || !c.leads && (c.level || c.matched > 0)
	}
}

func (c *following) Campaign(core.Time) {}

func (c *following) Forget(core.Time, core.DiskID) {}

// yieldFor is how long a copy that hands over takes no proposals, if no other
// epoch comes.
const yieldFor = 5 * core.Second

func (c *following) Yield(now core.Time, to core.DiskID) {
	c.now = max(c.now, now)
	switch {
	case !c.leads:
	case to == c.cfg.Self:
		c.yield, c.changed = 0, true
	default:
		c.changed = c.changed || c.yield == 0
		c.yield = c.now + yieldFor
	}
}

func (c *following) Tick(now core.Time) {
	c.now = max(c.now, now)
	if !c.leads {
		return
	}
	if c.yield != 0 && c.now >= c.yield {
		c.yield, c.changed = 0, true
	}
	for i := range c.peers {
		c.tickPeer(&c.peers[i])
	}
}

func (c *following) Ready(rd *Ready) bool {
	rd.Reset()
	rd.Writes, _ = c.disk.write(rd.Writes, c.cfg.Stream, &c.tail)
	if c.leads {
		c.commit()
		for i := range c.peers {
			c.feed(&c.peers[i])
		}
	} else if c.ackDue && c.disk.barriers == 0 {
		c.ack()
	}
	rd.Sends = append(rd.Sends, c.sends...)
	clear(c.sends)
	c.sends = c.sends[:0]
	rd.InSync = append(rd.InSync, c.wishes...)
	c.wishes = c.wishes[:0]
	rd.Committed, rd.Changed = c.committed, c.changed
	more := len(rd.Writes) > 0 || len(rd.Sends) > 0 || len(rd.InSync) > 0 || rd.Changed ||
		c.committed != c.gave
	c.changed, c.gave = false, c.committed
	return more
}

func (c *following) Status() Status {
	s := Status{Leads: c.leads && c.fenced == 0, Leader: c.asg.Leader, Epoch: c.asg.Epoch,
		Last: c.tail.Last(), Persisted: c.disk.persisted, Committed: c.committed,
		LogEnd: c.tail.Next(), InSync: c.inSync(), Quiet: c.quiet()}
	s.MinOK = s.InSync >= c.minInSync()
	s.Level = c.level
	s.Caught = c.leads && c.committed >= c.start
	return s
}

func (c *following) send(m *core.Replicate) {
	m.Stream, m.Gen, m.From, m.Epoch = c.cfg.Stream, c.cfg.Gen, c.cfg.Self, c.asg.Epoch
	c.sends = append(c.sends, m)
}
