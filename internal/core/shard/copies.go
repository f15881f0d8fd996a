package shard

import (
	"sort"

	"trine/internal/core"
	"trine/internal/core/queue"
	"trine/internal/core/replica"
	"trine/internal/core/stream"
)

// copyOf is one copy of a stream on this disk: what replicates it, what was applied
// of it, and, while it leads, who waits for what.
type copyOf struct {
	id   core.StreamID
	raft bool
	gen  core.Generation
	rep  replica.Copy
	def  *core.Stream // as the catalog has it; nil for the catalog itself
	road core.Flush

	// Applied, equal on every copy.
	done      core.Index // the last applied index
	doneEpoch core.Epoch
	next      core.Offset // committed: readers may see what is below
	start     core.Offset
	mem       *stream.Memory
	q         *queue.Queue

	// As this copy has it.
	checkpoint     core.Index // of the last one that is on disk
	making         bool       // one is being written
	bytesSince     int        // applied since
	lastWork       core.Time
	lastCheckpoint *core.Checkpoint
	filling        *filling
	hurt           bool // this disk lacks something of it, or may
	hurtAt         core.Time
	healing        *healing
	healTries      int
	sealing        *sealing
	sealed         bool // the seal of its generation is applied
	ending         bool // nobody uses it any more, and its removal is proposed
	yielding       *yielding
	yieldAt        core.Time // not handed over before; 0: there is no heir
	listedHeir     bool      // it is among Shard.heirs

	// While it leads.
	leads    bool
	epoch    core.Epoch
	leadFrom core.Index     // what was found when it began to lead
	ready    bool           // all that was found is applied: the queue decides
	ahead    *stream.Memory // as appended, for what is proposed next
	acks     []ack
	lender   *lender

	refused    []writeRef // found no room, to be written again in this order
	waiters    []*reader
	woken      core.Offset
	wokenLeads bool
	trims      []trimWait
	voteAt     core.Time // when the catalog may be told next who votes
	dirty      bool
	awake      bool      // in Shard.awake
	dozes      core.Time // when it will be awake again; 0: not by time
	withheld   bool      // in Shard.withheld
	seeking    seeking
	leaderSeen core.DiskID
	epochSeen  core.Epoch

	electedIn     uint64    // Raft: the number of the lease in which it began to lead
	confirmAt     core.Time // not asked again before
	confirmedSeen uint64
}

type writeRef struct {
	c          *copyOf
	id         uint64 // the replica's own; 0: none
	checkpoint *core.Checkpoint
	left       *int       // counts what must be on disk before what follows
	heals      bool       // it takes the place of all that was there
	write      core.Write // as it was asked: it is asked again where it found no room
}

// hosts says whether c is still the copy of its stream on this disk.
func (s *Shard) hosts(c *copyOf) bool { return c == s.agreed || s.copies[c.id] == c }

// mark has the copy looked at before the turn ends.
func (s *Shard) mark(c *copyOf) {
	if !c.dirty {
		c.dirty = true
		s.dirty = append(s.dirty, c)
	}
}

// listed keeps the list of all copies in the order of their streams, the catalog's
// first.
func (s *Shard) listed(c *copyOf, in bool) {
	i := sort.Search(len(s.list), func(i int) bool { return s.list[i].id >= c.id })
	if in {
		s.list = append(s.list, nil)
		copy(s.list[i+1:], s.list[i:])
		s.list[i] = c
	} else if i < len(s.list) && s.list[i] == c {
		s.list = append(s.list[:i:i], s.list[i+1:]...)
	}
}

// membersOf gives who votes for c's leader, or may lead it.
func (s *Shard) membersOf(c *copyOf) []core.Member {
	if c == s.agreed {
		return s.machine.Voters()
	}
	return c.def.Members
}

