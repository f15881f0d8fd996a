package node

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"trine/internal/core"
	"trine/internal/journal"
)

// cluster is three nodes with real shards over real sockets, on disks in memory.
type cluster struct {
	t     *testing.T
	at    map[core.NodeID]string
	disks map[core.NodeID]*journal.MemFS
	nodes map[core.NodeID]*Node
	log   *lines
}

func newCluster(t *testing.T, n int) *cluster {
	t.Helper()
	c := &cluster{t: t, at: map[core.NodeID]string{}, disks: map[core.NodeID]*journal.MemFS{},
		nodes: map[core.NodeID]*Node{}, log: &lines{}}
	for i, a := range freeAddresses(t, n) {
		id := core.NodeID(i + 1)
		c.at[id], c.disks[id] = a, journal.NewMemFS()
	}
	var wait sync.WaitGroup
	for id := range c.at {
		wait.Go(func() { c.start(id) })
	}
	wait.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for id := range c.at { // else a stream begins with the copies of fewer nodes
		eventually(t, "all are members", func() bool {
			alive := 0
			for _, i := range c.nodes[id].Cluster().Nodes() {
				if i.Alive {
					alive++
				}
			}
			return alive == n
		})
	}
	t.Cleanup(func() {
		for id, n := range c.nodes {
			if t.Failed() {
				for _, s := range n.Streams().List("test/") {
					t.Logf("node %d knows %+v", id, *s)
				}
			}
			n.Close()
		}
		if t.Failed() {
			t.Logf("log:\n%s", c.log.b.String())
		}
	})
	return c
}

var clusterMu sync.Mutex // guards cluster.nodes while nodes start at once

func (c *cluster) start(id core.NodeID) {
	c.t.Helper()
	log := slog.New(slog.NewTextHandler(c.log, nil)).With("node", id)
	n, err := Start(c.t.Context(), Config{Node: id, Dir: "disk", FS: c.disks[id], Listen: c.at[id],
		Peers: c.at, Log: log})
	if err != nil {
		c.t.Errorf("start node %d: %v", id, err)
		return
	}
	clusterMu.Lock()
	defer clusterMu.Unlock()
	c.nodes[id] = n
}

// define makes a stream and gives it as node id knows it.
func (c *cluster) define(id core.NodeID, d core.Definition) *core.Stream {
	c.t.Helper()
	s := answer(c.t, "define "+d.Name, func(done func(*core.Stream, error)) {
		c.nodes[id].Streams().Define(d, done)
	})
	for other := range c.nodes {
		c.sync(other)
	}
	return s
}

// sync waits until a node knows all that was agreed before.
func (c *cluster) sync(id core.NodeID) {
	c.t.Helper()
	answer(c.t, "sync", func(done func(bool, error)) {
		c.nodes[id].Cluster().Sync(func(err error) { done(true, err) })
	})
}

// answer waits for a callback's answer, asking again while it is not available.
func answer[T any](t *testing.T, what string, ask func(done func(T, error))) T {
	t.Helper()
	type outcome struct {
		v   T
		err error
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c := make(chan outcome, 1)
		ask(func(v T, err error) { c <- outcome{v, err} })
		select {
		case o := <-c:
			if o.err == nil {
				return o.v
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %v", what, o.err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: no answer", what)
		}
	}
}

// tally is an Appender that keeps what was acknowledged.
type tally struct {
	mu    sync.Mutex
	acked map[uint64]core.Offset
	bad   []error
}

func (a *tally) Appended(token uint64, at core.Appended, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.bad = append(a.bad, fmt.Errorf("append %d: %w", token, err))
		return
	}
	a.acked[token] = at.Base
}

func (a *tally) count() (acked int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.acked), errors.Join(a.bad...)
}

func (c *cluster) append(id core.NodeID, s core.StreamID, token uint64, to *tally) {
	c.nodes[id].Log().Append([]core.Append{{Stream: s, To: to, Token: token,
		Records: []core.Record{{Stamp: -1, Value: fmt.Appendf(nil, "record %d", token)}}}})
}

// committed gives a stream's end as its leader says, asked through a node.
func (c *cluster) committed(id core.NodeID, s core.StreamID) core.Offset {
	return answer(c.t, "find the end", func(done func(core.Found, error)) {
		c.nodes[id].Log().Find(core.Find{Stream: s, Kind: core.FindEnd}, done)
	}).Offset
}

func TestWhatWasAcknowledgedOutlivesItsLeader(t *testing.T) {
	for name, p := range map[string]core.Policy{"insync": core.InSync(3, 2, core.FlushLazy),
		"majority": core.Majority(3), "mirror": core.Mirror(3, core.FlushEach)} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 3)
			s := c.define(1, core.Definition{Name: "test/" + name, Policy: p})
			to := &tally{acked: map[uint64]core.Offset{}}
			const each = 50
			token, last := uint64(0), 0
			t.Cleanup(func() { t.Logf("%d of %d acknowledged", last, token) })
			enter := func(ids ...core.NodeID) {
				for range each {
					for _, id := range ids {
						token++
						c.append(id, s.ID, token, to)
					}
				}
				eventually(t, "all acknowledged", func() bool {
					n, err := to.count()
					if err != nil {
						t.Fatal(err)
					}
					last = n
					return n == int(token)
				})
			}
			enter(1, 2, 3)
			leader := c.nodes[1].Streams().Lookup(s.Name).Leader
			c.nodes[leader].Close() // no handing over: its peers see it die
			delete(c.nodes, leader)
			var living []core.NodeID
			for id := range c.nodes {
				living = append(living, id)
			}
			enter(living...)
			for _, id := range living {
				if end := c.committed(id, s.ID); end != core.Offset(token) {
					t.Errorf("node %d says that the stream ends at %d, %d were acknowledged", id, end, token)
				}
			}
			seen := map[core.Offset]bool{}
			for n, at := range to.acked {
				if seen[at] {
					t.Errorf("append %d has an offset that another has: %d", n, at)
				}
				seen[at] = true
			}
			// It comes back, and follows.
			if c.start(leader); t.Failed() {
				return
			}
			c.sync(leader)
			enter(leader)
		})
	}
}

