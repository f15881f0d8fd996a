package journal

import (
	"fmt"
	"path"
	"syscall"

	"trine/internal/core"
)

// WriteLazy carries out Writes by way of the streams' own segments and returns once
// they are in the page cache: they survive the process, not the machine. Votes,
// cuts, installs, removals, rules and trims are flushed through the log first; a
// checkpoint is noted by the cleaner once what it covers was flushed. Refusals are
// as WriteEach gives them.
func (j *Journal) WriteLazy(ws []core.Write) ([]Refusal, error) {
	if err := j.writable(); err != nil {
		return nil, err
	}
	r := round{group: group{j: j, writes: j.lazy[:0], turn: j.nextTurn(), room: j.room()}}
	defer r.letGo()
	for i := range ws {
		w := &ws[i]
		if w.Fill && w.Install != nil { // what is filled in comes before
			rest := *w
			rest.Fill, rest.Entries = false, nil
			if err := r.take(&core.Write{ID: w.ID, Stream: w.Stream, Fill: true,
				Entries: w.Entries}); err != nil {
				return r.refused, err
			}
			w = &rest
		}
		if err := r.take(w); err != nil {
			return r.refused, err
		}
	}
	err := r.finish()
	j.lazy = r.keep()
	return r.refused, err
}

// take plans a Write, or refuses it; an error is the journal's end.
func (r *round) take(w *core.Write) error {
	err := r.plan(w)
	if err == nil {
		return nil
	}
	if core.KindOf(err) == core.Unknown {
		return r.j.fail(err)
	}
	r.refuse(w, err)
	return nil
}

var errBarred = fmt.Errorf("an earlier write of the stream was refused: %w", syscall.ENOSPC)

// round is Writes of which no stream's notes must wait for another's entries: first
// all notes, then all entries.
type round struct {
	group
	appends []lazyAppend
	has     map[core.StreamID]bool // streams with entries in appends
	newFile bool
	buf     []byte
}

type lazyAppend struct {
	s *stream
	w *core.Write
}

func (r *round) plan(w *core.Write) error {
	if (w.Remove || w.Install != nil || w.Cut != 0) && r.has[w.Stream] {
		if err := r.finish(); err != nil {
			return err
		}
		r.writes, r.ids, r.appends, r.has = r.writes[:0], r.ids[:0], r.appends[:0], nil
	}
	if err := r.check(w); err != nil {
		return err
	}
	r.split()
	lw, s := &r.writes[len(r.writes)-1], r.stream(w.Stream)
	r.ids[len(r.writes)-1] = append(r.ids[len(r.writes)-1], w)
	if w.Remove {
		lw.add(head{stream: w.Stream, kind: noteRemove}, nil)
		s.tip, s.tipCP, s.tipKnown = 0, 0, false
	}
	if err := r.takeRoad(s, lw, w, core.FlushLazy); err != nil {
		return err
	}
	if w.Install != nil {
		if err := r.closeOpen(s, lw, true); err != nil {
			return err
		}
		lw.add(head{stream: w.Stream, kind: noteInstall}, encodeCheckpoint(w.Install))
		s.tip, s.tipCP = w.Install.Index, w.Install.Index
	}
	ends := w.Remove || w.Install != nil
	if w.Cut != 0 && w.Cut <= s.tip {
		if err := r.closeOpen(s, lw, false); err != nil {
			return err
		}
		ends = true
		lw.add(head{stream: w.Stream, kind: noteCut, index: w.Cut, base: r.j.baseAt(s, w.Cut)}, nil)
		s.tip = w.Cut - 1
	}
	r.notes(lw, w)
	if len(w.Entries) > 0 {
		if r.has == nil {
			r.has = map[core.StreamID]bool{}
		}
		if !r.has[w.Stream] {
			if err := r.segment(s, lw, w, ends); err != nil {
				return err
			}
		}
		r.has[w.Stream] = true
		if !w.Fill {
			s.tip = w.Entries[len(w.Entries)-1].Index
		}
	}
	r.appends = append(r.appends, lazyAppend{s, w})
	return nil
}

// segment sees to it that the stream has an open segment with room. ended says that
// a note before it in this round ends the one that is open now.
func (r *round) segment(s *stream, lw *logWrite, w *core.Write, ended bool) error {
	old, roll := r.j.openPart(s, w.Fill)
	if !ended && old.kind != 0 {
		if !roll && old.last < w.Entries[0].Index {
			return nil
		}
		if err := r.closeOpen(s, lw, w.Fill); err != nil {
			return err
		}
	}
	r.hold()
	n, err := r.j.newSegment(s.id)
	if err != nil {
		return err
	}
	r.newFile = true
	e := &w.Entries[0]
	lw.add(head{stream: s.id, kind: noteSegment}, noteData(func(enc *encoder) {
		enc.uint(n)
		enc.int(int64(e.Index))
		enc.int(int64(e.Base))
		enc.bool(w.Fill)
	}))
	r.j.mu.Lock()
	s.roll = false
	r.j.mu.Unlock()
	return nil
}

// openPart copies the open segment as it is, kind 0 where there is none, and says
// whether it is to end.
func (j *Journal) openPart(s *stream, fill bool) (p part, roll bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if o := s.open(fill); o != nil {
		p = *o
	}
	return p, s.roll || p.bytes() >= j.segmentBytes(s)
}

// closeOpen flushes the open segment, if there is one, and notes that it ends here.
func (g *group) closeOpen(s *stream, lw *logWrite, fill bool) error {
	g.hold()
	p, _ := g.j.openPart(s, fill)
	if p.kind == 0 {
		return nil
	}
	if err := g.j.syncSegment(p.file); err != nil {
		return err
	}
	p.flags &^= partOpen
	lw.add(head{stream: s.id, kind: noteFlushed}, flushedNote(&p, fill))
	return nil
}

