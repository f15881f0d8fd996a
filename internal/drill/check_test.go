package drill

import (
	"errors"
	"testing"
	"time"
)

// evidence makes that of one producer, a message every ms, all acknowledged.
func evidence(n int) Evidence {
	var e Evidence
	for i := range n {
		at := time.Duration(i) * time.Millisecond
		e.Sends = append(e.Sends, Send{Seq: int64(i) + 1, Outcome: Acked, At: at})
		e.Gots = append(e.Gots, Got{Seq: int64(i) + 1, Part: "0", Offset: int64(i), At: at, Settled: at})
	}
	return e
}

func TestNothingIsWrongWithWhatCameBackWhole(t *testing.T) {
	for name, check := range checks {
		v := check(evidence(1000))
		if v.Acked != 1000 || v.Lost+v.Duplicated+v.Reordered+v.Returned+v.Written != 0 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

var checks = map[string]func(Evidence) Verdict{"log": CheckLog,
	"queue": func(e Evidence) Verdict { return CheckQueue(e, nil) }}

func TestAMissingMessageIsLostOnlyIfItWasAcknowledged(t *testing.T) {
	for name, check := range checks {
		e := evidence(10)
		e.Sends[3].Outcome, e.Sends[4].Outcome = Unknown, Refused
		e.Gots = append(e.Gots[:3], e.Gots[6:]...) // 4, 5 and 6 are gone
		v := check(e)
		if v.Lost != 1 || v.LostFirst[0].Seq != 6 || v.Unknown != 1 || v.Refused != 1 || v.Acked != 8 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestUnknownOutcomesMayAppear(t *testing.T) {
	e := evidence(10)
	e.Sends[3].Outcome = Unknown
	if v := CheckLog(e); v.Lost+v.Duplicated+v.Reordered != 0 {
		t.Errorf("%+v", v)
	}
}

func TestAMessageAtTwoOffsetsIsThereTwice(t *testing.T) {
	e := evidence(10)
	again := e.Gots[2]
	again.Offset = 10
	e.Gots = append(e.Gots, again)
	if v := CheckLog(e); v.Duplicated != 1 || v.Reordered != 0 {
		t.Errorf("%+v", v)
	}
}

func TestOrderCountsByFirstAppearanceInAPart(t *testing.T) {
	e := evidence(10)
	e.Gots[4].Offset, e.Gots[5].Offset = 5, 4
	e.Gots[8].Part = "1" // another part has an order of its own
	if v := CheckLog(e); v.Reordered != 1 || v.Duplicated != 0 {
		t.Errorf("%+v", v)
	}
}

func TestWhatWasSettledMayNotReturn(t *testing.T) {
	fault := 3 * time.Second
	for _, c := range []struct {
		what     string
		settled  time.Duration
		again    bool
		returned int
		twice    int
	}{
		{"flagged, settled just before the fault", fault - time.Second/2, true, 0, 0},
		{"flagged, settled long before", fault - 2*time.Second, true, 1, 0},
		{"flagged, settled after the window", 6 * time.Second, true, 1, 0},
		{"not flagged", fault - time.Second/2, false, 1, 0},
		{"flagged, never settled", -1, true, 0, 0},
		{"not flagged, never settled", -1, false, 0, 1},
	} {
		e := evidence(1)
		e.Gots[0].Settled = c.settled
		e.Gots = append(e.Gots, Got{Seq: 1, Part: "0", Offset: -1, At: fault + time.Second,
			Again: c.again, Settled: fault + time.Second})
		v := CheckQueue(e, []Window{{Fault: fault, End: 5 * time.Second}})
		if v.Returned != c.returned || v.Duplicated != c.twice || v.Lost != 0 {
			t.Errorf("%s: %+v", c.what, v)
		}
	}
}

func TestToTheDeadNodesClientsOnlySomeMayComeLate(t *testing.T) {
	for _, c := range []struct {
		what    string
		again   bool
		outcome Outcome
		want    int
	}{
		{"confirmed, not flagged", false, Acked, 1},
		{"flagged", true, Acked, 0},
		{"never confirmed", false, Unknown, 0},
	} {
		e := evidence(4)
		e.Gots[1].Again, e.Sends[1].Outcome = c.again, c.outcome
		e.Gots = append(append(e.Gots[:1:1], e.Gots[2:]...), e.Gots[1])
		if n := reordered(firmly(e)); n != c.want {
			t.Errorf("%s: %d out of order, want %d", c.what, n, c.want)
		}
		if n := reordered(e.Gots); n != 1 {
			t.Errorf("%s: all in all %d out of order, want 1", c.what, n)
		}
	}
}

func TestWhatWasRefusedMayNotBeThere(t *testing.T) {
	for name, check := range checks {
		e := evidence(10)
		e.Sends[3].Outcome, e.Sends[4].Outcome = Refused, Soft
		e.Sends[5].Outcome = Soft
		e.Gots = append(e.Gots[:5], e.Gots[6:]...)
		v := check(e)
		if v.Written != 1 || v.Soft != 2 || v.SoftLost != 1 || v.Lost != 0 || v.Acked != 7 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestGapsAreMeasuredInTheirWindow(t *testing.T) {
	const ms = time.Millisecond
	var acks []time.Duration
	for i := range 5000 {
		at := time.Duration(i) * ms
		switch { // 50 ms before the fault at 1 s, 200 ms after it, 80 ms after the repair at 2.5 s
		case i >= 3000:
			at += 330 * ms
		case i >= 2000:
			at += 250 * ms
		case i >= 800:
			at += 50 * ms
		}
		acks = append(acks, at)
	}
	w := Window{Quiet: 500 * ms, Fault: time.Second, Heal: 2500 * ms, End: 4 * time.Second}
	g := measure(acks, []time.Duration{900 * ms, 1100 * ms}, w)
	if g.Gap != 201*ms || g.GapAt != 1049*ms || g.Noise != 51*ms || g.Back != 81*ms || g.Before != 450 ||
		g.Errors != 1 {
		t.Errorf("%+v", g)
	}
	w.End = 10 * time.Second
	if g = measure(acks, nil, w); g.Gap != 10*time.Second-5329*ms {
		t.Errorf("acknowledgements that never come again are no gap: %+v", g)
	}
	w.Quiet = 9 * time.Second
	if g = measure(nil, nil, w); g.Gap != time.Second && g.Before != 0 {
		t.Errorf("without any acknowledgement: %+v", g)
	}
}

func TestALedgerKeepsWhatItWasTold(t *testing.T) {
	l := NewLedger("r")
	s1, body := l.Next(0)
	s2, _ := l.Next(0)
	s3, _ := l.Next(7)
	l.Told(0, s1, nil, false)
	l.Told(0, s2, errors.New("dial 127.0.0.1: refused"), false)
	l.Told(7, s3, errors.New("no"), true)
	if _, ours := l.Read([]byte("another 0 1"), "p", 0, false); ours {
		t.Error("another run's message counts")
	}
	if l.Missing() != 1 {
		t.Errorf("%d are missing before they were read", l.Missing())
	}
	at, ours := l.Read(body, "p", 5, false)
	l.Read(body, "p", 5, false) // the same offset read twice is one message
	l.Settled(at)
	e := l.Evidence()
	if !ours || l.Missing() != 0 || len(e.Gots) != 1 || e.Gots[0].Settled < 0 {
		t.Errorf("missing %d, gots %+v", l.Missing(), e.Gots)
	}
	if len(e.Sends) != 3 || e.Sends[0].Outcome != Acked || e.Sends[1].Outcome != Unknown ||
		e.Sends[2].Outcome != Refused || len(e.Errors) != 2 {
		t.Errorf("%+v", e)
	}
}

// TestAPlantedLossBreaksThePromise drops an acknowledged message before it is checked.
func TestAPlantedLossBreaksThePromise(t *testing.T) {
	for _, m := range Modes {
		for _, drop := range []bool{false, true} {
			l := NewLedger("r")
			for range 100 {
				seq, body := l.Next(0)
				l.Told(0, seq, nil, false)
				l.Read(body, "p", seq, false)
			}
			if drop {
				l.drop = func(s Send) bool { return s.Seq == 42 }
			}
			in := Injection{Window: Window{End: time.Minute}}
			tr := &track{m: &m, p: &plan{ledger: l, rate: 1}, res: Result{Mode: m.Name, Fault: "none"}}
			tr.noted(in)
			res := tr.judge(nil, nil)
			rows := Rows([]Result{res})
			if !res.Valid || Kept(rows) == drop || drop && (res.Lost != 1 || res.LostFirst[0].Seq != 42) {
				t.Errorf("%s, planted %v: %+v", m.Name, drop, res)
			}
		}
	}
}
