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
	Lost   int // acknowledged and lost, where the stream's kind allows it
	Lies   int // of the planted bug
	Fired  map[string]int
	Broken []string
}

// Run plays one seed: load on every kind of stream, faults for a while, then none, and
// what the clients know against what is there.
func Run(seed uint64, trace io.Writer) *Report { return RunPlanted(seed, trace, "") }

// RunPlanted plays one seed with a planted bug, or without one. A panic is a bug caught.
func RunPlanted(seed uint64, trace io.Writer, plant string) *Report {
	return run(seed, trace, plant, faultTime)
}

func run(seed uint64, trace io.Writer, plant string, faults core.Time) (rep *Report) {
	w := NewWorld(seed, 3)
	w.Trace = trace
	if plant != "" {
		w.lies = &Plant{Name: plant}
	}
	r := &runner{w: w, faultTime: faults}
	rep = &Report{Seed: seed}
	defer func() {
		if e := recover(); e != nil {
			if plant == "" && trace != nil {
				panic(e)
			}
			rep.Broken = append(rep.Broken, fmt.Sprintf("panic: %v", e))
			rep.Fired = w.Fired
		}
	}()
	r.play()
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
	w         *World
	subjects  []*subject
	broken    []string
	calm      bool
	faultTime core.Time
	cuts      map[core.NodeID]bool // nodes whose power was cut
	hurt      core.NodeID          // the one node whose disk is damaged or deleted in this run
	churned   int
	churn     map[string]bool // streams defined and removed by the way: whether they shall be there
	ids       core.ConsumerID
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
	r.cuts, r.churn = map[core.NodeID]bool{}, map[string]bool{}
	w.drifts = w.chance(50)
	w.ended = func(n *Node) { r.restart(n, core.Second) }
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
	r.choose()
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
	w.Run(r.faultTime)
	r.heal()
	if !w.Until(20*core.Second, r.allMembers) {
		r.fail("the survivors are no cluster")
		return
	}
	w.Run(2 * core.Second)
	for _, s := range r.subjects {
		s.stop = true
	}
	w.Run(2 * core.Second)
	for _, s := range r.subjects {
		r.probe(s)
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
			r.fail("node %d does not vote again: %+v", n.ID, w.Nodes[0].info(n.ID))
		}
	}
	r.checkChurn()
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
		sent: map[string]bool{}, settled: map[string]bool{}, tried: map[string]bool{}, lent: map[string]int{}, holder: map[string]*taker{}, lossy: func() bool { return false }})
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
		n.faults.Heal()
		n.stall = 0
		if !n.up {
			r.start(n)
		}
	}
}
