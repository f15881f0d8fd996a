package replica

import (
	"fmt"
	"testing"
	"testing/cryptotest"

	"trine/internal/core"
)

// caught is a run that failed; it ends the run, not the test.
type caught string

type catcher struct{ testing.TB }

func (c catcher) Fatalf(format string, args ...any) { panic(caught(fmt.Sprintf(format, args...))) }

// TestPlantedBugsAreCaught runs the torment with a defect in it, which must not
// stay unseen for long: else what the torment shows is worth nothing.
func TestPlantedBugsAreCaught(t *testing.T) {
	const seedsMost = 60
	for _, p := range []struct {
		bug    string
		policy core.Policy
	}{
		{"answers before the write", core.Majority(3)},
		{"answers before the write", core.Mirror(3, core.FlushEach)},
		{"the vote is not written", core.Majority(3)},
		{"one more holds", core.Majority(3)},
		{"one more holds", core.Mirror(3, core.FlushLazy)},
		{"an epoch for two", core.InSync(3, 2, core.FlushLazy)},
	} {
		t.Run(p.bug+", "+p.policy.Mode(), func(t *testing.T) {
			for s := uint64(1); s <= seedsMost; s++ {
				cryptotest.SetGlobalRandom(t, s)
				if why := catch(t, s, p.policy, p.bug); why != "" {
					t.Logf("seed %d: %s", s, why)
					return
				}
			}
			t.Errorf("not caught in %d runs", seedsMost)
		})
	}
}

func catch(t *testing.T, s uint64, policy core.Policy, bug string) (why string) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case caught:
			why = string(r)
		default:
			why = fmt.Sprint(r)
		}
	}()
	torment(catcher{t}, s, policy, 3, bug)
	return ""
}

// TestOneSeedIsOneRun runs the same torment again and compares all that was sent
// and written.
func TestOneSeedIsOneRun(t *testing.T) {
	for _, policy := range []core.Policy{core.Majority(3), core.Mirror(3, core.FlushLazy)} {
		var first uint64
		for i := range 5 {
			t.Run(fmt.Sprint(policy.Mode(), " ", i), func(t *testing.T) {
				cryptotest.SetGlobalRandom(t, 77)
				w := torment(t, 77, policy, 3, "")
				if first == 0 {
					first = w.hash
				}
				if w.hash != first {
					t.Errorf("run %d: hash %x, the first had %x", i, w.hash, first)
				}
			})
		}
	}
}
