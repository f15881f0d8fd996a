package replica

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing"

	"trine/internal/core"
)

// world is a stream's copies on some disks, the network between them, their disks
// and a catalog, in one goroutine and from one seed. It checks as it goes what
// must always hold.
type world struct {
	t       testing.TB
	rng     *rand.Rand
	now     core.Time
	policy  core.Policy
	nodes   []*node
	net     []packet
	cut     map[[2]int]bool
	cat     *catalog
	held    []place // held[i] is the entry at index i, for ever
	leaders map[core.Epoch]core.DiskID
	acked   map[uint64]core.Index // what a leader called committed
	nextID  uint64
	loss    float64
	twice   float64
	slow    core.Time // longest delay of a message, and of a write
	trace   bool
	gen     core.Generation
	floor   core.Epoch
	calm    bool // a story: nothing by chance
	counts  map[string]int
	cfg     func(*Config)
	bug     string // planted
	ready   Ready
	hash    uint64 // of everything that was sent and written
}

type place struct {
	epoch core.Epoch
	id    uint64
	sum   uint64 // of all entries up to this one
	next  core.Offset
}

type packet struct {
	at       core.Time
	from, to int
	m        *core.Replicate
}

func newWorld(t testing.TB, seed uint64, policy core.Policy, disks int, cfg func(*Config)) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 7)), policy: policy,
		cut: map[[2]int]bool{}, leaders: map[core.Epoch]core.DiskID{},
		acked: map[uint64]core.Index{}, held: make([]place, 1),
		slow: 5 * core.Millisecond, counts: map[string]int{}, now: core.Second, cfg: cfg, gen: 1}
	w.cat = newCatalog(w, disks)
	for i := range disks {
		n := &node{w: w, i: i, disk: core.DiskID(i + 1), found: i < policy.Copies}
		w.nodes = append(w.nodes, n)
		if n.found {
			n.start()
		}
	}
	w.cat.publish()
	return w
}

func (w *world) failf(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("at %d ms: %s", w.now/core.Millisecond, fmt.Sprintf(format, args...))
}

func (w *world) logf(format string, args ...any) {
	if w.trace {
		w.t.Logf("%6d ms: %s", w.now/core.Millisecond, fmt.Sprintf(format, args...))
	}
}

func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

func (w *world) upTo(d core.Time) core.Time { return core.Time(w.rng.Int64N(int64(d) + 1)) }

// turn carries out what a copy wants.
func (n *node) turn() {
	w := n.w
	for i := 0; n.up && n.copy.Ready(&w.ready); i++ {
		if i == 1000 {
			w.failf("disk %d finds no end: %+v", n.disk, w.ready)
		}
		rd := &w.ready
		var early []uint64
		for i := range rd.Writes {
			wr := rd.Writes[i]
			w.sum(fmt.Sprint("write", n.i, wr.ID, wr.Cut, len(wr.Entries), wr.State))
			at := w.now + w.upTo(w.slow)
			if k := len(n.writes); k > 0 {
				at = max(at, n.writes[k-1].at)
			}
			if n.w.bug == "the vote is not written" {
				wr.State = nil
			}
			n.writes = append(n.writes, pendingWrite{at, wr})
			if n.w.bug == "answers before the write" {
				early = append(early, wr.ID)
			}
			if wr.Install != nil {
				w.counts["install"]++
				n.restore(wr.Install)
			}
			if wr.Cut != 0 {
				w.counts["cut"]++
			}
			if wr.Cut != 0 && wr.Cut <= n.applied {
				w.unapply(n, wr.Cut)
			}
		}
		for _, m := range rd.Sends {
			w.post(n, m)
		}
		for _, c := range rd.InSync {
			w.cat.wish(n, c)
		}
		if n.w.bug == "one more holds" {
			rd.Committed = min(rd.Committed+1, n.copy.Status().Last)
		}
		n.apply(rd.Committed)
		n.check()
		for _, id := range early {
			n.copy.Persisted(id)
		}
	}
}

// apply applies committed entries and compares them with what others applied.
func (n *node) apply(through core.Index) {
	for n.applied < through {
		e := n.copy.Tail().Entry(n.applied + 1)
		if e == nil {
			n.w.failf("disk %d: committed entry %d is not in the tail", n.disk, n.applied+1)
		}
		if e.Base != n.next {
			n.w.failf("disk %d: entry %d has base %d, not %d", n.disk, e.Index, e.Base, n.next)
		}
		if e.Kind == core.EntryBatch && int64(binary.BigEndian.Uint64(e.Data)) != int64(e.Base) {
			n.w.failf("disk %d: batch %d says another base", n.disk, e.Index)
		}
		n.sum = chain(n.sum, e)
		n.applied, n.next = n.applied+1, e.Next()
		n.w.hold(n, e)
	}
	n.copy.Applied(n.applied)
}

