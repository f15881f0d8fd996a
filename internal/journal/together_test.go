package journal

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"trine/internal/core"
)

// busyTurn is what a turn writes: an entry each, at times a checkpoint, or a cut of
// the last entry and two in its place.
func busyTurn(i core.Index, road core.Flush, ids []core.StreamID) (ws []core.Write) {
	for _, id := range ids {
		w := core.Write{Stream: id, Road: road,
			Entries: []core.Entry{batchEntry(i, core.Offset(i-1), 1, 1, 150)}}
		if i%50 == 0 {
			w.Checkpoint = &core.Checkpoint{Index: i - 20, Next: core.Offset(i - 20)}
		}
		if i%70 == 0 && id%2 == 0 {
			w.Cut = i - 1
			w.Entries = []core.Entry{batchEntry(i-1, core.Offset(i-2), 2, 1, 90),
				batchEntry(i, core.Offset(i-1), 2, 1, 90)}
		}
		ws = append(ws, w)
	}
	return ws
}

// crowd is all callers that a node has.
type crowd struct {
	j       *Journal
	wrote   [9]atomic.Int64 // by stream: the last index
	writers sync.WaitGroup
	others  sync.WaitGroup
	stop    atomic.Bool
	fail    chan error
}

const crowdTurns = 600

func (c *crowd) report(err error) {
	select {
	case c.fail <- err:
	default:
	}
}

func (c *crowd) write(road core.Flush) {
	defer c.writers.Done()
	call, ids := c.j.WriteEach, []core.StreamID{1, 2, 3, 4}
	if road == core.FlushLazy {
		call, ids = c.j.WriteLazy, []core.StreamID{5, 6, 7, 8}
	}
	for i := core.Index(1); i <= crowdTurns; i++ {
		if r, err := call(busyTurn(i, road, ids)); err != nil || len(r) > 0 {
			c.report(fmt.Errorf("write %d: %v %v", i, r, err))
			return
		}
		for _, id := range ids {
			c.wrote[id].Store(int64(i))
		}
	}
}

func (c *crowd) read(id core.StreamID) {
	defer c.others.Done()
	for n := core.Index(1); !c.stop.Load(); n = n%crowdTurns + 7 {
		if last := core.Index(c.wrote[id].Load()); n > last {
			n = 0
			continue
		}
		es, err := c.j.Load(core.Load{Stream: id, ByIndex: true, Index: n, BytesMax: 2000})
		if err != nil || len(es) == 0 || es[0].Index != n {
			c.report(fmt.Errorf("load %d from %d: %d entries, %v", id, n, len(es), err))
			return
		}
	}
}

// again calls f until all writers are done.
func (c *crowd) again(f func() error) {
	defer c.others.Done()
	for !c.stop.Load() {
		if err := f(); err != nil {
			c.report(err)
			return
		}
	}
}

// TestWritersReadersAndTheCleanerMayRunAtOnce lets all callers run that a node has,
// while files are recycled and segments rewritten under the readers.
func TestWritersReadersAndTheCleanerMayRunAtOnce(t *testing.T) {
	defer goleak.VerifyNone(t)
	fs := NewMemFS()
	j, _ := open(t, fs, tiny())
	c := &crowd{j: j, fail: make(chan error, 1)}
	c.writers.Add(2)
	go c.write(core.FlushEach)
	go c.write(core.FlushLazy)
	c.others.Add(10)
	for id := core.StreamID(1); id <= 8; id++ {
		go c.read(id)
	}
	now := core.Stamp(0)
	go c.again(func() error { now += 6000; return j.Clean(now, 0) })
	go c.again(func() error { j.Stats(); j.Health(); return j.Rest() })
	c.writers.Wait()
	c.stop.Store(true)
	c.others.Wait()
	select {
	case err := <-c.fail:
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
		if core.Index(len(r.Tail))+r.Checkpoint.Index != crowdTurns || r.Damage != "" {
			t.Errorf("stream %d: tail of %d, damage %q", r.Stream, len(r.Tail), r.Damage)
		}
	}
}
