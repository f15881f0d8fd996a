package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
)

// Table is a field table without its length, as it arrived.
type Table []byte

// TableDepthMax is how deep tables and arrays may stand in one another.
const TableDepthMax = 32

// Value is one value of a table or array. Raw is what follows the type: of strings,
// tables and arrays without their length.
type Value struct {
	Type byte
	Raw  []byte
}

// The types of values, as RabbitMQ reads them.
const (
	TypeBool      = 't'
	TypeInt8      = 'b'
	TypeUint8     = 'B'
	TypeInt16     = 's'
	TypeUint16    = 'u'
	TypeInt32     = 'I'
	TypeUint32    = 'i'
	TypeInt64     = 'l'
	TypeInt64Spec = 'L' // the specification's letter for the same
	TypeFloat     = 'f'
	TypeDouble    = 'd'
	TypeDecimal   = 'D'
	TypeString    = 'S'
	TypeBytes     = 'x'
	TypeArray     = 'A'
	TypeTimestamp = 'T'
	TypeTable     = 'F'
	TypeVoid      = 'V'
)

// fixedSize gives the size of a type's values, or -1 where a length stands before
// them, or -2 where the type is unknown.
func fixedSize(typ byte) int {
	switch typ {
	case TypeVoid:
		return 0
	case TypeBool, TypeInt8, TypeUint8:
		return 1
	case TypeInt16, TypeUint16:
		return 2
	case TypeInt32, TypeUint32, TypeFloat:
		return 4
	case TypeDecimal:
		return 5
	case TypeInt64, TypeInt64Spec, TypeDouble, TypeTimestamp:
		return 8
	case TypeString, TypeBytes, TypeArray, TypeTable:
		return -1
	}
	return -2
}

// cutValue takes the value at the start of b.
func cutValue(b []byte) (v Value, rest []byte, ok bool) {
	if len(b) == 0 {
		return v, nil, false
	}
	v.Type, b = b[0], b[1:]
	size := fixedSize(v.Type)
	if size == -1 {
		if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
			return v, nil, false
		}
		size = int(binary.BigEndian.Uint32(b))
		b = b[4:]
	}
	if size < 0 || size > len(b) {
		return v, nil, false
	}
	v.Raw = b[:size:size]
	return v, b[size:], true
}

// cutField takes the name and value at the start of b.
func cutField(b []byte) (name []byte, v Value, rest []byte, ok bool) {
	if len(b) == 0 || int(b[0]) > len(b)-1 {
		return nil, v, nil, false
	}
	name, b = b[1:1+b[0]], b[1+b[0]:]
	v, rest, ok = cutValue(b)
	return name, v, rest, ok
}

// Check says whether the table, and all within it, is well formed.
func (t Table) Check() *Error { return check(t, true, 1) }

