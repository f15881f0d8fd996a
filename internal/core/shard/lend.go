package shard

import (
	"sort"

	"trine/internal/core"
	"trine/internal/core/queue"
	"trine/internal/core/record"
)

// lender is what a queue's leader is about to hand out, in the order it decided:
// what waits for bytes from the disk holds back what comes after it.
type lender struct {
	out     []handing
	loading bool
	batches []decoded    // lately read, newest last
	loaded  []core.Entry // what the disk gave last, in order
	waits   []settleWait
	wakeAt  core.Time
	claim   map[core.NodeID]struct{} // who has not yet said what its consumers hold
	tries   map[core.Consumer]uint32 // the present attachment of each consumer
}

// handing is one decided lend, forward, drained credit or ended attachment.
type handing struct {
	what    handingKind
	try     uint32
	lend    queue.Lending
	forward queue.Forwarding
	drained queue.Drained
	ended   queue.Ended
}

type handingKind uint8

const (
	handLend handingKind = iota
	handForward
	handDrained
	handEnded
)

// settleWait is who is told once the settlements of a session up to seq hold.
type settleWait struct {
	session core.Session
	seq     int64
	done    func(*core.Error)
}

// decoded is one batch's records.
type decoded struct {
	base    core.Offset
	offsets []core.Offset
	records []core.Record
}

const decodedMax = 4

// decide lets the queue of a leading copy decide what follows from the turn.
func (s *Shard) decide(c *copyOf) {
	if !c.leads {
		return
	}
	if !c.ready && c.done >= c.leadFrom && c.rep.Status().Caught {
		c.ready = true
		s.becomeReady(c)
	}
	if c.q == nil || !c.ready || c.sealing != nil {
		return
	}
	if !s.certain(c) {
		s.withhold(c)
		return
	}
	s.tellSettled(c)
	eff := &s.effects
	c.q.Turn(s.now, eff)
	if eff.Propose != nil {
		e := []core.Entry{{Kind: core.EntryQueue, Data: eff.Propose}}
		if err := c.rep.Propose(s.now.Mono, e); err != nil {
			c.q.Lost()
		} else {
			c.ahead.Append(&e[0])
		}
		s.mark(c)
	}
	l := c.lender
	for i := range eff.Lends {
		l.out = append(l.out, handing{lend: eff.Lends[i], try: l.tries[eff.Lends[i].Consumer]})
	}
	for i := range eff.Forwards {
		l.out = append(l.out, handing{what: handForward, forward: eff.Forwards[i]})
	}
	for i := range eff.Drained {
		l.out = append(l.out, handing{what: handDrained, drained: eff.Drained[i]})
	}
	for i := range eff.Ended {
		l.out = append(l.out, handing{what: handEnded, ended: eff.Ended[i]})
	}
	if eff.WakeAt != 0 && (l.wakeAt == 0 || eff.WakeAt < l.wakeAt) {
		l.wakeAt = eff.WakeAt
		s.timers.add(eff.WakeAt, func() {
			if l.wakeAt != 0 && l.wakeAt <= s.now.Mono && s.hosts(c) {
				l.wakeAt = 0
				s.mark(c)
			}
		})
	}
	if eff.Unused && c.def.Queue.AutoDelete || eff.Idle {
		s.removeUnused(c)
	}
	s.pump(c)
}

// becomeReady begins a leadership over a queue whose facts are all applied: before
// it lends what may be in somebody's hands, it asks who holds what.
func (s *Shard) becomeReady(c *copyOf) {
	if c == s.agreed {
		s.register()
		s.resendProposals(true)
		s.askSync()
		for _, p := range s.order {
			s.proposeFence(p)
		}
		return
	}
	if c.q == nil {
		return
	}
	c.lender = &lender{claim: map[core.NodeID]struct{}{}, tries: map[core.Consumer]uint32{}}
	c.q.Lead(s.now)
	c.q.Hold(true)
	if t := s.targets[c.id]; t != nil {
		for _, hd := range t.holdings {
			hd.asked = 0
		}
		s.again(t)
		s.retarget(t)
	}
	s.claim(c)
}

// claims is which queues ask, this turn, who holds what of theirs.
type claims struct{ leads []core.Lead }

