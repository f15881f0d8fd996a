package sim

import (
	"fmt"
	"io"

	"trine/internal/core"
	"trine/internal/core/shard"
)

// Report is what one run came to.
type Report struct {
	Seed   uint64
	Hash   uint64
	Steps  int
	Acked  int
	Fired  map[string]int
	Broken []string
}

// Run plays one seed: load on every kind of stream, faults for a while, then none, and
// what the clients know against what is there.
func Run(seed uint64, trace io.Writer) *Report {
	w := NewWorld(seed, 3)
	w.Trace = trace
	r := &runner{w: w}
	r.play()
	rep := &Report{Seed: seed, Hash: w.Hash(), Steps: w.steps, Fired: w.Fired, Broken: append(r.broken, w.diverged...)}
	for _, s := range r.subjects {
		rep.Acked += len(s.acked)
		rep.Broken = append(rep.Broken, s.faulty...)
	}
	return rep
}

type runner struct {
	w        *World
	subjects []*subject
	broken   []string
	calm     bool
	ids      core.ConsumerID
}

func (r *runner) fail(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	r.w.trace("BROKEN %s", line)
	r.broken = append(r.broken, line)
}

// faultTime is the length of the safety phase.
const faultTime = 8 * core.Second

func (r *runner) play() {
	w := r.w
	for _, n := range w.Nodes {
		if err := n.Start(); err != nil {
			r.fail("%v", err)
			return
		}
	}
	if !w.Until(10*core.Second, r.allMembers) {
		r.fail("no cluster formed")
		return
	}
	flush := []core.Policy{core.Majority(3), core.Mirror(3, core.FlushEach), core.InSync(3, 2, core.FlushEach)}
	for _, p := range flush {
		r.subject(fmt.Sprintf("queue-%s", p.Mode()), p, true)
		r.subject(fmt.Sprintf("log-%s", p.Mode()), p, false)
	}
	for _, s := range r.subjects {
		if !r.define(s) {
			return
		}
		for _, n := range w.Nodes {
			s.produce(n)
			if s.queue {
				r.ids++
				s.consume(n, r.ids)
			}
		}
		if !s.queue {
			s.batches(1000)
		}
	}
	w.After(w.between(100*core.Millisecond, core.Second), r.fault)
	w.Run(faultTime)
	r.heal()
	if !w.Until(20*core.Second, r.allMembers) {
		r.fail("the survivors are no cluster")
		return
	}
	w.Run(3 * core.Second)
	for _, s := range r.subjects {
		s.stop = true
	}
	w.Run(2 * core.Second)
	for _, s := range r.subjects {
		r.probe(s)
		s.check()
	}
	for _, n := range w.Nodes {
		w.check(n)
	}
}

func (r *runner) allMembers() bool {
	for _, n := range r.w.Nodes {
		if !n.up || !n.Member {
			return false
		}
	}
	return true
}

func (r *runner) subject(name string, p core.Policy, queue bool) {
	r.subjects = append(r.subjects, &subject{w: r.w, name: name, policy: p, queue: queue, acked: map[string]bool{},
		sent: map[string]bool{}, settled: map[string]bool{}, tried: map[string]bool{}, lent: map[string]int{}, holder: map[string]*taker{}})
}

func (r *runner) define(s *subject) bool {
	d := core.Definition{Name: s.name, Policy: s.policy}
	if s.queue {
		d.Queue = &core.QueueSettings{TTLMs: -1, DeliveryLimit: -1}
	}
	done := false
	var err error
	r.w.Nodes[0].Ask(&shard.Ask{Define: &d, StreamDone: func(st *core.Stream, e error) {
		done, err = true, e
		if e == nil {
			s.id = st.ID
		}
	}})
	if !r.w.Until(5*core.Second, func() bool { return done }) || err != nil {
		r.fail("define %s: %v", s.name, err)
		return false
	}
	return true
}

