package node

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"trine/internal/core"
	wire "trine/internal/link"
)

// How often a node without a cluster asks, and how often it says that it waits.
const (
	joinAgain = 50 * time.Millisecond
	joinSay   = 5 * time.Second
)

// found is what a node starts its shard with.
type found struct {
	cluster   uint64
	voters    []core.Member      // nil: the disk knows them
	addresses []core.NodeAddress // of nodes that the configuration may not name
}

// join finds or forms the cluster of a node whose disk has none. It asks every
// peer that the configuration names, until one names its cluster or all of them
// answer that they have none either.
func (n *Node) join(ctx context.Context) (found, error) {
	said, what := time.Time{}, ""
	var refusals shut
	for {
		f, waits, err := n.joinOnce(&refusals)
		if err != nil || f.cluster != 0 {
			return f, err
		}
		since := time.Since(said)
		if text := waits.Error(); since > joinSay || text != what && since > joinSay/10 {
			said, what = time.Now(), text
			n.log.Info("waiting for the other nodes to form or find a cluster", "for", text)
		}
		select {
		case <-time.After(joinAgain):
		case <-ctx.Done():
			return found{}, context.Cause(ctx)
		case <-n.stop:
			return found{}, n.Err()
		}
	}
}

// joinOnce asks everybody once. waits says what is missing.
func (n *Node) joinOnce(refusals *shut) (f found, waits, err error) {
	type reply struct {
		answer *core.JoinAnswer
		err    error
	}
	ids := n.namedPeers()
	replies := make([]reply, len(ids))
	var wait sync.WaitGroup
	for i, id := range ids {
		wait.Go(func() { // ends with the deadlines of its connection; waited for below
			replies[i].answer, replies[i].err = n.askJoin(id)
		})
	}
	wait.Wait()
	empty := []core.Member{{Node: n.self.Node, Disk: n.self.Disk, InSync: true}}
	var problems, calls []error
	formed := false
	for i, r := range replies {
		calls = append(calls, r.err)
		switch {
		case r.err != nil:
			problems = append(problems, fmt.Errorf("node %d: %w", ids[i], r.err))
		case r.answer.Kind != core.OK:
			formed = formed || r.answer.Cluster != 0
			problems = append(problems, fmt.Errorf("node %d: %v: %s", ids[i], r.answer.Kind,
				r.answer.Detail))
		case r.answer.Cluster != 0 && f.cluster != 0 && r.answer.Cluster != f.cluster:
			return found{}, nil, &core.Error{Op: "join cluster", Kind: core.Conflict, Detail: fmt.Sprintf(
				"the named peers belong to different clusters (node %d to %016x, another to %016x): "+
					"correct the list of peers", ids[i], r.answer.Cluster, f.cluster)}
		case r.answer.Cluster != 0:
			f = found{r.answer.Cluster, r.answer.Voters, r.answer.Addresses}
		default:
			p := r.answer.Peer
			empty = append(empty, core.Member{Node: p.Node, Disk: p.Disk, InSync: true})
		}
	}
	if f.cluster != 0 {
		return f, nil, nil
	}
	if !formed && len(empty) == len(ids)+1 {
		return form(empty), nil, nil
	}
	if err := refusals.judge(calls); err != nil {
		return found{}, nil, err
	}
	return f, errors.Join(problems...), nil
}

// form derives the cluster that all these nodes form: each of them the same.
func form(voters []core.Member) found {
	slices.SortFunc(voters, func(a, b core.Member) int { return cmp.Compare(a.Node, b.Node) })
	disks := make([]uint64, len(voters))
	for i, v := range voters {
		disks[i] = uint64(v.Disk)
	}
	slices.Sort(disks)
	h := fnv.New64a()
	h.Write([]byte("trine cluster 1"))
	for _, d := range disks {
		h.Write(binary.BigEndian.AppendUint64(nil, d))
	}
	return found{cluster: h.Sum64() | 1, voters: voters}
}

