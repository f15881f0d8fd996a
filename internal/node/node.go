package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"trine/internal/core"
	"trine/internal/core/shard"
	"trine/internal/journal"
)

// Config is what a node starts with.
type Config struct {
	Node      core.NodeID
	Dir       string
	FS        journal.FS // nil: the machine's
	Journal   journal.Options
	Listen    string                 // host:port for the other nodes
	Advertise string                 // where they call it; "": as Listen, with the port that was got
	Peers     map[core.NodeID]string // the nodes named beside it; empty: it forms a cluster alone
	Rack      string
	Addresses map[string]string // of its front ends, told to every node
	Options   shard.Options
	Log       *slog.Logger
	ServerTLS *tls.Config // nil: plain connections between nodes
	ClientTLS *tls.Config

	// Tests stand in for the shard and the disk.
	newShard func(shard.Config) (stepper, error)
	openDisk func() (disk, *core.DiskReport, error)
}

// disk is a journal.
type disk interface {
	store
	Bind(cluster uint64, node core.NodeID) error
	Clean(now core.Stamp, budget int64) error
	Cramped() bool // it has hardly room for more
	Close() error
}

// Node is one run of a node. Close ends it and every goroutine that it started.
type Node struct {
	cfg  Config
	log  *slog.Logger
	self core.Peer

	disk     disk
	listener net.Listener
	dialer   net.Dialer
	began    time.Time

	inbox  inbox
	view   *view
	routes routes
	peers  *peers
	disks  *disks
	loads  *loads

	cluster atomic.Uint64 // 0: none yet
	linked  atomic.Bool   // some peer accepted this run
	ctx     context.Context
	cancel  context.CancelFunc
	stop    chan struct{} // closed when the node stops

	mu    sync.Mutex
	found found
	err   error // why it stopped

	acceptWait sync.WaitGroup // the listener and the handshakes
	diskWait   sync.WaitGroup // roads, loaders and the cleaner
	loopDone   chan struct{}  // closed at the loop's end; nil before it runs
	closing    sync.Once
}

// Start opens the disk, listens, finds or forms the cluster, and starts the loop.
// It returns once the node serves, which may need the other nodes: ctx gives up.
func Start(ctx context.Context, cfg Config) (*Node, error) {
	if cfg.Node <= 0 {
		return nil, &core.Error{Op: "start node", Kind: core.Invalid, Detail: "its id must be 1 or more"}
	}
	n := &Node{cfg: cfg, log: cfg.Log, began: time.Now(), view: newView(), stop: make(chan struct{})}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.cfg.FS == nil {
		n.cfg.FS = journal.OSFS()
	}
	n.inbox.wake = make(chan struct{}, 1)
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.peers = &peers{n: n, all: map[core.NodeID]*peer{}}
	report, err := n.open()
	if err == nil {
		err = n.listen()
	}
	if err == nil {
		err = n.begin(ctx, report)
	}
	if err != nil {
		n.fail(err)
		n.Close()
		return nil, err
	}
	return n, nil
}

// open opens the disk and names this run.
func (n *Node) open() (*core.DiskReport, error) {
	open := n.cfg.openDisk
	if open == nil {
		open = n.openJournal
	}
	d, report, err := open()
	if err != nil {
		return nil, err
	}
	n.disk = d
	n.self = core.Peer{Node: n.cfg.Node, Disk: report.Disk, Incarnation: core.Incarnation(drawID())}
	if err := checkOwner(n.cfg.Dir, report, n.cfg.Node); err != nil {
		return nil, err
	}
	n.disks, n.loads = newDisks(n, d), newLoads(n, d)
	return report, nil
}

func (n *Node) listen() error {
	l, err := net.Listen("tcp", n.cfg.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return &core.Error{Op: "listen for nodes", Name: n.cfg.Listen, Kind: core.Exist,
			Detail: "another " +
				"process has this port: is this node running already? else name another with --listen"}
	}
	if err != nil {
		return &core.Error{Op: "listen for nodes", Name: n.cfg.Listen, Kind: core.Invalid, Err: err}
	}
	n.listener = l
	if n.cfg.Advertise == "" {
		n.cfg.Advertise = l.Addr().String()
	}
	n.acceptWait.Add(1)
	go n.accept() // Close waits
	return nil
}

