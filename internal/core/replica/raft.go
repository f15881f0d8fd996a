package replica

import (
	"go.etcd.io/raft/v3"

	"trine/internal/core"
)

// Raft's times, in ticks of TickEvery.
const (
	electionTicks = 10
	beatTicks     = 3
)

// group is a copy under Raft.
//
//	Step, Tick, Propose --> raft.RawNode --Ready--> unstable entries -> tail, one write
//	                             ^                  messages -> Sends
//	                             |                  answers that wait for the write -> waits
//	                             +---- Persisted(write): the waits' own, else -> Sends
//
//	       work                    QuietAfter             SleepAfter
//	awake <---- quiet (no beats) <----------- awake    quiet ----------> asleep (no RawNode)
//
// raft names an entry by index and term; the tail has the entry itself from the
// moment it was proposed or received, so nothing is copied or encoded on the way.
type group struct {
	cfg     Config
	tail    Tail
	disk    disk
	cp      *core.Checkpoint
	now     core.Time
	node    *raft.RawNode // nil: asleep
	members raftMembers   // applied
	state   raftState     // raft's, as of the last Ready
	written raftState     // as of the last write

	applied   core.Index
	committed core.Index
	gave      core.Index
	changed   bool
	leads     bool        // and the entry that begins the epoch is in the tail
	lead      core.DiskID // the leader known here
	start     core.Index  // leads: the entry that began the epoch
	asg       Assignment
	assigned  bool
	removed   bool // a leader said that this disk is no member
	voters    int  // leads: voters heard of lately, itself included

	staged []core.Entry       // received or proposed since the last Ready
	given  []*core.Checkpoint // the same, of checkpoints
	views  []raftEntry
	waits  []wait
	sends  []*core.Replicate
	sizes  []int             // of the entries in sends
	owed   []*core.Replicate // empty appends that say what holds, one a copy: due at the next tick

	quiet     bool
	busyAt    core.Time // when something last happened
	doubtful  bool
	repairing core.DiskID // leads: who lost what it had said to have
	ticks     int         // leads: since the last look at the members
	accounts  []account   // leads
	inquiry   inquiry     // leads
	confirmed uint64      // leads: the number under which a majority was heard last
}

// wait is what raft wants told once a write is complete.
type wait struct {
	write uint64
	msgs  []raftMessage
}

// account is when a member last had everything, and was last heard of.
type account struct {
	disk              core.DiskID
	caughtAt, heardAt core.Time
}

// NewRaft makes a copy under Raft from what its disk has; rec is nil for a new
// one. It refuses what it cannot read of the recovered members.
func NewRaft(cfg Config, rec *core.Recovered) (Copy, error) {
	cfg.defaults()
	c := &group{cfg: cfg, tail: recoverTail(rec), doubtful: cfg.Doubtful}
	if rec != nil {
		c.cp = rec.Checkpoint
		c.state = raftState{Term: uint64(rec.State.Epoch), Vote: uint64(rec.State.Vote),
			Commit: uint64(rec.State.Commit)}
		if rec.State.Epoch < cfg.Floor {
			c.state.Vote = 0
		}
	}
	c.written = c.state
	last := c.tail.Last()
	c.state.Term = max(c.state.Term, uint64(cfg.Floor), uint64(c.tail.LastEpoch()))
	c.state.Commit = uint64(max(c.tail.base, min(core.Index(c.state.Commit), last)))
	c.applied, c.committed = c.tail.base, core.Index(c.state.Commit)
	c.disk.persisted, c.disk.from = last, last+1
	if err := c.foundMembers(); err != nil {
		return nil, &core.Error{Op: "open copy", Kind: core.Invalid, Err: err}
	}
	if len(c.members.Voters) == 1 && c.members.Voters[0] == uint64(cfg.Self) {
		c.doubtful = false // it alone decides what was committed
	}
	c.build()
	return c, nil
}

// build makes raft's state from the tail and what is remembered beside it.
func (c *group) build() {
	node, err := raft.NewRawNode(&raft.Config{
		ID: uint64(c.cfg.Self), ElectionTick: electionTicks, HeartbeatTick: beatTicks,
		Storage: storage{c}, Applied: uint64(c.applied), AsyncStorageWrites: true,
		MaxSizePerMsg: uint64(c.cfg.MessageBytesMax), MaxCommittedSizePerReady: 1 << 40,
		MaxInflightMsgs:  256,
		MaxInflightBytes: uint64(max(c.cfg.InflightBytesMax, c.cfg.MessageBytesMax)),
		CheckQuorum:      true, PreVote: true, DisableProposalForwarding: true,
		StepDownOnRemoval: true, Logger: silent{},
	})
	core.Assert(err == nil, "raft starts: %v", err)
	c.node, c.leads, c.lead, c.quiet = node, false, 0, false
	c.busyAt, c.changed = c.now, true
}

func (c *group) Tail() *Tail { return &c.tail }

func (c *group) epoch() core.Epoch { return core.Epoch(c.state.Term) }

func (c *group) Step(now core.Time, m *core.Replicate) {
	c.now = max(c.now, now)
	if m.Gen != c.cfg.Gen || m.To != c.cfg.Self || m.From == c.cfg.Self || !c.sound(m) {
		return
	}
	switch m.Type {
	case core.RepQuiet:
		c.hush(m)
		return
	case core.RepReadIndex:
		c.asked(m)
		return
	case core.RepReadIndexAnswer:
		c.told(m)
		return
	case core.RepVote, core.RepPreVote:
		if c.doubtful {
			return
		}
	case core.RepHeartbeatAnswer:
		if c.quiet && m.Epoch == c.epoch() {
			return // it answers a beat from before
		}
	}
	if c.stranger(m) {
		return
	}
	c.wake()
	if m.Type == core.RepAppendAnswer && c.leads && m.Epoch == c.epoch() {
		if c.repair(m) {
			return
		}
		c.vouch(m)
	}
	rm, ok := c.incoming(m)
	if !ok {
		return
	}
	if m.Type == core.RepHeartbeat && m.Commit > c.tail.Last() {
		rm.Commit = 0 // this disk lost what it once answered to have
	}
	c.prepare(m)
	_ = c.node.Step(rm) // says only that a peer is unknown
}

