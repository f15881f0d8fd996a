package sim

import (
	"testing"

	"trine/internal/core"
	"trine/internal/core/shard"
)

// walk changes a stream's kind from one to the next while clients are at work, and
// kills a node in the middle of each change: the leader, or another, by the seed.
func (r *runner) walk(queue bool, kinds []core.Policy) {
	s := r.subject("s", kinds[0], queue)
	s.at = []core.NodeID{1, 2, 3}[:kinds[0].Copies]
	if !r.load(s) {
		return
	}
	w := r.w
	w.Until(5*core.Second, func() bool { v := w.Nodes[0].Streams["s"]; return v != nil && v.Leader != 0 })
	for i, k := range kinds[1:] {
		w.Run(300 * core.Millisecond)
		lead, second, _ := r.leader(s)
		gen := lead.Streams["s"].Gen
		asked := w.Nodes[i%3]
		asked.Ask(&shard.Ask{Name: "s", Alter: &core.Alteration{Policy: &k},
			StreamDone: func(_ *core.Stream, err error) { w.trace("altered to %s: %v", k.Mode(), err) }})
		w.Run(w.between(0, 20*core.Millisecond))
		victim := lead
		if w.chance(30) {
			victim = second
		}
		victim.Kill("in the middle of the change")
		r.restart(victim, 800*core.Millisecond)
		changed := func() bool {
			for _, n := range w.Nodes {
				v := n.Streams["s"]
				if !n.up || !n.Member || v == nil || v.Changing || v.Leader == 0 || v.Policy != k {
					return false
				}
			}
			return true
		}
		if w.Until(8*core.Second, changed) {
			w.fired("changed to " + k.Mode())
			if w.Nodes[0].Streams["s"].Gen == gen && k.Raft() != kinds[i].Raft() {
				r.fail(Stuck, "the kind is %s in the old generation %d", k.Mode(), gen)
			}
			continue
		}
		// The command may have gone with the node that took it: it is asked again, as an
		// operator does who was not answered.
		w.fired("asked again")
		w.Nodes[(i+1)%3].Ask(&shard.Ask{Name: "s", Alter: &core.Alteration{Policy: &k},
			StreamDone: func(*core.Stream, error) {}})
		if !w.Until(8*core.Second, changed) {
			r.fail(Stuck, "it does not become %s: %+v", k.Mode(), w.Nodes[0].Streams["s"])
			return
		}
	}
	r.end()
}

// TestEveryChangeOfKindOutlivesAKill walks the rounds that a topic and a queue make.
func TestEveryChangeOfKindOutlivesAKill(t *testing.T) {
	home, mirrored := core.Single(core.FlushEach), core.Mirror(3, core.FlushEach)
	for name, round := range map[string]struct {
		queue bool
		kinds []core.Policy
	}{
		"topic":      {false, []core.Policy{core.InSync(3, 2, core.FlushEach), core.Majority(3), core.InSync(3, 2, core.FlushEach)}},
		"lazy topic": {false, []core.Policy{core.InSync(3, 2, core.FlushLazy), core.Majority(3), core.InSync(3, 2, core.FlushLazy)}},
		"queue":      {true, []core.Policy{home, mirrored, core.Majority(3), home}},
		"queue back": {true, []core.Policy{home, core.Majority(3), mirrored, home}},
	} {
		t.Run(name, func(t *testing.T) {
			fired, acked := map[string]int{}, 0
			for seed := uint64(1); seed <= uint64(seeds(t, 12)); seed++ {
				r := run(seed, nil, "", func(r *runner) {
					if r.begin() {
						r.walk(round.queue, round.kinds)
					}
				})
				acked += r.Acked
				for k, v := range r.Fired {
					fired[k] += v
				}
				if len(r.Broken) > 0 {
					t.Errorf("seed %d: %d broken, first: %q", seed, len(r.Broken), r.Broken[:min(3, len(r.Broken))])
				}
			}
			t.Logf("%d acknowledged, %v", acked, fired)
		})
	}
}
