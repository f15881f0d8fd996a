package replica

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"testing/cryptotest"

	"trine/internal/core"
)

var (
	seeds = flag.Int("seeds", 12, "how many seeds each policy runs")
	seed  = flag.Uint64("seed", 0, "the only seed to run, with a trace")
)

// policies are the named points, each with how many disks the world has.
var policies = []struct {
	name   string
	policy core.Policy
	disks  int
}{
	{"single", core.Single(core.FlushEach), 1},
	{"mirror", core.Mirror(3, core.FlushLazy), 3},
	{"majority", core.Majority(3), 3},
	{"majority of five", core.Majority(5), 5},
	{"majority of one", core.Majority(1), 1},
	{"majority that moves", core.Majority(3), 6},
	{"insync", core.InSync(3, 2, core.FlushLazy), 3},
	{"insync, all must", core.InSync(3, 3, core.FlushEach), 3},
	{"insync, any may lead", core.Policy{Copies: 3, MinInSync: 2, Commit: core.CommitInSync,
		Election: core.ElectAny}, 3},
	{"primary", core.Primary(2, core.FlushLazy), 2},
	{"pair", core.Pair(2, 1, core.FlushEach), 2},
	{"pair, strict", core.Pair(2, 2, core.FlushEach), 2},
}

// TestWhatHeldIsNeverLostOrChanged runs every named policy through faults of all
// kinds, and then, all being well again, until all copies have everything.
func TestWhatHeldIsNeverLostOrChanged(t *testing.T) {
	for _, p := range policies {
		t.Run(p.name, func(t *testing.T) {
			counts := map[string]int{}
			from, to := uint64(1), uint64(*seeds)
			if *seed != 0 {
				from, to = *seed, *seed
			}
			for s := from; s <= to; s++ {
				t.Run(fmt.Sprint("seed ", s), func(t *testing.T) {
					cryptotest.SetGlobalRandom(t, s)
					w := torment(t, s, p.policy, p.disks, "")
					for k, n := range w.counts {
						counts[k] += n
					}
				})
			}
			t.Logf("%v", counts)
			for _, k := range []string{"crash", "write unseen", "checkpoint", "proposed"} {
				if *seed == 0 && counts[k] == 0 {
					t.Errorf("%q never happened", k)
				}
			}
		})
	}
}

// torment is one run.
func torment(t testing.TB, s uint64, policy core.Policy, disks int, bug string) *world {
	w := newWorld(t, s, policy, disks, func(c *Config) {
		c.LagMax = 2 * core.Second
		c.QuietAfter, c.SleepAfter = core.Second, core.Second
		c.MessageBytesMax, c.InflightBytesMax, c.TailBytesMax = 2000, 8000, 20000
	})
	w.trace, w.bug = *seed != 0, bug
	w.slow = []core.Time{1, 5, 30}[w.rng.IntN(3)] * core.Millisecond
	w.loss = []float64{0, 0, 0.02, 0.1}[w.rng.IntN(4)]
	w.twice = []float64{0, 0.02, 0.1}[w.rng.IntN(3)]
	for end := w.now + 20*core.Second; w.now < end; {
		w.fault()
		w.load()
		w.step()
	}
	w.heal()
	w.converge()
	return w
}

// fault does something bad, or ends it, about ten times a second.
func (w *world) fault() {
	if !w.chance(0.01) {
		return
	}
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	a, b := w.rng.IntN(len(w.nodes)), w.rng.IntN(len(w.nodes))
	switch w.rng.IntN(13) {
	case 0, 1:
		if n.up {
			n.crash()
		}
	case 2, 3, 4:
		if !n.up && n.found {
			n.restart()
		}
	case 5:
		if a != b {
			w.counts["cut one way"]++
			w.setCut(a, b, true)
		}
	case 6:
		for j := range w.nodes {
			if j != a {
				w.setCut(a, j, true)
				w.setCut(j, a, true)
			}
		}
		w.cat.away[a] = w.chance(0.5)
		w.counts["cut off"]++
	case 7, 8:
		for a := range w.nodes {
			for b := range w.nodes {
				w.setCut(a, b, false)
			}
		}
		w.back()
	case 9:
		n.stuckTo = w.now + w.upTo(2*core.Second)
		w.counts["pause"]++
	case 10:
		if n.runs() {
			n.copy.Forget(w.now, n.copy.Status().Leader)
			n.copy.Campaign(w.now)
			w.counts["campaign"]++
		}
	case 12:
		w.damage(n)
	case 11:
		if l := w.leader(); l != nil && w.policy.Raft() {
			l.copy.Yield(w.now, 0)
			w.counts["yield"]++
		}
		w.move()
	}
}

// damage takes written entries from a disk that is to start again, where no other
// copy is damaged: more could not be made good.
func (w *world) damage(n *node) {
	for _, other := range w.nodes {
		if other.damaged {
			return
		}
	}
	if !w.policy.Raft() || w.policy.Copies < 3 || !n.up {
		return
	}
	n.crash()
	if n.rec == nil || len(n.rec.Tail) == 0 {
		return
	}
	n.rec.Tail = n.rec.Tail[:w.rng.IntN(len(n.rec.Tail))]
	n.damaged = true
	w.counts["damage"]++
	w.logf("disk %d is damaged", n.disk)
	n.restart()
}

