package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sort"

	"trine/internal/core"
)

const (
	readBytesMin  = 64 << 10
	readBytesMax  = 1 << 20
	loadPartsMax  = 1024
	loadTriesMax  = 4
	markSpacing   = 64 << 10 // bytes of a segment from one mark to the next
	indexBytesMin = 2 * markSpacing
)

// mark is one point of a segment's sparse index: the frame at pos is the entry
// index, the next offset before it was base, and no stamp before it is above stamp.
type mark struct {
	pos   int64
	index core.Index
	base  core.Offset
	stamp core.Stamp
}

// Load gives entries from a point on, whole and in order, as far as they are there:
// from the log, packs and segments alike. By index it gives all kinds of entry, by
// offset batches alone. What a trim or a reclaim gave up may or may not come.
// Many may call it at once. A damaged place gives a *Damage.
func (j *Journal) Load(l core.Load) ([]core.Entry, error) {
	for try := 1; ; try++ {
		es, changed, err := j.load(&l)
		if err == nil {
			return es, nil
		}
		if changed && try < loadTriesMax {
			continue // what was read had been cut off or moved meanwhile
		}
		var d *Damage
		if errors.As(err, &d) {
			j.found(l.Stream, d)
		}
		return es, &core.Error{Op: "load", Name: streamName(l.Stream),
			Kind: core.Unavailable, Err: err}
	}
}

func (j *Journal) load(l *core.Load) (es []core.Entry, changed bool, err error) {
	j.mu.Lock()
	s := j.streams[l.Stream]
	if s == nil || s.removed {
		j.mu.Unlock()
		return nil, false, &core.Error{Op: "load", Name: streamName(l.Stream), Kind: core.NotExist}
	}
	ver, from := s.ver, l.From
	if !l.ByIndex {
		from = max(from, s.start)
	}
	ps, hs := j.choose(s, l, from)
	j.mu.Unlock()

	r := reader{j: j, s: s.id, bytesMax: max(l.BytesMax, 1)}
	for i := range ps {
		p := &ps[i]
		at := p.pos
		if p.kind == inSegment && p.bytes() >= indexBytesMin {
			at, err = j.seek(hs[i], p, l, from)
		}
		if err == nil {
			err = r.part(hs[i], p, at, func(h *Head, data []byte) bool {
				return r.take(h, data, l, from)
			})
		}
		if err != nil || r.full {
			break
		}
	}
	j.release(hs)
	if err != nil && len(r.es) > 0 {
		err = nil // what stands before is good; the next Load meets the error
	}
	j.mu.Lock()
	changed = s.ver != ver
	j.mu.Unlock()
	return r.es, changed, err
}

// choose copies the parts that a load wants and pins their files.
func (j *Journal) choose(s *stream, l *core.Load, from core.Offset) ([]part, []*handle) {
	i := sort.Search(len(s.parts), func(i int) bool {
		if l.ByIndex {
			return s.parts[i].last >= l.Index
		}
		return s.parts[i].next > from
	})
	var ps []part
	var hs []*handle
	for bytes := int64(0); i < len(s.parts) && len(ps) < loadPartsMax; i++ {
		p := s.parts[i]
		if p.last < p.first || !l.ByIndex && p.next == p.base {
			continue
		}
		ps = append(ps, p)
		hs = append(hs, j.pin(p.kind, p.file))
		if bytes += p.bytes(); len(ps) > 1 && bytes > int64(l.BytesMax)+p.bytes() {
			break
		}
	}
	return ps, hs
}

func (j *Journal) release(hs []*handle) {
	var closing []*handle
	j.mu.Lock()
	for _, h := range hs {
		closing = append(closing, j.unpin(h)...)
	}
	j.mu.Unlock()
	if len(closing) > 0 {
		j.bury(closing...)
	}
}

// reader collects entries.
type reader struct {
	j        *Journal
	s        core.StreamID
	bytesMax int
	bytes    int
	es       []core.Entry
	full     bool
}

func (r *reader) take(h *Head, data []byte, l *core.Load, from core.Offset) bool {
	if l.ByIndex {
		if h.Index < l.Index {
			return true
		}
	} else if h.Kind != uint8(core.EntryBatch) || h.Next() <= from {
		return true
	}
	size := len(data) + core.EntryOverhead
	if len(r.es) > 0 && r.bytes+size > r.bytesMax {
		r.full = true
		return false
	}
	r.bytes += size
	r.es = append(r.es, h.ToEntry(data))
	return true
}

