package drill

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestAReportHoldsEachModeToItsPromise(t *testing.T) {
	one := func(mode, fault string, lost int, valid bool) Result {
		v := Verdict{Acked: 100, Lost: lost}
		why := map[bool]string{false: "sick"}[valid]
		in := Injection{Valid: valid, Why: why, Gaps: Gaps{Gap: time.Duration(lost+1) * time.Second}}
		return Result{Mode: mode, Fault: fault, Valid: valid, Verdict: v, Runs: []Injection{in},
			Broken: modeNamed(mode).broken(fault, &v), Why: why}
	}
	for _, c := range []struct {
		what string
		rs   []Result
		kept bool
		says string
	}{
		{"nothing ran", nil, false, ""},
		{"nothing lost", []Result{one("amqp-quorum", "kill", 0, true)}, true, "kept"},
		{"lost", []Result{one("amqp-quorum", "kill", 3, true)}, false, "BROKEN: lost"},
		{"one of two lost", []Result{one("amqp-quorum", "kill", 0, true), one("amqp-quorum", "kill", 1, true)},
			false, "BROKEN: lost"},
		{"it may lose", []Result{one("kafka-acks1", "kill", 3, true)}, true, "kept: may lose"},
		{"but not so", []Result{one("kafka-acks1", "term", 3, true)}, false, "BROKEN: lost"},
		{"does not count", []Result{one("kafka-acks1", "kill", 0, false)}, false, "1 of 1 do not count"},
	} {
		rows := Rows(c.rs)
		var b strings.Builder
		if err := Print(&b, rows); err != nil {
			t.Fatal(err)
		}
		if Kept(rows) != c.kept || !strings.Contains(b.String(), c.says) {
			t.Errorf("%s: kept %v:\n%s", c.what, Kept(rows), b.String())
		}
		var md strings.Builder
		if err := Markdown(&md, rows); err != nil || !strings.Contains(md.String(), c.says) {
			t.Errorf("%s: %v:\n%s", c.what, err, md.String())
		}
	}
}

func TestGapsAreTheMedianOfRunsThatCount(t *testing.T) {
	one := Result{Mode: "amqp-quorum", Fault: "kill", Valid: true}
	for _, g := range []int{9, 1, 2, 3, 100} {
		one.Runs = append(one.Runs, Injection{Valid: g < 100, Gaps: Gaps{Gap: time.Duration(g) * time.Millisecond}})
	}
	r := Rows([]Result{one})[0]
	if r.Gap != 2*time.Millisecond || r.GapMax != 9*time.Millisecond || r.Runs != 5 || r.Valid != 4 {
		t.Errorf("%+v", r)
	}
}

func TestAMedianIsHeldToItsGoal(t *testing.T) {
	for _, c := range []struct {
		mode, fault string
		gap         time.Duration
		errors      int
		says        string
	}{
		{"kafka-insync", "kill", 99 * time.Millisecond, 7, "met: within 100ms"},
		{"kafka-insync", "kill", 249 * time.Millisecond, 0, "met: within 250ms, not 100ms"},
		{"kafka-insync", "kill", 251 * time.Millisecond, 0, "MISSED: p50 above 250ms"},
		{"rocket-dledger", "term", 10 * time.Millisecond, 0, "met: within 50ms"},
		{"rocket-dledger", "term", 10 * time.Millisecond, 2, "MISSED: 2 client errors"},
		{"amqp-classic", "kill", 3 * time.Second, 0, "-"},
		{"amqp-classic", "kill-other", 3 * time.Second, 0, "MISSED: p50 above 250ms"},
		{"kafka-defaults", "kill", 3 * time.Second, 0, "-"},
		{"kafka-insync", "kill-all", 3 * time.Second, 0, "-"},
	} {
		in := Injection{Valid: true, Gaps: Gaps{Gap: c.gap, Errors: c.errors}}
		rows := Rows([]Result{{Mode: c.mode, Fault: c.fault, Valid: true, Runs: []Injection{in}}})
		if missed := strings.HasPrefix(c.says, "MISSED"); rows[0].Goal != c.says || GoalsMet(rows) == missed {
			t.Errorf("%s under %s, %v: %s", c.mode, c.fault, c.gap, rows[0].Goal)
		}
	}
}

func TestModesShareAClusterUnlessTheirGroupsClash(t *testing.T) {
	for _, c := range []struct{ modes, fleets string }{
		{"kafka-insync,amqp-quorum,rocket-sync,rocket-dledger", "4"},
		{"rocket-sync,rocket-async,rocket-masters", "1 1 1"},
		{"rocket-dledger,rocket-sync,rocket-dledger-dead,amqp-defaults", "2 2"},
	} {
		o := Options{Modes: strings.Split(c.modes, ","), Faults: []string{"kill"}, Rate: 1, Runs: 1}
		var got []string
		for _, f := range o.fleets() {
			got = append(got, fmt.Sprint(len(f.modes)))
		}
		if strings.Join(got, " ") != c.fleets {
			t.Errorf("%s: %v", c.modes, got)
		}
	}
	for _, f := range table(20) {
		for i, m := range f.modes {
			if before := (fleet{modes: f.modes[:i]}); i > 0 && !before.takes(m) {
				t.Errorf("the table puts %s where it cannot be", m.Name)
			}
		}
	}
}
