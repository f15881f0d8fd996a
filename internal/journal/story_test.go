package journal

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"trine/internal/core"
)

// story plays testdata/*.txt: what is asked of a journal, what becomes of its disk,
// and what is there afterwards.
type story struct {
	mem *MemFS
	fs  *FaultFS
	j   *Journal
	now core.Stamp
}

func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := &story{mem: NewMemFS()}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return s.play(t, d)
		})
	})
}

func (s *story) play(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "open":
		return s.open()
	case "close":
		return text(s.j.Close())
	case "kill":
		s.mem = s.mem.Kill()
		return s.open()
	case "power-cut":
		kept := 0
		d.MaybeScanArgs(t, "kept", &kept)
		s.mem = s.mem.Crash(1, kept)
		return s.open()
	case "each", "lazy":
		return s.write(t, d)
	case "rest":
		return text(s.j.Rest())
	case "clean":
		ms := 0
		d.MaybeScanArgs(t, "ms", &ms)
		s.now += core.Stamp(ms)
		return text(s.j.Clean(s.now, 0))
	case "flip":
		var name string
		var at int64
		d.ScanArgs(t, "file", &name)
		d.ScanArgs(t, "at", &at)
		return text(s.fs.FlipAtRest(name, at, 0))
	case "load":
		var id uint64
		d.ScanArgs(t, "stream", &id)
		es, err := loadAll(s.j, core.StreamID(id))
		var b strings.Builder
		for i := range es {
			fmt.Fprintf(&b, "%d epoch %d base %d\n", es[i].Index, es[i].Epoch, es[i].Base)
		}
		return b.String() + text(err)
	case "files":
		return strings.Join(s.mem.Names(), "\n") + "\n"
	}
	t.Fatalf("%s: no such command: %s", d.Pos, d.Cmd)
	return ""
}

func text(err error) string {
	if err != nil {
		return err.Error() + "\n"
	}
	return "ok\n"
}

func (s *story) open() string {
	s.fs = NewFaultFS(s.mem)
	j, rep, err := Open(s.fs, "d", tiny())
	if err != nil {
		return text(err)
	}
	s.j = j
	var b strings.Builder
	fmt.Fprintf(&b, "disk %x clean %v same boot %v\n", uint64(rep.Disk), rep.Clean, rep.SameBoot)
	for _, d := range rep.Damage {
		fmt.Fprintf(&b, "note: %s\n", d)
	}
	for i := range rep.Streams {
		r := &rep.Streams[i]
		cp := core.Index(0)
		if r.Checkpoint != nil {
			cp = r.Checkpoint.Index
		}
		fmt.Fprintf(&b, "stream %d: epoch %d vote %d commit %d, checkpoint %d, tail %d, start %d, road %d",
			r.Stream, r.State.Epoch, r.State.Vote, r.State.Commit, cp, len(r.Tail), r.Start, r.Road)
		if r.Damage != "" {
			fmt.Fprintf(&b, ", damage: %s", r.Damage)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// write plays lines "STREAM WORD NUMBERS...": each line is one core.Write.
func (s *story) write(t *testing.T, d *datadriven.TestData) string {
	road := core.FlushEach
	call := s.j.WriteEach
	if d.Cmd == "lazy" {
		road, call = core.FlushLazy, s.j.WriteLazy
	}
	var ws []core.Write
	for _, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
		w := core.Write{Road: road, ID: uint64(len(ws) + 1)}
		f := strings.Fields(line)
		for i := 0; i < len(f); i++ {
			n := func() (v int64) {
				i++
				if _, err := fmt.Sscan(f[i], &v); err != nil {
					t.Fatalf("%s: %q", d.Pos, line)
				}
				return v
			}
			switch f[i] {
			case "stream":
				w.Stream = core.StreamID(n())
			case "remove":
				w.Remove = true
			case "cut":
				w.Cut = core.Index(n())
			case "state":
				w.State = &core.HardState{Epoch: core.Epoch(n()), Vote: core.DiskID(n()), Commit: core.Index(n())}
			case "checkpoint":
				at := n()
				w.Checkpoint = &core.Checkpoint{Index: core.Index(at), Next: core.Offset(at)}
			case "install":
				at := n()
				w.Install = &core.Checkpoint{Index: core.Index(at), Next: core.Offset(at)}
			case "trim":
				w.Trim = core.Offset(n())
			case "fill":
				w.Fill = true
			case "entries": // from to epoch: one record each
				from, to, epoch := n(), n(), n()
				for at := from; at <= to; at++ {
					w.Entries = append(w.Entries, batchEntry(core.Index(at), core.Offset(at-1), core.Epoch(epoch),
						1, 100))
				}
			default:
				t.Fatalf("%s: %q in %q", d.Pos, f[i], line)
			}
		}
		ws = append(ws, w)
	}
	refused, err := call(ws)
	var b strings.Builder
	for _, r := range refused {
		fmt.Fprintf(&b, "refused %d: %v\n", r.ID, r.Err)
	}
	return b.String() + text(err)
}
