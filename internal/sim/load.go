package sim

import (
	"fmt"
	"sort"
	"strings"

	"trine/internal/core"
	"trine/internal/core/record"
	"trine/internal/core/shard"
)

// subject is one stream under test, with all that its clients know of it.
type subject struct {
	w       *World
	name    string
	policy  core.Policy
	at      []core.NodeID
	queue   bool
	id      core.StreamID
	acked   map[string]bool // values whose append was said to hold
	sent    map[string]bool
	settled map[string]bool        // values whose acceptance was said to hold
	tried   map[string]bool        // and those whose acceptance was asked, and may hold
	served  map[string]core.NodeID // what a copy served as committed, and where
	lent    map[string]int
	holder  map[string]*taker // who was lent a value last
	stop    bool
	rests   bool // for a while nothing is sent
	faulty  []Finding
	lossy   func() bool // whether what happened in this run may have cost what was acknowledged
	changes bool        // its kind is changed while it runs
	moves   bool        // its copies are moved
	lost    int         // acknowledged, and lost as its kind allows
	makers  []*producer
}

func (s *subject) broken(c Class, format string, args ...any) {
	f := found(c, s.name+": "+format, args...)
	s.w.trace("BROKEN %s", f)
	if len(s.faulty) < 20 {
		s.faulty = append(s.faulty, f)
	}
}

// producer enters one record after another at a node, as a client connected to it
// does. A new run of the node has a new client.
type producer struct {
	s    *subject
	n    *Node
	run  int
	seq  int
	open map[uint64]string
}

func (s *subject) produce(n *Node) {
	p := &producer{s: s, n: n, run: n.run, open: map[uint64]string{}}
	s.makers = append(s.makers, p)
	var next func()
	next = func() {
		if s.stop || !n.up || n.run != p.run {
			return
		}
		if !s.rests && !n.paused && n.Member && len(p.open) < 20 {
			p.send()
		}
		s.w.After(s.w.between(2*core.Millisecond, 20*core.Millisecond), next)
	}
	s.w.After(s.w.between(0, 5*core.Millisecond), next)
}

func (p *producer) send() {
	p.seq++
	v := fmt.Sprintf("%d.%d.%06d", p.n.ID, p.run, p.seq)
	p.open[uint64(p.seq)] = v
	p.s.sent[v] = true
	p.n.Ask(&shard.Ask{Appends: []core.Append{{Stream: p.s.id, Token: uint64(p.seq), To: p,
		Records: []core.Record{{Stamp: -1, Value: []byte(v)}}}}})
}

// Appended takes an outcome.
func (p *producer) Appended(token uint64, a core.Appended, err error) {
	v := p.open[token]
	delete(p.open, token)
	p.s.w.trace("%s: %s base %d epoch %d in sync %d: %v", p.s.name, v, a.Base, a.Epoch, a.InSync, err)
	if err == nil {
		p.s.acked[v] = true
	}
}

// batcher is an idempotent producer as clients bring their own: finished batches, to
// the leader alone, sent again until they hold.
type batcher struct {
	s      *subject
	id     int64
	seq    int32
	value  string
	flying bool
	try    uint64
}

func (s *subject) batches(id int64) {
	b := &batcher{s: s, id: id}
	var next func()
	next = func() {
		if s.stop && b.value == "" {
			return
		}
		b.send()
		s.w.After(s.w.between(core.Millisecond, 10*core.Millisecond), next)
	}
	next()
}

func (b *batcher) send() {
	if b.flying {
		return
	}
	if b.value == "" {
		b.value = fmt.Sprintf("b%d.%06d", b.id, b.seq)
		b.s.sent[b.value] = true
	}
	for _, n := range b.s.w.Nodes {
		if v := n.Streams[b.s.name]; n.runs() && v != nil && v.Leader == n.ID {
			var m record.Builder
			m.Reset(0, 0, n.now().Wall)
			m.Add(&core.Record{Stamp: -1, Value: []byte(b.value)})
			data := m.Finish()
			record.SetProducer(data, b.id, 0, b.seq, false)
			b.flying = true
			b.try++
			try, run := b.try, n.run
			n.Ask(&shard.Ask{Appends: []core.Append{{Stream: b.s.id, Batch: data, Here: true, Token: try, To: b}}})
			b.s.w.After(core.Second, func() {
				if b.try == try && (n.run != run || b.flying) {
					b.flying = false // the client gives up waiting
				}
			})
			return
		}
	}
}

