// Package stream is what a copy remembers of a stream beside its bytes: at which
// index each epoch began, which batches producers and sessions sent last, which
// spans of transactions are open and which were aborted.
//
//	producer ──▶ epoch, the last 5 batches {first, last sequence, base}, open span
//	span     ──▶ open at its first batch, ended by a marker: forgotten, or aborted
//
// All of it follows from the entries alone, in index order, so that it is equal on
// every copy, and is part of each checkpoint.
package stream

import (
	"cmp"
	"math"
	"slices"

	"trine/internal/core"
	"trine/internal/core/record"
)

// WindowBatches is how many batches of a producer are remembered: a repetition of
// an older one is known for one, but not where the first stands.
const WindowBatches = 5

// ProducersMax bounds the table of producers; beyond it those that were silent
// longest are forgotten, as if they had expired.
const ProducersMax = 1 << 16

// Verdict is what a producer's batch is to the stream.
type Verdict uint8

// The verdicts.
const (
	New          Verdict = iota // append it
	Repeated                    // it stands in the stream, at the offset given
	RepeatedLost                // it was appended, too long ago to say where
	Gap                         // batches before it are missing
	Fenced                      // a newer epoch of its producer has been seen
)

var verdictTexts = [...]string{"new", "repeated", "repeated, place forgotten", "gap", "fenced"}

func (v Verdict) String() string { return verdictTexts[v] }

// span is one batch of a producer.
type span struct {
	first, last int32 // sequences
	base        core.Offset
}

type producer struct {
	epoch  int16
	n      int8 // of batches, the oldest first
	open   core.Offset
	stamp  core.Stamp
	index  core.Index // of its last entry
	window [WindowBatches]span
}

const closed core.Offset = -1 // producer.open without a span

type aborted struct {
	producer    int64
	first, last core.Offset // last: of the marker
}

// Memory is a stream's memory. One caller at a time.
type Memory struct {
	epochs    []core.EpochStart
	producers map[int64]*producer
	open      int       // producers with an open span
	aborted   []aborted // in order of their markers
	ended     []aborted // spans whose markers may not be committed yet
}

// NewMemory is the memory of a stream without entries.
func NewMemory() *Memory { return &Memory{} }

// Append takes in the next entry, as it is appended.
func (m *Memory) Append(e *core.Entry) {
	if n := len(m.epochs); n == 0 || e.Epoch > m.epochs[n-1].Epoch {
		m.epochs = append(m.epochs, core.EpochStart{Epoch: e.Epoch, Index: e.Index, Base: e.Base})
	}
	if e.Kind != core.EntryBatch {
		return
	}
	h, err := record.Parse(e.Data)
	if err != nil || h.Producer == -1 {
		return
	}
	p := m.producer(h.Producer)
	if p.epoch != h.ProducerEpoch {
		p.epoch, p.n = h.ProducerEpoch, 0
	}
	p.index, p.stamp = e.Index, max(p.stamp, h.Max)
	if h.Control() {
		m.end(h.Producer, p, record.MarkerOf(e.Data), e.Base)
		return
	}
	if h.Sequence >= 0 {
		p.push(span{h.Sequence, lastSequence(&h), e.Base})
	}
	if h.Transactional() && p.open == closed {
		p.open = e.Base
		m.open++
	}
}

func (m *Memory) producer(id int64) *producer {
	p := m.producers[id]
	if p != nil {
		return p
	}
	if m.producers == nil {
		m.producers = map[int64]*producer{}
	}
	if len(m.producers) >= ProducersMax {
		m.evict()
	}
	p = &producer{open: closed, stamp: -1, epoch: -1}
	m.producers[id] = p
	return p
}

// isSession says whether a producer is a node's session. What it sent last is known for
// as long as its run lasts: it is not evicted, and EndSessions ends it.
func isSession(producer int64) bool { return producer < -1 }