// part gives fn the entries of a part, from a frame at pos on, until it says false.
// Their data lies in fresh memory that nobody writes to again.
func (r *reader) part(h *handle, p *part, pos int64, fn func(*Head, []byte) bool) error {
	f, err := r.j.file(h)
	if err != nil {
		return err
	}
	chunk := min(max(int64(r.bytesMax)+HeadBytes, readBytesMin), readBytesMax)
	seen, bad := core.Index(0), (*Damage)(nil)
	for pos < p.end {
		b := make([]byte, min(chunk, p.end-pos))
		if err := ReadFull(f, b, pos); err != nil {
			return &Damage{h.name, pos, err}
		}
		at := int64(0)
		need := int64(0)
		for pos+at < p.end {
			n, more := skip(p.kind, b[at:], pos+at)
			if more > 0 {
				need = more
				break
			}
			if n > 0 { // an empty write may follow
				at = min(at+n, p.end-pos)
				if at >= int64(len(b)) {
					break
				}
				continue
			}
			hd, err := ParseHead(b[at:])
			if int64(len(b))-at < HeadBytes {
				need = HeadBytes
				break
			}
			if err != nil || hd.Size() > p.end-pos-at {
				return &Damage{h.name, pos + at, errors.New("no frame begins here")}
			}
			if hd.Size() > int64(len(b))-at {
				need = hd.Size()
				break
			}
			full, data, err := ParseFrame(b[at:])
			mine := hd.Stream == r.s && hd.Entry() && hd.Index > seen &&
				(hd.Flags&FlagFill != 0) == (p.flags&partFill != 0)
			if err != nil && (mine || p.kind != inLog) {
				return &Damage{h.name, pos + at, err}
			}
			if err != nil && bad == nil {
				bad = &Damage{h.name, pos + at, err} // of another, unless ours are missing
			}
			if mine && hd.Index > p.last {
				return missing(h, p, seen, bad)
			}
			if mine {
				if seen > 0 && full.Index != seen+1 && p.flags&partGaps == 0 {
					return missing(h, p, seen, bad)
				}
				seen = full.Index
				if !fn(&full, data[:len(data):len(data)]) || seen == p.last {
					return nil
				}
			}
			at += hd.Size()
		}
		if at == 0 && (need <= int64(len(b)) || pos+int64(len(b)) == p.end) {
			return &Damage{h.name, pos, errors.New("no frame begins here")}
		}
		pos += at
		chunk = max(chunk, need)
	}
	return missing(h, p, seen, bad)
}

// missing says what is wrong when a part ends before its last entry was seen. bad is
// a frame in it that might have been the one.
func missing(h *handle, p *part, seen core.Index, bad *Damage) error {
	if bad != nil {
		return bad
	}
	if seen < p.last && p.flags&partGaps == 0 {
		return &Damage{h.name, p.end, fmt.Errorf("entries after %d are missing", seen)}
	}
	return nil
}

// skip gives how many bytes at the start of b are the log's own, not frames; more
// says how many bytes are needed to tell.
func skip(k placeKind, b []byte, pos int64) (n, more int64) {
	if k != inLog {
		return 0, 0
	}
	pad := -pos & 7
	if int64(len(b)) < pad+TrailerBytes {
		if len(b) >= HeadBytes {
			return 0, 0
		}
		return 0, HeadBytes
	}
	t := b[pad:]
	if binary.BigEndian.Uint32(t) != TrailerMagic {
		return 0, 0
	}
	size := TrailerBytes + 8*int64(binary.BigEndian.Uint32(t[4:]))
	if int64(len(t)) < size {
		if size > joinBytesMax {
			return 0, 0
		}
		return 0, pad + size + WriteHeadBytes
	}
	if crc32.Checksum(t[:size-4], Castagnoli) != binary.BigEndian.Uint32(t[size-4:]) {
		return 0, 0
	}
	return pad + size + WriteHeadBytes, 0
}

// seek finds where in a segment to begin.
func (j *Journal) seek(h *handle, p *part, l *core.Load, from core.Offset) (int64, error) {
	marks, err := j.index(h, p)
	if err != nil {
		return 0, err
	}
	i := sort.Search(len(marks), func(i int) bool {
		if l.ByIndex {
			return marks[i].index > l.Index
		}
		return marks[i].base > from
	})
	if i == 0 {
		return p.pos, nil
	}
	return marks[i-1].pos, nil
}

// index gives a segment's sparse index, reading on from where it ends.
func (j *Journal) index(h *handle, p *part) ([]mark, error) {
	f, err := j.file(h)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.indexed == 0 {
		h.indexed, h.stamp = p.pos, -1
	}
	b := make([]byte, min(readBytesMax, max(p.end-h.indexed, 0)))
	for h.indexed < p.end {
		b = b[:min(int64(cap(b)), p.end-h.indexed)]
		if err := ReadFull(f, b, h.indexed); err != nil {
			return nil, &Damage{h.name, h.indexed, err}
		}
		at := int64(0)
		for int64(len(b))-at >= HeadBytes {
			hd, err := ParseHead(b[at:])
			if err != nil || hd.Size() > p.end-h.indexed-at {
				return nil, &Damage{h.name, h.indexed + at, errors.New("no frame begins here")}
			}
			if int64(len(b))-at < min(hd.Size(), HeadBytes+BatchHeader) {
				break
			}
			pos := h.indexed + at
			if n := len(h.marks); n == 0 || pos >= h.marks[n-1].pos+markSpacing {
				h.marks = append(h.marks, mark{pos, hd.Index, hd.Base, h.stamp})
			}
			h.stamp = max(h.stamp,
				StampOf(&hd, b[at+HeadBytes:min(int64(len(b)), at+hd.Size())]))
			at += hd.Size()
		}
		if at == 0 {
			return nil, &Damage{h.name, h.indexed, errors.New("a frame is cut off")}
		}
		h.indexed += at
	}
	return h.marks, nil
}
