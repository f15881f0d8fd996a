package sim

import (
	"container/heap"
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"

	"trine/internal/core"
)

// World is one simulated cluster.
type World struct {
	Seed  uint64
	Nodes []*Node // by id - 1
	Fired map[string]int
	Trace io.Writer // nil: none

	now    core.Time
	rng    *rand.Rand
	events eventHeap
	seq    uint64
	links  map[[2]core.NodeID]*wire
	hash   interface {
		io.Writer
		Sum64() uint64
	}
	steps    int
	sums     map[string]uint64 // what was applied, by stream and index
	diverged []Finding
	lies     *Plant // the planted bug of this run; nil: none
	leaders  map[string]core.NodeID
	unsure   map[string]bool // streams that may lose by their kind: copies are compared at the end
	tiny     bool            // files are small and the cleaner is at work
	drifts   bool            // clocks gain and lose
	ended    func(n *Node)   // a node stopped by itself
}

// NewWorld makes a cluster of n empty nodes that know each other. They start at once.
func NewWorld(seed uint64, n int) *World {
	w := &World{Seed: seed, rng: rand.New(rand.NewPCG(seed, 0x7472696e65)), Fired: map[string]int{},
		links: map[[2]core.NodeID]*wire{}, leaders: map[string]core.NodeID{}, unsure: map[string]bool{}, hash: fnv.New64a(), now: core.Second}
	// Raft draws its jitter from crypto/rand: in a simulated process the seed decides that too.
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	crand.Reader = rand.NewChaCha8(key)
	for i := 1; i <= n; i++ {
		w.Nodes = append(w.Nodes, newNode(w, core.NodeID(i)))
	}
	for i := 1; i <= n; i++ {
		for j := i + 1; j <= n; j++ {
			w.links[[2]core.NodeID{core.NodeID(i), core.NodeID(j)}] = &wire{w: w, a: w.Nodes[i-1], b: w.Nodes[j-1]}
		}
	}
	return w
}

type event struct {
	at  core.Time
	seq uint64
	do  func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*h = old[:len(old)-1]
	return e
}

// After has something happen later.
func (w *World) After(d core.Time, do func()) {
	w.seq++
	heap.Push(&w.events, event{w.now + max(d, 0), w.seq, do})
}

// Run lets time pass.
func (w *World) Run(d core.Time) {
	end := w.now + d
	for len(w.events) > 0 && w.events[0].at <= end {
		e := heap.Pop(&w.events).(event)
		w.now = max(w.now, e.at)
		e.do()
	}
	w.now = end
}

// Until lets time pass until something holds, at most for d; false: it never did.
func (w *World) Until(d core.Time, holds func() bool) bool {
	end := w.now + d
	for !holds() {
		if len(w.events) == 0 || w.events[0].at > end {
			w.now = end
			return holds()
		}
		e := heap.Pop(&w.events).(event)
		w.now = max(w.now, e.at)
		e.do()
	}
	return true
}

// Now gives the world's time.
func (w *World) Now() core.Time { return w.now }

// Hash gives the trace's hash so far.
func (w *World) Hash() uint64 { return w.hash.Sum64() }

func (w *World) trace(format string, args ...any) {
	fmt.Fprintf(w.hash, format+"\n", args...)
	if w.Trace != nil {
		fmt.Fprintf(w.Trace, "%12.6f "+format+"\n", append([]any{float64(w.now) / float64(core.Second)}, args...)...)
	}
}

// between draws a time.
func (w *World) between(from, to core.Time) core.Time {
	return from + core.Time(w.rng.Int64N(int64(to-from+1)))
}

func (w *World) chance(percent int) bool { return w.rng.IntN(100) < percent }

func (w *World) fired(fault string) {
	w.Fired[fault]++
	w.trace("fault %s", fault)
}

func (w *World) wire(a, b core.NodeID) *wire {
	if a > b {
		a, b = b, a
	}
	return w.links[[2]core.NodeID{a, b}]
}

// check holds what the copies have applied against each other: equal at equal indexes.
func (w *World) check(n *Node) {
	if w.sums == nil {
		w.sums = map[string]uint64{}
	}
	for _, d := range n.sh.Digests() {
		if d.Done < n.done[d.Name] && !w.unsure[d.Name] {
			w.bad(WentBack, "node %d: %s was applied through %d, and now through %d", n.ID, d.Name, n.done[d.Name], d.Done)
		}
		n.done[d.Name] = d.Done
		if w.unsure[d.Name] {
			continue
		}
		k := fmt.Sprintf("%s@%d", d.Name, d.Done)
		if x, ok := w.sums[k]; ok && x != d.Sum {
			w.bad(Differs, "node %d: copies of %s differ", n.ID, k)
		} else {
			w.sums[k] = d.Sum
		}
	}
}

// bad takes note of something that no client needs to see for it to be wrong.
func (w *World) bad(c Class, format string, args ...any) {
	f := found(c, format, args...)
	w.trace("BROKEN %s", f)
	if len(w.diverged) < 20 {
		w.diverged = append(w.diverged, f)
	}
}

// leads holds what a node believes of a stream against all that was believed before:
// an epoch has one leader.
func (w *World) leads(n *Node, s *core.Stream) {
	if s.Leader == 0 {
		return
	}
	k := fmt.Sprintf("%d/%d/%d", s.ID, s.Gen, s.Epoch)
	if was, ok := w.leaders[k]; ok && was != s.Leader {
		w.bad(TwoLeaders, "node %d: %s has leader %d in generation %d epoch %d, and had %d", n.ID, s.Name, s.Leader, s.Gen, s.Epoch, was)
	}
	w.leaders[k] = s.Leader
}

// rates draws what a clock gains in a million.
func (w *World) rates() core.Time {
	if !w.drifts {
		return 0
	}
	return core.Time(w.rng.IntN(401) - 200)
}

func (w *World) stopped(n *Node) {
	if w.ended != nil {
		w.ended(n)
	}
}
