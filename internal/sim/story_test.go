package sim

import (
	"fmt"
	"testing"

	"trine/internal/core"
	"trine/internal/core/record"
	"trine/internal/core/shard"
)

type outcome struct {
	got  []core.Appended
	errs []error
}

func (o *outcome) Appended(_ uint64, a core.Appended, err error) {
	o.got, o.errs = append(o.got, a), append(o.errs, err)
}

func batch(t *testing.T, vs ...string) []byte {
	var b record.Builder
	b.Reset(0, 0, 1000)
	for _, v := range vs {
		b.Add(&core.Record{Stamp: -1, Value: []byte(v)})
	}
	return b.Finish()
}

func start(t *testing.T, seed uint64, n int) *World {
	w := NewWorld(seed, n)
	if testing.Verbose() {
		w.Trace = t.Output()
	}
	for _, n := range w.Nodes {
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
	}
	if !w.Until(10*core.Second, func() bool {
		for _, n := range w.Nodes {
			if !n.Member {
				return false
			}
		}
		return true
	}) {
		t.Fatalf("no cluster after %v s", w.Now()/core.Second)
	}
	t.Logf("members after %d ms", w.Now()/core.Millisecond)
	return w
}

func TestOneNodeForms(t *testing.T)   { start(t, 1, 1) }
func TestThreeNodesForm(t *testing.T) { start(t, 1, 3) }

func define(t *testing.T, w *World, n *Node, d core.Definition) *core.Stream {
	var st *core.Stream
	var err error
	done := false
	n.Ask(&shard.Ask{Define: &d, StreamDone: func(s *core.Stream, e error) { st, err, done = s, e, true }})
	if !w.Until(5*core.Second, func() bool { return done }) || err != nil {
		t.Fatalf("define %s: done %v, %v", d.Name, done, err)
	}
	return st
}

func TestAppendsHoldOnEveryKind(t *testing.T) {
	w := start(t, 1, 3)
	for name, p := range map[string]core.Policy{"single": core.Single(core.FlushEach), "majority": core.Majority(3),
		"insync": core.InSync(3, 2, core.FlushLazy), "mirror": core.Mirror(3, core.FlushEach),
		"primary": core.Primary(2, core.FlushLazy), "pair": core.Pair(2, 1, core.FlushLazy)} {
		st := define(t, w, w.Nodes[0], core.Definition{Name: name, Policy: p})
		at := w.Now()
		ledEverywhere(w, name)
		t.Logf("%s: led by %d after %d us", name, w.Nodes[2].Streams[name].Leader, (w.Now()-at)/core.Microsecond)
		for _, n := range w.Nodes {
			var o outcome
			at := w.Now()
			n.Ask(&shard.Ask{Appends: []core.Append{{Stream: st.ID, Records: []core.Record{{Stamp: -1, Value: []byte("x")}}, To: &o}}})
			if !w.Until(5*core.Second, func() bool { return len(o.got) == 1 }) || o.errs[0] != nil {
				t.Fatalf("%s: append at node %d: %v", name, n.ID, o.errs)
			}
			t.Logf("%s via node %d: base %d after %d us", name, n.ID, o.got[0].Base, (w.Now()-at)/core.Microsecond)
		}
		var as []core.ReadAnswer
		w.Nodes[1].Ask(&shard.Ask{Read: &core.Read{Parts: []core.ReadPart{{Stream: st.ID, BytesMax: 1 << 20}}, BytesMin: 1, BytesMax: 1 << 20, Wait: core.Second},
			ReadDone: func(x []core.ReadAnswer) { as = x }})
		if !w.Until(5*core.Second, func() bool { return as != nil }) || as[0].Err != nil || len(as[0].Batches) != 3 {
			t.Fatalf("%s: read %+v", name, as)
		}
	}
}

type consumer struct {
	w     *World
	n     *Node
	st    core.StreamID
	id    core.ConsumerID
	got   map[string]int
	again int
	hold  []core.Offset
	auto  bool
	ended error
}

func (c *consumer) Lent(ls []core.Lend) {
	for _, l := range ls {
		c.got[string(l.Record.Value)]++
		if c.got[string(l.Record.Value)] > 1 {
			c.w.trace("TWICE %s offset %d again %v", l.Record.Value, l.Offset, l.Again)
		}
		if l.Again {
			c.again++
		}
		if c.auto {
			c.n.Ask(&shard.Ask{Settles: []core.Settle{{Stream: c.st, Consumer: c.id, Verdicts: []core.Verdict{{From: l.Offset, To: l.Offset, Outcome: core.Accept}}}}})
		} else {
			c.hold = append(c.hold, l.Offset)
		}
	}
}
func (c *consumer) Drained(core.ConsumerID, int64)     {}
func (c *consumer) Ended(_ core.ConsumerID, err error) { c.ended = err }

func attach(t *testing.T, w *World, n *Node, st *core.Stream, id core.ConsumerID, window int32, auto bool) *consumer {
	c := &consumer{w: w, n: n, st: st.ID, id: id, got: map[string]int{}, auto: auto}
	var done bool
	var err error
	n.Ask(&shard.Ask{Attach: &core.Attach{Stream: st.ID, Consumer: id, Messages: window, Renew: true}, Holder: c, Done: func(e error) { done, err = true, e }})
	if !w.Until(5*core.Second, func() bool { return done }) || err != nil {
		t.Fatalf("attach: %v %v", done, err)
	}
	return c
}

