package node

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"trine/internal/core"
	"trine/internal/core/shard"
)

// How a node calls another one again: at once and every redialFast for redialFor
// after a link ended or the shard asked, then at intervals that double from there
// up to redialSlow.
const (
	redialFast = 5 * time.Millisecond
	redialFor  = 100 * time.Millisecond
	redialSlow = 250 * time.Millisecond
)

// LinkAddress is the key in core.NodeInfo.Addresses of where a node's peers call it.
const LinkAddress = "link"

// peers are the other nodes that this one knows an address of.
type peers struct {
	n    *Node
	mu   sync.Mutex
	all  map[core.NodeID]*peer
	wait sync.WaitGroup // of their callers
}

// peer is one other node. One goroutine calls it while its link is down.
type peer struct {
	n    *Node
	id   core.NodeID
	kick chan struct{} // of one: call at once
	wait sync.WaitGroup

	mu      sync.Mutex
	address string
	named   bool // the configuration gave the address: it outweighs all others
	link    *link
	half    *half
	last    core.Peer // the run last linked
	told    bool      // that last is gone
	closed  bool
	fast    time.Time // until then it is called every redialFast
	refusal refusal
}

// get gives the peer id, which it makes where it is new and has an address.
func (s *peers) get(id core.NodeID, address string, named bool) *peer {
	if id == s.n.self.Node || id <= 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.all[id]
	if p == nil {
		if address == "" || s.n.stopped() {
			return nil
		}
		p = &peer{n: s.n, id: id, kick: make(chan struct{}, 1)}
		s.all[id] = p
		s.wait.Add(1)
		go p.call() // ends when the node stops; peers.close waits
	}
	if address != "" {
		p.mu.Lock()
		if named || !p.named {
			p.address, p.named = address, named
		}
		p.mu.Unlock()
	}
	return p
}

// learn takes addresses from the catalog.
func (s *peers) learn(nodes []core.NodeInfo) {
	for i := range nodes {
		s.get(nodes[i].Node, nodes[i].Addresses[LinkAddress], false)
	}
}

// addresses gives where this node calls the others, in the order of their ids.
func (s *peers) addresses() []core.NodeAddress {
	s.mu.Lock()
	defer s.mu.Unlock()
	as := []core.NodeAddress{{Node: s.n.self.Node, Address: s.n.cfg.Advertise}}
	for id, p := range s.all {
		p.mu.Lock()
		as = append(as, core.NodeAddress{Node: id, Address: p.address})
		p.mu.Unlock()
	}
	slices.SortFunc(as, func(a, b core.NodeAddress) int { return cmp.Compare(a.Node, b.Node) })
	return as
}

// dial has a peer called at once, and again every few ms.
func (s *peers) dial(id core.NodeID) {
	if p := s.get(id, "", false); p != nil {
		p.hurry()
	}
}

// holder gives the run, other than p, that holds p's disk or node in a link that
// was heard of lately.
func (s *peers) holder(p core.Peer) *link {
	s.mu.Lock()
	all := make([]*peer, 0, len(s.all))
	for _, q := range s.all {
		all = append(all, q)
	}
	s.mu.Unlock()
	for _, q := range all {
		q.mu.Lock()
		k := q.link
		q.mu.Unlock()
		if k != nil && k.peer != p && (k.peer.Node == p.Node || k.peer.Disk == p.Disk) {
			return k
		}
	}
	return nil
}

// close ends all links and waits for the callers and the links' goroutines. The
// node's stop channel is closed.
func (s *peers) close() {
	s.wait.Wait()
	for _, p := range s.all {
		p.mu.Lock()
		p.closed = true
		k, h := p.link, p.half
		p.half = nil
		p.mu.Unlock()
		if k != nil {
			k.end(errEnded)
		}
		if h != nil {
			h.conn.Close()
		}
		p.wait.Wait()
	}
}

// hurry has the peer called at once, and often for redialFor.
func (p *peer) hurry() {
	p.mu.Lock()
	p.fast = time.Now().Add(redialFor)
	p.mu.Unlock()
	p.wake()
}

// wake has the peer called at once.
func (p *peer) wake() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// caller says whether this side makes the link.
func (p *peer) caller() bool { return p.n.self.Node < p.id }

// joined takes a new link into use. An older one of the same peer ends first; it
// is gone if it was another run's.
func (p *peer) joined(k *link) bool {
	p.mu.Lock()
	old := p.link
	p.mu.Unlock()
	if old != nil {
		old.end(errReplaced)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.link != nil || p.n.stopped() {
		return false
	}
	if p.last.Incarnation != 0 && p.last.Incarnation != k.peer.Incarnation {
		p.tellGone()
	}
	p.link, p.last, p.told = k, k.peer, false
	p.refusal = refusal{}
	p.n.linked.Store(true)
	p.n.inbox.change(func(b *batch) {
		b.events = append(b.events, shard.Event{Kind: shard.LinkUp, Peer: k.peer})
		b.links = append(b.links, k)
	})
	k.start()
	p.n.log.Info("link up", "peer", k.peer.String(), "address", p.address)
	return true
}

// lost takes note that the link k ended.
func (p *peer) lost(k *link, why error) {
	p.mu.Lock()
	if p.link != k {
		p.mu.Unlock()
		return
	}
	p.link = nil
	p.n.inbox.change(func(b *batch) {
		b.events = append(b.events, shard.Event{Kind: shard.LinkDown, Peer: k.peer})
		b.links = append(b.links, k)
	})
	p.mu.Unlock()
	p.hurry()
	if !p.n.stopped() {
		p.n.log.Warn("link down", "peer", k.peer.String(), "err", why)
	}
}

// gone takes note of evidence that the run last linked is dead.
func (p *peer) gone() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tellGone()
}

func (p *peer) tellGone() {
	if p.link != nil || p.told || p.last.Incarnation == 0 {
		return
	}
	p.told = true
	last := p.last
	p.n.inbox.change(func(b *batch) {
		b.events = append(b.events, shard.Event{Kind: shard.LinkDown, Peer: last, Gone: true})
		b.links = append(b.links, nil)
	})
	p.n.log.Warn("the run of the peer is over", "peer", last.String())
}

// deliver puts messages of the lane's link into the inbox while it is the peer's.
func (p *peer) deliver(l *lane, es []shard.Event, bytes int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link != l.link {
		return false
	}
	return p.n.inbox.change(func(b *batch) {
		b.events = append(b.events, es...)
		b.debts = append(b.debts, debt{l, bytes})
	})
}

// call is the goroutine that calls the peer while its link is down; peers.close
// waits for its end.
func (p *peer) call() {
	defer p.n.peers.wait.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	wait := redialFast
	for {
		select {
		case <-p.n.stop:
			return
		case <-p.kick:
		case <-timer.C:
		}
		p.mu.Lock()
		up, address, fast := p.link != nil, p.address, p.fast
		p.mu.Unlock()
		switch {
		case up:
			continue // until lost wakes it
		case p.n.cluster.Load() == 0:
			timer.Reset(redialFast)
			continue
		case p.caller():
			p.connect(address)
		default:
			p.probe(address)
		}
		if wait = min(2*wait, redialSlow); time.Now().Before(fast) {
			wait = redialFast
		}
		timer.Reset(wait)
	}
}
