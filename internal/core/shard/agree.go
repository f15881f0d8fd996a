package shard

import (
	"encoding/binary"

	"trine/internal/core"
	"trine/internal/core/catalog"
)

// A command of the catalog travels in an envelope, so that it can be sent again to
// the next leader and still be applied once:
//
//	version 1 | session 8 | seq 8 | command
//
// Each node numbers its own from 1; what was seen is part of the checkpoint.
const (
	envelopeVersion = 1
	envelopeSize    = 17
)

// sessionWindow is how many results are remembered a session: more than a node has
// commands under way.
const sessionWindow = 256

// sessions is which commands were applied, with their latest results.
type sessions struct {
	order []core.Session
	by    map[core.Session]*seenSession
}

type seenSession struct {
	results []seenResult // by application, the latest sessionWindow
}

type seenResult struct {
	seq    uint64
	index  core.Index
	result []byte
}

func (s *sessions) find(id core.Session, seq uint64) *seenResult {
	if b := s.by[id]; b != nil {
		for i := range b.results {
			if b.results[i].seq == seq {
				return &b.results[i]
			}
		}
	}
	return nil
}

// sessionsMax is how many nodes' runs are remembered.
const sessionsMax = 64

func (s *sessions) add(id core.Session, r seenResult) {
	b := s.by[id]
	if b == nil {
		if s.by == nil {
			s.by = map[core.Session]*seenSession{}
		}
		b = &seenSession{}
		s.by[id] = b
		s.order = append(s.order, id)
		if len(s.order) > sessionsMax {
			delete(s.by, s.order[0])
			s.order = s.order[1:]
		}
	}
	b.results = append(b.results, r)
	if len(b.results) > sessionWindow {
		b.results = append(b.results[:0], b.results[len(b.results)-sessionWindow:]...)
	}
}

// encode gives: version 1 | count 4 | {session 8, count 4, {seq 8, index 8, length 4,
// result}}.
func (s *sessions) encode() []byte {
	b := binary.BigEndian.AppendUint32([]byte{envelopeVersion}, uint32(len(s.order)))
	for _, id := range s.order {
		rs := s.by[id].results
		b = binary.BigEndian.AppendUint64(b, uint64(id))
		b = binary.BigEndian.AppendUint32(b, uint32(len(rs)))
		for _, r := range rs {
			b = binary.BigEndian.AppendUint64(b, r.seq)
			b = binary.BigEndian.AppendUint64(b, uint64(r.index))
			b = binary.BigEndian.AppendUint32(b, uint32(len(r.result)))
			b = append(b, r.result...)
		}
	}
	return b
}

