package queue

import (
	"testing"

	"pgregory.net/rapid"

	"trine/internal/core"
)

// finish lets everything come to an end: each message must have had exactly one.
func (w *world) finish(t *rapid.T) {
	for i := range w.nodes {
		w.kill(i)
	}
	w.nodes = []*node{{incarnation: 1000}}
	w.set.LengthMax = 0
	for _, q := range w.copies {
		q.Set(w.set)
	}
	c := &client{id: core.Consumer{Incarnation: 1000, ID: 1 << 20}, holds: map[core.Offset]bool{}}
	c.attach = core.Attach{Messages: -1, Bytes: 1 << 40, Settled: true}
	w.nodes[0].clients = []*client{c}
	w.reattach(t, c, nil)
	for range 400 {
		w.now.Mono += 100 * core.Millisecond
		w.now.Wall += 100
		w.turn(t)
		w.commitAll(t)
		for o := range w.routing {
			w.q().Forwarded(o, nil)
			delete(w.routing, o)
			w.msgs[o].place = atDecided
		}
		if n, _ := w.q().Live(); n == 0 {
			break
		}
	}
	for _, m := range w.msgs {
		if m.fate == 0 {
			t.Fatalf("message %d has no end", m.offset)
		}
		if w.set.TTLMs < 0 && m.expires == 0 && !m.everLent && w.copies[0].Gone(OverLength) == 0 &&
			w.copies[0].Gone(Forwarded) == 0 && w.copies[0].Gone(Unforwarded) == 0 {
			t.Fatalf("message %d was never lent", m.offset)
		}
	}
	if n := len(w.q().Reclaim(w.next).Keep); n != 0 || w.q().Oldest() != w.next {
		t.Fatalf("%d ranges are still wanted", n)
	}
}

func TestNothingIsLostNorSettledTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{now: core.Now{Mono: core.Second, Wall: 1000}, routing: map[core.Offset]bool{}}
		w.set = core.QueueSettings{TTLMs: -1, DeliveryLimit: -1, DropHead: true,
			Priorities: rapid.SampledFrom([]uint8{0, 2}).Draw(t, "priorities")}
		if rapid.IntRange(0, 3).Draw(t, "limits") == 0 {
			w.set.TTLMs = rapid.SampledFrom([]int64{-1, 50}).Draw(t, "ttl")
			w.set.LengthMax = rapid.SampledFrom([]int64{0, 5}).Draw(t, "length")
			w.set.DeliveryLimit = rapid.SampledFrom([]int32{-1, 1}).Draw(t, "deliveries")
		}
		if rapid.IntRange(0, 3).Draw(t, "others") == 0 {
			w.set.TTLMs, w.set.LengthMax = -1, 0
			w.set.SingleActive = rapid.Bool().Draw(t, "single")
			w.set.ReturnToBack = rapid.Bool().Draw(t, "back")
		}
		if rapid.Bool().Draw(t, "forwards") {
			w.set.ForwardTo = []byte("elsewhere")
			w.set.ForwardRetry = rapid.Bool().Draw(t, "retries")
		}
		w.copies = []*Queue{New(w.set), New(w.set), New(w.set)}
		w.q().Lead(w.now)
		w.nodes = []*node{{incarnation: 1}, {incarnation: 2}}
		step := func(do func(*rapid.T)) func(*rapid.T) {
			return func(t *rapid.T) {
				do(t)
				w.turn(t)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"append":    step(w.append),
			"attach":    step(w.attach),
			"settle":    step(w.settle),
			"settle2":   step(w.settle),
			"detach":    step(w.detach),
			"credit":    step(w.credit),
			"commit":    step(func(t *rapid.T) { w.commit(t, rapid.IntRange(0, len(w.log)).Draw(t, "n")) }),
			"commitAll": step(w.commitAll),
			"lose":      step(w.lose),
			"takeover":  step(w.takeover),
			"relink":    step(w.relink),
			"die":       step(w.die),
			"forwarded": step(w.forwarded),
			"rest":      step(func(*rapid.T) { w.copies[0].Rest(); w.q().Rest() }),
			"wait": step(func(t *rapid.T) {
				d := rapid.IntRange(1, 40).Draw(t, "ms")
				w.now.Mono += core.Time(d) * core.Millisecond
				w.now.Wall += core.Stamp(d)
			}),
			"": w.check,
		})
		w.finish(t)
	})
}
