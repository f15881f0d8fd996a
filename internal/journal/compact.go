package journal

import (
	"fmt"

	"trine/internal/core"
	"trine/internal/core/record"
)

// keysMax bounds the keys that one compaction keeps in mind. Where there are more, it
// stops before them and the next one goes on.
const keysMax = 1 << 20

// compaction keeps the last record of every key in a stream's closed segments. It
// reads them once to learn where each key comes last, and writes them anew in groups
// of a segment's size. Offsets never change: a batch keeps its base and last delta,
// and one without records goes.
//
// Batches of transactions and control batches stay as they are, and do not supersede
// anything: whether they count is not the journal's to know.
type compaction struct {
	j       *Journal
	s       *stream
	keep    core.Keep
	parts   []part
	cleaned core.Index // what an earlier compaction has seen
	through core.Index // what this one has seen
	last    map[string]core.Offset
	now     core.Stamp
}

// compact runs a compaction if the stream's rules ask for one and enough has been
// written since the last.
func (j *Journal) compact(s *stream, now core.Stamp) (bool, error) {
	c := compaction{j: j, s: s, now: now}
	j.mu.Lock()
	if s.keep == nil || !s.keep.Compact || s.damage != "" {
		j.mu.Unlock()
		return false, nil
	}
	c.keep, c.cleaned = *s.keep, s.cleaned
	var dirty, total int64
	for i := range s.parts {
		p := s.parts[i]
		young := c.keep.CompactLagMs > 0 && p.stamp > now-core.Stamp(c.keep.CompactLagMs)
		if p.kind != inSegment || p.flags&(partOpen|partCut) != 0 || p.last > s.cp.Index || young {
			break
		}
		if total += p.bytes(); p.last > s.cleaned {
			dirty += p.bytes()
		}
		c.parts = append(c.parts, p)
	}
	j.mu.Unlock()
	if dirty == 0 || float32(dirty) < c.keep.DirtyRatio*float32(total) {
		return false, nil
	}
	if err := c.learn(); err != nil {
		return true, err
	}
	for len(c.parts) > 0 && c.parts[0].first <= c.through {
		n, bytes := 1, c.parts[0].bytes()
		for n < len(c.parts) && c.parts[n].first <= c.through &&
			bytes+c.parts[n].bytes() <= c.segmentBytes() {
			bytes += c.parts[n].bytes()
			n++
		}
		if err := j.rewrite(s, c.parts[:n], 0, c.filter); err != nil {
			return true, err
		}
		c.parts = c.parts[n:]
	}
	j.ownMu.Lock()
	defer j.ownMu.Unlock()
	j.own.Reset()
	j.own.Add(Head{Stream: s.id, Kind: NoteCleaned, Index: c.through}, nil)
	return true, j.commit(&j.own)
}

func (c *compaction) segmentBytes() int64 {
	c.j.mu.Lock()
	defer c.j.mu.Unlock()
	return c.j.segmentBytes(c.s)
}

// learn notes where each key comes last, and how far it came.
func (c *compaction) learn() error {
	c.last = map[string]core.Offset{}
	for i := range c.parts {
		p := &c.parts[i]
		var bad error
		err := c.j.entriesOf(c.s, p, func(h *Head, data []byte) bool {
			if len(c.last) >= keysMax {
				return false
			}
			if bad = c.keys(h, data); bad == nil {
				c.through = h.Index
			}
			return bad == nil
		})
		if err == nil {
			err = bad
		}
		if d, ok := err.(*Damage); ok {
			c.j.found(c.s.id, d)
			return nil
		}
		if err != nil || len(c.last) >= keysMax {
			return err
		}
	}
	return nil
}

func (c *compaction) keys(h *Head, data []byte) error {
	if !compactable(h, data) {
		return nil
	}
	return record.Each(data, record.UnpackedMax, func(o core.Offset, r *core.Record) bool {
		if r.Key != nil {
			c.last[string(r.Key)] = o
		}
		return true
	})
}

// compactable says whether a batch's keys count.
func compactable(h *Head, data []byte) bool {
	if h.Kind != uint8(core.EntryBatch) {
		return false
	}
	b, err := record.Parse(data)
	return err == nil && !b.Control() && !b.Transactional()
}

// filter gives what is left of an entry's data, nil for nothing.
func (c *compaction) filter(h *Head, data []byte) ([]byte, error) {
	if h.Kind != uint8(core.EntryBatch) {
		return nil, nil // below the checkpoint nobody reads it
	}
	if h.Index > c.through || !compactable(h, data) {
		return data, nil
	}
	total, left := 0, 0
	keep := func(o core.Offset, r *core.Record) bool {
		total++
		if c.wants(h, o, r) {
			left++
			return true
		}
		return false
	}
	thin, err := record.Filter(data, keep)
	if err != nil {
		return nil, fmt.Errorf("compact entry %d: %w", h.Index, err)
	}
	switch left {
	case total:
		return data, nil
	case 0:
		return nil, nil
	}
	return thin, nil
}

func (c *compaction) wants(h *Head, o core.Offset, r *core.Record) bool {
	if r.Key == nil {
		return true
	}
	if last, ok := c.last[string(r.Key)]; ok && o < last {
		return false
	}
	old := r.Stamp >= 0 && r.Stamp < c.now-core.Stamp(c.keep.TombstoneMs)
	return r.Value != nil || h.Index > c.cleaned || !old
}

// entriesOf gives fn the entries of one part.
func (j *Journal) entriesOf(s *stream, p *part, fn func(*Head, []byte) bool) error {
	j.mu.Lock()
	h := j.pin(p.kind, p.file)
	j.mu.Unlock()
	defer j.release([]*handle{h})
	r := reader{j: j, s: s.id}
	return r.part(h, p, p.pos, fn)
}
