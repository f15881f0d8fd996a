package sim

import (
	"testing"

	"trine/internal/core"
	"trine/internal/core/shard"
)

// A stream that rests right after its kind was changed makes its checkpoint of what
// was applied under the kind before: found by a drill, as a node that ended.
func TestAStreamAtRestMakesItsCheckpointAfterItsKindChanged(t *testing.T) {
	for _, to := range []core.Policy{core.Majority(3), core.Mirror(3, core.FlushEach), core.Single(core.FlushEach)} {
		w := start(t, 3, 3)
		from := core.Majority(3)
		if to.Raft() {
			from = core.InSync(3, 2, core.FlushLazy)
		}
		st := define(t, w, w.Nodes[0], core.Definition{Name: "s", Policy: from})
		ledEverywhere(w, "s")
		var o outcome
		w.Nodes[1].Ask(&shard.Ask{Appends: []core.Append{{Stream: st.ID,
			Records: []core.Record{{Stamp: -1, Value: []byte("x")}}, To: &o}}})
		if !w.Until(5*core.Second, func() bool { return len(o.got) == 1 }) || o.errs[0] != nil {
			t.Fatalf("append: %v", o.errs)
		}
		w.Nodes[0].Ask(&shard.Ask{Name: "s", Alter: &core.Alteration{Policy: &to},
			StreamDone: func(_ *core.Stream, err error) {
				if err != nil {
					t.Errorf("alter to %s: %v", to.Mode(), err)
				}
			}})
		if !w.Until(5*core.Second, func() bool { return w.Nodes[2].Streams["s"].Gen == 2 }) {
			t.Fatalf("the kind did not change to %s", to.Mode())
		}
		w.Run(12 * core.Second) // longer than a copy waits before it gives its tail back
		for _, n := range w.Nodes {
			if !n.up {
				t.Errorf("to %s: node %d ended: %v", to.Mode(), n.ID, n.stopped)
			}
		}
	}
}
