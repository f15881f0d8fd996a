package sim

import (
	"testing"

	"trine/internal/core"
	"trine/internal/core/shard"
)

// silence cuts a node off from all others, both ways; what is sent waits.
func silence(w *World, n core.NodeID, cut bool) {
	for _, o := range w.Nodes {
		if o.ID != n {
			l := w.wire(n, o.ID)
			l.cutAB, l.cutBA = cut, cut
		}
	}
}

// TestAPausedNodeIsDoubtedBeforeItIsHeldDead: clients are to be told of other nodes
// when their requests to the paused one time out, which is before others lead.
func TestAPausedNodeIsDoubtedBeforeItIsHeldDead(t *testing.T) {
	w := start(t, 1, 3)
	w.Run(core.Second)
	w.Nodes[1].Pause()
	for _, n := range []*Node{w.Nodes[0], w.Nodes[2]} {
		if !w.Until(core.Second, func() bool { return n.info(2).Doubted }) || !n.info(2).Alive {
			t.Fatalf("node %d of the paused node: %+v", n.ID, n.info(2))
		}
		if n.info(n.ID).Doubted || n.info(4-n.ID).Doubted {
			t.Errorf("node %d doubts those that it hears: %+v", n.ID, n.Infos)
		}
	}
	w.Nodes[1].Resume()
	if !w.Until(10*core.Second, func() bool {
		for _, n := range w.Nodes {
			for _, i := range n.Infos {
				if i.Doubted || !i.Alive {
					return false
				}
			}
		}
		return true
	}) {
		t.Fatalf("somebody is doubted still: %+v", w.Nodes[0].Infos)
	}
}

// TestANodeThatIsCutOffDoubtsItselfAndNoOther: a client that asks it is to find the
// others by it.
func TestANodeThatIsCutOffDoubtsItselfAndNoOther(t *testing.T) {
	w := start(t, 1, 3)
	w.Run(core.Second)
	silence(w, 2, true)
	n := w.Nodes[1]
	if !w.Until(core.Second, func() bool { return n.info(2).Doubted }) {
		t.Fatalf("it does not doubt itself: %+v", n.Infos)
	}
	for end := w.Now() + 4*core.Second; w.Now() < end; w.Run(50 * core.Millisecond) {
		if !n.info(2).Doubted || n.info(1).Doubted || n.info(3).Doubted {
			t.Fatalf("%d ms before the cut ends: %+v", (end-w.Now())/core.Millisecond, n.Infos)
		}
	}
	silence(w, 2, false)
	if !w.Until(10*core.Second, func() bool { return !n.info(2).Doubted && n.Member }) {
		t.Fatalf("it doubts itself still: %+v", n.Infos)
	}
}

// TestALeaderThatHearsNobodyAnswersForItselfNoLonger: its lease lasts longer, but what
// it alone has is lost if others lead next.
func TestALeaderThatHearsNobodyAnswersForItselfNoLonger(t *testing.T) {
	w := start(t, 1, 3)
	st := define(t, w, w.Nodes[0], core.Definition{Name: "s", Policy: core.InSync(3, 2, core.FlushLazy),
		At: []core.NodeID{2, 1, 3}})
	n := w.Nodes[1]
	if !w.Until(5*core.Second, func() bool { s := n.Streams["s"]; return s != nil && s.Leader == 2 && !n.info(2).Doubted }) {
		t.Fatal("node 2 does not lead with a lease")
	}
	w.Run(200 * core.Millisecond) // the lease is its first: what was agreed before is asked once
	var before, during outcome
	send := func(o *outcome) {
		n.Ask(&shard.Ask{Appends: []core.Append{{Stream: st.ID, Batch: batch(t, "x"), Here: true,
			Ack: core.AckLeader, WaitMax: 20 * core.Second, To: o}}})
		w.Until(50*core.Millisecond, func() bool { return len(o.errs) == 1 })
	}
	if send(&before); len(before.errs) != 1 || before.errs[0] != nil {
		t.Fatalf("while all is well: %v", before.errs)
	}
	silence(w, 2, true)
	if !w.Until(core.Second, func() bool { return n.info(2).Doubted }) {
		t.Fatal("it hears nobody and does not doubt itself")
	}
	if send(&during); len(during.errs) != 0 {
		t.Fatalf("cut off it answers %v", during.errs)
	}
	silence(w, 2, false) // in time: nobody was elected, and the answer leaves
	if !w.Until(core.Second, func() bool { return len(during.errs) == 1 }) || during.errs[0] != nil {
		t.Errorf("after the cut: %v", during.errs)
	}
}

// TestALeaderWithoutItsLeaseTakesNoBatchOfAClient: nothing is appended that the next
// leader may not have, and the client is told at once to look for that.
func TestALeaderWithoutItsLeaseTakesNoBatchOfAClient(t *testing.T) {
	for name, p := range map[string]core.Policy{"insync": core.InSync(3, 2, core.FlushLazy),
		"majority": core.Majority(3)} {
		w := start(t, 1, 3)
		st := define(t, w, w.Nodes[0], core.Definition{Name: name, Policy: p, At: []core.NodeID{2, 1, 3}})
		n := w.Nodes[1]
		if !w.Until(5*core.Second, func() bool { s := n.Streams[name]; return s != nil && s.Leader == 2 && !n.info(2).Doubted }) {
			t.Fatalf("%s: node 2 does not lead with a lease", name)
		}
		send := func() *outcome {
			var o outcome
			n.Ask(&shard.Ask{Appends: []core.Append{{Stream: st.ID, Batch: batch(t, "x"), Here: true,
				Ack: core.AckCommit, WaitMax: 20 * core.Second, To: &o}}})
			w.Until(100*core.Millisecond, func() bool { return len(o.errs) == 1 })
			return &o
		}
		if o := send(); len(o.errs) != 1 || o.errs[0] != nil {
			t.Fatalf("%s: while all is well: %v", name, o.errs)
		}
		silence(w, 2, true)
		w.Run(1100 * core.Millisecond)
		if o := send(); len(o.errs) != 1 || core.KindOf(o.errs[0]) != core.NotLeader &&
			core.KindOf(o.errs[0]) != core.NoLeader {
			t.Errorf("%s: without a lease: %v", name, o.errs)
		}
	}
}
