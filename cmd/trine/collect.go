package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// The collector runs when the heap has doubled. A broker's heap is small and its
// garbage plenty, so that it would run many times a second under load. pacer gives
// a busy node more room between two runs, and takes it back when the node rests.
//
//	less than collectSoon since the last run   room doubles, to roomMax
//	more than collectLate                      room is the collector's own again
const (
	collectSoon = 200 * time.Millisecond
	collectLate = 2 * time.Second
	roomMin     = 4 << 20
	roomMax     = 64 << 20
)

// pacer is called after each run of the collector, by one goroutine of the runtime.
type pacer struct {
	last    time.Time
	room    uint64
	percent int
	live    []metrics.Sample
	stopped atomic.Bool
}

// paceCollector begins; stop leaves the collector as it was.
// Whoever sets GOGC has his way.
func paceCollector() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	p := &pacer{last: time.Now(), room: roomMin, percent: 100,
		live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	p.watch()
	return func() { p.stopped.Store(true) }
}

// watch leaves something behind that the next run finds unused.
func (p *pacer) watch() {
	type flag struct{ _ [4]uint64 }
	runtime.SetFinalizer(&flag{}, func(*flag) {
		if p.stopped.Load() {
			debug.SetGCPercent(100)
			return
		}
		metrics.Read(p.live)
		if n := p.next(time.Now(), p.live[0].Value.Uint64()); n != p.percent {
			p.percent = n
			debug.SetGCPercent(n)
		}
		p.watch()
	})
}

// next gives how much the heap may grow over what lives, in percent.
func (p *pacer) next(now time.Time, live uint64) int {
	since := now.Sub(p.last)
	p.last = now
	switch {
	case since < collectSoon:
		p.room = min(2*p.room, roomMax)
	case since > collectLate:
		p.room = roomMin
	}
	live = max(live, 1<<20)
	return int(max(100, min(100*p.room/live, 6400)) / 25 * 25)
}