// back lets all nodes reach the catalog again.
func (w *world) back() {
	for i, n := range w.nodes {
		if w.cat.away[i] {
			w.cat.away[i] = false
			if n.up {
				w.cat.send(i)
			}
			if n.up && n.fresh {
				w.cat.register(n)
			}
		}
	}
}

// move changes the wish for a Raft group's members, where there are disks to spare.
func (w *world) move() {
	if !w.policy.Raft() || len(w.nodes) == w.policy.Copies {
		return
	}
	ms := w.cat.now.Members
	out := w.rng.IntN(len(ms))
	in := w.rng.IntN(len(w.nodes))
	if w.cat.member(w.nodes[in].disk) != nil {
		return
	}
	ms[out] = core.Member{Node: core.NodeID(in + 1), Disk: w.nodes[in].disk}
	w.cat.now.Epoch++ // raft does not look at it: it only tells old words from new
	w.counts["move"]++
	w.logf("catalog: members %v", ms)
	if n := w.nodes[in]; !n.found {
		n.found = true
		n.start()
	}
	w.cat.publish()
}

// load proposes on whoever leads, and has copies make checkpoints.
func (w *world) load() {
	if w.chance(0.1) {
		for _, n := range w.nodes {
			if n.runs() && n.copy.Status().Leads {
				err := n.propose(1+w.rng.IntN(3), w.rng.IntN(400))
				if err == nil && !n.copy.Status().MinOK {
					w.counts["proposed under the minimum"]++
				}
			}
		}
	}
	if w.chance(0.005) {
		if n := w.nodes[w.rng.IntN(len(w.nodes))]; n.runs() {
			n.checkpoint()
		}
	}
}

// heal ends all faults.
func (w *world) heal() {
	w.logf("all faults end")
	w.loss, w.twice, w.slow, w.calm = 0, 0, core.Millisecond, true
	for a := range w.nodes {
		for b := range w.nodes {
			w.setCut(a, b, false)
		}
	}
	w.back()
	for _, n := range w.nodes {
		n.stuckTo = 0
		if !n.up && n.found {
			n.restart()
		}
	}
	for _, n := range w.nodes {
		if n.up {
			w.cat.send(n.i)
		}
		for j := range w.nodes {
			if j != n.i {
				w.reconnect(n.i, j)
			}
		}
	}
}

// converge waits until a new entry holds on every member, and compares the logs.
func (w *world) converge() {
	w.run(5 * core.Second)
	start := w.top()
	for end := w.now + 60*core.Second; ; {
		if l := w.leader(); l != nil && w.chance(0.1) {
			_ = l.propose(1, 10)
		}
		w.step()
		if w.settled(start) {
			break
		}
		if w.now > end {
			for _, n := range w.nodes {
				if n.up {
					w.t.Logf("disk %d applied %d: %+v\n %+v", n.disk, n.applied, n.copy.Status(),
						n.copy.Progress(w.now))
					if g, ok := n.copy.(*group); ok {
						w.t.Logf("members %v doubtful %v", g.members, g.doubtful)
					}
				}
			}
			w.t.Logf("catalog: %+v fenced %v", w.cat.now, w.cat.fenced)
			w.failf("no new entry holds on every copy")
		}
	}
	// Left alone, all copies come to rest with the same log.
	w.run(10 * core.Second)
	var sum uint64
	for _, m := range w.cat.now.Members {
		n := w.nodes[m.Disk-1]
		s := n.copy.Status()
		if n.applied != w.top() || s.Last != n.applied || s.Persisted != s.Last {
			w.failf("disk %d rests at %d of %d: %+v", n.disk, n.applied, w.top(), s)
		}
		if sum == 0 {
			sum = n.sum
		}
		if n.sum != sum {
			w.failf("disk %d rests with another log", n.disk)
		}
		if !s.Quiet {
			w.failf("disk %d finds no rest: %+v", n.disk, s)
		}
		if !w.policy.Raft() && w.policy.Commit != core.CommitLeader && !m.InSync {
			w.failf("disk %d is not in sync in the end", n.disk)
		}
	}
}

// top gives the last index that any copy has applied.
func (w *world) top() core.Index {
	i := core.Index(0)
	for _, n := range w.nodes {
		if n.up {
			i = max(i, n.applied)
		}
	}
	return i
}

// settled says whether every member has applied something new.
func (w *world) settled(above core.Index) bool {
	for _, m := range w.cat.now.Members {
		n := w.nodes[m.Disk-1]
		if !n.up || n.applied <= above {
			return false
		}
	}
	if l := w.leader(); l != nil && w.policy.Raft() {
		ps := l.copy.Progress(w.now)
		return len(ps) == len(w.cat.now.Members) &&
			!slices.ContainsFunc(ps, func(p Progress) bool { return !p.InSync })
	}
	return true
}
