package sim

import (
	"testing"

	"trine/internal/core"
	"trine/internal/core/record"
	"trine/internal/core/shard"
	"trine/internal/journal"
)

// serves says whether a stream takes an append at a node within a time.
func serves(w *World, n *Node, st *core.Stream, within core.Time) error {
	var o outcome
	w.Until(within, func() bool { return n.Streams[st.Name] != nil })
	n.Ask(&shard.Ask{Appends: []core.Append{{Stream: st.ID, To: &o,
		Records: []core.Record{{Stamp: -1, Value: []byte("x")}}}}})
	if !w.Until(within, func() bool { return len(o.got) == 1 }) {
		return &core.Error{Op: "append", Name: st.Name, Kind: core.Unknown, Detail: "no answer"}
	}
	return o.errs[0]
}

// TestANodeThatNeverCameBackIsFenced: all are killed and two come back. These were
// never linked to the third's last run, nor to any: the catalog alone says that it was.
func TestANodeThatNeverCameBackIsFenced(t *testing.T) {
	w := start(t, 1, 3)
	st := define(t, w, w.Nodes[0], core.Definition{Name: "s", Policy: core.InSync(3, 2, core.FlushEach),
		At: []core.NodeID{3, 1, 2}})
	if err := serves(w, w.Nodes[0], st, core.Second); err != nil {
		t.Fatal(err)
	}
	for _, n := range w.Nodes {
		n.Kill("test")
	}
	for _, n := range w.Nodes[:2] {
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
	}
	if !w.Until(10*core.Second, func() bool { return !w.Nodes[0].info(3).Alive && w.Nodes[0].Member }) {
		t.Fatalf("node 3 is still held alive: %+v", w.Nodes[0].info(3))
	}
	if err := serves(w, w.Nodes[0], st, 5*core.Second); err != nil {
		t.Fatal(err)
	}
}

// TestARunThatOneNodeAloneHasMetIsFenced: node 3 comes back while it and node 2 do not
// reach each other, and is killed again.
func TestARunThatOneNodeAloneHasMetIsFenced(t *testing.T) {
	w := start(t, 1, 3)
	w.wire(2, 3).refuse = true
	n := w.Nodes[2]
	n.Kill("test")
	w.Run(500 * core.Millisecond)
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	if !w.Until(5*core.Second, func() bool { return n.Member }) {
		t.Fatal("node 3 is not taken in again")
	}
	n.Kill("test")
	if !w.Until(10*core.Second, func() bool { return !w.Nodes[0].info(3).Alive }) {
		t.Fatalf("node 3 is still held alive: %+v", w.Nodes[0].info(3))
	}
}

// TestAStreamServesAsSoonAsItIsDefined: its leader may hear of it last.
func TestAStreamServesAsSoonAsItIsDefined(t *testing.T) {
	w := start(t, 1, 3)
	for i, p := range []core.Policy{core.InSync(3, 2, core.FlushEach), core.Single(core.FlushLazy), core.Majority(3)} {
		for home := core.NodeID(1); home <= 3; home++ {
			st := define(t, w, w.Nodes[0], core.Definition{Name: string(rune('a'+i)) + string(rune('0'+home)),
				Policy: p, At: []core.NodeID{home}})
			if err := serves(w, w.Nodes[0], st, 2*core.Second); err != nil {
				t.Errorf("%s with its first copy on node %d: %v", p.Mode(), home, err)
			}
		}
	}
}

// TestASessionGoesOnWhereItsStreamLostATail: a lazy stream's only copy loses what it had
// acknowledged with the power. The node that had entered it must not wait for it.
func TestASessionGoesOnWhereItsStreamLostATail(t *testing.T) {
	w := start(t, 1, 3)
	st := define(t, w, w.Nodes[0], core.Definition{Name: "s", Policy: core.Single(core.FlushLazy),
		At: []core.NodeID{3}})
	w.unsure["s"] = true
	for range 5 {
		if err := serves(w, w.Nodes[1], st, core.Second); err != nil {
			t.Fatal(err)
		}
	}
	n := w.Nodes[2]
	n.end("power cut", func() *journal.MemFS { return n.fs.Crash(1, 0) })
	w.Run(100 * core.Millisecond)
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	if err := serves(w, w.Nodes[1], st, 5*core.Second); err != nil {
		t.Fatal(err)
	}
	for _, d := range n.sh.Digests() {
		if d.Name == "s" && d.Next != 1 {
			t.Fatalf("the stream ends at %d: this run lost nothing, and shows nothing", d.Next)
		}
	}
}

