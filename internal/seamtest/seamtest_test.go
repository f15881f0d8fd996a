package seamtest_test

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"trine/internal/core"
	"trine/internal/core/record"
	"trine/internal/seamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client is whoever stands above the seam, and waits for what comes back.
type client struct {
	t *testing.T
	*seamtest.Broker
	appended chan appended
	settled  chan error
	lent     chan core.Lend
	drained  chan int64
	ended    chan error
}

type appended struct {
	core.Appended
	err error
}

func newClient(t *testing.T, with ...seamtest.Option) *client {
	c := &client{t, seamtest.New(with...), make(chan appended, 100), make(chan error, 100),
		make(chan core.Lend, 100), make(chan int64, 100), make(chan error, 100)}
	t.Cleanup(c.Close)
	return c
}

func (c *client) Appended(_ uint64, a core.Appended, err error) { c.appended <- appended{a, err} }
func (c *client) Settled(_ uint64, err error)                   { c.settled <- err }
func (c *client) Drained(_ core.ConsumerID, n int64)            { c.drained <- n }
func (c *client) Ended(_ core.ConsumerID, err error)            { c.ended <- err }
func (c *client) Lent(ls []core.Lend) {
	for _, l := range ls {
		c.lent <- l
	}
}

func get[T any](t *testing.T, ch chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(5 * time.Second):
		t.Fatal("nothing came within 5 s")
		panic("unreachable")
	}
}

func none[T any](t *testing.T, ch chan T) {
	t.Helper()
	select {
	case v := <-ch:
		t.Fatalf("%+v came, and nothing should", v)
	default:
	}
}

func (c *client) define(name string, q *core.QueueSettings) *core.Stream {
	c.t.Helper()
	ch := make(chan *core.Stream, 1)
	c.Streams().Define(core.Definition{Name: name, Policy: core.Single(core.FlushLazy), Queue: q},
		func(s *core.Stream, err error) {
			if err != nil {
				s = nil
			}
			ch <- s
		})
	s := get(c.t, ch)
	if s == nil {
		c.t.Fatalf("%q was not defined", name)
	}
	return s
}

func (c *client) publish(s *core.Stream, values ...string) {
	c.t.Helper()
	for _, v := range values {
		c.Log().Append([]core.Append{{Stream: s.ID, To: c,
			Records: []core.Record{{Stamp: -1, Value: []byte(v)}}}})
		if a := get(c.t, c.appended); a.err != nil {
			c.t.Fatal(a.err)
		}
	}
}

var plain = core.QueueSettings{TTLMs: -1, DeliveryLimit: -1}

func TestReadWaitsForAnAppend(t *testing.T) {
	c := newClient(t)
	s := c.define("log", nil)
	answers := make(chan []core.ReadAnswer, 1)
	c.Log().Read(core.Read{Parts: []core.ReadPart{{Stream: s.ID, BytesMax: 1 << 20}}, BytesMin: 1,
		BytesMax: 1 << 20, Wait: core.Second}, func(a []core.ReadAnswer) { answers <- a })
	c.Idle()
	none(t, answers)
	c.publish(s, "one")
	a := get(t, answers)[0]
	if a.Err != nil || len(a.Batches) != 1 || a.Committed != 1 {
		t.Fatalf("%+v", a)
	}
	r, err := record.One(a.Batches[0], 0)
	if err != nil || string(r.Value) != "one" {
		t.Fatalf("%q, %v", r.Value, err)
	}
}

func TestReadGivesUpWhenItsTimeIsOver(t *testing.T) {
	c := newClient(t)
	s := c.define("log", nil)
	answers := make(chan []core.ReadAnswer, 1)
	c.Log().Read(core.Read{Parts: []core.ReadPart{{Stream: s.ID, BytesMax: 1 << 20}}, BytesMin: 1,
		BytesMax: 1 << 20, Wait: core.Second}, func(a []core.ReadAnswer) { answers <- a })
	c.Advance(999 * time.Millisecond)
	none(t, answers)
	c.Advance(time.Millisecond)
	if a := get(t, answers)[0]; a.Err != nil || len(a.Batches) != 0 {
		t.Fatalf("%+v", a)
	}
}

func TestRepeatedBatchKeepsItsPlace(t *testing.T) {
	c := newClient(t)
	s := c.define("log", nil)
	c.publish(s, "before")
	batch := func() []byte {
		var b record.Builder
		b.Reset(core.SessionOf(99), 0, 1)
		b.Add(&core.Record{Stamp: -1, Value: []byte("x")})
		return b.Finish()
	}
	for range 2 {
		c.Log().Append([]core.Append{{Stream: s.ID, To: c, Batch: batch()}})
		if a := get(t, c.appended); a.err != nil || a.Base != 1 {
			t.Fatalf("%+v", a)
		}
	}
}

