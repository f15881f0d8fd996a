package replica

import "trine/internal/core"

// disk is what a copy has asked of its disk and not yet seen complete. What was
// decided since the last write is gathered into one.
type disk struct {
	id        uint64     // of the last write given out
	flying    []flying   // given out, not complete, in order
	persisted core.Index // the log, as it stands in memory, is on disk up to here

	install *core.Checkpoint // to be written next, with what follows
	cut     core.Index
	state   *core.HardState
	from    core.Index // entries from here on have been in no write yet
	// barriers counts the cuts and installs that are not on disk yet: until they
	// are, no answer may leave that speaks of the log.
	barriers int
}

type flying struct {
	id      uint64
	through core.Index // persisted once complete, as far as no later cut took it back
	barrier bool
	done    bool
}

// installing says that the log is to be replaced by what a checkpoint stands for.
func (d *disk) installing(cp *core.Checkpoint) {
	d.barrier()
	d.install, d.cut, d.from = cp, 0, cp.Index+1
	d.takeBack(0)
}

// cutting says that entries from i on were removed from the log.
func (d *disk) cutting(i core.Index) {
	d.barrier()
	i = min(i, d.from)
	if d.cut == 0 || i < d.cut {
		d.cut = i
	}
	d.from = i
	d.takeBack(i - 1)
}

func (d *disk) barrier() {
	if d.install == nil && d.cut == 0 {
		d.barriers++
	}
}

func (d *disk) takeBack(to core.Index) {
	d.persisted = min(d.persisted, to)
	for i := range d.flying {
		d.flying[i].through = min(d.flying[i].through, to)
	}
}

// write appends the next write to ws, if there is anything to write.
func (d *disk) write(ws []core.Write, s core.StreamID, t *Tail) ([]core.Write, bool) {
	es := t.Slice(d.from, t.Last(), 1<<62)
	if len(es) == 0 && d.install == nil && d.cut == 0 && d.state == nil {
		return ws, false
	}
	d.id++
	f := flying{id: d.id, barrier: d.install != nil || d.cut != 0}
	if d.install != nil {
		f.through = d.install.Index
	}
	if len(es) > 0 {
		f.through = es[len(es)-1].Index
	}
	d.flying = append(d.flying, f)
	ws = append(ws, core.Write{ID: d.id, Stream: s, Install: d.install, Cut: d.cut, Entries: es,
		State: d.state})
	d.install, d.cut, d.state, d.from = nil, 0, nil, t.Last()+1
	return ws, true
}

// done takes the completion of a write. One that overtook an older write counts
// once that is complete too.
func (d *disk) done(write uint64) {
	for i := range d.flying {
		d.flying[i].done = d.flying[i].done || d.flying[i].id == write
	}
	for len(d.flying) > 0 && d.flying[0].done {
		f := d.flying[0]
		d.persisted = max(d.persisted, f.through)
		if f.barrier {
			d.barriers--
		}
		d.flying = d.flying[1:]
	}
	if len(d.flying) == 0 {
		d.flying = nil
	}
}

// through gives the last write that is complete with all before it.
func (d *disk) through() uint64 {
	if len(d.flying) > 0 {
		return d.flying[0].id - 1
	}
	return d.id
}

// pending says whether there is anything of the log to be written.
func (d *disk) pending(t *Tail) bool {
	return d.install != nil || d.cut != 0 || d.from <= t.Last()
}