func TestANodeThatHandsOverLeavesNoError(t *testing.T) {
	c := newCluster(t, 3)
	s := c.define(1, core.Definition{Name: "test/x", Policy: core.InSync(3, 2, core.FlushLazy)})
	to := &tally{acked: map[uint64]core.Offset{}}
	c.append(1, s.ID, 1, to)
	eventually(t, "acknowledged", func() bool { n, _ := to.count(); return n == 1 })
	leader := c.nodes[1].Streams().Lookup(s.Name).Leader
	other := leader%3 + 1
	if err := c.nodes[leader].HandOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.nodes[leader].Close()
	delete(c.nodes, leader)
	for i := uint64(2); i < 50; i++ {
		c.append(other, s.ID, i, to)
	}
	eventually(t, "acknowledged", func() bool { n, _ := to.count(); return n == 49 })
	if _, err := to.count(); err != nil {
		t.Error(err)
	}
}

func TestANodeThatLostItsDiskComesBackWithAnother(t *testing.T) {
	for _, at := range []time.Duration{0, 300 * time.Millisecond} {
		t.Run(at.String(), func(t *testing.T) {
			c := newCluster(t, 3)
			s := c.define(1, core.Definition{Name: "test/x", Policy: core.InSync(3, 2, core.FlushLazy)})
			to := &tally{acked: map[uint64]core.Offset{}}
			for i := uint64(1); i <= 20; i++ {
				c.append(1, s.ID, i, to)
			}
			eventually(t, "acknowledged", func() bool { n, _ := to.count(); return n == 20 })
			lead := c.nodes[1].Streams().Lookup(s.Name).Leader
			c.nodes[lead].Close()
			c.disks[lead] = journal.NewMemFS()
			time.Sleep(at) // at once, or when its end was noticed long ago
			if c.start(lead); t.Failed() {
				return
			}
			c.sync(lead)
			eventually(t, "all copies in sync again", func() bool {
				s := c.nodes[lead].Streams().Lookup(s.Name)
				return s != nil && s.InSyncCount() == 3
			})
			if end := c.committed(lead, s.ID); end != 20 {
				t.Errorf("the stream ends at %d", end)
			}
		})
	}
}

func TestAPowerCutOfAllLosesNothingThatWasFlushed(t *testing.T) {
	for name, p := range map[string]core.Policy{"majority": core.Majority(3),
		"insync": core.InSync(3, 2, core.FlushEach)} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 3)
			s := c.define(1, core.Definition{Name: "test/x", Policy: p})
			to := &tally{acked: map[uint64]core.Offset{}}
			for i := uint64(1); i <= 60; i++ {
				c.append(core.NodeID(i%3+1), s.ID, i, to)
			}
			eventually(t, "acknowledged", func() bool { n, _ := to.count(); return n == 60 })
			for id := range c.at {
				c.disks[id] = c.disks[id].Crash(uint64(id), 30)
			}
			for id := range c.at {
				c.nodes[id].Close()
				delete(c.nodes, id)
			}
			var wait sync.WaitGroup
			for id := range c.at {
				wait.Go(func() { c.start(id) }) // waited for below
			}
			if wait.Wait(); t.Failed() {
				return
			}
			for id := range c.at {
				c.sync(id)
				if end := c.committed(id, s.ID); end != 60 {
					t.Errorf("node %d says that the stream ends at %d", id, end)
				}
			}
		})
	}
}

func TestAFourthNodeJoinsAndIsGivenCopies(t *testing.T) {
	c := newCluster(t, 3)
	at, disk := freeAddresses(t, 1)[0], journal.NewMemFS()
	c.define(1, core.Definition{Name: "test/before", Policy: core.Majority(3)})
	// It is told of one node, and nobody was told of it.
	n, err := Start(t.Context(), Config{Node: 4, Dir: "disk", FS: disk, Listen: at,
		Peers: map[core.NodeID]string{2: c.at[2]},
		Log:   slog.New(slog.NewTextHandler(c.log, nil)).With("node", 4)})
	if err != nil {
		t.Fatal(err)
	}
	c.nodes[4] = n
	c.sync(4)
	if n.Streams().Lookup("test/before") == nil {
		t.Error("it does not know what was there before")
	}
	s := c.define(4, core.Definition{Name: "test/x", Policy: core.InSync(3, 2, core.FlushLazy),
		At: []core.NodeID{4, 1, 2}})
	to := &tally{acked: map[uint64]core.Offset{}}
	for id := core.NodeID(1); id <= 4; id++ {
		c.append(id, s.ID, uint64(id), to)
	}
	eventually(t, "acknowledged", func() bool { n, _ := to.count(); return n == 4 })
	if _, err := to.count(); err != nil {
		t.Error(err)
	}
	eventually(t, "it is linked with all", func() bool {
		up := 0
		n.peers.mu.Lock()
		defer n.peers.mu.Unlock()
		for _, p := range n.peers.all {
			p.mu.Lock()
			if p.link != nil {
				up++
			}
			p.mu.Unlock()
		}
		return up == 3
	})
}
