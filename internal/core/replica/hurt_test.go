package replica

import (
	"testing"

	"trine/internal/core"
)

// A copy whose disk lacks something says so with every answer: its leader wishes it out
// of the in-sync set, does not wish it back while it says so, and rests meanwhile.
func TestAHurtCopyIsOutOfSyncUntilItIsWhole(t *testing.T) {
	ms := []core.Member{{Node: 1, Disk: 1, InSync: true}, {Node: 2, Disk: 2, InSync: true}}
	policy := core.InSync(2, 1, core.FlushEach)
	copies := map[core.DiskID]Copy{}
	for _, d := range []core.DiskID{1, 2} {
		copies[d] = NewFollowing(Config{Stream: 7, Self: d, Gen: 1, Policy: policy, Members: ms}, nil)
	}
	now := core.Second
	assign := func(inSync bool) {
		ms = []core.Member{ms[0], {Node: 2, Disk: 2, InSync: inSync}}
		for _, d := range []core.DiskID{1, 2} {
			copies[d].Assign(now, Assignment{Gen: 1, Epoch: 3, Leader: 1, Members: ms, Policy: policy})
		}
	}
	play := func() (wishes []InSyncChange) {
		now += wishAfter
		copies[1].Tick(now)
		for moved := true; moved; {
			moved = false
			for _, d := range []core.DiskID{1, 2} {
				var rd Ready
				for copies[d].Ready(&rd) {
					moved = true
					wishes = append(wishes, rd.InSync...)
					for _, w := range rd.Writes {
						copies[d].Persisted(w.ID)
					}
					for _, m := range rd.Sends {
						copies[m.To].Step(now, m)
					}
				}
			}
		}
		return wishes
	}
	assign(true)
	if ws := play(); len(ws) != 0 || !copies[2].Status().Level {
		t.Fatalf("unharmed: wishes %v, level %v", ws, copies[2].Status().Level)
	}
	copies[2].Hurt(now, true)
	if ws := play(); len(ws) != 1 || ws[0].Add || ws[0].Disk != 2 {
		t.Fatalf("hurt: wishes %v, want disk 2 out", ws)
	}
	assign(false)
	if ws := play(); len(ws) != 0 || !copies[1].Status().Quiet {
		t.Fatalf("hurt and out: wishes %v, the leader is quiet: %v", ws, copies[1].Status().Quiet)
	}
	copies[2].Hurt(now, false)
	if ws := play(); len(ws) != 1 || !ws[0].Add || ws[0].Disk != 2 {
		t.Fatalf("whole again: wishes %v, want disk 2 in", ws)
	}
}
