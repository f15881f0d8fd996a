package sim

import (
	"fmt"

	"trine/internal/core"
	"trine/internal/core/shard"
	"trine/internal/journal"
)

// Node is one simulated node: its process comes and goes, its disk stays.
type Node struct {
	ID core.NodeID

	w      *World
	fs     *journal.MemFS
	faults *journal.FaultFS
	j      *journal.Journal
	sh     *shard.Shard
	self   core.Peer // of this run
	was    core.Peer // of the last run
	disk   core.DiskID
	run    int // counts processes
	up     bool
	paused bool
	drift  core.Time // of the monotonic clock's reading
	rate   core.Time // and what it gains in a million
	skew   core.Stamp
	stall  core.Time // until then no flush ends
	used   int       // disks so far
	lost   bool      // its disk was deleted: nothing links to it before its last run is fenced

	in        []shard.Event
	turn      shard.Turn
	due       bool // a step is scheduled
	each, lzy lane

	Streams map[string]*core.Stream
	Docs    map[string]core.Document
	Infos   []core.NodeInfo
	Member  bool
	stopped error
	restAt  core.Time // no write ended since restAfter before
	// What the disk was found to lack in this run, as an operator reads it.
	complaints []string
	done       map[string]core.Index // what each copy of this run has applied
}

// lane is one road to disk: everything queued while the last write ran goes in one.
type lane struct {
	queue []core.Write
	busy  bool
	begun core.Time // of what is being written
}

func newNode(w *World, id core.NodeID) *Node {
	return &Node{ID: id, w: w, fs: journal.NewMemFS(), disk: firstDisk(id)}
}

func firstDisk(id core.NodeID) core.DiskID { return core.DiskID(1000 + id) }

func (n *Node) runs() bool { return n.up && !n.paused }

func (n *Node) now() core.Now {
	return core.Now{Mono: n.w.now + n.drift + n.w.now/1_000_000*n.rate, Wall: core.Stamp(1_700_000_000_000+int64(n.w.now)/int64(core.Millisecond)) + n.skew}
}

// Start begins a run of the node's process on its disk.
func (n *Node) Start() error {
	n.faults = journal.NewFaultFS(n.fs)
	j, rep, err := journal.Open(n.faults, "data", n.options())
	if err != nil {
		return fmt.Errorf("open node %d: %w", n.ID, err)
	}
	n.run++
	n.j, n.up, n.paused, n.in, n.due, n.stopped = j, true, false, nil, false, nil
	n.each, n.lzy = lane{}, lane{}
	n.Streams, n.Docs, n.Member = map[string]*core.Stream{}, map[string]core.Document{}, false
	n.drift = n.w.between(0, 3600*core.Second)
	n.rate, n.stall, n.done, n.lost = n.w.rates(), 0, map[string]core.Index{}, false
	n.Infos = nil
	n.self = core.Peer{Node: n.ID, Disk: rep.Disk, Incarnation: core.Incarnation(n.w.rng.Int64N(1<<61) + 1)}
	var peers []core.NodeID
	var voters []core.Member
	for _, o := range n.w.Nodes {
		voters = append(voters, core.Member{Node: o.ID, Disk: firstDisk(o.ID), InSync: true})
		if o != n {
			peers = append(peers, o.ID)
		}
	}
	if rep.Cluster == 0 {
		if err := j.Bind(77, n.ID); err != nil {
			return err
		}
	}
	n.sh, err = shard.New(shard.Config{Self: n.self, Peers: peers, Disk: *rep, Cluster: 77, Voters: voters,
		Seed: n.w.rng.Uint64()})
	if err != nil {
		return fmt.Errorf("start node %d: %w", n.ID, err)
	}
	n.w.trace("node %d starts, run %d", n.ID, n.run)
	n.complaints = append([]string(nil), rep.Damage...)
	for i := range rep.Streams {
		if d := rep.Streams[i].Damage; d != "" {
			n.complaints = append(n.complaints, d)
		}
	}
	n.clean()
	n.push(shard.Event{Kind: shard.Tick})
	for _, o := range n.w.Nodes {
		if o != n {
			n.redial(n.w.wire(n.ID, o.ID), core.Millisecond)
		}
	}
	return nil
}

