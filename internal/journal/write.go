package journal

import (
	"fmt"

	"trine/internal/core"
)

// Refusal is a Write of which nothing was done, and why: Full where the disk has no
// room, Invalid where it does not fit what is there.
type Refusal struct {
	ID  uint64
	Err error
}

// splitBytes is where a group is written as another write of the log, so that no
// buffer grows without bound. One Write stays whole.
const splitBytes = 4 << 20

// WriteEach carries out Writes by way of the log and returns once they are flushed,
// all with one flush. The refused ones were not touched; later Writes of the same
// stream that append are refused with them. An error means that the journal takes
// nothing more, and that of the rest nobody knows.
func (j *Journal) WriteEach(ws []core.Write) ([]Refusal, error) {
	if err := j.writable(); err != nil {
		return nil, err
	}
	g := group{j: j, writes: j.each[:0], turn: j.nextTurn(), room: j.room()}
	for i := range ws {
		g.split()
		err := g.encode(&ws[i], core.FlushEach)
		if err != nil && core.KindOf(err) == core.Unknown {
			g.letGo()
			return g.refused, j.fail(err)
		}
		if err != nil {
			g.refuse(&ws[i], err)
		}
	}
	err := g.commit()
	g.letGo()
	j.each = g.keep()
	return g.refused, err
}

func (j *Journal) nextTurn() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.turns++
	return j.turns
}

// room says whether the disk has more than its reserve.
func (j *Journal) room() bool {
	n, err := j.fs.FreeBytes(j.dir)
	return err != nil || n > j.opt.ReserveBytes
}

// Cramped says whether little more than the reserve is free. Whoever has a choice appends
// nothing then, so that what is under way still finds room.
func (j *Journal) Cramped() bool {
	n, err := j.fs.FreeBytes(j.dir)
	return err == nil && n <= j.opt.ReserveBytes+j.opt.ReserveBytes/2
}

// group is what one call writes to the log.
type group struct {
	j       *Journal
	writes  []logWrite
	ids     [][]*core.Write // of each write of the log
	turn    uint64
	room    bool
	refused []Refusal
	barred  map[core.StreamID]bool
	ended   map[lazyList]bool // open segments that end with these notes
	held    bool              // journal.shape, until the notes are applied
}

// split begins a write of the log where there is none or the last one is large.
func (g *group) split() *logWrite {
	n := len(g.writes)
	if n > 0 && g.writes[n-1].Size() < splitBytes {
		return &g.writes[n-1]
	}
	if n < cap(g.writes) {
		g.writes = g.writes[:n+1]
	} else {
		g.writes = append(g.writes, logWrite{})
	}
	g.writes[n].Reset()
	g.ids = append(g.ids, nil)
	return &g.writes[n]
}

// keep gives the buffers back, without those that grew large.
func (g *group) keep() []logWrite {
	for i := range g.writes {
		g.writes[i].Shrink(splitBytes)
		g.writes[i].file = nil
	}
	return g.writes[:min(len(g.writes), 1)]
}

func (g *group) refuse(w *core.Write, err error) {
	if len(w.Entries) > 0 {
		if g.barred == nil {
			g.barred = map[core.StreamID]bool{}
		}
		g.barred[w.Stream] = true
	}
	g.refused = append(g.refused, Refusal{w.ID, err})
}

// commit writes, flushes once, and shows the result. Where the disk is full, what
// is left is refused.
func (g *group) commit() error {
	n, seq := 0, uint64(0)
	for ; n < len(g.writes); n++ {
		lw := &g.writes[n]
		if lw.Empty() {
			continue
		}
		err := g.j.wal.write(lw, g.j.took)
		if err != nil && !Full(err) {
			return g.j.fail(err)
		}
		if err != nil {
			for _, ws := range g.ids[n:] {
				for _, w := range ws {
					g.refuse(w, &core.Error{Op: "write journal", Name: streamName(w.Stream),
						Kind: core.Full, Err: err})
				}
			}
			break
		}
		seq = lw.seq
	}
	if seq == 0 {
		return nil
	}
	if err := g.j.wal.flush(seq); err != nil {
		return g.j.fail(err)
	}
	for i := range g.writes[:n] {
		if !g.writes[i].Empty() {
			if err := g.j.apply(&g.writes[i]); err != nil {
				return err
			}
		}
	}
	g.j.bury()
	return nil
}

// commit writes one write to the log, flushes it and shows it.
func (j *Journal) commit(lw *logWrite) error {
	err := j.wal.write(lw, j.took)
	if err == nil {
		err = j.wal.flush(lw.seq)
	}
	if err != nil && Full(err) {
		return &core.Error{Op: "write journal", Name: j.dir, Kind: core.Full, Err: err}
	}
	if err != nil {
		return j.fail(err)
	}
	if err = j.apply(lw); err == nil {
		j.bury()
	}
	return err
}

