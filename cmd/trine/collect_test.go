package main

import (
	"testing"
	"time"
)

func TestABusyNodeCollectsLessOftenAndARestingOneGivesRoomBack(t *testing.T) {
	now := time.Now()
	p := &pacer{last: now, room: roomMin}
	step := func(d time.Duration, live uint64) int {
		now = now.Add(d)
		return p.next(now, live)
	}
	for range 10 {
		step(10*time.Millisecond, 8<<20)
	}
	if n := step(10*time.Millisecond, 8<<20); n != 800 {
		t.Errorf("8 MiB live and busy: %d %%, should be 800: 64 MiB of room", n)
	}
	if n := step(10*time.Millisecond, 1<<30); n != 100 {
		t.Errorf("1 GiB live: %d %%, should be the collector's own 100", n)
	}
	if n := step(time.Second, 8<<20); n != 800 {
		t.Errorf("once a second: %d %%, should stay at 800", n)
	}
	if n := step(3*time.Second, 8<<20); n != 100 {
		t.Errorf("at rest: %d %%, should be 100 again", n)
	}
}

func TestMemoryIsGivenBackOnceAfterABurst(t *testing.T) {
	var r rest
	at := uint64(0)
	look := func(allocated uint64) bool {
		at += allocated
		return r.look(at)
	}
	for range 3 {
		if look(50 << 20) {
			t.Fatal("in the middle of a burst")
		}
	}
	if look(1 << 20) {
		t.Fatal("after one calm look")
	}
	if !look(1 << 20) {
		t.Fatal("not after two calm looks")
	}
	r.gave(at)
	for range 7 {
		if look(1 << 20) {
			t.Fatal("again, with nothing to give")
		}
	}
	if look(1 << 20); !look(1 << 20) {
		t.Fatal("not after what a light load has left behind")
	}
}
