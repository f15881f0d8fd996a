package sim

import (
	"fmt"

	"trine/internal/core"
	"trine/internal/core/shard"
	"trine/internal/link"
)

// wire is the network between two nodes: both connections, in order within each.
type wire struct {
	w    *World
	a, b *Node
	up   bool
	gen  int // of the connections; what is of an older one is lost
	// Cuts are silent: what is sent waits, as it does in a TCP connection, until the
	// cut ends or the connection is given up.
	cutAB, cutBA bool
	refuse       bool // a cut that resets and refuses
	held         []parcel
	late         core.Time       // every batch takes so much longer
	ending       int             // ends that have not noticed yet that the connections ended
	last         [2][2]core.Time // when the last parcel arrives, by direction and lane
}

type parcel struct {
	from, to *Node
	lane     core.Lane
	data     []byte
}

func (l *wire) other(n *Node) *Node {
	if n == l.a {
		return l.b
	}
	return l.a
}

func (l *wire) cut(from *Node) bool {
	if from == l.a {
		return l.cutAB
	}
	return l.cutBA
}

// dial tries to set the connections up.
func (l *wire) dial(from *Node) {
	to := l.other(from)
	if l.up || !from.up {
		return
	}
	if from.paused {
		from.redial(l, 10*core.Millisecond)
		return
	}
	if l.refuse || !to.up {
		run := from.run
		l.w.After(l.w.between(100*core.Microsecond, core.Millisecond), func() {
			if from.up && from.run == run && !l.up && (!to.up && !l.refuse) && to.was.Incarnation != 0 {
				from.push(shard.Event{Kind: shard.LinkDown, Peer: to.was, Gone: true})
			}
		})
		from.redial(l, 5*core.Millisecond)
		return
	}
	if from.lost || to.lost || l.cutAB || l.cutBA || to.paused || l.ending > 0 {
		from.redial(l, l.w.between(core.Millisecond, 100*core.Millisecond))
		return
	}
	l.up = true
	l.gen++
	l.w.trace("link %d-%d up", l.a.ID, l.b.ID)
	from.push(shard.Event{Kind: shard.LinkUp, Peer: to.self})
	to.push(shard.Event{Kind: shard.LinkUp, Peer: from.self})
}

// end ends the connections: what is on the way is lost.
func (l *wire) end(why string) {
	if !l.up {
		return
	}
	l.up = false
	l.gen++
	l.held = nil
	l.w.trace("link %d-%d down: %s", l.a.ID, l.b.ID, why)
	for _, n := range []*Node{l.a, l.b} {
		n, other, run := n, l.other(n).self, n.run
		l.ending++
		l.w.After(l.w.between(50*core.Microsecond, 2*core.Millisecond), func() {
			l.ending--
			if n.up && n.run == run {
				n.push(shard.Event{Kind: shard.LinkDown, Peer: other})
				n.redial(l, core.Millisecond)
			}
		})
	}
}

// send puts a message on its way, as bytes.
func (l *wire) send(from *Node, lane core.Lane, m core.Message) {
	if !l.up {
		return
	}
	m = l.w.lies.send(from, l.other(from), m)
	p := parcel{from, l.other(from), lane, link.Append(nil, m)}
	if l.cut(from) {
		l.w.lies.cut(l, from, m)
		l.held = append(l.held, p)
		return
	}
	l.carry(p)
}

func (l *wire) carry(p parcel) {
	dir := 0
	if p.from == l.b {
		dir = 1
	}
	at := l.w.now + l.w.between(30*core.Microsecond, 200*core.Microsecond) + core.Time(len(p.data))
	if p.lane == core.LaneBulk {
		at += l.late
	}
	if l.w.chance(2) {
		at += l.w.between(0, 20*core.Millisecond)
	}
	at = max(at, l.last[dir][p.lane]+1)
	l.last[dir][p.lane] = at
	gen := l.gen
	l.w.After(at-l.w.now, func() {
		if l.gen != gen || !l.up || !p.to.up {
			return
		}
		if l.cut(p.from) {
			l.held = append(l.held, p)
			return
		}
		m, err := link.Decode(p.data)
		if err != nil {
			panic(fmt.Sprintf("what link encoded it must decode: %v", err))
		}
		p.to.push(shard.Event{Kind: shard.Message, Peer: p.from.self, Msg: m})
	})
}

// heal ends a cut: what was held arrives now.
func (l *wire) heal() {
	l.cutAB, l.cutBA, l.refuse = false, false, false
	held := l.held
	l.held = nil
	for _, p := range held {
		l.carry(p)
	}
}
