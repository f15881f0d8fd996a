package shard

import (
	"slices"
	"sort"

	"trine/internal/core"
)

// holding is one consumer of this node: what it asked for, and what it was lent and
// has not settled. It outlives the queue's leader: the next one is told all of it.
type holding struct {
	id      core.ConsumerID
	stream  core.StreamID
	attach  core.Attach // Messages and Bytes as they would be asked for now
	holder  core.Holder
	held    []core.Offset // ascending
	done    func(error)   // of the first attachment
	asked   core.NodeID   // whom it was attached to, or is being
	epoch   core.Epoch    // of the leadership asked: what an earlier one lent comes again
	try     uint32        // counts the attachments: what was lent to an earlier one comes again
	stands  bool          // the leader asked has said yes
	drain   bool
	stopped bool
	gone    bool // detached, but settlements of it are under way
}

// settleFlight is one turn's settlements for one queue, under way.
type settleFlight struct {
	seq     int64
	settles []core.Settle
	to      []settler
	sent    bool
}

// keepFinal drops what a consumer returned from settlements that its node sends to a later
// attachment: with the earlier one those lends ended, and it or others may have the
// messages since.
func (f *settleFlight) keepFinal(id core.ConsumerID) {
	for i := range f.settles {
		x := &f.settles[i]
		if x.Consumer != id {
			continue
		}
		keep := x.Verdicts[:0:0]
		for _, v := range x.Verdicts {
			if v.Outcome == core.Accept || v.Outcome == core.Reject {
				keep = append(keep, v)
			}
		}
		x.Verdicts = keep
	}
}

// stand says whether the leader has attached every consumer: a settlement of one that
// it does not know would settle nothing.
func (t *target) stand() bool {
	for _, hd := range t.holdings {
		if !hd.stands || hd.asked != t.leader || hd.epoch != t.epoch {
			return false
		}
	}
	return true
}

type settler struct {
	to    core.Settler
	token uint64
}

func (s *Shard) attachAsked(a *core.Attach, h core.Holder, done func(error)) {
	v := s.views[a.Stream]
	if v == nil || v.Queue == nil {
		s.answer(func() { done(&core.Error{Op: "consume", Kind: core.NotExist, Detail: "no such queue"}) })
		return
	}
	hd := &holding{id: a.Consumer, stream: a.Stream, attach: *a, holder: h, done: done}
	if hd.attach.Bytes == 0 {
		hd.attach.Bytes = 1 << 20
	}
	s.holdings[a.Consumer] = hd
	t := s.target(a.Stream)
	t.holdings = append(t.holdings, hd)
	if t.stale {
		s.aim(t)
	}
	if !t.stale && hd.asked != t.leader {
		s.attach(t, hd)
	}
}

// attach sends one consumer's attachment to the queue's leader.
func (s *Shard) attach(t *target, hd *holding) {
	s.closeSettles(t) // what was settled this turn is still held, in the new leader's eyes
	hd.asked, hd.epoch, hd.stands = t.leader, t.epoch, false
	hd.try++
	for _, f := range t.settles { // sent or not
		f.keepFinal(hd.id)
	}
	m := &core.AttachAsk{Attach: hd.attach, Incarnation: s.cfg.Self.Incarnation, Try: hd.try, Held: t.heldBy(hd)}
	leader := t.leader
	settle := func(err *core.Error) {
		if s.holdings[hd.id] != hd || hd.asked != leader {
			return
		}
		switch kindOf(err) {
		case core.OK:
			hd.stands = true
			s.attached(hd)
			s.touch(t)
		case core.NotLeader, core.NoLeader, core.Unknown, core.Unavailable, core.Shut, core.Fenced:
			hd.asked = 0
			s.again(t)
		default:
			s.drop(hd)
			s.attachFailed(hd, err)
		}
	}
	told := func(epoch core.Epoch, err *core.Error) {
		if err == nil && hd.asked == leader && t.leader == leader {
			err = s.standsAt(t, hd, epoch)
		}
		settle(err)
	}
	if leader == s.cfg.Self.Node {
		told(s.attachHere(m, leader))
		return
	}
	s.request(leader, m, func(r *core.Response) {
		b, ok := r.Body.(*core.Attached)
		switch {
		case r.Err != nil:
			told(0, r.Err)
		case ok:
			told(b.Epoch, nil)
		default:
			told(0, fail("consume", core.Unknown, "the answer has no form that is known"))
		}
	})
	if hd.drain {
		s.request(leader, &core.CreditAsk{Credit: core.Credit{Stream: t.id, Consumer: hd.id, Drain: true},
			Incarnation: s.cfg.Self.Incarnation}, nil)
	}
}

