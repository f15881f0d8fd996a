package journal

import (
	"fmt"
	"path"
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

func (k *keeper) wants(h *head) bool {
	if h.index > k.above {
		return true
	}
	return h.kind == uint8(core.EntryBatch) && h.next() > k.start &&
		wanted(k.reclaim, h.base, h.next())
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

// copyAll copies what is wanted.
func (r *recycling) copyAll() error {
	for _, m := range r.moves {
		if m.cp {
			if err := r.checkpoint(m); err != nil {
				return err
			}
		}
		for i := range m.runs {
			if err := r.copy(m, &m.runs[i]); err != nil {
				return err
			}
		}
	}
	for _, n := range r.dirty {
		if err := r.j.syncSegment(n); err != nil {
			return err
		}
	}
	if len(r.made) > 0 {
		return r.j.fs.SyncDir(path.Join(r.j.dir, segmentDir))
	}
	return nil
}

func (r *recycling) checkpoint(m *move) error {
	c, err := r.j.readCheckpointAt(m.s.id, m.cpAt)
	if d, ok := err.(*Damage); ok {
		r.j.found(m.s.id, d)
		m.cp = false
		return nil
	}
	if err != nil {
		return err
	}
	m.cpNew, err = r.pack.add(head{stream: m.s.id, kind: noteCheckpoint}, encodeCheckpoint(c))
	return err
}

// copy writes the wanted entries of a run to where they shall be.
func (r *recycling) copy(m *move, u *run) error {
	bytes := int64(0)
	for i := range u.old {
		bytes += u.old[i].bytes()
	}
	out := &copyOut{r: r, s: m.s}
	if bytes >= r.j.opt.SmallBytes {
		if u.into != nil {
			out.to = *u.into
			out.pos = out.to.end
		}
		out.own = true
	}
	for i := range u.old {
		err := r.j.entriesOf(m.s, &u.old[i], func(h *head, data []byte) bool {
			if m.keep.wants(h) {
				out.add(h, data)
			}
			return out.err == nil
		})
		if d, ok := err.(*Damage); ok {
			r.j.found(m.s.id, d)
			err = nil
		}
		if err == nil {
			err = out.err
		}
		if err != nil {
			return err
		}
	}
	if err := out.close(); err != nil {
		return err
	}
	u.made, u.moved = out.to, true
	return nil
}

// copyOut collects entries into one part, of a segment or of the pack.
type copyOut struct {
	r   *recycling
	s   *stream
	own bool
	to  part
	buf []byte
	pos int64 // in the segment, of the start of buf
	err error
}

func (o *copyOut) add(h *head, data []byte) {
	c := *h
	c.flags, c.length = 0, uint32(len(data))
	o.r.copied += h.size()
	if !o.own {
		at, err := o.r.pack.add(c, data)
		o.err = err
		o.grow(&c, data, at)
		return
	}
	if o.to.kind == 0 {
		n, err := o.r.j.newSegment(o.s.id)
		if err != nil {
			o.err = err
			return
		}
		o.r.made = append(o.r.made, n)
		o.to, o.pos = part{file: n}, segmentHead
	}
	at := place{inSegment, o.to.file, o.pos + int64(len(o.buf))}
	o.buf = appendFrame(o.buf, c, data)
	o.grow(&c, data, at)
	if len(o.buf) >= readBytesMax {
		o.err = o.drain()
	}
}

func (o *copyOut) grow(h *head, data []byte, at place) {
	ps := []part{o.to}
	if o.to.kind == 0 {
		ps = ps[:0]
	}
	gaps := len(ps) > 0 && h.index != o.to.last+1
	if len(ps) > 0 && at.pos != o.to.end {
		core.Assert(false, "a copied run lies together")
	}
	appendPart(&ps, h, data, at)
	o.to = ps[len(ps)-1]
	if gaps {
		o.to.flags |= partGaps
	}
}

func (o *copyOut) drain() error {
	j := o.r.j
	j.mu.Lock()
	h := j.pin(inSegment, o.to.file)
	j.mu.Unlock()
	f, err := j.file(h)
	if err == nil {
		_, err = f.WriteAt(o.buf, o.pos)
	}
	j.release([]*handle{h})
	if err != nil {
		return fmt.Errorf("write segment %q: offset %d: %w", h.name, o.pos, err)
	}
	o.pos += int64(len(o.buf))
	o.buf = o.buf[:0]
	return nil
}

func (o *copyOut) close() error {
	if o.err != nil || !o.own || o.to.kind == 0 {
		return o.err
	}
	o.r.dirty = append(o.r.dirty, o.to.file)
	return o.drain()
}

// finish writes the directory as the streams are now, flushes, and then shows the
// streams in their new places.
func (r *recycling) finish() error {
	j := r.j
	e := encode()
	j.mu.Lock()
	seq := j.applied
	var told []*move
	for _, m := range r.moves {
		if m.tell = !m.s.removed || m.s.home != 0 && !(m.s.buried && r.oldest(m.s)); m.tell {
			told = append(told, m)
		}
	}
	e.uint(uint64(len(told)))
	for _, m := range told {
		m.buried = m.s.removed
		s, cpAt := m.s, m.s.cpAt
		if m.cp && cpAt == m.cpAt {
			cpAt = m.cpNew
		}
		e.mention(s, cpAt, flushedParts(m.apply(s.parts), s.durable), flushedParts(m.apply(s.fill), nil))
	}
	j.mu.Unlock()
	p, err := r.pack.finish(e.b, r.covered, seq)
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

// oldest says whether a stream's last mention is in the oldest pack, which goes: what
// came before is gone for certain, so that nothing can bring a removed stream back.
func (r *recycling) oldest(s *stream) bool {
	return len(r.old) > 0 && s.home == r.old[0].number
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

// apply puts the new parts in the place of those that moved. What was cut off or
// given up meanwhile stays so.
func (m *move) apply(ps []part) []part {
	out := make([]part, 0, len(ps))
	for i := 0; i < len(ps); {
		u, n := m.runAt(ps[i:])
		if u == nil {
			out = append(out, ps[i])
			i++
			continue
		}
		i += n
		if u.made.kind == 0 {
			continue
		}
		p := u.made
		if last := ps[i-1].last; last < u.old[len(u.old)-1].last {
			if p.first > last && (u.into == nil || u.into.first > last) {
				continue
			}
			if p.last > last {
				p.last, p.flags = last, p.flags|partCut
				p.next = min(p.next, ps[i-1].next)
			}
		}
		if u.into != nil && len(out) > 0 && same(&out[len(out)-1], u.into) {
			out[len(out)-1] = p
			continue
		}
		out = append(out, p)
	}
	return out
}

func same(a, b *part) bool { return a.kind == b.kind && a.file == b.file && a.pos == b.pos }

// runAt gives the run whose parts ps begins with, and how many of them are left.
func (m *move) runAt(ps []part) (*run, int) {
	for i := range m.runs {
		u := &m.runs[i]
		if !u.moved {
			continue
		}
		for k := range u.old { // the first may have been given up meanwhile
			n := 0
			for n < len(ps) && k+n < len(u.old) && same(&ps[n], &u.old[k+n]) {
				n++
			}
			if n > 0 {
				return u, n
			}
		}
	}
	return nil, 0
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
