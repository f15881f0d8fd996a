package journal

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"trine/internal/core"
)

// world is a journal beside its model.
type world struct {
	t       *rapid.T
	mem     *MemFS
	faults  *FaultFS
	j       *Journal
	now     core.Stamp
	streams map[core.StreamID]*modelStream
	seed    uint64
	snaps   []snap
	collect bool
	checked int
}

type snap struct {
	fs    *MemFS
	power bool
	what  string
}

func (w *world) start(fs *MemFS) {
	w.mem, w.faults = fs, NewFaultFS(fs)
	for _, op := range []Op{OpWrite, OpSync, OpSyncDir, OpRename, OpRemove,
		OpCreate, OpTruncate} {
		w.faults.Inject(Fault{Op: op, Kind: "seen", Delay: func() { w.snap("before " + op.String()) }})
	}
	j, _, err := Open(w.faults, "d", tiny())
	if err != nil {
		w.t.Fatal(err)
	}
	w.j = j
}

func (w *world) snap(what string) {
	if !w.collect {
		return
	}
	w.seed++
	w.snaps = append(w.snaps, snap{w.mem.Crashed(w.seed, int(w.seed*37%101)), true, what},
		snap{w.mem.Clone(), false, what})
}

// do runs an operation and then looks at the disk as it was at every step of it: it
// must show what was before or what came after.
func (w *world) do(name string, ws []core.Write, run func()) {
	before := map[core.StreamID]*modelStream{}
	for id, m := range w.streams {
		before[id] = m.clone()
	}
	for i := range ws {
		w.model(ws[i].Stream).apply(&ws[i])
	}
	w.t.Log(name)
	w.collect, w.snaps = true, nil
	run()
	w.snap("after")
	w.collect = false
	for i, s := range w.snaps {
		done := i >= len(w.snaps)-2
		w.check(fmt.Sprintf("%s, %s (%d), power cut %v", name, s.what, i, s.power), s.fs, s.power,
			before, ws, done)
	}
}

func (w *world) model(id core.StreamID) *modelStream {
	if w.streams[id] == nil {
		w.streams[id] = &modelStream{id: id}
	}
	return w.streams[id]
}

func (w *world) check(what string, fs *MemFS, power bool, before map[core.StreamID]*modelStream,
	ws []core.Write, done bool) {
	w.checked++
	j, rep, err := Open(fs, "d", tiny())
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
	defer j.closeFiles()
	for id := core.StreamID(1); id <= 4; id++ {
		var r *core.Recovered
		for i := range rep.Streams {
			if rep.Streams[i].Stream == id {
				r = &rep.Streams[i]
			}
		}
		after := w.model(id)
		err := after.check(j, r, power)
		if err == nil {
			continue
		}
		if done {
			w.t.Fatalf("%s: stream %d: %v%s", what, id, err, dump(j))
		}
		// any prefix of the stream's writes may have happened
		m := before[id]
		if m == nil {
			m = &modelStream{id: id}
		}
		m = m.clone()
		errs := []error{err}
		ok := false
		for i := -1; i < len(ws) && !ok; i++ {
			if i >= 0 {
				if ws[i].Stream != id {
					continue
				}
				m = m.clone()
				if m.lazy || ws[i].Road == core.FlushLazy {
					ok = m.between(j, r, power, &ws[i])
				}
				m.apply(&ws[i])
			}
			if !ok {
				err := m.check(j, r, power)
				errs = append(errs, err)
				ok = err == nil
			}
		}
		if !ok {
			w.t.Fatalf("%s: stream %d is neither before, between nor after: %v%s", what, id, errs,
				dump(j))
		}
	}
}

// between says whether a stream may be in the middle of a write of the lazy road,
// whose notes come first and whose entries come one by one.
func (m *modelStream) between(j *Journal, r *core.Recovered, power bool, w *core.Write) bool {
	for n := 0; n <= len(w.Entries); n++ {
		part := *w
		part.Entries = w.Entries[:n]
		if n == 0 {
			part.Fill = false
		}
		part.State, part.Trim, part.Checkpoint, part.Reclaim = nil, 0, nil, nil
		c := m.clone()
		c.apply(&part)
		if c.check(j, r, power) == nil {
			return true
		}
	}
	return false
}

