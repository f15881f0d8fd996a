package queue

import (
	"encoding/binary"
	"fmt"
	"slices"

	"trine/internal/core"
)

// factsVersion is the first byte of every entry of a queue.
const factsVersion = 1

// The sections of an entry, which are applied in this order. Those from tagSkip on
// may be passed over by who does not know them.
const (
	tagCeiling  = 1 // nothing from this offset on has been lent
	tagReturned = 2 // {from, to, count}
	tagDelayed  = 3 // {from, to, stamp}: not lent before
	tagGiven    = 4 // {from, to, why}: given up, to be forwarded
	tagSettled  = 5 // of one fate: gone
	tagSessions = 6 // {session, seq}: taken up to here
	tagOver     = 7 // sessions that send nothing more
	tagExtended = 8 // {from, to, bytes, stamp}: messages of another stream, taken in first
	tagSkip     = 128
)

// Fate says how a message left its queue. The values are on disk.
type Fate uint8

// The fates.
const (
	Accepted Fate = 1 + iota
	Rejected
	Expired
	OverLength
	DeliveryLimit
	Forwarded   // given up and routed elsewhere
	Unforwarded // given up, and nobody took it
	Purged
	Missing // its bytes were no longer there
	fates
)

type returned struct {
	core.OffsetRange
	count int32
}

type delayed struct {
	core.OffsetRange
	until core.Stamp
}

type given struct {
	core.OffsetRange
	why core.ForwardReason
}

type extended struct {
	core.OffsetRange
	bytes int64
	stamp core.Stamp
}

type contribution struct {
	session core.Session
	seq     int64
}

// facts is the content of one entry.
type facts struct {
	extended []extended
	ceiling  core.Offset // 0: as it was
	returned []returned
	delayed  []delayed
	given    []given
	settled  [fates][]core.OffsetRange
	sessions []contribution
	over     []core.Session
}

func (f *facts) reset() {
	f.extended, f.ceiling = f.extended[:0], 0
	f.returned, f.delayed, f.given = f.returned[:0], f.delayed[:0], f.given[:0]
	for i := range f.settled {
		f.settled[i] = f.settled[i][:0]
	}
	f.sessions, f.over = f.sessions[:0], f.over[:0]
}

func (f *facts) empty() bool {
	for _, s := range f.settled {
		if len(s) > 0 {
			return false
		}
	}
	return f.ceiling == 0 && len(f.extended) == 0 && len(f.returned) == 0 && len(f.delayed) == 0 && len(f.given) == 0 &&
		len(f.sessions) == 0 && len(f.over) == 0
}

// rangesMax bounds the ranges of one entry: about 100 KiB.
const rangesMax = 16384

// count gives how many ranges the entry has.
func (f *facts) count() int {
	n := len(f.extended) + len(f.returned) + len(f.delayed) + len(f.given)
	for _, s := range f.settled {
		n += len(s)
	}
	return n
}

// cut takes the first n ranges out, in the order in which they are applied. What
// sessions contributed stays with the last: it holds only with all that it settled.
func (f *facts) cut(n int) *facts {
	out := &facts{ceiling: f.ceiling}
	f.ceiling = 0
	out.extended = cutFirst(&f.extended, &n)
	out.returned = cutFirst(&f.returned, &n)
	out.delayed = cutFirst(&f.delayed, &n)
	out.given = cutFirst(&f.given, &n)
	for i := range f.settled {
		out.settled[i] = cutFirst(&f.settled[i], &n)
	}
	return out
}

// cutFirst takes the first *n elements out of s, and counts them off.
func cutFirst[T any](s *[]T, n *int) []T {
	k := min(*n, len(*s))
	out := slices.Clone((*s)[:k])
	*s = (*s)[k:]
	*n -= k
	return out
}

func (f *facts) settle(fate Fate, from, to core.Offset) {
	s := f.settled[fate]
	if n := len(s); n > 0 && s[n-1].To+1 == from {
		s[n-1].To = to
		return
	}
	f.settled[fate] = append(s, core.OffsetRange{From: from, To: to})
}

func (f *facts) give(why core.ForwardReason, from, to core.Offset) {
	if n := len(f.given); n > 0 && f.given[n-1].To+1 == from && f.given[n-1].why == why {
		f.given[n-1].To = to
		return
	}
	f.given = append(f.given, given{core.OffsetRange{From: from, To: to}, why})
}

func (f *facts) giveBack(from, to core.Offset, count int32) {
	if n := len(f.returned); n > 0 && f.returned[n-1].To+1 == from && f.returned[n-1].count == count {
		f.returned[n-1].To = to
		return
	}
	f.returned = append(f.returned, returned{core.OffsetRange{From: from, To: to}, count})
}

func (f *facts) contribute(s core.Session, seq int64) {
	for i := range f.sessions {
		if f.sessions[i].session == s {
			f.sessions[i].seq = max(f.sessions[i].seq, seq)
			return
		}
	}
	f.sessions = append(f.sessions, contribution{s, seq})
}

// coalesce sorts ranges and joins neighbours.
func coalesce(s []core.OffsetRange) []core.OffsetRange {
	byFrom := func(a, b core.OffsetRange) int {
		switch {
		case a.From < b.From:
			return -1
		case a.From > b.From:
			return 1
		}
		return 0
	}
	if !slices.IsSortedFunc(s, byFrom) {
		slices.SortFunc(s, byFrom)
	}
	out := s[:0]
	for _, r := range s {
		if n := len(out); n > 0 && out[n-1].To+1 == r.From {
			out[n-1].To = r.To
			continue
		}
		out = append(out, r)
	}
	return out
}

