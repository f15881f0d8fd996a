package node

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"trine/internal/core"
	wire "trine/internal/link"
)

// The longest that a call and the Hellos after it may take.
const (
	dialMax  = 500 * time.Millisecond
	helloMax = time.Second
)

// heardMax is how long a connected run may have been silent for another run of the
// same node or disk to take its place; within it, the other is a clone.
const heardMax = core.Second

var errReplaced = errors.New("replaced by a newer connection")

// refused is the other side's answer that it does not accept a Hello.
type refused struct {
	by   core.NodeID
	why  wire.Refusal
	text string
}

func (r *refused) Error() string {
	s := fmt.Sprintf("node %d refuses: %v", r.by, r.why)
	if r.text != "" {
		s += ": " + r.text
	}
	return s
}

// half is a link of which one lane stands.
type half struct {
	id   uint64 // wire.Hello.Link
	peer core.Peer
	lane core.Lane
	conn net.Conn
}

func drawID() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])>>2 | 1
}

func (n *Node) hello(p wire.Purpose) wire.Hello {
	return wire.Hello{Oldest: wire.VersionMin, Newest: wire.Version, Cluster: n.cluster.Load(),
		Peer: n.self, Purpose: p, Address: n.cfg.Advertise}
}

func readHello(c net.Conn) (wire.Hello, error) {
	b := make([]byte, wire.HelloMax)
	if _, err := io.ReadFull(c, b[:wire.HelloPrefix]); err != nil {
		return wire.Hello{}, err
	}
	size, err := wire.HelloSize(b)
	if err != nil {
		return wire.Hello{}, err
	}
	if _, err := io.ReadFull(c, b[wire.HelloPrefix:size]); err != nil {
		return wire.Hello{}, err
	}
	return wire.DecodeHello(b[:size])
}

// dialHello calls an address, says h and reads the answer. The deadline of the
// connection stands until the caller clears it.
func (n *Node) dialHello(address string, h wire.Hello) (net.Conn, wire.Hello, error) {
	ctx, cancel := context.WithTimeout(n.ctx, dialMax)
	defer cancel()
	c, err := n.dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, wire.Hello{}, err
	}
	tune(c)
	raw := c
	defer context.AfterFunc(n.ctx, func() { raw.Close() })()
	c.SetDeadline(time.Now().Add(helloMax))
	if n.cfg.ClientTLS != nil {
		cfg := n.cfg.ClientTLS.Clone()
		cfg.ServerName, _, _ = net.SplitHostPort(address)
		c = tls.Client(c, cfg)
	}
	if _, err = c.Write(wire.AppendHello(nil, h)); err != nil {
		c.Close()
		return nil, wire.Hello{}, err
	}
	back, err := readHello(c)
	if err == nil && back.Refusal != wire.Accepted {
		err = &refused{back.Peer.Node, back.Refusal, back.Text}
	}
	if _, common := back.Common(); err == nil && !common {
		err = fmt.Errorf("node %d speaks versions %d to %d of the link, this program %d to %d",
			back.Peer.Node, back.Oldest, back.Newest, wire.VersionMin, wire.Version)
	}
	if err == nil && h.Calls != 0 && back.Peer.Node != h.Calls {
		err = fmt.Errorf("node %d answers at %s where node %d was called",
			back.Peer.Node, address, h.Calls)
	}
	if err != nil {
		c.Close()
		return nil, back, err
	}
	return c, back, nil
}

// connect makes the link: both lanes, a Hello each way on each, go on both.
func (p *peer) connect(address string) {
	h := p.n.hello(wire.ForControl)
	h.Calls, h.Link = p.id, drawID()
	var conns [2]net.Conn
	var backs [2]wire.Hello
	for i := range conns {
		h.Purpose = wire.Purpose(i)
		c, back, err := p.n.dialHello(address, h)
		if err == nil && i > 0 && back.Peer != backs[0].Peer {
			c.Close()
			err = fmt.Errorf("another run answers on the second connection")
		}
		if err != nil {
			if conns[0] != nil {
				conns[0].Close()
			}
			p.failed(back, err)
			return
		}
		conns[i], backs[i] = c, back
	}
	for _, c := range conns {
		c.Write(wire.AppendGo(nil)) // an error shows at once on reading
		c.SetDeadline(time.Time{})
	}
	k := newLink(p.n, p, backs[0].Peer, conns)
	if !p.joined(k) {
		k.end(errEnded)
	}
}

// probe asks whether the run last linked is still there, and to be called.
func (p *peer) probe(address string) {
	h := p.n.hello(wire.ForProbe)
	h.Calls = p.id
	c, back, err := p.n.dialHello(address, h)
	if err == nil {
		c.Close()
	}
	p.failed(back, err)
}

// failed judges what a call without a link says of the peer's life.
func (p *peer) failed(back wire.Hello, err error) {
	p.mu.Lock()
	last := p.last
	p.mu.Unlock()
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		p.gone()
	case back.Peer.Node == p.id && back.Peer.Incarnation != last.Incarnation:
		p.gone()
	}
	var r *refused
	if !errors.As(err, &r) {
		r = nil
	}
	p.refused(r)
}

