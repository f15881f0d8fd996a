package shard

import (
	"slices"

	"trine/internal/core"
	"trine/internal/core/catalog"
	"trine/internal/core/replica"
)

// openCatalog makes this disk's copy of the catalog's stream, with the machine over
// it as of the last checkpoint.
func (s *Shard) openCatalog() error {
	voters := s.cfg.Voters
	cluster := s.cfg.Cluster
	if s.cfg.Disk.Cluster != 0 {
		cluster = s.cfg.Disk.Cluster
	}
	s.machine = catalog.New(cluster, voters)
	rec := s.recovered[core.CatalogStream]
	delete(s.recovered, core.CatalogStream)
	var t Turn // what a restored catalog shows is shown by the first Step
	s.out = &t
	c, err := s.openCopy(core.CatalogStream, nil, rec)
	s.out = nil
	if err != nil {
		return err
	}
	s.agreed = c
	s.listed(c, true)
	s.mark(c)
	s.restored = true
	return nil
}

// takeCatalog makes the machine what a checkpoint says.
func (s *Shard) takeCatalog(b []byte) error {
	seen, rest, ok := decodeSessions(b)
	if !ok {
		return fail("read the catalog's checkpoint", core.Invalid, "its form is not known")
	}
	m, err := catalog.Decode(rest)
	if err != nil {
		return err
	}
	m.Replace(s.machine)
	s.machine, s.seen = m, seen
	s.restored = true
	return nil
}

func (s *Shard) encodeCatalog() []byte { return append(s.seen.encode(), s.machine.Encode()...) }

// catalogChanged shows what the last command changed, and has the copies on this
// disk follow it.
func (s *Shard) catalogChanged() {
	ch := &s.changes
	s.machine.Changes(ch)
	for _, st := range ch.Gone {
		s.gone(st)
	}
	for _, id := range ch.Streams {
		if id == core.CatalogStream {
			s.assignCatalog()
			continue
		}
		s.follow(s.machine.Stream(id))
	}
	s.out.View.Documents = append(s.out.View.Documents, ch.Documents...)
	for _, l := range ch.Losses {
		s.note(8, "a copy leads that may lack what was acknowledged", "stream", l.Stream, "why", l.Why)
	}
	if ch.Nodes {
		s.nodesChanged()
		s.assignCatalog()
	}
	if s.machine.Growing() && s.agreed.leads {
		s.grow()
	}
	s.report()
}

// report says where this disk's copies end, of the streams of which every copy that
// counts may lack something: once all have said so, the longest leads.
func (s *Shard) report() {
	if !s.member || s.reporting {
		return
	}
	var ends []catalog.LogEnd
	for _, id := range s.machine.Asked(s.cfg.Self.Disk) {
		e := catalog.LogEnd{Stream: id}
		if c := s.copies[id]; c != nil {
			e.Index = c.rep.Status().Last
			e.Epoch, _ = c.rep.Tail().EpochAt(e.Index)
		}
		ends = append(ends, e)
	}
	if len(ends) == 0 {
		return
	}
	s.reporting = true
	s.propose(catalog.Report(s.cfg.Self, ends), func(core.Index, []byte, error) {
		s.reporting = false
		s.timers.add(s.now.Mono+core.Second, s.report) // what is still asked is said again
	})
}

// grow has streams given the copies they asked for, a bounded number an entry.
func (s *Shard) grow() {
	if s.growing {
		return
	}
	s.growing = true
	s.propose(catalog.Grow(), func(core.Index, []byte, error) {
		s.growing = false
		if s.machine.Growing() && s.agreed.leads {
			s.grow()
		}
	})
}

func (s *Shard) assignCatalog() {
	a := s.agreed
	if a == nil {
		return
	}
	st := s.machine.Stream(core.CatalogStream)
	next := replica.Assignment{Gen: 1, Members: st.Members, Policy: st.Policy}
	for _, n := range s.machine.Nodes() {
		votes := slices.ContainsFunc(st.Members, func(m core.Member) bool { return m.Disk == n.Disk })
		if n.Disk != 0 && !votes {
			next.Learners = append(next.Learners, n.Disk) // every node knows what is agreed
		}
	}
	a.rep.Assign(s.now.Mono, next)
	s.mark(a)
}

