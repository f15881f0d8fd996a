package sim

import (
	"testing"

	"trine/internal/core"
	"trine/internal/core/shard"
)

// TestAQuestionToANodeThatFellSilentIsAnswered: a connection that carries nothing can stand
// for minutes, and a client that asks for a queue's counts is not to wait for its end.
func TestAQuestionToANodeThatFellSilentIsAnswered(t *testing.T) {
	w := start(t, 1, 3)
	st := define(t, w, w.Nodes[0], core.Definition{Name: "q", Policy: core.Single(core.FlushEach),
		Queue: &core.QueueSettings{}, At: []core.NodeID{2}})
	n := w.Nodes[0]
	ask := func() *error {
		told := new(error)
		*told = errWaits
		n.Ask(&shard.Ask{Inspect: &core.InspectAsk{Stream: st.ID}, InspectDone: func(_ core.QueueInfo, err error) {
			*told = err
		}})
		return told
	}
	if !w.Until(5*core.Second, func() bool { s := n.Streams["q"]; return s != nil && s.Leader == 2 }) {
		t.Fatal("node 2 does not lead")
	}
	before := ask()
	if !w.Until(core.Second, func() bool { return *before == nil }) {
		t.Fatalf("while all is well: %v", *before)
	}
	silence(w, 2, true)
	during := ask()
	if !w.Until(6*core.Second, func() bool { return *during != errWaits }) {
		t.Fatal("no answer in six seconds")
	}
	if *during == nil {
		t.Error("a node that nobody hears was heard")
	}
}

var errWaits error = &core.Error{Op: "ask", Detail: "waits"}

// TestAQueueThatIsBeingRemovedIsNotThere: once its last consumer was told that it left, who
// declares an auto-delete queue again is not to be told of the one that goes.
func TestAQueueThatIsBeingRemovedIsNotThere(t *testing.T) {
	w := start(t, 1, 3)
	st := define(t, w, w.Nodes[0], core.Definition{Name: "q", Policy: core.Single(core.FlushEach),
		Queue: &core.QueueSettings{TTLMs: -1, DeliveryLimit: -1, AutoDelete: true}, At: []core.NodeID{2}})
	ledEverywhere(w, "q")
	n := w.Nodes[0]
	c := attach(t, w, n, st, 1, 3, false)
	left := false
	n.Ask(&shard.Ask{Detach: &core.DetachAsk{Stream: st.ID, Consumer: core.Consumer{ID: 1}}, Done: func(error) { left = true }})
	if !w.Until(core.Second, func() bool { return left }) {
		t.Fatal("the consumer was not told that it left")
	}
	told := errWaits
	n.Ask(&shard.Ask{Inspect: &core.InspectAsk{Stream: st.ID}, InspectDone: func(_ core.QueueInfo, err error) { told = err }})
	late := errWaits
	n.Ask(&shard.Ask{Attach: &core.Attach{Stream: st.ID, Consumer: 2, Messages: 1}, Holder: c, Done: func(err error) { late = err }})
	if !w.Until(5*core.Second, func() bool { return told != errWaits && late != errWaits }) {
		t.Fatalf("no answer: %v, %v", told, late)
	}
	if core.KindOf(told) != core.NotExist || core.KindOf(late) != core.NotExist {
		t.Errorf("asked for its counts it answers %v, to a consumer %v", told, late)
	}
}
