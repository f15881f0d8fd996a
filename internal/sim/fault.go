package sim

import (
	"fmt"
	"strings"
	"syscall"

	"trine/internal/core"
	"trine/internal/core/shard"
	"trine/internal/journal"
)

// What does not exist over TCP is not simulated: a message is not doubled, and not lost
// while the connection lives. Resets lose what is on the way; what was sent again after
// them is the doubling that there is.

// fault is one thing that can go wrong, and how often among the others. do says
// whether it could be done now.
type fault struct {
	name   string
	weight int
	do     func(r *runner, n, m *Node) bool
}

var faultList = []fault{
	{"kill", 18, func(r *runner, n, _ *Node) bool { return r.alone(func() { r.killed(n) }) }},
	{"power cut", 12, func(r *runner, n, _ *Node) bool { return r.alone(func() { r.powerCut(n, 2*core.Second) }) }},
	{"kill of all", 4, func(r *runner, _, _ *Node) bool {
		for _, x := range r.w.Nodes {
			x.Kill("fault")
			r.restart(x, core.Second)
		}
		return true
	}},
	{"power cut of all", 5, func(r *runner, _, _ *Node) bool {
		for _, x := range r.w.Nodes {
			r.powerCut(x, core.Second)
		}
		return true
	}},
	{"pause", 10, func(r *runner, n, _ *Node) bool {
		return r.alone(func() {
			n.Pause()
			r.w.After(r.w.between(50*core.Millisecond, 3*core.Second), n.Resume)
		})
	}},
	{"silent cut", 10, func(r *runner, n, m *Node) bool { return n != m && r.cut(r.w.wire(n.ID, m.ID), true, true) }},
	{"one-way cut", 7, func(r *runner, n, m *Node) bool {
		return n != m && r.cut(r.w.wire(n.ID, m.ID), r.w.chance(50), false)
	}},
	{"reset and refuse", 6, func(r *runner, n, m *Node) bool {
		if n == m {
			return false
		}
		l := r.w.wire(n.ID, m.ID)
		l.refuse = true
		l.end("fault")
		r.w.After(r.w.between(10*core.Millisecond, 3*core.Second), l.heal)
		return true
	}},
	{"reset", 6, func(r *runner, n, m *Node) bool {
		up := n != m && r.w.wire(n.ID, m.ID).up
		if up {
			r.w.wire(n.ID, m.ID).end("fault")
		}
		return up
	}},
	{"failing flush", 4, func(r *runner, n, _ *Node) bool {
		return r.alone(func() {
			n.faults.Inject(journal.Fault{Kind: "failing flush", Op: journal.OpSync, Name: "/wal/", Times: 1,
				Err: syscall.EIO, Drop: true})
		})
	}},
	{"full disk", 4, func(r *runner, n, _ *Node) bool {
		if !n.up {
			return false
		}
		f := n.faults
		f.SetRoom(int64(r.w.rng.IntN(100 << 10)))
		r.w.After(r.w.between(200*core.Millisecond, 2*core.Second), f.Heal)
		return true
	}},
	{"slow flush", 5, func(r *runner, n, _ *Node) bool {
		n.stall = r.w.now + r.w.between(100*core.Millisecond, 3*core.Second)
		return n.up
	}},
	{"bit flipped at rest", 4, func(r *runner, n, _ *Node) bool { return r.damage(n, false) }},
	{"disk deleted", 3, func(r *runner, n, _ *Node) bool { return r.damage(n, true) }},
	{"clock step", 5, func(r *runner, n, _ *Node) bool {
		n.skew += core.Stamp(r.w.between(-3600_000, 3600_000))
		return true
	}},
	{"kind changed", 6, func(r *runner, n, _ *Node) bool { return r.alter(n) }},
	{"copies moved", 5, func(r *runner, n, _ *Node) bool { return r.move(n) }},
	{"stream defined", 4, func(r *runner, n, _ *Node) bool { return r.defineMore(n) }},
	{"stream removed", 3, func(r *runner, n, _ *Node) bool { return r.removeOne(n) }},
}

// faultNames gives what must have fired once all seeds have run.
func faultNames() []string {
	names := []string{"heartbeat held back", "clock drift"}
	for _, f := range faultList {
		names = append(names, f.name)
	}
	return names
}

