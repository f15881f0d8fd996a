package queue

import (
	"encoding/binary"
	"math"

	"trine/internal/core"
)

// input reads what this package wrote. The first fault makes bad true; all that is
// read afterwards is zero.
type input struct {
	b   []byte
	bad bool
}

func (in *input) fail() {
	in.bad, in.b = true, nil
}

// more says whether there is more to read, of a section that is read to its end.
func (in *input) more() bool { return len(in.b) > 0 && !in.bad }

func (in *input) byte() byte {
	if len(in.b) == 0 {
		in.fail()
		return 0
	}
	v := in.b[0]
	in.b = in.b[1:]
	return v
}

func (in *input) uvarint() uint64 {
	v, n := binary.Uvarint(in.b)
	if n <= 0 {
		in.fail()
		return 0
	}
	in.b = in.b[n:]
	return v
}

func (in *input) varint() int64 {
	v, n := binary.Varint(in.b)
	if n <= 0 {
		in.fail()
		return 0
	}
	in.b = in.b[n:]
	return v
}

// int reads a number that is not negative.
func (in *input) int() int64 {
	v := in.uvarint()
	if v > math.MaxInt64>>1 {
		in.fail()
		return 0
	}
	return int64(v)
}

func (in *input) int32() int32 {
	v := in.int()
	if v > math.MaxInt32 {
		in.fail()
		return 0
	}
	return int32(v)
}

func (in *input) take(n uint64) []byte {
	if n > uint64(len(in.b)) {
		in.fail()
		return nil
	}
	v := in.b[:n]
	in.b = in.b[n:]
	return v
}

// offsets reads a range that was written after one that ended at last.
func (in *input) offsets(last *core.Offset) core.OffsetRange {
	from := *last + core.Offset(in.varint())
	to := from + core.Offset(in.int())
	if from < 0 || to < from || to > offsetMax>>1 {
		in.fail()
		return core.OffsetRange{}
	}
	*last = to
	return core.OffsetRange{From: from, To: to}
}

// appendRange writes a range: where it begins, less last, and how many follow the
// first. It gives the next one's last.
func appendRange(b []byte, last core.Offset, r core.OffsetRange) ([]byte, core.Offset) {
	b = binary.AppendVarint(b, int64(r.From-last))
	return binary.AppendUvarint(b, uint64(r.To-r.From)), r.To
}

func appendRanges(b []byte, rs []core.OffsetRange) []byte {
	last := core.Offset(0)
	for _, r := range rs {
		b, last = appendRange(b, last, r)
	}
	return b
}
