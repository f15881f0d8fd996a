package replica

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/cockroachdb/datadriven"

	"trine/internal/core"
)

// TestStories plays testdata: a world without faults of its own, in which what goes
// wrong is written down.
//
//	new policy=NAME copies=N [disks=N]   a stream, its copies started and assigned
//	propose on=D [n=N]                   entries, on a disk that should lead
//	run ms=N                             lets time pass; says who leads and what holds
//	crash on=D, start on=D, pause on=D ms=N, cut a=D b=D, join a=D b=D
//	campaign on=D, forget on=D, yield on=D [to=D], members D ...
//	checkpoint on=D, damage on=D keep=N, log on=D, progress on=D
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		cryptotest.SetGlobalRandom(t, 1)
		var w *world
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "new" {
				w = newStory(t, d)
				return w.state()
			}
			w.t = t
			return w.tell(d)
		})
	})
}

func newStory(t *testing.T, d *datadriven.TestData) *world {
	var name string
	var copies, disks int
	d.ScanArgs(t, "policy", &name)
	d.ScanArgs(t, "copies", &copies)
	disks = copies
	d.MaybeScanArgs(t, "disks", &disks)
	policy := map[string]core.Policy{
		"single": core.Single(core.FlushEach), "mirror": core.Mirror(copies, core.FlushLazy),
		"insync":  core.InSync(copies, 2, core.FlushLazy),
		"primary": core.Primary(copies, core.FlushLazy),
		"pair":    core.Pair(copies, 2, core.FlushEach), "majority": core.Majority(copies),
		"any": {Copies: copies, MinInSync: 1, Commit: core.CommitInSync, Election: core.ElectAny},
	}[name]
	w := newWorld(t, 1, policy, disks, func(c *Config) { c.LagMax = 2 * core.Second })
	w.slow, w.calm = core.Millisecond, true
	w.run(100 * core.Millisecond)
	return w
}

func (w *world) tell(d *datadriven.TestData) string {
	arg := func(name string, or int) int {
		d.MaybeScanArgs(w.t.(*testing.T), name, &or)
		return or
	}
	var n *node
	if on := arg("on", 0); on != 0 {
		n = w.nodes[on-1]
	}
	switch d.Cmd {
	case "propose":
		if err := n.propose(arg("n", 1), 10); err != nil {
			return err.Error() + "\n"
		}
		return ""
	case "run":
		w.run(core.Time(arg("ms", 100)) * core.Millisecond)
		return w.state()
	case "crash":
		n.crash()
	case "start":
		n.restart()
	case "pause":
		n.stuckTo = w.now + core.Time(arg("ms", 0))*core.Millisecond
	case "cut", "join":
		a, b := arg("a", 0)-1, arg("b", 0)-1
		w.setCut(a, b, d.Cmd == "cut")
		w.setCut(b, a, d.Cmd == "cut")
	case "campaign":
		n.copy.Campaign(w.now)
	case "forget":
		n.copy.Forget(w.now, 0)
	case "yield":
		n.copy.Yield(w.now, core.DiskID(arg("to", 0)))
	case "members":
		w.setMembers(d)
	case "checkpoint":
		n.checkpoint()
	case "damage":
		n.crash()
		n.rec.Tail, n.damaged = n.rec.Tail[:arg("keep", 0)], true
		n.restart()
	case "log":
		return n.log()
	case "progress":
		var b strings.Builder
		for _, p := range n.copy.Progress(w.now) {
			fmt.Fprintf(&b, "disk %d has %d, in sync %v, behind %d ms\n", p.Disk, p.Match, p.InSync,
				p.Lag/core.Millisecond)
		}
		return b.String()
	default:
		w.t.Fatalf("no such command: %s", d.Cmd)
	}
	return ""
}

func (w *world) setMembers(d *datadriven.TestData) {
	w.cat.now.Members = nil
	w.cat.now.Epoch++
	for _, a := range d.CmdArgs {
		var i int
		fmt.Sscan(a.Key, &i)
		m := member(i - 1)
		m.InSync = false
		w.cat.now.Members = append(w.cat.now.Members, m)
		if n := w.nodes[i-1]; !n.found {
			n.found = true
			n.start()
		}
	}
	w.cat.publish()
}

// state says what each copy says of itself.
func (w *world) state() string {
	var b strings.Builder
	for _, n := range w.nodes {
		if !n.up {
			if n.found {
				fmt.Fprintf(&b, "disk %d is down\n", n.disk)
			}
			continue
		}
		s := n.copy.Status()
		fmt.Fprintf(&b, "disk %d: epoch %d, last %d, written %d, holds %d, next offset %d",
			n.disk, s.Epoch, s.Last, s.Persisted, s.Committed, s.LogEnd)
		switch {
		case s.Leads:
			fmt.Fprintf(&b, ", leads with %d in sync", s.InSync)
		case s.Leader == 0:
			b.WriteString(", knows no leader")
		default:
			fmt.Fprintf(&b, ", follows %d", s.Leader)
		}
		for _, x := range []struct {
			on   bool
			text string
		}{{s.Leads && !s.MinOK, "too few"}, {s.Quiet, "quiet"}, {s.Removed, "removed"}} {
			if x.on {
				b.WriteString(", " + x.text)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// log says a copy's tail as runs of one epoch.
func (n *node) log() string {
	t := n.copy.Tail()
	var parts []string
	for i := t.First(); i <= t.Last(); i++ {
		e := t.Entry(i)
		kind := map[core.EntryKind]string{core.EntryBatch: "batch", core.EntryQueue: "queue",
			core.EntryEmpty: "empty", core.EntryMembers: "members", core.EntrySeal: "seal"}[e.Kind]
		parts = append(parts, fmt.Sprintf("%d %s epoch %d base %d+%d", e.Index, kind, e.Epoch,
			e.Base, e.Count))
	}
	if len(parts) > 12 {
		parts = slices.Concat(parts[:4], []string{"..."}, parts[len(parts)-4:])
	}
	return fmt.Sprintf("above %d:\n%s\n", t.base, strings.Join(parts, "\n"))
}
