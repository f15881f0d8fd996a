package drill

import (
	"strings"
	"testing"
	"time"
)

func TestAReportHoldsEachModeToItsPromise(t *testing.T) {
	one := func(mode, fault string, lost int, valid bool) Result {
		v := Verdict{Acked: 100, Lost: lost, Gap: time.Duration(lost+1) * time.Second}
		return Result{Mode: mode, Fault: fault, Valid: valid, Verdict: v,
			Broken: modeNamed(mode).broken(fault, &v), Why: map[bool]string{false: "sick"}[valid]}
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
		{"it may lose", []Result{one("kafka-acks1", "kill", 3, true)}, true, "kept (may lose)"},
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
		if err := Markdown(&md, rows, ""); err != nil || !strings.Contains(md.String(), c.says) {
			t.Errorf("%s: %v:\n%s", c.what, err, md.String())
		}
	}
}

func TestGapsAreTheMedianOfRunsThatCount(t *testing.T) {
	var rs []Result
	for _, g := range []int{9, 1, 2, 3, 100} {
		rs = append(rs, Result{Mode: "amqp-quorum", Fault: "kill", Valid: g < 100,
			Verdict: Verdict{Gap: time.Duration(g) * time.Millisecond}})
	}
	if r := Rows(rs)[0]; r.Gap != 2*time.Millisecond || r.GapMax != 9*time.Millisecond || r.Runs != 5 || r.Valid != 4 {
		t.Errorf("%+v", r)
	}
}
