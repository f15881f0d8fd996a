package kafka

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kbin"
)

// reader reads the fields of a request in the form of its version: lengths of
// four bytes, or in flexible versions unsigned varints that are one greater.
type reader struct {
	kbin.Reader
	flexible bool
}

// count reads an array's length; it is at most the bytes that are left.
func (r *reader) count() int {
	if r.flexible {
		return max(0, int(r.CompactArrayLen()))
	}
	return max(0, int(r.ArrayLen()))
}

// name reads a string without copying it: it lives as long as the frame.
func (r *reader) name() string {
	if r.flexible {
		return r.UnsafeCompactString()
	}
	return r.UnsafeString()
}

func (r *reader) nullableName() *string {
	if r.flexible {
		return r.UnsafeCompactNullableString()
	}
	return r.UnsafeNullableString()
}

// records reads nullable bytes, which alias the frame.
func (r *reader) records() []byte {
	if r.flexible {
		return r.CompactNullableBytes()
	}
	return r.NullableBytes()
}

// tags reads tagged fields, and gives each to see, if that is not nil.
func (r *reader) tags(see func(tag uint32, value []byte)) {
	if !r.flexible {
		return
	}
	for n := r.Uvarint(); n > 0 && r.Ok(); n-- {
		tag, size := r.Uvarint(), r.Uvarint()
		value := r.Span(int(size))
		if see != nil && r.Ok() {
			see(tag, value)
		}
	}
}

// writer appends the fields of an answer in the form of its version.
type writer struct {
	b        []byte
	flexible bool
}

func (w *writer) int8(v int8)   { w.b = append(w.b, byte(v)) }
func (w *writer) int16(v int16) { w.b = binary.BigEndian.AppendUint16(w.b, uint16(v)) }
func (w *writer) int32(v int32) { w.b = binary.BigEndian.AppendUint32(w.b, uint32(v)) }
func (w *writer) int64(v int64) { w.b = binary.BigEndian.AppendUint64(w.b, uint64(v)) }

func (w *writer) uvarint(v int) { w.b = binary.AppendUvarint(w.b, uint64(v)) }

func (w *writer) count(n int) {
	if w.flexible {
		w.uvarint(n + 1)
		return
	}
	w.int32(int32(n))
}

func (w *writer) str(s string) {
	if w.flexible {
		w.uvarint(len(s) + 1)
	} else {
		w.int16(int16(len(s)))
	}
	w.b = append(w.b, s...)
}

func (w *writer) null() {
	if w.flexible {
		w.uvarint(0)
		return
	}
	w.int16(-1)
}

// tags ends a struct that has no tagged fields.
func (w *writer) tags() {
	if w.flexible {
		w.b = append(w.b, 0)
	}
}