// fault does one thing, by the seed, and plans the next.
func (r *runner) fault() {
	if r.calm {
		return
	}
	w := r.w
	n := w.Nodes[w.rng.IntN(len(w.Nodes))]
	m := w.Nodes[w.rng.IntN(len(w.Nodes))]
	all := 0
	for _, f := range faultList {
		all += f.weight
	}
	k := w.rng.IntN(all)
	for _, f := range faultList {
		if k -= f.weight; k < 0 {
			w.trace("fault %s at %d, %d?", f.name, n.ID, m.ID)
			if f.do(r, n, m) {
				w.fired(f.name)
			}
			break
		}
	}
	w.After(w.between(30*core.Millisecond, 1000*core.Millisecond), r.fault)
}

// alone does something that takes a node away, where none is away yet.
func (r *runner) alone(do func()) bool {
	for _, x := range r.w.Nodes {
		if !x.runs() {
			return false
		}
	}
	do()
	return true
}

func (r *runner) killed(n *Node) {
	n.Kill("fault")
	r.restart(n, 2*core.Second)
}

func (r *runner) powerCut(n *Node, within core.Time) {
	r.cuts[n.ID] = true
	n.PowerCut()
	r.restart(n, within)
}

// whole says whether every copy of every stream is where it should be, so that one
// disk may be lost. Only one is, in a run: there is always the promised rest.
func (r *runner) whole(n *Node) bool {
	if r.hurt != 0 || !r.allMembers() {
		return false
	}
	for _, s := range r.subjects {
		v := n.Streams[s.name]
		if v == nil || v.Changing || len(v.Members) < 3 || v.InSyncCount() < 3 {
			return false
		}
		if s.policy.Flush == core.FlushLazy || s.policy.Election == core.ElectNone {
			return false
		}
	}
	for _, s := range r.subjects { // and that every copy agrees about it
		for _, x := range r.w.Nodes {
			v := x.Streams[s.name]
			if v == nil || v.Changing || v.InSyncCount() < 3 {
				return false
			}
		}
	}
	return true
}

// damage kills a node and turns a bit of its disk over, or gives it an empty one.
func (r *runner) damage(n *Node, delete bool) bool {
	if !r.whole(n) {
		return false
	}
	r.hurt = n.ID
	n.Kill("fault")
	if delete {
		n.fs, n.lost = journal.NewMemFS(), true
		n.used++
		n.disk = core.DiskID(1000 + 100*n.used + int(n.ID))
	} else if !r.flip(n) {
		r.restart(n, core.Second)
		return false
	}
	r.restart(n, core.Second)
	return true
}