// TestAMoveTakesNoLeadershipAway: a primary acknowledges alone. Its home is moved while
// clients append, and nothing acknowledged is lost, nor refused.
func TestAMoveTakesNoLeadershipAway(t *testing.T) {
	for name, p := range map[string]core.Policy{"primary": core.Primary(2, core.FlushLazy),
		"single": core.Single(core.FlushEach), "mirror": core.Mirror(2, core.FlushEach)} {
		for seed := uint64(1); seed <= 5; seed++ {
			moved(t, seed, name, p)
		}
	}
}

func moved(t *testing.T, seed uint64, name string, p core.Policy) {
	w := start(t, seed, 3)
	st := define(t, w, w.Nodes[0], core.Definition{Name: name, Policy: p, At: []core.NodeID{1}})
	var o outcome
	sent, stop := 0, false
	var pump func()
	pump = func() {
		if sent++; !stop {
			w.Nodes[sent%3].Ask(&shard.Ask{Appends: []core.Append{{Stream: st.ID, To: &o, Ack: core.AckLeader,
				Records: []core.Record{{Stamp: -1, Value: []byte("x")}}}}})
			w.After(200*core.Microsecond, pump)
		}
	}
	w.Run(100 * core.Millisecond)
	pump()
	for _, to := range [][]core.NodeID{{2, 3}, {3, 2}, {1, 3}, {2, 1}} {
		w.Run(300 * core.Millisecond)
		w.Nodes[0].Ask(&shard.Ask{Name: name, Move: to[:p.Copies], Done: func(err error) {
			if err != nil {
				t.Error(err)
			}
		}})
		if !w.Until(5*core.Second, func() bool { return w.Nodes[0].Streams[name].Leader == to[0] }) {
			t.Fatalf("%s: not led by node %d: %+v", name, to[0], w.Nodes[0].Streams[name])
		}
	}
	stop = true
	w.Run(2 * core.Second)
	seen := map[core.Offset]bool{}
	for i, a := range o.got {
		if o.errs[i] != nil || seen[a.Base] {
			t.Fatalf("%s seed %d: append %d at %d, there before: %v, %v", name, seed, i, a.Base,
				seen[a.Base], o.errs[i])
		}
		seen[a.Base] = a.Base >= 0 // else it stood there already, at a place forgotten since
	}
	for _, d := range w.Nodes[w.Nodes[0].Streams[name].Leader-1].sh.Digests() {
		if d.Name == name && int(d.Next) != len(o.got) {
			t.Errorf("%s seed %d: %d appends were acknowledged, %d are there", name, seed, len(o.got), d.Next)
		}
	}
}

// TestALeavingLeaderWaitsForCopiesThatLag: what it acknowledged alone is on the way for
// 250 ms when it is told to leave. It hands over when that has arrived.
func TestALeavingLeaderWaitsForCopiesThatLag(t *testing.T) {
	for name, p := range map[string]core.Policy{"in sync": core.InSync(3, 1, core.FlushEach),
		"mirror": core.Mirror(3, core.FlushEach)} {
		w := start(t, 1, 3)
		at := []core.NodeID{0, 0, 0} // the catalog's leader hears of it without delay
		for _, n := range w.Nodes[0].Infos {
			if n.Leads {
				at = []core.NodeID{n.Node%3 + 1, n.Node, (n.Node+1)%3 + 1}
			}
		}
		st := define(t, w, w.Nodes[0], core.Definition{Name: name, Policy: p, At: at})
		old := w.Nodes[at[0]-1]
		if err := serves(w, old, st, core.Second); err != nil {
			t.Fatal(err)
		}
		w.wire(at[0], at[1]).late, w.wire(at[0], at[2]).late = 250*core.Millisecond, 250*core.Millisecond
		var o outcome
		for i := range 150 {
			w.After(core.Time(i)*core.Millisecond, func() {
				old.Ask(&shard.Ask{Appends: []core.Append{{Stream: st.ID, To: &o, Ack: core.AckLeader,
					Records: []core.Record{{Stamp: -1, Value: []byte("x")}}}}})
			})
		}
		w.Run(150 * core.Millisecond)
		left := false
		old.Ask(&shard.Ask{Stop: true, Done: func(error) { left = true }})
		if !w.Until(5*core.Second, func() bool { return left }) {
			t.Fatalf("%s: the leader never left", name)
		}
		acked := core.Offset(0)
		for i, a := range o.got {
			if o.errs[i] == nil {
				acked = max(acked, a.Base+1)
			}
		}
		old.Kill("it has left")
		w.wire(at[0], at[1]).late, w.wire(at[0], at[2]).late = 0, 0
		next := w.Nodes[at[1]-1]
		w.Until(5*core.Second, func() bool { return next.Streams[name].Leader == next.ID })
		w.Run(core.Second)
		for _, d := range next.sh.Digests() {
			if d.Name == name && d.Next < acked {
				t.Errorf("%s: acknowledged up to %d, and the next leader has %d", name, acked, d.Next)
			}
		}
		if acked < 50 {
			t.Errorf("%s: only %d were acknowledged: this run shows nothing", name, acked)
		}
	}
}

