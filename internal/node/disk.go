package node

import (
	"sync"
	"sync/atomic"
	"time"

	"trine/internal/core"
	"trine/internal/core/shard"
	"trine/internal/journal"
)

// store is the journal, as the node uses it. Every method may block.
type store interface {
	WriteEach(ws []core.Write) ([]journal.Refusal, error) // flushed when it returns
	WriteLazy(ws []core.Write) ([]journal.Refusal, error) // written when it returns
	Load(l core.Load) ([]core.Entry, error)
	Rest() error // the last write gets its witness
}

// restAfter is how long nothing is written before the last write gets its witness.
const restAfter = 10 * time.Millisecond

// disks are the two roads to the disk. Its maps belong to the loop.
type disks struct {
	roads  [2]*road // by core.Flush
	flight map[core.StreamID]flight
	ended  int                            // streams that left it since it was made
	held   map[core.StreamID][]core.Write // wait until the stream's other road is empty
}

// flight is what a stream has on its way to disk.
type flight struct {
	road   core.Flush
	writes int
}

func newDisks(n *Node, s store) *disks {
	d := &disks{flight: map[core.StreamID]flight{}, held: map[core.StreamID][]core.Write{}}
	d.roads[core.FlushLazy] = newRoad(n, s.WriteLazy, nil)
	d.roads[core.FlushEach] = newRoad(n, s.WriteEach, s.Rest)
	return d
}

// submit sends a turn's writes down their roads. A stream whose road changes waits
// until the old one has nothing of it left, so that its writes keep their order.
func (d *disks) submit(ws []core.Write) {
	for i := range ws {
		w := &ws[i]
		f, flying := d.flight[w.Stream]
		if held := d.held[w.Stream]; len(held) > 0 || flying && f.road != w.Road {
			d.held[w.Stream] = append(held, *w)
			continue
		}
		d.launch(w, f.writes)
	}
	for _, r := range d.roads {
		r.start()
	}
}

func (d *disks) launch(w *core.Write, before int) {
	d.flight[w.Stream] = flight{w.Road, before + 1}
	d.roads[w.Road].batch = append(d.roads[w.Road].batch, *w)
}

// wrote takes note of ended writes, one element for each, and sends what waited.
func (d *disks) wrote(streams []core.StreamID) {
	for _, s := range streams {
		f := d.flight[s]
		if f.writes--; f.writes > 0 {
			d.flight[s] = f
			continue
		}
		delete(d.flight, s)
		if d.ended++; len(d.flight) == 0 && d.ended > keptMost {
			d.flight, d.ended = map[core.StreamID]flight{}, 0 // a map keeps what it had at most
		}
		if ws := d.held[s]; len(ws) > 0 {
			delete(d.held, s)
			d.submit(ws)
		}
	}
}

// age gives how long the oldest unfinished call to the disk has run.
func (d *disks) age(now core.Time) core.Time {
	var oldest core.Time
	for _, r := range d.roads {
		if t := core.Time(r.begun.Load()); t != 0 {
			oldest = max(oldest, now-t)
		}
	}
	return oldest
}

// road carries writes to disk, everything that queued during one call in the next:
// group commit without a timer.
type road struct {
	n     *Node
	write func([]core.Write) ([]journal.Refusal, error)
	rest  func() error // nil: needs none
	batch []core.Write // the loop's, until start
	begun atomic.Int64 // core.Time of the call in progress; 0: none

	mu     sync.Mutex
	queue  []core.Write
	closed bool
	wake   chan struct{} // of one
}

func newRoad(n *Node, write func([]core.Write) ([]journal.Refusal, error),
	rest func() error) *road {
	return &road{n: n, write: write, rest: rest, wake: make(chan struct{}, 1)}
}

// start hands the loop's batch over.
func (r *road) start() {
	if len(r.batch) == 0 {
		return
	}
	r.mu.Lock()
	r.queue = append(r.queue, r.batch...)
	r.mu.Unlock()
	r.signal()
	r.batch = emptied(r.batch)
}

func (r *road) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// close lets run end once everything queued was carried out.
func (r *road) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.signal()
}

// run is a road's goroutine; Node.Close waits for its end.
func (r *road) run() {
	defer r.n.diskWait.Done()
	var spare []core.Write
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		r.mu.Lock()
		ws, closed := r.queue, r.closed
		if len(ws) > 0 {
			r.queue = spare[:0]
		}
		r.mu.Unlock()
		if len(ws) == 0 {
			if closed {
				return
			}
			r.idle(timer)
			continue
		}
		r.begun.Store(int64(r.n.now().Mono))
		refused, err := r.write(ws)
		r.begun.Store(0)
		r.n.inbox.change(func(b *batch) { report(b, ws, refused, err) })
		spare = emptied(ws)
	}
}

// idle waits for writes, and once lets the disk rest meanwhile.
func (r *road) idle(timer *time.Timer) {
	if r.rest == nil {
		<-r.wake
		return
	}
	timer.Reset(restAfter)
	select {
	case <-r.wake:
		return
	case <-timer.C:
	}
	if err := r.rest(); err != nil {
		r.n.log.Error("the disk's last write has no witness", "err", err)
	}
	<-r.wake
}

// report tells the outcome of one call: what was refused was not touched.
func report(b *batch, ws []core.Write, refused []journal.Refusal, err error) {
	for i := range ws {
		e := shard.Event{Kind: shard.Flushed, ID: ws[i].ID}
		if err != nil {
			e.Kind, e.Err = shard.Failed, err
		}
		for _, r := range refused {
			if r.ID == ws[i].ID {
				e.Kind, e.Err = shard.Failed, r.Err
			}
		}
		b.events = append(b.events, e)
		b.wrote = append(b.wrote, ws[i].Stream)
	}
}

// loadersMax is how many loads run at once.
const loadersMax = 4

// loads reads what is no longer in memory.
type loads struct {
	n    *Node
	load func(core.Load) ([]core.Entry, error)

	mu     sync.Mutex
	queue  []core.Load
	closed bool
	wake   *sync.Cond
}

func newLoads(n *Node, s store) *loads {
	l := &loads{n: n, load: s.Load}
	l.wake = sync.NewCond(&l.mu)
	return l
}

func (l *loads) submit(ls []core.Load) {
	if len(ls) == 0 {
		return
	}
	l.mu.Lock()
	l.queue = append(l.queue, ls...)
	l.mu.Unlock()
	l.wake.Broadcast()
}

// close drops what has not begun.
func (l *loads) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.wake.Broadcast()
}

// run is one loader; Node.Close waits for its end.
func (l *loads) run() {
	defer l.n.diskWait.Done()
	for {
		l.mu.Lock()
		for len(l.queue) == 0 && !l.closed {
			l.wake.Wait()
		}
		if l.closed {
			l.mu.Unlock()
			return
		}
		q := l.queue[0]
		l.queue = l.queue[1:]
		l.mu.Unlock()
		found, err := l.load(q)
		e := shard.Event{Kind: shard.Loaded, ID: q.ID, Found: found}
		if err != nil {
			e = shard.Event{Kind: shard.Failed, ID: q.ID, Err: err}
		}
		l.n.inbox.put(e)
	}
}