// draw makes one Write that fits the model m.
func (w *world) draw(m *modelStream, road core.Flush) core.Write {
	t := w.t
	wr := core.Write{ID: 1, Stream: m.id, Road: road}
	last, next, epoch := m.last, m.next, core.Epoch(rapid.IntRange(1, 9).Draw(t, "epoch"))
	switch rapid.IntRange(0, 11).Draw(t, "what") {
	case 0:
		if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
			wr.Remove = true
			return wr
		}
	case 1:
		if m.last > m.cpIndex() {
			wr.Cut = core.Index(rapid.Int64Range(int64(m.cpIndex()+1), int64(m.last)).Draw(t, "cut"))
			c := m.clone()
			c.apply(&core.Write{Stream: m.id, Cut: wr.Cut, Road: road})
			last, next = c.last, c.next
		}
	case 2:
		wr.State = &core.HardState{Epoch: epoch, Vote: 5, Commit: m.last}
	case 3, 4, 5:
		if m.last > m.cpIndex() {
			w.checkpoint(m, &wr)
			return wr
		}
	case 6:
		if m.next > 0 {
			wr.Trim = core.Offset(rapid.Int64Range(0, int64(m.next)).Draw(t, "trim"))
		}
	case 7:
		w.install(m, &wr, epoch)
		return wr
	}
	for n := rapid.IntRange(0, 4).Draw(t, "entries"); n > 0; n-- {
		last++
		e := ledgerEntry(last, next, epoch, rapid.IntRange(1, 200).Draw(t, "size"))
		if rapid.IntRange(0, 2).Draw(t, "kind") > 0 {
			e = batchEntry(last, next, epoch, int32(rapid.IntRange(1, 5).Draw(t, "count")),
				rapid.IntRange(1, 700).Draw(t, "size"))
		}
		next = e.Next()
		wr.Entries = append(wr.Entries, e)
	}
	if len(wr.Entries) == 0 && wr.State == nil && wr.Cut == 0 && wr.Trim == 0 {
		wr.State = &core.HardState{Epoch: epoch, Commit: m.last}
	}
	return wr
}

func (w *world) checkpoint(m *modelStream, wr *core.Write) {
	t := w.t
	at := core.Index(rapid.Int64Range(int64(m.cpIndex()+1), int64(m.last)).Draw(t, "checkpoint"))
	c := &core.Checkpoint{Index: at, Epoch: 1, Gen: 1, Start: m.start, Next: m.next,
		Machine: make([]byte, rapid.IntRange(1, 300).Draw(t, "machine"))}
	for i := range m.entries {
		if m.entries[i].Index == at {
			c.Next = m.entries[i].Next()
		}
	}
	wr.Checkpoint = c
	if !rapid.Bool().Draw(t, "reclaim") {
		return
	}
	r := &core.Reclaim{Below: c.Next}
	for o := core.Offset(0); o < c.Next; o++ {
		if !wanted(m.reclaim, o, o+1) || rapid.IntRange(0, 2).Draw(t, "settled") == 0 {
			continue
		}
		if n := len(r.Keep); n > 0 && r.Keep[n-1].To == o-1 {
			r.Keep[n-1].To = o
		} else {
			r.Keep = append(r.Keep, core.OffsetRange{From: o, To: o})
		}
	}
	wr.Reclaim = r
}

// install draws a step of filling a copy, or the checkpoint that ends it.
func (w *world) install(m *modelStream, wr *core.Write, epoch core.Epoch) {
	t := w.t
	at, base := core.Index(0), core.Offset(0)
	if n := len(m.fill); n > 0 {
		at, base = m.fill[n-1].Index, m.fill[n-1].Next()
		if rapid.Bool().Draw(t, "install") {
			wr.Install = &core.Checkpoint{Index: at + 3, Epoch: epoch, Gen: 1, Next: base + 2}
			return
		}
	}
	wr.Fill = true
	for n := rapid.IntRange(1, 4).Draw(t, "filled"); n > 0; n-- {
		at += core.Index(rapid.IntRange(1, 3).Draw(t, "gap"))
		e := batchEntry(at, base, epoch, 2, rapid.IntRange(1, 500).Draw(t, "size"))
		base = e.Next() + 1
		wr.Entries = append(wr.Entries, e)
	}
}