// TestALeaderThatWasStoppedIsNotSureAtOnce: a group's leader is stopped until another leads,
// and goes on while it does not reach that one. The third node answers its beats, so that
// it has a lease: it must not say that what it lacks nobody has.
func TestALeaderThatWasStoppedIsNotSureAtOnce(t *testing.T) {
	w := start(t, 1, 3)
	at := []core.NodeID{0, 0, 0} // the catalog's leader last
	for _, n := range w.Nodes[0].Infos {
		if n.Leads {
			at[2] = n.Node
			at[0], at[1] = n.Node%3+1, (n.Node+1)%3+1
		}
	}
	st := define(t, w, w.Nodes[0], core.Definition{Name: "s", Policy: core.Majority(3), At: at})
	ledEverywhere(w, "s")
	old := w.Nodes[at[0]-1]
	if err := batched(w, old, st, 0); err != nil {
		t.Fatal(err)
	}
	w.Run(12 * core.Second) // the group is quiet: its leader asks nobody by itself
	l := w.wire(at[0], at[1])
	l.cutAB, l.cutBA = true, true
	old.Pause()
	var next *Node
	if !w.Until(5*core.Second, func() bool {
		for _, n := range w.Nodes {
			if v := n.Streams["s"]; n != old && v.Leader == n.ID {
				next = n
			}
		}
		return next != nil
	}) {
		t.Fatal("nobody else leads")
	}
	if err := batched(w, next, st, 1); err != nil {
		t.Fatal(err)
	}
	w.Run(core.Second) // the suspicion is forgiven: its beats are answered again
	old.Resume()
	kinds := map[core.Kind]int{}
	for range 600 {
		w.Run(core.Millisecond)
		err := batched(w, old, st, 2)
		kinds[core.KindOf(err)]++
	}
	t.Log(kinds)
	if kinds[core.OutOfOrder]+kinds[core.OK] > 0 {
		t.Errorf("a leader that was superseded answers for the stream: %v", kinds)
	}
}

// batched has a node append a producer's batch, if it answers within a moment.
func batched(w *World, n *Node, st *core.Stream, seq int32) error {
	var m record.Builder
	m.Reset(0, 0, n.now().Wall)
	m.Add(&core.Record{Stamp: -1, Value: []byte{byte(seq)}})
	data := m.Finish()
	record.SetProducer(data, 1000, 0, seq, false)
	var o outcome
	n.Ask(&shard.Ask{Appends: []core.Append{{Stream: st.ID, Batch: data, Here: true, To: &o}}})
	if !w.Until(20*core.Millisecond, func() bool { return len(o.errs) == 1 }) {
		return &core.Error{Op: "append", Kind: core.Unavailable, Detail: "no answer yet"}
	}
	return o.errs[0]
}

