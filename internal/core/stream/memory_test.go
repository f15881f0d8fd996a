package stream

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"trine/internal/core"
	"trine/internal/core/record"
)

// batch makes a batch of n records of a producer.
func batch(producer int64, epoch int16, seq int32, n int, txn bool, stamp core.Stamp) []byte {
	var b record.Builder
	b.Reset(1, seq, stamp)
	for range n {
		b.Add(&core.Record{Stamp: stamp, Value: []byte("v")})
	}
	out := b.Finish()
	record.SetProducer(out, producer, epoch, seq, txn)
	return out
}

// log appends entries to a memory as a leader does.
type log struct {
	m     *Memory
	index core.Index
	next  core.Offset
}

func (l *log) append(epoch core.Epoch, data []byte) core.Offset {
	l.index++
	e := core.Entry{Index: l.index, Epoch: epoch, Base: l.next, Data: data, Kind: core.EntryEmpty}
	if data != nil {
		h, err := record.Check(data)
		if err != nil {
			panic(err)
		}
		e.Kind, e.Count = core.EntryBatch, h.Span()
	}
	l.m.Append(&e)
	l.next = e.Next()
	return e.Base
}

// TestStories replays what happens to a stream's memory. send appends what Check
// calls new, and prints the verdict otherwise.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		l := &log{m: NewMemory()}
		epoch := core.Epoch(1)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			arg := func(name string, def int) int {
				if d.HasArg(name) {
					d.ScanArgs(t, name, &def)
				}
				return def
			}
			switch d.Cmd {
			case "send":
				b := batch(int64(arg("pid", 1)), int16(arg("epoch", 0)), int32(arg("seq", 0)),
					arg("n", 1), d.HasArg("txn"), core.Stamp(arg("stamp", 0)))
				h, _ := record.Parse(b)
				v, at := l.m.Check(&h)
				switch v {
				case New:
					return fmt.Sprintf("at %d", l.append(epoch, b))
				case Repeated:
					return fmt.Sprintf("%s, at %d", v, at)
				}
				return v.String()
			case "commit", "abort":
				k := record.Commit
				if d.Cmd == "abort" {
					k = record.Abort
				}
				b := record.NewMarker(k, int64(arg("pid", 1)), int16(arg("epoch", 0)), 0, 0)
				h, _ := record.Parse(b)
				if v, _ := l.m.Check(&h); v != New {
					return v.String()
				}
				return fmt.Sprintf("at %d", l.append(epoch, b))
			case "lead":
				epoch = core.Epoch(arg("epoch", int(epoch)+1))
				l.append(epoch, nil)
				return fmt.Sprintf("index %d", l.index)
			case "end-of":
				return fmt.Sprintf("%+v", l.m.EndOf(core.Epoch(arg("epoch", 0)), l.index, l.next))
			case "epoch-at":
				return fmt.Sprint(l.m.EpochAt(core.Index(arg("index", 0))))
			case "stable":
				return fmt.Sprint(l.m.Stable(core.Offset(arg("committed", int(l.next)))))
			case "aborted":
				return fmt.Sprintf("%+v", l.m.Aborted(core.Offset(arg("from", 0)), core.Offset(arg("to",
					int(l.next)))))
			case "expire":
				l.m.Expire(core.Stamp(arg("before", 0)))
			case "end-sessions":
				l.m.EndSessions(core.Stamp(arg("before", 0)), func(x core.Session) bool {
					return int(x) == arg("runs", 0)
				})
			case "trim":
				l.m.Trim(core.Offset(arg("start", 0)))
			case "restore":
				m, err := DecodeMemory(l.m.Encode())
				if err != nil {
					return err.Error()
				}
				l.m = m
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			return "ok"
		})
	})
}

func drawEntries(t *rapid.T) [][]byte {
	var out [][]byte
	for range rapid.IntRange(0, 60).Draw(t, "n") {
		pid := rapid.Int64Range(-4, 4).Draw(t, "pid")
		epoch := int16(rapid.IntRange(0, 2).Draw(t, "epoch"))
		switch rapid.IntRange(0, 9).Draw(t, "what") {
		case 0:
			out = append(out, nil)
		case 1:
			out = append(out, record.NewMarker(rapid.SampledFrom([]record.Marker{record.Abort,
				record.Commit}).Draw(t, "m"), pid, epoch, 0, 0))
		default:
			out = append(out, batch(pid, epoch, rapid.Int32Range(0, 50).Draw(t, "seq"),
				rapid.IntRange(1, 5).Draw(t, "count"), rapid.Bool().Draw(t, "txn"), 7))
		}
	}
	return out
}