// nodesChanged takes that nodes came, went or were fenced.
func (s *Shard) nodesChanged() {
	for _, n := range s.machine.Nodes() {
		if n.Node == s.cfg.Self.Node {
			continue
		}
		p := s.peers[n.Node]
		if p == nil {
			p = s.peer(n.Node)
			s.out.Dials = append(s.out.Dials, n.Node)
		}
		if !n.Alive && n.Incarnation != 0 {
			s.over(n.Incarnation)
		}
		if n.Alive && p.up && p.id == n.Peer && p.stood != n.Incarnation {
			s.wishAgain(n.Disk) // what was wished of its copies before was refused
		}
		if p.stood = 0; n.Alive {
			p.stood = n.Incarnation
		}
	}
	s.showNodes()
	if s.aliveInCatalog(s.cfg.Self) {
		s.memberNow()
	} else if s.member {
		s.member = false // this run was fenced while it was away
		s.note(4, "this node was held dead by the others; it comes back")
		s.register()
	}
}

// showNodes gives the nodes to the view, with who leads the catalog.
func (s *Shard) showNodes() {
	nodes := append([]core.NodeInfo(nil), s.machine.Nodes()...)
	var leader core.DiskID
	if s.agreed != nil {
		leader = s.agreed.leaderSeen
	}
	for i := range nodes {
		n := &nodes[i]
		n.Self = n.Node == s.cfg.Self.Node
		n.Leads = leader != 0 && n.Disk == leader
		if p := s.peers[n.Node]; n.Self {
			n.Doubted, n.Cramped = s.doubtsSelf, s.cramped
		} else if p != nil {
			n.Doubted, n.Cramped = n.Alive && p.doubted, n.Alive && p.cramped
		}
	}
	s.out.View.Nodes = nodes
}

// memberNow is reached when the catalog, as applied here, shows this run alive.
func (s *Shard) memberNow() {
	if s.member || !s.aliveInCatalog(s.cfg.Self) {
		return
	}
	s.member = true
	s.note(0, "this node is a member of the cluster", "node", s.cfg.Self.Node)
	for _, c := range s.list {
		if c.def != nil && !c.raft {
			s.assign(c)
		}
	}
	s.report()
	for _, t := range s.sortedTargets() { // others have dropped what was attached
		for _, hd := range t.holdings {
			hd.asked = 0
		}
		s.again(t)
	}
	s.askSync()
}

// follow takes a stream that is new or changed.
func (s *Shard) follow(st *core.Stream) {
	mine := false
	for _, m := range st.Members {
		mine = mine || m.Disk == s.cfg.Self.Disk
	}
	c := s.copies[st.ID]
	switch {
	case mine && c == nil:
		c = s.newCopy(st)
	case c != nil && !mine:
		s.dropCopy(c)
		c = nil
	}
	if c != nil {
		s.regenerate(c, st)
		moved := c.def != nil && len(st.At) > 0 && (len(c.def.At) == 0 || c.def.At[0] != st.At[0])
		c.def = st
		s.assign(c)
		if moved && c.raft {
			s.yieldTo(c, yieldTries)
		} else {
			s.lookHeir(c, false)
		}
	}
	s.show(st)
}

// How often, and how long apart, a leader tries to hand over to who is preferred
// from now on: that copy may still have to be filled.
const (
	yieldTries = 20
	yieldAgain = core.Second / 2
)

// yieldTo hands a group over to its preferred leader, if this copy leads it.
func (s *Shard) yieldTo(c *copyOf, tries int) {
	if tries == 0 || !c.leads || !s.hosts(c) || len(c.def.At) == 0 {
		return
	}
	to := s.diskOf(c.def.At[0])
	if to == 0 || to == s.cfg.Self.Disk {
		return
	}
	c.rep.Yield(s.now.Mono, to)
	s.mark(c)
	s.timers.add(s.now.Mono+yieldAgain, func() { s.yieldTo(c, tries-1) })
}

func (s *Shard) newCopy(st *core.Stream) *copyOf {
	rec := s.recovered[st.ID]
	cut := core.Index(0)
	if rec != nil {
		if ofGeneration(rec) > st.Gen {
			return nil // what the catalog says of it is older than what the disk has: more is coming
		}
		cut = s.cutOldKind(st, rec)
	}
	delete(s.recovered, st.ID)
	c, err := s.openCopy(st.ID, st, rec)
	if err != nil {
		s.note(8, "a stream's copy cannot be opened", "stream", st.Name, "err", err)
		return nil
	}
	s.copies[st.ID] = c
	s.listed(c, true)
	keep := st.Keep
	s.out.Writes = append(s.out.Writes, core.Write{ID: s.id(), Stream: st.ID, Road: c.road, Keep: &keep, Cut: cut})
	if c.raft && rec == nil && len(st.At) > 0 && st.At[0] == s.cfg.Self.Node ||
		c.raft && rec == nil && len(st.At) == 0 && len(st.Members) > 0 && st.Members[0].Disk == s.cfg.Self.Disk {
		c.rep.Campaign(s.now.Mono) // a new group: the preferred leader does not wait
	} else if c.raft {
		s.seek(c, openWait)
	}
	return c
}

