package node

import (
	"sync"

	"trine/internal/core"
	"trine/internal/core/shard"
)

// inbox is where events wait for the loop. Whoever puts does not wait for room:
// lanes are held back by their link's window, front ends by their own budgets.
type inbox struct {
	mu     sync.Mutex
	now    batch
	closed bool
	wake   chan struct{} // of one: to wake the loop never blocks
}

// batch is what the loop takes at once.
type batch struct {
	events []shard.Event
	links  []*link         // of the LinkUp and LinkDown among events, in their order
	wrote  []core.StreamID // of the Flushed and Failed writes among them
	debts  []debt
	calls  []func()
}

// debt is what a lane may read again once the batch was worked off.
type debt struct {
	lane  *lane
	bytes int
}

func (b *batch) reset() {
	*b = batch{emptied(b.events), emptied(b.links), emptied(b.wrote), emptied(b.debts), emptied(b.calls)}
}

// change lets fill add to what waits and wakes the loop. It is false, and fill is
// not called, once the inbox was closed.
func (i *inbox) change(fill func(b *batch)) bool {
	i.mu.Lock()
	if i.closed {
		i.mu.Unlock()
		return false
	}
	fill(&i.now)
	i.mu.Unlock()
	select {
	case i.wake <- struct{}{}:
	default:
	}
	return true
}

func (i *inbox) put(e shard.Event) bool {
	return i.change(func(b *batch) { b.events = append(b.events, e) })
}

// take swaps what waits for the empty batch spare.
func (i *inbox) take(spare batch) batch {
	i.mu.Lock()
	defer i.mu.Unlock()
	b := i.now
	i.now = spare
	return b
}

// close refuses what comes from here on.
func (i *inbox) close() {
	i.mu.Lock()
	i.closed = true
	i.mu.Unlock()
}

// keptMost is how long a slice may be that is kept to be used again: what a rare burst
// needed is not kept for ever.
const keptMost = 2048

func emptied[T any](ts []T) []T {
	if cap(ts) > keptMost {
		return nil
	}
	clear(ts)
	return ts[:0]
}
