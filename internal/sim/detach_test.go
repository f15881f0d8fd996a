package sim

import (
	"fmt"
	"testing"

	"trine/internal/core"
	"trine/internal/core/shard"
)

// TestWhatALeaverHeldGoesToAnother: a consumer leaves while its queue's leader does not
// answer, for however long. Once the leader is back, what the consumer held is another's.
func TestWhatALeaverHeldGoesToAnother(t *testing.T) {
	for name, p := range map[string]core.Policy{"single": core.Single(core.FlushEach), "mirror": core.Mirror(3, core.FlushEach),
		"majority": core.Majority(3)} {
		for _, out := range []core.Time{300 * core.Millisecond, 1500 * core.Millisecond, 5 * core.Second} {
			for _, at := range []core.Time{out / 100, out / 2, out * 99 / 100} {
				t.Run(fmt.Sprintf("%s/%d ms/%d ms", name, out/core.Millisecond, at/core.Millisecond), func(t *testing.T) {
					leavesDuringPause(t, p, out, at)
				})
			}
		}
	}
}

func leavesDuringPause(t *testing.T, p core.Policy, out, at core.Time) {
	w := start(t, 1, 3)
	st := define(t, w, w.Nodes[0], core.Definition{Name: "q", Policy: p, Queue: &core.QueueSettings{TTLMs: -1, DeliveryLimit: -1}})
	ledEverywhere(w, "q")
	lead := w.Nodes[2].Streams["q"].Leader
	leaver := attach(t, w, w.Nodes[lead%3], st, 1, 3, false)
	stayer := w.Nodes[(lead+1)%3]
	var o outcome
	stayer.Ask(&shard.Ask{Appends: []core.Append{{Stream: st.ID, To: &o, Records: []core.Record{
		{Stamp: -1, Value: []byte("a")}, {Stamp: -1, Value: []byte("b")}, {Stamp: -1, Value: []byte("c")}}}}})
	if !w.Until(2*core.Second, func() bool { return len(leaver.hold) == 3 }) {
		t.Fatalf("the first consumer holds %d of 3", len(leaver.hold))
	}
	home := w.Nodes[lead-1]
	home.Pause()
	w.Run(at)
	leaver.n.Ask(&shard.Ask{Detach: &core.DetachAsk{Stream: st.ID, Consumer: core.Consumer{ID: 1}}, Done: func(error) {}})
	w.Run(out - at)
	home.Resume()
	other := attach(t, w, stayer, st, 2, 10, true)
	if !w.Until(2*core.Second, func() bool { return other.got["a"]+other.got["b"]+other.got["c"] == 3 }) {
		t.Fatalf("two seconds after the leader came back the other consumer has %v", other.got)
	}
	if ends := fmt.Sprint(other.got); ends != "map[a:1 b:1 c:1]" || other.again != 3 {
		t.Fatalf("the other consumer has %s, %d of them as given before", ends, other.again)
	}
}

// TestALeaverIsAnsweredOnce: the queue goes while its leader still owes the answer.
func TestALeaverIsAnsweredOnce(t *testing.T) {
	w := start(t, 1, 3)
	st := define(t, w, w.Nodes[0], core.Definition{Name: "q", Policy: core.Single(core.FlushEach),
		At: []core.NodeID{3}, Queue: &core.QueueSettings{TTLMs: -1, DeliveryLimit: -1}})
	ledEverywhere(w, "q")
	leaver := attach(t, w, w.Nodes[1], st, 1, 3, false)
	w.Nodes[2].Pause()
	told, removed := 0, false
	leaver.n.Ask(&shard.Ask{Detach: &core.DetachAsk{Stream: st.ID, Consumer: core.Consumer{ID: 1}},
		Done: func(error) { told++ }})
	leaver.n.Ask(&shard.Ask{Name: "q", Remove: true, Done: func(err error) { removed = err == nil }})
	if !w.Until(core.Second, func() bool { return removed && told == 1 }) {
		t.Fatalf("removed %v, told %d times", removed, told)
	}
	w.Nodes[2].Resume()
	w.Run(2 * core.Second)
	if told != 1 {
		t.Fatalf("the leaver was told %d times", told)
	}
}