// took notes that a write went to a file of the log and is not applied yet.
func (j *Journal) took(f *logFile) {
	j.mu.Lock()
	j.logs[f.gen], j.begun = f, f.gen
	f.inflight++
	j.mu.Unlock()
}

// apply shows a flushed write to readers, after all that came before it.
func (j *Journal) apply(lw *logWrite) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.applied != lw.seq-1 && j.failed == nil && !j.closed {
		j.turn.Wait()
	}
	if j.failed != nil {
		return j.failed
	}
	lw.file.inflight--
	j.show(lw.file, lw.pos+WriteHeadBytes, lw.Frames(), lw.seq)
	j.applied = lw.seq
	j.turn.Broadcast()
	return nil
}

// show carries out the frames of one write on the streams, live and while
// recovering. They were checked before.
func (j *Journal) show(f *logFile, pos int64, frames []byte, seq uint64) {
	for len(frames) > 0 {
		h, err := ParseHead(frames)
		core.Assert(err == nil, "a checked write has only frames: %v", err)
		if err := j.showFrame(f, &h, frames[HeadBytes:h.Size()], pos, seq); err != nil {
			j.report.Damage = append(j.report.Damage, fmt.Sprintf("read %q: offset %d: %v",
				f.name, pos, err))
		}
		frames, pos = frames[h.Size():], pos+h.Size()
	}
}

func (j *Journal) showFrame(f *logFile, h *Head, data []byte, pos int64, seq uint64) error {
	s := j.streamOf(h.Stream)
	if s.touched != f.gen {
		s.touched = f.gen
		f.streams = append(f.streams, s)
	}
	if seq <= s.skip {
		return nil
	}
	s.known = true
	at := place{inLog, f.gen, pos}
	if s.removed {
		switch h.Kind {
		case NoteRemove, NoteTrim, NoteFlushed, NoteParts, NoteCheckpoint,
			NoteCleaned, NoteUnfill, NoteDamage:
			return nil // the cleaner's, decided before it heard
		}
		s.removed = false
	}
	if h.Entry() {
		s.entered(h, data, at)
		return nil
	}
	err := s.note(h, data, at, j.gone)
	if j.recovering && (h.Kind == NoteSegment || h.Kind == NoteParts) {
		j.count(s)
	}
	return err
}

// count sees to it that no segment's number is used twice while the log speaks of it.
func (j *Journal) count(s *stream) {
	for _, ps := range [][]part{s.parts, s.fill} {
		for i := range ps {
			if ps[i].kind == inSegment {
				j.number = max(j.number, ps[i].file)
			}
		}
	}
}

// gone gives up segments that no stream needs. While recovering they are left: what
// nobody names is removed at the end.
func (j *Journal) gone(ps []part) {
	if j.recovering {
		return
	}
	for _, n := range ownFiles(ps) {
		j.doom(fileKey{inSegment, n})
	}
}

// encode checks one Write against what is there and appends its frames.
func (g *group) encode(w *core.Write, road core.Flush) error {
	if err := g.check(w); err != nil {
		return err
	}
	lw := &g.writes[len(g.writes)-1]
	g.ids[len(g.writes)-1] = append(g.ids[len(g.writes)-1], w)
	s := g.stream(w.Stream)
	if w.Remove {
		lw.Add(Head{Stream: w.Stream, Kind: NoteRemove}, nil)
		s.tip, s.tipCP, s.tipKnown = 0, 0, false
		g.end(lazyList{w.Stream, false})
		g.end(lazyList{w.Stream, true})
	}
	if err := g.takeRoad(s, lw, w, road); err != nil {
		return err
	}
	if w.Fill {
		g.entries(s, lw, w, FlagFill)
	}
	if w.Install != nil {
		if err := g.closeOpen(s, lw, true); err != nil {
			return err
		}
		lw.Add(Head{Stream: w.Stream, Kind: NoteInstall}, EncodeCheckpoint(w.Install))
		s.tip, s.tipCP = w.Install.Index, w.Install.Index
	}
	if w.Cut != 0 && w.Cut <= s.tip {
		if err := g.closeOpen(s, lw, false); err != nil {
			return err
		}
		lw.Add(Head{Stream: w.Stream, Kind: NoteCut, Index: w.Cut,
			Base: g.j.baseAt(s, w.Cut)}, nil)
		s.tip = w.Cut - 1
	}
	if !w.Fill {
		g.entries(s, lw, w, 0)
	}
	g.notes(lw, w)
	if w.Checkpoint != nil {
		s.tipCP = max(s.tipCP, w.Checkpoint.Index)
		if err := g.closeOpen(s, lw, false); err != nil { // what it covers must be flushed
			return err
		}
		lw.Add(Head{Stream: w.Stream, Kind: NoteCheckpoint},
			EncodeCheckpoint(w.Checkpoint))
	}
	if w.Reclaim != nil {
		wanted := NoteData(func(e *Encoder) { e.Reclaim(w.Reclaim) })
		lw.Add(Head{Stream: w.Stream, Kind: NoteReclaim}, wanted)
	}
	return nil
}