// claimWait is how long a new leader waits for what others hold.
const claimWait = 200 * core.Millisecond

func (s *Shard) claim(c *copyOf) {
	l := c.lender
	for _, p := range s.order {
		if s.living(p.node) {
			l.claim[p.node] = struct{}{}
		}
	}
	if len(l.claim) == 0 {
		c.q.Hold(false)
		return
	}
	s.claims.leads = append(s.claims.leads,
		core.Lead{Stream: c.id, Gen: c.gen, Epoch: c.epoch, Leader: s.cfg.Self.Node})
	s.timers.add(s.now.Mono+claimWait, func() { s.claimed(c, l) })
}

func (s *Shard) claimed(c *copyOf, l *lender) {
	if c.lender == l && l.claim != nil {
		l.claim = nil
		c.q.Hold(false)
		s.mark(c)
	}
}

func (s *Shard) sendClaims() {
	if len(s.claims.leads) == 0 {
		return
	}
	m := &core.Holds{Leads: s.claims.leads}
	s.claims.leads = nil
	for _, p := range s.order {
		s.send(p.node, m)
	}
}

// held is a node's word that its consumers are attached again.
func (s *Shard) held(p *peer, m *core.Held) {
	for _, id := range m.Streams {
		c := s.copies[id]
		if c == nil || c.lender == nil || c.lender.claim == nil {
			continue
		}
		delete(c.lender.claim, p.node)
		if len(c.lender.claim) == 0 {
			s.claimed(c, c.lender)
		}
	}
}

func (s *Shard) endLender(c *copyOf) {
	l := c.lender
	c.lender = nil
	c.q.Follow()
	for _, w := range l.waits {
		w.done(&core.Error{Op: "settle", Name: s.nameOf(c), Kind: core.Unknown, Detail: "leadership was lost"})
	}
}

// leader gives the copy of a queue that decides here, or why there is none.
func (s *Shard) lending(op string, id core.StreamID) (*copyOf, *core.Error) {
	c := s.copies[id]
	if c == nil || !c.leads {
		return nil, s.notLeader(op, id)
	}
	if c.q == nil {
		return nil, &core.Error{Op: op, Name: c.def.Name, Kind: core.Invalid, Detail: "it lends nothing"}
	}
	if !c.ready {
		return nil, &core.Error{Op: op, Name: c.def.Name, Kind: core.Unavailable, Detail: "its leader is taking over"}
	}
	if c.ending {
		return nil, &core.Error{Op: op, Name: c.def.Name, Kind: core.Unavailable, Detail: "it is being removed"}
	}
	return c, nil
}

func (s *Shard) attachHere(m *core.AttachAsk, node core.NodeID) (core.Epoch, *core.Error) {
	c, err := s.lending("consume", m.Stream)
	if err != nil {
		return 0, err
	}
	who := core.Consumer{Incarnation: m.Incarnation, ID: m.Consumer}
	if k := c.q.Attach(who, node, &m.Attach, m.Held); k != core.OK {
		return 0, &core.Error{Op: "consume", Name: c.def.Name, Kind: k}
	}
	c.lender.tries[who] = m.Try
	s.mark(c)
	return c.epoch, nil
}

func (s *Shard) creditHere(m *core.CreditAsk) {
	if c, err := s.lending("consume", m.Stream); err == nil {
		c.q.Credit(core.Consumer{Incarnation: m.Incarnation, ID: m.Consumer}, &m.Credit)
		s.mark(c)
	}
}

// detachNode ends what a node's run had attached here.
func (s *Shard) detachNode(run core.Incarnation) {
	for _, c := range s.list {
		if c.q != nil && c.ready {
			c.q.DetachNode(run)
			s.mark(c)
		}
	}
}

// over ends for good what a node's run had here: it is fenced.
func (s *Shard) over(run core.Incarnation) {
	for _, c := range s.list {
		if c.q != nil && c.ready {
			c.q.Over(run)
			s.mark(c)
		}
	}
}