// standsAt takes that a leadership has attached a consumer. If it is newer than the one
// that this node knew of, the others are attached again. If it is older, it is over, and
// what it knows of the consumer with it: the leader has yet to learn of its new one.
func (s *Shard) standsAt(t *target, hd *holding, epoch core.Epoch) *core.Error {
	if epoch < t.epoch {
		return &core.Error{Op: "consume", Kind: core.Unavailable, Epoch: t.epoch,
			Detail: "attached to a leadership that is over"}
	}
	hd.epoch = epoch
	if epoch == t.epoch {
		return nil
	}
	t.epoch = epoch
	for _, o := range t.holdings {
		if o != hd && o.epoch < epoch {
			o.asked = 0
		}
	}
	s.reattach(t)
	return nil
}

func (s *Shard) attached(hd *holding) {
	if done := hd.done; done != nil {
		hd.done = nil
		s.answer(func() { done(nil) })
	}
}

func (s *Shard) attachFailed(hd *holding, err *core.Error) {
	if done := hd.done; done != nil {
		hd.done = nil
		s.answer(func() { done(err) })
		return
	}
	s.out.Lends = append(s.out.Lends, Lent{Holder: hd.holder,
		Ended: &core.EndedAttachment{Consumer: hd.id, Kind: err.Kind}})
}

