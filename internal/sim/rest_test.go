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
