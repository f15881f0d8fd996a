package node

import (
	"errors"
	"fmt"
	"time"

	"trine/internal/core"
	wire "trine/internal/link"
)

// A refusal that will not pass by itself is said again every refusalAgain; it ends
// a node that no peer ever accepted once it has stood for refusalMax.
const (
	refusalAgain = 10 * time.Second
	refusalMax   = 3 * time.Second
)

// refusal is what a peer last had against this node.
type refusal struct {
	what  *refused // nil: nothing
	since time.Time
	said  time.Time
}

// lasting says whether it is one that an operator must look at.
func (r refusal) lasting() bool {
	return r.what != nil && r.what.why != wire.NotReady && r.what.why != wire.Misplaced
}

// refused takes note of how the peer answered a call: r is nil where it did not
// refuse. A node that is refused by everybody, or is a clone, has no work to do.
func (p *peer) refused(r *refused) {
	now := time.Now()
	p.mu.Lock()
	if r == nil || p.refusal.what == nil || p.refusal.what.why != r.why {
		p.refusal = refusal{what: r, since: now}
	}
	say := p.refusal.lasting() && now.Sub(p.refusal.said) > refusalAgain
	if say {
		p.refusal.said = now
	}
	stands := p.refusal.lasting() && now.Sub(p.refusal.since) > refusalMax
	p.mu.Unlock()
	if say {
		p.n.log.Error("a peer refuses this node", "node", p.id, "err", r)
	}
	if stands && !p.n.linked.Load() && (r.why == wire.Cloned || p.n.peers.allRefuse()) {
		p.n.fail(r.final())
	}
}

// final is the error of a node that a refusal ends: what to do about it, and its cause.
func (r *refused) final() *core.Error {
	return &core.Error{Op: "join cluster", Kind: core.Denied, Err: r, Detail: hints[r.why]}
}

// shut counts for how long everybody that a node without a cluster asks has refused it.
type shut struct{ since time.Time }

// judge gives the error that ends the node, once all of replies have been lasting refusals for
// refusalMax.
func (s *shut) judge(replies []error) *core.Error {
	var last *refused
	for _, err := range replies {
		var r *refused
		if !errors.As(err, &r) || !(refusal{what: r}).lasting() {
			last = nil
			break
		}
		last = r
	}
	now := time.Now()
	switch {
	case last == nil:
		s.since = time.Time{}
	case s.since.IsZero():
		s.since = now
	case now.Sub(s.since) > refusalMax:
		return last.final()
	}
	return nil
}

var hints = map[wire.Refusal]string{
	wire.WrongVersion: "run the same release on every node, or upgrade one release at a time",
	wire.WrongCluster: "the data directory was made in another cluster: point this node at its own " +
		"directory, or at an empty one",
	wire.WrongNode: "the addresses of the peers are mixed up: check them and the node's own id",
	wire.Cloned: "two processes run as the same node or on copies of the same directory: " +
		"stop one, or give it an id and an empty directory of its own",
}

// allRefuse says whether every peer has something lasting against this node.
func (s *peers) allRefuse() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.all {
		p.mu.Lock()
		lasting := p.refusal.lasting()
		p.mu.Unlock()
		if !lasting {
			return false
		}
	}
	return true
}

// checkOwner refuses a directory that another node wrote.
func checkOwner(dir string, disk *core.DiskReport, id core.NodeID) error {
	if disk.Node != 0 && disk.Node != id {
		return &core.Error{Op: "open data directory", Name: dir, Kind: core.Denied, Detail: fmt.Sprintf(
			"it belongs to node %d and this is node %d: start it as node %d, or give this node an "+
				"empty directory of its own", disk.Node, id, disk.Node)}
	}
	return nil
}
