package journal

import (
	"fmt"
	"slices"
	"sort"

	"trine/internal/core"
)

// placeKind says in which sort of file something is.
type placeKind uint8

const (
	inLog     placeKind = 1 + iota // the write-ahead log; file: its generation
	inPack                         // a pack, shared by streams; file: its number
	inSegment                      // the stream's own; file: its number
)

func (k placeKind) String() string { return [...]string{"?", "log", "pack", "segment"}[k&3] }

const (
	partOpen  = 1  // a segment of the lazy road that still grows: its end is what was flushed
	partGaps  = 2  // indexes may be missing in it
	partMixed = 4  // other frames lie between
	partCut   = 8  // its end was cut off, and still lies there: nothing may join it
	partFill  = 16 // its frames were written below a coming checkpoint
)

// part is a stretch of a file that holds a stream's entries first to last, in order.
// What else lies in it, of other streams or cut off since, is passed over.
type part struct {
	kind        placeKind
	flags       uint8
	file        uint64
	pos, end    int64
	first, last core.Index
	base, next  core.Offset
	stamp       core.Stamp  // the greatest in it, -1: none
	oldest      core.Stamp  // of its first batch
	held        core.Offset // offsets that a reclaim left when it was rewritten, 0: all
}

func (p *part) bytes() int64 { return p.end - p.pos }

// place is where one frame is.
type place struct {
	kind placeKind
	file uint64
	pos  int64
}

// stream is all that the journal remembers of one stream while it is idle. Guarded
// by journal.mu, but for turn and tips, which belong to the road's one writer.
type stream struct {
	id      core.StreamID
	road    core.Flush
	known   bool // the disk has something of it
	removed bool // and that is only that it is gone
	hasCP   bool
	life    uint32 // counts installs and removals
	ver     uint32 // counts what invalidates a copy of parts
	state   core.HardState
	keep    *core.Keep
	cp      core.Checkpoint // without its byte fields
	cpAt    place
	start   core.Offset
	reclaim *core.Reclaim
	parts   []part // by index
	fill    []part // below the coming checkpoint
	last    core.Index
	damage  string

	turn     uint64     // the call of the writer for which tip stands
	tip      core.Index // last, and what the writer is about to append
	fillTip  core.Index
	tipCP    core.Index
	tipRoad  core.Flush
	tipKnown bool
	pend     *core.Checkpoint // lazy road: to be written once the segments are flushed
	pendRec  *core.Reclaim
	waiting  bool  // in journal.waiting
	restEnd  int64 // of the open segment when the cleaner last looked
	restAt   core.Stamp
	roll     bool   // the open segment is old enough to end
	durable  *part  // the open segment as it was when last flushed
	home     uint64 // the pack that mentions it last
	buried   bool   // as removed
	alive    uint64 // where buried: the last pack that mentions it otherwise
	touched  uint64 // the log generation that it was last noted in
	skip     uint64 // while recovering: writes up to here are known already
	cleaned  core.Index
}

// next gives the offset after the last entry that is on disk.
func (s *stream) next() core.Offset {
	if n := len(s.parts); n > 0 {
		return max(s.parts[n-1].next, s.cp.Next)
	}
	return s.cp.Next
}

// entered notes one entry at pos of a file.
func (s *stream) entered(h *Head, data []byte, at place) {
	ps := &s.parts
	if h.Flags&FlagFill != 0 {
		ps = &s.fill
		if n := len(*ps); n > 0 && (*ps)[n-1].last >= h.Index {
			*ps, _ = cutParts(*ps, h.Index)
		}
	} else {
		if s.last >= h.Index { // an index comes again only after a cut
			*ps, _ = cutParts(*ps, h.Index)
			s.ver++
		}
		s.last = h.Index
	}
	appendPart(ps, h, data, at)
}

// appendPart adds an entry to the last part where that goes on, else as a new part.
func appendPart(ps *[]part, h *Head, data []byte, at place) {
	stamp, end := StampOf(h, data), at.pos+h.Size()
	if n := len(*ps); n > 0 {
		if p := &(*ps)[n-1]; p.joins(h, at) {
			if at.pos != p.end {
				p.flags |= partMixed
			}
			if h.Index != p.last+1 {
				p.flags |= partGaps
			}
			p.end, p.last, p.next, p.stamp = end, h.Index, h.Next(), max(p.stamp, stamp)
			if p.oldest < 0 {
				p.oldest = stamp
			}
			return
		}
	}
	p := part{kind: at.kind, file: at.file, pos: at.pos, end: end, first: h.Index,
		last: h.Index, base: h.Base, next: h.Next(), stamp: stamp, oldest: stamp}
	if h.Flags&FlagFill != 0 {
		p.flags |= partFill
	}
	*ps = append(*ps, p)
}

