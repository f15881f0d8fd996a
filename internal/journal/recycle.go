package journal

import (
	"slices"
	"sort"

	"trine/internal/core"
)

// recycle frees the oldest file of the log, if there are too many: what streams must
// keep of it is copied to segments of their own or to a new pack, that is flushed,
// and then the file may be overwritten. Old packs go the same way.
func (j *Journal) recycle() (did bool, err error) {
	r := j.planRecycle()
	if r == nil {
		return false, j.freeRetired()
	}
	defer j.release(r.pins)
	if r.pack, err = j.newPack(); err == nil {
		err = r.copyAll()
	}
	if err == nil {
		err = r.finish()
	}
	if err != nil {
		if r.pack != nil {
			r.pack.drop()
		}
		j.mu.Lock()
		for _, n := range r.made {
			j.doom(fileKey{inSegment, n})
		}
		j.mu.Unlock()
		return true, err
	}
	return true, j.freeRetired()
}

// recycling is one run of the cleaner over files that shall go.
type recycling struct {
	j       *Journal
	log     *logFile
	old     []*pack // the oldest, where they go too
	covered uint64
	moves   []*move
	pack    *packWriter
	made    []uint64 // new segments
	dirty   []uint64 // segments to flush
	pins    []*handle
	copied  int64
	scratch []byte
}

// move is what a stream has in the files that go.
type move struct {
	s      *stream
	runs   []run
	cp     bool // its checkpoint is in them
	cpAt   place
	cpNew  place
	keep   keeper
	tell   bool // it is in the new pack's directory
	buried bool // as removed
}

// run is consecutive parts that become one, or none.
type run struct {
	old   []part
	into  *part   // the segment before them, which they are appended to
	file  *handle // of into
	made  part    // kind 0: nothing of them is needed
	moved bool
}

// keeper says which entries are still wanted. It is a copy, for use without mu.
type keeper struct {
	above   core.Index
	start   core.Offset
	reclaim *core.Reclaim
}

func (s *stream) keeper() keeper { return keeper{s.cp.Index, s.start, s.reclaim} }

func (k *keeper) wants(h *Head) bool {
	if h.Index > k.above {
		return true
	}
	return h.Kind == uint8(core.EntryBatch) && h.Next() > k.start &&
		wanted(k.reclaim, h.Base, h.Next())
}

// wanted says whether a reclaim leaves any of the offsets from to next-1.
func wanted(r *core.Reclaim, from, next core.Offset) bool {
	if r == nil || next > r.Below {
		return true
	}
	i := sort.Search(len(r.Keep), func(i int) bool { return r.Keep[i].To >= from })
	return i < len(r.Keep) && r.Keep[i].From < next
}

// planRecycle chooses the files that go and lists who has something in them.
func (j *Journal) planRecycle() *recycling {
	j.mu.Lock()
	defer j.mu.Unlock()
	var gens []uint64
	for g, f := range j.logs {
		if !f.retired {
			gens = append(gens, g)
		}
	}
	slices.Sort(gens)
	full := len(gens)
	if j.current(gens) {
		full--
	}
	r := &recycling{j: j, covered: j.covered}
	if full > j.opt.LogFiles && j.logs[gens[0]].inflight == 0 {
		r.log, r.covered = j.logs[gens[0]], gens[0]
	}
	if r.old = j.wornPacks(r.log != nil); r.log == nil && r.old == nil {
		return nil
	}
	seen := map[*stream]bool{}
	if r.log != nil {
		for _, s := range r.log.streams {
			seen[s] = true
		}
	}
	for _, p := range r.old {
		for _, s := range j.streams {
			if s.home == p.number || s.anyIn(inPack, p.number) {
				seen[s] = true
			}
		}
	}
	for s := range seen {
		if s.known {
			r.moves = append(r.moves, r.plan(s))
		}
	}
	sort.Slice(r.moves, func(a, b int) bool { return r.moves[a].s.id < r.moves[b].s.id })
	return r
}

// current says whether the last of the live files is the one that is written to.
func (j *Journal) current(gens []uint64) bool {
	return len(gens) > 0 && j.begun == gens[len(gens)-1]
}

// wornPacks gives the oldest packs where there are many, and the oldest one beside a
// file of the log where packs hold much that nobody needs.
func (j *Journal) wornPacks(beside bool) []*pack {
	if len(j.packs) > packsMax {
		return slices.Clone(j.packs[:packsMax/2])
	}
	if len(j.packs) < 2 || !beside {
		return nil
	}
	var size, live int64
	for _, p := range j.packs {
		size += p.size
	}
	for _, s := range j.streams {
		for i := range s.parts {
			if s.parts[i].kind == inPack {
				live += s.parts[i].bytes()
			}
		}
	}
	if size > 2*live+packWasteMax {
		return slices.Clone(j.packs[:1])
	}
	return nil
}

func (s *stream) anyIn(k placeKind, file uint64) bool {
	if s.cpAt.kind == k && s.cpAt.file == file {
		return true
	}
	for _, ps := range [][]part{s.parts, s.fill} {
		for i := range ps {
			if ps[i].kind == k && ps[i].file == file {
				return true
			}
		}
	}
	return false
}

func (r *recycling) goes(p *part) bool {
	return r.goesAt(p.kind, p.file)
}

func (r *recycling) goesAt(k placeKind, file uint64) bool {
	return r.log != nil && k == inLog && file == r.log.gen || k == inPack && r.drops(file)
}

// drops says whether a pack goes.
func (r *recycling) drops(number uint64) bool {
	return slices.ContainsFunc(r.old, func(p *pack) bool { return p.number == number })
}

