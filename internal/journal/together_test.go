package journal

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"trine/internal/core"
)

// TestWritersReadersAndTheCleanerMayRunAtOnce lets all callers run that a node has,
// while files are recycled and segments rewritten under the readers.
func TestWritersReadersAndTheCleanerMayRunAtOnce(t *testing.T) {
	defer goleak.VerifyNone(t)
	fs := NewMemFS()
	j, _ := open(t, fs, tiny())
	const turns = 600
	var wrote [9]atomic.Int64 // by stream: the last index
	var writers, others sync.WaitGroup
	var stop atomic.Bool
	fail := make(chan error, 16)
	report := func(err error) {
		select {
		case fail <- err:
		default:
		}
	}
	write := func(road core.Flush, call func([]core.Write) ([]Refusal, error), ids ...core.StreamID) {
		defer writers.Done()
		for i := core.Index(1); i <= turns; i++ {
			var ws []core.Write
			for _, id := range ids {
				w := core.Write{Stream: id, Road: road,
					Entries: []core.Entry{batchEntry(i, core.Offset(i-1), 1, 1, 150)}}
				if i%50 == 0 {
					w.Checkpoint = &core.Checkpoint{Index: i - 20, Next: core.Offset(i - 20)}
				}
				if i%70 == 0 && id%2 == 0 { // a reader may meet what is being cut
					w.Entries = nil
					w.Cut = i - 1
					w.Entries = []core.Entry{batchEntry(i-1, core.Offset(i-2), 2, 1, 90),
						batchEntry(i, core.Offset(i-1), 2, 1, 90)}
				}
				ws = append(ws, w)
			}
			if r, err := call(ws); err != nil || len(r) > 0 {
				report(fmt.Errorf("write %d: %v %v", i, r, err))
				return
			}
			for _, id := range ids {
				wrote[id].Store(int64(i))
			}
		}
	}
	read := func(id core.StreamID) {
		defer others.Done()
		for n := core.Index(1); !stop.Load(); n = n%turns + 7 {
			last := core.Index(wrote[id].Load())
			if n > last {
				n = 0
				continue
			}
			es, err := j.Load(core.Load{Stream: id, ByIndex: true, Index: n, BytesMax: 2000})
			if err != nil || len(es) == 0 || es[0].Index != n {
				report(fmt.Errorf("load %d from %d: %d entries, %v", id, n, len(es), err))
				return
			}
		}
	}
	writers.Add(2)
	go write(core.FlushEach, j.WriteEach, 1, 2, 3, 4)
	go write(core.FlushLazy, j.WriteLazy, 5, 6, 7, 8)
	others.Add(10)
	for id := core.StreamID(1); id <= 8; id++ {
		go read(id)
	}
	go func() {
		defer others.Done()
		for now := core.Stamp(0); !stop.Load(); now += 6000 {
			if err := j.Clean(now, 0); err != nil {
				report(err)
				return
			}
		}
	}()
	go func() {
		defer others.Done()
		for !stop.Load() {
			if err := j.Rest(); err != nil {
				report(err)
				return
			}
			j.Stats()
			j.Health()
		}
	}()
	writers.Wait()
	stop.Store(true)
	others.Wait()
	select {
	case err := <-fail:
		t.Fatal(err)
	default:
	}
	if st := j.Stats(); st.Recycled == 0 || st.CopiedBytes == 0 || st.Damaged > 0 {
		t.Errorf("%+v", st)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	_, rep := open(t, fs.Crash(1, 0), tiny())
	for _, r := range rep.Streams {
		if core.Index(len(r.Tail))+r.Checkpoint.Index != turns || r.Damage != "" {
			t.Errorf("stream %d: tail of %d, damage %q", r.Stream, len(r.Tail), r.Damage)
		}
	}
}