// prepare keeps what the message carries until raft says what becomes of it, and
// lets go of a leader that itself stands for election: it leads no longer.
func (c *group) prepare(m *core.Replicate) {
	switch m.Type {
	case core.RepAppend:
		c.vouched(m)
		c.staged = append(c.staged, m.Entries...)
		c.removed = false
	case core.RepCheckpoint:
		c.given = append(c.given, m.Checkpoint)
		c.removed = false
	case core.RepVoteAnswer, core.RepPreVoteAnswer:
		if m.Reject {
			c.learn(m)
		}
	case core.RepVote, core.RepPreVote:
		c.learn(m)
		if st := c.node.BasicStatus(); st.Lead == uint64(m.From) && uint64(m.Epoch) > st.Term {
			_ = c.node.ForgetLeader()
		}
	}
}

func (c *group) Propose(now core.Time, es []core.Entry) error {
	c.now = max(c.now, now)
	e := &core.Error{Op: "propose", Kind: core.NotLeader, Epoch: c.epoch()}
	if c.node == nil && c.leads {
		c.wake()
		e.Kind, e.Detail = core.Unavailable, "the group wakes"
		return e
	}
	if !c.leads {
		if e.Leader = c.nodeOf(c.lead); c.lead == 0 || c.lead == c.cfg.Self {
			e.Kind = core.NoLeader
		}
		return e
	}
	c.wake()
	switch st := c.node.BasicStatus(); {
	case st.RaftState != raft.StateLeader || st.Term != c.state.Term:
		e.Kind, e.Detail = core.NoLeader, "the epoch has just ended"
		return e
	case st.LeadTransferee != 0:
		e.Kind, e.Detail = core.Unavailable, "the leadership is being handed over"
		return e
	}
	number(es, &c.tail, c.epoch(), c.cfg.Gen)
	if err := c.node.Step(c.proposal(es)); err != nil {
		e.Kind, e.Err = core.Unavailable, err
		return e
	}
	c.busyAt = c.now
	c.tail.append(es...)
	return nil
}

func (c *group) nodeOf(d core.DiskID) core.NodeID {
	for _, m := range c.asg.Members {
		if m.Disk == d {
			return m.Node
		}
	}
	return 0
}

func (c *group) Persisted(write uint64) {
	c.disk.done(write)
	for len(c.waits) > 0 && c.waits[0].write <= c.disk.through() {
		c.tell(c.waits[0].msgs)
		c.waits = c.waits[1:]
	}
	if len(c.waits) == 0 {
		c.waits = nil
	}
}

// tell delivers what waited for the disk.
func (c *group) tell(msgs []raftMessage) {
	for i := range msgs {
		if m := &msgs[i]; m.To != uint64(c.cfg.Self) {
			c.send(m)
		} else if c.node != nil {
			_ = c.node.Step(*m)
		}
	}
}

func (c *group) Applied(through core.Index) {
	if through = min(through, c.committed); through <= c.applied {
		return
	}
	for i := c.applied + 1; i <= through; i++ {
		if e := c.tail.Entry(i); e != nil && e.Kind == core.EntryMembers && e.Gen == c.cfg.Gen {
			c.apply(e)
			c.changed = true
		}
	}
	c.applied = through
	if c.node != nil {
		_ = c.node.Step(appliedMessage(c.cfg.Self, through))
	}
}

func (c *group) Checkpoint(cp *core.Checkpoint) {
	describe(cp, &c.tail, c.applied, c.cfg.Gen)
	cp.Members = encodeMembers(c.members)
}

func (c *group) Compact(cp *core.Checkpoint) {
	c.cp = cp
	keep, most := cp.Index, min(cp.Index, c.disk.persisted)
	if c.leads && c.node != nil {
		c.eachPeer(func(p peerView) {
			if p.flows {
				keep = min(keep, p.match)
			}
		})
	}
	compact(&c.tail, keep, most, c.cfg.TailBytesMax)
}

func (c *group) Assign(now core.Time, a Assignment) {
	c.now = max(c.now, now)
	if a.Gen != c.cfg.Gen || c.assigned && a.Epoch < c.asg.Epoch {
		return
	}
	c.asg, c.assigned = a, true
	if c.leads && c.nextChange() != 0 {
		c.wake()
	}
}

func (c *group) Wished(InSyncChange, bool) {}

func (c *group) Reconnected(now core.Time, disk core.DiskID) {
	c.now = max(c.now, now)
	if c.node == nil || !c.leads {
		return
	}
	c.node.ReportSnapshot(uint64(disk), raft.SnapshotFailure)
	c.node.ReportUnreachable(uint64(disk))
	_ = c.node.Step(aliveMessage(disk, c.epoch()))
}

func (c *group) Campaign(now core.Time) {
	c.now = max(c.now, now)
	if c.doubtful {
		return
	}
	if c.wake(); !c.leads {
		_ = c.node.Campaign()
	}
}

func (c *group) Forget(now core.Time, leader core.DiskID) {
	c.now = max(c.now, now)
	if c.leads {
		return
	}
	if c.lead == leader || leader == 0 {
		c.lead, c.changed = 0, true
		if c.node != nil { // woken it knows no leader anyway
			c.wake()
			_ = c.node.ForgetLeader()
		}
	}
}
