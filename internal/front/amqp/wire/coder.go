package wire

import "encoding/binary"

// coder walks the fields of a method, in one direction or the other, so that each
// method says its layout once. After the first error it reads zeros.
type coder struct {
	b       []byte // what is left to read, or what was written
	writing bool
	bits    uint8 // the octet that bits are taken from or gathered in
	nbits   uint8 // how many of it are used
	err     *Error
}

// flushBits ends a run of bits: the next field begins at an octet of its own.
func (c *coder) flushBits() {
	if c.writing && c.nbits > 0 {
		c.b = append(c.b, c.bits)
	}
	c.bits, c.nbits = 0, 0
}

// take gives the next n bytes, or nil where they are not there.
func (c *coder) take(n int) []byte {
	if c.err != nil || n > len(c.b) {
		if c.err == nil {
			c.err = errorf(FrameError, "a field ends beyond its frame")
		}
		c.b = nil
		return nil
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}

func (c *coder) octet(v *uint8) {
	c.flushBits()
	if c.writing {
		c.b = append(c.b, *v)
	} else if b := c.take(1); b != nil {
		*v = b[0]
	}
}

func (c *coder) short(v *uint16) {
	c.flushBits()
	if c.writing {
		c.b = binary.BigEndian.AppendUint16(c.b, *v)
	} else if b := c.take(2); b != nil {
		*v = binary.BigEndian.Uint16(b)
	}
}

func (c *coder) long(v *uint32) {
	c.flushBits()
	if c.writing {
		c.b = binary.BigEndian.AppendUint32(c.b, *v)
	} else if b := c.take(4); b != nil {
		*v = binary.BigEndian.Uint32(b)
	}
}

func (c *coder) longlong(v *uint64) {
	c.flushBits()
	if c.writing {
		c.b = binary.BigEndian.AppendUint64(c.b, *v)
	} else if b := c.take(8); b != nil {
		*v = binary.BigEndian.Uint64(b)
	}
}

func (c *coder) bit(v *bool) {
	if c.nbits == 8 {
		c.flushBits()
	}
	if c.writing {
		if *v {
			c.bits |= 1 << c.nbits
		}
	} else {
		if c.nbits == 0 {
			if b := c.take(1); b != nil {
				c.bits = b[0]
			}
		}
		*v = c.bits>>c.nbits&1 == 1
	}
	c.nbits++
}

func (c *coder) shortBytes() []byte {
	n := c.take(1)
	if n == nil {
		return nil
	}
	return c.take(int(n[0]))
}

func (c *coder) str(v *string) {
	c.flushBits()
	if c.writing {
		c.b = appendShort(c.b, *v)
	} else {
		*v = string(c.shortBytes())
	}
}

func (c *coder) name(v *[]byte) {
	c.flushBits()
	if c.writing {
		c.b = appendShort(c.b, *v)
	} else {
		*v = c.shortBytes()
	}
}

// appendShort appends a short string; what is too long is cut.
func appendShort[T string | []byte](dst []byte, s T) []byte {
	if len(s) > ShortMax {
		s = s[:ShortMax]
	}
	dst = append(dst, byte(len(s)))
	return append(dst, s...)
}

func (c *coder) longBytes() []byte {
	n := c.take(4)
	if n == nil {
		return nil
	}
	size := binary.BigEndian.Uint32(n)
	if uint64(size) > uint64(len(c.b)) {
		c.take(len(c.b) + 1)
		return nil
	}
	return c.take(int(size))
}

func (c *coder) longstr(v *[]byte) {
	c.flushBits()
	if c.writing {
		c.b = binary.BigEndian.AppendUint32(c.b, uint32(len(*v)))
		c.b = append(c.b, *v...)
	} else {
		*v = c.longBytes()
	}
}

func (c *coder) table(v *Table) {
	c.longstr((*[]byte)(v))
	if !c.writing && c.err == nil {
		if err := v.Check(); err != nil {
			c.err = err
		}
	}
}
