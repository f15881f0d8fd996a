package kafka

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kbin"

	"trine/internal/core"
	"trine/internal/front"
)

// fetching is a Fetch request that was read, and what becomes of it.
type fetching struct {
	r            *request
	waitMs       int32
	bytesMin     int32
	bytesMax     int32
	stable       bool // isolation level "read committed"
	replica      int32
	session      int32
	sessionEpoch int32
	rack         string
	topics       []fetchedTopic
	parts        []fetched
	code         int16
}

// fetchedTopic is a topic's share of a request: parts[from:to].
type fetchedTopic struct {
	name     string
	id       [16]byte
	from, to int
}

// fetched is one partition's share, and its outcome.
type fetched struct {
	index     int32
	from      core.Offset
	epoch     int32 // of the leader, that the client believes in; -1 none
	lastEpoch int32 // of the last record it has; -1 none
	bytesMax  int32
	topic     *topic
	p         *partition
	stream    *core.Stream
	code      int16
	answer    core.ReadAnswer
}

// readFetch reads versions 4 to 18. Names alias the body.
func readFetch(r *request, f *fetching) error {
	in := reader{Reader: kbin.Reader{Src: r.body}, flexible: r.flexible}
	v := r.version
	f.r, f.replica = r, -1
	if v <= 14 {
		f.replica = in.Int32()
	}
	f.waitMs = in.Int32()
	f.bytesMin = in.Int32()
	f.bytesMax = in.Int32()
	f.stable = in.Int8() == 1
	if v >= 7 {
		f.session = in.Int32()
		f.sessionEpoch = in.Int32()
	}
	for range in.count() {
		t := fetchedTopic{from: len(f.parts)}
		if v >= 13 {
			t.id = in.Uuid()
		} else {
			t.name = in.name()
		}
		for range in.count() {
			part := readFetched(&in, v)
			if !in.Ok() {
				return in.Complete()
			}
			f.parts = append(f.parts, part)
		}
		in.tags(nil)
		if !in.Ok() {
			return in.Complete()
		}
		t.to = len(f.parts)
		f.topics = append(f.topics, t)
	}
	if v >= 7 {
		skipForgotten(&in, v)
	}
	if v >= 11 {
		f.rack = in.name()
	}
	in.tags(func(tag uint32, value []byte) {
		if tag == 1 && v >= 15 && len(value) >= 4 { // the replica's state
			f.replica = int32(binary.BigEndian.Uint32(value))
		}
	})
	return in.Complete()
}

func readFetched(in *reader, v int16) fetched {
	p := fetched{index: in.Int32(), epoch: -1, lastEpoch: -1}
	if v >= 9 {
		p.epoch = in.Int32()
	}
	p.from = core.Offset(in.Int64())
	if v >= 12 {
		p.lastEpoch = in.Int32()
	}
	if v >= 5 {
		in.Int64() // a follower's first offset
	}
	p.bytesMax = in.Int32()
	in.tags(nil)
	return p
}

// skipForgotten passes over the partitions that leave a session: there is none.
func skipForgotten(in *reader, v int16) {
	for n := in.count(); n > 0 && in.Ok(); n-- {
		if v >= 13 {
			in.Uuid()
		} else {
			in.name()
		}
		in.Span(4 * in.count())
		in.tags(nil)
	}
}

// copyBelow is the size below which a batch is copied into the answer: a part of
// its own would cost more.
const copyBelow = 1 << 10

// share writes the answer: its own bytes, and the batches as they lie in memory.
// The length stands first, so the own bytes are made apart and counted.
func (f *fetching) share(o *front.Output, header []byte) {
	c := f.r.c
	w := writer{b: append(c.scratch[:0], header...), flexible: f.r.flexible}
	type cut struct {
		at    int
		batch []byte
	}
	var few [16]cut
	cuts, shared := few[:0], 0
	f.append(&w, func(batch []byte) {
		if len(batch) < copyBelow {
			w.b = append(w.b, batch...)
			return
		}
		cuts = append(cuts, cut{len(w.b), batch})
		shared += len(batch)
	})
	binary.BigEndian.PutUint32(w.b, uint32(len(w.b)+shared-4))
	at := 0
	for _, k := range cuts {
		o.B = append(o.B, w.b[at:k.at]...)
		o.Share(k.batch)
		at = k.at
	}
	o.B = append(o.B, w.b[at:]...)
	if c.scratch = w.b[:0]; cap(c.scratch) > 16<<10 {
		c.scratch = nil
	}
}

// AppendTo appends the answer with its batches.
func (f *fetching) AppendTo(b []byte) []byte {
	w := writer{b: b, flexible: f.r.flexible}
	f.append(&w, func(batch []byte) { w.b = append(w.b, batch...) })
	return w.b
}

// append writes the answer; batches are given to put, in their places.
func (f *fetching) append(w *writer, put func([]byte)) {
	v := f.r.version
	w.int32(0) // not throttled
	if v >= 7 {
		w.int16(f.code)
		w.int32(0) // no session
	}
	topics := f.topics
	if f.code != errNone {
		topics = nil
	}
	w.count(len(topics))
	var leaders []core.NodeID
	for i := range topics {
		t := &topics[i]
		if v >= 13 {
			w.b = append(w.b, t.id[:]...)
		} else {
			w.str(t.name)
		}
		w.count(t.to - t.from)
		for j := t.from; j < t.to; j++ {
			part := &f.parts[j]
			f.appendPart(w, part, put)
			if v >= 16 && part.code == errNotLeader && part.answer.Leader != 0 {
				leaders = append(leaders, part.answer.Leader)
			}
		}
		w.tags()
	}
	f.r.c.appendNodes(w, 0, leaders)
}

func (f *fetching) appendPart(w *writer, p *fetched, put func([]byte)) {
	a, v := &p.answer, f.r.version
	committed, stable, start := a.Committed, a.Stable, a.Start
	if p.code != errNone {
		committed, stable, start = -1, -1, -1
	}
	w.int32(p.index)
	w.int16(p.code)
	w.int64(int64(committed))
	w.int64(int64(stable))
	if v >= 5 {
		w.int64(int64(start))
	}
	switch {
	case f.stable && p.code == errNone:
		w.count(len(a.Aborted))
		for _, s := range a.Aborted {
			w.int64(s.Producer)
			w.int64(int64(s.First))
			w.tags()
		}
	case w.flexible:
		w.uvarint(0)
	default:
		w.int32(-1)
	}
	if v >= 11 {
		w.int32(-1) // no other copy is preferred
	}
	size := 0
	for _, b := range a.Batches {
		size += len(b)
	}
	w.count(size)
	for _, b := range a.Batches {
		put(b)
	}
	switch {
	case v >= 12 && a.Diverging != nil && p.code == errNone:
		w.uvarint(1)
		w.uvarint(0)
		w.uvarint(4 + 8 + 1)
		w.int32(int32(a.Diverging.Epoch))
		w.int64(int64(a.Diverging.Base))
		w.tags()
	case v >= 12 && p.code == errNotLeader && a.Leader != 0:
		appendLeader(w, 1, a.Leader, a.Epoch)
	default:
		w.tags()
	}
}