// settleHere takes settlements; done is told when they hold.
func (s *Shard) settleHere(m *core.SettleAsk, run core.Incarnation, done func(*core.Error)) {
	c, err := s.lending("settle", m.Stream)
	if err == nil && m.Epoch != c.epoch {
		err = &core.Error{Op: "settle", Name: c.def.Name, Kind: core.Unavailable, Epoch: c.epoch,
			Detail: "meant for another leadership"}
	}
	if err != nil {
		done(err)
		return
	}
	c.q.Settle(m.Session, m.Seq, run, m.Settles)
	c.lender.waits = append(c.lender.waits, settleWait{m.Session, m.Seq, done})
	s.mark(c)
}

// tellSettled answers the settlements that hold.
func (s *Shard) tellSettled(c *copyOf) {
	l := c.lender
	if len(l.waits) == 0 {
		return
	}
	keep := l.waits[:0:0]
	due := l.waits
	l.waits = nil
	for _, w := range due {
		if c.q.SettledThrough(w.session) >= w.seq {
			w.done(nil)
		} else {
			keep = append(keep, w)
		}
	}
	l.waits = append(keep, l.waits...)
}

// pump hands out what was decided, as far as the bytes are at hand.
func (s *Shard) pump(c *copyOf) {
	l := c.lender
	n := 0
	for ; n < len(l.out) && !l.loading; n++ {
		h := &l.out[n]
		switch h.what {
		case handLend:
			if h.try != l.tries[h.lend.Consumer] {
				continue // it went back when its consumer was attached again, or left
			}
			r, ok := s.recordAt(c, h.lend.Offset)
			if !ok {
				s.loadRecords(c, h.lend.Offset)
				n--
				continue
			}
			s.handOut(c, h, r)
		case handForward:
			r, ok := s.recordAt(c, h.forward.Offset)
			if !ok {
				s.loadRecords(c, h.forward.Offset)
				n--
				continue
			}
			s.out.Forwards = append(s.out.Forwards, core.Forward{Stream: s.views[c.id], Offset: h.forward.Offset,
				Why: h.forward.Why, Count: h.forward.Count, Record: *r})
		case handDrained:
			s.handDrained(c, &h.drained)
		default:
			s.handEnded(c, &h.ended)
		}
	}
	if n == len(l.out) {
		l.out = l.out[:0]
	} else {
		l.out = append(l.out[:0], l.out[n:]...)
	}
}

func (s *Shard) handOut(c *copyOf, h *handing, r *core.Record) {
	g := &h.lend
	l := core.Lend{Try: h.try, Consumer: g.Consumer.ID, Offset: g.Offset, Returned: g.Returned, Again: g.Again, Record: *r}
	if g.Consumer.Incarnation == s.cfg.Self.Incarnation {
		s.hand(c.id, s.cfg.Self.Node, c.epoch, &l)
		return
	}
	if m := s.lendsTo(c, g.Node, g.Consumer.Incarnation); m != nil {
		m.Lends = append(m.Lends, l)
	}
}

func (s *Shard) handDrained(c *copyOf, d *queue.Drained) {
	x := core.DrainedCredit{Consumer: d.Consumer.ID, Ready: d.Ready}
	if d.Consumer.Incarnation == s.cfg.Self.Incarnation {
		s.drained(s.cfg.Self.Node, x)
	} else if m := s.lendsTo(c, d.Node, d.Consumer.Incarnation); m != nil {
		m.Drained = append(m.Drained, x)
	}
}

func (s *Shard) handEnded(c *copyOf, e *queue.Ended) {
	x := core.EndedAttachment{Consumer: e.Consumer.ID, Kind: e.Why}
	if e.Consumer.Incarnation == s.cfg.Self.Incarnation {
		s.ended(s.cfg.Self.Node, x)
	} else if m := s.lendsTo(c, e.Node, e.Consumer.Incarnation); m != nil {
		m.Ended = append(m.Ended, x)
	}
}

// lendsTo gives the message that carries this turn's lends of a queue to a node, nil
// where that run of it is not linked: its lends return with the link's grace.
func (s *Shard) lendsTo(c *copyOf, n core.NodeID, run core.Incarnation) *core.Lends {
	p := s.peers[n]
	if p == nil || !p.up || p.id.Incarnation != run {
		return nil
	}
	if k := len(s.lends); k > 0 && s.lends[k-1].to == n && s.lends[k-1].m.Stream == c.id {
		return s.lends[k-1].m
	}
	m := &core.Lends{Stream: c.id, Epoch: c.epoch}
	s.lends = append(s.lends, lendsOut{n, m})
	return m
}