// dropCopy ends a copy whose stream is gone, or lives elsewhere now.
func (s *Shard) dropCopy(c *copyOf) {
	delete(s.copies, c.id)
	s.listed(c, false)
	if c.leads {
		s.unlead(c)
	}
	for _, r := range c.waiters {
		if !r.over && r.loads == 0 {
			s.tryRead(r)
		}
	}
	s.out.Writes = append(s.out.Writes, core.Write{ID: s.id(), Stream: c.id, Road: c.road, Remove: true})
}

// gone takes that a stream was removed.
func (s *Shard) gone(st *core.Stream) {
	if c := s.copies[st.ID]; c != nil {
		s.dropCopy(c)
	}
	v := s.views[st.ID]
	if v == nil {
		v = st
	}
	delete(s.views, st.ID)
	delete(s.hints, st.ID)
	s.out.View.Gone = append(s.out.View.Gone, v)
	t := s.targets[st.ID]
	if t == nil {
		return
	}
	delete(s.targets, st.ID)
	err := &core.Error{Op: "append", Name: st.Name, Kind: core.NotExist, Detail: "the stream was removed"}
	for _, f := range t.flights {
		if !f.told {
			s.tellParts(f, core.Appended{}, err)
		}
	}
	for _, f := range t.settles {
		for _, w := range f.to {
			s.out.Answers = append(s.out.Answers, Answer{Settler: w.to, Token: w.token, Err: err})
		}
	}
	for _, d := range t.detaches {
		if done := d.done; done != nil {
			d.done = nil // its leader may answer yet
			done()
		}
	}
	for _, hd := range t.holdings {
		delete(s.holdings, hd.id)
		s.attachFailed(hd, &core.Error{Op: "consume", Name: st.Name, Kind: core.NotExist})
	}
}

// show makes what this node answers about a stream: the catalog's word, and under
// Raft the leader that was announced.
func (s *Shard) show(st *core.Stream) {
	v := st
	if st.Policy.Raft() {
		h, ok := s.hints[st.ID]
		if !ok || h.Gen != st.Gen {
			h = core.Lead{}
		}
		x := *st
		x.Leader, x.Epoch = h.Leader, h.Epoch
		v = &x
	}
	old := s.views[st.ID]
	s.views[st.ID] = v
	s.out.View.Streams = append(s.out.View.Streams, v)
	if t := s.targets[st.ID]; t != nil && (old == nil || old.Leader != v.Leader || old.Epoch != v.Epoch) {
		s.relead(t, v)
	}
}

// relead points what this node has under way at another leader.
func (s *Shard) relead(t *target, v *core.Stream) {
	switch {
	case v.Epoch < t.epoch: // a leadership that this node was told of is newer
	case v.Leader == 0 || v.Leader != s.cfg.Self.Node && !s.living(v.Leader):
		s.stray(t)
	default:
		s.aimAt(t, v.Leader, v.Epoch)
	}
}

// announced says to all that this node leads what Raft elected it for, or no longer.
func (s *Shard) announced(l core.Lead) {
	s.announce = append(s.announce, l)
	s.hint(l)
}

func (s *Shard) sendAnnouncements() {
	if len(s.announce) == 0 {
		return
	}
	m := &core.Leading{Leads: s.announce}
	s.announce = nil
	for _, p := range s.order {
		s.send(p.node, m)
	}
}

func (s *Shard) leading(m *core.Leading) {
	for _, l := range m.Leads {
		s.hint(l)
	}
}

// hint takes an announcement, unless a newer one is known.
func (s *Shard) hint(l core.Lead) {
	h := s.hints[l.Stream]
	if l.Gen < h.Gen || l.Gen == h.Gen && (l.Epoch < h.Epoch || l.Epoch == h.Epoch && h.Leader == 0 && h.Epoch != 0) {
		return
	}
	s.hints[l.Stream] = l
	if st := s.machine.Stream(l.Stream); st != nil && st.ID != core.CatalogStream {
		s.show(st)
	}
}

// announceTo tells one node, newly linked, what this one leads.
func (s *Shard) announceTo(p *peer) {
	var ls []core.Lead
	for _, c := range s.list {
		if c.raft && c.leads && c != s.agreed {
			ls = append(ls, core.Lead{Stream: c.id, Gen: c.gen, Epoch: c.epoch, Leader: s.cfg.Self.Node})
		}
	}
	if len(ls) > 0 {
		s.send(p.node, &core.Leading{Leads: ls})
	}
}
