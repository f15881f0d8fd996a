package front

import (
	"sync"
	"sync/atomic"
)

// Budget bounds the bytes that a node's connections have handed to the core and
// not yet had answered. All listeners of a node share one.
type Budget struct {
	max   int64
	owed  atomic.Int64
	mu    sync.Mutex
	waits map[*socket]struct{}
}

// NodeBytesMax is the usual size of a node's Budget.
const NodeBytesMax = 256 << 20

// NewBudget gives a budget of max bytes.
func NewBudget(max int64) *Budget {
	return &Budget{max: max, waits: map[*socket]struct{}{}}
}

// Owed gives the bytes that are owed at present.
func (b *Budget) Owed() int64 { return b.owed.Load() }

func (b *Budget) full() bool { return b.owed.Load() >= b.max }

// add changes what is owed and wakes those who wait once a quarter is free again.
func (b *Budget) add(n int) {
	after := b.owed.Add(int64(n))
	low := b.max - b.max/4
	if n >= 0 || after >= low || after-int64(n) < low {
		return
	}
	b.mu.Lock()
	woken := make([]*socket, 0, len(b.waits))
	for s := range b.waits {
		woken = append(woken, s)
		delete(b.waits, s)
	}
	b.mu.Unlock()
	if len(woken) > 0 {
		go wakeAll(woken) // ends by itself: it only signals
	}
}

// wakeAll takes each socket's lock, which the caller of add may hold for its own.
func wakeAll(ss []*socket) {
	for _, s := range ss {
		s.Lock()
		s.readable.Broadcast()
		s.Unlock()
	}
}

// wait registers a socket to be woken; false where there is room meanwhile.
func (b *Budget) wait(s *socket) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.full() {
		return false
	}
	b.waits[s] = struct{}{}
	return true
}

func (b *Budget) leave(s *socket) {
	b.mu.Lock()
	delete(b.waits, s)
	b.mu.Unlock()
}
