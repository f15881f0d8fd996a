package rocket

import (
	"encoding/binary"
	"sync"

	"trine/internal/core"
	"trine/internal/core/record"
	"trine/internal/front/rocket/topology"
	"trine/internal/front/rocket/wire"
)

// delays are the levels of delay in ms, from level 1 on.
var delays = [...]int64{1e3, 5e3, 10e3, 30e3, 60e3, 2 * 60e3, 3 * 60e3, 4 * 60e3, 5 * 60e3,
	6 * 60e3,
	7 * 60e3, 8 * 60e3, 9 * 60e3, 10 * 60e3, 20 * 60e3, 30 * 60e3, 3600e3, 2 * 3600e3}

// delayQueue gives the queue of scheduleTopic in which a level waits.
func delayQueue(level int64) int { return int(min(max(level, 1), int64(len(delays)))) - 1 }

// scheduleGroup is under whose name the positions of the levels stand among the
// consumers' offsets. No client can have it.
const scheduleGroup = "\x01schedule"

// schedule moves messages whose time has come. A level of a group is a queue, so
// that it is kept as its group's messages are; the node that leads it moves its
// head to where each message belongs, then the level's position:
//
//	idle ──▶ placed ──▶ reading ──▶ waiting for the head's time ──▶ moving ─┐
//	             ▲                                                          │
//	             └──────────── position appended ◀──────────────────────────┘
//
// What was moved when its leader died before the position was appended is moved
// again.
type schedule struct {
	f  *Front
	mu sync.Mutex
	at map[string]*level // by stream name
}

type level struct {
	q     *topology.Queue
	epoch core.Epoch
	delay int64
	next  core.Offset
	due   core.Stamp // of the head
	busy  bool
	left  int // appends that must hold
}

func (s *schedule) init(f *Front) { s.f, s.at = f, map[string]*level{} }

// tick starts what is due on the levels that this node leads.
func (s *schedule) tick(now core.Now) {
	t := s.f.view.Topic([]byte(topology.ScheduleTopic))
	if t == nil {
		return
	}
	self := s.f.core.Self().Node
	var start []*level
	s.mu.Lock()
	for _, p := range t.Parts {
		for _, q := range p.Queues {
			st := q.Stream.Load()
			if st == nil || st.Leader != self || q.ID >= len(delays) {
				delete(s.at, q.Name)
				continue
			}
			l := s.at[q.Name]
			if l == nil || l.epoch != st.Epoch || l.q != q {
				l = &level{q: q, epoch: st.Epoch, delay: delays[q.ID], next: -1}
				s.at[q.Name] = l
			}
			if !l.busy && l.due <= now.Wall {
				l.busy = true
				start = append(start, l)
			}
		}
	}
	s.mu.Unlock()
	for _, l := range start {
		s.start(l)
	}
}

func (s *schedule) start(l *level) {
	if l.next >= 0 {
		s.read(l)
		return
	}
	s.f.offsets.current(func(err error) {
		if err != nil {
			s.pause(l)
			return
		}
		at, _ := s.f.offsets.get(scheduleGroup, l.q)
		s.mu.Lock()
		l.next = core.Offset(at)
		s.mu.Unlock()
		s.read(l)
	})
}

// pause makes the level be started again a little later.
func (s *schedule) pause(l *level) {
	s.f.after(200*core.Millisecond, func(core.Now) {
		s.mu.Lock()
		l.busy = false
		s.mu.Unlock()
	})
}

// current says whether a level is still this node's: a newer leadership has another.
func (s *schedule) current(l *level) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at[l.q.Name] == l
}

const scheduleBytes = 256 << 10

