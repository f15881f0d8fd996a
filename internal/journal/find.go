package journal

import (
	"errors"
	"sort"

	"trine/internal/core"
	"trine/internal/core/record"
)

// FindStamp gives the first record at or after a stamp that is on disk and not
// trimmed: its offset and its own stamp. Offset -1 where there is none. What is not
// committed yet is found too; the caller knows where that begins.
func (j *Journal) FindStamp(id core.StreamID, stamp core.Stamp) (core.Offset, core.Stamp, error) {
	for try := 1; ; try++ {
		o, at, changed, err := j.findStamp(id, stamp)
		if err == nil {
			return o, at, nil
		}
		if changed && try < loadTriesMax {
			continue
		}
		var d *Damage
		if errors.As(err, &d) {
			j.found(id, d)
		}
		return -1, -1, &core.Error{Op: "find stamp", Name: streamName(id), Kind: core.Unavailable,
			Err: err}
	}
}

func (j *Journal) findStamp(id core.StreamID, stamp core.Stamp) (o core.Offset, at core.Stamp,
	changed bool, err error) {
	j.mu.Lock()
	s := j.streams[id]
	if s == nil || s.removed {
		j.mu.Unlock()
		return -1, -1, false, &core.Error{Op: "find stamp", Name: streamName(id), Kind: core.NotExist}
	}
	ver, start := s.ver, s.start
	var ps []part
	var hs []*handle
	for i := range s.parts {
		if p := &s.parts[i]; p.stamp >= stamp && p.next > start && len(ps) < loadPartsMax {
			ps = append(ps, *p)
			hs = append(hs, j.pin(p.kind, p.file))
		}
	}
	j.mu.Unlock()
	o, at = -1, -1
	for i := range ps {
		if o, at, err = j.findIn(hs[i], &ps[i], id, stamp, start); err != nil || o >= 0 {
			break
		}
	}
	j.release(hs)
	j.mu.Lock()
	defer j.mu.Unlock()
	return o, at, s.ver != ver, err
}

// findIn looks in one part.
func (j *Journal) findIn(h *handle, p *part, id core.StreamID, stamp core.Stamp,
	start core.Offset) (o core.Offset, at core.Stamp, err error) {
	pos := p.pos
	if p.kind == inSegment && p.bytes() >= indexBytesMin {
		marks, err := j.index(h, p)
		if err != nil {
			return -1, -1, err
		}
		i := sort.Search(len(marks), func(i int) bool { return marks[i].stamp >= stamp })
		if i > 0 {
			pos = marks[i-1].pos
		}
	}
	o, at = -1, -1
	r := reader{j: j, s: id}
	var bad error
	err = r.part(h, p, pos, func(h *Head, data []byte) bool {
		if StampOf(h, data) < stamp || h.Next() <= start {
			return true
		}
		bad = record.Each(data, record.UnpackedMax, func(x core.Offset, r *core.Record) bool {
			if r.Stamp >= stamp && x >= start {
				o, at = x, r.Stamp
			}
			return o < 0
		})
		return bad == nil && o < 0
	})
	if err == nil {
		err = bad
	}
	return o, at, err
}
