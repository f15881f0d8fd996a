package shard

import (
	"trine/internal/core"
	"trine/internal/core/catalog"
	"trine/internal/core/replica"
)

// A live stream changes its kind of replication in four steps, each of which a later
// leader can take up:
//
//	catalog: changing ─▶ leader: seal, nothing is appended behind it ─▶ the seal holds by
//	the old rule ─▶ catalog: generation + 1, new policy, members = those that hold the seal
//	─▶ every copy cuts what lies above the seal and goes on under the new kind

// sealing is the leader's part in a change.
type sealing struct {
	seal  core.Index // 0: not appended yet, and an earlier leader's was found
	since core.Time
	asked bool
}

// sealWait is how long the leader waits for every living copy to hold the seal, once
// it holds by the old rule; those that have it by then go on.
const sealWait = 40 * core.Millisecond

// tendChange takes a change of kind a step on, on the leader.
func (s *Shard) tendChange(c *copyOf) {
	if !c.leads || c.def == nil || !c.def.Changing || c.done < c.leadFrom || !c.rep.Status().Caught {
		return
	}
	if (c.sealing == nil || c.sealing.seal == 0) && !s.seal(c) {
		return
	}
	z := c.sealing
	if z.asked || c.done < z.seal {
		return
	}
	if z.since == 0 {
		z.since = s.now.Mono
		s.timers.add(s.now.Mono+sealWait, func() { s.mark(c) })
	}
	members := append([]core.Member(nil), c.def.Members...)
	holding, waiting := 0, false
	for _, p := range c.rep.Progress(s.now.Mono) {
		for i := range members {
			if members[i].Disk != p.Disk {
				continue
			}
			members[i].InSync = p.Match >= z.seal || p.Disk == s.cfg.Self.Disk
			if members[i].InSync {
				holding++
			} else if s.living(members[i].Node) {
				waiting = true
			}
		}
	}
	if waiting && s.now.Mono-z.since < sealWait || holding <= len(members)/2 {
		return // the copies' answers, or the next tick, come back here
	}
	z.asked = true
	s.propose(catalog.Changed(catalog.KindChange{Stream: c.id, Gen: c.gen, Seal: z.seal, Floor: c.epoch,
		Members: members}), func(_ core.Index, b []byte, err error) {
		if err == nil {
			err = resultError("change the kind", b)
		}
		if err != nil && c.sealing == z {
			s.note(4, "a change of kind is tried again", "stream", s.nameOf(c), "err", err)
			z.asked = false
		}
	})
}

// sealed says whether an earlier leader of the generation appended a seal. Whoever
// leads next takes nothing then, and appends a seal of its own: what it found behind
// the earlier one, an entry that Raft made or an append that slipped in, is kept.
func sealed(c *copyOf) *sealing {
	t := c.rep.Tail()
	for i := t.Last(); i >= t.First(); i-- {
		if e := t.Entry(i); e.Gen < c.gen {
			break
		} else if e.Kind == core.EntrySeal && e.Gen == c.gen {
			return &sealing{}
		}
	}
	return nil
}

// seal appends the last entry of a generation.
func (s *Shard) seal(c *copyOf) bool {
	e := []core.Entry{{Kind: core.EntrySeal}}
	if s.proposes(c, e) != nil {
		return false
	}
	c.ahead.Append(&e[0])
	c.sealing = &sealing{seal: e[0].Index}
	s.note(0, "a stream is sealed to change its kind", "stream", s.nameOf(c), "index", e[0].Index)
	s.mark(c)
	return true
}

