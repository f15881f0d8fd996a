package wire

import (
	"bytes"
	"unicode/utf8"
)

// What separates keys from values and properties from each other.
const (
	propNameEnd = 0x01
	propEnd     = 0x02
)

// EachProp calls fn for every property until it gives false. What has no name or
// no separator is passed over.
func EachProp(props []byte, fn func(key, value []byte) bool) {
	for len(props) > 0 {
		var one []byte
		one, props, _ = bytes.Cut(props, []byte{propEnd})
		key, value, ok := bytes.Cut(one, []byte{propNameEnd})
		if ok && len(key) > 0 && !fn(key, value) {
			return
		}
	}
}

// Prop gives the first property of that name, nil where there is none.
func Prop(props []byte, name string) []byte {
	for at := 0; at < len(props); {
		end := bytes.IndexByte(props[at:], propEnd)
		if end < 0 {
			end = len(props) - at
		}
		one := props[at : at+end]
		if len(one) > len(name) && one[len(name)] == propNameEnd && string(one[:len(name)]) == name {
			return one[len(name)+1:]
		}
		at += end + 1
	}
	return nil
}

// AppendProp appends a property. It must not be one of props already.
func AppendProp[V []byte | string](props []byte, name string, value V) []byte {
	if len(props) > 0 && props[len(props)-1] != propEnd {
		props = append(props, propEnd)
	}
	props = append(props, name...)
	props = append(props, propNameEnd)
	props = append(props, value...)
	return append(props, propEnd)
}

// WithoutProps appends to dst the properties of props but for those named.
func WithoutProps(dst, props []byte, names ...string) []byte {
	EachProp(props, func(key, value []byte) bool {
		for _, n := range names {
			if string(key) == n {
				return true
			}
		}
		dst = append(dst, key...)
		dst = append(dst, propNameEnd)
		dst = append(dst, value...)
		dst = append(dst, propEnd)
		return true
	})
	return dst
}

// PropSafe says whether s can stand in a property: UTF-8 without the separators.
func PropSafe(s []byte) bool {
	return utf8.Valid(s) && bytes.IndexByte(s, propNameEnd) < 0 && bytes.IndexByte(s, propEnd) < 0
}

// TagHash is how brokers and clients hash a tag: Java's String.hashCode, over
// UTF-16.
func TagHash(tag []byte) int32 {
	var h int32
	for i := 0; i < len(tag); {
		if c := tag[i]; c < utf8.RuneSelf {
			h = 31*h + int32(c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(tag[i:])
		if r >= 0x10000 {
			h = 31*h + 0xD800 + (r-0x10000)>>10
			h = 31*h + 0xDC00 + (r-0x10000)&0x3FF
		} else {
			h = 31*h + r
		}
		i += n
	}
	return h
}