// Appended takes an outcome; one that comes late counts all the same.
func (b *batcher) Appended(token uint64, a core.Appended, err error) {
	b.s.w.trace("%s: batch %s asked try %d of %d base %d epoch %d: %v", b.s.name, b.value, token, b.try, a.Base, a.Epoch, err)
	if token != b.try || b.value == "" {
		return
	}
	b.flying = false
	switch core.KindOf(err) {
	case core.OK, core.Duplicate:
		b.s.acked[b.value] = true
		b.value = ""
		b.seq++
	case core.OutOfOrder:
		if b.s.lossy() { // what came before it is lost: it begins anew, as clients do
			b.id, b.seq, b.value = b.id+1, 0, ""
			return
		}
		b.s.broken(Refused, "batch %s: %v", b.value, err)
	case core.Invalid:
		b.s.broken(Refused, "batch %s: %v", b.value, err)
	}
}

// taker consumes at a node, and accepts what it is lent after a while.
type taker struct {
	s    *subject
	n    *Node
	run  int
	id   core.ConsumerID
	open map[uint64]string
	next uint64
	hold map[core.Offset]string
}

func (s *subject) consume(n *Node, id core.ConsumerID) {
	t := &taker{s: s, n: n, run: n.run, id: id, open: map[uint64]string{}, hold: map[core.Offset]string{}}
	var attach func()
	attach = func() {
		if s.stop || !n.up || n.run != t.run {
			return
		}
		if !n.Member || n.Streams[s.name] == nil {
			s.w.After(20*core.Millisecond, attach)
			return
		}
		n.Ask(&shard.Ask{Attach: &core.Attach{Stream: s.id, Consumer: id, Messages: 20, Renew: true}, Holder: t,
			Done: func(err error) {
				if err != nil {
					s.w.After(50*core.Millisecond, attach)
				}
			}})
	}
	attach()
}

// Lent takes messages.
func (t *taker) Lent(ls []core.Lend) {
	for i := range ls {
		l := ls[i]
		v := string(l.Record.Value)
		t.s.w.trace("%s: %s at %d lent to %d, again %v, returned %d", t.s.name, v, l.Offset, t.n.ID, l.Again, l.Returned)
		t.s.lent[v]++
		t.s.holder[v] = t
		if t.s.settled[v] {
			t.s.broken(CameAgain, "%s was settled, and came again at node %d", v, t.n.ID)
		}
		if _, ok := t.hold[l.Offset]; ok {
			t.s.broken(CameAgain, "%s was lent to node %d which holds it", v, t.n.ID)
		}
		if t.s.lent[v] > 1 && !l.Again && l.Returned == 0 {
			t.s.broken(CameAgain, "%s came again without saying so", v)
		}
		t.hold[l.Offset] = v
		t.s.w.After(t.s.w.between(0, 20*core.Millisecond), func() {
			if t.s.stop || !t.n.up || t.n.run != t.run || t.hold[l.Offset] != v {
				return
			}
			delete(t.hold, l.Offset)
			verdict := core.Verdict{From: l.Offset, To: l.Offset, Outcome: core.Accept}
			if t.s.w.chance(5) {
				verdict.Outcome = core.Return
			} else {
				t.next++
				t.open[t.next] = v
				t.s.tried[v] = true
			}
			ask := core.Settle{Stream: t.s.id, Consumer: t.id, Verdicts: []core.Verdict{verdict}}
			if verdict.Outcome == core.Accept {
				ask.To, ask.Token = t, t.next
			}
			t.n.Ask(&shard.Ask{Settles: []core.Settle{ask}})
		})
	}
}

// Drained is not asked for.
func (t *taker) Drained(core.ConsumerID, int64) {}

// Ended says that the queue is gone, which no run does.
func (t *taker) Ended(_ core.ConsumerID, err error) { t.s.broken(Refused, "consumer ended: %v", err) }

// Settled takes an outcome.
func (t *taker) Settled(token uint64, err error) {
	v := t.open[token]
	delete(t.open, token)
	t.s.w.trace("%s: %s settled by %d: %v", t.s.name, v, t.n.ID, err)
	// Where its node was held dead meanwhile, another has the message, and the settlement
	// of a lend that ended settles nothing.
	if err == nil && t.s.holder[v] == t {
		t.s.settled[v] = true
	}
}

