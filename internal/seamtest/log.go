package seamtest

import (
	"sort"

	"trine/internal/core"
	"trine/internal/core/queue"
	"trine/internal/core/record"
	"trine/internal/core/stream"
)

type logs struct{ b *Broker }

// log is one stream: its entries, all committed, and what is remembered of them.
type log struct {
	stream   *core.Stream
	memory   *stream.Memory
	entries  []core.Entry // batches
	index    core.Index
	start    core.Offset
	next     core.Offset
	queue    *queue.Queue
	out      queue.Effects
	holders  map[core.ConsumerID]core.Holder
	settlers []settler
	seq      int64
	sequence int32 // of gathered batches
}

type waiting struct {
	read     core.Read
	deadline core.Time
	done     func([]core.ReadAnswer)
}

func newLog(s *core.Stream) *log {
	return &log{stream: s, memory: stream.NewMemory(), holders: map[core.ConsumerID]core.Holder{}}
}

func (l logs) Append(as []core.Append) {
	b := l.b
	b.post(func() {
		for i := range as {
			b.append(&as[i])
		}
		b.answerReads()
	})
}

func (b *Broker) append(a *core.Append) {
	out, err := b.appended(a)
	if a.To != nil {
		b.call(func() { a.To.Appended(a.Token, out, err) })
	}
	if l := b.byID[a.Stream]; err == nil && l != nil {
		b.turn(l)
	}
}

// present gives a stream that an ask names, where the ask may be answered here.
func (b *Broker) present(op string, id core.StreamID, ifEpoch core.Epoch, here bool) (*log, error) {
	l := b.byID[id]
	if l == nil {
		return nil, failed(op, "", core.NotExist, "")
	}
	s := l.stream
	if err := b.judge(op, s.Name); err != nil {
		return nil, err
	}
	if here && s.Leader != b.self.Node {
		return nil, &core.Error{Op: op, Name: s.Name, Kind: core.NotLeader, Leader: s.Leader,
			Epoch: s.Epoch}
	}
	if ifEpoch != 0 && ifEpoch != s.Epoch {
		kind := core.Fenced
		if ifEpoch > s.Epoch && op != "append" {
			kind = core.Unavailable
		}
		return nil, &core.Error{Op: op, Name: s.Name, Kind: kind, Epoch: s.Epoch}
	}
	return l, nil
}

func (b *Broker) appended(a *core.Append) (core.Appended, error) {
	const op = "append"
	l, err := b.present(op, a.Stream, a.IfEpoch, a.Here)
	if err != nil {
		return core.Appended{}, err
	}
	s := l.stream
	if a.Ack == core.AckCommit && s.InSyncCount() < s.Policy.MinInSync {
		return core.Appended{}, failed(op, s.Name, core.Refused, "")
	}
	out := core.Appended{Start: l.start, Stamp: b.now.Wall, Epoch: s.Epoch, InSync: s.InSyncCount()}
	batch := a.Batch
	if batch == nil {
		if len(a.Records) == 0 {
			return out, failed(op, s.Name, core.Invalid, "neither batch nor records")
		}
		batch = l.gather(b, a.Records)
	}
	h, err := record.Check(batch)
	if err != nil {
		return out, &core.Error{Op: op, Name: s.Name, Kind: core.Invalid, Err: err}
	}
	switch v, base := l.memory.Check(&h); v {
	case stream.Repeated:
		out.Base = base
		return out, nil
	case stream.RepeatedLost:
		out.Base = -1
		return out, nil
	case stream.Gap:
		return out, failed(op, s.Name, core.OutOfOrder, "")
	case stream.Fenced:
		return out, failed(op, s.Name, core.Fenced, "")
	}
	if l.queue != nil && l.queue.Full(int64(h.Count), int64(len(batch))) {
		if a.Batch == nil {
			l.sequence -= int32(len(a.Records)) // the next takes its place
		}
		return out, failed(op, s.Name, core.Full, core.LimitReached)
	}
	out.Base = l.next
	record.SetBase(batch, l.next, s.Epoch)
	l.take(core.EntryBatch, h.Span(), batch)
	return out, nil
}

func (l *log) gather(b *Broker, rs []core.Record) []byte {
	var builder record.Builder
	builder.Reset(core.SessionOf(b.self.Incarnation), l.sequence, b.now.Wall)
	for i := range rs {
		builder.Add(&rs[i])
	}
	l.sequence += int32(len(rs))
	return builder.Finish()
}

// take appends and applies an entry.
func (l *log) take(kind core.EntryKind, count int32, data []byte) {
	l.index++
	e := core.Entry{Index: l.index, Epoch: l.stream.Epoch, Gen: 1, Kind: kind, Base: l.next,
		Count: count, Data: data}
	l.next = e.Next()
	l.memory.Append(&e)
	if kind == core.EntryBatch {
		l.entries = append(l.entries, e)
	}
	if l.queue != nil {
		err := l.queue.Apply(&e)
		core.Assert(err == nil, "a queue takes its entries: %v", err)
	}
}