// joinBytesMax bounds what a reader passes over to find one entry.
const joinBytesMax = 64 << 10

// joins says whether an entry may belong to part p: it comes next in the same file,
// and less lies between than the part has already.
func (p *part) joins(h *Head, at place) bool {
	if (h.Flags&FlagFill != 0) != (p.flags&partFill != 0) {
		return false
	}
	if p.flags&partCut != 0 || p.kind != at.kind || p.file != at.file {
		return false
	}
	if h.Index <= p.last || at.pos < p.end {
		return false
	}
	if p.kind != inLog {
		return at.pos == p.end
	}
	return at.pos-p.end <= p.bytes()/2 && at.pos+h.Size()-p.pos <= joinBytesMax
}

// cutParts removes the entries from index on and gives the parts that are gone.
func cutParts(ps []part, from core.Index) (left, gone []part) {
	i := sort.Search(len(ps), func(i int) bool { return ps[i].last >= from })
	if i == len(ps) {
		return ps, nil
	}
	if ps[i].first < from {
		ps[i].last = from - 1
		ps[i].flags &^= partOpen
		ps[i].flags |= partCut
		i++
	}
	gone = slices.Clone(ps[i:])
	return slices.Delete(ps, i, len(ps)), gone
}

// files of parts that belong to the stream alone.
func ownFiles(ps []part) []uint64 {
	var ns []uint64
	for i := range ps {
		if ps[i].kind == inSegment {
			ns = append(ns, ps[i].file)
		}
	}
	return ns
}

// open gives the segment that the lazy road appends to, or nil.
func (s *stream) open(fill bool) *part {
	ps := s.parts
	if fill {
		ps = s.fill
	}
	if n := len(ps); n > 0 && ps[n-1].flags&partOpen != 0 {
		return &ps[n-1]
	}
	return nil
}

// note carries out one of the journal's own notes. What it makes superfluous is
// handed to gone.
func (s *stream) note(h *Head, data []byte, at place, gone func([]part)) error {
	switch h.Kind {
	case NoteRemove:
		gone(s.parts)
		gone(s.fill)
		*s = stream{id: s.id, known: true, removed: true, life: s.life + 1, ver: s.ver + 1,
			home: s.home, buried: s.buried, alive: s.alive,
			waiting: s.waiting,
			touched: s.touched, skip: s.skip}
	case NoteInstall:
		return s.install(data, at, gone)
	case NoteCut:
		s.cut(h.Index, h.Base, gone)
	case NoteState:
		d := Decode(data)
		s.state = core.HardState{Epoch: h.Epoch, Commit: core.Index(h.Base),
			Vote: core.DiskID(d.Uint())}
		return d.End()
	case NoteCheckpoint:
		c, err := DecodeCheckpoint(data)
		if err != nil {
			return err
		}
		if s.hasCP && c.Index < s.cp.Index {
			break // it waited for a flush, and a later one came by the other road
		}
		s.checkpoint(c, at)
		s.trim(gone)
	case NoteTrim:
		s.start = max(s.start, h.Base)
		s.trim(gone)
	case NoteReclaim:
		d := Decode(data)
		if r := d.Reclaim(); s.reclaim == nil || r.Below >= s.reclaim.Below {
			s.reclaim = r
		}
		return d.End()
	case NoteKeep:
		d := Decode(data)
		k := d.Keep()
		s.keep = &k
		return d.End()
	case NoteRoad:
		s.road = core.Flush(h.Count)
	case NoteSegment, NoteFlushed, NoteParts:
		return s.segment(h, data, gone)
	case NoteCleaned:
		s.cleaned = max(s.cleaned, h.Index)
	case NoteUnfill:
		gone(s.fill)
		s.fill = nil
	case NoteDamage:
		s.damage = string(data)
	default:
		return fmt.Errorf("note of unknown kind %d", h.Kind)
	}
	return nil
}