func (r *runner) flip(n *Node) bool {
	var names []string
	for _, name := range n.fs.Names() {
		if strings.Contains(name, "/wal/") || strings.Contains(name, "/seg/") || strings.Contains(name, "/pack/") {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return false
	}
	name := names[r.w.rng.IntN(len(names))]
	f, err := n.fs.Open(name)
	if err != nil {
		return false
	}
	size, err := f.Size()
	if err != nil || size == 0 {
		return false
	}
	pos := r.w.rng.Int64N(size)
	r.w.trace("bit of %s at %d of %d", name, pos, size)
	return journal.NewFaultFS(n.fs).FlipAtRest(name, pos, uint(r.w.rng.IntN(8))) == nil
}

// alter gives a stream another kind, while it runs.
func (r *runner) alter(n *Node) bool {
	s := r.subjects[r.w.rng.IntN(len(r.subjects))]
	if !s.changes || !n.runs() {
		return false
	}
	kinds := []core.Policy{core.Majority(3), core.Mirror(3, core.FlushEach), core.InSync(3, 2, core.FlushEach)}
	p := kinds[r.w.rng.IntN(len(kinds))]
	n.Ask(&shard.Ask{Name: s.name, Alter: &core.Alteration{Policy: &p}, StreamDone: func(_ *core.Stream, err error) {
		r.w.trace("%s altered to %s: %v", s.name, p.Mode(), err)
	}})
	return true
}

// move has a stream's copies elsewhere.
func (r *runner) move(n *Node) bool {
	s := r.subjects[r.w.rng.IntN(len(r.subjects))]
	if !s.moves || !n.runs() {
		return false
	}
	var to []core.NodeID
	for _, k := range r.w.rng.Perm(len(r.w.Nodes))[:s.policy.Copies] {
		to = append(to, r.w.Nodes[k].ID)
	}
	n.Ask(&shard.Ask{Name: s.name, Move: to, Done: func(err error) {
		r.w.trace("%s moved to %v: %v", s.name, to, err)
	}})
	return true
}

func (r *runner) defineMore(n *Node) bool {
	if !n.runs() || !n.Member {
		return false
	}
	r.churned++
	name := fmt.Sprintf("more-%d", r.churned)
	kinds := []core.Policy{core.Majority(3), core.Mirror(3, core.FlushEach), core.InSync(3, 2, core.FlushLazy),
		core.Single(core.FlushEach)}
	r.w.unsure[name] = true
	n.Ask(&shard.Ask{Define: &core.Definition{Name: name, Policy: kinds[r.w.rng.IntN(len(kinds))]},
		StreamDone: func(_ *core.Stream, err error) {
			r.w.trace("%s defined: %v", name, err)
			if err == nil {
				r.churn[name] = true
			}
		}})
	return true
}

func (r *runner) removeOne(n *Node) bool {
	if !n.runs() || !n.Member {
		return false
	}
	for k := 1; k <= r.churned; k++ {
		name := fmt.Sprintf("more-%d", k)
		if !r.churn[name] {
			continue
		}
		delete(r.churn, name) // either way, until it is known
		n.Ask(&shard.Ask{Name: name, Remove: true, Done: func(err error) {
			r.w.trace("%s removed: %v", name, err)
			if err == nil {
				r.churn[name] = false
			}
		}})
		return true
	}
	return false
}

// checkChurn looks whether every node knows what was defined and not what was removed.
func (r *runner) checkChurn() {
	for k := 1; k <= r.churned; k++ {
		name := fmt.Sprintf("more-%d", k)
		want, known := r.churn[name]
		for _, n := range r.w.Nodes {
			if _, is := n.Streams[name]; known && is != want {
				r.fail(Stuck, "node %d: %s is there: %v, want %v", n.ID, name, is, want)
			}
		}
	}
}

func (n *Node) info(id core.NodeID) core.NodeInfo {
	for _, i := range n.Infos {
		if i.Node == id {
			return i
		}
	}
	return core.NodeInfo{}
}

// choose draws the streams of this run, a few of the many kinds, so that a run stays short.
func (r *runner) choose() {
	w := r.w
	if w.drifts {
		w.fired("clock drift")
	}
	flushed := []core.Policy{core.Majority(3), core.Mirror(3, core.FlushEach), core.InSync(3, 2, core.FlushEach)}
	others := []core.Policy{core.InSync(3, 2, core.FlushLazy), core.Single(core.FlushEach),
		core.Primary(2, core.FlushLazy), core.Primary(3, core.FlushEach), core.Pair(2, 1, core.FlushEach),
		core.Mirror(2, core.FlushEach)}
	k := w.rng.IntN(3)
	r.subject("queue-"+flushed[k].Mode(), flushed[k], true)
	k = (k + 1 + w.rng.IntN(2)) % 3
	r.subject("log-"+flushed[k].Mode(), flushed[k], false)
	for _, s := range r.subjects {
		s.changes = w.chance(50)
	}
	if w.chance(70) {
		p := others[w.rng.IntN(len(others))]
		name := fmt.Sprintf("log-%s-%d", p.Mode(), p.Copies)
		if p.Flush == core.FlushLazy {
			name += "-lazy"
		}
		r.subject(name, p, false)
		s := r.subjects[2]
		s.at = []core.NodeID{core.NodeID(1 + w.rng.IntN(3))}
		s.moves = p.Copies < 3
		switch {
		case p.Flush != core.FlushLazy:
		case p.Commit == core.CommitLeader: // its one acknowledged copy may be in memory alone
			s.lossy = func() bool { return len(r.cuts) > 0 }
			w.unsure[name] = true
		default:
			s.lossy = func() bool { return len(r.cuts) > 1 }
			w.unsure[name] = true
		}
		if p.Copies > 1 {
			s.at = nil
		}
	}
}