// openCopy makes a copy of a stream, from what the disk has of it, if anything.
func (s *Shard) openCopy(id core.StreamID, def *core.Stream, rec *core.Recovered) (*copyOf, error) {
	c := &copyOf{id: id, def: def, mem: stream.NewMemory(), lastWork: s.now.Mono}
	cfg := replica.Config{Stream: id, Self: s.cfg.Self.Disk, LagMax: s.opt.LagMax}
	if def == nil {
		c.raft, c.gen, c.road = true, 1, core.FlushEach
		cfg.Policy, cfg.Gen, cfg.Members = core.Majority(3), 1, s.cfg.Voters
	} else {
		c.raft, c.gen, c.road = def.Policy.Raft(), def.Gen, def.Policy.Flush
		cfg.Policy, cfg.Gen, cfg.Members = def.Policy, def.Gen, s.machine.First(id)
		if def.Queue != nil {
			c.q = queue.New(*def.Queue)
		}
	}
	if err := s.restore(c, rec); err != nil {
		return nil, err
	}
	if def != nil {
		cfg.Floor = def.Epoch
	}
	c.hurt = rec != nil && rec.Damage != ""
	c.hurtAt, cfg.Doubtful = s.now.Mono, c.hurt
	if !c.raft {
		c.rep = replica.NewFollowing(cfg, rec)
		c.rep.Hurt(s.now.Mono, c.hurt)
		return c, nil
	}
	var err error
	c.rep, err = replica.NewRaft(cfg, rec)
	return c, err
}

// restore takes what a checkpoint says.
func (s *Shard) restore(c *copyOf, rec *core.Recovered) error {
	if rec == nil {
		return nil
	}
	c.start = rec.Start
	if cp := rec.Checkpoint; cp != nil {
		return s.take(c, cp)
	}
	return nil
}

// take makes the copy's applied state what a checkpoint says.
func (s *Shard) take(c *copyOf, cp *core.Checkpoint) error {
	mem, err := stream.NewMemory(), error(nil)
	if cp.Index > 0 || len(cp.Memory) > 0 { // else of a stream's beginning
		mem, err = stream.DecodeMemory(cp.Memory)
	}
	if err != nil {
		return err
	}
	c.mem, c.done, c.doneEpoch, c.next = mem, cp.Index, cp.Epoch, cp.Next
	c.checkpoint, c.lastCheckpoint, c.bytesSince = cp.Index, cp, 0
	if cp.Start > c.start {
		c.start = cp.Start
	}
	switch {
	case c.def == nil:
		return s.takeCatalog(cp.Machine)
	case c.def.Queue != nil && len(cp.Machine) > 0:
		c.q, err = queue.Decode(cp.Machine, *c.def.Queue)
	case c.def.Queue != nil && cp.Index == 0:
		c.q = queue.New(*c.def.Queue)
	}
	return err
}

// assign tells a copy the catalog's word.
func (s *Shard) assign(c *copyOf) {
	d := c.def
	leader := s.leaderDisk(d)
	if leader == s.cfg.Self.Disk && !s.aliveInCatalog(s.cfg.Self) {
		// An earlier run of this node led in this epoch. This one may not have all that that
		// one sent: it leads in the epoch that its own registration begins.
		leader = 0
	}
	c.rep.Assign(s.now.Mono, replica.Assignment{Gen: d.Gen, Epoch: d.Epoch, Leader: leader,
		Members: d.Members, Policy: d.Policy})
	if c.q != nil && d.Queue != nil {
		c.q.Set(*d.Queue)
	}
	s.mark(c)
}

func (s *Shard) leaderDisk(d *core.Stream) core.DiskID {
	for _, m := range d.Members {
		if m.Node == d.Leader && d.Leader != 0 {
			return m.Disk
		}
	}
	return 0
}