func (n *Node) options() journal.Options {
	o := journal.Options{NewDiskID: func() core.DiskID { return n.disk }, LogBytes: 1 << 20,
		SegmentBytes: 256 << 10, ReserveBytes: 64 << 10, Began: n.began}
	if n.w.tiny {
		o.LogBytes, o.SegmentBytes, o.SmallBytes, o.ReserveBytes = 8<<10, 2<<10, 2<<10, 4<<10
	}
	return o
}

// clean tends the disk once a second, where the world's disks are tiny.
func (n *Node) clean() {
	run := n.run
	if !n.w.tiny {
		return
	}
	n.w.After(core.Second, func() {
		if n.run != run {
			return
		}
		if err := n.j.Clean(n.now().Wall, 1<<20); err != nil {
			n.w.bad(Stuck, "node %d: %v", n.ID, err)
		}
		n.clean()
	})
}

// rest gives the last write its witness, once nothing followed it for a while.
func (n *Node) rest() {
	run := n.run
	n.restAt = n.w.now + restAfter
	if !n.w.tiny {
		return
	}
	n.w.After(restAfter, func() {
		if n.run == run && n.w.now >= n.restAt && !n.each.busy {
			if err := n.j.Rest(); err != nil {
				n.w.bad(Stuck, "node %d: %v", n.ID, err)
			}
		}
	})
}

const restAfter = 10 * core.Millisecond

// Kill ends the process as SIGKILL does: what it wrote is in the page cache.
func (n *Node) Kill(why string) { n.end(why, func() *journal.MemFS { return n.fs.Kill() }) }

// PowerCut ends the process and drops what was not flushed, as far as the seed says.
func (n *Node) PowerCut() {
	n.end("power cut", func() *journal.MemFS { return n.fs.Crash(n.w.rng.Uint64(), n.w.rng.IntN(101)) })
}

func (n *Node) end(why string, disk func() *journal.MemFS) {
	if !n.up {
		return
	}
	n.w.trace("node %d ends: %s", n.ID, why)
	n.up, n.was = false, n.self
	n.run++
	n.fs = disk()
	for _, o := range n.w.Nodes {
		if o != n {
			n.w.wire(n.ID, o.ID).end("node ended")
		}
	}
}

// Pause stops the process without ending it, Resume lets it go on.
func (n *Node) Pause() { n.paused = true }

// Resume lets a paused process go on.
func (n *Node) Resume() {
	if n.paused {
		n.paused = false
		n.schedule()
	}
}

func (n *Node) redial(l *wire, after core.Time) {
	run := n.run
	n.w.After(after, func() {
		if n.up && n.run == run && n.ID == min(l.a.ID, l.b.ID) || n.up && n.run == run && !l.other(n).up {
			l.dial(n)
		}
	})
}

func (n *Node) push(e shard.Event) {
	n.in = append(n.in, e)
	n.schedule()
}

// Ask has the node's shard asked something.
func (n *Node) Ask(a *shard.Ask) {
	if n.up {
		n.push(shard.Event{Kind: shard.Asked, Ask: a})
	}
}

func (n *Node) schedule() {
	if n.due || n.paused || !n.up {
		return
	}
	n.due = true
	run := n.run
	n.w.After(n.w.between(0, 20*core.Microsecond), func() {
		if n.run == run {
			n.due = false
			n.step()
		}
	})
}

func (n *Node) step() {
	if !n.runs() {
		return
	}
	in := n.in
	n.in = nil
	n.turn.Reset()
	n.sh.Step(n.now(), in, &n.turn)
	n.w.steps++
	if n.w.steps%500 == 0 {
		n.w.check(n)
	}
	t := &n.turn
	n.w.trace("node %d step in=%d writes=%d sends=%d answers=%d", n.ID, len(in), len(t.Writes), len(t.Sends), len(t.Answers))
	for _, note := range t.Log {
		n.w.trace("node %d says %s %v", n.ID, note.Text, note.Args)
	}
	n.show(&t.View)
	for i := range t.Writes {
		n.write(t.Writes[i])
	}
	for i := range t.Loads {
		n.load(t.Loads[i])
	}
	slow := n.flushAge() > flushAgeMax
	for _, s := range t.Sends {
		if _, beat := s.Msg.(*core.Beat); beat && slow {
			n.w.fired("heartbeat held back")
			continue
		}
		n.w.wire(n.ID, s.To).send(n, s.Lane, s.Msg)
	}
	for _, d := range t.Dials {
		n.redial(n.w.wire(n.ID, d), core.Millisecond)
	}
	answers, lends := append([]shard.Answer(nil), t.Answers...), append([]shard.Lent(nil), t.Lends...)
	stop := t.Stop
	if t.WakeAt != 0 {
		run := n.run
		n.w.After((t.WakeAt-n.now().Mono)*1001/1000+1, func() {
			if n.run == run && n.up {
				n.schedule()
			}
		})
	}
	for i := range answers {
		answers[i].Deliver()
	}
	for i := range lends {
		lends[i].Deliver()
	}
	if stop != nil {
		n.stopped = stop
		n.Kill("it stopped: " + stop.Error())
		n.w.stopped(n)
	}
}

