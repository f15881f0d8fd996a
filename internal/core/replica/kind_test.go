package replica

import (
	"fmt"
	"testing"
	"testing/cryptotest"

	"trine/internal/core"
)

// TestAStreamGoesOnUnderItsNextKind changes a stream in-sync -> majority -> in-sync
// at seals, each time with one copy that lacks the seal, and with every process
// started again in between. Nothing that held is lost or renumbered.
func TestAStreamGoesOnUnderItsNextKind(t *testing.T) {
	for _, checkpoints := range []bool{false, true} {
		t.Run(fmt.Sprint("with checkpoints: ", checkpoints), func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 3)
			w := newWorld(t, 3, core.InSync(3, 2, core.FlushLazy), 3, func(*Config) {})
			w.slow, w.calm = core.Millisecond, true
			w.run(100 * core.Millisecond)
			for gen := core.Generation(1); gen <= 4; gen++ {
				w.work(t, 5)
				if checkpoints {
					for _, n := range w.nodes {
						n.checkpoint()
					}
				}
				w.seal(t)
				next := core.Majority(3)
				if gen%2 == 0 {
					next = core.InSync(3, 2, core.FlushLazy)
				}
				w.regenerate(next)
				w.run(4 * core.Second)
				w.work(t, 5)
				for _, n := range w.nodes {
					n.crash()
				}
				for _, n := range w.nodes {
					n.restart()
				}
				w.run(4 * core.Second)
			}
			w.work(t, 1)
			for _, n := range w.nodes {
				if n.applied != core.Index(len(w.held)-1) {
					t.Errorf("disk %d has %d of %d", n.disk, n.applied, len(w.held)-1)
				}
			}
		})
	}
}

// work appends through whoever leads until it holds everywhere.
func (w *world) work(t *testing.T, n int) {
	t.Helper()
	for end := w.now + 30*core.Second; ; w.step() {
		if l := w.leader(); l != nil && l.propose(n, 10) == nil {
			break
		}
		if w.now > end {
			w.failf("nobody leads: %s", w.state())
		}
	}
	w.run(core.Second)
}

// seal appends a generation's last entry, which the third disk does not get.
func (w *world) seal(t *testing.T) {
	t.Helper()
	l := w.leader()
	lacks := w.nodes[2]
	if l == lacks {
		lacks = w.nodes[1]
	}
	lacks.crash()
	if err := l.copy.Propose(w.now, []core.Entry{{Kind: core.EntrySeal}}); err != nil {
		t.Fatal(err)
	}
	seal := l.copy.Status().Last
	for end := w.now + 10*core.Second; l.applied < seal; w.step() {
		if w.now > end {
			w.failf("the seal at %d does not hold: %s", seal, w.state())
		}
	}
	// What a leader appends behind its seal is Raft's own, and is cut.
	w.run(core.Second)
}

// regenerate starts all copies under the next kind, from what their disks have up to
// the seal: the last index that held.
func (w *world) regenerate(next core.Policy) {
	seal := core.Index(len(w.held) - 1)
	members := w.cat.now.Members
	epoch := core.Epoch(0)
	for i, n := range w.nodes {
		if n.up {
			epoch = max(epoch, n.copy.Status().Epoch)
			n.crash()
		}
		last := core.Index(0)
		if cp := n.rec.Checkpoint; cp != nil {
			last = cp.Index
		}
		base := last
		n.rec.Tail = n.rec.Tail[:min(len(n.rec.Tail), int(seal-base))]
		last += core.Index(len(n.rec.Tail))
		if members[i].InSync = last == seal; !members[i].InSync {
			// It may have what did not hold: only what did stays.
			held := max(base, min(last, n.applied))
			n.rec.Tail, last = n.rec.Tail[:held-base], held
		}
		n.rec.State = core.HardState{Commit: min(last, seal)}
	}
	w.gen++
	w.policy = next
	w.cat.now.Gen, w.cat.now.Policy, w.cat.now.Epoch = w.gen, next, max(epoch, w.cat.now.Epoch)+1
	w.leaders = map[core.Epoch]core.DiskID{}
	w.cat.first = append([]core.Member(nil), members...)
	w.floor = w.cat.now.Epoch
	for i, m := range members {
		if m.InSync {
			w.cat.now.Leader = w.nodes[i].disk
		}
	}
	for _, n := range w.nodes {
		n.restart()
	}
	w.cat.publish()
}
