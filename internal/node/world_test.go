package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"trine/internal/core"
	"trine/internal/core/shard"
	"trine/internal/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a shard whose decisions a test writes.
type script struct {
	cfg shard.Config

	mu    sync.Mutex
	seen  []shard.Event
	lines []string
	turn  func(now core.Now, in []shard.Event, out *shard.Turn) // nil: nothing
	do    []func(out *shard.Turn)                               // once each, with the next turn
}

func (s *script) Step(now core.Now, in []shard.Event, out *shard.Turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range in {
		s.seen = append(s.seen, e)
		s.lines = append(s.lines, describe(e))
	}
	if s.turn != nil {
		s.turn(now, in, out)
	}
	for _, do := range s.do {
		do(out)
	}
	s.do = nil
}

func describe(e shard.Event) string {
	switch e.Kind {
	case shard.LinkUp:
		return fmt.Sprintf("up %d", e.Peer.Node)
	case shard.LinkDown:
		return fmt.Sprintf("down %d gone=%v", e.Peer.Node, e.Gone)
	case shard.Message:
		return fmt.Sprintf("message %d %T", e.Peer.Node, e.Msg)
	case shard.Flushed:
		return fmt.Sprintf("flushed %d", e.ID)
	case shard.Failed:
		return fmt.Sprintf("failed %d: %v", e.ID, e.Err)
	case shard.Loaded:
		return fmt.Sprintf("loaded %d", e.ID)
	case shard.Asked:
		return "asked"
	}
	return "tick"
}

func (s *script) events() []shard.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

func (s *script) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

func (s *script) count(line string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, l := range s.lines {
		if l == line {
			n++
		}
	}
	return n
}

// fakeDisk keeps nothing; a test may hold or fail its writes.
type fakeDisk struct {
	report core.DiskReport
	gate   func(road core.Flush, ws []core.Write) error
	refuse []journal.Refusal
	rests  atomic.Int32

	mu      sync.Mutex
	calls   []string
	bound   core.NodeID
	cluster uint64
	closed  bool
}

func (d *fakeDisk) write(road core.Flush, ws []core.Write) error {
	ids := make([]uint64, len(ws))
	for i, w := range ws {
		ids[i] = w.ID
	}
	d.mu.Lock()
	d.calls = append(d.calls, fmt.Sprintf("%d%v", road, ids))
	gate := d.gate
	d.mu.Unlock()
	if gate != nil {
		return gate(road, ws)
	}
	return nil
}

func (d *fakeDisk) WriteEach(ws []core.Write) ([]journal.Refusal, error) {
	return d.refuse, d.write(core.FlushEach, ws)
}
func (d *fakeDisk) WriteLazy(ws []core.Write) ([]journal.Refusal, error) {
	return nil, d.write(core.FlushLazy, ws)
}
func (d *fakeDisk) Rest() error {
	d.rests.Add(1)
	return nil
}
func (d *fakeDisk) Load(l core.Load) ([]core.Entry, error) {
	if l.Stream == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return []core.Entry{{Index: l.Index}}, nil
}
func (d *fakeDisk) Bind(cluster uint64, node core.NodeID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bound, d.cluster = node, cluster
	return nil
}
func (d *fakeDisk) Clean(core.Stamp, int64) error { return nil }
func (*fakeDisk) Cramped() bool                   { return false }

func (d *fakeDisk) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return nil
}
func (d *fakeDisk) written() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

// member is one node of a test's cluster.
type member struct {
	*Node
	script *script
	disk   *fakeDisk
	logged *lines
}

// lines is a log that a test reads.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), s)
}

// setup is what a test's node starts with beside its defaults: node id, disk
// 100+id, cluster 5.
type setup struct {
	id      core.NodeID
	disk    core.DiskID
	cluster uint64
	empty   bool
	listen  string
	peers   map[core.NodeID]string
	ctx     context.Context
}

func start(t *testing.T, s setup) (*member, error) {
	t.Helper()
	return startLogged(t, &member{logged: &lines{}}, s)
}

// startLogged starts a node whose log, and disk if it has one, the test has at hand
// even if it does not start.
func startLogged(t *testing.T, m *member, s setup) (*member, error) {
	t.Helper()
	m.script = &script{}
	if s.disk == 0 {
		s.disk = 100 + core.DiskID(s.id)
	}
	if s.cluster == 0 && !s.empty {
		s.cluster = 5
	}
	if s.listen == "" {
		s.listen = "127.0.0.1:0"
	}
	if s.ctx == nil {
		s.ctx = t.Context()
	}
	if m.disk == nil {
		m.disk = &fakeDisk{report: core.DiskReport{Disk: s.disk, Cluster: s.cluster}}
		if !s.empty {
			m.disk.report.Node = s.id
		}
	}
	memory := journal.NewMemFS()
	memory.MkdirAll("test")
	cfg := Config{Node: s.id, Dir: "test", FS: memory, Listen: s.listen, Peers: s.peers,
		Log:      slog.New(slog.NewTextHandler(m.logged, nil)),
		openDisk: func() (disk, *core.DiskReport, error) { return m.disk, &m.disk.report, nil },
		newShard: func(c shard.Config) (stepper, error) { m.script.cfg = c; return m.script, nil }}
	n, err := Start(s.ctx, cfg)
	if err != nil {
		return nil, err
	}
	m.Node = n
	t.Cleanup(func() { n.Close() })
	return m, nil
}

func mustStart(t *testing.T, s setup) *member {
	t.Helper()
	m, err := start(t, s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// freeAddresses gives n addresses that were free a moment ago.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	var as []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		as = append(as, l.Addr().String())
	}
	return as
}

// pairOf starts nodes 1 and 2 of one cluster and waits for their link.
func pairOf(t *testing.T) (a, b *member, addresses map[core.NodeID]string) {
	t.Helper()
	free := freeAddresses(t, 2)
	addresses = map[core.NodeID]string{1: free[0], 2: free[1]}
	a = mustStart(t, setup{id: 1, listen: free[0], peers: addresses})
	b = mustStart(t, setup{id: 2, listen: free[1], peers: addresses})
	eventually(t, "both links up", func() bool {
		return a.script.count("up 2") == 1 && b.script.count("up 1") == 1
	}, a, b)
	return a, b, addresses
}

// eventually waits for what must come; how long it may take is no assertion.
func eventually(t *testing.T, what string, ok func() bool, ms ...*member) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			for i, m := range ms {
				t.Logf("node %d saw:\n%s\nlogged:\n%s", i+1, m.script.log(), m.logged.b.String())
			}
			t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// run has the member's next turn do something.
func (m *member) run(do func(out *shard.Turn)) {
	m.script.mu.Lock()
	m.script.do = append(m.script.do, do)
	m.script.mu.Unlock()
	m.ask(&shard.Ask{})
}

// sync waits until the loop has worked off what came before.
func (m *member) sync() {
	done := make(chan struct{})
	m.onLoop(func() { close(done) })
	<-done
}
