package journal

import (
	"fmt"
	"testing"
	"unsafe"

	"trine/internal/core"
	"trine/internal/core/record"
)

// recordsEntry makes a finished batch of keyed records; a nil value is a tombstone.
func recordsEntry(i core.Index, base core.Offset, stamp core.Stamp, kvs ...[2]string) core.Entry {
	var b record.Builder
	b.Reset(0, 0, stamp)
	for _, kv := range kvs {
		r := core.Record{Stamp: stamp, Key: []byte(kv[0])}
		if kv[1] != "" {
			r.Value = []byte(kv[1])
		}
		b.Add(&r)
	}
	data := b.Finish()
	record.SetBase(data, base, 1)
	return core.Entry{Index: i, Epoch: 1, Gen: 1, Kind: core.EntryBatch, Base: base,
		Count: int32(len(kvs)), Data: data}
}

// keysOf gives what a reader finds, as offset key=value.
func keysOf(t *testing.T, j *Journal, s core.StreamID) []string {
	t.Helper()
	all, err := loadAll(j, s)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range all {
		if _, err := record.Check(all[i].Data); err != nil {
			t.Fatal(err)
		}
		record.Each(all[i].Data, 1<<20, func(o core.Offset, r *core.Record) bool {
			out = append(out, fmt.Sprintf("%d %s=%s", o, r.Key, r.Value))
			return true
		})
	}
	return out
}

func TestCompactionKeepsTheLastRecordOfEachKey(t *testing.T) {
	fs := NewMemFS()
	j, _ := open(t, fs, tiny())
	const s core.StreamID = 3
	next := core.Offset(0)
	add := func(i core.Index, kvs ...[2]string) {
		e := recordsEntry(i, next, core.Stamp(1000*i), kvs...)
		next = e.Next()
		refused, err := j.WriteLazy([]core.Write{{Stream: s, Entries: []core.Entry{e},
			Keep: &core.Keep{Compact: true, SegmentBytes: 700, TombstoneMs: 5000}}})
		must(t, refused, err)
	}
	for i := core.Index(1); i <= 40; i++ {
		add(i, [2]string{fmt.Sprint("k", i%4), fmt.Sprint("v", i)}, [2]string{"all", fmt.Sprint(i)})
	}
	add(41, [2]string{"k1", ""}, [2]string{"k2", "last"})
	for i := core.Index(42); i <= 52; i++ {
		add(i, [2]string{"other", fmt.Sprint(i)})
	}
	must2 := func(ws ...core.Write) { r, err := j.WriteLazy(ws); must(t, r, err) }
	must2(core.Write{Stream: s, Checkpoint: &core.Checkpoint{Index: 52, Next: next}})
	clean := func(now core.Stamp) {
		for i := 0; i < 10; i++ {
			if err := j.Clean(now, 0); err != nil {
				t.Fatal(err)
			}
			now += roundMs
		}
	}
	clean(42_000) // the tombstone is young
	got := fmt.Sprint(keysOf(t, j, s))
	for _, want := range []string{" k1= ", " k2=last ", " k3=v39 ", " k0=v40 ", " all=40 "} {
		if n := count(got, want); n != 1 {
			t.Errorf("%q is there %d times: %s", want, n, got)
		}
	}
	if n := count(got, "all="); n != 1 {
		t.Errorf("an overwritten key is there %d times: %s", n, got)
	}
	before := got
	fs = fs.Crash(1, 0)
	if j, _ = open(t, fs, tiny()); fmt.Sprint(keysOf(t, j, s)) != before {
		t.Errorf("after a power cut: %v", keysOf(t, j, s))
	}
	for i := core.Index(53); i <= 70; i++ {
		add(i, [2]string{"other", fmt.Sprint(i)})
	}
	must2(core.Write{Stream: s, Checkpoint: &core.Checkpoint{Index: 70, Next: next}})
	clean(1_000_000)
	if got = fmt.Sprint(keysOf(t, j, s)); count(got, "k1=") != 0 || count(got, "k2=last") != 1 {
		t.Errorf("an old tombstone stays: %s", got)
	}
	if o, at, err := j.FindStamp(s, 69_500); o != next-1 || at != 70_000 || err != nil {
		t.Errorf("the last record is found at %d, %d: %v", o, at, err)
	}
}