type lendsOut struct {
	to core.NodeID
	m  *core.Lends
}

func (s *Shard) sendLends() {
	for _, l := range s.lends {
		s.send(l.to, l.m)
	}
	clear(s.lends)
	s.lends = s.lends[:0]
}

// recordAt gives a record whose bytes are in memory.
func (s *Shard) recordAt(c *copyOf, o core.Offset) (*core.Record, bool) {
	l := c.lender
	for i := len(l.batches) - 1; i >= 0; i-- {
		if r := l.batches[i].at(o); r != nil {
			return r, true
		}
	}
	t := c.rep.Tail()
	e := t.Entry(t.AtOffset(o))
	if e == nil || e.Base > o || e.Kind != core.EntryBatch {
		if e = l.loadedAt(o); e == nil {
			return nil, false
		}
	}
	d := s.decode(c, e)
	r := d.at(o)
	return r, r != nil
}

func (d *decoded) at(o core.Offset) *core.Record {
	if o < d.base || len(d.offsets) == 0 || o > d.offsets[len(d.offsets)-1] {
		return nil
	}
	if i := int(o - d.base); i < len(d.offsets) && d.offsets[i] == o {
		return &d.records[i]
	}
	for i, x := range d.offsets {
		if x == o {
			return &d.records[i]
		}
	}
	return nil
}

// recordsBytesMax bounds what one batch may unpack to.
const recordsBytesMax = 128 << 20

// decode reads a batch's records and keeps them for the lends that follow.
func (s *Shard) decode(c *copyOf, e *core.Entry) *decoded {
	d := decoded{base: e.Base}
	err := record.Each(e.Data, recordsBytesMax, func(o core.Offset, r *core.Record) bool {
		d.offsets = append(d.offsets, o)
		x := *r
		x.Headers = append([]core.Header(nil), r.Headers...)
		d.records = append(d.records, x)
		return true
	})
	if err != nil {
		s.note(8, "a batch cannot be read", "stream", s.nameOf(c), "offset", e.Base, "err", err)
	}
	l := c.lender
	if len(l.batches) >= decodedMax {
		l.batches = append(l.batches[:0], l.batches[1:]...)
	}
	l.batches = append(l.batches, d)
	return &l.batches[len(l.batches)-1]
}

// lendLoadBytes is how much is read from the disk at once for lends.
const lendLoadBytes = 256 << 10

// loadRecords fetches from the disk the batch that holds an offset, with those behind
// it; the lends that wait go on when it is there.
func (s *Shard) loadRecords(c *copyOf, o core.Offset) {
	l := c.lender
	l.loading = true
	s.load(core.Load{Stream: c.id, From: o, BytesMax: lendLoadBytes}, func(es []core.Entry, err error) {
		if c.lender != l {
			return
		}
		if err != nil { // it may be there yet: it is not given up
			s.note(8, "the disk does not give a message", "stream", s.nameOf(c), "offset", o, "err", err)
			s.timers.add(s.now.Mono+s.harmedFor(c, err), func() {
				l.loading = false
				s.mark(c)
			})
			return
		}
		l.loading, l.loaded = false, es
		if _, ok := s.recordAt(c, o); !ok {
			s.note(8, "a message cannot be read; it is passed over", "stream", s.nameOf(c), "offset", o)
			l.out = append(l.out[:0], l.out[1:]...)
			c.q.Missing(o)
		}
		s.mark(c) // decide pumps, if this node still may
	})
}

// loadedAt gives the loaded batch that holds an offset, nil where none does.
func (l *lender) loadedAt(o core.Offset) *core.Entry {
	i := sort.Search(len(l.loaded), func(i int) bool { return l.loaded[i].Next() > o })
	if i < len(l.loaded) && l.loaded[i].Base <= o && l.loaded[i].Kind == core.EntryBatch {
		return &l.loaded[i]
	}
	return nil
}