// heldBy gives what a consumer holds, with what it settled where the settlement is
// not known to hold: the new leader must take it as lent, to take the settlement.
func (t *target) heldBy(hd *holding) []core.OffsetRange {
	all := append([]core.Offset(nil), hd.held...)
	for _, f := range t.settles {
		for i := range f.settles {
			if f.settles[i].Consumer != hd.id {
				continue
			}
			for _, v := range f.settles[i].Verdicts {
				if v.Outcome == core.Return || v.Outcome == core.Release {
					continue // others may have it since
				}
				for o := v.From; o <= v.To; o++ {
					all = append(all, o)
				}
			}
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	var rs []core.OffsetRange
	for _, o := range all {
		if n := len(rs); n > 0 && rs[n-1].To >= o-1 {
			rs[n-1].To = o
		} else {
			rs = append(rs, core.OffsetRange{From: o, To: o})
		}
	}
	return rs
}

func (s *Shard) holdsOf(id core.StreamID) bool {
	t := s.targets[id]
	return t != nil && len(t.holdings) > 0
}

// reattach attaches all consumers of a stream to its leader, if it is another than
// they were attached to, and has the settlements under way sent after that.
func (s *Shard) reattach(t *target) {
	for _, hd := range append([]*holding(nil), t.holdings...) {
		if hd.asked != t.leader {
			s.attach(t, hd)
		}
	}
}

// drop forgets a consumer.
func (s *Shard) drop(hd *holding) {
	if s.holdings[hd.id] == hd {
		delete(s.holdings, hd.id)
	}
	t := s.targets[hd.stream]
	if t == nil {
		return
	}
	for i, h := range t.holdings {
		if h == hd {
			t.holdings = append(t.holdings[:i], t.holdings[i+1:]...)
			return
		}
	}
}

func (s *Shard) creditAsked(c *core.Credit) {
	hd := s.holdings[c.Consumer]
	if hd == nil {
		return
	}
	if hd.attach.Messages >= 0 {
		hd.attach.Messages = max(0, hd.attach.Messages+c.Messages)
	}
	hd.attach.Bytes += c.Bytes
	hd.drain = hd.drain || c.Drain
	if c.Stop {
		hd.stopped = true
		hd.attach.Messages, hd.attach.Renew, hd.attach.Aside = 0, false, true
	}
	t := s.target(hd.stream)
	if t.stale || hd.asked != t.leader {
		return // the attachment that comes will say it
	}
	m := &core.CreditAsk{Credit: *c, Incarnation: s.cfg.Self.Incarnation}
	if t.leader == s.cfg.Self.Node {
		s.creditHere(m)
		return
	}
	s.request(t.leader, m, nil)
}

func (s *Shard) detachAsked(stream core.StreamID, id core.ConsumerID, done func(error)) {
	hd := s.holdings[id]
	if hd == nil {
		if done != nil {
			s.answer(func() { done(nil) })
		}
		return
	}
	t := s.target(stream)
	s.closeSettles(t)
	if !t.stale {
		s.sendSettles(t)
	}
	if hd.done != nil {
		s.attachFailed(hd, fail("consume", core.Shut, "detached before it was attached"))
	}
	if t.settling(hd) {
		// What it settled is not known to hold: a new leader must still know of it.
		hd.gone, hd.held = true, nil
		hd.attach.Messages, hd.attach.Renew, hd.attach.Aside, hd.attach.Exclusive = 0, false, true, false
	} else {
		s.drop(hd)
	}
	s.detach(t, id, func() {
		if done != nil {
			s.answer(func() { done(nil) })
		}
	})
}

func (s *Shard) settlesAsked(ss []core.Settle) {
	for i := range ss {
		x := &ss[i]
		hd := s.holdings[x.Consumer]
		if hd == nil {
			if x.To != nil {
				s.out.Answers = append(s.out.Answers, Answer{Settler: x.To, Token: x.Token,
					Err: &core.Error{Op: "settle", Kind: core.NotExist, Detail: "no such consumer"}})
			}
			continue
		}
		t := s.target(x.Stream)
		one := core.Settle{Stream: x.Stream, Consumer: x.Consumer}
		for _, v := range x.Verdicts {
			one.Verdicts = hd.release(one.Verdicts, v)
		}
		if len(one.Verdicts) > 0 {
			t.settled = append(t.settled, one)
		}
		if x.To != nil {
			t.settleTo = append(t.settleTo, settler{x.To, x.Token})
		}
		s.touch(t)
	}
}

// release takes from what is held the offsets that v covers, and appends the
// verdicts on exactly those.
func (hd *holding) release(vs []core.Verdict, v core.Verdict) []core.Verdict {
	from := sort.Search(len(hd.held), func(i int) bool { return hd.held[i] >= v.From })
	to := from
	for ; to < len(hd.held) && hd.held[to] <= v.To; to++ {
		o := hd.held[to]
		if n := len(vs); n > 0 && vs[n-1].To == o-1 && vs[n-1].Outcome == v.Outcome {
			vs[n-1].To = o
		} else {
			vs = append(vs, core.Verdict{From: o, To: o, Outcome: v.Outcome})
		}
	}
	hd.held = append(hd.held[:from], hd.held[to:]...)
	return vs
}

// closeSettles puts this turn's settlements under way.
func (s *Shard) closeSettles(t *target) {
	if len(t.settled) == 0 && len(t.settleTo) == 0 {
		return
	}
	t.settleSeq++
	t.settles = append(t.settles, &settleFlight{seq: t.settleSeq,
		settles: append([]core.Settle(nil), t.settled...), to: append([]settler(nil), t.settleTo...)})
	clear(t.settled)
	clear(t.settleTo)
	t.settled, t.settleTo = t.settled[:0], t.settleTo[:0]
}

func (s *Shard) sendSettles(t *target) {
	if len(t.settles) == 0 || !t.stand() {
		return
	}
	for i := 0; i < len(t.settles) && !t.stale; i++ {
		f := t.settles[i]
		if f.sent {
			continue
		}
		f.sent = true
		m := &core.SettleAsk{Stream: t.id, Epoch: t.epoch, Session: s.session, Seq: f.seq, Settles: f.settles}
		done := func(err *core.Error) { s.settled(t, f, err) }
		if t.leader == s.cfg.Self.Node {
			s.settleHere(m, s.cfg.Self.Incarnation, done)
			continue
		}
		s.request(t.leader, m, func(r *core.Response) { done(r.Err) })
	}
}

// settled is one flight's outcome.
func (s *Shard) settled(t *target, f *settleFlight, err *core.Error) {
	at := -1
	for i, g := range t.settles {
		if g == f {
			at = i
		}
	}
	if at < 0 {
		return
	}
	switch kindOf(err) {
	case core.NotLeader, core.NoLeader, core.Unknown, core.Unavailable, core.Shut, core.Fenced:
		s.again(t)
		return
	}
	t.settles = slices.Delete(t.settles, at, at+1)
	s.dropGone(t)
	for _, w := range f.to {
		s.out.Answers = append(s.out.Answers, Answer{Settler: w.to, Token: w.token, Err: orNil(err)})
	}
}

// settling says whether settlements of a consumer are under way.
func (t *target) settling(hd *holding) bool {
	for _, f := range t.settles {
		if f.of(hd.id) {
			return true
		}
	}
	return false
}

// of says whether a consumer settles something in f.
func (f *settleFlight) of(id core.ConsumerID) bool {
	for i := range f.settles {
		if f.settles[i].Consumer == id {
			return true
		}
	}
	return false
}

// dropGone forgets the detached consumers whose settlements hold.
func (s *Shard) dropGone(t *target) {
	for _, hd := range append([]*holding(nil), t.holdings...) {
		if !hd.gone || t.settling(hd) {
			continue
		}
		s.drop(hd)
		s.detach(t, hd.id, nil)
	}
}
