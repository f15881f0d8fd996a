package replica

import (
	"fmt"
	"runtime"
	"testing"

	"trine/internal/core"
)

// bench is copies that reach each other and their disks at once.
type bench struct {
	copies []Copy
	rd     Ready
	now    core.Time
}

func newBench(b testing.TB, policy core.Policy) *bench {
	w := &bench{now: core.Second}
	a := Assignment{Gen: 1, Epoch: 1, Leader: 1, Policy: policy}
	for i := range policy.Copies {
		a.Members = append(a.Members, member(i))
	}
	for i := range policy.Copies {
		cfg := Config{Stream: 9, Self: core.DiskID(i + 1), Gen: 1, Policy: policy,
			Members: a.Members}
		c := NewFollowing(cfg, nil)
		if policy.Raft() {
			var err error
			if c, err = NewRaft(cfg, nil); err != nil {
				b.Fatal(err)
			}
		}
		c.Assign(w.now, a)
		w.copies = append(w.copies, c)
	}
	w.copies[0].Campaign(w.now)
	w.run()
	if !w.copies[0].Status().Leads {
		b.Fatalf("the first copy does not lead: %+v", w.copies[0].Status())
	}
	return w
}

// run lets all happen that there is to happen.
func (w *bench) run() {
	for more := true; more; {
		more = false
		for _, c := range w.copies {
			for c.Ready(&w.rd) {
				more = true
				for i := range w.rd.Writes {
					c.Persisted(w.rd.Writes[i].ID)
				}
				for _, m := range w.rd.Sends {
					w.copies[m.To-1].Step(w.now, m)
				}
				c.Applied(w.rd.Committed)
			}
		}
	}
}

func (w *bench) compact() {
	for _, c := range w.copies {
		cp := &core.Checkpoint{}
		c.Checkpoint(cp)
		c.Compact(cp)
	}
}

// BenchmarkPropose counts what an entry costs on all copies together: with one
// proposal a turn and with sixteen.
func BenchmarkPropose(b *testing.B) {
	for _, p := range []struct {
		name   string
		policy core.Policy
	}{
		{"single", core.Single(core.FlushEach)},
		{"insync of three", core.InSync(3, 2, core.FlushLazy)},
		{"majority of three", core.Majority(3)},
	} {
		for _, k := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/%d a turn", p.name, k), func(b *testing.B) {
				w := newBench(b, p.policy)
				data := make([]byte, 1024)
				b.ReportAllocs()
				for i := 0; i < b.N; i += k {
					for range k {
						es := [1]core.Entry{{Kind: core.EntryBatch, Count: 1, Data: data}}
						if err := w.copies[0].Propose(w.now, es[:]); err != nil {
							b.Fatal(err)
						}
					}
					w.run()
					if i%4096 == 0 {
						w.compact()
					}
				}
				w.run()
				if s := w.copies[0].Status(); s.Committed != s.Last || s.Last < core.Index(b.N) {
					b.Fatalf("%+v", s)
				}
			})
		}
	}
}

// BenchmarkIdle reports the bytes that a copy holds after an hour without work, its
// log in a checkpoint.
func BenchmarkIdle(b *testing.B) {
	for _, p := range []core.Policy{core.InSync(3, 2, core.FlushLazy), core.Majority(3)} {
		b.Run(p.Mode(), func(b *testing.B) {
			const groups = 300
			before := heap()
			ws := make([]*bench, groups)
			for i := range ws {
				w := newBench(b, p)
				es := []core.Entry{{Kind: core.EntryBatch, Count: 1, Data: make([]byte, 1024)}}
				if err := w.copies[0].Propose(w.now, es); err != nil {
					b.Fatal(err)
				}
				w.run()
				for range 300 {
					w.now += TickEvery
					for _, c := range w.copies {
						if s := c.Status(); s.Due(w.now) {
							c.Tick(w.now)
						}
					}
					w.run()
				}
				w.compact()
				for _, c := range w.copies {
					if s := c.Status(); !s.Quiet || s.Committed != s.Last {
						b.Fatalf("%+v", s)
					}
				}
				w.rd = Ready{}
				ws[i] = w
			}
			b.ReportMetric(float64(heap()-before)/(groups*3), "B/copy")
			b.ReportMetric(0, "ns/op")
			runtime.KeepAlive(ws)
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
