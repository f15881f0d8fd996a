package drill

import (
	"fmt"
	"time"
)

// Goal is how long the median gap of a mode under a fault may be.
type Goal struct {
	Most    time.Duration `json:"most_ns"`
	Wanted  time.Duration `json:"wanted_ns"`          // the goal behind it
	NoError bool          `json:"no_error,omitempty"` // of the clients' APIs
}

// goals by fault, for modes that are judged.
var goals = map[string]Goal{
	"kill":         {Most: 250 * time.Millisecond, Wanted: 100 * time.Millisecond},
	"kill-catalog": {Most: 250 * time.Millisecond, Wanted: 100 * time.Millisecond},
	"kill-other":   {Most: 250 * time.Millisecond, Wanted: 100 * time.Millisecond},
	"pause":        {Most: 2 * time.Second, Wanted: 1500 * time.Millisecond},
	"cut":          {Most: 2 * time.Second, Wanted: 1500 * time.Millisecond},
	"reset":        {Most: 2 * time.Second, Wanted: 1500 * time.Millisecond},
	"term":         {Most: 100 * time.Millisecond, Wanted: 50 * time.Millisecond, NoError: true},
}

// goal gives what a row is held to; ok false: its gap is only printed. A stream that
// waits for its leader has none where the leader is what breaks.
func (r *Row) goal() (g Goal, ok bool) {
	m := modeNamed(r.Mode)
	if g, ok = goals[r.Fault]; !ok || !m.Judged || m.Waits && leads(r.Fault) {
		return Goal{}, false
	}
	return g, true
}

// missed says what of its goal a row does not meet; "": nothing.
func (r *Row) missed() string {
	g, ok := r.goal()
	switch {
	case !ok || r.Valid == 0:
		return ""
	case r.Gap > g.Most:
		return fmt.Sprintf("p50 above %v", g.Most)
	case g.NoError && r.Failed > 0:
		return fmt.Sprintf("%d client errors", r.Failed)
	}
	return ""
}

// goalWord is what a row's goal comes to.
func (r *Row) goalWord() string {
	g, ok := r.goal()
	switch why := r.missed(); {
	case !ok || r.Valid == 0:
		return "-"
	case why != "":
		return "MISSED: " + why
	case r.Gap > g.Wanted:
		return fmt.Sprintf("met: within %v, not %v", g.Most, g.Wanted)
	default:
		return fmt.Sprintf("met: within %v", g.Wanted)
	}
}

// GoalsMet says whether every row that has a goal meets it.
func GoalsMet(rows []Row) bool {
	for _, r := range rows {
		if r.missed() != "" {
			return false
		}
	}
	return true
}
