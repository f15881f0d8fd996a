package queue

import (
	"errors"
	"slices"

	"pgregory.net/rapid"

	"trine/internal/core"
)

// What happens to a world, each at random.

func (w *world) attach(t *rapid.T) {
	nd := rapid.SampledFrom(w.nodes).Draw(t, "node")
	if nd.broken {
		t.Skip("its link is broken")
	}
	w.ids++
	c := &client{id: core.Consumer{Incarnation: nd.incarnation, ID: w.ids}, holds: map[core.Offset]bool{}}
	c.attach = core.Attach{Messages: int32(rapid.IntRange(-1, 4).Draw(t, "messages")),
		Bytes:    int64(rapid.SampledFrom([]int{0, 30}).Draw(t, "bytes")),
		Priority: int32(rapid.IntRange(0, 1).Draw(t, "priority")),
		Renew:    rapid.Bool().Draw(t, "renew"), Settled: rapid.IntRange(0, 4).Draw(t, "settled") == 0}
	nd.clients = append(nd.clients, c)
	w.reattach(t, c, nil)
}

// reattach attaches a client with what it has, or its node does not know to be
// settled.
func (w *world) reattach(t *rapid.T, c *client, held []core.OffsetRange) {
	if k := w.q().Attach(c.id, 1, &c.attach, held); k != core.OK {
		t.Fatalf("attach: %s", k)
	}
	c.attached = true
	n := int64(0)
	has := map[core.Offset]bool{}
	for _, r := range held {
		for o := r.From; o <= r.To; o++ {
			has[o] = true
		}
	}
	for _, m := range w.msgs {
		if m.place == atHands && m.holder == c && !has[m.offset] {
			m.place, m.holder = atReady, nil
		}
		if has[m.offset] && m.place == atReady {
			m.place, m.holder = atHands, c
		}
		if m.place == atHands && m.holder == c {
			n++
		}
	}
	c.credit, c.bytes = int64(c.attach.Messages), c.window()
	if c.attach.Messages < 0 {
		c.credit = noLimit
	} else if c.attach.Renew {
		c.credit -= n
	}
}

// held gives what a client's node lists when it attaches it again.
func (nd *node) held(c *client) []core.OffsetRange {
	var s ranges
	for o := range c.holds {
		s.add(o, o)
	}
	for _, u := range nd.unconfirmed {
		for _, st := range u.settles {
			if st.Consumer == c.id.ID {
				for _, v := range st.Verdicts {
					s.add(v.From, v.To)
				}
			}
		}
	}
	return s.all()
}

// settle lets one client settle some of what it holds.
func (w *world) settle(t *rapid.T) {
	var able []*client
	for _, c := range w.clients(true) {
		if len(c.holds) > 0 {
			able = append(able, c)
		}
	}
	if len(able) == 0 {
		t.Skip("nobody holds anything")
	}
	c := rapid.SampledFrom(able).Draw(t, "client")
	nd := w.node(c)
	st := core.Settle{Consumer: c.id.ID}
	for _, m := range w.msgs {
		if !c.holds[m.offset] || !rapid.Bool().Draw(t, "settles") {
			continue
		}
		v := core.Verdict{From: m.offset, To: m.offset, Outcome: rapid.SampledFrom([]core.Outcome{
			core.Accept, core.Accept, core.Return, core.Release, core.Reject}).Draw(t, "outcome")}
		st.Verdicts = append(st.Verdicts, v)
		delete(c.holds, m.offset)
		if v.Outcome == core.Accept || v.Outcome == core.Reject {
			m.done = true
		}
	}
	nd.seq++
	s := sent{nd.seq, []core.Settle{st}}
	nd.unconfirmed = append(nd.unconfirmed, s)
	if rapid.IntRange(0, 5).Draw(t, "breaks") == 0 {
		nd.broken = true
	}
	if !nd.broken {
		w.send(t, nd)
	}
}

// send sends what a node does not know to hold, in order.
func (w *world) send(t *rapid.T, nd *node) {
	for _, s := range nd.unconfirmed {
		taken := w.q().Settle(core.SessionOf(nd.incarnation), s.seq, nd.incarnation, s.settles)
		if taken != (s.seq > nd.delivered) {
			t.Fatalf("seq %d of %d, of which %d were delivered: taken %v", s.seq, nd.incarnation,
				nd.delivered, taken)
		}
		if !taken {
			continue
		}
		nd.delivered = s.seq
		for _, st := range s.settles {
			for _, c := range slices.Concat(nd.clients, nd.ghosts) {
				if c.id.ID == st.Consumer {
					w.settled(c, st)
				}
			}
		}
	}
}

// attachAll attaches a node's clients to a leader that is new, or was out of reach.
// Who is detached, and has settlements that may not hold, is attached once more.
// What was returned is not claimed, and not returned again: others may have it since.
func (w *world) attachAll(t *rapid.T, nd *node) {
	for _, s := range nd.unconfirmed {
		for i := range s.settles {
			st := &s.settles[i]
			st.Verdicts = slices.DeleteFunc(st.Verdicts, func(v core.Verdict) bool {
				return v.Outcome == core.Return || v.Outcome == core.Release
			})
		}
	}
	for _, c := range nd.clients {
		w.reattach(t, c, nd.held(c))
	}
	nd.ghosts = slices.DeleteFunc(nd.ghosts, func(c *client) bool { return len(nd.held(c)) == 0 })
	for _, c := range nd.ghosts {
		c.attach = core.Attach{Aside: true}
		w.reattach(t, c, nd.held(c))
	}
	w.send(t, nd)
	for _, c := range nd.ghosts {
		w.q().Detach(c.id)
		w.gone(c, true)
	}
	nd.broken = false
}