func chain(sum uint64, e *core.Entry) uint64 {
	h := fnv.New64a()
	var b [32]byte
	binary.BigEndian.PutUint64(b[:], sum)
	binary.BigEndian.PutUint64(b[8:], uint64(e.Index))
	binary.BigEndian.PutUint64(b[16:], uint64(e.Epoch)<<8|uint64(e.Kind))
	binary.BigEndian.PutUint64(b[24:], idOf(e))
	h.Write(b[:])
	return h.Sum64()
}

func idOf(e *core.Entry) uint64 {
	if e.Kind == core.EntryBatch {
		return binary.BigEndian.Uint64(e.Data[61:])
	}
	return 0
}

// hold notes that an entry holds, or compares it with what held there before.
func (w *world) hold(n *node, e *core.Entry) {
	if int(e.Index) == len(w.held) {
		w.held = append(w.held, place{e.Epoch, idOf(e), n.sum, e.Next()})
		if e.Kind == core.EntryBatch {
			w.acked[idOf(e)] = e.Index
		}
		return
	}
	w.checkHeld(n, e.Index)
}

func (w *world) checkHeld(n *node, i core.Index) {
	if i == 0 || w.policy.Election == core.ElectAny {
		return
	}
	if int(i) >= len(w.held) {
		w.failf("disk %d has a checkpoint at %d above all that held", n.disk, i)
	}
	if h := w.held[i]; h.sum != n.sum || h.next != n.next {
		w.failf("disk %d: what held up to %d is another here: epoch %d id %d", n.disk, i,
			h.epoch, h.id)
	}
}

func (n *node) persisted(write uint64) {
	if n.w.bug != "answers before the write" {
		n.copy.Persisted(write)
	}
}

// unapply undoes what an election without regard to the in-sync set lost.
func (w *world) unapply(n *node, cut core.Index) {
	if w.policy.Election != core.ElectAny {
		w.failf("disk %d cuts at %d what it had applied up to %d", n.disk, cut, n.applied)
	}
	n.applied, n.sum, n.next = 0, 0, 0
	if cp := n.lastCheckpoint(); cp != nil {
		n.restore(cp)
	}
	w.held = w.held[:min(len(w.held), int(cut))]
}

func (n *node) lastCheckpoint() *core.Checkpoint {
	var cp *core.Checkpoint
	if n.rec != nil {
		cp = n.rec.Checkpoint
	}
	for i := range n.writes {
		if n.writes[i].w.Install != nil {
			cp = n.writes[i].w.Install
		}
		if n.writes[i].w.Checkpoint != nil {
			cp = n.writes[i].w.Checkpoint
		}
	}
	return cp
}

// check looks at what must hold of every copy after every turn.
func (n *node) check() {
	w, s := n.w, n.copy.Status()
	if g, ok := n.copy.(*group); ok && n.damaged && !g.doubtful {
		n.damaged = false
		w.counts["repaired"]++
	}
	if s.Leads {
		if d, ok := w.leaders[s.Epoch]; ok && d != n.disk {
			w.failf("disks %d and %d both lead epoch %d", d, n.disk, s.Epoch)
		}
		w.leaders[s.Epoch] = n.disk
	}
	t := n.copy.Tail()
	if s.Persisted > s.Last || s.Committed > s.Last || t.Last() != s.Last || t.Next() != s.LogEnd {
		w.failf("disk %d: %+v", n.disk, s)
	}
}

func (w *world) sum(s string) {
	h := fnv.New64a()
	fmt.Fprint(h, w.hash, w.now, s)
	w.hash = h.Sum64()
}

func (w *world) post(n *node, m *core.Replicate) {
	to := int(m.To) - 1
	w.sum(fmt.Sprint(m.Type, m.From, m.To, m.Epoch, m.Index, m.Commit, len(m.Entries), m.Reject))
	if m.Stream != 9 || m.From != n.disk || to == n.i {
		w.failf("disk %d sends %+v", n.disk, m)
	}
	w.counts[fmt.Sprint("message ", m.Type)]++
	if w.cut[[2]int{n.i, to}] || !w.nodes[to].up || w.chance(w.loss) {
		w.counts["message lost"]++
		return
	}
	w.net = append(w.net, packet{w.now + w.upTo(w.slow), n.i, to, m})
	if len(w.net) > 5000 {
		for _, p := range w.net[len(w.net)-20:] {
			w.t.Logf("%d>%d at %d %+v", p.from, p.to, p.at, *p.m)
		}
		w.failf("a storm of messages: %v", w.counts)
	}
	if w.chance(w.twice) {
		w.counts["message twice"]++
		w.net = append(w.net, packet{w.now + w.upTo(10*w.slow), n.i, to, m})
	}
}

