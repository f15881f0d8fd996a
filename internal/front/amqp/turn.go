package amqp

import (
	"trine/internal/core"
	"trine/internal/front/amqp/topology"
)

// turn is what a connection has to hand to the core when it has worked off what
// was fed: one append per stream, one settlement per consumer, and the groups that
// wait for the outcomes.
type turn struct {
	appends []core.Append
	open    []*group // of appends, in the same order
	settles []core.Settle
	dirty   []*consumer // with verdicts that are not in settles yet

	groups  []*group // by token; nil or free where done
	free    []uint64
	counter uint64     // counts groups
	left    int        // groups without an outcome
	waiting []*barrier // those who wait for them
}

// group is what waits for one append's or settlement's outcome.
type group struct {
	number  uint64
	token   uint64
	stream  core.StreamID
	queue   *queue
	bytes   int
	confirm []waiting
	alone   *core.Record // what may be a dead letter if it is refused
	busy    bool
}

// waiting is one message of a group whose publisher waits.
type waiting struct {
	ch  *channel
	seq uint64 // 0: of a transaction
}

// barrier waits for all groups up to a number.
type barrier struct {
	through uint64
	left    int
	then    func()
}

// appendBytesMax and appendRecordsMax bound one append: it makes one batch.
const (
	appendBytesMax   = 256 << 10
	appendRecordsMax = 1024
)

func (t *turn) group() *group {
	var g *group
	if n := len(t.free); n > 0 {
		g = t.groups[t.free[n-1]]
		t.free = t.free[:n-1]
	} else {
		g = &group{token: uint64(len(t.groups))}
		t.groups = append(t.groups, g)
	}
	t.counter++
	t.left++
	g.number, g.busy, g.bytes = t.counter, true, 0
	return g
}

func (t *turn) release(g *group) {
	clear(g.confirm)
	g.confirm, g.busy, g.queue, g.alone = g.confirm[:0], false, nil, nil
	t.free = append(t.free, g.token)
	t.left--
}

// append adds a record for a queue to the turn, and gives the group that it is in. To a
// queue that refuses what is above its limit each goes by itself, for it is taken or
// refused by itself.
func (c *conn) append(q *queue, r core.Record) *group {
	t := &c.turn
	refuses := q.Refuses()
	for i := len(t.appends) - 1; i >= 0 && !refuses; i-- {
		a, g := &t.appends[i], t.open[i]
		if a.Stream != q.Stream.ID {
			continue
		}
		if g.bytes+len(r.Value) > appendBytesMax || len(a.Records) >= appendRecordsMax {
			break
		}
		a.Records = append(a.Records, r)
		c.owe(g, len(r.Value)+core.EntryOverhead)
		return g
	}
	g := t.group()
	g.stream, g.queue = q.Stream.ID, q
	if refuses && q.Stream.Queue.ForwardTo != nil {
		alone := r
		g.alone = &alone
	}
	t.appends = append(t.appends, core.Append{Stream: q.Stream.ID, Ack: core.AckCommit,
		Records: append(make([]core.Record, 0, 8), r), To: c, Token: g.token})
	t.open = append(t.open, g)
	c.owe(g, len(r.Value)+core.EntryOverhead)
	return g
}

func (c *conn) owe(g *group, n int) {
	g.bytes += n
	c.w.Owe(n)
}

// endTurn hands over what the turn gathered.
func (c *conn) endTurn() {
	t := &c.turn
	for _, cs := range t.dirty {
		cs.dirty = false
		g := t.group()
		t.settles = append(t.settles, core.Settle{Stream: cs.queue.Stream.ID, Consumer: cs.id,
			Verdicts: cs.verdicts, To: c, Token: g.token})
		cs.verdicts = nil
	}
	clear(t.dirty)
	t.dirty = t.dirty[:0]
	if len(t.appends) > 0 {
		for i := range t.appends {
			t.open[i].queue.Tally.Add(topology.Published, uint64(len(t.appends[i].Records)))
		}
		as := t.appends
		t.appends = nil
		clear(t.open)
		t.open = t.open[:0]
		c.f.core.Log().Append(as)
	}
	if len(t.settles) > 0 {
		ss := t.settles
		t.settles = nil
		c.f.core.Queue().Settle(ss)
	}
}

// Appended is core.Appender: an append's outcome.
func (c *conn) Appended(token uint64, a core.Appended, err error) {
	c.w.Lock()
	defer c.w.Unlock()
	g := c.turn.groups[token]
	core.Assert(g.busy, "an append's outcome is told once")
	c.w.Owe(-g.bytes)
	if len(g.confirm) > 0 && c.running() {
		c.confirmed(g, stored(err))
	}
	if err != nil && g.alone != nil {
		c.f.onward.Refused(g.queue, *g.alone, err)
	}
	if err == nil && g.queue.Store == topology.History {
		c.f.onward.TrimHistory(g.queue, a)
	}
	c.outcome(g)
}

// stored says whether a message may be confirmed. One whose queue was deleted
// meanwhile went with it.
func stored(err error) bool {
	return err == nil || core.KindOf(err) == core.NotExist
}

// Settled is core.Settler: a settlement's outcome.
func (c *conn) Settled(token uint64, _ error) {
	c.w.Lock()
	defer c.w.Unlock()
	g := c.turn.groups[token]
	core.Assert(g.busy, "a settlement's outcome is told once")
	c.outcome(g)
}

// outcome ends a group, and the barriers that waited for it alone.
func (c *conn) outcome(g *group) {
	t := &c.turn
	number := g.number
	t.release(g)
	if len(t.waiting) == 0 {
		return
	}
	kept := t.waiting[:0]
	var done []*barrier
	for _, b := range t.waiting {
		if number <= b.through {
			b.left--
		}
		if b.left == 0 {
			done = append(done, b)
		} else {
			kept = append(kept, b)
		}
	}
	clear(t.waiting[len(kept):])
	t.waiting = kept
	for _, b := range done {
		b.then()
	}
	c.endTurn()
	c.w.Wake()
}

// settled calls then, with the lock held, once everything that the connection has
// published and settled so far has its outcome: what it asks next must see it.
// It may do so at once.
func (c *conn) settled(then func()) {
	c.endTurn()
	t := &c.turn
	if t.left == 0 {
		then()
		return
	}
	t.waiting = append(t.waiting, &barrier{through: t.counter, left: t.left, then: then})
}
