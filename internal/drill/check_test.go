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
		v := check(evidence(1000), 500*time.Millisecond, time.Second)
		if v.Acked != 1000 || v.Lost+v.Duplicated+v.Reordered+v.Returned != 0 || v.Before != 500 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

var checks = map[string]func(Evidence, time.Duration, time.Duration) Verdict{
	"log": CheckLog, "queue": CheckQueue}

func TestAMissingMessageIsLostOnlyIfItWasAcknowledged(t *testing.T) {
	for name, check := range checks {
		e := evidence(10)
		e.Sends[3].Outcome, e.Sends[4].Outcome = Unknown, Refused
		e.Gots = append(e.Gots[:3], e.Gots[6:]...) // 4, 5 and 6 are gone
		v := check(e, 0, time.Second)
		if v.Lost != 1 || v.LostFirst[0].Seq != 6 || v.Unknown != 1 || v.Refused != 1 || v.Acked != 8 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestUnknownOutcomesMayAppear(t *testing.T) {
	e := evidence(10)
	e.Sends[3].Outcome = Unknown
	if v := CheckLog(e, 0, time.Second); v.Lost+v.Duplicated+v.Reordered != 0 {
		t.Errorf("%+v", v)
	}
}

func TestAMessageAtTwoOffsetsIsThereTwice(t *testing.T) {
	e := evidence(10)
	again := e.Gots[2]
	again.Offset = 10
	e.Gots = append(e.Gots, again)
	if v := CheckLog(e, 0, time.Second); v.Duplicated != 1 || v.Reordered != 0 {
		t.Errorf("%+v", v)
	}
}

func TestOrderCountsByFirstAppearanceInAPart(t *testing.T) {
	e := evidence(10)
	e.Gots[4].Offset, e.Gots[5].Offset = 5, 4
	e.Gots[8].Part = "1" // another part has an order of its own
	if v := CheckLog(e, 0, time.Second); v.Reordered != 1 || v.Duplicated != 0 {
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
		{"not flagged", fault - time.Second/2, false, 1, 0},
		{"flagged, never settled", -1, true, 0, 0},
		{"not flagged, never settled", -1, false, 0, 1},
	} {
		e := evidence(1)
		e.Gots[0].Settled = c.settled
		e.Gots = append(e.Gots, Got{Seq: 1, Part: "0", Offset: -1, At: fault + time.Second,
			Again: c.again, Settled: fault + time.Second})
		v := CheckQueue(e, fault, 5*time.Second)
		if v.Returned != c.returned || v.Duplicated != c.twice || v.Lost != 0 {
			t.Errorf("%s: %+v", c.what, v)
		}
	}
}

func TestGapsAreMeasuredFromTheFaultOn(t *testing.T) {
	e := evidence(3000)
	for i := range e.Sends {
		switch { // 50 ms before the fault at 1 s, 200 ms after it
		case i >= 2000:
			e.Sends[i].At += 250 * time.Millisecond
		case i >= 800:
			e.Sends[i].At += 50 * time.Millisecond
		}
	}
	v := CheckLog(e, time.Second, 3249*time.Millisecond)
	if v.Gap != 201*time.Millisecond || v.Noise != 51*time.Millisecond || v.GapAt != 1049*time.Millisecond {
		t.Errorf("gap %v at %v, noise %v", v.Gap, v.GapAt, v.Noise)
	}
	v = CheckLog(e, time.Second, 10*time.Second)
	if v.Gap != 10*time.Second-3249*time.Millisecond {
		t.Errorf("acknowledgements that never come again are no gap: %v", v.Gap)
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
			res := judge(Result{Mode: m.Name, Fault: "none"}, &m, l, times("none", 1), nil, nil,
				&Options{Rate: 1})
			rows := Rows([]Result{res})
			if !res.Valid || Kept(rows) == drop || drop && (res.Lost != 1 || res.LostFirst[0].Seq != 42) {
				t.Errorf("%s, planted %v: %+v", m.Name, drop, res)
			}
		}
	}
}