func count(s, sub string) int {
	n := 0
	for i := 0; i+len(sub) <= len(s); i++ {
		if s[i:i+len(sub)] == sub {
			n++
		}
	}
	return n
}

func TestRetentionGivesUpTheOldestByAgeAndBySize(t *testing.T) {
	for _, road := range []core.Flush{core.FlushEach, core.FlushLazy} {
		for name, keep := range map[string]core.Keep{"age": {MsMax: 60_000}, "size": {BytesMax: 5000}} {
			t.Run(fmt.Sprint(name, " on road ", road), func(t *testing.T) {
				fs := NewMemFS()
				j, _ := open(t, fs, tiny())
				call := j.WriteEach
				if road == core.FlushLazy {
					call = j.WriteLazy
				}
				refused, err := call([]core.Write{{Stream: 9, Road: road, Keep: &keep}})
				must(t, refused, err)
				for i := core.Index(1); i <= 100; i++ {
					e := batchEntry(i, core.Offset(i-1), 1, 1, 300)
					refused, err := call([]core.Write{{Stream: 9, Road: road, Entries: []core.Entry{e}}})
					must(t, refused, err)
				}
				refused, err = call([]core.Write{{Stream: 9, Road: road,
					Checkpoint: &core.Checkpoint{Index: 95, Next: 95}}})
				must(t, refused, err)
				now := core.Stamp(1090 + 60_000) // entry 90 is as old as may be
				for i := 0; i < 10; i++ {
					if err := j.Clean(now, 0); err != nil {
						t.Fatal(err)
					}
				}
				_, rep := open(t, fs.Crash(3, 50), tiny())
				r := rep.Streams[0]
				if r.Start < 50 || r.Start > 90 {
					t.Errorf("starts at %d", r.Start)
				}
				part := int64(4 << 10) // what goes at once
				if road == core.FlushEach {
					part = 16 << 10
				}
				if name == "size" && (r.Bytes < 5000 || r.Bytes > 5000+2*part) {
					t.Errorf("%d bytes are kept", r.Bytes)
				}
				if len(r.Tail) != 5 || r.Damage != "" {
					t.Errorf("tail of %d, damage %q", len(r.Tail), r.Damage)
				}
			})
		}
	}
}

func TestWhatAQueueSettledLeavesTheDisk(t *testing.T) {
	fs := NewMemFS()
	j, _ := open(t, fs, tiny())
	for i := core.Index(1); i <= 300; i++ {
		w := core.Write{Stream: 9, Road: core.FlushEach,
			Entries: []core.Entry{batchEntry(i, core.Offset(i-1), 1, 1, 300)}}
		if i%10 == 0 {
			w.Checkpoint = &core.Checkpoint{Index: i - 5, Next: core.Offset(i - 5)}
			w.Reclaim = &core.Reclaim{Below: core.Offset(i - 5)}
			w.Trim = core.Offset(i - 5)
		}
		refused, err := j.WriteEach([]core.Write{w})
		must(t, refused, err)
		if err := j.Clean(core.Stamp(i)*1000, 0); err != nil {
			t.Fatal(err)
		}
	}
	st := j.Stats()
	if st.CopiedBytes > 8000 || st.Recycled < 5 || st.LogFiles > 3 {
		t.Errorf("a short queue is copied on: %+v", st)
	}
}

