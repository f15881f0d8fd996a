package queue

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"trine/internal/core"
	"trine/internal/core/record"
)

// heap gives the bytes in use after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// batch makes one batch of n records with values of so many bytes.
func batch(b *record.Builder, n, size int, base core.Offset, stamp core.Stamp) *core.Entry {
	b.Reset(0, 0, stamp)
	r := core.Record{Stamp: -1, Value: make([]byte, size)}
	for range n {
		b.Add(&r)
	}
	data := b.Finish()
	record.SetBase(data, base, 1)
	return &core.Entry{Kind: core.EntryBatch, Base: base, Count: int32(n), Data: data}
}

// "A million ready messages cost kilobytes": appended one by one, of all sizes, over
// a day, to a queue with a time and limits.
func TestMillionReadyCostKilobytes(t *testing.T) {
	const n = 1 << 20
	before := heap()
	q := New(core.QueueSettings{TTLMs: 1 << 40, DeliveryLimit: 20, LengthMax: 2 * n, DropHead: true})
	q.Lead(core.Now{Mono: 1, Wall: 1})
	var b record.Builder
	want := core.Offset(0)
	var batches []*core.Entry
	for i := range 61 {
		batches = append(batches, batch(&b, 1, i*16, 0, 1))
	}
	for i := range core.Offset(n) {
		e := batches[i*7919%61]
		want += i * 7919 % 61 * 16
		e.Base = i
		record.SetBase(e.Data, i, 1)
		binary.BigEndian.PutUint64(e.Data[35:], uint64(1+i*82)) // the stamp; nobody checks the sum
		if err := q.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	b, batches = record.Builder{}, nil
	cost := heap() - before
	info := q.Inspect()
	off := max(info.Bytes-int64(want), int64(want)-info.Bytes)
	t.Logf("%d messages ready: %d KiB in memory, checkpoint of %d KiB, bytes off by %.4f%%",
		info.Ready, cost>>10, len(q.Encode())>>10, 100*float64(off)/float64(want))
	if cost > 1<<20 || info.Ready != n || off > int64(want)/100 {
		t.Errorf("%d bytes of memory; %+v, and %d bytes were appended", cost, info, want)
	}
}

// A message at the head that nobody settles costs nothing for those behind it, and
// every second one settled costs a range each.
func TestStragglersCostTheirRanges(t *testing.T) {
	const n = 1 << 18
	before := heap()
	q := New(core.QueueSettings{TTLMs: -1, DeliveryLimit: -1})
	q.Lead(core.Now{Mono: 1, Wall: 1})
	id := core.Consumer{Incarnation: 1, ID: 1}
	q.Attach(id, 1, &core.Attach{Messages: -1, Bytes: 1 << 40}, nil)
	var b record.Builder
	var out Effects
	seq := int64(0)
	for base := core.Offset(0); base < n; base += 1024 {
		if err := q.Apply(batch(&b, 1024, 10, base, 1)); err != nil {
			t.Fatal(err)
		}
		play(t, q, &out)
		s := core.Settle{Consumer: 1}
		for o := base; o < base+1024; o++ {
			if o%2 == 1 {
				s.Verdicts = append(s.Verdicts, core.Verdict{From: o, To: o, Outcome: core.Accept})
			}
		}
		seq++
		q.Settle(core.SessionOf(1), seq, 1, []core.Settle{s})
		play(t, q, &out)
	}
	q.Detach(id)
	out, b = Effects{}, record.Builder{}
	play(t, q, &out)
	cost := heap() - before
	t.Logf("%d stragglers: %d bytes each", n/2, cost/(n/2))
	if live, _ := q.Live(); live != n/2 || len(q.Reclaim(n).Keep) != n/2 {
		t.Errorf("%d live in %d ranges", live, len(q.Reclaim(n).Keep))
	}
}

// play takes turns, whose proposals hold at once, until nothing follows.
func play(t testing.TB, q *Queue, out *Effects) (lends int) {
	for {
		q.Turn(core.Now{Mono: 1, Wall: 1}, out)
		lends += len(out.Lends)
		if out.Propose == nil {
			return lends
		}
		if err := q.Apply(&core.Entry{Kind: core.EntryQueue, Data: out.Propose}); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkMessage is a message's way through a queue: applied, lent, accepted, and
// that applied again, with so many messages a turn.
func BenchmarkMessage(b *testing.B) {
	for _, perTurn := range []int{1, 10, 100} {
		for _, settled := range []bool{false, true} {
			b.Run(fmt.Sprintf("turn=%d/settled=%v", perTurn, settled), func(b *testing.B) {
				benchMessage(b, core.QueueSettings{TTLMs: -1, DeliveryLimit: -1}, perTurn, settled)
			})
		}
	}
	b.Run("ttl,limit,priorities", func(b *testing.B) {
		benchMessage(b, core.QueueSettings{TTLMs: 1 << 40, DeliveryLimit: 20, LengthMax: 1 << 20,
			DropHead: true, Priorities: 5}, 10, false)
	})
}

func benchMessage(b *testing.B, set core.QueueSettings, perTurn int, settled bool) {
	q := New(set)
	q.Lead(core.Now{Mono: 1, Wall: 1})
	q.Attach(core.Consumer{Incarnation: 1, ID: 1}, 1, &core.Attach{Messages: -1, Bytes: 1 << 60,
		Settled: settled}, nil)
	var builder record.Builder
	var out Effects
	e := batch(&builder, perTurn, 100, 0, 1)
	s := []core.Settle{{Consumer: 1, Verdicts: make([]core.Verdict, 1)}}
	seq := int64(0)
	play(b, q, &out)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += perTurn {
		record.SetBase(e.Data, e.Base, 1)
		if err := q.Apply(e); err != nil {
			b.Fatal(err)
		}
		if lends := play(b, q, &out); lends != perTurn {
			b.Fatalf("%d lent", lends)
		}
		if !settled {
			seq++
			s[0].Verdicts[0] = core.Verdict{From: e.Base, To: e.Next() - 1, Outcome: core.Accept}
			q.Settle(core.SessionOf(1), seq, 1, s)
			play(b, q, &out)
		}
		e.Base = e.Next()
	}
}

// BenchmarkBacklog lends and settles out of a backlog of a million, while as much
// comes in, with a hundred consumers.
func BenchmarkBacklog(b *testing.B) {
	q := New(core.QueueSettings{TTLMs: -1, DeliveryLimit: -1})
	q.Lead(core.Now{Mono: 1, Wall: 1})
	var builder record.Builder
	var out Effects
	e := batch(&builder, 1000, 100, 0, 1)
	for range 1000 {
		record.SetBase(e.Data, e.Base, 1)
		if err := q.Apply(e); err != nil {
			b.Fatal(err)
		}
		e.Base = e.Next()
	}
	for i := range core.ConsumerID(100) {
		q.Attach(core.Consumer{Incarnation: 1, ID: i + 1}, 1, &core.Attach{Messages: 10, Renew: true,
			Bytes: 1 << 60}, nil)
	}
	play(b, q, &out)
	lent := make([][]core.Offset, 101)
	first := func() {
		for _, l := range out.Lends {
			lent[l.Consumer.ID] = append(lent[l.Consumer.ID], l.Offset)
		}
	}
	for _, c := range q.lead.consumers {
		for _, h := range c.held.items() {
			lent[c.id.ID] = append(lent[c.id.ID], h.offset)
		}
	}
	e = batch(&builder, 100, 100, e.Base, 1)
	ss := make([]core.Settle, 100)
	verdicts := make([]core.Verdict, 100)
	seq := int64(0)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += 100 {
		record.SetBase(e.Data, e.Base, 1)
		if err := q.Apply(e); err != nil {
			b.Fatal(err)
		}
		e.Base = e.Next()
		for i := range ss { // every consumer accepts its oldest
			id := core.ConsumerID(i + 1)
			o := lent[id][0]
			lent[id] = append(lent[id][:0], lent[id][1:]...)
			verdicts[i] = core.Verdict{From: o, To: o, Outcome: core.Accept}
			ss[i] = core.Settle{Consumer: id, Verdicts: verdicts[i : i+1]}
		}
		seq++
		q.Settle(core.SessionOf(1), seq, 1, ss)
		q.Turn(core.Now{Mono: 1, Wall: 1}, &out)
		first()
		if err := q.Apply(&core.Entry{Kind: core.EntryQueue, Data: out.Propose}); err != nil {
			b.Fatal(err)
		}
	}
}

// An idle queue, led, with a consumer, after a burst went through it.
func TestIdleQueueIsSmall(t *testing.T) {
	const n = 2000
	queues := make([]*Queue, n)
	var b record.Builder
	var out Effects
	e := batch(&b, 100, 10, 0, 1)
	before := heap()
	for i := range queues {
		q := New(core.QueueSettings{TTLMs: -1, DeliveryLimit: -1})
		q.Lead(core.Now{Mono: 1, Wall: 1})
		q.Attach(core.Consumer{Incarnation: 1, ID: 1}, 1, &core.Attach{Messages: -1}, nil)
		play(t, q, &out)
		if err := q.Apply(e); err != nil {
			t.Fatal(err)
		}
		play(t, q, &out)
		q.Settle(core.SessionOf(1), 1, 1, []core.Settle{{Consumer: 1, Verdicts: []core.Verdict{
			{From: 0, To: 99, Outcome: core.Accept}}}})
		play(t, q, &out)
		q.Rest()
		queues[i] = q
	}
	cost := (heap() - before) / n
	t.Logf("an idle queue: %d bytes", cost)
	if live, _ := queues[n-1].Live(); live != 0 || cost > 8<<10 {
		t.Errorf("%d bytes, %d live", cost, live)
	}
	runtime.KeepAlive(queues)
}

// BenchmarkPriorities brings messages of ten priorities, mixed, into a backlog of
// 200,000 and lends and settles as many.
func BenchmarkPriorities(b *testing.B) {
	q := New(core.QueueSettings{TTLMs: -1, DeliveryLimit: -1, Priorities: 9})
	q.Lead(core.Now{Mono: 1, Wall: 1})
	var builder record.Builder
	var out Effects
	var batches []*core.Entry
	for k := range 7 {
		builder.Reset(0, 0, 1)
		for i := range 100 {
			builder.Add(&core.Record{Stamp: -1, Value: make([]byte, 50), Priority: uint8((i*7 + k*3) % 10)})
		}
		batches = append(batches, &core.Entry{Kind: core.EntryBatch, Count: 100, Data: builder.Finish()})
	}
	next, turn := core.Offset(0), 0
	bring := func() {
		e := batches[turn%len(batches)]
		turn++
		e.Base = next
		record.SetBase(e.Data, next, 1)
		if err := q.Apply(e); err != nil {
			b.Fatal(err)
		}
		next += 100
	}
	for range 2000 {
		bring()
	}
	q.Attach(core.Consumer{Incarnation: 1, ID: 1}, 1, &core.Attach{Messages: 0, Bytes: 1 << 60}, nil)
	play(b, q, &out)
	seq := int64(0)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += 100 {
		bring()
		q.Credit(core.Consumer{Incarnation: 1, ID: 1}, &core.Credit{Messages: 100})
		play(b, q, &out)
		seq++
		q.Settle(core.SessionOf(1), seq, 1, []core.Settle{{Consumer: 1, Verdicts: []core.Verdict{
			{From: 0, To: next, Outcome: core.Accept}}}})
		play(b, q, &out)
	}
}