func TestLeaderDiesUnderLoad(t *testing.T) {
	for _, name := range []string{"majority", "insync", "mirror"} {
		for seed := uint64(1); seed < 20; seed++ {
			p := map[string]core.Policy{"majority": core.Majority(3), "insync": core.InSync(3, 2, core.FlushEach), "mirror": core.Mirror(3, core.FlushEach)}[name]
			w := start(t, seed, 3)
			st := define(t, w, w.Nodes[0], core.Definition{Name: name, Policy: p, Queue: &core.QueueSettings{TTLMs: -1, DeliveryLimit: -1}})
			ledEverywhere(w, name)
			lead := w.Nodes[2].Streams[name].Leader
			alive := w.Nodes[lead%3]
			third := w.Nodes[(lead+1)%3]
			c := attach(t, w, third, st, 1, 10, true)
			held := attach(t, w, third, st, 2, 5, false)
			var o outcome
			var last, gap core.Time
			sent := 0
			var pump func()
			pump = func() {
				if sent < 2000 {
					sent++
					alive.Ask(&shard.Ask{Appends: []core.Append{{Stream: st.ID, Records: []core.Record{{Stamp: -1, Value: []byte(fmt.Sprint(sent))}}, To: &o}}})
					w.After(core.Millisecond, pump)
				}
			}
			pump()
			n := 0
			w.After(core.Second, func() { w.Nodes[lead-1].Kill("test") })
			last = w.Now()
			if !w.Until(10*core.Second, func() bool {
				if len(o.got) > n {
					n = len(o.got)
					gap = max(gap, w.Now()-last)
					last = w.Now()
				}
				return n == 2000
			}) {
				t.Fatalf("%s seed %d: %d of 2000 answered", name, seed, n)
			}
			for i, err := range o.errs {
				if err != nil {
					t.Fatalf("%s: append %d: %v", name, i, err)
				}
			}
			w.Until(5*core.Second, func() bool { return len(c.got)+len(held.got) >= 2000 })
			all := map[string]int{}
			for k, v := range c.got {
				all[k] += v
			}
			for k, v := range held.got {
				all[k] += v
			}
			twice := 0
			for _, v := range all {
				if v > 1 {
					twice++
				}
			}
			t.Logf("%s seed %d: gap %d ms, consumed %d, twice %d, again %d, held %d", name, seed, gap/core.Millisecond, len(all), twice, c.again, len(held.hold))
			if len(all) != 2000 {
				t.Errorf("lost")
			}
		}
	}
}

func TestKindChangesUnderLoad(t *testing.T) {
	for seed := uint64(1); seed < 25; seed++ {
		w := start(t, seed, 3)
		kinds := []core.Policy{core.InSync(3, 2, core.FlushLazy), core.Majority(3), core.InSync(3, 2, core.FlushEach), core.Mirror(3, core.FlushEach), core.Majority(3), core.Single(core.FlushEach), core.Majority(3)}
		st := define(t, w, w.Nodes[0], core.Definition{Name: "s", Policy: kinds[0], Queue: &core.QueueSettings{TTLMs: -1, DeliveryLimit: -1}})
		w.Until(5*core.Second, func() bool {
			for _, n := range w.Nodes {
				if s := n.Streams["s"]; s == nil || s.Leader == 0 {
					return false
				}
			}
			return true
		})
		c := attach(t, w, w.Nodes[1], st, 1, 100, true)
		var o outcome
		sent := 0
		const total = 8000
		var pump func()
		pump = func() {
			if sent < total {
				sent++
				w.Nodes[sent%3].Ask(&shard.Ask{Appends: []core.Append{{Stream: st.ID, Records: []core.Record{{Stamp: -1, Value: []byte(fmt.Sprint(sent))}}, To: &o}}})
				w.After(core.Millisecond, pump)
			}
		}
		pump()
		for i, k := range kinds[1:] {
			k, i := k, i
			w.After(core.Time(i+1)*core.Second, func() {
				at := w.Now()
				w.Nodes[i%3].Ask(&shard.Ask{Name: "s", Alter: &core.Alteration{Policy: &k}, StreamDone: func(s *core.Stream, err error) {
					if err != nil {
						t.Errorf("seed %d: alter to %s: %v", seed, k.Mode(), err)
					}
					gen := s.Gen
					w.Until(0, func() bool { return true })
					var look func()
					look = func() {
						v := w.Nodes[i%3].Streams["s"]
						if v.Gen > gen && v.Leader != 0 {
							t.Logf("seed %d: %s after %d ms", seed, k.Mode(), (w.Now()-at)/core.Millisecond)
							return
						}
						if w.Now()-at < 500*core.Millisecond {
							w.After(core.Millisecond, look)
						}
					}
					look()
				}})
			})
		}
		var last, gap core.Time
		n := 0
		last = w.Now()
		ok := w.Until(30*core.Second, func() bool {
			if len(o.got) > n {
				n = len(o.got)
				gap = max(gap, w.Now()-last)
				last = w.Now()
			}
			return n == total
		})
		for i, err := range o.errs {
			if err != nil {
				t.Fatalf("seed %d append %d: %v", seed, i, err)
			}
		}
		w.Until(5*core.Second, func() bool { return len(c.got) == total })
		twice := 0
		for _, v := range c.got {
			if v > 1 {
				twice++
			}
		}
		t.Logf("seed %d: answered %d, gap %d ms, consumed %d, twice %d", seed, n, gap/core.Millisecond, len(c.got), twice)
		if !ok || len(c.got) != total || twice > 0 {
			t.Errorf("seed %d lost", seed)
		}
	}
}

// ledEverywhere waits until every node knows who leads a stream.
func ledEverywhere(w *World, name string) {
	w.Until(5*core.Second, func() bool {
		for _, n := range w.Nodes {
			if s := n.Streams[name]; s == nil || s.Leader == 0 {
				return false
			}
		}
		return true
	})
}
