package shard

import (
	"slices"

	"trine/internal/core"
	"trine/internal/core/record"
)

// target is a stream as this node enters for its clients into it: what was gathered
// this turn, what is under way to its leader, in order, until its outcome is known.
type target struct {
	id       core.StreamID
	leader   core.NodeID // to whom all of flights and settles was sent
	epoch    core.Epoch
	stale    bool // who leads must be learnt before anything is sent
	seq      int32
	landed   int32 // the last sequence that holds; -1: none does yet
	gathered []gathered
	ack      core.Ack
	builder  *record.Builder // of the batch that is open
	open     bool
	flights  []*flight

	settleSeq int64
	settled   []core.Settle // gathered this turn
	settleTo  []settler
	settles   []*settleFlight
	holdings  []*holding // this node's consumers, in the order they came
	detaches  []*detaching

	touched bool
	pending bool // in Shard.pending
	missed  bool // lends came while this node had no lease
	retryAt core.Time
}

type gathered struct {
	to    core.Appender
	token uint64
	count int32
}

// flight is one batch under way.
type flight struct {
	t     *target
	batch []byte
	seq   int32
	count int32
	ack   core.Ack
	parts []gathered
	after int32 // what the leader was told comes before it
	sent  bool
	since core.Time
	told  bool // its askers were told Unknown: it stays, so that the sequence has no gap
}

// last gives the sequence of the batch's last record.
func (f *flight) last() int32 { return nextSequence(f.seq, f.count-1) }

// batchBytesMax and batchRecordsMax bound what is gathered into one batch.
const (
	batchBytesMax   = 256 << 10
	batchRecordsMax = 1024
	appendWait      = 30 * core.Second
)

func (s *Shard) target(id core.StreamID) *target {
	t := s.targets[id]
	if t == nil {
		t = &target{id: id, landed: -1}
		s.targets[id] = t
		s.aim(t)
	}
	return t
}

// aim points a target at the leader that this node knows of; stale where it knows none.
func (s *Shard) aim(t *target) {
	leader, epoch := t.leader, t.epoch
	if v := s.views[t.id]; v != nil && v.Epoch >= epoch {
		leader, epoch = v.Leader, v.Epoch
	}
	if leader == 0 || leader != s.cfg.Self.Node && !s.living(leader) {
		s.stray(t)
		return
	}
	s.stray(t)
	s.aimAt(t, leader, epoch)
}

func (s *Shard) touch(t *target) {
	if !t.touched {
		t.touched = true
		s.touched = append(s.touched, t)
	}
	s.pend(t)
}

func (s *Shard) appends(as []core.Append) {
	for i := range as {
		a := &as[i]
		if a.Batch != nil {
			s.appendBatch(a)
			continue
		}
		if s.views[a.Stream] == nil {
			s.reply(&ack{who: asker{to: a.To, token: a.Token}}, core.Appended{},
				&core.Error{Op: "append", Kind: core.NotExist, Detail: "no such stream"})
			continue
		}
		s.gather(s.target(a.Stream), a)
	}
}

func (s *Shard) gather(t *target, a *core.Append) {
	if v := s.views[t.id]; t.open && v != nil && v.Queue != nil && !v.Queue.DropHead &&
		(v.Queue.LengthMax > 0 || v.Queue.BytesMax > 0) {
		s.closeBatch(t) // each is taken or refused alone
	}
	if t.open && (t.builder.Size() > batchBytesMax || t.builder.Len()+len(a.Records) > batchRecordsMax) {
		s.closeBatch(t)
	}
	if !t.open {
		t.open, t.ack, t.builder = true, core.AckNone, s.freeBuilder()
		t.builder.Reset(s.session, t.seq, s.now.Wall)
	}
	for i := range a.Records {
		t.builder.Add(&a.Records[i])
	}
	t.ack = stronger(t.ack, a.Ack)
	t.gathered = append(t.gathered, gathered{a.To, a.Token, int32(len(a.Records))})
	s.touch(t)
}

// buildersKept is how many builders wait for the next batch: a stream that rests has none.
const buildersKept = 32

func (s *Shard) freeBuilder() *record.Builder {
	n := len(s.builders)
	if n == 0 {
		return new(record.Builder)
	}
	b := s.builders[n-1]
	s.builders = s.builders[:n-1]
	return b
}

// stronger gives the level that satisfies both.
func stronger(a, b core.Ack) core.Ack { return min(a, b) }

// closeBatch puts what was gathered under way.
func (s *Shard) closeBatch(t *target) {
	f := &flight{t: t, seq: t.seq, count: int32(t.builder.Len()), ack: t.ack, batch: t.builder.Finish(),
		parts: append([]gathered(nil), t.gathered...), since: s.now.Mono}
	if len(s.builders) < buildersKept {
		s.builders = append(s.builders, t.builder)
	}
	clear(t.gathered)
	t.gathered, t.open, t.builder = t.gathered[:0], false, nil
	t.seq = nextSequence(t.seq, f.count)
	t.flights = append(t.flights, f)
}

// nextSequence counts records as producers do: it wraps at 2^31.
func nextSequence(seq, count int32) int32 { return int32((int64(seq) + int64(count)) & 0x7fffffff) }

// overdue tells the askers of batches that waited too long that nobody knows. The
// batches themselves go on: they may hold yet.
func (s *Shard) overdue(t *target) {
	for _, f := range t.flights {
		if s.now.Mono-f.since < appendWait {
			return
		}
		if !f.told {
			f.told = true
			s.tellParts(f, core.Appended{}, fail("append", core.Unknown, "no leader answered within 30 s"))
		}
	}
}