func TestAReclaimThinsSegmentsOnce(t *testing.T) {
	fs := NewMemFS()
	j, _ := open(t, fs, tiny())
	for i := core.Index(1); i <= 60; i++ {
		r, err := j.WriteLazy(lazily(4, batchEntry(i, core.Offset(i-1), 1, 1, 200)))
		must(t, r, err)
	}
	r, err := j.WriteLazy([]core.Write{{Stream: 4, Checkpoint: &core.Checkpoint{Index: 58, Next: 58},
		Reclaim: &core.Reclaim{Below: 58, Keep: []core.OffsetRange{{From: 3, To: 3}, {From: 30, To: 31}}}}})
	must(t, r, err)
	var copied []int64
	for now := core.Stamp(roundMs); now < 10*roundMs; now += roundMs {
		if err := j.Clean(now, 0); err != nil {
			t.Fatal(err)
		}
		copied = append(copied, j.Stats().CopiedBytes)
	}
	if last := copied[len(copied)-1]; last == 0 || last > 2000 || last != copied[2] {
		t.Errorf("bytes copied, round by round: %v", copied)
	}
	j, rep := open(t, fs.Crash(1, 0), tiny())
	all, err := loadAll(j, 4)
	got := map[core.Offset]bool{}
	for i := range all {
		got[all[i].Base] = true
	}
	if err != nil || !got[3] || !got[30] || !got[31] || len(all) > 25 || rep.Streams[0].Damage != "" {
		t.Errorf("%d entries are left, %v, %q", len(all), err, rep.Streams[0].Damage)
	}
}

func TestAStalledFlushShowsItsAge(t *testing.T) {
	fs := NewFaultFS(NewMemFS())
	now := core.Time(0)
	opt := tiny()
	opt.Now = func() core.Time { return now }
	j, _ := open(t, fs, opt)
	now = 5 * core.Second
	seen := core.Time(-1)
	fs.Inject(Fault{Kind: "slow", Op: OpSync, Delay: func() {
		now += 3 * core.Second
		seen, _ = j.Health()
	}})
	r, err := j.WriteEach(each(1, batchEntry(1, 0, 1, 1, 10)))
	must(t, r, err)
	if after, err := j.Health(); seen != 5*core.Second || after != 0 || err != nil {
		t.Errorf("the flush began at %d, afterwards %d, %v", seen, after, err)
	}
}

func TestAnIdleStreamIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(stream{}) + 2*unsafe.Sizeof(part{}) + 64; n > 1024 {
		t.Errorf("a stream with two parts takes %d bytes", n)
	}
}

func TestARemovedStreamStaysAway(t *testing.T) {
	fs := NewMemFS()
	j, _ := open(t, fs, tiny())
	now := core.Stamp(0)
	next := core.Index(1)
	busy := func(files int64) { // until so many files of the log were recycled
		for until := j.Stats().Recycled + files; j.Stats().Recycled < until; next++ {
			r, err := j.WriteEach([]core.Write{{Stream: 1, Road: core.FlushEach,
				Entries:    []core.Entry{ledgerEntry(next, 0, 1, 500)},
				Checkpoint: &core.Checkpoint{Index: next}}})
			must(t, r, err)
			if now++; j.Clean(now, 0) != nil {
				t.Fatal("clean")
			}
		}
	}
	for s := core.StreamID(10); s < 14; s++ {
		r, err := j.WriteEach(each(s, batchEntry(1, 0, 1, 1, 50)))
		must(t, r, err)
	}
	busy(2) // packs know all four
	r, err := j.WriteEach([]core.Write{{Stream: 10, Remove: true}, {Stream: 12, Remove: true}})
	must(t, r, err)
	for round := range 12 {
		_, rep := open(t, fs.Crashed(uint64(round), 50), tiny())
		var ids []core.StreamID
		for _, s := range rep.Streams {
			ids = append(ids, s.Stream)
		}
		if fmt.Sprint(ids) != "[1 11 13]" {
			t.Fatalf("round %d, %d packs: streams %v", round, len(j.packs), ids)
		}
		busy(10)
	}
	if len(j.packs) > packsMax || len(j.streams) != 3 {
		t.Errorf("%d packs, %d streams are remembered", len(j.packs), len(j.streams))
	}
}
