package replica

import (
	"testing"
	"testing/cryptotest"

	"trine/internal/core"
)

// TestASupersededLeaderIsNotConfirmed: a quiet leader is cut off while another is elected.
// One voter reaches it again, which knows better; who leads for the others does not.
func TestASupersededLeaderIsNotConfirmed(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	w := newWorld(t, 1, core.Majority(3), 3, func(c *Config) {
		c.QuietAfter, c.SleepAfter = core.Second, -1
	})
	w.slow, w.calm = core.Millisecond, true
	w.run(100 * core.Millisecond)
	w.nodes[0].copy.Campaign(w.now)
	w.run(100 * core.Millisecond)
	old := w.leader()
	if old == nil {
		t.Fatal("nobody leads")
	}
	w.run(3 * core.Second)
	old.copy.Confirm(w.now, 1)
	w.run(20 * core.Millisecond)
	if st := old.copy.Status(); !st.Leads || st.Confirmed != 1 || !st.Quiet {
		t.Fatalf("alone it is confirmed, and stays quiet: %+v", st)
	}
	next, third := (old.i+1)%3, (old.i+2)%3
	for _, other := range []int{next, third} {
		w.setCut(old.i, other, true)
		w.setCut(other, old.i, true)
	}
	for _, other := range []int{next, third} {
		w.nodes[other].copy.Forget(w.now, old.disk)
	}
	w.nodes[next].copy.Campaign(w.now)
	w.run(100 * core.Millisecond)
	if !w.nodes[next].copy.Status().Leads || !old.copy.Status().Leads {
		t.Fatalf("two believe that they lead: %+v, %+v", w.nodes[next].copy.Status(), old.copy.Status())
	}
	w.setCut(old.i, third, false)
	w.setCut(third, old.i, false)
	old.copy.Confirm(w.now, 2)
	w.run(20 * core.Millisecond)
	if st := old.copy.Status(); st.Leads || st.Confirmed == 2 {
		t.Fatalf("it was superseded: %+v", st)
	}
}
