package link

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	errShort = errors.New("it ends too early")
	errRange = errors.New("a number is out of its range")
)

// coder walks over the fields of a message in one fixed order and either writes
// them or sets them, so that one description of each type serves both ways. After
// an error it goes on with nothing left to read: the walk ends by itself.
type coder struct {
	b    []byte // writing: what was written; reading: what is left
	read bool
	err  error
}

func (c *coder) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.b = nil
}

func (c *coder) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	switch {
	case n == 0:
		c.fail(errShort)
		return 0
	case n < 0:
		c.fail(errRange)
		return 0
	}
	c.b = c.b[n:]
	return v
}

// uns is an unsigned number of any size.
func uns[T ~uint8 | ~uint32 | ~uint64](c *coder, p *T) {
	if !c.read {
		c.b = binary.AppendUvarint(c.b, uint64(*p))
		return
	}
	v := c.uvarint()
	if uint64(T(v)) != v {
		c.fail(errRange)
		return
	}
	*p = T(v)
}

// sig is a number that may be negative.
func sig[T ~int | ~int32 | ~int64](c *coder, p *T) {
	if !c.read {
		c.b = binary.AppendVarint(c.b, int64(*p))
		return
	}
	u := c.uvarint()
	v := int64(u>>1) ^ -int64(u&1)
	if int64(T(v)) != v {
		c.fail(errRange)
		return
	}
	*p = T(v)
}

// name is a random name: varints would make it longer.
func name[T ~uint64](c *coder, p *T) {
	if !c.read {
		c.b = binary.BigEndian.AppendUint64(c.b, uint64(*p))
		return
	}
	if len(c.b) < 8 {
		c.fail(errShort)
		return
	}
	*p = T(binary.BigEndian.Uint64(c.b))
	c.b = c.b[8:]
}

// enum is a value from lowest to highest.
func enum[T ~uint8](c *coder, p *T, lowest, highest T) {
	if !c.read {
		c.b = append(c.b, byte(*p))
		return
	}
	if len(c.b) == 0 {
		c.fail(errShort)
		return
	}
	if v := T(c.b[0]); v < lowest || v > highest {
		c.fail(errRange)
		return
	}
	*p = T(c.b[0])
	c.b = c.b[1:]
}

func (c *coder) octet(p *uint8) { enum(c, p, 0, 255) }

func (c *coder) flag(p *bool) {
	var v uint8
	if *p {
		v = 1
	}
	enum(c, &v, 0, 1)
	if c.read { // what is written may be shared
		*p = v == 1
	}
}

// bytes aliases what is read.
func (c *coder) bytes(p *[]byte) {
	if !c.read {
		if *p == nil {
			c.b = append(c.b, 0)
			return
		}
		c.b = binary.AppendUvarint(c.b, uint64(len(*p))+1)
		c.b = append(c.b, *p...)
		return
	}
	n := c.uvarint()
	switch {
	case c.err != nil || n == 0:
		return
	case n-1 > uint64(len(c.b)):
		c.fail(errShort)
		return
	}
	n--
	*p = c.b[:n:n]
	c.b = c.b[n:]
}

func (c *coder) text(p *string) {
	if !c.read {
		c.b = binary.AppendUvarint(c.b, uint64(len(*p)))
		c.b = append(c.b, *p...)
		return
	}
	n := c.uvarint()
	if n > uint64(len(c.b)) {
		c.fail(errShort)
		return
	}
	*p = string(c.b[:n])
	c.b = c.b[n:]
}

// list is elements of one type, each at least sizeMin bytes long, which bounds
// what a count may allocate.
func list[T any](c *coder, p *[]T, sizeMin int, each func(*coder, *T)) {
	if !c.read {
		c.b = binary.AppendUvarint(c.b, uint64(len(*p)))
		for i := range *p {
			each(c, &(*p)[i])
		}
		return
	}
	n := c.uvarint()
	if n > uint64(len(c.b)/sizeMin) {
		c.fail(errShort)
		return
	}
	if n == 0 {
		return
	}
	s := make([]T, n)
	for i := range s {
		each(c, &s[i])
		if c.err != nil {
			return
		}
	}
	*p = s
}

// opt is a value that may be absent.
func opt[T any](c *coder, p **T, each func(*coder, *T)) {
	there := *p != nil
	c.flag(&there)
	if !there || c.err != nil {
		return
	}
	if c.read {
		*p = new(T)
	}
	each(c, *p)
}

// end checks that everything was read.
func (c *coder) end() error {
	if c.err == nil && len(c.b) > 0 {
		return fmt.Errorf("%d bytes follow its end", len(c.b))
	}
	return c.err
}