func flushedNote(p *part, fill bool) []byte {
	return noteData(func(e *encoder) {
		e.part(p)
		e.bool(fill)
	})
}

// segmentBytes is where the stream's segments end. Call it with mu held.
func (j *Journal) segmentBytes(s *stream) int64 {
	if s.keep != nil && s.keep.SegmentBytes > 0 {
		return s.keep.SegmentBytes
	}
	return j.opt.SegmentBytes
}

func (j *Journal) nextNumber() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.number++
	return j.number
}

// newSegment makes an empty segment. The directory is yet to be flushed.
func (j *Journal) newSegment(id core.StreamID) (uint64, error) {
	n := j.nextNumber()
	name := j.fileName(fileKey{inSegment, n})
	f, err := j.fs.Create(name)
	if err == nil {
		_, err = f.WriteAt(fileHead(segmentMagic, j.disk, n, id), 0)
		if e := f.Close(); err == nil {
			err = e
		}
	}
	if err != nil {
		err = fmt.Errorf("make segment %q: %w", name, err)
		if noSpace(err) {
			j.fs.Remove(name)
			return 0, &core.Error{Op: "write journal", Name: streamName(id), Kind: core.Full, Err: err}
		}
	}
	return n, err
}

func (j *Journal) syncSegment(number uint64) error {
	j.mu.Lock()
	h := j.pin(inSegment, number)
	j.mu.Unlock()
	f, err := j.file(h)
	if err == nil {
		if err = f.Sync(); err != nil {
			err = &flushError{h.name, err}
		}
	}
	j.release([]*handle{h})
	return err
}

func (g *group) hold() {
	if !g.held {
		g.j.shape.Lock()
		g.held = true
	}
}

func (g *group) letGo() {
	if g.held {
		g.held = false
		g.j.shape.Unlock()
	}
}

// takeRoad notes that a stream takes another road from here on. The old one is
// flushed first.
func (g *group) takeRoad(s *stream, lw *logWrite, w *core.Write, road core.Flush) error {
	if s.tipRoad == road || s.tipKnown && len(w.Entries) == 0 && w.Install == nil {
		return nil
	}
	g.hold()
	if road == core.FlushEach {
		for _, fill := range []bool{false, true} {
			if err := g.closeOpen(s, lw, fill); err != nil {
				return err
			}
		}
	}
	lw.add(head{stream: s.id, kind: noteRoad, count: int32(road)}, nil)
	s.tipRoad, s.tipKnown = road, true
	return nil
}

// finish carries out a round.
func (r *round) finish() error {
	defer r.letGo()
	if r.newFile {
		r.newFile = false
		if err := r.j.fs.SyncDir(path.Join(r.j.dir, segmentDir)); err != nil {
			return r.j.fail(err)
		}
	}
	before := len(r.refused)
	if err := r.commit(); err != nil {
		return err
	}
	failed := map[*core.Write]bool{}
	if len(r.refused) > before {
		r.refused = r.refused[:before]
		for _, a := range r.appends {
			failed[a.w] = true
			r.refuse(a.w, &core.Error{Op: "write journal", Name: streamName(a.s.id),
				Kind: core.Full, Detail: "no room in the log"})
		}
	}
	for _, a := range r.appends {
		if failed[a.w] {
			continue
		}
		if len(a.w.Entries) > 0 {
			if err := r.append(a.s, a.w); err != nil {
				if !noSpace(err) {
					return r.j.fail(err)
				}
				r.refuse(a.w, &core.Error{Op: "write journal", Name: streamName(a.s.id),
					Kind: core.Full, Err: err})
				continue
			}
		}
		r.j.postpone(a.s, a.w)
	}
	return nil
}

// append writes a Write's entries to the open segment.
func (r *round) append(s *stream, w *core.Write) error {
	if r.barred[s.id] {
		return &core.Error{Op: "write journal", Kind: core.Full, Err: errBarred}
	}
	flags := uint8(0)
	if w.Fill {
		flags = flagFill
	}
	b := r.buf[:0]
	for i := range w.Entries {
		b = appendEntry(b, s.id, &w.Entries[i], flags)
	}
	if r.buf = b; cap(b) > splitBytes {
		r.buf = nil
	}
	j := r.j
	j.mu.Lock()
	p := s.open(w.Fill)
	core.Assert(p != nil, "a stream with entries has an open segment")
	number, pos := p.file, p.end
	h := j.pin(inSegment, number)
	j.mu.Unlock()
	f, err := j.file(h)
	if err == nil {
		if _, err = f.WriteAt(b, pos); noSpace(err) {
			f.Truncate(pos)
		}
	}
	j.release([]*handle{h})
	if err != nil {
		return fmt.Errorf("write segment %q: offset %d: %w", h.name, pos, err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stats.SegmentBytes += int64(len(b))
	for len(b) > 0 {
		hd, _ := parseHead(b)
		s.entered(&hd, b[headBytes:hd.size()], place{inSegment, number, pos})
		b, pos = b[hd.size():], pos+hd.size()
	}
	s.known = true
	if !w.Fill {
		j.wait(s) // to be flushed when it rests
	}
	return nil
}

// postpone keeps a checkpoint until the entries that it covers are flushed.
func (j *Journal) postpone(s *stream, w *core.Write) {
	if w.Checkpoint == nil && w.Reclaim == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if w.Checkpoint != nil {
		s.pend = w.Checkpoint
	}
	if w.Reclaim != nil {
		s.pendRec = w.Reclaim
	}
	j.wait(s)
}