// plan lists what a stream has in the files that go. Call it with mu held.
func (r *recycling) plan(s *stream) *move {
	m := &move{s: s, keep: s.keeper()}
	if s.hasCP && r.goesAt(s.cpAt.kind, s.cpAt.file) {
		m.cp, m.cpAt = true, s.cpAt
	}
	for _, ps := range [][]part{s.parts, s.fill} {
		for i := 0; i < len(ps); i++ {
			from := i
			bytes, any := int64(0), false
			for ; i < len(ps) && (ps[i].kind == inPack || r.goes(&ps[i])); i++ {
				bytes += ps[i].bytes()
				any = any || r.goes(&ps[i])
			}
			if !any {
				continue
			}
			if bytes >= r.j.opt.SmallBytes {
				u := run{old: slices.Clone(ps[from:i])}
				if from > 0 && ps[from-1].kind == inSegment && ps[from-1].flags == 0 &&
					ps[from-1].bytes()+bytes <= r.j.segmentBytes(s) {
					p := ps[from-1]
					u.into, u.file = &p, r.j.pin(p.kind, p.file)
					r.pins = append(r.pins, u.file)
				}
				m.runs = append(m.runs, u)
				continue
			}
			for from < i { // small: only what must goes, into the pack
				to := from
				for ; to < i && r.goes(&ps[to]); to++ {
				}
				if to > from {
					m.runs = append(m.runs, run{old: slices.Clone(ps[from:to])})
				}
				from = max(to, from+1)
			}
		}
	}
	return m
}

// finish writes the directory as the streams are now, flushes, and then shows the
// streams in their new places.
func (r *recycling) finish() error {
	j := r.j
	e := Encode()
	j.mu.Lock()
	seq := j.applied
	var told []*move
	for _, m := range r.moves {
		if m.tell = !m.s.removed || j.spoken(m.s); m.tell {
			told = append(told, m)
		}
	}
	e.Uint(uint64(len(told)))
	for _, m := range told {
		m.buried = m.s.removed
		s, cpAt := m.s, m.s.cpAt
		if m.cp && cpAt == m.cpAt {
			cpAt = m.cpNew
		}
		putMention(e, s, cpAt, flushedParts(m.apply(s.parts), s.durable), flushedParts(m.apply(s.fill), nil))
	}
	j.mu.Unlock()
	p, err := r.pack.finish(e.Data(), r.covered, seq)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.packs, j.covered = append(j.packs, p), r.covered
	for _, m := range r.moves {
		s := m.s
		if m.cp && s.cpAt == m.cpAt {
			s.cpAt = m.cpNew
		}
		s.parts, s.fill = m.apply(s.parts), m.apply(s.fill)
		s.ver++
		if m.tell {
			if m.buried && !s.buried {
				s.alive = s.home
			}
			s.home, s.buried = p.number, m.buried
		} else if s.removed && s.touched <= r.covered {
			delete(j.streams, s.id)
		}
		m.keepFiles()
	}
	for _, n := range r.made {
		if !r.named(n) {
			j.doom(fileKey{inSegment, n})
		}
	}
	if r.log != nil {
		r.log.retired = true
		r.log.streams = nil
	}
	for _, p := range r.old {
		j.packs = slices.DeleteFunc(j.packs, func(q *pack) bool { return p == q })
		j.doom(fileKey{inPack, p.number})
	}
	j.stats.CopiedBytes += r.copied
	return nil
}

// spoken says whether a pack may still speak of a removed stream as if it were there.
// Packs go oldest first, and what an earlier step unlinked is gone for certain once
// this one has flushed the directory.
func (j *Journal) spoken(s *stream) bool {
	if !s.buried {
		return s.home != 0
	}
	return slices.ContainsFunc(j.packs, func(p *pack) bool { return p.number == s.alive })
}

// named says whether a stream has a part in a new segment.
func (r *recycling) named(n uint64) bool {
	for _, m := range r.moves {
		if m.s.anyIn(inSegment, n) {
			return true
		}
	}
	return false
}

// keepFiles keeps segments that were appended to and given up meanwhile for what
// they held before.
func (m *move) keepFiles() {
	for i := range m.runs {
		if u := &m.runs[i]; u.file != nil && m.s.anyIn(inSegment, u.into.file) {
			u.file.doomed = false
		}
	}
}

// flushedParts gives parts as a directory shows them: of an open segment only what
// is known to be flushed.
func flushedParts(ps []part, durable *part) []part {
	out := slices.Clone(ps)
	for i := range out {
		p := &out[i]
		if p.flags&partOpen == 0 {
			continue
		}
		if durable != nil && durable.file == p.file {
			*p = *durable
			continue
		}
		*p = part{kind: inSegment, flags: p.flags, file: p.file, pos: p.pos, end: p.pos,
			first: p.first, last: p.first - 1, base: p.base, next: p.base, stamp: -1, oldest: -1}
	}
	return out
}

// freeRetired lets files of the log be overwritten that nobody reads any more.
func (j *Journal) freeRetired() error {
	var free []*logFile
	j.mu.Lock()
	for g, f := range j.logs {
		if f.retired && f.pins == 0 {
			delete(j.logs, g)
			free = append(free, f)
			j.stats.Recycled++
		}
	}
	j.mu.Unlock()
	sort.Slice(free, func(a, b int) bool { return free[a].gen < free[b].gen })
	for _, f := range free {
		f.f.Close()
		j.wal.mu.Lock()
		keep := len(j.wal.free) <= j.opt.LogFiles
		if keep {
			j.wal.free = append(j.wal.free, f.name)
		}
		j.wal.mu.Unlock()
		if !keep {
			j.fs.Remove(f.name)
		}
	}
	return nil
}
