package replica

import (
	"encoding/binary"
	"slices"

	"trine/internal/core"
)

// node is one disk and the process over it.
type node struct {
	w       *world
	i       int
	disk    core.DiskID
	up      bool
	copy    Copy
	rec     *core.Recovered // durable; nil: nothing was written
	writes  []pendingWrite
	applied core.Index
	sum     uint64
	next    core.Offset
	tickAt  core.Time
	stuckTo core.Time  // the process stands still
	found   bool       // has a copy
	kept    core.Index // of the last checkpoint made
	damaged bool       // lost entries, and has not made it good
	fresh   bool       // its run is not registered yet
}

type pendingWrite struct {
	at core.Time
	w  core.Write
}

func (n *node) start() {
	cfg := Config{Stream: 9, Self: n.disk, Gen: n.w.gen, Floor: n.w.floor,
		Policy: n.w.policy, Members: n.w.cat.founders()}
	n.w.cfg(&cfg)
	cfg.Doubtful = n.damaged
	n.copy = n.open(cfg)
	n.up, n.tickAt, n.stuckTo = true, n.w.now+n.w.upTo(TickEvery), 0
	n.applied, n.sum, n.next, n.kept = 0, 0, 0, 0
	if n.rec != nil && n.rec.Checkpoint != nil {
		n.restore(n.rec.Checkpoint)
	}
	n.w.logf("disk %d starts", n.disk)
}

func (n *node) open(cfg Config) Copy {
	rec := n.rec
	if rec != nil {
		r := *rec
		r.Tail = slices.Clone(rec.Tail)
		rec = &r
	}
	if !n.w.policy.Raft() {
		return NewFollowing(cfg, rec)
	}
	c, err := NewRaft(cfg, rec)
	if err != nil {
		n.w.failf("disk %d: %v", n.disk, err)
	}
	return c
}

// crash ends the process. Of the writes under way some reach the disk unseen.
func (n *node) crash() {
	n.w.logf("disk %d crashes", n.disk)
	n.w.counts["crash"]++
	for _, p := range n.writes[:n.w.rng.IntN(len(n.writes)+1)] {
		n.store(&p.w)
		n.w.counts["write unseen"]++
	}
	n.writes, n.copy, n.up = nil, nil, false
	n.w.net = slices.DeleteFunc(n.w.net, func(p packet) bool {
		return p.from == n.i || p.to == n.i
	})
}

// store does what a journal does with a write.
func (n *node) store(wr *core.Write) {
	if n.rec == nil {
		n.rec = &core.Recovered{Stream: 9}
	}
	r := n.rec
	base := func() core.Index {
		if r.Checkpoint != nil {
			return r.Checkpoint.Index
		}
		return 0
	}
	if wr.Install != nil {
		r.Checkpoint, r.Tail = wr.Install, nil
	}
	if wr.Cut != 0 {
		keep := int(wr.Cut - base() - 1)
		if keep < 0 || keep > len(r.Tail) {
			n.w.failf("disk %d: cut at %d of a tail %d+%d", n.disk, wr.Cut, base(), len(r.Tail))
		}
		r.Tail = r.Tail[:keep:keep]
	}
	for i := range wr.Entries {
		if e := &wr.Entries[i]; e.Index != base()+core.Index(len(r.Tail))+1 {
			n.w.failf("disk %d: entry %d is written behind %d", n.disk, e.Index,
				base()+core.Index(len(r.Tail)))
		}
		r.Tail = append(r.Tail, wr.Entries[i])
	}
	if wr.State != nil {
		r.State = *wr.State
	}
	if cp := wr.Checkpoint; cp != nil && cp.Index >= base() {
		r.Tail = slices.Clone(r.Tail[min(int(cp.Index-base()), len(r.Tail)):])
		r.Checkpoint = cp
	}
}

// restore makes the machine what a checkpoint says.
func (n *node) restore(cp *core.Checkpoint) {
	n.applied, n.next, n.sum = cp.Index, cp.Next, 0
	if len(cp.Machine) == 8 {
		n.sum = binary.BigEndian.Uint64(cp.Machine)
	}
	n.w.checkHeld(n, cp.Index)
}
