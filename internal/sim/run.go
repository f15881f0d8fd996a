package sim

import (
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
	Lost   int // acknowledged and lost, where the stream's kind allows it
	Lies   int // of the planted bug
	Fired  map[string]int
	Broken []Finding
}

// Run plays one seed: load on every kind of stream, faults for a while, then none, and
// what the clients know against what is there.
func Run(seed uint64, trace io.Writer) *Report {
	return run(seed, trace, "", func(r *runner) { r.play(faultTime) })
}

// run plays a story in a world of its own, with a planted bug or without one. A panic
// is a bug caught.
func run(seed uint64, trace io.Writer, plant string, play func(*runner)) (rep *Report) {
	w := NewWorld(seed, 3)
	w.Trace = trace
	if plant != "" {
		w.lies = &Plant{Name: plant}
	}
	r := &runner{w: w, cuts: map[core.NodeID]bool{}, churn: map[string]bool{}}
	rep = &Report{Seed: seed}
	defer func() {
		if e := recover(); e != nil {
			if plant == "" && trace != nil {
				panic(e)
			}
			rep.Broken = append(rep.Broken, found(Ended, "%v", e))
			rep.Fired = w.Fired
		}
	}()
	play(r)
	*rep = Report{Seed: seed, Hash: w.Hash(), Steps: w.steps, Fired: w.Fired, Broken: append(r.broken, w.diverged...)}
	if w.lies != nil {
		rep.Lies = w.lies.Times
	}
	for _, s := range r.subjects {
		rep.Acked += len(s.acked)
		rep.Lost += s.lost
		rep.Broken = append(rep.Broken, s.faulty...)
	}
	return rep
}

type runner struct {
	w        *World
	subjects []*subject
	broken   []Finding
	calm     bool
	cuts     map[core.NodeID]bool // nodes whose power was cut
	hurt     core.NodeID          // the one node whose disk is damaged or deleted in this run
	churned  int
	churn    map[string]bool // streams defined and removed by the way: whether they shall be there
	ids      core.ConsumerID
}

func (r *runner) fail(c Class, format string, args ...any) {
	f := found(c, format, args...)
	r.w.trace("BROKEN %s", f)
	r.broken = append(r.broken, f)
}

// faultTime is the length of the safety phase.
const faultTime = 8 * core.Second

// play is a run by the seed alone.
func (r *runner) play(faults core.Time) {
	if r.storm(faults) {
		r.end()
	}
}

// storm is the phase in which anything may fail.
func (r *runner) storm(faults core.Time) bool {
	w := r.w
	w.drifts = w.chance(50)
	if !r.begin() {
		return false
	}
	r.choose()
	for _, s := range r.subjects {
		if !r.load(s) {
			return false
		}
		if !s.queue {
			s.batches(1000)
		}
	}
	w.After(w.between(100*core.Millisecond, core.Second), r.fault)
	w.Run(faults)
	return true
}

// begin starts the nodes and waits until they are a cluster.
func (r *runner) begin() bool {
	w := r.w
	w.ended = func(n *Node) { r.restart(n, core.Second) }
	for _, n := range w.Nodes {
		if err := n.Start(); err != nil {
			r.fail(Stuck, "%v", err)
			return false
		}
	}
	if !w.Until(10*core.Second, r.allMembers) {
		r.fail(Stuck, "no cluster formed")
		return false
	}
	return true
}

// load defines a stream and has clients at every node.
func (r *runner) load(s *subject) bool {
	if !r.define(s) {
		return false
	}
	for _, n := range r.w.Nodes {
		r.clients(s, n)
	}
	return true
}

func (r *runner) clients(s *subject, n *Node) {
	s.produce(n)
	if s.queue {
		r.ids++
		s.consume(n, r.ids)
	}
}

// end ends all faults, after which the survivors must serve again, and nothing may be
// missing.
func (r *runner) end() {
	w := r.w
	r.heal()
	if !w.Until(20*core.Second, r.allMembers) {
		r.fail(Stuck, "the survivors are no cluster")
		return
	}
	w.Run(2 * core.Second)
	for _, s := range r.subjects {
		s.stop = true
	}
	w.Run(2 * core.Second)
	for _, s := range r.subjects {
		r.probe(s, "probe.1")
		s.check()
	}
	w.unsure = map[string]bool{}
	for _, n := range w.Nodes {
		w.check(n)
		votes := func() bool {
			i := w.Nodes[0].info(n.ID)
			return i.Voter && i.Disk == n.disk
		}
		if !w.Until(20*core.Second, votes) {
			r.fail(Stuck, "node %d does not vote again: %+v", n.ID, w.Nodes[0].info(n.ID))
		}
	}
	r.checkChurn()
	w.Run(longRest)
	for _, s := range r.subjects {
		r.probe(s, "probe.2")
	}
}

// longRest is longer than any part of a stream at rest stays awake.
const longRest = 13 * core.Second

func (r *runner) allMembers() bool {
	for _, n := range r.w.Nodes {
		if !n.up || !n.Member {
			return false
		}
	}
	return true
}

func (r *runner) subject(name string, p core.Policy, queue bool) *subject {
	s := &subject{w: r.w, name: name, policy: p, queue: queue, acked: map[string]bool{}, sent: map[string]bool{},
		settled: map[string]bool{}, tried: map[string]bool{}, served: map[string]core.NodeID{},
		lent: map[string]int{}, holder: map[string]*taker{}, lossy: func() bool { return false }}
	r.subjects = append(r.subjects, s)
	return s
}

func (r *runner) define(s *subject) bool {
	d := core.Definition{Name: s.name, Policy: s.policy, At: s.at}
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
		r.fail(Stuck, "define %s: %v", s.name, err)
		return false
	}
	return true
}

// probe looks whether a stream serves again.
func (r *runner) probe(s *subject, value string) {
	p := &producer{s: s, n: r.w.Nodes[1], run: r.w.Nodes[1].run, open: map[uint64]string{}}
	p.open[1] = value
	s.sent[value] = true
	p.n.Ask(&shard.Ask{Appends: []core.Append{{Stream: s.id, Token: 1, To: p,
		Records: []core.Record{{Stamp: -1, Value: []byte(value)}}}}})
	if !r.w.Until(10*core.Second, func() bool { return len(p.open) == 0 }) || !s.acked[value] {
		s.broken(Stuck, "it does not serve again")
	}
}

// cut holds what is sent on a wire; long cuts end its connections.
func (r *runner) cut(l *wire, ab, both bool) bool {
	l.cutAB, l.cutBA = ab || both, !ab || both
	gen := l.gen
	r.w.After(2*core.Second, func() {
		if l.gen == gen && (l.cutAB || l.cutBA) {
			l.end("given up")
		}
	})
	r.w.After(r.w.between(20*core.Millisecond, 4*core.Second), l.heal)
	return true
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
	if n.up {
		return
	}
	if n.lost { // as a node that joins is told: its former run must end first
		for _, o := range r.w.Nodes {
			if i := o.info(n.ID); o != n && o.up && i.Alive {
				r.w.After(20*core.Millisecond, func() { r.start(n) })
				return
			}
		}
	}
	if err := n.Start(); err != nil {
		r.fail(Stuck, "%v", err)
		return
	}
	for _, s := range r.subjects {
		r.clients(s, n)
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
		n.faults.Heal()
		n.stall = 0
		if !n.up {
			r.start(n)
		}
	}
}
