package rocket

import (
	"encoding/binary"
	"slices"
	"strconv"
	"sync"

	"trine/internal/core"
	"trine/internal/core/record"
	"trine/internal/front/rocket/topology"
	"trine/internal/front/rocket/wire"
)

// A transaction's message first stands in its group's half topic, where no consumer
// sees it. The producer's word (code 37) copies it to where it belongs, and in both
// cases appends its half offset to the op topic. The node that leads the half topic
// follows both; for what has no op in time it asks a producer of the group (code
// 39), and gives up after checksMax times:
//
//	half ──▶ open ──op──▶ done
//	          │ ▲
//	          └─┘ every checkEvery: CheckTransaction to a producer
const (
	checkAfter = 6 * 1000  // ms: transactionTimeOut
	checkEvery = 30 * 1000 // ms: transactionCheckInterval
	checksMax  = 15
	halfGroup  = "\x01half" // of the positions, among consumers' offsets
)

type transactions struct {
	f  *Front
	mu sync.Mutex
	at map[string]*halves // by broker group
}

// halves is what the leader of one group's half topic knows.
type halves struct {
	half, op         *topology.Queue
	epoch            core.Epoch
	nextHalf, nextOp core.Offset
	savedHalf        core.Offset
	open             map[core.Offset]*openHalf
	done             map[core.Offset]bool // ops seen before their halves
}

type openHalf struct {
	stamp   core.Stamp // when it was stored
	checkAt core.Stamp
	checks  int
}

func (t *transactions) init(f *Front) { t.f, t.at = f, map[string]*halves{} }

// endTransaction takes code 37.
func (c *Conn) endTransaction(core.Now) {
	a := c.ask()
	number, offset := wire.PhysicalParts(c.cmd.Int("commitLogOffset", -1))
	q := c.f.view.Queue(number)
	verdict := c.cmd.Int("commitOrRollback", 0)
	if verdict != wire.SysCommit && verdict != wire.SysRollback {
		c.failTo(a, wire.Success, "") // not known yet: it is asked again
		return
	}
	if q == nil || q.Topic != topology.HalfTopic || q.Stream.Load() == nil {
		if !c.afterSync() {
			c.fail(wire.SystemError, "find prepared transaction message failed")
		}
		return
	}
	group := c.cmd.Str("producerGroup")
	state := c.cmd.Int("tranStateTableOffset", offset)
	c.f.fetch(q.Stream.Load().ID, core.Offset(offset), func(m *content, _ core.Stamp, err error) {
		c.locked(func(now core.Now) {
			switch {
			case err != nil:
				c.failTo(a, wire.SystemError, "find prepared transaction message failed: "+err.Error())
			case string(m.prop(wire.PropProducerGroup)) != group:
				c.failTo(a, wire.SystemError, "the producer group wrong")
			case state != offset:
				c.failTo(a, wire.SystemError, "the transaction state table offset wrong")
			default:
				c.settle(a, q, offset, m, verdict == wire.SysCommit)
				c.endTurn(now)
			}
		})
	})
}

// settle ends a transaction: its message goes where it belongs or nowhere.
func (c *Conn) settle(a ask, half *topology.Queue, offset int64, m *content, commit bool) {
	g := c.f.view.Group(half.Group)
	done := func() {
		op := content{body: strconv.AppendInt(nil, offset, 10), props: []byte("TAGS\x01d\x02"),
			bornMs: int64(c.w.Now().Wall), born: c.peer}
		s := send{ask: a, group: g, count: 1, then: func(_ core.Now, _ core.Appended, err error) {
			c.outcome(a, err)
		}}
		c.enterAt(s, topology.OpTopic, 0, &op)
	}
	if !commit {
		done()
		return
	}
	topic := string(m.prop(wire.PropRealTopic))
	id, _ := wire.ParseInt(m.prop(wire.PropRealQueue))
	m.props = wire.WithoutProps(nil, m.props, wire.PropRealTopic, wire.PropRealQueue, wire.PropTranMsg,
		wire.PropCheckTimes)
	m.sysFlag = m.sysFlag&^wire.SysRollback | wire.SysCommit
	m.prepared = wire.PhysicalOf(half.Number, offset)
	s := send{ask: a, group: g, count: 1, then: func(_ core.Now, _ core.Appended, err error) {
		if err != nil {
			c.outcome(a, err)
			return
		}
		done()
	}}
	c.enterAt(s, topic, int(id), m)
}