// TestNothingIsAppendedBehindASeal: a stream is sealed to change its kind, and all nodes are
// killed before the seal holds, for one copy is stopped. Who leads then finds the seal, and
// what it acknowledged must not be cut with the change.
func TestNothingIsAppendedBehindASeal(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		w := start(t, seed, 3)
		st := define(t, w, w.Nodes[0], core.Definition{Name: "s", Policy: core.InSync(3, 2, core.FlushEach)})
		ledEverywhere(w, "s")
		lead := w.Nodes[0].Streams["s"].Leader
		if err := serves(w, w.Nodes[0], st, core.Second); err != nil {
			t.Fatal(err)
		}
		w.Nodes[lead%3].Pause()
		kind := core.Majority(3)
		w.Nodes[lead-1].Ask(&shard.Ask{Name: "s", Alter: &core.Alteration{Policy: &kind},
			StreamDone: func(*core.Stream, error) {}})
		w.Run(100 * core.Millisecond)
		for _, n := range w.Nodes {
			n.Kill("test")
		}
		var o outcome
		for ms := range 2000 {
			for _, n := range w.Nodes { // the one that was stopped comes last: the log waits for it
				stopped := n == w.Nodes[lead%3]
				for _, o := range w.Nodes { // nobody is told that it is gone: it is waited for
					if stopped && o != n {
						w.wire(n.ID, o.ID).refuse = ms < 1300
					}
				}
				if !n.up && (ms == 0 && !stopped || ms == 1300) {
					if err := n.Start(); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, n := range w.Nodes {
				n.Ask(&shard.Ask{Appends: []core.Append{{Stream: st.ID, To: &o,
					Records: []core.Record{{Stamp: -1, Value: []byte("x")}}}}})
			}
			w.Run(core.Millisecond)
		}
		w.Run(2 * core.Second)
		if v := w.Nodes[0].Streams["s"]; v.Gen == st.Gen {
			t.Fatalf("seed %d: its kind is the old one: %+v", seed, v)
		}
		acked := 1
		for _, err := range o.errs {
			if err == nil {
				acked++
			}
		}
		w.Run(core.Second)
		for _, n := range w.Nodes {
			for _, d := range n.sh.Digests() {
				if d.Name == "s" && int(d.Next) != acked {
					t.Errorf("seed %d: %d were acknowledged, %d are at node %d", seed, acked, d.Next, n.ID)
				}
			}
		}
	}
}

// TestRetentionIsSeenAtOnce: a stream that keeps little is written on; the disks let the
// oldest go, and where it begins is known at once, at its leader and on every copy.
func TestRetentionIsSeenAtOnce(t *testing.T) {
	for name, p := range map[string]core.Policy{"insync": core.InSync(3, 2, core.FlushEach),
		"majority": core.Majority(3), "lazy": core.InSync(3, 2, core.FlushLazy)} {
		w := start(t, 1, 3)
		st := define(t, w, w.Nodes[0], core.Definition{Name: name, Policy: p,
			Keep: core.Keep{BytesMax: 64 << 10, SegmentBytes: 16 << 10}})
		ledEverywhere(w, name)
		var o outcome
		for i := range 4000 {
			w.Nodes[i%3].Ask(&shard.Ask{Appends: []core.Append{{Stream: st.ID, To: &o,
				Records: []core.Record{{Stamp: -1, Value: make([]byte, 1000)}}}}})
			w.Run(core.Millisecond)
		}
		w.Run(7 * core.Second) // idle, the copies make their checkpoints
		for range 10 {
			for _, n := range w.Nodes {
				if err := n.j.Clean(n.now().Wall, 0); err != nil {
					t.Fatal(err)
				}
			}
			w.Run(6 * core.Second)
		}
		starts := map[core.Offset]int{}
		for _, n := range w.Nodes {
			var as []core.ReadAnswer
			n.Ask(&shard.Ask{Read: &core.Read{Copy: true, Parts: []core.ReadPart{{Stream: st.ID, From: 3999, BytesMax: 1}},
				BytesMax: 1}, ReadDone: func(x []core.ReadAnswer) { as = x }})
			if !w.Until(core.Second, func() bool { return as != nil }) || as[0].Err != nil {
				t.Fatalf("%s: %+v", name, as)
			}
			starts[as[0].Start]++
		}
		lead := w.Nodes[w.Nodes[0].Streams[name].Leader-1]
		found := core.Found{Offset: -2}
		lead.Ask(&shard.Ask{Find: &core.Find{Stream: st.ID, Kind: core.FindStart},
			FindDone: func(f core.Found, err error) { found = f }})
		w.Run(10 * core.Millisecond)
		t.Logf("%s begins at %v, its leader says %d", name, starts, found.Offset)
		if starts[0] > 0 || found.Offset <= 0 {
			t.Errorf("%s: it begins at %v, its leader says %d", name, starts, found.Offset)
		}
	}
}