func TestQueueLendsSettlesAndForwards(t *testing.T) {
	c := newClient(t)
	q := plain
	q.ForwardTo = []byte("x")
	s := c.define("q/a", &q)
	given := make(chan core.Forward, 1)
	c.OnForward("q/", func(f core.Forward, done func(error)) {
		given <- f
		go done(nil) // the test waits for what follows from it
	})
	c.publish(s, "a", "b", "c")
	done := make(chan error, 1)
	c.Queue().Attach(core.Attach{Stream: s.ID, Consumer: 7, Messages: 2, Renew: true}, c,
		func(err error) { done <- err })
	if err := get(t, done); err != nil {
		t.Fatal(err)
	}
	if l := get(t, c.lent); l.Offset != 0 || string(l.Record.Value) != "a" || l.Again {
		t.Fatalf("%+v", l)
	}
	get(t, c.lent)
	c.Queue().Settle([]core.Settle{{Stream: s.ID, Consumer: 7, To: c,
		Verdicts: []core.Verdict{{From: 0, To: 0, Outcome: core.Reject}}}})
	if err := get(t, c.settled); err != nil {
		t.Fatal(err)
	}
	if f := get(t, given); string(f.Record.Value) != "a" || f.Why != core.ForwardRejected {
		t.Fatalf("%+v", f)
	}
	if l := get(t, c.lent); string(l.Record.Value) != "c" {
		t.Fatalf("%+v", l)
	}
	c.Queue().Detach(s.ID, 7, func(err error) { done <- err })
	get(t, done)
	c.Queue().Attach(core.Attach{Stream: s.ID, Consumer: 8, Aside: true, Messages: 0}, c,
		func(err error) { done <- err })
	get(t, done)
	c.Queue().Credit(core.Credit{Stream: s.ID, Consumer: 8, Messages: 1, Drain: true})
	if l := get(t, c.lent); string(l.Record.Value) != "b" || !l.Again || l.Returned != 1 {
		t.Fatalf("%+v", l)
	}
	if n := get(t, c.drained); n != 1 {
		t.Fatalf("%d ready", n)
	}
}

func TestStreamWithoutUseGoes(t *testing.T) {
	c := newClient(t)
	q := plain
	q.IdleMs = 1000
	s := c.define("idle", &q)
	done := make(chan error, 1)
	c.Queue().Attach(core.Attach{Stream: s.ID, Consumer: 1}, c, func(err error) { done <- err })
	get(t, done)
	c.Advance(2 * time.Second)
	if c.Streams().Lookup("idle") == nil {
		t.Fatal("it was removed in use")
	}
	c.Queue().Detach(s.ID, 1, func(err error) { done <- err })
	get(t, done)
	c.Advance(time.Second)
	if c.Streams().Lookup("idle") != nil {
		t.Fatal("it is still there")
	}
}

func TestPutIsAllOrNothing(t *testing.T) {
	c := newClient(t)
	type result struct {
		rev core.Revision
		err error
	}
	done := make(chan result, 1)
	put := func(cs ...core.Change) result {
		c.Cluster().Put(cs, func(r core.Revision, err error) { done <- result{r, err} })
		return get(t, done)
	}
	seen := make(chan []core.Document, 10)
	c.Cluster().Watch("d/", func(ds []core.Document) { seen <- ds })
	first := put(core.Change{Key: "d/1", Value: []byte("1"), Expect: core.NoRevision})
	if first.err != nil || len(get(t, seen)) != 1 {
		t.Fatal(first.err)
	}
	def := core.Definition{Name: "s", Policy: core.Single(core.FlushEach)}
	r := put(core.Change{Define: &def}, core.Change{Key: "d/1", Value: []byte("2"), Expect: first.rev + 1})
	if core.KindOf(r.err) != core.Conflict || c.Streams().Lookup("s") != nil {
		t.Fatalf("%v", r.err)
	}
	none(t, seen)
	r = put(core.Change{Define: &def}, core.Change{Key: "d/1", Value: []byte("2"), Expect: first.rev})
	if d, ok := c.Cluster().Get("d/1"); r.err != nil || !ok || d.Revision != r.rev || c.Streams().Lookup("s") == nil {
		t.Fatalf("%v", r.err)
	}
}

func TestNotLeaderWhereAnotherNodeLeads(t *testing.T) {
	c := newClient(t, seamtest.Nodes(3))
	s := c.define("log", nil)
	done := make(chan error, 1)
	c.Cluster().Move("log", []core.NodeID{2}, func(err error) { done <- err })
	if err := get(t, done); err != nil {
		t.Fatal(err)
	}
	c.Log().Append([]core.Append{{Stream: s.ID, To: c, Here: true, Records: []core.Record{{}}}})
	var e *core.Error
	if a := get(t, c.appended); !errors.As(a.err, &e) || e.Kind != core.NotLeader || e.Leader != 2 {
		t.Fatalf("%v", a.err)
	}
	c.publish(s, "forwarded")
}

func TestRemovalEndsAttachments(t *testing.T) {
	c := newClient(t, seamtest.RealTime())
	s := c.define("q", &plain)
	done := make(chan error, 1)
	c.Queue().Attach(core.Attach{Stream: s.ID, Consumer: 1}, c, func(err error) { done <- err })
	get(t, done)
	c.Streams().Remove("q", 0, func(err error) { done <- err })
	if err := get(t, done); err != nil {
		t.Fatal(err)
	}
	if err := get(t, c.ended); core.KindOf(err) != core.NotExist {
		t.Fatal(err)
	}
}