// regenerate has a copy go on under its stream's next kind.
func (s *Shard) regenerate(c *copyOf, st *core.Stream) {
	if st.Gen <= c.gen {
		return
	}
	seal := s.machine.Seal(st.ID)
	if c.done > seal { // a leader's empty entry held behind it, in a generation that had ended
		s.rewind(c, seal+1)
	}
	t := c.rep.Tail()
	if s.holdsSeal(st, t, c.gen, seal) {
		for i := c.done + 1; i <= seal; i++ { // the catalog says that all of it holds
			s.applyEntry(c, t.Entry(i))
		}
	}
	last := min(t.Last(), seal)
	if !s.holdsSeal(st, t, c.gen, seal) {
		last = min(t.Last(), c.done)
	}
	rec := &core.Recovered{Stream: c.id, Checkpoint: c.lastCheckpoint, Start: c.start,
		Tail:  append([]core.Entry(nil), t.Slice(t.First(), last, 1<<62)...),
		State: core.HardState{Commit: c.done}}
	if c.leads {
		s.unlead(c)
	}
	w := core.Write{ID: s.id(), Stream: c.id, Road: st.Policy.Flush, State: &rec.State}
	if t.Last() > last {
		w.Cut = last + 1
	}
	s.out.Writes = append(s.out.Writes, w)
	s.forgetWrites(c)
	c.sealed = false
	s.dropHeal(c)
	c.raft, c.gen, c.road, c.def, c.filling, c.making = st.Policy.Raft(), st.Gen, st.Policy.Flush, st, nil, false
	s.renew(c, rec)
	c.rep.Applied(c.done) // what was applied under the old kind stays applied
	s.mark(c)
}

// renew gives the copy what replicates it under its present kind.
func (s *Shard) renew(c *copyOf, rec *core.Recovered) {
	cfg := replica.Config{Stream: c.id, Self: s.cfg.Self.Disk, LagMax: s.opt.LagMax, Policy: c.def.Policy,
		Gen: c.gen, Members: s.machine.First(c.id), Floor: c.def.Epoch}
	if !c.raft {
		c.rep = replica.NewFollowing(cfg, rec)
		c.rep.Hurt(s.now.Mono, c.hurt)
		return
	}
	rep, err := replica.NewRaft(cfg, rec)
	if err != nil {
		s.note(8, "a copy cannot go on under its new kind", "stream", s.nameOf(c), "err", err)
		s.out.Stop = err
		return
	}
	c.rep = rep
	if len(c.def.Members) > 0 && c.def.Members[0].Disk == s.cfg.Self.Disk {
		c.rep.Campaign(s.now.Mono)
	} else {
		s.seek(c, openWait)
	}
}

// holdsSeal says whether a log has all that the generation before left.
func (s *Shard) holdsSeal(st *core.Stream, t *replica.Tail, gen core.Generation, seal core.Index) bool {
	if t.Last() < seal {
		return false
	}
	if e := t.Entry(seal); e == nil || e.Kind != core.EntrySeal || e.Gen != gen {
		return false
	}
	for _, m := range s.machine.First(st.ID) {
		if m.Disk == s.cfg.Self.Disk {
			return m.InSync
		}
	}
	return false
}

// forgetWrites lets the writes of the kind that ended complete without an answer.
func (s *Shard) forgetWrites(c *copyOf) {
	for id, w := range s.writes {
		if w.c == c {
			delete(s.writes, id)
		}
	}
}

// cutOldKind removes from what a disk has the entries that an ended kind left above
// its seal. It gives the index from which on they are to be removed, 0 for none.
func (s *Shard) cutOldKind(def *core.Stream, rec *core.Recovered) core.Index {
	seal := s.machine.Seal(def.ID)
	for i := range rec.Tail {
		if e := &rec.Tail[i]; e.Gen < def.Gen && e.Index > seal {
			at := e.Index
			rec.Tail = rec.Tail[:i:i]
			return at
		}
	}
	return 0
}

// ofGeneration gives the newest generation that a disk has seen of a stream.
func ofGeneration(rec *core.Recovered) core.Generation {
	gen := core.Generation(0)
	if rec.Checkpoint != nil {
		gen = rec.Checkpoint.Gen
	}
	for i := range rec.Tail {
		gen = max(gen, rec.Tail[i].Gen)
	}
	return gen
}
