package queue

import (
	"bytes"
	"cmp"
	"slices"

	"pgregory.net/rapid"

	"trine/internal/core"
	"trine/internal/core/record"
)

// A world plays a queue with three copies, its leaders one after another,
// two nodes with clients, lost proposals, broken links and dead nodes, beside a
// naive model that keeps every message in a struct of its own.

type place uint8

const (
	atReady place = iota
	atDelayed
	atHands
	atDecided // on its way through the log
	atGiven
	atGone
)

type message struct {
	offset    core.Offset
	priority  uint8
	expires   core.Stamp
	notBefore core.Stamp
	stamp     core.Stamp
	size      int64

	fate  Fate // fact
	given bool // fact
	count int32

	place  place // as this leader sees it
	counts int32
	holder *client

	everLent bool
	done     bool // a client accepted or rejected it, and its node lives
}

type client struct {
	id       core.Consumer
	attach   core.Attach
	credit   int64
	bytes    int64
	holds    map[core.Offset]bool // in the client's hands
	attached bool
}

type sent struct {
	seq     int64
	settles []core.Settle
}

type node struct {
	incarnation core.Incarnation
	clients     []*client
	seq         int64
	unconfirmed []sent
	delivered   int64     // to this leader
	broken      bool      // its link: nothing arrives, either way
	ghosts      []*client // detached, with settlements that are not known to hold
}

type world struct {
	set     core.QueueSettings
	copies  []*Queue
	leader  int
	log     []core.Entry // proposed, not committed
	index   core.Index
	next    core.Offset
	now     core.Now
	ceiling core.Offset // fact
	under   core.Offset // as the leader began
	holding bool
	msgs    []*message
	nodes   []*node
	ids     core.ConsumerID
	routing map[core.Offset]bool
	out     Effects
	lost    bool // a proposal waits to be made again
	active  *client
}

func (w *world) q() *Queue { return w.copies[w.leader] }

func (w *world) ready() []*message {
	var out []*message
	for _, m := range w.msgs {
		if m.place == atReady {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b *message) int {
		pa, pb := min(a.priority, w.set.Priorities), min(b.priority, w.set.Priorities)
		return cmp.Or(cmp.Compare(pb, pa), cmp.Compare(a.offset, b.offset))
	})
	return out
}

func (w *world) clients(attached bool) []*client {
	var out []*client
	for _, n := range w.nodes {
		for _, c := range n.clients {
			if c.attached == attached {
				out = append(out, c)
			}
		}
	}
	return out
}

func (w *world) append(t *rapid.T) {
	var b record.Builder
	n := rapid.IntRange(1, 6).Draw(t, "records")
	b.Reset(0, 0, w.now.Wall)
	for i := range n {
		m := &message{offset: w.next + core.Offset(i), stamp: w.now.Wall}
		if rapid.IntRange(0, 3).Draw(t, "plain") == 0 {
			m.priority = rapid.Uint8Range(0, 3).Draw(t, "priority")
			if rapid.Bool().Draw(t, "expires") {
				m.expires = w.now.Wall + core.Stamp(rapid.IntRange(1, 80).Draw(t, "in"))
			}
			if rapid.Bool().Draw(t, "delayed") {
				m.notBefore = w.now.Wall + core.Stamp(rapid.IntRange(1, 80).Draw(t, "after"))
			}
		}
		m.size = int64(rapid.IntRange(0, 20).Draw(t, "size"))
		if m.notBefore > 0 {
			m.place = atDelayed
		}
		w.msgs = append(w.msgs, m)
		b.Add(&core.Record{Stamp: -1, Value: make([]byte, m.size), Priority: m.priority,
			Expires: m.expires, NotBefore: m.notBefore})
	}
	batch := b.Finish()
	record.SetBase(batch, w.next, 1)
	w.commitAll(t) // a log is in order: what was proposed before comes before
	w.index++
	w.apply(t, &core.Entry{Index: w.index, Kind: core.EntryBatch, Base: w.next, Count: int32(n), Data: batch})
	w.next += core.Offset(n)
}