func check(b []byte, named bool, depth int) *Error {
	if depth > TableDepthMax {
		return errorf(SyntaxError, "tables stand more than %d deep", TableDepthMax)
	}
	for len(b) > 0 {
		var v Value
		ok := false
		if named {
			_, v, b, ok = cutField(b)
		} else {
			v, b, ok = cutValue(b)
		}
		if !ok {
			return errorf(SyntaxError, "malformed field table")
		}
		if v.Type == TypeTable || v.Type == TypeArray {
			if err := check(v.Raw, v.Type == TypeTable, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// Next takes the first field. ok is false at the end.
func (t Table) Next() (name []byte, v Value, rest Table, ok bool) {
	name, v, r, ok := cutField(t)
	return name, v, r, ok
}

// Get gives the first field of that name.
func (t Table) Get(name string) (Value, bool) {
	for {
		n, v, rest, ok := t.Next()
		if !ok {
			return Value{}, false
		}
		if string(n) == name {
			return v, true
		}
		t = rest
	}
}

// Count counts the fields.
func (t Table) Count() int {
	n := 0
	for {
		_, _, rest, ok := t.Next()
		if !ok {
			return n
		}
		n, t = n+1, rest
	}
}

// Without gives the table without the fields of these names. It is t itself where
// there is none.
func (t Table) Without(names ...string) Table {
	var out Table
	kept, from, at := true, 0, 0
	for rest := t; ; {
		n, _, r, ok := rest.Next()
		if !ok {
			break
		}
		end := len(t) - len(r)
		for _, name := range names {
			if string(n) == name {
				out = append(out, t[from:at]...)
				from, kept = end, false
				break
			}
		}
		at, rest = end, r
	}
	if kept {
		return t
	}
	return append(out, t[from:]...)
}

// Array gives a value's elements, one at a time: next takes the first.
type Array []byte

// Next takes the first element. ok is false at the end.
func (a Array) Next() (v Value, rest Array, ok bool) {
	v, r, ok := cutValue(a)
	return v, r, ok
}

// Text gives a string's bytes.
func (v Value) Text() ([]byte, bool) {
	return v.Raw, v.Type == TypeString || v.Type == TypeBytes
}

// Array gives an array's elements.
func (v Value) Array() (Array, bool) { return v.Raw, v.Type == TypeArray }

// Table gives a table.
func (v Value) Table() (Table, bool) { return v.Raw, v.Type == TypeTable }

// Bool gives a truth value.
func (v Value) Bool() (value, ok bool) {
	return v.Type == TypeBool && v.Raw[0] != 0, v.Type == TypeBool
}

// Int gives an integer of any size.
func (v Value) Int() (int64, bool) {
	switch v.Type {
	case TypeInt8:
		return int64(int8(v.Raw[0])), true
	case TypeUint8:
		return int64(v.Raw[0]), true
	case TypeInt16:
		return int64(int16(binary.BigEndian.Uint16(v.Raw))), true
	case TypeUint16:
		return int64(binary.BigEndian.Uint16(v.Raw)), true
	case TypeInt32:
		return int64(int32(binary.BigEndian.Uint32(v.Raw))), true
	case TypeUint32:
		return int64(binary.BigEndian.Uint32(v.Raw)), true
	case TypeInt64, TypeInt64Spec:
		return int64(binary.BigEndian.Uint64(v.Raw)), true
	}
	return 0, false
}

// TypeName gives the type's name as RabbitMQ's replies have it.
func (v Value) TypeName() string {
	switch v.Type {
	case TypeBool:
		return "bool"
	case TypeInt8:
		return "byte"
	case TypeUint8:
		return "unsignedbyte"
	case TypeInt16:
		return "short"
	case TypeUint16:
		return "unsignedshort"
	case TypeInt32:
		return "signedint"
	case TypeUint32:
		return "unsignedint"
	case TypeInt64, TypeInt64Spec:
		return "long"
	case TypeFloat:
		return "float"
	case TypeDouble:
		return "double"
	case TypeDecimal:
		return "decimal"
	case TypeString:
		return "longstr"
	case TypeBytes:
		return "binary"
	case TypeArray:
		return "array"
	case TypeTimestamp:
		return "timestamp"
	case TypeTable:
		return "table"
	}
	return "void"
}

// String gives the value as RabbitMQ's replies show it.
func (v Value) String() string {
	if n, ok := v.Int(); ok {
		return strconv.FormatInt(n, 10)
	}
	switch v.Type {
	case TypeBool:
		return strconv.FormatBool(v.Raw[0] != 0)
	case TypeTimestamp:
		return strconv.FormatUint(binary.BigEndian.Uint64(v.Raw), 10)
	case TypeDouble:
		f := math.Float64frombits(binary.BigEndian.Uint64(v.Raw))
		return strconv.FormatFloat(f, 'g', -1, 64)
	case TypeFloat:
		f := math.Float32frombits(binary.BigEndian.Uint32(v.Raw))
		return strconv.FormatFloat(float64(f), 'g', -1, 32)
	case TypeDecimal:
		return fmt.Sprintf("%de-%d", binary.BigEndian.Uint32(v.Raw[1:]), v.Raw[0])
	case TypeString, TypeBytes:
		return string(v.Raw)
	}
	return v.TypeName()
}