// namedPeers gives the nodes named beside this one, in order.
func (n *Node) namedPeers() []core.NodeID {
	var ids []core.NodeID
	for id := range n.cfg.Peers {
		if id != n.self.Node {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// askJoin asks one peer for its cluster.
func (n *Node) askJoin(id core.NodeID) (*core.JoinAnswer, error) {
	h := n.hello(wire.ForJoin)
	h.Calls = id
	c, back, err := n.dialHello(n.cfg.Peers[id], h)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	ask := &core.Join{Peer: n.self, Empty: true, Rack: n.cfg.Rack, Addresses: n.cfg.Addresses,
		Named: append(n.namedPeers(), n.self.Node)}
	slices.Sort(ask.Named)
	b, err := wire.AppendFrames(nil, core.LaneBulk, ask)
	if err == nil {
		_, err = c.Write(b)
	}
	if err != nil {
		return nil, err
	}
	m, err := readMessage(c)
	if err != nil {
		return nil, err
	}
	a, ok := m.(*core.JoinAnswer)
	if !ok || a.Peer != back.Peer {
		return nil, fmt.Errorf("it answers a join with %T", m)
	}
	return a, nil
}

// answerJoin reads a Join and answers it. The connection has a deadline.
func (n *Node) answerJoin(c net.Conn) {
	defer c.Close()
	m, err := readMessage(c)
	if err != nil {
		return
	}
	ask, ok := m.(*core.Join)
	if !ok {
		return
	}
	if b, err := wire.AppendFrames(nil, core.LaneBulk, n.judgeJoin(ask)); err == nil {
		c.Write(b)
	}
}

func (n *Node) judgeJoin(ask *core.Join) *core.JoinAnswer {
	a := &core.JoinAnswer{Peer: n.self, Cluster: n.cluster.Load()}
	if a.Cluster == 0 {
		mine := append(n.namedPeers(), n.self.Node)
		slices.Sort(mine)
		if !slices.Equal(mine, ask.Named) {
			a.Kind, a.Detail = core.Conflict, fmt.Sprintf("neither has a cluster yet and they were told of "+
				"different nodes: node %d of %v, node %d of %v: name the same nodes on all of them",
				n.self.Node, mine, ask.Peer.Node, ask.Named)
		}
		return a
	}
	for _, i := range n.view.allNodes() {
		if i.Node == ask.Peer.Node && i.Alive && i.Disk != ask.Peer.Disk {
			// Were it linked now, its former run would look alive and could not be fenced.
			a.Kind, a.Detail = core.Unavailable, fmt.Sprintf("node %d is still held alive on "+
				"disk %016x: it must end first", i.Node, uint64(i.Disk))
			return a
		}
	}
	a.Voters, a.Addresses = n.voters(), n.peers.addresses()
	if len(a.Voters) == 0 {
		a.Kind, a.Detail = core.Unavailable, "it does not know its cluster's voters yet"
	}
	return a
}

// voters gives the first voters where this run found them, else those of the view.
func (n *Node) voters() []core.Member {
	n.mu.Lock()
	vs := n.found.voters
	n.mu.Unlock()
	if vs != nil {
		return vs
	}
	for _, i := range n.view.allNodes() {
		if i.Voter {
			vs = append(vs, core.Member{Node: i.Node, Disk: i.Disk, InSync: true})
		}
	}
	return vs
}

// readMessage reads one message that stands alone on a connection.
func readMessage(c net.Conn) (core.Message, error) {
	var a wire.Assembler
	b := make([]byte, wire.HeaderSize)
	for {
		if _, err := io.ReadFull(c, b[:wire.HeaderSize]); err != nil {
			return nil, err
		}
		_, size, need, err := wire.Cut(b[:wire.HeaderSize], core.LaneBulk)
		if err != nil {
			return nil, err
		}
		size += need
		b = append(b[:wire.HeaderSize], make([]byte, size-wire.HeaderSize)...)
		if _, err := io.ReadFull(c, b[wire.HeaderSize:]); err != nil {
			return nil, err
		}
		f, _, _, err := wire.Cut(b, core.LaneBulk)
		if err != nil {
			return nil, err
		}
		if m, err := a.Add(f); m != nil || err != nil {
			return m, err
		}
	}
}
