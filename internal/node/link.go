package node

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"trine/internal/core"
	"trine/internal/core/shard"
	wire "trine/internal/link"
)

// windowBytes is how much of a lane may wait for the loop before it is read no
// further; pendingMax is how much may wait to be written before the link is given
// up: a peer that takes nothing for so long is not there.
const (
	windowBytes = 4 << 20
	pendingMax  = 256 << 20
)

// The sizes of the buffers that lanes read into. Decoded messages alias them, so
// a buffer is left to the garbage collector, never reused.
const (
	slabControl = 16 << 10
	slabBulk    = 256 << 10
	slabRest    = 2 << 10 // with less room than this a new one is begun
)

// link is two connections to one run of a peer. It is made up and ends once.
type link struct {
	n     *Node
	of    *peer
	peer  core.Peer
	lanes [2]*lane
	heard atomic.Int64 // core.Time at which the peer last said anything
	once  sync.Once
	done  chan struct{}
}

func newLink(n *Node, of *peer, p core.Peer, conns [2]net.Conn) *link {
	k := &link{n: n, of: of, peer: p, done: make(chan struct{})}
	for i, c := range conns {
		k.lanes[i] = &lane{link: k, id: core.Lane(i), conn: c, wake: make(chan struct{}, 1),
			paid: make(chan struct{}, 1)}
	}
	k.heard.Store(int64(n.now().Mono))
	return k
}

// start begins to read and write; the peer's wait group knows the four goroutines,
// and Node.Close waits for it.
func (k *link) start() {
	k.of.wait.Add(4)
	for _, l := range k.lanes {
		go l.read()
		go l.write()
	}
}

// end takes the link down, for whoever notices first.
func (k *link) end(why error) {
	k.once.Do(func() {
		close(k.done)
		for _, l := range k.lanes {
			l.conn.Close()
		}
		k.of.lost(k, why)
	})
}

// lane is one of a link's connections.
type lane struct {
	link    *link
	id      core.Lane
	conn    net.Conn
	touched bool // the loop's: something was added this turn

	mu      sync.Mutex
	pending []byte // frames to be written
	wake    chan struct{}

	owed atomic.Int64 // bytes read that the loop has not worked off
	paid chan struct{}
}

// add encodes m behind what waits. The loop calls it, and flush at the turn's end.
func (l *lane) add(m core.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) > pendingMax {
		return fmt.Errorf("%d bytes wait to be sent: the peer takes nothing", len(l.pending))
	}
	var err error
	l.pending, err = wire.AppendFrames(l.pending, l.id, m)
	return err
}

func (l *lane) flush() {
	l.touched = false
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// write is the goroutine that writes what waits, all at once.
func (l *lane) write() {
	defer l.link.of.wait.Done()
	var spare []byte
	for {
		select {
		case <-l.wake:
		case <-l.link.done:
			return
		}
		l.mu.Lock()
		b := l.pending
		l.pending = spare[:0]
		l.mu.Unlock()
		if len(b) == 0 {
			spare = b
			continue
		}
		if _, err := l.conn.Write(b); err != nil {
			l.link.end(err)
			return
		}
		if spare = b; cap(spare) > 1<<20 {
			spare = nil
		}
	}
}

// read is the goroutine that reads frames and gives their messages to the loop,
// those of one read together.
func (l *lane) read() {
	defer l.link.of.wait.Done()
	l.link.end(l.readAll())
}

func (l *lane) readAll() error {
	size := slabControl
	if l.id == core.LaneBulk {
		size = slabBulk
	}
	var a wire.Assembler
	var es []shard.Event
	slab := make([]byte, size)
	from, to := 0, 0 // what was read and not yet cut
	unowed := 0      // bytes read since messages were delivered last
	for {
		n, err := l.conn.Read(slab[to:])
		if n == 0 && err != nil {
			return err
		}
		l.link.heard.Store(int64(l.link.n.now().Mono))
		to += n
		unowed += n
		es = es[:0]
		need := 0
		for {
			f, cut, more, err := wire.Cut(slab[from:to], l.id)
			if err != nil {
				return err
			}
			if cut == 0 {
				need = more
				break
			}
			from += cut
			m, err := a.Add(f)
			if err != nil {
				return err
			}
			if m != nil {
				es = append(es, shard.Event{Kind: shard.Message, Peer: l.link.peer, Msg: m})
			}
		}
		if len(es) > 0 {
			if !l.deliver(es, unowed) {
				return errEnded
			}
			unowed = 0
		}
		if from+need > len(slab) || len(slab)-to < slabRest {
			next := make([]byte, max(size, need))
			to = copy(next, slab[from:to])
			slab, from = next, 0
		}
	}
}

var errEnded = errors.New("the link has ended")

// deliver puts messages into the inbox while the link is the peer's, so that none
// comes after its LinkDown, and waits while too much is owed. The control lane
// never waits: it must not stand behind batches.
func (l *lane) deliver(es []shard.Event, bytes int) bool {
	owed := l.owed.Add(int64(bytes))
	if !l.link.of.deliver(l, es, bytes) {
		return false
	}
	if l.id == core.LaneControl {
		return true
	}
	for owed > windowBytes {
		select {
		case <-l.paid:
		case <-l.link.done:
			return false
		}
		owed = l.owed.Load()
	}
	return true
}

// pay says that the loop has worked off so many bytes.
func (l *lane) pay(bytes int) {
	if l.owed.Add(-int64(bytes)) <= windowBytes {
		select {
		case l.paid <- struct{}{}:
		default:
		}
	}
}