func (n *Node) show(v *shard.View) {
	for _, s := range v.Streams {
		n.w.leads(n, s)
		n.Streams[s.Name] = s
	}
	for _, s := range v.Gone {
		delete(n.Streams, s.Name)
	}
	for _, d := range v.Documents {
		if d.Value == nil {
			delete(n.Docs, d.Key)
		} else {
			n.Docs[d.Key] = d
		}
	}
	if v.Nodes != nil {
		n.Infos = v.Nodes
	}
	for _, i := range v.Nodes {
		if i.Node == n.ID {
			n.Member = i.Alive && i.Incarnation == n.self.Incarnation
		}
	}
}

// flushAgeMax is how old an unfinished write may be for a heartbeat to leave.
const flushAgeMax = core.Second

// flushAge gives how long the oldest unfinished write has run.
func (n *Node) flushAge() core.Time {
	var age core.Time
	for _, l := range []*lane{&n.each, &n.lzy} {
		if l.busy {
			age = max(age, n.w.now-l.begun)
		}
	}
	return age
}

func (n *Node) write(wr core.Write) {
	n.w.lies.write(n, &wr)
	l := &n.lzy
	if wr.Road == core.FlushEach {
		l = &n.each
	}
	l.queue = append(l.queue, wr)
	n.drain(l)
}

// drain writes what is queued on a road, all in one.
func (n *Node) drain(l *lane) {
	if l.busy || len(l.queue) == 0 {
		return
	}
	ws := l.queue
	l.queue, l.busy, l.begun = nil, true, n.w.now
	run := n.run
	delay := n.w.between(10*core.Microsecond, 100*core.Microsecond)
	if l == &n.each {
		delay = n.w.between(100*core.Microsecond, core.Millisecond)
		delay += n.w.lies.early(n, ws)
	}
	delay = max(delay, n.stall-n.w.now)
	n.w.After(delay, func() {
		if n.run != run {
			return
		}
		write := n.j.WriteLazy
		if l == &n.each {
			write = n.j.WriteEach
		}
		refused, err := write(ws)
		n.w.After(n.w.between(10*core.Microsecond, 500*core.Microsecond), func() {
			if n.run != run {
				return
			}
			l.busy = false
			if l == &n.each {
				n.rest()
			}
			for i := range ws {
				e := shard.Event{Kind: shard.Flushed, ID: ws[i].ID, Err: err}
				for _, r := range refused {
					if r.ID == e.ID {
						e.Err = r.Err
					}
				}
				if e.Err != nil {
					e.Kind = shard.Failed
				}
				n.push(e)
			}
			n.drain(l)
		})
	})
}

func (n *Node) load(l core.Load) {
	run := n.run
	n.w.After(n.w.between(20*core.Microsecond, core.Millisecond), func() {
		if n.run != run {
			return
		}
		es, err := n.j.Load(l)
		if err != nil {
			n.complaints = append(n.complaints, err.Error())
			n.push(shard.Event{Kind: shard.Failed, ID: l.ID, Err: err})
			return
		}
		n.push(shard.Event{Kind: shard.Loaded, ID: l.ID, Found: es})
	})
}

// began tells the shard what the disk let go.
func (n *Node) began(id core.StreamID, o core.Offset) {
	n.push(shard.Event{Kind: shard.Began, ID: uint64(id), Start: o})
}
