package catalog

import (
	"encoding/binary"
	"math"

	"trine/internal/core"
)

// writer appends to a slice what reader reads back: unsigned and zigzag varints,
// length-prefixed bytes, one byte for a flag.
type writer struct{ b []byte }

func (w *writer) byte(v byte)   { w.b = append(w.b, v) }
func (w *writer) uint(v uint64) { w.b = binary.AppendUvarint(w.b, v) }
func (w *writer) int(v int64)   { w.b = binary.AppendVarint(w.b, v) }

func (w *writer) bool(v bool) {
	if v {
		w.byte(1)
	} else {
		w.byte(0)
	}
}

func (w *writer) bytes(v []byte) {
	w.uint(uint64(len(v)))
	w.b = append(w.b, v...)
}

// optional keeps nil apart from empty.
func (w *writer) optional(v []byte) {
	if v == nil {
		w.uint(0)
		return
	}
	w.uint(uint64(len(v)) + 1)
	w.b = append(w.b, v...)
}

func (w *writer) string(v string) {
	w.uint(uint64(len(v)))
	w.b = append(w.b, v...)
}

// reader reads what writer wrote. The first thing that is not as it must be ends
// it: from then on it gives zeros, and why says what was wrong.
type reader struct {
	b   []byte
	why string
}

func (r *reader) fail(why string) {
	if r.why == "" {
		r.why = why
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail("it ends too early")
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) bool() bool {
	v := r.byte()
	if v > 1 {
		r.fail("a flag is neither 0 nor 1")
	}
	return v == 1
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("a number is cut off or too long")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("a number is cut off or too long")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// int32 and uint32 refuse what does not fit.
func (r *reader) int32() int32 {
	v := r.int()
	if v < math.MinInt32 || v > math.MaxInt32 {
		r.fail("a number does not fit in 32 bits")
		return 0
	}
	return int32(v)
}

func (r *reader) uint32() uint32 {
	v := r.uint()
	if v > math.MaxUint32 {
		r.fail("a number does not fit in 32 bits")
		return 0
	}
	return uint32(v)
}

// count reads how many things follow, each of sizeMin bytes at least: what does
// not fit in the rest is refused before anything is allocated by it.
func (r *reader) count(sizeMin int) int {
	v := r.uint()
	if v > uint64(len(r.b)/sizeMin) {
		r.fail("a count exceeds what follows")
		return 0
	}
	return int(v)
}

// bytes gives a copy: what a catalog keeps must not hold on to whole commands.
func (r *reader) bytes() []byte {
	n := r.count(1)
	if n == 0 {
		return nil
	}
	v := append([]byte(nil), r.b[:n]...)
	r.b = r.b[n:]
	return v
}

func (r *reader) optional() []byte {
	v := r.uint()
	if v == 0 {
		return nil
	}
	if v-1 > uint64(len(r.b)) {
		r.fail("a length exceeds what follows")
		return nil
	}
	n := int(v - 1)
	out := make([]byte, n)
	copy(out, r.b)
	r.b = r.b[n:]
	return out
}

func (r *reader) string() string {
	n := r.count(1)
	v := string(r.b[:n])
	r.b = r.b[n:]
	return v
}

// end refuses what is left over, and gives the whole as an error.
func (r *reader) end(op string) error {
	if r.why == "" && len(r.b) > 0 {
		r.fail("bytes are left over")
	}
	if r.why == "" {
		return nil
	}
	return &core.Error{Op: op, Kind: core.Invalid, Detail: r.why}
}
