package drill

import (
	"fmt"
	"slices"
	"time"
)

// fleet is the modes that load one cluster at the same time, and what is done to it.
type fleet struct {
	modes  []*Mode
	faults []string
	runs   int
	hold   time.Duration // the broken node's followers are so far behind it
}

// The fleets of the whole table. What is judged gets all runs, the rest fewer.
var (
	judgedModes = []string{"kafka-insync", "kafka-insync-plain", "kafka-majority", "amqp-quorum",
		"amqp-mirrored", "amqp-classic", "rocket-sync", "rocket-dledger"}
	judgedFaults = []string{"kill", "kill-catalog", "kill-other", "term", "pause", "cut", "reset"}
)

// fewer says how many runs a row gets of which the median is not judged.
func fewer(runs, part int) int { return max(1, runs/part) }

// holdAll is how far followers are held back where acknowledged messages may be lost.
const holdAll = 200 * time.Millisecond

func table(runs int) []fleet {
	named := func(names ...string) (ms []*Mode) {
		for _, n := range names {
			ms = append(ms, modeNamed(n))
		}
		return ms
	}
	judged := named(judgedModes...)
	loses := named("kafka-acks1", "rocket-async")
	return []fleet{
		{modes: judged, faults: judgedFaults, runs: runs},
		{modes: judged, faults: []string{"none", "kill-all", "power", "power-one"}, runs: fewer(runs, 4)},
		{modes: named("kafka-insync", "amqp-classic"), faults: []string{"alter"}, runs: fewer(runs, 4)},
		{modes: loses, runs: fewer(runs, 7), hold: holdAll,
			faults: []string{"kill", "term", "pause", "cut", "reset", "kill-all", "power", "power-one"}},
		{modes: named("kafka-min3", "rocket-masters"), runs: fewer(runs, 7),
			faults: []string{"kill", "kill-other", "power-one"}},
		{modes: named("kafka-defaults", "amqp-defaults", "rocket-defaults", "amqp-quorum-dead",
			"rocket-dledger-dead"), faults: []string{"kill", "term", "pause", "cut"}, runs: fewer(runs, 7)},
	}
}

// fleets puts the modes that were asked for into as few clusters as can hold them:
// each RocketMQ broker group has one mode, and patient modes are for themselves.
func (o *Options) fleets() (fs []fleet) {
	if o.All {
		return table(o.Runs)
	}
next:
	for _, name := range o.Modes {
		m := modeNamed(name)
		for i := range fs {
			if fs[i].takes(m) {
				fs[i].modes = append(fs[i].modes, m)
				continue next
			}
		}
		fs = append(fs, fleet{modes: []*Mode{m}, faults: o.Faults, runs: o.Runs, hold: o.Hold})
	}
	return fs
}

func (f *fleet) takes(m *Mode) bool {
	return !slices.ContainsFunc(f.modes, func(o *Mode) bool {
		clash := o.groups == m.groups || o.groups+m.groups == victimGroup+otherGroups
		return o.Patient != m.Patient || m.groups != noGroups && o.groups != noGroups && clash
	})
}

// only gives the fleet with the modes that fault makes sense to.
func (f fleet) only(fault string) fleet {
	f.modes = slices.DeleteFunc(slices.Clone(f.modes), func(m *Mode) bool { return !m.uses(fault) })
	return f
}

// groups shares the nodes' broker groups out: to each mode those that it asks for.
func (f *fleet) groups(m *Mode, s seats) []int {
	switch m.groups {
	case noGroups:
		return nil
	case clientGroup:
		return []int{s.client}
	case victimGroup:
		return []int{s.target}
	}
	all := []int{1, 2, 3}
	if slices.ContainsFunc(f.modes, func(o *Mode) bool { return o.groups == clientGroup }) {
		all = slices.DeleteFunc(all, func(n int) bool { return n == s.client })
	}
	return all
}

// layout says what a series was measured with.
func (f *fleet) layout(total int) string {
	how := fmt.Sprintf("%d messages a second", total)
	if n := len(f.modes); n > 1 {
		how = fmt.Sprintf("%d modes together, %d messages a second each", n, total/n)
	}
	if f.hold > 0 {
		how += fmt.Sprintf(", followers held back %v", f.hold)
	}
	return how
}
