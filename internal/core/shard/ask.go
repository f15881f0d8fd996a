package shard

import (
	"encoding/binary"

	"trine/internal/core"
	"trine/internal/core/catalog"
)

// asked takes what a front end asks. Nobody is answered before the turn is over.
func (s *Shard) asked(a *Ask) {
	switch {
	case a.Appends != nil:
		s.appends(a.Appends)
	case a.Settles != nil:
		s.settlesAsked(a.Settles)
	case a.Read != nil:
		done := a.ReadDone
		s.read(a.Read, func(as []core.ReadAnswer) { s.answer(func() { done(as) }) })
	case a.Find != nil:
		done := a.FindDone
		s.find(a.Find, func(f core.Found, err error) { s.answer(func() { done(f, err) }) })
	case a.Trim != nil:
		done := a.TrimDone
		s.trim(a.Trim, func(o core.Offset, err error) { s.answer(func() { done(o, err) }) })
	case a.Attach != nil:
		s.attachAsked(a.Attach, a.Holder, a.Done)
	case a.Credit != nil:
		s.creditAsked(a.Credit)
	case a.Detach != nil:
		s.detachAsked(a.Detach.Stream, a.Detach.Consumer.ID, a.Done)
	case a.Inspect != nil:
		done := a.InspectDone
		s.inspect(a.Inspect, func(i core.QueueInfo, err error) { s.answer(func() { done(i, err) }) })
	case a.Purge != nil:
		done := a.PurgeDone
		s.purge(a.Purge, func(n int64, err error) { s.answer(func() { done(n, err) }) })
	case a.ForwardDone != nil:
		s.forwarded(a.ForwardDone)
	case a.Sync:
		done := a.Done
		s.sync(func(err error) { s.answer(func() { done(err) }) })
	case a.Stop:
		s.leave(a.Done)
	default:
		s.askCatalog(a)
	}
}

// askCatalog takes what changes the catalog.
func (s *Shard) askCatalog(a *Ask) {
	switch {
	case a.Define != nil:
		s.change("define", []core.Change{{Define: a.Define}}, a.Define.Name, a.StreamDone)
	case a.Alter != nil:
		s.change("alter", []core.Change{{Stream: a.Name, Alter: a.Alter}}, a.Name, a.StreamDone)
	case a.Remove:
		s.put([]core.Change{{Stream: a.Name, IfID: a.IfID}}, func(_ catalog.Result, err error) {
			s.answer(func() { a.Done(err) })
		})
	case a.Put != nil:
		s.put(a.Put, func(r catalog.Result, err error) { s.answer(func() { a.PutDone(r.Revision, err) }) })
	case a.Move != nil:
		s.propose(catalog.Move(a.Name, a.Move), func(_ core.Index, b []byte, err error) {
			if err == nil {
				err = resultError("move", b)
			}
			s.answer(func() { a.Done(err) })
		})
	}
}

// put has the catalog take changes.
func (s *Shard) put(cs []core.Change, done func(catalog.Result, error)) {
	s.propose(catalog.Put(s.cfg.Self, cs), func(_ core.Index, b []byte, err error) {
		if err != nil {
			done(catalog.Result{}, err)
			return
		}
		r, err := catalog.DecodeResult(b)
		if err == nil {
			err = r.Err("change the catalog")
		}
		done(r, err)
	})
}

// change changes one stream and gives it as it is then.
func (s *Shard) change(op string, cs []core.Change, name string, done func(*core.Stream, error)) {
	s.put(cs, func(r catalog.Result, err error) {
		st := s.machine.ByName(name)
		if st != nil && s.views[st.ID] != nil {
			st = s.views[st.ID]
		}
		if e, ok := err.(*core.Error); ok {
			e.Op = op
		}
		s.answer(func() { done(st, err) })
	})
}

func resultError(op string, b []byte) error {
	r, err := catalog.DecodeResult(b)
	if err != nil {
		return err
	}
	return r.Err(op)
}

// trimHere has every copy let go what lies below an offset: it is an entry, so that
// all agree on where the stream begins.
func (s *Shard) trimHere(t *core.Trim, done func(core.Offset, error)) bool {
	c := s.copies[t.Stream]
	if c == nil || !c.leads || c.sealing != nil {
		return false
	}
	before := t.Before
	if before == -1 {
		before = c.next
	}
	if before < 0 || before > c.next {
		done(c.start, &core.Error{Op: "trim", Name: c.def.Name, Kind: core.OutOfRange})
		return true
	}
	if before <= c.start {
		done(c.start, nil)
		return true
	}
	e := []core.Entry{{Kind: core.EntryTrim, Data: binary.BigEndian.AppendUint64(nil, uint64(before))}}
	if err := s.proposes(c, e); err != nil {
		return false
	}
	c.ahead.Append(&e[0])
	c.trims = append(c.trims, trimWait{e[0].Index, done})
	s.mark(c)
	return true
}

type trimWait struct {
	index core.Index
	done  func(core.Offset, error)
}

// trimmed takes a trim that holds.
func (s *Shard) trimmed(c *copyOf, e *core.Entry) {
	if len(e.Data) != 8 {
		return
	}
	s.beginAt(c, core.Offset(binary.BigEndian.Uint64(e.Data)))
	keep := c.trims[:0]
	for _, w := range c.trims {
		if w.index <= e.Index {
			w.done(c.start, nil)
		} else {
			keep = append(keep, w)
		}
	}
	c.trims = keep
}

// beginAt moves the first offset of a stream: every copy does at the same entry.
func (s *Shard) beginAt(c *copyOf, o core.Offset) {
	if o > c.next {
		return
	}
	c.mem.Trim(o)
	if o <= c.start {
		return // this disk let it go before
	}
	c.start = o
	s.out.Writes = append(s.out.Writes, core.Write{ID: s.id(), Stream: c.id, Road: c.road, Trim: o})
}

// began takes that this disk lets go the oldest records by the stream's rules. Readers
// here see it at once. Each disk looks by itself; the leader's word makes it the stream's.
func (s *Shard) began(id core.StreamID, o core.Offset) {
	c := s.copies[id]
	if c == nil || o <= c.start || o > c.next {
		return
	}
	if c.leads {
		s.trimHere(&core.Trim{Stream: id, Before: o}, func(core.Offset, error) {})
	}
	c.start = o
	s.mark(c)
}

// removeUnused removes a queue whose last consumer has left. Until that is agreed nobody is
// told that it is there, nor attached to it.
func (s *Shard) removeUnused(c *copyOf) {
	c.ending = true
	s.put([]core.Change{{Stream: c.def.Name, IfID: c.id}}, func(catalog.Result, error) { c.ending = false })
}

type forwardKey struct {
	stream core.StreamID
	offset core.Offset
}

// forwarded takes a front end's word that it routed what a queue gave up.
func (s *Shard) forwarded(f *ForwardDone) {
	if c := s.copies[f.Stream]; c != nil && c.ready && c.q != nil {
		c.q.Forwarded(f.Offset, f.Err)
		s.mark(c)
	}
}
