package drill

import (
	"cmp"
	"slices"
	"time"
)

// Verdict is what one run showed.
type Verdict struct {
	Acked      int           `json:"acknowledged"`
	Lost       int           `json:"lost"`
	Duplicated int           `json:"duplicated"`
	Reordered  int           `json:"reordered"`
	Returned   int           `json:"returned_after_settled"`
	Unknown    int           `json:"unknown"`
	Refused    int           `json:"refused"`
	Before     int           `json:"acknowledged_before_fault"`
	Gap        time.Duration `json:"gap_ns"`    // the longest without an acknowledgement, from the fault on
	GapAt      time.Duration `json:"gap_at_ns"` // when it began, after the fault
	Noise      time.Duration `json:"noise_ns"`  // the longest before the fault
	LostFirst  []Send        `json:"lost_first,omitempty"`
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
func CheckLog(e Evidence, fault, end time.Duration) Verdict {
	v := judgeSends(e, fault, end)
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
// deliveries, in order.
func CheckQueue(e Evidence, fault, end time.Duration) Verdict {
	v := judgeSends(e, fault, end)
	settled := map[message]time.Duration{} // the first settlement
	seen := map[message]bool{}
	for _, g := range e.Gots {
		id := message{g.Producer, g.Seq}
		at, was := settled[id]
		switch {
		case was && (!g.Again || fault >= 0 && at < fault-returnedAge):
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

// judgeSends counts outcomes, losses and gaps. fault < 0: there was none.
func judgeSends(e Evidence, fault, end time.Duration) (v Verdict) {
	got := make(map[message]bool, len(e.Gots))
	for _, g := range e.Gots {
		got[message{g.Producer, g.Seq}] = true
	}
	var times []time.Duration
	for _, s := range e.Sends {
		switch s.Outcome {
		case Unknown:
			v.Unknown++
			continue
		case Refused:
			v.Refused++
			continue
		}
		v.Acked++
		times = append(times, s.At)
		if fault < 0 || s.At < fault {
			v.Before++
		}
		if !got[message{s.Producer, s.Seq}] {
			v.Lost++
			if len(v.LostFirst) < lostShown {
				v.LostFirst = append(v.LostFirst, s)
			}
		}
	}
	v.gaps(times, max(fault, 0), end)
	return v
}

// noiseFrom is when the load is taken to run evenly.
const noiseFrom = 500 * time.Millisecond

func (v *Verdict) gaps(times []time.Duration, fault, end time.Duration) {
	slices.Sort(times)
	if n := len(times); n == 0 || times[n-1] < end {
		times = append(times, end)
	}
	last := time.Duration(0)
	for _, t := range times {
		gap := min(t, end) - last
		switch {
		case t >= fault && last < end:
			// The wait began at the fault, or at the last answer before it.
			if gap > v.Gap && last >= noiseFrom {
				v.Gap, v.GapAt = gap, last-fault
			}
		case last >= noiseFrom:
			v.Noise = max(v.Noise, gap)
		}
		last = t
	}
}
