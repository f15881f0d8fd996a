package sim

import (
	"io"
	"os"
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

// TestPlantedBugsAreCaught plants each bug in turn: a simulator that does not notice
// one of them proves nothing by its silence.
func TestPlantedBugsAreCaught(t *testing.T) {
	n := uint64(seeds(t, 15))
	for _, plant := range Plants() {
		lies, caught := 0, uint64(0)
		for seed := uint64(1); seed <= n && caught == 0; seed++ {
			if len(Run(seed, nil).Broken) > 0 {
				continue // it would fail without the planted bug too
			}
			r := RunPlanted(seed, nil, plant)
			lies += r.Lies
			if len(r.Broken) > 0 {
				caught = seed
				t.Logf("%-28s caught at seed %3d: %s", plant, seed, r.Broken[0])
			}
		}
		if why, open := openPlants[plant]; open && caught == 0 {
			t.Logf("OPEN %s is not noticed in %d runs with %d lies: %s", plant, n, lies, why)
			continue
		}
		if caught == 0 {
			t.Errorf("%s was planted in %d runs, lied %d times, and was not noticed", plant, n, lies)
		}
	}
}

func TestOneSeedIsOneRun(t *testing.T) {
	first := run(7, nil, "", 2*core.Second)
	for i := range seeds(t, 20) {
		if r := run(7, nil, "", 2*core.Second); r.Hash != first.Hash || r.Steps != first.Steps {
			t.Fatalf("run %d: trace %x in %d steps, was %x in %d", i, r.Hash, r.Steps, first.Hash, first.Steps)
		}
	}
	t.Logf("trace %x, %d steps, every time", first.Hash, first.Steps)
}