func (w *world) node(c *client) *node {
	for _, nd := range w.nodes {
		if nd.incarnation == c.id.Incarnation {
			return nd
		}
	}
	panic("no node")
}

func (w *world) detach(t *rapid.T) {
	cs := w.clients(true)
	if len(cs) == 0 {
		t.Skip("nobody is attached")
	}
	c := rapid.SampledFrom(cs).Draw(t, "client")
	nd := w.node(c)
	if nd.broken {
		t.Skip("its link is broken")
	}
	w.q().Detach(c.id)
	w.gone(c, true)
	nd.ghosts = append(nd.ghosts, c)
	nd.clients = slices.DeleteFunc(nd.clients, func(x *client) bool { return x == c })
}

func (w *world) gone(c *client, counted bool) {
	c.attached = false
	clear(c.holds)
	for _, m := range w.msgs {
		if m.place == atHands && m.holder == c {
			if counted {
				w.giveBack(m)
			} else {
				m.place, m.holder = atReady, nil
			}
		}
	}
}

func (w *world) credit(t *rapid.T) {
	cs := w.clients(true)
	if len(cs) == 0 {
		t.Skip("nobody is attached")
	}
	c := rapid.SampledFrom(cs).Draw(t, "client")
	if w.node(c).broken {
		t.Skip("its link is broken")
	}
	cr := core.Credit{Messages: int32(rapid.IntRange(-1, 3).Draw(t, "messages")),
		Bytes: int64(rapid.IntRange(0, 40).Draw(t, "bytes"))}
	w.q().Credit(c.id, &cr)
	if c.credit != noLimit {
		c.credit += int64(cr.Messages)
	}
	c.bytes += cr.Bytes
}

func (w *world) lose(t *rapid.T) {
	if len(w.log) == 0 {
		t.Skip("nothing is proposed")
	}
	w.log = w.log[:len(w.log)-1]
	w.q().Lost()
	w.lost = true
}

// takeover makes another copy the leader. Of what was proposed a part survives.
func (w *world) takeover(t *rapid.T) {
	w.commit(t, rapid.IntRange(0, len(w.log)).Draw(t, "survive"))
	w.log, w.lost = nil, false
	w.q().Follow()
	w.leader = rapid.IntRange(0, len(w.copies)-1).Draw(t, "leader")
	w.q().Lead(w.now)
	w.q().Hold(true)
	w.holding, w.under = true, min(w.ceiling, w.next)
	clear(w.routing)
	for _, m := range w.msgs {
		m.holder, m.counts, m.place = nil, m.count, atReady
		switch {
		case m.fate != 0:
			m.place = atGone
		case m.given:
			m.place = atGiven
		case m.notBefore > w.now.Wall:
			m.place = atDelayed
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "turns") {
		for _, c := range w.clients(true) {
			c.attached = false // until it is attached again
		}
		w.turn(t)
	}
	for _, nd := range w.nodes {
		nd.delivered = w.q().SettledThrough(core.SessionOf(nd.incarnation))
		w.attachAll(t, nd)
	}
	w.q().Hold(false)
	w.holding = false
}

// relink breaks a node's link: some of what was lent last does not reach it.
func (w *world) relink(t *rapid.T) {
	nd := rapid.SampledFrom(w.nodes).Draw(t, "node")
	for _, c := range nd.clients {
		for _, m := range w.msgs {
			if c.holds[m.offset] && rapid.IntRange(0, 3).Draw(t, "lost") == 0 {
				delete(c.holds, m.offset)
			}
		}
	}
	w.attachAll(t, nd)
}

// die ends a run of a node. What it had not yet settled may come again.
func (w *world) die(t *rapid.T) {
	w.kill(rapid.IntRange(0, len(w.nodes)-1).Draw(t, "node"))
}

func (w *world) kill(i int) {
	nd := w.nodes[i]
	w.q().Over(nd.incarnation)
	for _, c := range nd.clients {
		w.gone(c, false)
	}
	for _, u := range nd.unconfirmed {
		for _, st := range u.settles {
			for _, v := range st.Verdicts {
				w.msgs[v.From].done = false
			}
		}
	}
	w.nodes[i] = &node{incarnation: nd.incarnation + 10}
}

func (w *world) forwarded(t *rapid.T) {
	for _, m := range w.msgs {
		if w.routing[m.offset] && rapid.Bool().Draw(t, "answered") {
			var err error
			if rapid.IntRange(0, 3).Draw(t, "refused") == 0 {
				err = errors.New("refused")
			}
			w.q().Forwarded(m.offset, err)
			delete(w.routing, m.offset)
			if err == nil || !w.set.ForwardRetry {
				m.given, m.place = false, atDecided
			}
			m.given = true
		}
	}
}