// enterGathered sends what was gathered, of every target touched.
func (s *Shard) enterGathered() {
	for len(s.touched) > 0 {
		ts := s.touched
		s.touched = nil
		for _, t := range ts {
			t.touched = false
			if t.open {
				s.closeBatch(t)
			}
			s.closeSettles(t)
			s.sendTarget(t)
		}
	}
}

// sendTarget sends what was not sent yet to the leader, in order.
func (s *Shard) sendTarget(t *target) {
	if t.stale {
		return
	}
	local := t.leader == s.cfg.Self.Node
	for i := 0; i < len(t.flights) && !t.stale; i++ {
		f := t.flights[i]
		if f.sent {
			continue
		}
		f.sent = true
		m := &core.Enter{Stream: t.id, Ack: f.ack, Batch: f.batch, After: t.landed}
		if i > 0 {
			m.After = t.flights[i-1].last()
		}
		f.after = m.After
		if local {
			// The leader writes into its batch; a batch that may be sent again keeps its own bytes.
			m.Batch = append([]byte(nil), f.batch...)
			n := len(t.flights)
			s.enter(m, appendWait, asker{flight: f})
			i -= n - len(t.flights)
			continue
		}
		s.request(t.leader, m, func(r *core.Response) {
			if b, ok := r.Body.(*core.Entered); ok && r.Err == nil {
				s.landed(f, b.Appended, nil)
				return
			}
			s.landed(f, core.Appended{}, orUnknown(r.Err))
		})
	}
	s.sendSettles(t)
	s.sendDetaches(t)
}

func orUnknown(e *core.Error) *core.Error {
	if e == nil {
		return fail("append", core.Unknown, "the answer has no form that is known")
	}
	return e
}

// landed is one batch's outcome, as its leader told it.
func (s *Shard) landed(f *flight, done core.Appended, err *core.Error) {
	t := f.t
	at := -1
	for i, g := range t.flights {
		if g == f {
			at = i
		}
	}
	if at < 0 {
		return
	}
	switch kind := kindOf(err); kind {
	case core.OK, core.Duplicate:
		if kind == core.Duplicate {
			done.Base, err = -1, nil
		}
		t.flights = slices.Delete(t.flights, at, at+1)
		t.landed = f.last()
		if !f.told {
			s.tellParts(f, done, nil)
		}
	case core.OutOfOrder:
		if at == 0 && f.after >= 0 && f.after == t.landed {
			// The leader, who is sure that it leads, lacks what this node was told holds. The
			// stream is of a kind that may lose it; what comes now does not wait for it.
			s.note(8, "a stream has lost what it had acknowledged to this node", "stream", t.id,
				"sequence", t.landed)
			t.landed = -1
		}
		s.again(t)
	case core.NotLeader, core.NoLeader, core.Unknown, core.Unavailable, core.Shut, core.Fenced:
		s.again(t) // the session's number tells the leader whether it has it
	default:
		// Nothing was appended, nor was what came behind it: that is sent again, and says
		// that this one is not coming.
		t.flights = slices.Delete(t.flights, at, at+1)
		if !f.told {
			s.tellParts(f, done, err)
		}
		for _, g := range t.flights[at:] {
			g.sent = false
		}
		s.touch(t)
	}
}

func kindOf(err *core.Error) core.Kind {
	if err == nil {
		return core.OK
	}
	return err.Kind
}

func (s *Shard) tellParts(f *flight, done core.Appended, err *core.Error) {
	base := done.Base
	for _, p := range f.parts {
		if p.to != nil {
			d := done
			if done.Base >= 0 {
				d.Base = base
			}
			s.out.Answers = append(s.out.Answers, Answer{Appender: p.to, Token: p.token, Appended: d, Err: orNil(err)})
		}
		base += core.Offset(p.count)
	}
}

// again has all that is under way sent once more, from the first on, as soon as a
// leader is known; if it is known already, in a moment.
func (s *Shard) again(t *target) {
	t.unsent()
	s.stray(t)
	if t.retryAt > s.now.Mono {
		return
	}
	t.retryAt = s.now.Mono + 20*core.Millisecond
	s.timers.add(t.retryAt, func() { s.retarget(t) })
}

// retarget looks who leads, and sends what waits.
func (s *Shard) retarget(t *target) {
	if s.targets[t.id] == t {
		s.aim(t)
	}
}

// appendBatch takes a finished batch, which is sent once.
func (s *Shard) appendBatch(a *core.Append) {
	who := asker{to: a.To, token: a.Token}
	m := &core.Enter{Stream: a.Stream, Ack: a.Ack, IfEpoch: a.IfEpoch, Batch: a.Batch, After: -1}
	if c := s.copies[a.Stream]; c != nil && c.leads {
		wait := a.WaitMax
		if wait == 0 {
			wait = appendWait
		}
		s.enter(m, wait, who)
		return
	}
	err := s.notLeader("append", a.Stream)
	if a.Here || err.Kind != core.NotLeader || !s.living(err.Leader) {
		s.refuse(who, err)
		return
	}
	s.request(err.Leader, m, func(r *core.Response) {
		if b, ok := r.Body.(*core.Entered); ok && r.Err == nil {
			s.reply(&ack{who: who}, b.Appended, nil)
			return
		}
		s.refuse(who, orUnknown(r.Err))
	})
}
