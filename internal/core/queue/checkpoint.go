package queue

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"trine/internal/core"
)

// stateVersion is the first byte of an encoded Queue.
const stateVersion = 1

// Encode gives the facts that the entries so far made: the same bytes on every
// copy that applied the same entries.
//
//	byte version | uvarint next | uvarint ceiling
//	list live | uvarint n { byte priority | list live } ...
//	uvarint n { varint from | uvarint more | uvarint bytes | varint stamp } ...
//	uvarint n { varint offset | uvarint stamp } ...   expires
//	uvarint n { varint offset | uvarint stamp } ...   not before
//	uvarint n { varint offset | uvarint count } ...   returns
//	uvarint n { list given up } ...                   by reason, from 1
//	uvarint n { varint session | uvarint seq } ...
//	uvarint n { uvarint gone } ...                    by fate, from 1
//
// A list is uvarint n and n times {varint from | uvarint more}, each less the end of
// the one before.
func (q *Queue) Encode() []byte {
	s := &q.state
	b := []byte{stateVersion}
	b = binary.AppendUvarint(b, uint64(s.next))
	b = binary.AppendUvarint(b, uint64(s.ceiling))
	b = appendSet(b, &s.live)
	n := 0
	for i := range s.raised {
		if !s.raised[i].live.empty() {
			n++
		}
	}
	b = binary.AppendUvarint(b, uint64(n))
	for i := range s.raised {
		if !s.raised[i].live.empty() {
			b = appendSet(append(b, s.raised[i].priority), &s.raised[i].live)
		}
	}
	b = s.spans.encode(b)
	b = appendMap(b, s.expires)
	b = appendMap(b, s.notBefore)
	b = appendMap(b, s.returns)
	b = binary.AppendUvarint(b, uint64(reasons-1))
	for i := 1; i < int(reasons); i++ {
		b = appendSet(b, &s.given[i])
	}
	b = binary.AppendUvarint(b, uint64(len(s.sessions)))
	for _, k := range slices.Sorted(maps.Keys(s.sessions)) {
		b = binary.AppendVarint(b, int64(k))
		b = binary.AppendUvarint(b, uint64(s.sessions[k]))
	}
	b = binary.AppendUvarint(b, uint64(fates-1))
	for i := 1; i < int(fates); i++ {
		b = binary.AppendUvarint(b, uint64(s.gone[i]))
	}
	return b
}

func appendSet(b []byte, s *ranges) []byte {
	n := 0
	for _, c := range s.chunks {
		n += len(c)
	}
	b = binary.AppendUvarint(b, uint64(n))
	last := core.Offset(0)
	for _, c := range s.chunks {
		for _, r := range c {
			b, last = appendRange(b, last, r)
		}
	}
	return b
}

func appendMap[V int32 | core.Stamp](b []byte, m map[core.Offset]V) []byte {
	b = binary.AppendUvarint(b, uint64(len(m)))
	last := core.Offset(0)
	for _, o := range slices.Sorted(maps.Keys(m)) {
		b = binary.AppendVarint(b, int64(o-last))
		b = binary.AppendUvarint(b, uint64(m[o]))
		last = o
	}
	return b
}

func (s *spans) encode(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s.list)))
	last, stamp := core.Offset(0), core.Stamp(0)
	for _, n := range s.list {
		b, last = appendRange(b, last, core.OffsetRange{From: n.from, To: n.to})
		b = binary.AppendUvarint(b, uint64(n.sum))
		b = binary.AppendVarint(b, int64(n.stamp-stamp))
		stamp = n.stamp
	}
	return b
}

// Decode gives the machine that Encode described. It follows.
func Decode(b []byte, set core.QueueSettings) (*Queue, error) {
	if len(b) == 0 || b[0] != stateVersion {
		return nil, fmt.Errorf("read a queue's checkpoint: unknown version in %d bytes", len(b))
	}
	q := New(set)
	s := &q.state
	in := &input{b: b[1:]}
	s.next = core.Offset(in.int())
	s.ceiling = core.Offset(in.int())
	in.set(&s.live)
	for range in.count(2) {
		priority := in.byte()
		in.set(s.lane(priority))
		in.bad = in.bad || priority == 0
	}
	in.spans(&s.spans)
	readMap(in, &s.expires)
	readMap(in, &s.notBefore)
	readMap(in, &s.returns)
	for i := range in.count(1) {
		if i+1 >= int(reasons) {
			in.fail()
			break
		}
		in.set(&s.given[i+1])
	}
	for range in.count(2) {
		if s.sessions == nil {
			s.sessions = make(map[core.Session]int64)
		}
		k := core.Session(in.varint())
		s.sessions[k] = in.int()
	}
	for i := range in.count(1) {
		if i+1 >= int(fates) {
			in.fail()
			break
		}
		s.gone[i+1] = in.int()
	}
	if in.bad || len(in.b) != 0 {
		return nil, fmt.Errorf("read a queue's checkpoint: %d bytes are malformed", len(b))
	}
	s.live.each(0, offsetMax, func(from, to core.Offset) bool {
		s.bytes += s.spans.bytes(from, to)
		return true
	})
	return q, nil
}

// count reads how many things of at least bytesMin bytes follow.
func (in *input) count(bytesMin int) int {
	n := in.uvarint()
	if n > uint64(len(in.b)/bytesMin) {
		in.fail()
		return 0
	}
	return int(n)
}

func (in *input) set(s *ranges) {
	last := core.Offset(0)
	end := core.Offset(-1)
	for range in.count(2) {
		r := in.offsets(&last)
		if in.bad || r.From <= end {
			in.fail()
			return
		}
		s.add(r.From, r.To)
		end = r.To
	}
}

func (in *input) spans(s *spans) {
	last, end, stamp := core.Offset(0), core.Offset(-1), core.Stamp(0)
	for range in.count(4) {
		r := in.offsets(&last)
		n := span{from: r.From, to: r.To, sum: in.int()}
		stamp += core.Stamp(in.varint())
		n.stamp = stamp
		if in.bad || r.From <= end {
			in.fail()
			return
		}
		end = r.To
		s.list = append(s.list, n)
	}
}

func readMap[V int32 | core.Stamp](in *input, m *map[core.Offset]V) {
	last := core.Offset(0)
	for range in.count(2) {
		last += core.Offset(in.varint())
		put(m, last, V(in.int()))
	}
}