// from gives the first entry that ends above an offset.
func (l *log) from(o core.Offset) []core.Entry {
	i := sort.Search(len(l.entries), func(i int) bool { return l.entries[i].Next() > o })
	return l.entries[i:]
}

func (l logs) Read(r core.Read, done func([]core.ReadAnswer)) {
	b := l.b
	b.post(func() {
		b.reads = append(b.reads, &waiting{r, b.now.Mono + r.Wait, done})
		b.answerReads()
	})
}

// answerReads answers the reads that have enough, or waited long enough.
func (b *Broker) answerReads() {
	rest := b.reads[:0]
	for _, w := range b.reads {
		answers, ready := b.answer(&w.read)
		if !ready && w.deadline > b.now.Mono {
			rest = append(rest, w)
			continue
		}
		b.call(func() { w.done(answers) })
	}
	clear(b.reads[len(rest):])
	b.reads = rest
}

func (b *Broker) answer(r *core.Read) (answers []core.ReadAnswer, ready bool) {
	left, got := r.BytesMax, 0
	for i := range r.Parts {
		a, n := b.part(r, &r.Parts[i], left, got == 0)
		left, got = left-n, got+n
		ready = ready || a.Err != nil || a.Diverging != nil
		answers = append(answers, a)
	}
	return answers, ready || got >= r.BytesMin
}

func (b *Broker) part(r *core.Read, p *core.ReadPart, left int, first bool) (core.ReadAnswer, int) {
	const op = "read"
	l, err := b.present(op, p.Stream, p.IfEpoch, r.Here && !r.Copy)
	if err != nil {
		return core.ReadAnswer{Err: err}, 0
	}
	s := l.stream
	a := core.ReadAnswer{Start: l.start, Committed: l.next, Stable: l.memory.Stable(l.next),
		Epoch: s.Epoch, Leader: s.Leader}
	if p.From < l.start || p.From > l.next {
		a.Err = failed(op, s.Name, core.OutOfRange, "")
		return a, 0
	}
	if p.LastEpoch != 0 {
		end := l.memory.EndOf(p.LastEpoch, l.index, l.next)
		if end.Epoch != p.LastEpoch || end.Base < p.From {
			a.Diverging = &end
			return a, 0
		}
	}
	limit, n := a.Committed, 0
	if r.Stable {
		limit = a.Stable
	}
	for _, e := range l.from(p.From) {
		whole := n + len(e.Data)
		if e.Base >= limit || (whole > left || whole > p.BytesMax) && !(first && n == 0) {
			break
		}
		a.Batches, n = append(a.Batches, e.Data), whole
		if r.Stable {
			a.Aborted = l.memory.Aborted(p.From, e.Next())
		}
	}
	return a, n
}

func (l logs) Find(f core.Find, done func(core.Found, error)) {
	b := l.b
	b.post(func() {
		found, err := b.find(&f)
		b.call(func() { done(found, err) })
	})
}

func (b *Broker) find(f *core.Find) (core.Found, error) {
	l, err := b.present("find", f.Stream, f.IfEpoch, f.Here)
	if err != nil {
		return core.Found{}, err
	}
	out := core.Found{Offset: -1, Stamp: -1, Epoch: l.stream.Epoch}
	switch f.Kind {
	case core.FindStart:
		out.Offset = l.start
	case core.FindEnd:
		out.Offset = l.next
	case core.FindStable:
		out.Offset = l.memory.Stable(l.next)
	case core.FindEpochEnd:
		end := l.memory.EndOf(f.Epoch, l.index, l.next)
		if out.Epoch = end.Epoch; end.Epoch >= 0 {
			out.Offset = end.Base
		}
	default:
		err = l.findStamp(f, &out)
	}
	return out, err
}

func (l *log) findStamp(f *core.Find, out *core.Found) error {
	first := f.Kind == core.FindStamp
	for _, e := range l.from(l.start) {
		err := record.Each(e.Data, record.UnpackedMax, func(o core.Offset, r *core.Record) bool {
			if o >= l.start && (first && r.Stamp >= f.Stamp || !first && r.Stamp > out.Stamp) {
				out.Offset, out.Stamp, out.Epoch = o, r.Stamp, e.Epoch
			}
			return !first || out.Offset < 0
		})
		if err != nil || first && out.Offset >= 0 {
			return err
		}
	}
	return nil
}

func (l logs) Trim(t core.Trim, done func(core.Offset, error)) {
	b := l.b
	b.post(func() {
		l, err := b.present("trim", t.Stream, 0, t.Here)
		start := core.Offset(-1)
		switch {
		case err != nil:
		case t.Before > l.next:
			err = failed("trim", l.stream.Name, core.OutOfRange, "")
		default:
			if t.Before < 0 {
				t.Before = l.next
			}
			l.start = max(l.start, t.Before)
			l.entries = l.from(l.start)
			start = l.start
			b.answerReads()
		}
		b.call(func() { done(start, err) })
	})
}
