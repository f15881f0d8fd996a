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
//
// What a burst has left behind is given back to the machine once the node rests: the
// runtime itself would keep what it needed last.
const (
	collectSoon = 200 * time.Millisecond
	collectLate = 2 * time.Second
	roomMin     = 4 << 20
	roomMax     = 64 << 20

	restEvery = 5 * time.Second // between two looks whether the node rests
	restBytes = 4 << 20         // allocated between them at most, twice running
	restBurst = 8 << 20         // less than this allocated since: nothing to give back
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
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() { // stop waits for its end
		defer close(ended)
		giveBack(done)
	}()
	return func() {
		p.stopped.Store(true)
		close(done)
		<-ended
	}
}

// giveBack looks now and then whether the node rests.
func giveBack(done <-chan struct{}) {
	tick := time.NewTicker(restEvery)
	defer tick.Stop()
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	var r rest
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		metrics.Read(sample)
		if r.look(sample[0].Value.Uint64()) {
			debug.FreeOSMemory()
			metrics.Read(sample)
			r.gave(sample[0].Value.Uint64())
		}
	}
}

// rest is what was allocated, ever, at the last looks.
type rest struct{ last, given, calm uint64 }

// look says whether the node rests after a burst.
func (r *rest) look(allocated uint64) bool {
	if r.calm++; allocated-r.last > restBytes {
		r.calm = 0
	}
	r.last = allocated
	return r.calm >= 2 && allocated-r.given > restBurst
}

func (r *rest) gave(allocated uint64) { r.last, r.given = allocated, allocated }

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