// tick follows the half topics that this node leads and asks about what is due.
func (t *transactions) tick(now core.Now) {
	topic := t.f.view.Topic([]byte(topology.HalfTopic))
	if topic == nil {
		return
	}
	self := t.f.core.Self().Node
	var check, begin, ops []*halves
	t.mu.Lock()
	for _, p := range topic.Parts {
		q := p.Queues[0]
		st := q.Stream.Load()
		if st == nil || st.Leader != self {
			delete(t.at, p.Group)
			continue
		}
		h := t.at[p.Group]
		if h == nil || h.epoch != st.Epoch || h.half != q {
			h = &halves{half: q, epoch: st.Epoch, nextHalf: -1, open: map[core.Offset]*openHalf{},
				done: map[core.Offset]bool{}}
			t.at[p.Group] = h
			begin = append(begin, h)
			continue
		}
		if h.op == nil && h.nextHalf >= 0 {
			if h.op = t.f.queueAt(topology.OpTopic, p.Group, 0); h.op != nil {
				ops = append(ops, h)
			}
		}
		check = append(check, h)
	}
	t.mu.Unlock()
	for _, h := range begin {
		t.begin(h)
	}
	for _, h := range ops {
		t.followOps(h)
	}
	for _, h := range check {
		t.check(h, now)
	}
}

// begin loads the positions and follows both topics.
func (t *transactions) begin(h *halves) {
	t.f.offsets.current(func(err error) {
		if err != nil {
			t.f.after(200*core.Millisecond, func(core.Now) { t.begin(h) })
			return
		}
		at, _ := t.f.offsets.get(halfGroup, h.half)
		op := t.f.queueAt(topology.OpTopic, h.half.Group, 0)
		var opAt int64
		if op != nil {
			opAt, _ = t.f.offsets.get(halfGroup, op)
		}
		t.mu.Lock()
		h.nextHalf, h.savedHalf, h.nextOp, h.op = core.Offset(at), core.Offset(at), core.Offset(opAt), op
		t.mu.Unlock()
		t.follow(h, h.half, &h.nextHalf, h.takeHalf)
		if op != nil {
			t.followOps(h)
		}
	})
}

func (t *transactions) followOps(h *halves) { t.follow(h, h.op, &h.nextOp, h.takeOp) }

// follow reads a topic for as long as h counts; take is called under t.mu.
func (t *transactions) follow(h *halves, q *topology.Queue, next *core.Offset,
	take func(at core.Offset, r *core.Record)) {
	st := q.Stream.Load()
	t.mu.Lock()
	current, from := t.at[h.half.Group] == h, *next
	t.mu.Unlock()
	if st == nil || !current {
		return
	}
	again := func() { t.follow(h, q, next, take) }
	r := core.Read{Parts: []core.ReadPart{{Stream: st.ID, From: from, BytesMax: scheduleBytes}},
		BytesMin: 1, BytesMax: scheduleBytes, Wait: 20 * core.Second}
	t.f.core.Log().Read(r, func(as []core.ReadAnswer) {
		a := &as[0]
		if a.Err != nil && !(core.KindOf(a.Err) == core.OutOfRange && from < a.Start) {
			t.f.after(200*core.Millisecond, func(core.Now) { again() })
			return
		}
		t.mu.Lock()
		*next = max(from, a.Start)
		for _, b := range a.Batches {
			if err := record.Each(b, record.UnpackedMax, func(at core.Offset, r *core.Record) bool {
				if at >= *next {
					take(at, r)
					*next = at + 1
				}
				return true
			}); err != nil {
				t.f.o.Log.Error("read transactions", "stream", q.Name, "err", err)
			}
		}
		t.save(h)
		t.mu.Unlock()
		again()
	})
}

func (h *halves) takeHalf(at core.Offset, r *core.Record) {
	if h.done[at] {
		delete(h.done, at)
		return
	}
	m := content{}
	m.read(r, nil)
	o := &openHalf{stamp: r.Stamp, checkAt: r.Stamp + checkAfter}
	if s, ok := wire.ParseInt(m.prop(wire.PropCheckImmunity)); ok && s > 0 {
		o.checkAt = r.Stamp + core.Stamp(s*1000)
	}
	h.open[at] = o
}

