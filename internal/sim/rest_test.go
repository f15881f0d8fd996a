package sim

import (
	"testing"

	"trine/internal/core"
)

// TestAGroupThatSleptServesAgain: a Raft group without work gives its state back. The next
// append wakes it, as often as it slept.
func TestAGroupThatSleptServesAgain(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		w := start(t, seed, 3)
		st := define(t, w, w.Nodes[0], core.Definition{Name: "s", Policy: core.Majority(3)})
		for round, wait := range []core.Time{0, 3 * core.Second, 13 * core.Second, 40 * core.Second} {
			w.Run(wait)
			for i, n := range w.Nodes {
				if err := serves(w, n, st, 2*core.Second); err != nil {
					t.Fatalf("seed %d, round %d, after %d s, entered at node %d: %v", seed, round,
						wait/core.Second, i+1, err)
				}
			}
		}
	}
}

// TestAQueueThatSleptLendsAgain: all that a queue decides is an entry of its group too. After
// a long rest its consumers get what is published, and what they settle stays settled.
func TestAQueueThatSleptLendsAgain(t *testing.T) {
	w := start(t, 1, 3)
	st := define(t, w, w.Nodes[0], core.Definition{Name: "q", Policy: core.Majority(3),
		Queue: &core.QueueSettings{TTLMs: -1, DeliveryLimit: -1}})
	w.Until(core.Second, func() bool { return w.Nodes[1].Streams["q"] != nil })
	early := attach(t, w, w.Nodes[1], st, 1, 10, true)
	for round := 1; round <= 3; round++ {
		w.Run(13 * core.Second)
		if err := serves(w, w.Nodes[2], st, 2*core.Second); err != nil {
			t.Fatal(err)
		}
		if !w.Until(2*core.Second, func() bool { return early.got["x"] == round }) {
			t.Fatalf("round %d: the consumer has %v", round, early.got)
		}
	}
	w.Run(13 * core.Second)
	late := attach(t, w, w.Nodes[0], st, 2, 10, true)
	w.Run(core.Second)
	if early.again+late.again+late.got["x"] > 0 {
		t.Fatalf("what was settled came again: %v, %v", early.got, late.got)
	}
}
