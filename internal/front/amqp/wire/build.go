package wire

import (
	"encoding/binary"
	"math"
)

// Put appends a field with any value.
func (t Table) Put(name string, v Value) Table { return appendValue(t.name(name), v) }

func (t Table) name(name string) Table { return appendShort(t, name) }

func appendValue(dst []byte, v Value) []byte {
	dst = append(dst, v.Type)
	if fixedSize(v.Type) == -1 {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(v.Raw)))
	}
	return append(dst, v.Raw...)
}

// PutString, PutInt and the like append a field.
func (t Table) PutString(name, s string) Table {
	return t.Put(name, Value{TypeString, []byte(s)})
}

// PutInt appends a 64-bit integer.
func (t Table) PutInt(name string, n int64) Table {
	return t.Put(name, Value{TypeInt64, binary.BigEndian.AppendUint64(nil, uint64(n))})
}

// PutInt32 appends a 32-bit integer.
func (t Table) PutInt32(name string, n int32) Table {
	return t.Put(name, Value{TypeInt32, binary.BigEndian.AppendUint32(nil, uint32(n))})
}

// PutDouble adds a field of 64 bits of a fraction.
func (t Table) PutDouble(name string, f float64) Table {
	return t.Put(name, Value{TypeDouble, binary.BigEndian.AppendUint64(nil, math.Float64bits(f))})
}

// PutBool appends a truth value.
func (t Table) PutBool(name string, b bool) Table {
	raw := []byte{0}
	if b {
		raw[0] = 1
	}
	return t.Put(name, Value{TypeBool, raw})
}

// PutTime appends a timestamp, in seconds since 1970.
func (t Table) PutTime(name string, s int64) Table {
	return t.Put(name, Value{TypeTimestamp, binary.BigEndian.AppendUint64(nil, uint64(s))})
}

// PutTable appends a table.
func (t Table) PutTable(name string, sub Table) Table {
	return t.Put(name, Value{TypeTable, sub})
}

// PutArray appends an array.
func (t Table) PutArray(name string, a Array) Table {
	return t.Put(name, Value{TypeArray, a})
}

// Put appends an element.
func (a Array) Put(v Value) Array { return appendValue(a, v) }

// PutString appends a string.
func (a Array) PutString(s string) Array { return a.Put(Value{TypeString, []byte(s)}) }

// PutTable appends a table.
func (a Array) PutTable(t Table) Array { return a.Put(Value{TypeTable, t}) }