func (g *group) entries(s *stream, lw *logWrite, w *core.Write, flags uint8) {
	for i := range w.Entries {
		lw.AddEntry(w.Stream, &w.Entries[i], flags)
	}
	if n := len(w.Entries); n > 0 && flags&FlagFill == 0 {
		s.tip = w.Entries[n-1].Index
	}
}

// notes appends what is logged on either road.
func (g *group) notes(lw *logWrite, w *core.Write) {
	if w.Keep != nil {
		lw.Add(Head{Stream: w.Stream, Kind: NoteKeep}, NoteData(func(e *Encoder) {
			e.Keep(w.Keep)
		}))
	}
	if w.State != nil {
		lw.Add(Head{Stream: w.Stream, Kind: NoteState, Epoch: w.State.Epoch,
			Base: core.Offset(w.State.Commit)}, NoteData(func(e *Encoder) {
			e.Uint(uint64(w.State.Vote))
		}))
	}
	if w.Trim > 0 {
		lw.Add(Head{Stream: w.Stream, Kind: NoteTrim, Base: w.Trim}, nil)
	}
}

// stream gives a stream with its tips as they stand in this call.
func (g *group) stream(id core.StreamID) *stream {
	g.j.mu.Lock()
	defer g.j.mu.Unlock()
	s := g.j.streamOf(id)
	if s.turn != g.turn {
		s.turn, s.tip, s.tipRoad, s.tipCP, s.tipKnown = g.turn, s.last, s.road, s.cp.Index, s.known
		if s.fillTip = 0; len(s.fill) > 0 {
			s.fillTip = s.fill[len(s.fill)-1].last
		}
	}
	return s
}

// check refuses a Write that does not fit, before anything of it is encoded.
func (g *group) check(w *core.Write) error {
	s := g.stream(w.Stream)
	refuse := func(k core.Kind, format string, args ...any) error {
		return &core.Error{Op: "write journal", Name: streamName(w.Stream), Kind: k,
			Detail: fmt.Sprintf(format, args...)}
	}
	if w.Stream == 0 || w.Stream > StreamMax {
		return refuse(core.Invalid, "no such id")
	}
	tip := s.tip
	if w.Remove {
		tip = 0
	}
	if w.Install != nil {
		tip = w.Install.Index
	}
	if w.Cut != 0 && w.Install == nil && !w.Remove && w.Cut <= s.tipCP {
		return refuse(core.Invalid, "a cut at %d is below the checkpoint at %d", w.Cut, s.tipCP)
	}
	if w.Cut != 0 {
		tip = min(tip, w.Cut-1)
	}
	if c := w.Checkpoint; c != nil {
		last := tip
		if n := len(w.Entries); n > 0 && !w.Fill {
			last = w.Entries[n-1].Index
		}
		if c.Index > last {
			return refuse(core.Invalid, "a checkpoint at %d is above the last entry %d", c.Index, last)
		}
	}
	if len(w.Entries) == 0 {
		return nil
	}
	if g.barred[w.Stream] {
		return refuse(core.Full, "an earlier write of the stream was refused")
	}
	spare := !w.Fill
	for i := range w.Entries {
		e := &w.Entries[i]
		spare = spare && e.Kind != core.EntryBatch
		if e.Kind == 0 || e.Kind >= 64 || len(e.Data) > DataBytesMax {
			return refuse(core.Invalid, "entry %d is of kind %d, %d bytes", e.Index, e.Kind,
				len(e.Data))
		}
		if i == 0 && !w.Fill && e.Index != tip+1 || i > 0 && e.Index <= w.Entries[i-1].Index ||
			i > 0 && !w.Fill && e.Index != w.Entries[i-1].Index+1 {
			return refuse(core.Invalid, "entry %d does not follow %d", e.Index, tip)
		}
	}
	if !g.room && !spare {
		return refuse(core.Full, "what is left is reserved for settlements and checkpoints")
	}
	return nil
}

// baseAt gives the offset that the entry at index has, -1 where that is not known.
func (j *Journal) baseAt(s *stream, at core.Index) core.Offset {
	es, _ := j.Load(core.Load{Stream: s.id, ByIndex: true, Index: at, BytesMax: 1})
	if len(es) == 0 || es[0].Index != at {
		return -1
	}
	return es[0].Base
}
