package wire

import (
	"encoding/binary"
	"fmt"
)

// Form says how a header is written.
type Form uint8

// The forms of a header.
const (
	JSON   Form = 0
	Binary Form = 1
)

// FrameBytesMax is the greatest length that a frame may declare.
const FrameBytesMax = 16 << 20

// FrameBytesMin is the least number of bytes by which FrameSize can judge.
const FrameBytesMin = 8

// FrameSize gives the size of the frame at the start of b, its length included, or
// 0 where b does not show it yet. It refuses impossible lengths as soon as they
// are seen, before anything is allocated by them.
func FrameSize(b []byte) (int, error) {
	if len(b) < 4 {
		return 0, nil
	}
	n := int64(int32(binary.BigEndian.Uint32(b)))
	if n < 4 || n > FrameBytesMax {
		return 0, fmt.Errorf("read frame: its length %d is not between 4 and %d", n, FrameBytesMax)
	}
	if len(b) >= 8 {
		word := binary.BigEndian.Uint32(b[4:])
		if form := word >> 24; form > uint32(Binary) {
			return 0, fmt.Errorf("read frame: header form %d is unknown", form)
		}
		if h := int64(word & 0xFFFFFF); h > n-4 {
			return 0, fmt.Errorf("read frame: header length %d exceeds the frame's %d", h, n)
		}
	}
	return int(n) + 4, nil
}

// Field is one named parameter of a header.
type Field struct{ Key, Value []byte }

// Command is one request or answer. Its byte slices alias the parsed frame, or
// the Command's own memory where JSON had escapes: both end with the next Parse.
type Command struct {
	Form     Form
	Code     int
	Language uint8 // 255: none that is known here
	Version  int
	Opaque   int32
	Flag     int32
	Remark   []byte
	Fields   []Field
	Body     []byte

	unescaped []byte
}

// IsAnswer says whether the command answers an earlier one.
func (c *Command) IsAnswer() bool { return c.Flag&FlagResponse != 0 }

// IsOneway says whether the command wants no answer.
func (c *Command) IsOneway() bool { return c.Flag&FlagOneway != 0 }

// Parse reads one whole frame, as FrameSize cut it.
func (c *Command) Parse(frame []byte) error {
	n, err := FrameSize(frame)
	if err != nil {
		return err
	}
	if n != len(frame) || n < 8 {
		return fmt.Errorf("read frame: %d bytes of %d", len(frame), n)
	}
	word := binary.BigEndian.Uint32(frame[4:])
	headerEnd := 8 + int(word&0xFFFFFF)
	header := frame[8:headerEnd]
	*c = Command{Form: Form(word >> 24), Body: frame[headerEnd:], Fields: c.Fields[:0],
		unescaped: c.unescaped[:0]}
	if c.Form == Binary {
		return c.parseBinary(header)
	}
	return c.parseJSON(header)
}

func (c *Command) parseBinary(h []byte) error {
	if len(h) < 21 {
		return fmt.Errorf("read binary header: %d bytes are too few", len(h))
	}
	c.Code = binaryCode(int16(binary.BigEndian.Uint16(h)))
	c.Language = h[2]
	c.Version = int(int16(binary.BigEndian.Uint16(h[3:])))
	c.Opaque = int32(binary.BigEndian.Uint32(h[5:]))
	c.Flag = int32(binary.BigEndian.Uint32(h[9:]))
	var ok bool
	if c.Remark, h, ok = cut32(h[13:]); !ok {
		return fmt.Errorf("read binary header: the remark exceeds it")
	}
	ext, _, ok := cut32(h)
	if !ok {
		return fmt.Errorf("read binary header: the fields exceed it")
	}
	for len(ext) > 0 {
		var f Field
		if len(ext) < 2 {
			return fmt.Errorf("read binary header: a field's key is cut off")
		}
		n := int(int16(binary.BigEndian.Uint16(ext)))
		if n < 0 || n > len(ext)-2 {
			return fmt.Errorf("read binary header: a field's key of %d bytes exceeds it", n)
		}
		f.Key = ext[2 : 2+n]
		if f.Value, ext, ok = cut32(ext[2+n:]); !ok {
			return fmt.Errorf("read binary header: the value of %q exceeds it", f.Key)
		}
		c.Fields = append(c.Fields, f)
	}
	return nil
}

// binaryCode maps back what the 16 bits of a binary header made of the codes
// around 200050.
func binaryCode(code int16) int {
	const truncated = 200050 - 1<<16*3
	if code >= truncated && code <= truncated+6 || code == truncated+101 {
		return int(code) + 1<<16*3
	}
	return int(code)
}

// cut32 cuts off bytes with an int32 length before them.
func cut32(b []byte) (field, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, b, false
	}
	n := int64(int32(binary.BigEndian.Uint32(b)))
	if n < 0 || n > int64(len(b)-4) {
		return nil, b, false
	}
	return b[4 : 4+n], b[4+n:], true
}

// Get gives a field's value, nil where it is not there.
func (c *Command) Get(key string) []byte {
	for i := range c.Fields {
		if string(c.Fields[i].Key) == key {
			return c.Fields[i].Value
		}
	}
	return nil
}

// Str gives a field's value as a string of its own, "" where it is not there.
func (c *Command) Str(key string) string { return string(c.Get(key)) }

// Int gives a field's value as a decimal, def where it is not there or is none.
func (c *Command) Int(key string, def int64) int64 {
	if v, ok := ParseInt(c.Get(key)); ok {
		return v
	}
	return def
}

// Bool says whether a field's value is "true".
func (c *Command) Bool(key string) bool { return string(c.Get(key)) == "true" }

// ParseInt reads a decimal of at most 64 bits.
func ParseInt(b []byte) (int64, bool) {
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	var v uint64
	for _, d := range b {
		if d < '0' || d > '9' {
			return 0, false
		}
		v = v*10 + uint64(d-'0')
	}
	if neg {
		return -int64(v), v <= 1<<63
	}
	return int64(v), v < 1<<63
}
