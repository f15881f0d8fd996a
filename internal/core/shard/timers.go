package shard

import "trine/internal/core"

// timers is what is to be done later, by time and then by the order of asking.
type timers struct {
	heap []timer
	seq  uint64
}

type timer struct {
	at  core.Time
	seq uint64
	do  func()
}

func (t *timers) add(at core.Time, do func()) {
	t.seq++
	t.heap = append(t.heap, timer{at, t.seq, do})
	for i := len(t.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !t.less(i, up) {
			break
		}
		t.heap[i], t.heap[up] = t.heap[up], t.heap[i]
		i = up
	}
}

func (t *timers) next() (core.Time, bool) {
	if len(t.heap) == 0 {
		return 0, false
	}
	return t.heap[0].at, true
}

// run does all that is due. What it adds for now or earlier waits for the next run.
func (t *timers) run(now core.Time) {
	last := t.seq
	for len(t.heap) > 0 && t.heap[0].at <= now && t.heap[0].seq <= last {
		t.pop().do()
	}
}

func (t *timers) pop() timer {
	top, end := t.heap[0], len(t.heap)-1
	t.heap[0] = t.heap[end]
	t.heap[end] = timer{}
	t.heap = t.heap[:end]
	for i := 0; ; {
		down := 2*i + 1
		if down >= end {
			break
		}
		if down+1 < end && t.less(down+1, down) {
			down++
		}
		if !t.less(down, i) {
			break
		}
		t.heap[i], t.heap[down] = t.heap[down], t.heap[i]
		i = down
	}
	return top
}

func (t *timers) less(i, j int) bool {
	a, b := &t.heap[i], &t.heap[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}
