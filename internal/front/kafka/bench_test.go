package kafka

import (
	"io"
	"strings"
	"testing"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/seamtest"
)

// instant is a broker whose log answers when the benchmark says so: what is left
// is the front end's own cost.
type instant struct {
	*seamtest.Broker
	appends []core.Append
	done    func([]core.ReadAnswer)
	answer  []core.ReadAnswer
}

func (i *instant) Log() front.Log { return i }

func (i *instant) Append(as []core.Append) {
	i.appends = append(i.appends,
		as...)
}
func (i *instant) Read(_ core.Read, done func([]core.ReadAnswer)) { i.done = done }
func (i *instant) Find(core.Find, func(core.Found, error))        {}
func (i *instant) Trim(core.Trim, func(core.Offset, error))       {}

func benchConn(b *testing.B) (*instant, *testWire, *Conn) {
	p := newPeer(b, Config{})
	p.make("t", 1, nil)
	i := &instant{Broker: p.b}
	p.f.core = i
	return i, p.w, p.c
}

func drainOutput(w *testWire, spare []byte) []byte {
	parts, memory := w.out.Take(nil, spare)
	for _, p := range parts {
		_, _ = io.Discard.Write(p)
	}
	return memory
}

func BenchmarkProduce(b *testing.B) {
	for _, size := range []int{100, 1024, 16 << 10} {
		b.Run(sizeName(size), func(b *testing.B) {
			i, w, c := benchConn(b)
			f := frame(produceTo("t", [16]byte{}, -1, map[int32][]byte{0: testBatch(1, strings.Repeat("v",
				size))}), 9, 1)
			b.SetBytes(int64(len(f)))
			b.ReportAllocs()
			var spare []byte
			for b.Loop() {
				if err := c.Feed(core.Now{}, f); err != nil {
					b.Fatal(err)
				}
				for _, a := range i.appends {
					a.To.Appended(a.Token, core.Appended{}, nil)
				}
				i.appends = i.appends[:0]
				spare = drainOutput(w, spare)
			}
		})
	}
}

func BenchmarkFetch(b *testing.B) {
	for _, size := range []int{1024, 16 << 10, 1 << 20} {
		b.Run(sizeName(size), func(b *testing.B) {
			i, w, c := benchConn(b)
			i.answer = []core.ReadAnswer{{Batches: [][]byte{testBatch(1, strings.Repeat("v", size))},
				Committed: 1, Stable: 1}}
			f := frame(fetchFrom("t", [16]byte{}, 0, 0), 12, 1)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			var spare []byte
			for b.Loop() {
				if err := c.Feed(core.Now{}, f); err != nil {
					b.Fatal(err)
				}
				i.done(i.answer)
				spare = drainOutput(w, spare)
			}
		})
	}
}

func sizeName(n int) string {
	switch {
	case n >= 1<<20:
		return "1MiB"
	case n >= 16<<10:
		return "16KiB"
	case n >= 1024:
		return "1KiB"
	}
	return "100B"
}