// step lets a millisecond pass.
func (w *world) step() {
	w.now += core.Millisecond
	var due []packet
	w.net = slices.DeleteFunc(w.net, func(p packet) bool {
		if p.at <= w.now {
			due = append(due, p)
		}
		return p.at <= w.now
	})
	for _, p := range due {
		if n := w.nodes[p.to]; n.runs() {
			if p.m.Type == core.RepCheckpoint && len(p.m.Checkpoint.Machine) == 0 {
				w.counts["empty checkpoint"]++
			}
			n.copy.Step(w.now, p.m)
		}
	}
	w.cat.step()
	for _, n := range w.nodes {
		if !n.runs() {
			continue
		}
		for len(n.writes) > 0 && n.writes[0].at <= w.now {
			p := n.writes[0]
			n.writes = n.writes[1:]
			n.store(&p.w)
			n.persisted(p.w.ID)
			n.turn()
		}
		if n.tickAt <= w.now {
			n.tickAt += TickEvery
			if s := n.copy.Status(); s.Due(w.now) {
				n.copy.Tick(w.now)
			}
		}
		n.turn()
	}
}

func (n *node) runs() bool { return n.up && n.stuckTo <= n.w.now }

func (w *world) run(d core.Time) {
	for end := w.now + d; w.now < end; {
		w.step()
	}
}

// leader gives the node that leads in the highest epoch.
func (w *world) leader() *node {
	var best *node
	var epoch core.Epoch
	for _, n := range w.nodes {
		if n.runs() {
			if s := n.copy.Status(); s.Leads && s.Epoch >= epoch {
				best, epoch = n, s.Epoch
			}
		}
	}
	return best
}

func (w *world) count() int32 {
	if w.calm {
		return 2
	}
	return 1 + int32(w.rng.IntN(4))
}

func (w *world) batch(size int) core.Entry {
	w.nextID++
	data := make([]byte, 69+size)
	binary.BigEndian.PutUint64(data[61:], w.nextID)
	return core.Entry{Kind: core.EntryBatch, Count: w.count(), Data: data}
}

// propose has a node that leads append some entries.
func (n *node) propose(k, size int) error {
	es := make([]core.Entry, k)
	for i := range es {
		es[i] = n.w.batch(size)
		if !n.w.calm && n.w.chance(0.1) {
			es[i] = core.Entry{Kind: core.EntryQueue, Data: []byte{1}}
		}
	}
	before := n.copy.Status().Last
	err := n.copy.Propose(n.w.now, es)
	if err == nil && n.copy.Status().Last < before+core.Index(k) {
		n.w.failf("disk %d: %d proposed, log ends at %d", n.disk, k, n.copy.Status().Last)
	}
	if err == nil {
		n.w.counts["proposed"] += k
	}
	n.turn()
	return err
}

// checkpoint has a node make one of what it applied.
func (n *node) checkpoint() {
	if n.applied <= n.kept {
		return
	}
	cp := &core.Checkpoint{Machine: binary.BigEndian.AppendUint64(nil, n.sum)}
	n.copy.Checkpoint(cp)
	if cp.Index != n.applied || cp.Next != n.next {
		n.w.failf("disk %d: checkpoint at %d next %d, applied %d next %d", n.disk, cp.Index,
			cp.Next, n.applied, n.next)
	}
	// A checkpoint holds once its entries are on this disk.
	if cp.Index > n.copy.Status().Persisted {
		return
	}
	for len(n.writes) > 0 {
		p := n.writes[0]
		n.writes = n.writes[1:]
		n.store(&p.w)
		n.persisted(p.w.ID)
	}
	n.store(&core.Write{Checkpoint: cp})
	n.kept = cp.Index
	n.copy.Compact(cp)
	n.w.counts["checkpoint"]++
	n.turn()
}

func (w *world) setCut(a, b int, on bool) {
	if w.cut[[2]int{a, b}] == on {
		return
	}
	w.cut[[2]int{a, b}] = on
	if !on && !w.cut[[2]int{b, a}] {
		w.reconnect(a, b)
	}
}

func (w *world) reconnect(a, b int) {
	for _, p := range [][2]int{{a, b}, {b, a}} {
		if n := w.nodes[p[0]]; n.up && w.nodes[p[1]].up {
			n.copy.Reconnected(w.now, w.nodes[p[1]].disk)
		}
	}
}

// restart starts a process again, and its links.
func (n *node) restart() {
	n.start()
	n.w.cat.register(n)
	for j := range n.w.nodes {
		if j != n.i && !n.w.cut[[2]int{n.i, j}] && !n.w.cut[[2]int{j, n.i}] {
			n.w.reconnect(n.i, j)
		}
	}
	n.turn()
}