// accept takes calls until the listener is closed; Node.Close waits for it and for
// the handshakes.
func (n *Node) accept() {
	defer n.acceptWait.Done()
	for {
		c, err := n.listener.Accept()
		if err != nil {
			if n.stopped() {
				return
			}
			n.log.Error("accept on the link port", "err", err)
			time.Sleep(10 * time.Millisecond)
			continue
		}
		n.acceptWait.Add(1)
		go n.greet(c) // ends within helloMax, or with its join
	}
}

// greet answers one call.
func (n *Node) greet(c net.Conn) {
	defer n.acceptWait.Done()
	tune(c)
	raw := c
	defer context.AfterFunc(n.ctx, func() { raw.Close() })()
	c.SetDeadline(time.Now().Add(helloMax))
	if n.cfg.ServerTLS != nil {
		c = tls.Server(c, n.cfg.ServerTLS)
	}
	h, err := readHello(c)
	if err != nil {
		c.Close()
		if end := net.Error(nil); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) &&
			!errors.As(err, &end) { // not only the end of the connection
			n.log.Warn("call refused", "from", c.RemoteAddr().String(), "err", err)
		}
		return
	}
	back := n.hello(h.Purpose)
	back.Refusal, back.Text = n.judge(h)
	if back.Refusal > wire.Accepted && back.Refusal < wire.NotReady {
		n.log.Error("call refused", "from", c.RemoteAddr().String(), "peer", h.Peer.String(),
			"why", back.Refusal.String(), "detail", back.Text)
	}
	if _, err = c.Write(wire.AppendHello(nil, back)); err != nil || back.Refusal != wire.Accepted {
		c.Close()
		return
	}
	switch h.Purpose {
	case wire.ForControl, wire.ForBulk:
		n.pair(c, h)
	case wire.ForJoin:
		n.answerJoin(c)
	default:
		c.Close()
		if p := n.peers.get(h.Peer.Node, h.Address, false); p != nil && p.caller() {
			p.wake()
		}
	}
}

// judge says whether a Hello is accepted.
func (n *Node) judge(h wire.Hello) (wire.Refusal, string) {
	mine := n.cluster.Load()
	if _, common := h.Common(); !common {
		return wire.WrongVersion, fmt.Sprintf("the caller speaks versions %d to %d of the link, "+
			"node %d speaks %d to %d", h.Oldest, h.Newest, n.self.Node, wire.VersionMin, wire.Version)
	}
	if mine != 0 && h.Cluster != 0 && h.Cluster != mine {
		return wire.WrongCluster, fmt.Sprintf("node %d belongs to cluster %016x, the caller's data "+
			"to %016x", n.self.Node, mine, h.Cluster)
	}
	if h.Calls != 0 && h.Calls != n.self.Node {
		return wire.WrongNode, fmt.Sprintf("this is node %d, the caller called node %d",
			n.self.Node, h.Calls)
	}
	if h.Peer.Node <= 0 || h.Peer.Disk == 0 || h.Peer.Incarnation == 0 {
		return wire.Misplaced, "the caller names no node, disk or run"
	}
	if h.Peer.Node == n.self.Node || h.Peer.Disk == n.self.Disk {
		return wire.Cloned, fmt.Sprintf("the caller is %v, as this process is: was a data directory "+
			"or a configuration copied?", n.self)
	}
	if k := n.peers.holder(h.Peer); k != nil {
		if n.now().Mono-core.Time(k.heard.Load()) < heardMax {
			return wire.Cloned, fmt.Sprintf("%v is connected to node %d as another process",
				k.peer, n.self.Node)
		}
		k.end(errReplaced)
	}
	switch h.Purpose {
	case wire.ForControl, wire.ForBulk:
		if mine == 0 || h.Cluster == 0 || n.stopped() {
			return wire.NotReady, ""
		}
		if h.Peer.Node > n.self.Node {
			return wire.Misplaced, "the node with the smaller id makes the link"
		}
	case wire.ForJoin, wire.ForProbe:
	default:
		return wire.Misplaced, fmt.Sprintf("purpose %d is unknown", h.Purpose)
	}
	return wire.Accepted, ""
}

// pair waits for go and joins the two lanes of one link.
func (n *Node) pair(c net.Conn, h wire.Hello) {
	b := make([]byte, wire.HeaderSize)
	_, err := io.ReadFull(c, b)
	var f wire.Frame
	if err == nil {
		f, _, _, err = wire.Cut(b, core.LaneControl)
	}
	p := n.peers.get(h.Peer.Node, h.Address, false)
	if err != nil || !f.Go() || p == nil {
		c.Close()
		return
	}
	c.SetDeadline(time.Time{})
	p.mu.Lock()
	other := p.half
	lane := core.Lane(h.Purpose)
	if p.closed {
		p.mu.Unlock()
		c.Close()
		return
	}
	if other == nil || other.id != h.Link || other.lane == lane || other.peer != h.Peer {
		p.half = &half{h.Link, h.Peer, lane, c}
		p.mu.Unlock()
		if other != nil {
			other.conn.Close()
		}
		return
	}
	p.half = nil
	p.mu.Unlock()
	var conns [2]net.Conn
	conns[lane], conns[other.lane] = c, other.conn
	k := newLink(n, p, h.Peer, conns)
	if !p.joined(k) {
		k.end(errEnded)
	}
}