// check reads the stream back and holds it against what the clients know.
func (s *subject) check() {
	values := s.readBack()
	if values == nil {
		return
	}
	seen, last := map[string]int{}, map[string]string{}
	for _, v := range values {
		seen[v]++
		if seen[v] > 1 {
			s.broken(Repeated, "%s stands twice", v)
		}
		if !s.sent[v] && !strings.HasPrefix(v, "probe") {
			s.broken(Foreign, "%s was never sent", v)
		}
		who := v[:strings.LastIndexByte(v, '.')]
		if last[who] > v {
			s.broken(Reordered, "%s stands behind %s", v, last[who])
		}
		last[who] = v
	}
	var lost []string
	for v := range s.acked {
		if seen[v] == 0 && !s.tried[v] {
			lost = append(lost, v)
		}
	}
	sort.Strings(lost)
	if s.lossy() {
		s.lost, lost = len(lost), nil
	}
	for _, p := range s.makers {
		if p.n.run == p.run && len(p.open) > 0 {
			s.broken(Silent, "%d appends entered at node %d were not answered", len(p.open), p.n.ID)
		}
	}
	var taken []string
	for v := range s.served {
		if seen[v] == 0 && !s.tried[v] && !s.lossy() {
			taken = append(taken, v)
		}
	}
	sort.Strings(taken)
	for _, v := range taken {
		s.broken(Taken, "%s was served by node %d and is gone", v, s.served[v])
	}
	for _, v := range lost {
		s.broken(Lost, "%s was acknowledged and is lost", v)
	}
}

// watch reads at one node's own copy, as a client that is content with a copy does.
func (s *subject) watch(n *Node) {
	from, flying := core.Offset(0), false
	var next func()
	next = func() {
		if s.stop {
			return
		}
		if n.runs() && !flying {
			flying = true
			run := n.run
			n.Ask(&shard.Ask{Read: &core.Read{Parts: []core.ReadPart{{Stream: s.id, From: from, BytesMax: 1 << 20}},
				BytesMax: 1 << 20, Copy: true}, ReadDone: func(as []core.ReadAnswer) {
				if flying = false; n.run != run || as[0].Err != nil {
					return
				}
				s.each(as[0].Batches, from, func(o core.Offset, v string) { s.served[v], from = n.ID, o+1 })
			}})
			s.w.After(core.Second, func() { flying = flying && n.run == run })
		}
		s.w.After(s.w.between(core.Millisecond, 5*core.Millisecond), next)
	}
	next()
}

// each walks through what a read found, from an offset on.
func (s *subject) each(batches [][]byte, from core.Offset, do func(core.Offset, string)) {
	for _, b := range batches {
		err := record.Each(b, 1<<24, func(o core.Offset, r *core.Record) bool {
			if o >= from {
				do(o, string(r.Value))
			}
			return true
		})
		if err != nil {
			s.broken(Foreign, "a batch read at %d: %v", from, err)
		}
	}
}

// readBack gives every value of the stream, in order.
func (s *subject) readBack() []string { return s.read(s.w.Nodes[0], false) }

// readAt gives every value that a node's own copy serves, in order.
func (s *subject) readAt(n *Node) []string { return s.read(n, true) }

func (s *subject) read(n *Node, copied bool) []string {
	values := []string{}
	from := core.Offset(0)
	for {
		var as []core.ReadAnswer
		n.Ask(&shard.Ask{Read: &core.Read{Parts: []core.ReadPart{{Stream: s.id, From: from, BytesMax: 1 << 20}},
			BytesMax: 1 << 20, Copy: copied}, ReadDone: func(x []core.ReadAnswer) { as = x }})
		if !s.w.Until(10*core.Second, func() bool { return as != nil }) {
			s.broken(Silent, "a read is not answered")
			return nil
		}
		if as[0].Err != nil {
			s.broken(Refused, "read at %d: %v", from, as[0].Err)
			return nil
		}
		next := from
		s.each(as[0].Batches, from, func(o core.Offset, v string) {
			values, next = append(values, v), o+1
		})
		if next == from {
			if from < as[0].Committed && !s.queue {
				s.broken(Lost, "nothing can be read at %d of %d", from, as[0].Committed)
			}
			return values
		}
		from = next
	}
}