// decodeSessions reads what encode wrote; ok is false where it is cut short.
func decodeSessions(b []byte) (s sessions, rest []byte, ok bool) {
	if len(b) < 5 || b[0] != envelopeVersion {
		return s, nil, false
	}
	n := binary.BigEndian.Uint32(b[1:])
	b = b[5:]
	for ; n > 0; n-- {
		if len(b) < 12 {
			return s, nil, false
		}
		id, m := core.Session(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint32(b[8:])
		b = b[12:]
		for ; m > 0; m-- {
			if len(b) < 20 {
				return s, nil, false
			}
			size := binary.BigEndian.Uint32(b[16:])
			if uint64(size) > uint64(len(b)-20) {
				return s, nil, false
			}
			s.add(id, seenResult{binary.BigEndian.Uint64(b), core.Index(binary.BigEndian.Uint64(b[8:])),
				append([]byte(nil), b[20:20+size]...)})
			b = b[20+size:]
		}
	}
	return s, b, true
}

// proposals is what this node wants the catalog to take, in order.
type proposals struct {
	seq    uint64
	flight []*proposal
}

type proposal struct {
	seq  uint64
	data []byte
	done func(core.Index, []byte, error)
	sent bool
	at   core.Index // where it was applied, once the answer is known; then the wait is for us
}

// proposeWait is how long a command waits for a leader of the catalog.
const proposeWait = 30 * core.Second

// propose has the catalog take a command; done is called once it is applied here.
func (s *Shard) propose(command []byte, done func(core.Index, []byte, error)) {
	s.proposals.seq++
	data := make([]byte, envelopeSize, envelopeSize+len(command))
	data[0] = envelopeVersion
	binary.BigEndian.PutUint64(data[1:], uint64(s.session))
	binary.BigEndian.PutUint64(data[9:], s.proposals.seq)
	p := &proposal{seq: s.proposals.seq, data: append(data, command...), done: done}
	s.proposals.flight = append(s.proposals.flight, p)
	s.timers.add(s.now.Mono+proposeWait, func() {
		if s.proposals.drop(p) {
			p.ended()(0, nil, fail("change the catalog", core.Unknown, "no answer within 30 s"))
		}
	})
	s.sendProposal(p)
}

// ended gives whom to tell, and lets go of what the timer would hold for its 30 s.
func (p *proposal) ended() func(core.Index, []byte, error) {
	done := p.done
	p.done, p.data = nil, nil
	return done
}

func (ps *proposals) drop(p *proposal) bool {
	for i, q := range ps.flight {
		if q == p {
			ps.flight = append(ps.flight[:i], ps.flight[i+1:]...)
			return true
		}
	}
	return false
}

// sendProposal sends a command to whoever leads the catalog; with nobody, the next
// beat tries again.
func (s *Shard) sendProposal(p *proposal) {
	if p.sent {
		return
	}
	if s.agreed.leads {
		if s.appendCommand(p.data) == nil {
			p.sent = true
		}
		return
	}
	if to := s.catalogLeader(); to != 0 {
		p.sent = true
		s.request(to, &core.Propose{Command: p.data}, func(r *core.Response) {
			if r.Err != nil {
				p.sent = false
				return
			}
			// Applied there; here it is applied in a moment, and observed by applyCommand.
		})
	}
}

// catalogLeader gives whom to send commands to: the leader as this node knows it, or,
// while it is no member yet, any node it can reach.
func (s *Shard) catalogLeader() core.NodeID {
	if d := s.agreed.rep.Status().Leader; d != 0 {
		if n := s.nodeOf(d); n != s.cfg.Self.Node && s.living(n) {
			return n
		}
		return 0
	}
	if !s.member {
		n := len(s.order)
		for i := range s.order {
			p := s.order[(i+int(s.random()%uint64(n)))%n]
			if p.up {
				return p.node
			}
		}
	}
	return 0
}

func (s *Shard) appendCommand(data []byte) error {
	e := []core.Entry{{Kind: core.EntryCatalog, Data: data}}
	err := s.agreed.rep.Propose(s.now.Mono, e)
	s.mark(s.agreed)
	return err
}

// resendProposals sends what was not sent, or may not have reached a leader. again
// forgets what was sent: the leader is another.
func (s *Shard) resendProposals(again bool) {
	for _, p := range s.proposals.flight {
		if again {
			p.sent = false
		}
		s.sendProposal(p)
	}
}

// applyCommand takes one agreed command into the machine.
func (s *Shard) applyCommand(e *core.Entry) {
	if len(e.Data) < envelopeSize || e.Data[0] != envelopeVersion {
		s.note(8, "a command of the catalog has an unknown form", "index", e.Index)
		return
	}
	id := core.Session(binary.BigEndian.Uint64(e.Data[1:]))
	seq := binary.BigEndian.Uint64(e.Data[9:])
	r := s.seen.find(id, seq)
	if r == nil {
		result := s.machine.Apply(e.Index, e.Data[envelopeSize:])
		s.seen.add(id, seenResult{seq, e.Index, result})
		r = s.seen.find(id, seq)
		s.catalogChanged()
	}
	if id != s.session {
		return
	}
	for _, p := range s.proposals.flight {
		if p.seq == seq {
			s.proposals.drop(p)
			p.ended()(r.index, r.result, nil)
			return
		}
	}
}

// proposed takes another node's command, if this one leads; the answer says that it
// was appended, and the asker sees it applied at its own copy.
func (s *Shard) proposed(p *peer, id uint64, m *core.Propose) {
	if !s.agreed.leads {
		s.respond(p, id, &core.Error{Op: "propose", Kind: core.NotLeader,
			Leader: s.catalogLeader()}, nil)
		return
	}
	if err := s.appendCommand(m.Command); err != nil {
		s.respond(p, id, asError("propose", err), nil)
		return
	}
	s.respond(p, id, nil, &core.Proposed{Index: s.agreed.rep.Status().Last})
}

// register makes this run known to the catalog, and makes it known again whenever
// the catalog holds it dead.
func (s *Shard) register() {
	if s.joining || s.aliveInCatalog(s.cfg.Self) || s.leaving != nil {
		return
	}
	if !s.agreed.leads && s.catalogLeader() == 0 {
		return
	}
	s.joining = true
	s.propose(catalog.Register(s.cfg.Self, s.registration()), func(_ core.Index, r []byte, err error) {
		s.joining = false
		if err == nil {
			err = resultError("register", r)
		}
		switch core.KindOf(err) {
		case core.OK:
			s.memberNow()
		case core.Unknown, core.Unavailable, core.NoLeader:
			s.note(4, "registering with the cluster is late", "err", err)
		default:
			s.out.Stop = err
		}
	})
}

func (s *Shard) registration() catalog.Registration {
	r := catalog.Registration{Rack: s.cfg.Rack, Addresses: s.cfg.Addresses,
		Clean: s.cfg.Disk.Clean, SameBoot: s.cfg.Disk.SameBoot}
	for i := range s.cfg.Disk.Streams {
		if d := &s.cfg.Disk.Streams[i]; d.Damage != "" {
			r.Damaged = append(r.Damaged, d.Stream)
		}
	}
	return r
}

// waits is who waits for an index of the catalog to be applied here.
type waits struct{ list []wait }

type wait struct {
	index core.Index
	do    func()
}

func (w *waits) add(index core.Index, do func()) { w.list = append(w.list, wait{index, do}) }

func (w *waits) reached(index core.Index) {
	keep := w.list[:0]
	var due []wait
	for _, x := range w.list {
		if x.index <= index {
			due = append(due, x)
		} else {
			keep = append(keep, x)
		}
	}
	clear(w.list[len(keep):])
	w.list = keep
	for _, x := range due {
		x.do()
	}
}

// syncs is who waits until this node knows all that was agreed before they asked.
// Those who ask while a question is under way share the next one.
type syncs struct {
	asking bool
	now    []func(error)
	next   []func(error)
}

// sync calls done once all that was agreed before is applied here.
func (s *Shard) sync(done func(error)) {
	s.syncs.next = append(s.syncs.next, done)
	s.timeSyncs()
	s.askSync()
}

// timeSyncs has one timer for all that waits: every dead letter asks.
func (s *Shard) timeSyncs() {
	if !s.syncTimed {
		s.syncTimed = true
		s.timers.add(s.now.Mono+proposeWait, s.syncExpired)
	}
}

func (s *Shard) syncExpired() {
	if s.syncTimed = false; len(s.syncs.now)+len(s.syncs.next) > 0 {
		s.timeSyncs()
	}
	if !s.agreed.leads && s.catalogLeader() == 0 {
		all := append(s.syncs.now, s.syncs.next...)
		s.syncs = syncs{}
		for _, f := range all {
			f(fail("ask the catalog", core.NoLeader, "no node leads it"))
		}
	}
}

func (s *Shard) askSync() {
	if s.syncs.asking || len(s.syncs.next) == 0 || !s.member {
		return
	}
	if index, ok := s.readIndex(); ok {
		s.syncs.now, s.syncs.next = s.syncs.next, nil
		s.syncsReached(index)
		return
	}
	to := s.catalogLeader()
	if to == 0 {
		return
	}
	s.syncs.asking = true
	s.syncs.now, s.syncs.next = s.syncs.next, nil
	s.request(to, &core.ReadIndex{}, func(r *core.Response) {
		s.syncs.asking = false
		if b, ok := r.Body.(*core.ReadIndexDone); ok && r.Err == nil {
			s.syncsReached(b.Index)
			s.askSync()
			return
		}
		s.syncs.next = append(s.syncs.now, s.syncs.next...)
		s.syncs.now = nil
	})
}

func (s *Shard) syncsReached(index core.Index) {
	who := s.syncs.now
	s.syncs.now = nil
	s.applied.add(index, func() {
		for _, f := range who {
			f(nil)
		}
	})
	s.applied.reached(s.agreed.done)
}

// readIndex gives an index that covers all that was agreed, where this node leads
// the catalog, has applied what it found when it began to, and holds its lease.
func (s *Shard) readIndex() (core.Index, bool) {
	a := s.agreed
	if !a.leads || a.done < a.leadFrom || !s.certain(a) {
		return 0, false
	}
	return a.rep.Status().Committed, true
}