func TestACheckpointAndTheTailGiveTheSameMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		es := drawEntries(t)
		cut := rapid.IntRange(0, len(es)).Draw(t, "cut")
		whole, part := &log{m: NewMemory()}, &log{m: NewMemory()}
		for i, e := range es {
			if i == cut {
				m, err := DecodeMemory(part.m.Encode())
				if err != nil {
					t.Fatal(err)
				}
				part.m = m
			}
			whole.append(core.Epoch(1+i/10), e)
			part.append(core.Epoch(1+i/10), e)
		}
		if a, b := whole.m.Encode(), part.m.Encode(); !bytes.Equal(a, b) {
			t.Fatalf("%x\n%x", a, b)
		}
		if a, b := whole.m.Encode(), whole.m.Clone().Encode(); !bytes.Equal(a, b) {
			t.Fatalf("%x\n%x", a, b)
		}
		if a, b := whole.m.Stable(whole.next), part.m.Stable(part.next); a != b {
			t.Fatal(a, b)
		}
	})
}

// An idempotent producer's batches are sent any number of times, in any order;
// exactly one copy of each is taken, in order.
func TestEveryBatchIsTakenOnceAndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &log{m: NewMemory()}
		start := rapid.SampledFrom([]int32{0, 100, 1<<31 - 7}).Draw(t, "start")
		sizes := rapid.SliceOfN(rapid.IntRange(1, 4), 1, 12).Draw(t, "sizes")
		seqs := []int32{start}
		for _, n := range sizes {
			seqs = append(seqs, int32((int64(seqs[len(seqs)-1])+int64(n))&(1<<31-1)))
		}
		taken, bases := 0, []core.Offset{}
		for range 40 {
			i := rapid.IntRange(max(0, taken-8), min(len(sizes)-1, taken+2)).Draw(t, "i")
			b := batch(9, 0, seqs[i], sizes[i], false, 0)
			h, _ := record.Parse(b)
			v, at := l.m.Check(&h)
			want := Gap
			switch {
			case i == taken, taken == 0:
				want = New
			case i < taken && i >= taken-WindowBatches:
				want = Repeated
			case i < taken:
				want = RepeatedLost
			}
			if taken == 0 && i > 0 {
				continue // any first sequence is taken: not this test's subject
			}
			if v != want {
				t.Fatalf("batch %d after %d: %s, want %s", i, taken, v, want)
			}
			if v == Repeated && at != bases[i] {
				t.Fatalf("batch %d at %d, not %d", i, bases[i], at)
			}
			if v == New {
				bases = append(bases, l.append(1, b))
				taken++
			}
		}
	})
}

func TestTheTableOfProducersIsBounded(t *testing.T) {
	l := &log{m: NewMemory()}
	for i := range ProducersMax + 10 {
		l.append(1, batch(int64(i), 0, 0, 1, i == 0, 0))
	}
	if n := len(l.m.producers); n > ProducersMax || n < ProducersMax/2 {
		t.Fatal(n)
	}
	if _, ok := l.m.LastSequence(0); !ok {
		t.Fatal("a producer with an open span was forgotten")
	}
	if _, ok := l.m.LastSequence(1); ok {
		t.Fatal("the producer that was silent longest was kept")
	}
}

func FuzzDecodeMemory(f *testing.F) {
	l := &log{m: NewMemory()}
	l.append(1, nil)
	l.append(1, batch(5, 0, 0, 3, true, 9))
	l.append(2, record.NewMarker(record.Abort, 5, 0, 0, 0))
	l.append(2, batch(-7, 0, 0, 3, false, 9))
	f.Add(l.m.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMemory(b)
		if err != nil {
			if !strings.Contains(err.Error(), "decode memory") {
				t.Fatal(err)
			}
			return
		}
		again, err := DecodeMemory(m.Encode())
		if err != nil || !bytes.Equal(m.Encode(), again.Encode()) {
			t.Fatal(err)
		}
	})
}
