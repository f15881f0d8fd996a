package sim

import (
	"io"
	"os"
	"slices"
	"strconv"
	"testing"

	"trine/internal/core"
)

// seeds gives how many seeds a test plays; SIM_SEEDS asks for more.
func seeds(t *testing.T, most int) int {
	if s := os.Getenv("SIM_SEEDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return most
}

func TestSeedsLoseNothing(t *testing.T) {
	from := 1
	n := seeds(t, 200)
	if s := os.Getenv("SIM_SEED"); s != "" {
		from, _ = strconv.Atoi(s)
		n = 1
	}
	fired := map[string]int{}
	acked, lost, steps := 0, 0, 0
	for seed := from; seed < from+n; seed++ {
		var trace io.Writer
		if os.Getenv("SIM_TRACE") != "" {
			trace = os.Stdout
		}
		r := Run(uint64(seed), trace)
		for k, v := range r.Fired {
			fired[k] += v
		}
		acked += r.Acked
		lost += r.Lost
		steps += r.Steps
		if why, open := openSeeds[uint64(seed)]; open && len(r.Broken) > 0 {
			t.Logf("OPEN seed %d, %s: %q", seed, why, r.Broken[0])
		} else if len(r.Broken) > 0 {
			t.Errorf("seed %d (SIM_SEED=%d go test -run SeedsLoseNothing ./internal/sim): %d broken, first: %q",
				seed, seed, len(r.Broken), r.Broken[:min(3, len(r.Broken))])
		}
	}
	t.Logf("%d seeds, %d steps, %d acknowledged, %d lost where the kind of stream allows it", n, steps, acked, lost)
	for _, f := range faultNames() {
		t.Logf("%-24s fired %5d times", f, fired[f])
		if fired[f] == 0 && n >= 100 {
			t.Errorf("%s never fired", f)
		}
	}
}

// TestPlantedBugsAreCaught plants each bug in the climate in which it must do harm, and
// wants it noticed by that harm: a simulator that does not notice one of them proves
// nothing by its silence. Without the bug the same runs must be clean.
func TestPlantedBugsAreCaught(t *testing.T) {
	n := uint64(seeds(t, 12))
	for _, c := range Climates() {
		caught, lies := uint64(0), 0
		var first Finding
		for seed := uint64(1); seed <= n; seed++ {
			if r := c.Run(seed, false, nil); len(r.Broken) > 0 {
				t.Errorf("%s: seed %d fails without it: %q", c.Plant, seed, r.Broken[:min(3, len(r.Broken))])
			}
			r := c.Run(seed, true, nil)
			lies += r.Lies
			if i := slices.IndexFunc(r.Broken, func(f Finding) bool { return slices.Contains(c.Harm, f.Class) }); i >= 0 {
				if caught++; caught == 1 {
					first = r.Broken[i]
				}
			} else {
				t.Logf("%s: seed %d was not noticed as %q, %d lies, but: %q", c.Plant, seed, c.Harm, r.Lies,
					r.Broken[:min(3, len(r.Broken))])
			}
		}
		t.Logf("%-28s noticed in %2d of %d runs, %6d lies; first: %s", c.Plant, caught, n, lies, first)
		if 2*caught < n {
			t.Errorf("%s was planted in %d runs, lied %d times, and was noticed in %d", c.Plant, n, lies, caught)
		}
	}
}

func TestOneSeedIsOneRun(t *testing.T) {
	short := func(r *runner) { r.storm(1500 * core.Millisecond) }
	first := run(7, nil, "", short)
	for i := range 99 {
		if r := run(7, nil, "", short); r.Hash != first.Hash || r.Steps != first.Steps {
			t.Fatalf("run %d: trace %x in %d steps, was %x in %d", i+2, r.Hash, r.Steps, first.Hash, first.Steps)
		}
	}
	if other := run(8, nil, "", short); other.Hash == first.Hash {
		t.Error("another seed gives the same trace")
	}
	t.Logf("trace %x, %d steps, faults %v, a hundred times", first.Hash, first.Steps, first.Fired)
}