// evict forgets the eighth of the producers that was silent longest.
func (m *Memory) evict() {
	ids := m.ids()
	slices.SortStableFunc(ids, func(a, b int64) int {
		return cmp.Compare(m.producers[a].index, m.producers[b].index)
	})
	n := 0
	for _, id := range ids {
		if m.producers[id].open == closed && !isSession(id) {
			delete(m.producers, id)
			if n++; n == ProducersMax/8 {
				return
			}
		}
	}
}

// ids gives the known producers in ascending order.
func (m *Memory) ids() []int64 {
	ids := make([]int64, 0, len(m.producers))
	for id := range m.producers {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (p *producer) push(s span) {
	if p.n == WindowBatches {
		copy(p.window[:], p.window[1:])
		p.n--
	}
	p.window[p.n] = s
	p.n++
}

func (m *Memory) end(id int64, p *producer, k record.Marker, at core.Offset) {
	if p.open == closed || k == record.NoMarker {
		return
	}
	a := aborted{id, p.open, at}
	p.open = closed
	m.open--
	m.ended = append(m.ended, a)
	if k == record.Abort {
		m.aborted = append(m.aborted, a)
	}
}

// lastSequence gives the sequence of a batch's last record; sequences go on at 0
// after the greatest int32.
func lastSequence(h *record.Header) int32 {
	return int32((int64(h.Sequence) + int64(h.LastDelta)) & math.MaxInt32)
}

// Check judges a batch that is about to be appended. With Repeated comes the
// offset of the batch that it repeats, which may not be committed yet.
func (m *Memory) Check(h *record.Header) (Verdict, core.Offset) {
	if h.Producer == -1 || h.Sequence < 0 && !h.Control() {
		return New, -1
	}
	p := m.producers[h.Producer]
	switch {
	case p == nil || p.epoch < 0:
		return New, -1
	case h.ProducerEpoch < p.epoch:
		return Fenced, -1
	case h.Control():
		return New, -1
	case h.ProducerEpoch > p.epoch:
		if h.Sequence != 0 {
			return Gap, -1
		}
		return New, -1
	case p.n == 0: // only markers were seen of this epoch
		if h.Sequence != 0 {
			return Gap, -1
		}
		return New, -1
	}
	last := lastSequence(h)
	for _, s := range p.window[:p.n] {
		if s.first == h.Sequence && s.last == last {
			return Repeated, s.base
		}
	}
	newest := p.window[p.n-1].last
	switch ahead := (h.Sequence - newest) & math.MaxInt32; {
	case ahead == 1:
		return New, -1
	case ahead != 0 && ahead < 1<<30:
		return Gap, -1
	case (newest-last)&math.MaxInt32 >= 1<<30: // it begins before the newest and ends behind it
		return Gap, -1
	}
	return RepeatedLost, -1
}

// CheckEntered judges a batch that a node entered by its session. after is the last
// sequence before it that the session does not know to be refused, -1 for none: what was
// refused leaves a hole that is no gap. A sequence never names two batches.
func (m *Memory) CheckEntered(h *record.Header, after int32) (Verdict, core.Offset) {
	p := m.producers[h.Producer]
	if p == nil || p.n == 0 {
		if after >= 0 {
			return Gap, -1
		}
		return New, -1
	}
	last := lastSequence(h)
	for _, s := range p.window[:p.n] {
		if s.first == h.Sequence && s.last == last {
			return Repeated, s.base
		}
	}
	ahead := func(seq, of int32) bool {
		d := (seq - of) & math.MaxInt32
		return d != 0 && d < 1<<30
	}
	switch newest := p.window[p.n-1].last; {
	case !ahead(h.Sequence, newest):
		return RepeatedLost, -1
	case after >= 0 && ahead(after, newest):
		return Gap, -1
	}
	return New, -1
}

// LastSequence gives the last sequence that was appended of a producer or session.
func (m *Memory) LastSequence(producer int64) (int32, bool) {
	p := m.producers[producer]
	if p == nil || p.n == 0 {
		return 0, false
	}
	return p.window[p.n-1].last, true
}

// Epochs gives where each epoch began, in order. It is not to be changed.
func (m *Memory) Epochs() []core.EpochStart { return m.epochs }

// EpochAt gives the epoch of the entry at index; 0 where it is not known.
func (m *Memory) EpochAt(index core.Index) core.Epoch {
	i, found := slices.BinarySearchFunc(m.epochs, index, func(s core.EpochStart, x core.Index) int {
		return cmp.Compare(s.Index, x)
	})
	if found {
		return m.epochs[i].Epoch
	}
	if i == 0 {
		return 0
	}
	return m.epochs[i-1].Epoch
}

// EndOf gives the greatest known epoch that is not above epoch, and where it ends:
// the index and offset at which the following one began, or those after the last
// entry. Epoch -1 where epoch is above all that are known, or none is.
func (m *Memory) EndOf(epoch core.Epoch, last core.Index, next core.Offset) core.EpochStart {
	n := len(m.epochs)
	if n == 0 || epoch < 0 || epoch > m.epochs[n-1].Epoch {
		return core.EpochStart{Epoch: -1, Index: -1, Base: -1}
	}
	i, _ := slices.BinarySearchFunc(m.epochs, epoch+1, func(s core.EpochStart, x core.Epoch) int {
		return cmp.Compare(s.Epoch, x)
	})
	end := core.EpochStart{Epoch: epoch, Index: last + 1, Base: next}
	if i > 0 {
		end.Epoch = m.epochs[i-1].Epoch
	}
	if i < n {
		end.Index, end.Base = m.epochs[i].Index, m.epochs[i].Base
	}
	return end
}

// Stable gives the offset below which every span has ended and its marker is
// committed. committed never goes back.
func (m *Memory) Stable(committed core.Offset) core.Offset {
	stable := committed
	if m.open > 0 {
		for _, p := range m.producers {
			if p.open != closed {
				stable = min(stable, p.open)
			}
		}
	}
	kept := m.ended[:0]
	for _, a := range m.ended {
		if a.last >= committed {
			stable = min(stable, a.first)
			kept = append(kept, a)
		}
	}
	m.ended = kept
	return stable
}

// Aborted gives the aborted spans that have records among the offsets from up to
// to, to excluded, in order of their markers.
func (m *Memory) Aborted(from, to core.Offset) []core.Span {
	i, _ := slices.BinarySearchFunc(m.aborted, from, func(a aborted, x core.Offset) int {
		return cmp.Compare(a.last, x)
	})
	var out []core.Span
	for _, a := range m.aborted[i:] {
		if a.first < to {
			out = append(out, core.Span{Producer: a.producer, First: a.first})
		}
	}
	return out
}

// Expire forgets producers and sessions that sent nothing since before, except
// those with an open span.
func (m *Memory) Expire(before core.Stamp) {
	for id, p := range m.producers {
		if p.stamp < before && p.open == closed {
			delete(m.producers, id)
		}
	}
}

// EndSessions forgets the sessions that sent nothing since before and whose node's run has
// ended: nothing comes of them any more.
func (m *Memory) EndSessions(before core.Stamp, runs func(core.Session) bool) {
	for id, p := range m.producers {
		if isSession(id) && p.stamp < before && !runs(core.Session(id)) {
			delete(m.producers, id)
		}
	}
}

// Trim forgets what lies below the stream's first offset: ended spans, and epochs
// that nothing is left of, except the last such, which start may stand in.
func (m *Memory) Trim(start core.Offset) {
	i := 0
	for i < len(m.aborted) && m.aborted[i].last < start {
		i++
	}
	m.aborted = slices.Delete(m.aborted, 0, i)
	i = 0
	for i+1 < len(m.epochs) && m.epochs[i+1].Base <= start {
		i++
	}
	m.epochs = slices.Delete(m.epochs, 0, i)
}

// Clone gives a memory of its own with the same content.
func (m *Memory) Clone() *Memory {
	c := &Memory{epochs: slices.Clone(m.epochs), open: m.open,
		aborted: slices.Clone(m.aborted), ended: slices.Clone(m.ended)}
	if len(m.producers) > 0 {
		c.producers = make(map[int64]*producer, len(m.producers))
		for id, p := range m.producers {
			q := *p
			c.producers[id] = &q
		}
	}
	return c
}