// work carries a copy's consequences through: writes, messages, what committed.
func (s *Shard) work(c *copyOf) {
	if !s.hosts(c) {
		return
	}
	s.rouse(c)
	rd := &s.ready
	for c.rep.Ready(rd) {
		c.lastWork = s.now.Mono
		for i := range rd.Writes {
			s.write(c, &rd.Writes[i])
		}
		for _, m := range rd.Sends {
			s.send(s.nodeOf(m.To), m)
		}
		for _, w := range rd.InSync {
			s.wish(c, w)
		}
	}
	s.led(c)
	s.finishHeal(c)
	s.apply(c)
	s.tendChange(c)
	if c.yielding != nil {
		s.tendYield(c)
	}
	s.decide(c)
	s.acknowledge(c)
	s.wake(c)
	s.checkpointIfDue(c)
}

func (s *Shard) write(c *copyOf, w *core.Write) {
	if w.Cut != 0 && w.Cut <= c.done {
		s.rewind(c, w.Cut)
	}
	out := *w
	out.ID, out.Stream, out.Road = s.id(), c.id, c.road
	ref := writeRef{c: c, id: w.ID, write: out}
	if w.Install != nil {
		ref.heals = true
		s.dropHeal(c)
		if err := s.take(c, w.Install); err != nil {
			s.note(8, "a checkpoint cannot be read", "stream", c.id, "err", err)
			s.out.Stop = err
		}
	}
	if len(c.refused) > 0 {
		c.refused = append(c.refused, ref)
		return
	}
	s.writes[out.ID] = ref
	s.out.Writes = append(s.out.Writes, out)
}

// rewind takes back what was applied from an index on: an election that may lose what
// was acknowledged made a shorter log the stream's. What is left is applied anew.
func (s *Shard) rewind(c *copyOf, cut core.Index) {
	s.note(8, "a copy drops what it had applied: its leader has less", "stream", s.nameOf(c), "from", cut)
	s.dropHeal(c)
	cp := c.lastCheckpoint
	c.mem, c.done, c.doneEpoch, c.next = stream.NewMemory(), 0, 0, 0
	if c.q != nil {
		c.q = queue.New(*c.def.Queue)
	}
	if cp == nil {
		return
	}
	if err := s.take(c, cp); err != nil {
		s.out.Stop = err
	}
}

func (s *Shard) flushed(id uint64, err error) {
	w, ok := s.writes[id]
	if !ok {
		return
	}
	delete(s.writes, id)
	if len(s.writes) == 0 && s.nextID-s.writesFrom > keptMost {
		s.writes, s.writesFrom = map[uint64]writeRef{}, s.nextID // a map keeps what it had at most
	}
	if w.c == nil || !s.hosts(w.c) {
		return
	}
	if w.id != 0 {
		w.c.rep.Persisted(w.id)
	}
	if w.checkpoint != nil {
		w.c.making = false
		w.c.checkpoint, w.c.lastCheckpoint = w.checkpoint.Index, w.checkpoint
		w.c.rep.Compact(w.checkpoint)
	}
	if w.left != nil {
		*w.left--
		s.endFill(w.c)
	}
	if w.heals {
		s.healed(w.c)
	}
	s.mark(w.c)
}

// failed is a write or load that did not succeed. A disk that refused a write is
// not asked again: the node gives up what it leads and ends; its copies elsewhere go
// on, and it is repaired from them when it is back.
func (s *Shard) failed(id uint64, err error) {
	if f := s.loads[id]; f != nil {
		delete(s.loads, id)
		f(nil, err)
		return
	}
	w, ok := s.writes[id]
	if !ok {
		return
	}
	delete(s.writes, id)
	if k := core.KindOf(err); k == core.Full || k == core.Invalid && w.c != nil && len(w.c.refused) > 0 {
		s.full(w, err)
		return
	}
	s.note(8, "the disk failed; this node ends so that others take over", "err", err)
	s.out.Stop = err
}

