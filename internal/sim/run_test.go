package sim

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"testing"
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
	acked, steps := 0, 0
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
		steps += r.Steps
		if len(r.Broken) > 0 {
			t.Errorf("seed %d (SIM_SEED=%d go test -run SeedsLoseNothing ./internal/sim): %d broken, first: %q",
				seed, seed, len(r.Broken), r.Broken[:min(3, len(r.Broken))])
		}
	}
	t.Logf("%d seeds, %d steps, %d acknowledged, faults %s", n, steps, acked, fmt.Sprint(fired))
}

func TestOneSeedIsOneRun(t *testing.T) {
	first := Run(7, nil)
	for i := range seeds(t, 5) {
		if r := Run(7, nil); r.Hash != first.Hash || r.Steps != first.Steps {
			t.Fatalf("run %d: trace %x in %d steps, was %x in %d", i, r.Hash, r.Steps, first.Hash, first.Steps)
		}
	}
	t.Logf("trace %x, %d steps", first.Hash, first.Steps)
}
