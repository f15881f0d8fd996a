package queue

import (
	"bytes"
	"slices"
	"testing"

	"trine/internal/core"
	"trine/internal/core/record"
)

func led(set core.QueueSettings) *Queue {
	q := New(set)
	q.Lead(core.Now{Mono: 1, Wall: 1})
	return q
}

var plain = core.QueueSettings{TTLMs: -1, DeliveryLimit: -1}

func TestLargeDecisionIsSeveralEntries(t *testing.T) {
	q, other := led(plain), New(plain)
	var b record.Builder
	const n = 3 * rangesMax
	apply := func(e *core.Entry) {
		for _, x := range []*Queue{q, other} {
			if err := x.Apply(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	for base := core.Offset(0); base < 2*n; base += 1024 {
		apply(batch(&b, 1024, 1, base, 1))
	}
	q.Attach(core.Consumer{Incarnation: 1, ID: 1}, 1, &core.Attach{Messages: -1, Bytes: 1 << 40}, nil)
	var out Effects
	turns := func() (proposals int) {
		for {
			q.Turn(core.Now{Mono: 1, Wall: 1}, &out)
			if out.Propose == nil {
				return proposals
			}
			proposals++
			left := out.WakeAt == 1
			apply(&core.Entry{Kind: core.EntryQueue, Data: out.Propose})
			if through := q.SettledThrough(core.SessionOf(1)); left && through != 0 {
				t.Fatalf("settled through %d, and not all is in the log", through)
			}
		}
	}
	turns()
	s := core.Settle{Consumer: 1}
	for o := core.Offset(0); o < 2*n; o += 2 {
		s.Verdicts = append(s.Verdicts, core.Verdict{From: o, To: o, Outcome: core.Accept})
	}
	q.Settle(core.SessionOf(1), 1, 1, []core.Settle{s})
	if got := turns(); got != 3 {
		t.Errorf("%d entries", got)
	}
	if live, _ := q.Live(); live != n || q.SettledThrough(core.SessionOf(1)) != 1 {
		t.Errorf("%d live, settled through %d", live, q.SettledThrough(core.SessionOf(1)))
	}
	if !bytes.Equal(q.Encode(), other.Encode()) {
		t.Error("the copies differ")
	}
}

func TestLedgerTakesInAnotherStream(t *testing.T) {
	q, other := led(plain), New(plain)
	var out Effects
	q.Attach(core.Consumer{Incarnation: 1, ID: 1}, 1, &core.Attach{Messages: 3}, nil)
	q.Extend(100, 109, 1000, 5)
	var lends []core.Offset
	for range 3 {
		q.Turn(core.Now{Mono: 1, Wall: 1}, &out)
		for _, l := range out.Lends {
			lends = append(lends, l.Offset)
		}
		if out.Propose == nil {
			continue
		}
		for _, x := range []*Queue{q, other} {
			if err := x.Apply(&core.Entry{Kind: core.EntryQueue, Data: out.Propose}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !slices.Equal(lends, []core.Offset{100, 101, 102}) {
		t.Errorf("lent %v", lends)
	}
	if i := q.Inspect(); i.Ready != 7 || i.Bytes != 700 || q.Next() != 110 {
		t.Errorf("%+v, next %d", i, q.Next())
	}
	if !bytes.Equal(q.Encode(), other.Encode()) {
		t.Error("the copies differ")
	}
}

// A leader that began before it had applied all of its predecessor's entries lends
// what they settle; when they come, it takes that back.
func TestEntryOfAnEarlierLeaderOverrides(t *testing.T) {
	var b record.Builder
	old, q := led(plain), New(plain)
	e := batch(&b, 3, 1, 0, 1)
	var out Effects
	apply := func(e *core.Entry, to ...*Queue) {
		for _, x := range to {
			if err := x.Apply(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	apply(e, old, q)
	old.Attach(core.Consumer{Incarnation: 1, ID: 1}, 1, &core.Attach{Messages: 2}, nil)
	old.Turn(core.Now{Mono: 1, Wall: 1}, &out)
	apply(&core.Entry{Kind: core.EntryQueue, Data: out.Propose}, old, q)
	old.Turn(core.Now{Mono: 1, Wall: 1}, &out)
	old.Settle(core.SessionOf(1), 1, 1, []core.Settle{{Consumer: 1,
		Verdicts: []core.Verdict{{From: 0, To: 1, Outcome: core.Accept}}}})
	old.Turn(core.Now{Mono: 1, Wall: 1}, &out)
	late := &core.Entry{Kind: core.EntryQueue, Data: out.Propose}

	q.Lead(core.Now{Mono: 1, Wall: 1})
	q.Attach(core.Consumer{Incarnation: 2, ID: 1}, 2, &core.Attach{Messages: 1, Renew: true}, nil)
	q.Turn(core.Now{Mono: 1, Wall: 1}, &out)
	if len(out.Lends) != 1 || out.Lends[0].Offset != 0 {
		t.Fatalf("%+v", out.Lends)
	}
	apply(late, q)
	q.Turn(core.Now{Mono: 1, Wall: 1}, &out)
	if len(out.Lends) != 1 || out.Lends[0].Offset != 2 {
		t.Errorf("%+v", out.Lends)
	}
	if i := q.Inspect(); i.Lent != 1 || i.Ready != 0 {
		t.Errorf("%+v", i)
	}
}

func TestEntriesOfTheFutureAreRefused(t *testing.T) {
	for name, data := range map[string][]byte{
		"nothing":           {},
		"version":           {2},
		"section":           {1, 99, 0},
		"length":            {1, tagCeiling, 200, 1},
		"fate":              {1, tagSettled, 1, byte(fates)},
		"why":               {1, tagGiven, 3, 0, 0, byte(reasons)},
		"offset below zero": {1, tagReturned, 3, 1, 0, 1},
	} {
		if err := New(plain).Apply(&core.Entry{Kind: core.EntryQueue, Data: data}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	skipped := []byte{1, tagSkip, 2, 7, 7, tagCeiling, 1, 9}
	q := New(plain)
	if err := q.Apply(&core.Entry{Kind: core.EntryQueue, Data: skipped}); err != nil || q.state.ceiling != 9 {
		t.Errorf("%v, ceiling %d", err, q.state.ceiling)
	}
}

func FuzzFacts(f *testing.F) {
	var x facts
	x.ceiling = 5000
	x.settle(Accepted, 1, 3)
	x.settle(Expired, 9, 9)
	x.give(core.ForwardRejected, 4, 4)
	x.giveBack(5, 6, 2)
	x.contribute(-7, 3)
	x.over = append(x.over, -9)
	x.extended = append(x.extended, extended{core.OffsetRange{From: 10, To: 20}, 100, 7})
	x.delayed = append(x.delayed, delayed{core.OffsetRange{From: 7, To: 7}, 99})
	f.Add(x.encode(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var x, y facts
		if x.parse(b) != nil {
			return
		}
		again := x.encode(nil)
		if err := y.parse(again); err != nil {
			t.Fatalf("what was read is written, and not read: %v", err)
		}
		if third := y.encode(nil); !bytes.Equal(again, third) {
			t.Fatalf("%x is read as %x", again, third)
		}
		q := New(plain)
		var rb record.Builder
		if err := q.Apply(batch(&rb, 30, 1, 0, 1)); err != nil {
			t.Fatal(err)
		}
		if err := q.Apply(&core.Entry{Kind: core.EntryQueue, Data: b}); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	q := New(plain)
	var b record.Builder
	for base := core.Offset(0); base < 30; base += 10 {
		if err := q.Apply(batch(&b, 10, int(base), base, core.Stamp(base))); err != nil {
			f.Fatal(err)
		}
	}
	var x facts
	x.settle(Accepted, 3, 5)
	x.give(core.ForwardRejected, 7, 8)
	x.giveBack(9, 12, 1)
	x.contribute(-5, 7)
	x.ceiling = 4096
	if err := q.Apply(&core.Entry{Kind: core.EntryQueue, Data: x.encode(nil)}); err != nil {
		f.Fatal(err)
	}
	f.Add(q.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := Decode(b, plain)
		if err != nil {
			return
		}
		again := q.Encode()
		other, err := Decode(again, plain)
		if err != nil {
			t.Fatalf("what was read is written, and not read: %v", err)
		}
		if !bytes.Equal(again, other.Encode()) {
			t.Fatal("it is not read as it was written")
		}
		q.Lead(core.Now{Mono: 1, Wall: 1})
	})
}
