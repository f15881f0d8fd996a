package sim

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"trine/internal/core"
	"trine/internal/journal"
)

// rested is three disks on which there is something of every kind of stream and of
// file, whose nodes rested and were ended, and what their clients know.
type rested struct {
	disks  []*journal.MemFS
	runs   []int
	values map[string][]string // by stream, in order
	lone   map[core.StreamID]bool
}

var restedKinds = map[string]core.Policy{
	"insync": core.InSync(3, 2, core.FlushLazy), "majority": core.Majority(3),
	"mirror": core.Mirror(3, core.FlushEach), "single": core.Single(core.FlushEach)}

func restedNames() []string { return []string{"insync", "majority", "mirror", "single"} }

func restedCluster(t *testing.T) *rested {
	w := NewWorld(1, 3)
	w.tiny = true
	r := &runner{w: w, cuts: map[core.NodeID]bool{}, churn: map[string]bool{}}
	if !r.begin() {
		t.Fatalf("%v", r.broken)
	}
	out := &rested{values: map[string][]string{}, lone: map[core.StreamID]bool{}}
	for _, name := range restedNames() {
		s := r.subject(name, restedKinds[name], name == "mirror")
		s.at = []core.NodeID{1, 2, 3}[:s.policy.Copies]
		if !r.define(s) {
			t.Fatalf("%v", r.broken)
		}
		out.lone[s.id] = s.policy.Copies == 1
		s.produce(w.Nodes[1])
	}
	w.Run(300 * core.Millisecond)
	for _, s := range r.subjects {
		s.rests = true
	}
	w.Run(8 * core.Second) // checkpoints are made after 5
	for _, s := range r.subjects {
		s.rests = false
	}
	w.Run(100 * core.Millisecond)
	for _, s := range r.subjects {
		s.stop = true
	}
	w.Run(2500 * core.Millisecond)
	for _, s := range r.subjects {
		out.values[s.name] = s.readBack()
		if len(s.faulty) > 0 || len(out.values[s.name]) < len(s.acked) || len(s.acked) < 20 {
			t.Fatalf("%s: %d of %d read: %v", s.name, len(out.values[s.name]), len(s.acked), s.faulty)
		}
	}
	for _, n := range w.Nodes {
		n.Kill("rested")
		out.disks, out.runs = append(out.disks, n.fs), append(out.runs, n.run)
	}
	return out
}

// onDisk gives all that a disk has of each stream, and what it complains of: so many
// times when it is opened, and then where all is read.
func onDisk(n *Node, fs *journal.MemFS) (streams string, lacking map[core.StreamID]bool, complaints []string, start int) {
	lacking = map[core.StreamID]bool{}
	j, rep, err := journal.Open(fs, "data", n.options())
	if err != nil {
		return "", lacking, []string{err.Error()}, 0
	}
	var b strings.Builder
	complaints = append(complaints, rep.Damage...)
	for i := range rep.Streams {
		if r := &rep.Streams[i]; r.Damage != "" {
			complaints = append(complaints, r.Damage)
			lacking[r.Stream] = true
		}
	}
	start = len(complaints)
	for i := range rep.Streams {
		r := &rep.Streams[i]
		fmt.Fprintf(&b, "%d %+v %v %d:", r.Stream, r.State, r.Checkpoint != nil, len(r.Tail))
		for next := core.Index(1); ; {
			es, err := j.Load(core.Load{Stream: r.Stream, ByIndex: true, Index: next, BytesMax: 1 << 20})
			if err != nil {
				complaints = append(complaints, err.Error())
				lacking[r.Stream] = true
			}
			if len(es) == 0 {
				break
			}
			for i := range es {
				fmt.Fprintf(&b, " %d", es[i].Index)
			}
			next = es[len(es)-1].Index + 1
		}
	}
	j.Close()
	return b.String(), lacking, complaints, start
}

// wound is one way in which a flipped byte shows: every byte that shows in the same
// way leads to the same run.
type wound struct {
	node    int
	file    string
	at      int64
	lacking map[core.StreamID]bool
	bytes   int  // how many show so
	late    bool // only a read finds it
}

// wounds flips every step-th byte of a disk and gives the different ways in which that
// shows. What does not show must change nothing.
func (c *rested) wounds(t *testing.T, node, step int) (ws []*wound, bytes, exempt int) {
	n := &Node{ID: core.NodeID(node + 1), w: &World{tiny: true}}
	fs := c.disks[node]
	want, _, found, _ := onDisk(n, fs.Clone())
	if len(found) > 0 {
		t.Fatalf("node %d complains unharmed: %v", n.ID, found)
	}
	by := map[string]*wound{}
	for _, name := range fs.Names() {
		if path.Base(name) == "lock" {
			continue
		}
		b, err := journal.ReadFile(fs, name, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for at := int64(len(name) % step); at < int64(len(b)); at += int64(step) {
			bytes++
			harmed := fs.Clone()
			if err := journal.NewFaultFS(harmed).FlipAtRest(name, at, uint(at)); err != nil {
				t.Fatal(err)
			}
			got, lacking, found, start := onDisk(n, harmed)
			if len(found) == 0 {
				exempt++
				if got != want {
					t.Errorf("node %d, %s at %d: nothing is found, and something else is read", n.ID, name, at)
				}
				continue
			}
			if !slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, name) }) {
				t.Errorf("node %d, %s at %d: another place is blamed: %v", n.ID, name, at, found)
			}
			key := fmt.Sprintf("%v %s", found, got)
			if by[key] == nil {
				by[key] = &wound{node: node, file: name, at: at, lacking: lacking, late: start == 0}
				ws = append(ws, by[key])
			}
			by[key].bytes++
		}
	}
	return ws, bytes, exempt
}