func (s *stream) checkpoint(c *core.Checkpoint, at place) {
	s.cp, s.cpAt, s.hasCP = *c, at, true
	s.cp.Members, s.cp.Memory, s.cp.Machine = nil, nil, nil
	s.start = max(s.start, c.Start)
	s.last = max(s.last, c.Index)
}

// trim gives up the leading parts of which nobody wants anything.
func (s *stream) trim(gone func([]part)) {
	n := 0
	for n < len(s.parts) {
		p := &s.parts[n]
		if p.last > s.cp.Index || p.next > s.start || p.flags&partOpen != 0 {
			break
		}
		n++
	}
	if n > 0 {
		gone(slices.Clone(s.parts[:n]))
		s.parts = slices.Delete(s.parts, 0, n)
		s.ver++
	}
}

// install replaces all but the vote, the rules and what was filled in below.
func (s *stream) install(data []byte, at place, gone func([]part)) error {
	c, err := DecodeCheckpoint(data)
	if err != nil {
		return err
	}
	gone(s.parts)
	var above []part
	s.parts, above = cutParts(s.fill, c.Index+1)
	gone(above)
	if n := len(s.parts); n > 0 {
		s.parts[n-1].flags &^= partOpen
	}
	s.fill, s.life, s.damage, s.reclaim = nil, s.life+1, "", nil
	s.ver++
	s.pend, s.pendRec, s.durable, s.cleaned = nil, nil, nil, 0
	s.start, s.last = c.Start, c.Index
	s.checkpoint(c, at)
	s.start = c.Start
	return nil
}

func (s *stream) cut(from core.Index, base core.Offset, gone func([]part)) {
	var g []part
	s.parts, g = cutParts(s.parts, from)
	s.durable = nil
	s.ver++
	if n := len(s.parts); n > 0 && base >= 0 {
		s.parts[n-1].next = min(s.parts[n-1].next, base)
	}
	s.last = min(s.last, from-1)
	gone(g)
}

// segment notes what became of segments of the stream's own.
//
//	NoteSegment  {number, first index, base, fill}  a segment of the lazy road begins
//	NoteFlushed  {part, fill}                       it is flushed up to the part's end
//	NoteParts    {numbers, parts}                   those segments are replaced
func (s *stream) segment(h *Head, data []byte, gone func([]part)) error {
	d := Decode(data)
	switch h.Kind {
	case NoteSegment:
		p := part{kind: inSegment, flags: partOpen, file: d.Uint(), pos: segmentHead,
			end: segmentHead, first: core.Index(d.Int()), base: core.Offset(d.Int()),
			stamp: -1, oldest: -1}
		p.last, p.next = p.first-1, p.base
		ps := &s.parts
		if d.Bool() {
			p.flags |= partGaps | partFill
			ps = &s.fill
			if n := len(*ps); n > 0 && (*ps)[n-1].last >= p.first {
				var g []part
				*ps, g = cutParts(*ps, p.first)
				gone(g)
			}
		}
		if n := len(*ps); n > 0 {
			(*ps)[n-1].flags &^= partOpen
		}
		*ps = append(*ps, p)
	case NoteFlushed:
		p := getPart(d)
		ps := s.parts
		if d.Bool() {
			ps = s.fill
		} else if s.durable = nil; p.flags&partOpen != 0 {
			s.durable = &p
		}
		for i := range ps {
			if q := &ps[i]; q.kind == inSegment && q.file == p.file && q.end <= p.end {
				*q = p
			}
		}
	case NoteParts:
		n := d.Count(1)
		old := make([]uint64, 0, n)
		for i := 0; i < n && d.Good(); i++ {
			old = append(old, d.Uint())
		}
		ps := getParts(d)
		if d.End() == nil {
			gone(s.replace(old, ps))
		}
	}
	return d.End()
}

// replace puts new parts where segments were.
func (s *stream) replace(old []uint64, ps []part) (gone []part) {
	s.ver++
	at := -1
	left := s.parts[:0]
	for i := range s.parts {
		p := s.parts[i]
		if p.kind == inSegment && slices.Contains(old, p.file) {
			if at < 0 {
				at = len(left)
			}
			gone = append(gone, p)
			continue
		}
		left = append(left, p)
	}
	s.parts = left
	if at < 0 { // they are gone already
		return append(gone, ps...)
	}
	s.parts = slices.Insert(left, at, ps...)
	return gone
}