func (w *world) write() {
	t := w.t
	lazy := rapid.Bool().Draw(t, "lazy")
	road := core.FlushEach
	ids := []core.StreamID{1, 2}
	if lazy {
		road, ids = core.FlushLazy, []core.StreamID{3, 4}
	}
	if rapid.IntRange(0, 15).Draw(t, "change road") == 0 {
		ids[0] = 5 - ids[0] // 4 goes by the log, 2 (as 3) by its segments
		if lazy {
			ids[0] = 2
		} else {
			ids[0] = 4
		}
	}
	c := map[core.StreamID]*modelStream{}
	var ws []core.Write
	for n := rapid.IntRange(1, 4).Draw(t, "writes"); n > 0; n-- {
		id := rapid.SampledFrom(ids).Draw(t, "stream")
		if c[id] == nil {
			c[id] = w.model(id).clone()
		}
		wr := w.draw(c[id], road)
		c[id].apply(&wr)
		ws = append(ws, wr)
	}
	w.do("write "+writesText(ws), ws, func() {
		call := w.j.WriteEach
		if lazy {
			call = w.j.WriteLazy
		}
		refused, err := call(ws)
		if err != nil || len(refused) > 0 {
			t.Fatalf("write %s: refused %v, %v", writesText(ws), refused, err)
		}
	})
}

// TestWhatWasAcknowledgedComesBack compares a journal with a model while it is
// killed, and the power is cut, at every step that it takes on its disk.
func TestWhatWasAcknowledgedComesBack(t *testing.T) {
	checked := 0
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, streams: map[core.StreamID]*modelStream{}, now: 1_000_000,
			seed: rapid.Uint64().Draw(t, "seed") % 1_000_000}
		w.start(NewMemFS())
		for n := rapid.IntRange(1, 30).Draw(t, "steps"); n > 0; n-- {
			w.step()
		}
		checked += w.checked
	})
	t.Logf("%d disks opened", checked)
}

func (w *world) step() {
	t := w.t
	switch rapid.IntRange(0, 9).Draw(t, "step") {
	case 0:
		w.do("rest", nil, func() {
			if err := w.j.Rest(); err != nil {
				t.Fatal(err)
			}
		})
	case 1, 2:
		w.now += core.Stamp(rapid.IntRange(0, 6000).Draw(t, "ms"))
		w.do("clean", nil, func() {
			if err := w.j.Clean(w.now, 0); err != nil {
				t.Fatal(err)
			}
		})
	case 3:
		w.restart()
	default:
		w.write()
	}
}

// restart goes on with the disk after a stop in order, a kill or a power cut. After
// the latter the model takes over what is left of lazy streams.
func (w *world) restart() {
	t := w.t
	end := rapid.IntRange(0, 2).Draw(t, "end")
	t.Log("end", end)
	switch end {
	case 0:
		if err := w.j.Close(); err != nil {
			t.Fatal(err)
		}
		w.check("closed", w.mem.Crashed(w.seed, 0), false, nil, nil, true)
		w.start(w.mem.Kill())
		if !w.j.report.Clean {
			t.Fatal("a stop in order is not clean")
		}
	case 1:
		w.start(w.mem.Kill())
		if w.j.report.Clean || !w.j.report.SameBoot {
			t.Fatal("a kill looks like something else")
		}
	case 2:
		w.start(w.mem.Crash(w.seed, rapid.IntRange(0, 100).Draw(t, "kept")))
		if w.j.report.SameBoot {
			t.Fatal("a power cut looks like something else")
		}
	}
	for _, m := range w.streams {
		m.fill = nil // it begins again
	}
	for i := range w.j.report.Streams {
		r := &w.j.report.Streams[i]
		m := w.model(r.Stream)
		last := core.Index(len(r.Tail))
		if r.Checkpoint != nil {
			last += r.Checkpoint.Index
		}
		if !m.lazy {
			continue
		}
		c := m.clone()
		if last < m.last { // what went with the power
			c.apply(&core.Write{Stream: m.id, Cut: last + 1, Road: core.FlushLazy})
		}
		c.cp, c.cps, c.start = r.Checkpoint, nil, r.Start
		w.streams[m.id] = c
	}
}