// heals starts the three nodes, one of them with a flipped byte, and says what is not
// as it should be: what was found is reported, everything acknowledged is there at
// every copy, and the harmed disk is whole again. Of a stream with one copy it is
// enough that the harm is reported.
func (c *rested) heals(wd *wound) (bad []string, unread bool) {
	w := NewWorld(uint64(wd.at)+1, 3)
	w.tiny = true
	r := &runner{w: w, cuts: map[core.NodeID]bool{}, churn: map[string]bool{}}
	for i, n := range w.Nodes {
		n.fs, n.run = c.disks[i].Clone(), c.runs[i]
	}
	harmed := w.Nodes[wd.node]
	if err := journal.NewFaultFS(harmed.fs).FlipAtRest(wd.file, wd.at, uint(wd.at)); err != nil {
		return []string{err.Error()}, false
	}
	fail := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	defer func() {
		if e := recover(); e != nil {
			fail("panic: %v", e)
		}
	}()
	if !r.begin() {
		return []string{fmt.Sprint(r.broken)}, false
	}
	complaints := harmed.complaints
	w.Run(core.Second)
	for round := range 2 { // the first finds what only a read finds
		for _, name := range restedNames() {
			v := w.Nodes[0].Streams[name]
			if v == nil {
				fail("%s is not known", name)
				continue
			}
			if c.lone[v.ID] && wd.lacking[v.ID] {
				continue
			}
			reader := func() *subject {
				return &subject{w: w, name: name, id: v.ID, queue: name == "mirror", lossy: func() bool { return false }}
			}
			for _, n := range w.Nodes[:len(v.Members)] {
				s := reader()
				got := s.readAt(n)
				if round == 1 && (!slices.Equal(got, c.values[name]) || len(s.faulty) > 0) {
					fail("%s at node %d, harmed is %d: %d of %d are read: %q", name, n.ID, harmed.ID,
						len(got), len(c.values[name]), s.faulty)
				}
			}
			s := reader()
			if got := s.readBack(); round == 1 && !slices.Equal(got, c.values[name]) {
				fail("%s: %d of %d are read: %q", name, len(got), len(c.values[name]), s.faulty)
			}
		}
		complaints = append(complaints, harmed.complaints...)
		w.Run(2 * core.Second)
	}
	reported := slices.ContainsFunc(complaints, func(f string) bool {
		return strings.Contains(f, wd.file) && strings.Contains(f, "offset")
	})
	switch {
	case reported:
	case wd.late && len(complaints) == 0:
		unread = true // no client reads it: a ledger entry that only another copy's filling reads
	default:
		fail("it is not reported: %q", complaints)
	}
	for _, n := range w.Nodes {
		w.check(n)
		n.Kill("done")
	}
	for _, d := range w.diverged {
		fail("%s", d)
	}
	_, lacking, left, _ := onDisk(harmed, harmed.fs)
	for id := range lacking {
		if !c.lone[id] && !unread {
			fail("the harmed disk still lacks something, or still says so: %q", left)
			break
		}
	}
	return bad, unread
}

// TestAFlippedByteIsRepairedFromThePeers flips bytes of every file of a rested
// cluster's disks, and plays each way in which that shows. SIM_BYTES=1 takes every byte.
func TestAFlippedByteIsRepairedFromThePeers(t *testing.T) {
	step := 61
	if os.Getenv("SIM_BYTES") != "" {
		step = 1
	}
	c := restedCluster(t)
	for node := range c.disks {
		ws, bytes, exempt := c.wounds(t, node, step)
		files, idle := map[string]int{}, 0
		for _, wd := range ws {
			files[path.Base(path.Dir(wd.file))] += wd.bytes
			bad, unread := c.heals(wd)
			if unread {
				idle += wd.bytes
			}
			if len(bad) > 0 {
				t.Errorf("node %d, %s at %d, %d bytes like it: %q", node+1, wd.file, wd.at, wd.bytes, bad[:min(2, len(bad))])
			}
		}
		t.Logf("node %d: %d bytes flipped, %d exempt, %d ways to show; by kind of file %v; %d in what only the filling of another copy reads", node+1, bytes, exempt, len(ws), files, idle)
		for _, kind := range []string{"data", "pack", "seg", "wal"} {
			if files[kind] == 0 {
				t.Errorf("no byte of %s was found harmed", kind)
			}
		}
	}
}
