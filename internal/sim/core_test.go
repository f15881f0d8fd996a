package sim

import (
	"testing"

	"trine/internal/core"
	"trine/internal/core/shard"
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
