package journal

import (
	"slices"

	"trine/internal/core"
)

const (
	cleanBytes   = 8 << 20
	restMs       = 1000 // a lazy stream that was not written to for so long is flushed
	flushesAStep = 16
	waitersAStep = 512
	packsMax     = 32
	packWasteMax = 64 << 20
)

// Clean keeps the disk in order, in steps, until nothing is left to do or budget
// bytes were copied (0: 8 MiB; the step that goes beyond is finished). now is the
// present time. One goroutine calls it or CleanStep, beside all others.
func (j *Journal) Clean(now core.Stamp, budget int64) error {
	if budget <= 0 {
		budget = cleanBytes
	}
	for end := j.copied() + budget; ; {
		did, err := j.CleanStep(now, budget)
		if err != nil || !did || j.copied() >= end {
			return err
		}
	}
}

func (j *Journal) copied() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.stats.CopiedBytes
}

// CleanStep takes the next step that there is and says whether there was one:
//
//	checkpoints of the lazy road: flush what they cover, note them
//	files of the log beyond the last few: copy on what is needed, free them
//	streams in turn: retention by time and size, reclaiming, compaction by key
//
// A file of the log is a step whatever its size; of segments, budget bytes are
// rewritten at most, and one always.
func (j *Journal) CleanStep(now core.Stamp, budget int64) (did bool, err error) {
	if err := j.writable(); err != nil {
		return false, err
	}
	for _, step := range []func() (bool, error){
		func() (bool, error) { return j.flushWaiting(now, false) },
		j.recycle,
		func() (bool, error) { return j.tend(now, budget) },
	} {
		did, err = step()
		if err != nil && (Full(err) || core.KindOf(err) == core.Full) {
			did, err = false, nil // a later step may make room
		}
		if err != nil {
			return did, j.fail(err)
		}
		if did {
			break
		}
	}
	j.bury()
	return did, nil
}

// settle flushes all segments and notes all checkpoints, before a stop in order.
func (j *Journal) settle() error {
	for {
		did, err := j.flushWaiting(0, true)
		if err != nil || !did {
			return err
		}
	}
}

// wait puts a stream on the list of those whose open segment is to be flushed. Call
// it with mu held.
func (j *Journal) wait(s *stream) {
	if !s.waiting {
		s.waiting = true
		j.waiting = append(j.waiting, s)
	}
}

// flushWaiting flushes open segments of streams that rest, or that have a checkpoint
// to note; of all of them where the journal closes.
func (j *Journal) flushWaiting(now core.Stamp, closing bool) (did bool, err error) {
	for _, s := range j.due(now, closing) {
		did = true
		if err := j.flushOpen(s); err != nil {
			return did, err
		}
	}
	return did, nil
}

// due takes from the list whose turn it is.
func (j *Journal) due(now core.Stamp, closing bool) (ss []*stream) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := min(len(j.waiting), waitersAStep)
	left := j.waiting[:0:0]
	for i, s := range j.waiting[:n] {
		if len(ss) == flushesAStep {
			left = append(left, j.waiting[i:n]...)
			break
		}
		end := int64(0)
		for _, fill := range []bool{false, true} {
			if p := s.open(fill); p != nil {
				end += p.end
			}
		}
		switch {
		case s.pend != nil || s.pendRec != nil || closing || end == s.restEnd && now-s.restAt >= restMs:
			s.waiting = false
			ss = append(ss, s)
		default:
			if end != s.restEnd {
				s.restEnd, s.restAt = end, now
			}
			left = append(left, s)
		}
	}
	// who waits on goes to the back, so that all are looked at in turn
	j.waiting = append(slices.Clone(j.waiting[n:]), left...)
	return ss
}

// flushOpen flushes a stream's open segment and then notes how far it goes, with the
// checkpoint that waited for that.
func (j *Journal) flushOpen(s *stream) error {
	p, _ := j.openPart(s, false)
	filled, _ := j.openPart(s, true)
	for _, o := range []part{p, filled} {
		if o.kind != 0 {
			if err := j.syncSegment(o.file); err != nil {
				return err
			}
		}
	}
	j.shape.Lock()
	defer j.shape.Unlock()
	j.ownMu.Lock()
	defer j.ownMu.Unlock()
	q, _ := j.openPart(s, false)
	qf, _ := j.openPart(s, true)
	j.mu.Lock()
	cp, rec, known := s.pend, s.pendRec, s.durable
	gone := s.removed
	j.mu.Unlock()
	if gone {
		return nil
	}
	j.own.Reset()
	if q.file == p.file && p.kind != 0 && (known == nil || known.end < p.end) {
		j.own.Add(Head{Stream: s.id, Kind: NoteFlushed}, flushedNote(&p, false))
	}
	if filled.kind != 0 && qf.file == filled.file && qf.end == filled.end {
		filled.flags &^= partOpen // it begins another where it goes on
		j.own.Add(Head{Stream: s.id, Kind: NoteFlushed}, flushedNote(&filled, true))
	}
	if cp != nil && (p.kind == 0 || cp.Index <= p.last) {
		j.own.Add(Head{Stream: s.id, Kind: NoteCheckpoint}, EncodeCheckpoint(cp))
	}
	if rec != nil {
		wanted := NoteData(func(e *Encoder) { e.Reclaim(rec) })
		j.own.Add(Head{Stream: s.id, Kind: NoteReclaim}, wanted)
	}
	if j.own.Empty() {
		return nil
	}
	if err := j.commit(&j.own); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if s.pend == cp && (p.kind == 0 || cp == nil || cp.Index <= p.last) {
		s.pend = nil
	}
	if s.pendRec == rec {
		s.pendRec = nil
	}
	if s.pend != nil || s.pendRec != nil {
		j.wait(s)
	}
	return nil
}