func (h *halves) takeOp(_ core.Offset, r *core.Record) {
	v, ok := wire.ParseInt(r.Value)
	at := core.Offset(v)
	switch {
	case !ok:
	case at >= h.nextHalf:
		h.done[at] = true
	default:
		delete(h.open, at)
	}
}

// save notes the positions while nothing is open, so that a later leader need not
// read all again. The caller holds t.mu.
func (t *transactions) save(h *halves) {
	if len(h.open) > 0 || len(h.done) > 0 || h.nextHalf == h.savedHalf || h.op == nil {
		return
	}
	h.savedHalf = h.nextHalf
	var rs []core.Record
	for _, p := range []struct {
		q  *topology.Queue
		at core.Offset
	}{{h.op, h.nextOp}, {h.half, h.nextHalf}} {
		rs = append(rs, core.Record{Stamp: -1, Key: offsetKey(nil, []byte(halfGroup), p.q),
			Value: binary.BigEndian.AppendUint64(nil, uint64(p.at))})
	}
	t.f.after(0, func(core.Now) { t.f.offsets.append(core.Append{Records: rs}) })
}

// check asks about the open halves that are due.
func (t *transactions) check(h *halves, now core.Now) {
	var due []core.Offset
	var last []core.Offset
	t.mu.Lock()
	for at, o := range h.open {
		if o.checkAt > now.Wall {
			continue
		}
		o.checkAt = now.Wall + checkEvery
		if o.checks++; o.checks > checksMax {
			last = append(last, at)
		} else {
			due = append(due, at)
		}
	}
	t.mu.Unlock()
	slices.Sort(due)
	slices.Sort(last)
	st := h.half.Stream.Load()
	for _, at := range due {
		if st != nil {
			t.f.fetch(st.ID, at, func(m *content, stamp core.Stamp, err error) {
				if err == nil {
					t.ask(h.half, at, stamp, m)
				}
			})
		}
	}
	for _, at := range last {
		t.giveUp(h, at)
	}
}

// ask sends CheckTransaction to one producer of the message's group.
func (t *transactions) ask(q *topology.Queue, at core.Offset, stamp core.Stamp, m *content) {
	group := string(m.prop(wire.PropProducerGroup))
	topic, key := string(m.prop(wire.PropRealTopic)), string(m.prop(wire.PropUniqueKey))
	for _, c := range t.f.producersOf(group) {
		sent := false
		c.locked(func(core.Now) {
			if !c.producers[group] {
				return
			}
			sent = true
			s := m.stored(q, at, stamp, c.local)
			s.Topic = []byte(topic)
			c.request(wire.CheckTransaction, func(w *wire.Writer) {
				w.Int("tranStateTableOffset", int64(at))
				w.Int("commitLogOffset", s.Physical)
				w.Str("msgId", key)
				w.Str("transactionId", key)
				w.Bytes("offsetMsgId", wire.AppendMessageID(nil, &c.local, s.Physical))
				w.Str("topic", topic)
			}, wire.AppendMessage(nil, &s), nil)
		})
		if sent {
			return
		}
	}
}

// giveUp ends a transaction about which nobody knew anything, as a rollback.
func (t *transactions) giveUp(h *halves, at core.Offset) {
	op := content{body: strconv.AppendInt(nil, int64(at), 10), props: []byte("TAGS\x01d\x02"),
		bornMs: int64(t.f.clock().Wall)}
	t.f.o.Log.Warn("transaction given up: no producer knew its outcome", "group", h.half.Group,
		"offset", at)
	t.f.view.Ensure(&topology.Change{Topic: topology.OpTopic, Grow: true,
		Wishes: []topology.Wish{systemWish(topology.OpTopic, h.half.Group)}},
		func(err error) {
			q := t.f.queueAt(topology.OpTopic, h.half.Group, 0)
			if err != nil || q == nil {
				return // it is due again in checkEvery
			}
			t.f.core.Log().Append([]core.Append{{Stream: q.Stream.Load().ID, Records: op.record(&slab{})}})
		})
}