func (w *world) apply(t *rapid.T, e *core.Entry) {
	for i := range w.copies {
		if err := w.copies[i].Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	if e.Kind == core.EntryQueue {
		w.facts(t, e.Data)
	}
}

// facts takes an entry into the model.
func (w *world) facts(t *rapid.T, data []byte) {
	var f facts
	if err := f.parse(data); err != nil {
		t.Fatal(err)
	}
	w.ceiling = max(w.ceiling, f.ceiling)
	for _, r := range f.returned {
		for o := r.From; o <= r.To; o++ {
			if r.count <= w.msgs[o].count {
				t.Fatalf("message %d was returned %d times, then %d", o, w.msgs[o].count, r.count)
			}
			w.msgs[o].count = r.count
		}
	}
	for _, g := range f.given {
		for o := g.From; o <= g.To; o++ {
			w.msgs[o].given = true
			w.msgs[o].place = atGiven
		}
	}
	for fate, rs := range f.settled {
		for _, r := range rs {
			for o := r.From; o <= r.To; o++ {
				m := w.msgs[o]
				if m.fate != 0 {
					t.Fatalf("message %d is settled twice: %d, then %d", o, m.fate, fate)
				}
				m.fate, m.place = Fate(fate), atGone
			}
		}
	}
}

func (w *world) commit(t *rapid.T, n int) {
	for i := range n {
		w.apply(t, &w.log[i])
	}
	w.log = w.log[n:]
	for _, nd := range w.nodes {
		through := w.q().SettledThrough(core.SessionOf(nd.incarnation))
		nd.unconfirmed = slices.DeleteFunc(nd.unconfirmed, func(s sent) bool { return s.seq <= through })
	}
}

func (w *world) commitAll(t *rapid.T) { w.commit(t, len(w.log)) }

func (c *client) window() int64 {
	if c.attach.Bytes == 0 {
		return bytesCredit
	}
	return c.attach.Bytes
}

// settled takes a settlement into the model.
func (w *world) settled(c *client, st core.Settle) {
	for _, v := range st.Verdicts {
		m := w.msgs[v.From]
		if m.place != atHands || m.holder != c {
			continue
		}
		m.holder = nil
		switch v.Outcome {
		case core.Accept, core.Reject:
			m.place = atDecided
		case core.Release:
			m.place = atReady
		default:
			w.giveBack(m)
		}
		if c.attach.Renew && c.credit != noLimit {
			c.credit++
		}
	}
}

func (w *world) giveBack(m *message) {
	m.holder, m.place = nil, atReady
	if m.counts++; w.set.DeliveryLimit >= 0 && m.counts > w.set.DeliveryLimit {
		m.place = atDecided
	}
}

// turn takes a turn and judges it.
func (w *world) turn(t *rapid.T) {
	w.q().Turn(w.now, &w.out)
	if w.lost && w.out.Propose != nil {
		w.lost = false
	}
	w.ripen()
	if !w.holding {
		w.expire()
	}
	for _, l := range w.out.Lends {
		w.lent(t, l)
	}
	if !w.blocked() && !w.holding {
		w.limit()
		for _, c := range w.clients(true) {
			if c.credit > 0 && c.bytes > 0 && len(w.ready()) > 0 && !w.set.SingleActive {
				t.Fatalf("client %d has credit %d, %d bytes, and is lent nothing of %d ready",
					c.id.ID, c.credit, c.bytes, len(w.ready()))
			}
		}
	}
	for _, f := range w.out.Forwards {
		if m := w.msgs[f.Offset]; m.fate != 0 || !m.given || w.routing[f.Offset] {
			t.Fatalf("message %d is forwarded, and was not given up, or twice", f.Offset)
		}
		w.routing[f.Offset] = true
	}
	if w.out.Propose != nil {
		w.index++
		w.log = append(w.log, core.Entry{Index: w.index, Kind: core.EntryQueue, Base: w.next, Data: w.out.Propose})
	}
	w.compare(t)
}

// ripen and expire do in the model what time does.
func (w *world) ripen() {
	for _, m := range w.msgs {
		if m.place == atDelayed && m.notBefore <= w.now.Wall {
			m.place = atReady
		}
	}
}

func (w *world) expire() {
	for _, m := range w.msgs {
		own := m.expires != 0 && m.expires <= w.now.Wall
		queues := w.set.TTLMs > 0 && m.stamp+core.Stamp(w.set.TTLMs) <= w.now.Wall
		if m.place == atReady && (own || queues) {
			m.place = atDecided
		}
	}
}

func (w *world) lent(t *rapid.T, l Lending) {
	m := w.msgs[l.Offset]
	first := w.ready()
	if m.place != atReady || !w.set.ReturnToBack && first[0] != m {
		t.Fatalf("message %d is lent, and it is not its turn", l.Offset)
	}
	var c *client
	for _, x := range w.clients(true) {
		if x.id == l.Consumer {
			c = x
		}
	}
	if c == nil || c.credit <= 0 || c.bytes <= 0 {
		t.Fatalf("message %d is lent to %d, who has no credit", l.Offset, l.Consumer.ID)
	}
	for _, x := range w.clients(true) {
		if !w.set.SingleActive && x.credit > 0 && x.bytes > 0 && x.attach.Priority > c.attach.Priority {
			t.Fatalf("message %d is lent to %d, before %d", l.Offset, c.id.ID, x.id.ID)
		}
	}
	if w.set.SingleActive {
		if w.active != nil && w.active != c && w.active.attached && len(w.active.holds) > 0 {
			t.Fatalf("message %d is lent to %d, beside %d", l.Offset, c.id.ID, w.active.id.ID)
		}
		w.active = c
	}
	if l.Offset >= w.ceiling || w.holding && l.Offset < w.under {
		t.Fatalf("message %d is lent, ceiling %d, held back below %d", l.Offset, w.ceiling, w.under)
	}
	if l.Returned != m.counts || m.everLent && !l.Again || !l.Again && m.offset < w.under {
		t.Fatalf("message %d was returned %d times, lent %v: %+v", l.Offset, m.counts, m.everLent, l)
	}
	if m.done {
		t.Fatalf("message %d is lent, and a living client was done with it", l.Offset)
	}
	for _, x := range w.clients(true) {
		if x.holds[l.Offset] {
			t.Fatalf("message %d is lent to %d, while %d holds it", l.Offset, c.id.ID, x.id.ID)
		}
	}
	m.everLent = true
	if c.credit != noLimit {
		c.credit--
	}
	c.bytes -= m.size
	if c.attach.Settled {
		m.place = atDecided
		return
	}
	m.place, m.holder = atHands, c
	if !w.node(c).broken {
		c.holds[l.Offset] = true
	}
}

// blocked says whether somebody waits for the ceiling, or for the hold to end.
func (w *world) blocked() bool {
	ready := w.ready()
	if len(ready) == 0 {
		return false
	}
	o := ready[0].offset
	if o < w.ceiling && !(w.holding && o < w.under) {
		return false
	}
	return slices.ContainsFunc(w.clients(true), func(c *client) bool { return c.credit > 0 && c.bytes > 0 })
}

func (w *world) limit() {
	for ready := w.ready(); w.set.LengthMax > 0 && int64(len(ready)) > w.set.LengthMax; ready = ready[1:] {
		ready[0].place = atDecided
	}
}

func (w *world) compare(t *rapid.T) {
	info := w.q().Inspect()
	ready, lent, size := int64(0), int64(0), int64(0)
	for _, m := range w.msgs {
		switch m.place {
		case atReady:
			ready++
			size += m.size
		case atHands:
			lent++
		}
	}
	if info.Ready != ready || info.Lent != lent || info.Bytes != size {
		t.Fatalf("%d ready, %d lent, %d bytes; the queue says %+v", ready, lent, size, info)
	}
}

// check compares the copies, after all that is committed.
func (w *world) check(t *rapid.T) {
	state := w.copies[0].Encode()
	for i := range w.copies {
		if !bytes.Equal(state, w.copies[i].Encode()) {
			t.Fatalf("copy %d is not equal to copy 0", i)
		}
	}
	again, err := Decode(state, w.set)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(state, again.Encode()) {
		t.Fatal("a decoded copy differs")
	}
	other := rapid.IntRange(0, len(w.copies)-1).Draw(t, "restarts")
	if other != w.leader {
		w.copies[other] = again
	}
	live := int64(0)
	for _, m := range w.msgs {
		if m.fate == 0 {
			live++
		}
	}
	if n, _ := w.q().Live(); n != live {
		t.Fatalf("%d messages live, the queue says %d", live, n)
	}
}
