package rocket

import (
	"slices"
	"sync"

	"trine/internal/core"
)

// watchers are what Tick does beside the timers: see Front.Tick.
type watchers struct {
	timeMu sync.Mutex
	now    core.Now
	timers []later
	living map[core.NodeID]bool
	alone  bool // this node has no lease: it cannot leave a slave out
	picks  uint32
}

// Tick does what is due; call it at least every 100 ms, from one goroutine.
func (f *Front) Tick(now core.Now) {
	nodes := f.core.Cluster().Nodes()
	living := make(map[core.NodeID]bool, len(nodes))
	alone := false
	for _, n := range nodes {
		living[n.Node] = n.Alive && (n.Self || !n.Doubted)
		alone = alone || n.Self && n.Doubted
	}
	f.timeMu.Lock()
	f.now, f.living, f.alone = now, living, alone
	if f.started.Mono == 0 {
		f.started = now
	}
	f.in.sample(now)
	f.out.sample(now)
	var due []later
	f.timers = slices.DeleteFunc(f.timers, func(l later) bool {
		if l.at > now.Mono {
			return false
		}
		due = append(due, l)
		return true
	})
	f.timeMu.Unlock()
	for _, l := range due {
		l.do(now)
	}
	f.back.tick(now)
	f.trans.tick(now)
	f.members.tick(f, now)
}

// after calls do, from Tick, when d has passed.
func (f *Front) after(d core.Time, do func(now core.Now)) {
	f.timeMu.Lock()
	f.timers = append(f.timers, later{f.now.Mono + d, do})
	f.timeMu.Unlock()
}

// waitsInVain says whether what this node appends to a stream can not hold before the
// other nodes are back: its slave does not answer, and only they could leave that out.
func (f *Front) waitsInVain(s *core.Stream) bool {
	f.timeMu.Lock()
	defer f.timeMu.Unlock()
	return f.alone && s.Leader == f.core.Self().Node && s.Policy.Election == core.ElectNone &&
		s.Policy.Commit == core.CommitInSync && s.InSyncCount() > 1
}

// alive says whether a node lived, and was heard of, when Tick last looked.
func (f *Front) alive(n core.NodeID) bool {
	f.timeMu.Lock()
	defer f.timeMu.Unlock()
	alive, known := f.living[n]
	return alive || !known
}

func (f *Front) pick() uint32 {
	f.timeMu.Lock()
	defer f.timeMu.Unlock()
	f.picks++
	return f.picks
}

// clock gives the time of the last Tick.
func (f *Front) clock() core.Now {
	f.timeMu.Lock()
	defer f.timeMu.Unlock()
	return f.now
}