// led looks whether the copy began or ended to lead, or knows another leader.
func (s *Shard) led(c *copyOf) {
	st := c.rep.Status()
	if c.leads && (!st.Leads || st.Epoch != c.epoch) {
		s.unlead(c)
	}
	if st.Leads && !c.leads {
		c.leads, c.ready, c.epoch, c.leadFrom = true, false, st.Epoch, st.Last
		c.ahead, c.electedIn, c.sealing = s.memoryAhead(c), s.leaseNumber, sealed(c)
		if c == s.agreed {
			s.note(0, "this node leads the catalog", "epoch", st.Epoch)
		} else if c.raft {
			s.announced(core.Lead{Stream: c.id, Gen: c.gen, Epoch: st.Epoch, Leader: s.cfg.Self.Node})
		}
		s.lookHeir(c, false)
	}
	if c == s.agreed && c.leads && st.Confirmed != c.confirmedSeen {
		c.confirmedSeen = st.Confirmed
		s.askSync()
	}
	if c == s.agreed && (st.Leader != c.leaderSeen || st.Epoch != c.epochSeen) {
		c.leaderSeen, c.epochSeen = st.Leader, st.Epoch
		s.showNodes()
		s.catalogLed()
	}
}

// memoryAhead gives what the stream remembers with all that is appended.
func (s *Shard) memoryAhead(c *copyOf) *stream.Memory {
	m := c.mem.Clone()
	t := c.rep.Tail()
	for i := c.done + 1; i <= t.Last(); i++ {
		m.Append(t.Entry(i))
	}
	return m
}

// unlead ends what the copy did as leader. What was not answered is not known.
func (s *Shard) unlead(c *copyOf) {
	c.leads, c.ready, c.ahead, c.sealing, c.yielding = false, false, nil, nil, nil
	acks := c.acks
	c.acks = nil
	for i := range acks {
		s.reply(&acks[i], core.Appended{}, &core.Error{Op: "append", Name: s.nameOf(c), Kind: core.Unknown,
			Detail: "leadership was lost before it held"})
	}
	trims := c.trims
	c.trims = nil
	for _, w := range trims {
		w.done(-1, &core.Error{Op: "trim", Name: s.nameOf(c), Kind: core.Unknown,
			Detail: "leadership was lost before it held"})
	}
	if c.lender != nil {
		s.endLender(c)
	}
	if c != s.agreed && c.raft {
		s.announced(core.Lead{Stream: c.id, Gen: c.gen, Epoch: c.epoch, Leader: 0})
	}
}

func (s *Shard) nameOf(c *copyOf) string {
	if c.def == nil {
		return "catalog"
	}
	return c.def.Name
}

// apply takes what committed since the last call.
func (s *Shard) apply(c *copyOf) {
	for {
		committed := c.rep.Status().Committed
		if c.done >= committed || c.filling != nil {
			return
		}
		es := c.rep.Tail().Slice(c.done+1, committed, 1<<20)
		if len(es) == 0 {
			return
		}
		for i := range es {
			s.applyEntry(c, &es[i])
		}
		c.rep.Applied(c.done)
		if c == s.agreed {
			s.applied.reached(c.done)
		}
		s.mark(c)
	}
}

func (s *Shard) applyEntry(c *copyOf, e *core.Entry) {
	core.Assert(e.Index == c.done+1, "entries are applied in order: %d after %d", e.Index, c.done)
	c.done, c.doneEpoch, c.next = e.Index, e.Epoch, e.Next()
	c.bytesSince += e.Size()
	c.mem.Append(e)
	switch {
	case e.Kind == core.EntryCatalog && c == s.agreed:
		s.applyCommand(e)
	case e.Kind == core.EntryTrim:
		s.trimmed(c, e)
	case e.Kind == core.EntrySeal:
		c.sealed = e.Gen == c.gen
	case c.q != nil:
		if err := c.q.Apply(e); err != nil {
			s.note(8, "an entry of a queue cannot be read", "stream", s.nameOf(c), "index", e.Index, "err", err)
		}
	}
}