// encode appends the entry's bytes to b. A section is its tag, the length of its
// body and the body; numbers are varints, offsets less than the one before.
func (f *facts) encode(b []byte) []byte {
	b = append(b, factsVersion)
	if len(f.extended) > 0 {
		b = section(b, tagExtended, f.encodeExtended)
	}
	if f.ceiling != 0 {
		b = section(b, tagCeiling, func(b []byte) []byte {
			return binary.AppendUvarint(b, uint64(f.ceiling))
		})
	}
	if len(f.returned) > 0 {
		b = section(b, tagReturned, f.encodeReturned)
	}
	if len(f.delayed) > 0 {
		b = section(b, tagDelayed, f.encodeDelayed)
	}
	if len(f.given) > 0 {
		b = section(b, tagGiven, f.encodeGiven)
	}
	for fate := range f.settled {
		if len(f.settled[fate]) == 0 {
			continue
		}
		f.settled[fate] = coalesce(f.settled[fate])
		b = section(b, tagSettled, func(b []byte) []byte {
			return appendRanges(append(b, byte(fate)), f.settled[fate])
		})
	}
	if len(f.sessions) > 0 {
		b = section(b, tagSessions, f.encodeSessions)
	}
	if len(f.over) > 0 {
		b = section(b, tagOver, func(b []byte) []byte {
			for _, s := range f.over {
				b = binary.AppendVarint(b, int64(s))
			}
			return b
		})
	}
	return b
}

// section writes a section in place: its body is moved by what its length needs.
func section(b []byte, tag byte, body func([]byte) []byte) []byte {
	b = append(b, tag)
	at := len(b)
	b = body(append(b, 0))
	n := len(b) - at - 1
	var length [binary.MaxVarintLen64]byte
	if l := binary.PutUvarint(length[:], uint64(n)); l > 1 {
		b = append(b, length[1:l]...)
		copy(b[at+l:], b[at+1:at+1+n])
		copy(b[at:], length[:l])
		return b
	}
	b[at] = length[0]
	return b
}

func (f *facts) encodeExtended(b []byte) []byte {
	last := core.Offset(0)
	for _, r := range f.extended {
		b, last = appendRange(b, last, r.OffsetRange)
		b = binary.AppendUvarint(b, uint64(r.bytes))
		b = binary.AppendVarint(b, int64(r.stamp))
	}
	return b
}

func (f *facts) encodeReturned(b []byte) []byte {
	last := core.Offset(0)
	for _, r := range f.returned {
		b, last = appendRange(b, last, r.OffsetRange)
		b = binary.AppendUvarint(b, uint64(r.count))
	}
	return b
}

func (f *facts) encodeDelayed(b []byte) []byte {
	last := core.Offset(0)
	for _, r := range f.delayed {
		b, last = appendRange(b, last, r.OffsetRange)
		b = binary.AppendUvarint(b, uint64(r.until))
	}
	return b
}

func (f *facts) encodeGiven(b []byte) []byte {
	last := core.Offset(0)
	for _, r := range f.given {
		b, last = appendRange(b, last, r.OffsetRange)
		b = append(b, byte(r.why))
	}
	return b
}

func (f *facts) encodeSessions(b []byte) []byte {
	for _, s := range f.sessions {
		b = binary.AppendVarint(b, int64(s.session))
		b = binary.AppendUvarint(b, uint64(s.seq))
	}
	return b
}

// parse adds an entry's content to f.
func (f *facts) parse(b []byte) error {
	if len(b) == 0 || b[0] != factsVersion {
		return fmt.Errorf("read a queue's entry: unknown version in %d bytes", len(b))
	}
	in := input{b: b[1:]}
	for len(in.b) > 0 && !in.bad {
		tag := in.byte()
		body := input{b: in.take(in.uvarint())}
		if err := f.section(tag, &body); err != nil {
			return err
		}
		if body.bad {
			return fmt.Errorf("read a queue's entry: section %d is malformed", tag)
		}
	}
	if in.bad {
		return fmt.Errorf("read a queue's entry: its sections are malformed")
	}
	return nil
}

func (f *facts) section(tag byte, in *input) error {
	last := core.Offset(0)
	switch tag {
	case tagExtended:
		for in.more() {
			f.extended = append(f.extended, extended{in.offsets(&last), in.int(), core.Stamp(in.varint())})
		}
	case tagCeiling:
		f.ceiling = max(f.ceiling, core.Offset(in.int()))
	case tagReturned:
		for in.more() {
			f.returned = append(f.returned, returned{in.offsets(&last), in.int32()})
		}
	case tagDelayed:
		for in.more() {
			f.delayed = append(f.delayed, delayed{in.offsets(&last), core.Stamp(in.int())})
		}
	case tagGiven:
		for in.more() {
			g := given{in.offsets(&last), core.ForwardReason(in.byte())}
			in.bad = in.bad || g.why == 0 || g.why >= reasons
			f.given = append(f.given, g)
		}
	case tagSettled:
		fate := Fate(in.byte())
		if fate == 0 || fate >= fates {
			return fmt.Errorf("read a queue's entry: unknown fate %d", fate)
		}
		for in.more() {
			f.settled[fate] = append(f.settled[fate], in.offsets(&last))
		}
	case tagSessions:
		for in.more() {
			f.contribute(core.Session(in.varint()), in.int())
		}
	case tagOver:
		for in.more() {
			f.over = append(f.over, core.Session(in.varint()))
		}
	default:
		if tag < tagSkip {
			return fmt.Errorf("read a queue's entry: unknown section %d", tag)
		}
	}
	return nil
}