func (s *schedule) read(l *level) {
	st := l.q.Stream.Load()
	if st == nil || !s.current(l) {
		return
	}
	r := core.Read{Parts: []core.ReadPart{{Stream: st.ID, From: l.next, BytesMax: scheduleBytes}},
		BytesMin: 1, BytesMax: scheduleBytes, Wait: 20 * core.Second}
	s.f.core.Log().Read(r, func(as []core.ReadAnswer) {
		a := &as[0]
		switch {
		case core.KindOf(a.Err) == core.OutOfRange && l.next < a.Start:
			l.next = a.Start
			s.read(l)
		case a.Err != nil:
			s.pause(l)
		case len(a.Batches) == 0:
			s.read(l)
		default:
			s.move(l, a.Batches)
		}
	})
}

// moved is one message on its way to where it belongs.
type moved struct {
	s      *schedule
	l      *level
	append core.Append
	next   core.Offset // of the level, once all of the turn hold
}

// move appends what is due among batches to where it belongs.
func (s *schedule) move(l *level, batches [][]byte) {
	now := s.f.clock().Wall
	var ms []*moved
	next, due := l.next, core.Stamp(0)
	for _, b := range batches {
		err := record.Each(b, record.UnpackedMax, func(at core.Offset, r *core.Record) bool {
			if at < next || due > 0 {
				return due == 0
			}
			if t := r.Stamp + core.Stamp(l.delay); t > now {
				due = t
				return false
			}
			next = at + 1
			if m := s.target(l, r); m != nil {
				ms = append(ms, m)
			}
			return true
		})
		if err != nil {
			s.f.o.Log.Error("read delayed messages", "stream", l.q.Name, "err", err)
		}
		if due > 0 {
			break
		}
	}
	s.mu.Lock()
	l.due, l.left = due, len(ms)
	s.mu.Unlock()
	if len(ms) == 0 {
		s.placed(l, next)
		return
	}
	as := make([]core.Append, len(ms))
	for i, m := range ms {
		m.next = next
		m.append.To = m
		as[i] = m.append
	}
	s.f.core.Log().Append(as)
}

// target makes the append that delivers a delayed message; nil where it belongs
// nowhere any more.
func (s *schedule) target(l *level, r *core.Record) *moved {
	m := &content{}
	m.read(r, nil)
	topic := string(m.prop(wire.PropRealTopic))
	id, _ := wire.ParseInt(m.prop(wire.PropRealQueue))
	q := s.f.queueAt(topic, l.q.Group, int(id))
	if q == nil {
		q = s.f.queueAt(topic, l.q.Group, 0)
	}
	if q == nil {
		s.f.o.Log.Warn("delayed message dropped: its topic is gone", "topic", topic, "group", l.q.Group)
		return nil
	}
	m.props = wire.WithoutProps(nil, m.props, wire.PropDelay)
	return &moved{s: s, l: l, append: core.Append{Stream: q.Stream.Load().ID, Ack: core.AckCommit,
		Records: m.record(&slab{})}}
}

// Appended counts what holds, and sends again what does not.
func (m *moved) Appended(_ uint64, _ core.Appended, err error) {
	if err != nil {
		m.s.f.after(200*core.Millisecond, func(core.Now) {
			if m.s.current(m.l) {
				m.s.f.core.Log().Append([]core.Append{m.append})
			}
		})
		return
	}
	m.s.mu.Lock()
	m.l.left--
	last := m.l.left == 0
	m.s.mu.Unlock()
	if last {
		m.s.placed(m.l, m.next)
	}
}

// placed notes the level's position and goes on.
func (s *schedule) placed(l *level, next core.Offset) {
	if next != l.next {
		key := offsetKey(nil, []byte(scheduleGroup), l.q)
		value := binary.BigEndian.AppendUint64(nil, uint64(next))
		s.f.offsets.append(core.Append{Records: []core.Record{{Stamp: -1, Key: key, Value: value}}})
	}
	s.mu.Lock()
	l.next = next
	waits := l.due > 0
	if waits {
		l.busy = false
	}
	s.mu.Unlock()
	if !waits {
		s.read(l)
	}
}
