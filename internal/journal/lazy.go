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
	r := round{group: group{j: j, writes: j.lazy[:0], turn: j.nextTurn(), room: j.room()},
		has: map[lazyList]bool{}, later: map[core.StreamID]bool{}, buf: j.lazyBuf}
	defer r.letGo()
	for i := range ws {
		for _, w := range inOrder(&ws[i]) {
			if ok, err := r.take(w); err != nil {
				return r.refused, err
			} else if !ok {
				break
			}
		}
	}
	err := r.finish()
	j.lazy, j.lazyBuf = r.keep(), r.buf
	return r.refused, err
}

// inOrder parts a Write where its notes and its entries go another way than its
// fields: what is filled in comes before an install, votes and trims after entries.
func inOrder(w *core.Write) []*core.Write {
	if len(w.Entries) == 0 || w.State == nil && w.Trim == 0 && (!w.Fill || w.Install == nil) {
		return []*core.Write{w}
	}
	first, then := *w, *w
	first.State, first.Trim, first.Checkpoint, first.Reclaim = nil, 0, nil, nil
	then.Keep, then.Remove, then.Cut, then.Entries, then.Fill = nil, false, 0, nil, false
	if w.Fill {
		first.Install, first.Cut = nil, 0
		then.Cut = w.Cut
	} else {
		then.Install = nil
	}
	return []*core.Write{&first, &then}
}

// take plans a Write, or refuses it; an error is the journal's end.
func (r *round) take(w *core.Write) (ok bool, err error) {
	if err = r.plan(w); err == nil {
		return true, nil
	}
	if core.KindOf(err) == core.Unknown {
		return false, r.j.fail(err)
	}
	r.refuse(w, err)
	return false, nil
}

var errBarred = fmt.Errorf("an earlier write of the stream was refused: %w", syscall.ENOSPC)

// round is Writes of which no stream's notes must wait for another's entries: first
// all notes, then all entries.
type round struct {
	group
	appends []lazyAppend
	has     map[lazyList]bool      // with entries in appends
	later   map[core.StreamID]bool // with anything in appends that follows the notes
	newFile bool
	buf     []byte
}

type lazyList struct {
	stream core.StreamID
	fill   bool
}

type lazyAppend struct {
	s *stream
	w *core.Write
}

func (r *round) plan(w *core.Write) error {
	again := w.Fill && len(w.Entries) > 0 && w.Entries[0].Index <= r.stream(w.Stream).fillTip
	if (w.Remove || w.Install != nil || w.Cut != 0 || w.State != nil || w.Trim != 0 ||
		w.Keep != nil || again) &&
		r.later[w.Stream] {
		if err := r.finish(); err != nil {
			return err
		}
		r.writes, r.ids, r.appends = r.writes[:0], r.ids[:0], r.appends[:0]
		clear(r.has)
		clear(r.later)
	}
	if err := r.check(w); err != nil {
		return err
	}
	r.split()
	lw, s := &r.writes[len(r.writes)-1], r.stream(w.Stream)
	r.ids[len(r.writes)-1] = append(r.ids[len(r.writes)-1], w)
	if w.Remove {
		lw.Add(Head{Stream: w.Stream, Kind: NoteRemove}, nil)
		s.tip, s.tipCP, s.tipKnown = 0, 0, false
		r.end(lazyList{w.Stream, false})
		r.end(lazyList{w.Stream, true})
	}
	if err := r.takeRoad(s, lw, w, core.FlushLazy); err != nil {
		return err
	}
	if w.Install != nil {
		if err := r.closeOpen(s, lw, true); err != nil {
			return err
		}
		r.end(lazyList{w.Stream, false})
		r.end(lazyList{w.Stream, true})
		lw.Add(Head{Stream: w.Stream, Kind: NoteInstall}, EncodeCheckpoint(w.Install))
		s.tip, s.tipCP = w.Install.Index, w.Install.Index
	}
	if w.Cut != 0 && w.Cut <= s.tip {
		if err := r.closeOpen(s, lw, false); err != nil {
			return err
		}
		lw.Add(Head{Stream: w.Stream, Kind: NoteCut, Index: w.Cut,
			Base: r.j.baseAt(s, w.Cut)}, nil)
		s.tip = w.Cut - 1
	}
	r.notes(lw, w)
	if len(w.Entries) > 0 {
		if l := (lazyList{w.Stream, w.Fill}); !r.has[l] {
			if err := r.segment(s, lw, w); err != nil {
				return err
			}
		}
		r.has[lazyList{w.Stream, w.Fill}] = true
		if last := w.Entries[len(w.Entries)-1].Index; w.Fill {
			s.fillTip = last
		} else {
			s.tip = last
		}
	}
	if w.Checkpoint != nil {
		s.tipCP = max(s.tipCP, w.Checkpoint.Index)
	}
	r.later[w.Stream] = r.later[w.Stream] || len(w.Entries) > 0 || w.Checkpoint != nil ||
		w.Reclaim != nil
	r.appends = append(r.appends, lazyAppend{s, w})
	return nil
}

// segment sees to it that the stream has an open segment with room.
func (r *round) segment(s *stream, lw *logWrite, w *core.Write) error {
	old, roll := r.j.openPart(s, w.Fill)
	if old.kind != 0 && !r.ended[lazyList{s.id, w.Fill}] {
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
	lw.Add(Head{Stream: s.id, Kind: NoteSegment}, NoteData(func(enc *Encoder) {
		enc.Uint(n)
		enc.Int(int64(e.Index))
		enc.Int(int64(e.Base))
		enc.Bool(w.Fill)
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
	l := lazyList{s.id, fill}
	p, _ := g.j.openPart(s, fill)
	if p.kind == 0 || g.ended[l] {
		return nil
	}
	g.hold()
	g.end(l)
	p, _ = g.j.openPart(s, fill)
	if err := g.j.syncSegment(p.file); err != nil {
		return err
	}
	p.flags &^= partOpen
	lw.Add(Head{Stream: s.id, Kind: NoteFlushed}, flushedNote(&p, fill))
	return nil
}

// end notes that the open segment ends with the notes that are gathered.
func (g *group) end(l lazyList) {
	if g.ended == nil {
		g.ended = map[lazyList]bool{}
	}
	g.ended[l] = true
}

func flushedNote(p *part, fill bool) []byte {
	return NoteData(func(e *Encoder) {
		putPart(e, p)
		e.Bool(fill)
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
		if Full(err) {
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
		if err = j.watch.sync(f); err != nil {
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
	if s.tipRoad == road || len(w.Entries) == 0 && w.Install == nil &&
		(s.tipKnown || w.State == nil) {
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
	lw.Add(Head{Stream: s.id, Kind: NoteRoad, Count: int32(road)}, nil)
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
	r.ended = nil
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
				if !Full(err) {
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
		flags = FlagFill
	}
	b := r.buf[:0]
	for i := range w.Entries {
		b = AppendEntry(b, s.id, &w.Entries[i], flags)
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
		if _, err = f.WriteAt(b, pos); Full(err) {
			if e := f.Truncate(pos); e == nil {
				e = f.Sync() // so that nothing of it comes back
			} else {
				err = e
			}
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
		hd, _ := ParseHead(b)
		s.entered(&hd, b[HeadBytes:hd.Size()], place{inSegment, number, pos})
		b, pos = b[hd.Size():], pos+hd.Size()
	}
	s.known = true
	j.wait(s) // to be flushed when it rests
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
