package journal

import (
	"fmt"
	"path"
	"slices"

	"trine/internal/core"
)

const (
	streamsAStep = 256  // that one step looks at
	roundMs      = 5000 // from one look at a stream to the next
)

// tend looks at the next streams in turn, until one needed something.
func (j *Journal) tend(now core.Stamp, budget int64) (did bool, err error) {
	j.mu.Lock()
	if len(j.round) == 0 {
		if since := now - j.roundAt; since >= 0 && since < roundMs {
			j.mu.Unlock()
			return false, nil
		}
		for id, s := range j.streams {
			if s.known && !s.removed && len(s.parts) > 0 {
				j.round = append(j.round, id)
			}
		}
		slices.Sort(j.round)
		j.roundAt = now
	}
	n := min(len(j.round), streamsAStep)
	ids := j.round[:n:n]
	j.round = j.round[n:]
	j.mu.Unlock()
	for i, id := range ids {
		for _, f := range []func(*stream) (bool, error){
			func(s *stream) (bool, error) { return j.retain(s, now) },
			func(s *stream) (bool, error) { return j.thin(s, budget) },
			func(s *stream) (bool, error) { return j.compact(s, now) },
		} {
			j.mu.Lock()
			s := j.streams[id]
			j.mu.Unlock()
			if s == nil {
				continue
			}
			d, err := f(s)
			if err != nil {
				return true, err
			}
			did = did || d
		}
		if did {
			j.mu.Lock()
			j.round = append(slices.Clone(ids[i+1:]), j.round...)
			j.mu.Unlock()
			return true, nil
		}
	}
	return n > 0, nil
}

// retain gives up the oldest parts by age and size, as the stream's rules say. Only
// whole parts below the checkpoint go; the new start is flushed before they do.
func (j *Journal) retain(s *stream, now core.Stamp) (bool, error) {
	j.mu.Lock()
	start := s.expired(now)
	if p := s.open(false); p != nil && s.keep != nil && s.keep.SegmentMs > 0 &&
		p.oldest >= 0 && p.oldest < now-core.Stamp(s.keep.SegmentMs) {
		s.roll = true
	}
	now0 := s.start
	j.mu.Unlock()
	if start <= now0 {
		return false, nil
	}
	if err := j.noteStart(s.id, start); err != nil {
		return true, err
	}
	if j.opt.Began != nil {
		j.opt.Began(s.id, start)
	}
	return true, nil
}

// noteStart notes where a stream begins from now on.
func (j *Journal) noteStart(id core.StreamID, start core.Offset) error {
	j.ownMu.Lock()
	defer j.ownMu.Unlock()
	j.own.Reset()
	j.own.Add(Head{Stream: id, Kind: NoteTrim, Base: start}, nil)
	return j.commit(&j.own)
}

// expired gives the offset where the stream shall start by its rules. Call it with
// mu held.
func (s *stream) expired(now core.Stamp) core.Offset {
	k := s.keep
	if k == nil || k.MsMax <= 0 && k.BytesMax <= 0 {
		return s.start
	}
	total := int64(0)
	for i := range s.parts {
		total += s.parts[i].bytes()
	}
	start := s.start
	for i := range s.parts {
		p := &s.parts[i]
		if p.last > s.cp.Index || p.flags&partOpen != 0 {
			break
		}
		old := k.MsMax > 0 && p.stamp >= 0 && p.stamp < now-core.Stamp(k.MsMax)
		large := k.BytesMax > 0 && total-p.bytes() >= k.BytesMax
		if !old && !large && p.next > s.start {
			break
		}
		total -= p.bytes()
		start = max(start, p.next)
	}
	return start
}

// thin rewrites segments of which a reclaim leaves little.
func (j *Journal) thin(s *stream, budget int64) (bool, error) {
	j.mu.Lock()
	k := s.keeper()
	var ps []part
	for i := range s.parts {
		p := s.parts[i]
		if p.kind == inSegment && p.flags&partOpen == 0 && p.last <= s.cp.Index && k.mostlyDead(&p) {
			if ps = append(ps, p); p.bytes() > budget {
				break
			}
			budget -= p.bytes()
		}
	}
	j.mu.Unlock()
	for i := range ps {
		if err := j.rewrite(s, ps[i:i+1], k.live(&ps[i]), func(h *Head, data []byte) ([]byte, error) {
			if !k.wants(h) {
				return nil, nil
			}
			return data, nil
		}); err != nil {
			return true, err
		}
	}
	return len(ps) > 0, nil
}

// mostlyDead says whether a reclaim leaves less than half of the offsets that a part
// holds.
func (k *keeper) mostlyDead(p *part) bool {
	if k.reclaim == nil || p.next > k.reclaim.Below || p.next <= p.base {
		return false
	}
	held := p.held
	if held == 0 {
		held = p.next - p.base
	}
	return 2*k.live(p) < held
}

// live counts the offsets of a part that are still wanted.
func (k *keeper) live(p *part) (n core.Offset) {
	for _, x := range k.reclaim.Keep {
		if from, to := max(x.From, p.base), min(x.To+1, p.next); from < to {
			n += to - from
		}
	}
	return n
}

// rewrite replaces a row of segments by one that has what fn leaves of each entry's
// data, none where that is nil. Indexes, offsets and counts stay; held is as in part.
func (j *Journal) rewrite(s *stream, old []part, held core.Offset,
	fn func(*Head, []byte) ([]byte, error)) error {
	r := &recycling{j: j}
	out := &copyOut{r: r, s: s, own: true}
	err := func() error {
		for i := range old {
			var bad error
			err := j.entriesOf(s, &old[i], func(h *Head, data []byte) bool {
				data, bad = fn(h, data)
				if bad == nil && data != nil {
					out.add(h, data)
				}
				return bad == nil && out.err == nil
			})
			if err == nil {
				err = bad
			}
			if err != nil {
				return err
			}
		}
		if err := out.close(); err != nil {
			return err
		}
		for _, n := range r.dirty {
			if err := j.syncSegment(n); err != nil {
				return err
			}
		}
		return j.fs.SyncDir(path.Join(j.dir, segmentDir))
	}()
	if d, ok := err.(*Damage); ok {
		j.found(s.id, d)
		err = nil
		old = nil
	}
	if err == nil && len(old) > 0 {
		out.to.held = held
		err = j.replaceParts(s, old, out.to)
	} else {
		j.mu.Lock()
		for _, n := range r.made {
			j.doom(fileKey{inSegment, n})
		}
		j.mu.Unlock()
	}
	if err != nil {
		return fmt.Errorf("rewrite segments of %s: %w", streamName(s.id), err)
	}
	j.mu.Lock()
	j.stats.CopiedBytes += r.copied
	j.mu.Unlock()
	return nil
}

// replaceParts notes that segments are replaced by p, or by nothing.
func (j *Journal) replaceParts(s *stream, old []part, p part) error {
	j.ownMu.Lock()
	defer j.ownMu.Unlock()
	j.own.Reset()
	j.own.Add(Head{Stream: s.id, Kind: NoteParts}, NoteData(func(e *Encoder) {
		e.Uint(uint64(len(old)))
		for i := range old {
			e.Uint(old[i].file)
		}
		if p.kind == 0 {
			putParts(e, nil)
			return
		}
		p.flags |= partGaps
		putParts(e, []part{p})
	}))
	return j.commit(&j.own)
}
