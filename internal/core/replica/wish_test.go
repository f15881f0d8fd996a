package replica

import (
	"testing"

	"trine/internal/core"
)

// A copy that has everything may be refused, because the catalog does not show its
// node alive yet. Where too few are in sync nothing is appended that would wake the
// leader again: it must not rest on the refusal.
func TestALeaderWishesAgainForACopyThatWasRefused(t *testing.T) {
	ms := []core.Member{{Node: 1, Disk: 1, InSync: true}, {Node: 2, Disk: 2}}
	policy := core.InSync(2, 2, core.FlushEach)
	c := NewFollowing(Config{Stream: 7, Self: 1, Gen: 1, Policy: policy, Members: ms}, nil)
	now := core.Second
	c.Assign(now, Assignment{Gen: 1, Epoch: 3, Leader: 1, Members: ms, Policy: policy})
	var rd Ready
	wishes := func() (n int) {
		for c.Ready(&rd) {
			n += len(rd.InSync)
			for _, w := range rd.Writes {
				c.Persisted(w.ID)
			}
			for _, m := range rd.Sends {
				c.Step(now, &core.Replicate{Stream: 7, Gen: 1, Type: core.RepAppendAnswer, From: 2, To: 1,
					Epoch: 3, Index: m.Index, LogEpoch: m.LogEpoch})
			}
		}
		return n
	}
	for try := range deniedMax {
		if n := wishes(); n != 1 {
			t.Fatalf("try %d: %d wishes, want 1", try, n)
		}
		c.Wished(InSyncChange{Epoch: 3, Disk: 2, Add: true}, false)
		if quiet := c.Status().Quiet; quiet != (try == deniedMax-1) {
			t.Fatalf("after refusal %d: quiet %v", try+1, quiet)
		}
		now += wishAfter
		c.Tick(now)
	}
	c.Reconnected(now, 2)
	if n := wishes(); n != 1 {
		t.Fatalf("once it may be taken: %d wishes, want 1", n)
	}
}