// probe looks whether a stream serves again.
func (r *runner) probe(s *subject) {
	p := &producer{s: s, n: r.w.Nodes[1], run: r.w.Nodes[1].run, open: map[uint64]string{}}
	p.open[1] = "probe.1"
	s.sent["probe.1"] = true
	p.n.Ask(&shard.Ask{Appends: []core.Append{{Stream: s.id, Token: 1, To: p,
		Records: []core.Record{{Stamp: -1, Value: []byte("probe.1")}}}}})
	if !r.w.Until(10*core.Second, func() bool { return len(p.open) == 0 }) || !s.acked["probe.1"] {
		s.broken("it does not serve again")
	}
}

// fault does one thing, by the seed, and plans the next.
func (r *runner) fault() {
	if r.calm {
		return
	}
	w := r.w
	n := w.Nodes[w.rng.IntN(len(w.Nodes))]
	m := w.Nodes[w.rng.IntN(len(w.Nodes))]
	down := 0
	for _, x := range w.Nodes {
		if !x.runs() {
			down++
		}
	}
	switch k := w.rng.IntN(100); {
	case k < 40 && down > 0: // one is enough
	case k < 25:
		w.fired("kill")
		n.Kill("fault")
		r.restart(n, 2*core.Second)
	case k < 40:
		w.fired("power cut")
		n.PowerCut()
		r.restart(n, 2*core.Second)
	case k < 45:
		w.fired("kill of all")
		for _, x := range w.Nodes {
			x.Kill("fault")
			r.restart(x, core.Second)
		}
	case k < 50:
		w.fired("power cut of all")
		for _, x := range w.Nodes {
			x.PowerCut()
			r.restart(x, core.Second)
		}
	case k < 65 && n.up && down == 0:
		w.fired("pause")
		n.Pause()
		w.After(w.between(50*core.Millisecond, 3*core.Second), n.Resume)
	case k < 80 && n != m:
		w.fired("silent cut")
		r.cut(w.wire(n.ID, m.ID), true, true)
	case k < 88 && n != m:
		w.fired("one-way cut")
		r.cut(w.wire(n.ID, m.ID), w.chance(50), false)
	case k < 94 && n != m:
		w.fired("reset and refuse")
		l := w.wire(n.ID, m.ID)
		l.refuse = true
		l.end("fault")
		w.After(w.between(10*core.Millisecond, 3*core.Second), l.heal)
	case n != m:
		w.fired("reset")
		w.wire(n.ID, m.ID).end("fault")
	}
	w.After(w.between(50*core.Millisecond, 1500*core.Millisecond), r.fault)
}

// cut holds what is sent on a wire; long cuts end its connections.
func (r *runner) cut(l *wire, ab, both bool) {
	l.cutAB, l.cutBA = ab || both, !ab || both
	gen := l.gen
	r.w.After(2*core.Second, func() {
		if l.gen == gen && (l.cutAB || l.cutBA) {
			l.end("given up")
		}
	})
	r.w.After(r.w.between(20*core.Millisecond, 4*core.Second), l.heal)
}

func (r *runner) restart(n *Node, within core.Time) {
	run := n.run
	r.w.After(r.w.between(20*core.Millisecond, within), func() {
		if n.run == run && !n.up {
			r.start(n)
		}
	})
}

func (r *runner) start(n *Node) {
	if err := n.Start(); err != nil {
		r.fail("%v", err)
		return
	}
	for _, s := range r.subjects {
		s.produce(n)
		if s.queue {
			r.ids++
			s.consume(n, r.ids)
		}
	}
}

// heal ends all faults.
func (r *runner) heal() {
	r.calm = true
	r.w.trace("calm")
	for i := range r.w.Nodes {
		for j := i + 1; j < len(r.w.Nodes); j++ {
			r.w.wire(core.NodeID(i+1), core.NodeID(j+1)).heal()
		}
	}
	for _, n := range r.w.Nodes {
		n.Resume()
		if !n.up {
			r.start(n)
		}
	}
}