// begin joins or forms the cluster, binds the disk to it, and starts the loop.
func (n *Node) begin(ctx context.Context, report *core.DiskReport) error {
	f := n.recall(report)
	if f.cluster == 0 {
		var err error
		if f, err = n.join(ctx); err != nil {
			return err
		}
		if err := writeVoters(n.cfg.FS, n.cfg.Dir, f); err != nil {
			return err
		}
		if err := n.disk.Bind(f.cluster, n.self.Node); err != nil {
			return fmt.Errorf("bind disk to its cluster: %w", err)
		}
	}
	n.mu.Lock()
	n.found = f
	n.mu.Unlock()
	addresses := map[string]string{LinkAddress: n.cfg.Advertise}
	for name, a := range n.cfg.Addresses {
		addresses[name] = a
	}
	start := n.cfg.newShard
	if start == nil {
		start = newShard
	}
	s, err := start(shard.Config{Self: n.self, Rack: n.cfg.Rack, Addresses: addresses,
		Peers: n.namedPeers(), Cluster: f.cluster, Voters: f.voters, Disk: *report,
		Seed: drawID(), Options: n.cfg.Options})
	if err != nil {
		return err
	}
	n.log.Info("node starts", "node", n.self.Node, "disk", fmt.Sprintf("%016x", uint64(n.self.Disk)),
		"cluster", fmt.Sprintf("%016x", f.cluster), "streams", len(report.Streams), "clean", report.Clean)
	n.complain(report)
	n.run(f, s)
	return nil
}

// complain tells the operator what the disk was found to lack, with file and offset.
func (n *Node) complain(report *core.DiskReport) {
	for _, d := range report.Damage {
		n.log.Warn("the data directory is damaged; no stream suffers from it alone", "damage", d)
	}
	for i := range report.Streams {
		if r := &report.Streams[i]; r.Damage != "" {
			n.log.Error("a stream's copy is damaged", "stream", r.Stream, "damage", r.Damage)
		}
	}
}

// recall gives what the disk knows of its cluster.
func (n *Node) recall(report *core.DiskReport) found {
	if report.Cluster == 0 {
		return found{}
	}
	f, err := readVoters(n.cfg.FS, n.cfg.Dir)
	if err != nil {
		// The catalog's own checkpoint knows them too, once there is one.
		n.log.Error("the first voters are not known", "err", err)
	}
	return found{cluster: report.Cluster, voters: f.voters}
}

// run starts the goroutines of a node that has a shard.
func (n *Node) run(f found, s stepper) {
	n.diskWait.Add(2 + loadersMax + 1) // Close waits for all of them
	for _, r := range n.disks.roads {
		go r.run()
	}
	for range loadersMax {
		go n.loads.run()
	}
	go n.clean()
	n.loopDone = make(chan struct{})
	l := &loop{n: n, shard: s, links: map[core.NodeID]*link{}}
	go l.run() // Close waits for loopDone
	n.cluster.Store(f.cluster)
	for id, address := range n.cfg.Peers {
		n.peers.get(id, address, true)
	}
	for _, a := range f.addresses {
		n.peers.get(a.Node, a.Address, false)
	}
}

// now reads both clocks. The monotonic one begins at a second, so that 0 is no time.
func (n *Node) now() core.Now {
	return core.Now{Mono: core.Time(time.Since(n.began)) + core.Second,
		Wall: core.Stamp(time.Now().UnixMilli())}
}

// HandOver gives up what the node leads and waits until others lead it, or ctx ends.
func (n *Node) HandOver(ctx context.Context) error {
	done := make(chan error, 1)
	n.ask(&shard.Ask{Stop: true, Done: func(err error) { done <- err }})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-n.stop:
		return n.Err()
	}
}

// Done is closed when the node stops: because Close was called, or for the reason
// that Err gives.
func (n *Node) Done() <-chan struct{} { return n.stop }

// Err says why the node stopped; nil while it runs and where Close stopped it.
func (n *Node) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

// Address is where the other nodes call this one.
func (n *Node) Address() string { return n.cfg.Advertise }

func (n *Node) stopped() bool {
	select {
	case <-n.stop:
		return true
	default:
		return false
	}
}

// fail stops the node for a reason.
func (n *Node) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped() {
		return
	}
	n.err = err
	n.cancel()
	close(n.stop)
}

// Close stops the node and waits for all that it started. What was handed to the
// disk is written; asks that have no outcome yet get none.
func (n *Node) Close() error {
	n.fail(nil)
	var err error
	n.closing.Do(func() { err = n.close() })
	return err
}

func (n *Node) close() error {
	if n.listener != nil {
		n.listener.Close()
	}
	if n.loopDone != nil {
		<-n.loopDone
	}
	n.acceptWait.Wait()
	n.peers.close()
	n.inbox.close()
	if n.loopDone != nil {
		n.loads.close()
		for _, r := range n.disks.roads {
			r.close()
		}
		n.diskWait.Wait()
	}
	if n.disk == nil {
		return nil
	}
	return n.disk.Close()
}
