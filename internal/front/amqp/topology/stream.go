package topology

import (
	"strconv"
	"strings"

	"trine/internal/core"
)

// A queue of the type stream is a plain stream, replicated by majority: no machine
// stands over it, nothing of it is ever settled, and only age and size end what it
// holds.

// MaxAge reads an age as streams know it, for instance 7D, in milliseconds: a number
// and one of Y, M, D, h, m, s.
func MaxAge(s string) (ms int64, ok bool) {
	at := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if at <= 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(s[:at], 10, 64)
	if err != nil || n <= 0 {
		return 0, false
	}
	const day = 24 * 3600 * 1000
	unit := map[string]int64{"Y": 365 * day, "M": 30 * day, "D": day, "h": 3600 * 1000, "m": 60 * 1000,
		"s": 1000}[s[at:]]
	if unit == 0 || n > 1<<62/unit {
		return 0, false
	}
	return n * unit, true
}

// first gives what a policy says, or else an argument; of streams, policies win.
func first(policy *int64, arg int64) int64 {
	if policy != nil {
		return *policy
	}
	return arg
}

// Keep says what a stream keeps.
func (e *Effective) Keep(l Label) core.Keep {
	age, _ := textOf(l.Arguments, "x-max-age")
	if e.MaxAge != nil {
		age = *e.MaxAge
	}
	ms, _ := MaxAge(age)
	return core.Keep{MsMax: ms, BytesMax: max(first(e.MaxBytes, intOf(l.Arguments, "x-max-length-bytes", 0)), 0),
		SegmentBytes: max(first(e.SegmentBytes, intOf(l.Arguments, "x-stream-max-segment-size-bytes", 0)), 0)}
}

// streamCopies is how many copies a stream has where nobody says.
const streamCopies = 3

func (e *Effective) streamPolicy(l Label) core.Policy {
	n := first(e.ClusterSize, intOf(l.Arguments, "x-initial-cluster-size", streamCopies))
	if e.TrineCopies > 0 {
		n = int64(e.TrineCopies)
	}
	return core.Majority(int(min(max(n, 1), copiesMax)))
}

// alterStream gives what has to change for a stream to be what is in force.
func (e *Effective) alterStream(q *Queue) (a core.Alteration, changed bool) {
	if keep := e.Keep(q.Label); keep != q.Stream.Keep {
		a.Keep, changed = &keep, true
	}
	if policy := e.streamPolicy(q.Label); policy != q.Stream.Policy {
		a.Policy, changed = &policy, true
	}
	return a, changed
}
