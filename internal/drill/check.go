package drill

import (
	"cmp"
	"slices"
	"time"
)

// Verdict is what became of all messages of one mode in one series.
type Verdict struct {
	Acked      int    `json:"acknowledged"`
	Lost       int    `json:"lost"`
	Duplicated int    `json:"duplicated"`
	Reordered  int    `json:"reordered"`
	Returned   int    `json:"returned_after_settled"`
	Unknown    int    `json:"unknown"`
	Refused    int    `json:"refused"`
	Written    int    `json:"refused_and_written"` // read back although it was refused
	Soft       int    `json:"soft"`                // the master had it, its slave had not
	SoftLost   int    `json:"soft_lost"`
	Stalled    int    `json:"stalled"` // a consumer waited for them in vain, another was given them
	LostFirst  []Send `json:"lost_first,omitempty"`
}

// Window is one injection, in times since the load began.
//
//	Quiet ──── Fault ──────── Heal ──────── End
//	   noise    │  the broken part │ it returns │
type Window struct {
	Quiet time.Duration `json:"quiet_ns"`
	Fault time.Duration `json:"fault_ns"`
	Away  time.Duration `json:"away_ns"` // when the broken node no longer took part: at a stop in order, later
	Heal  time.Duration `json:"heal_ns"`
	End   time.Duration `json:"end_ns"`
}

// Gaps are the longest times without an acknowledgement of one mode in a window.
type Gaps struct {
	Gap    time.Duration `json:"gap_ns"`    // from the fault to the end
	GapAt  time.Duration `json:"gap_at_ns"` // when it began, after the fault
	Back   time.Duration `json:"back_ns"`   // the longest that began after the repair
	Noise  time.Duration `json:"noise_ns"`  // before the fault
	Before int           `json:"acknowledged_before_fault"`
	Errors int           `json:"client_errors"` // from the fault to the end
}

// returnedAge is how long before the fault a settlement must have been handed over
// for its message's return to count: the client cannot know when it was taken.
const returnedAge = time.Second

// lostShown is how many lost messages a verdict names.
const lostShown = 5

type message struct {
	producer int
	seq      int64
}

// CheckLog judges a log that was read back whole, with offsets.
func CheckLog(e Evidence) Verdict {
	v := judgeSends(e)
	gots := slices.Clone(e.Gots)
	slices.SortStableFunc(gots, func(a, b Got) int {
		return cmp.Or(cmp.Compare(a.Part, b.Part), cmp.Compare(a.Offset, b.Offset))
	})
	seen := map[message]int{}
	for _, g := range gots {
		id := message{g.Producer, g.Seq}
		if seen[id]++; seen[id] > 1 {
			v.Duplicated++
		}
	}
	v.Reordered = reordered(gots)
	return v
}

// CheckQueue judges a queue whose consumers ran until it was empty: Gots are its
// deliveries, in order. A settlement may be lost in the windows, or up to a second
// before one.
func CheckQueue(e Evidence, ws []Window) Verdict {
	v := judgeSends(e)
	settled := map[message]time.Duration{} // the first settlement
	seen := map[message]bool{}
	for _, g := range e.Gots {
		id := message{g.Producer, g.Seq}
		at, was := settled[id]
		switch {
		case was && (!g.Again || !excused(at, ws)):
			v.Returned++
		case seen[id] && !g.Again:
			v.Duplicated++
		}
		seen[id] = true
		if g.Settled >= 0 && !was {
			settled[id] = g.Settled
		}
	}
	v.Reordered = reordered(e.Gots)
	return v
}

func excused(at time.Duration, ws []Window) bool {
	return slices.ContainsFunc(ws, func(w Window) bool {
		return at >= w.Fault-returnedAge && at < w.End
	})
}

// firmly gives the deliveries whose order is promised to clients of the broken node. Not of
// those flagged as given before: a consumer of that node may have held them, seen or not, until
// it was held dead, and another had later ones meanwhile. Nor of what was never confirmed: it
// stood in a connection that its publisher had given up, and was taken in late.
func firmly(e Evidence) (out []Got) {
	acked := map[message]bool{}
	for _, s := range e.Sends {
		acked[message{s.Producer, s.Seq}] = s.Outcome == Acked
	}
	for _, g := range e.Gots {
		if !g.Again && acked[message{g.Producer, g.Seq}] {
			out = append(out, g)
		}
	}
	return out
}

// reordered counts messages whose first appearance in a part came after that of a
// later one of their producer.
func reordered(gots []Got) (n int) {
	type line struct {
		part     string
		producer int
	}
	seen := map[line]map[int64]bool{}
	last := map[line]int64{}
	for _, g := range gots {
		l := line{g.Part, g.Producer}
		if seen[l] == nil {
			seen[l] = map[int64]bool{}
		}
		if seen[l][g.Seq] {
			continue
		}
		seen[l][g.Seq] = true
		if g.Seq < last[l] {
			n++
		}
		last[l] = max(last[l], g.Seq)
	}
	return n
}

// judgeSends counts outcomes and losses.
func judgeSends(e Evidence) (v Verdict) {
	got := make(map[message]bool, len(e.Gots))
	for _, g := range e.Gots {
		got[message{g.Producer, g.Seq}] = true
	}
	v.Stalled = e.Stalled
	for _, s := range e.Sends {
		there := got[message{s.Producer, s.Seq}]
		switch {
		case s.Outcome == Unknown:
			v.Unknown++
		case s.Outcome == Refused:
			v.Refused++
			if there {
				v.Written++
			}
		case s.Outcome == Soft:
			v.Soft++
			if !there {
				v.SoftLost++
			}
		default:
			v.Acked++
			if !there {
				v.Lost++
				if len(v.LostFirst) < lostShown {
					v.LostFirst = append(v.LostFirst, s)
				}
			}
		}
	}
	return v
}

// answered gives the times of all acknowledgements, in order.
func answered(e Evidence) (times []time.Duration) {
	for _, s := range e.Sends {
		if s.Outcome == Acked || s.Outcome == Soft {
			times = append(times, s.At)
		}
	}
	slices.Sort(times)
	return times
}

// measure gives the gaps of a window. acks are in order.
func measure(acks, fails []time.Duration, w Window) (g Gaps) {
	i, _ := slices.BinarySearch(acks, w.Quiet)
	last := w.Quiet
	for {
		t := w.End
		if i < len(acks) {
			t = min(acks[i], w.End)
		}
		gap := t - last
		if t >= w.Fault {
			// The wait began at the fault, or at the last answer before it.
			if gap > g.Gap {
				g.Gap, g.GapAt = gap, last-w.Fault
			}
			if last >= w.Heal {
				g.Back = max(g.Back, gap)
			}
		} else {
			g.Noise = max(g.Noise, gap)
			g.Before++
		}
		if t >= w.End {
			break
		}
		last = t
		i++
	}
	for _, at := range fails {
		if at >= w.Fault && at <= w.End {
			g.Errors++
		}
	}
	return g
}
