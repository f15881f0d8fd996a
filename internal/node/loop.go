package node

import (
	"context"
	"log/slog"
	"time"

	"trine/internal/core"
	"trine/internal/core/shard"
)

// turnEventsMax bounds the events of one Step, so that a turn ends soon.
const turnEventsMax = 1024

// flushAgeMax is how old the oldest unfinished write may be for a heartbeat to
// leave: a node whose disk does not answer must not look alive.
const flushAgeMax = core.Second

// stepper is the shard, as the loop sees it.
type stepper interface {
	Step(now core.Now, in []shard.Event, out *shard.Turn)
}

// loop owns the shard. All its fields belong to the loop's goroutine.
type loop struct {
	n       *Node
	shard   stepper
	turn    shard.Turn
	links   map[core.NodeID]*link // as the shard knows them
	touched []*lane               // lanes that were given something this turn
	wakeAt  core.Time
	held    bool // heartbeats are being held back
}

// run is the loop; Node.Close waits for its end.
func (l *loop) run() {
	defer close(l.n.loopDone)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var b batch
	l.step(nil) // what the shard does with what its disk knows
	for {
		b.reset()
		b = l.n.inbox.take(b)
		l.work(&b)
		if l.n.stopped() {
			return
		}
		if len(b.events)+len(b.calls) > 0 {
			continue
		}
		wait := time.Hour
		if l.wakeAt != 0 {
			wait = time.Duration(l.wakeAt - l.n.now().Mono)
		}
		if wait <= 0 {
			l.step(append(b.events[:0], shard.Event{Kind: shard.Tick}))
			continue
		}
		timer.Reset(wait)
		select {
		case <-l.n.inbox.wake:
		case <-timer.C:
		case <-l.n.stop:
		}
	}
}

// work takes a batch through the shard, a bounded number of events a turn.
func (l *loop) work(b *batch) {
	for _, call := range b.calls {
		call()
	}
	l.n.disks.wrote(b.wrote)
	links := b.links
	for es := b.events; len(es) > 0; {
		k := min(len(es), turnEventsMax)
		links = l.follow(es[:k], links)
		l.step(es[:k])
		es = es[k:]
		if l.n.stopped() {
			return
		}
	}
	for _, d := range b.debts {
		d.lane.pay(d.bytes)
	}
}

// follow keeps the links as the shard will know them after these events.
func (l *loop) follow(es []shard.Event, links []*link) []*link {
	for i := range es {
		switch {
		case es[i].Kind == shard.LinkUp:
			l.links[es[i].Peer.Node] = links[0]
			links = links[1:]
		case es[i].Kind == shard.LinkDown:
			if k := links[0]; k != nil && l.links[es[i].Peer.Node] == k {
				delete(l.links, es[i].Peer.Node)
			}
			links = links[1:]
		}
	}
	return links
}

// step adds a Tick where one is due, calls the shard, and carries out its turn.
func (l *loop) step(es []shard.Event) {
	now := l.n.now()
	if l.wakeAt != 0 && now.Mono >= l.wakeAt && (len(es) == 0 || es[len(es)-1].Kind != shard.Tick) {
		es = append(es[:len(es):len(es)], shard.Event{Kind: shard.Tick})
	}
	l.turn.Reset()
	l.shard.Step(now, es, &l.turn)
	l.wakeAt = l.turn.WakeAt
	l.carryOut(now.Mono, &l.turn)
}

func (l *loop) carryOut(now core.Time, t *shard.Turn) {
	l.n.view.publish(&t.View)
	if t.View.Nodes != nil {
		l.n.peers.learn(t.View.Nodes)
	}
	for i := range t.Sends {
		l.send(now, &t.Sends[i])
	}
	for i, k := range l.touched {
		k.flush()
		l.touched[i] = nil
	}
	l.touched = l.touched[:0]
	l.n.disks.submit(t.Writes)
	l.n.loads.submit(t.Loads)
	for _, id := range t.Dials {
		l.n.peers.dial(id)
	}
	for i := range t.Answers {
		t.Answers[i].Deliver()
	}
	for i := range t.Lends {
		t.Lends[i].Deliver()
	}
	for i := range t.Forwards {
		l.n.routes.forward(&t.Forwards[i], l.n.forwarded)
	}
	for _, note := range t.Log {
		l.n.log.Log(context.Background(), slog.Level(note.Level), note.Text, note.Args...)
	}
	if t.Stop != nil {
		l.n.fail(t.Stop)
	}
}

// send encodes on the loop: what a message refers to may change with the next turn.
func (l *loop) send(now core.Time, s *shard.Send) {
	k := l.links[s.To]
	if k == nil {
		return // the link ended in this turn; the shard is told with the next
	}
	if _, beat := s.Msg.(*core.Beat); beat && l.hold(now) {
		return
	}
	lane := k.lanes[s.Lane]
	if err := lane.add(s.Msg); err != nil {
		l.n.log.Error("message not sent", "to", k.peer.String(), "err", err)
		k.end(err)
		return
	}
	if !lane.touched {
		lane.touched = true
		l.touched = append(l.touched, lane)
	}
}

// hold says whether heartbeats stay back because the disk does not answer.
func (l *loop) hold(now core.Time) bool {
	age := l.n.disks.age(now)
	if held := age > flushAgeMax; held != l.held {
		l.held = held
		if held {
			l.n.log.Error("the disk does not answer: heartbeats are held back",
				"ms", int64(age/core.Millisecond))
		} else {
			l.n.log.Info("the disk answers again")
		}
	}
	return l.held
}
