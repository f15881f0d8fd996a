package wire

import "encoding/binary"

// Publish is basic.publish, read without allocating; its bytes alias the frame.
type Publish struct {
	Exchange, RoutingKey []byte
	Mandatory, Immediate bool
}

// Read reads the payload of a method frame that bears IDBasicPublish.
func (p *Publish) Read(payload []byte) *Error {
	c := coder{b: payload[4:]}
	c.take(2)
	p.Exchange = c.shortBytes()
	p.RoutingKey = c.shortBytes()
	bits := c.take(1)
	if c.err != nil {
		c.err.ID = IDBasicPublish
		return c.err
	}
	p.Mandatory, p.Immediate = bits[0]&1 != 0, bits[0]&2 != 0
	return nil
}

// Settlement is basic.ack, nack or reject, read without allocating.
type Settlement struct {
	ID                ID
	Tag               uint64
	Multiple, Requeue bool
}

// Read reads the payload of a method frame that bears one of the three.
func (s *Settlement) Read(payload []byte) *Error {
	s.ID = PeekID(payload)
	if len(payload) < 13 {
		return &Error{Code: FrameError, ID: s.ID, Text: "a field ends beyond its frame"}
	}
	s.Tag = binary.BigEndian.Uint64(payload[4:])
	bits := payload[12]
	switch s.ID {
	case IDBasicAck:
		s.Multiple, s.Requeue = bits&1 != 0, false
	case IDBasicReject:
		s.Multiple, s.Requeue = false, bits&1 != 0
	default:
		s.Multiple, s.Requeue = bits&1 != 0, bits&2 != 0
	}
	return nil
}

// AppendDeliver appends basic.deliver as a frame.
func AppendDeliver[S string | []byte](dst []byte, channel uint16, tag string, delivery uint64,
	again bool, exchange, key S) []byte {
	dst, at := begin(dst, FrameMethod, channel)
	dst = binary.BigEndian.AppendUint32(dst, uint32(IDBasicDeliver))
	dst = appendShort(dst, tag)
	dst = binary.BigEndian.AppendUint64(dst, delivery)
	dst = append(dst, bitOf(again))
	dst = appendShort(dst, exchange)
	dst = appendShort(dst, key)
	return finish(dst, at)
}

func bitOf(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// AppendConfirm appends basic.ack or, where nack, basic.nack as a frame.
func AppendConfirm(dst []byte, channel uint16, tag uint64, multiple, nack bool) []byte {
	id := IDBasicAck
	if nack {
		id = IDBasicNack
	}
	dst = appendFrameHead(dst, FrameMethod, channel, 13)
	dst = binary.BigEndian.AppendUint32(dst, uint32(id))
	dst = binary.BigEndian.AppendUint64(dst, tag)
	return append(dst, bitOf(multiple), FrameEnd)
}

// AppendHeader appends a content header as a frame.
func AppendHeader(dst []byte, channel uint16, bodySize int, p Properties) []byte {
	dst = appendFrameHead(dst, FrameHeader, channel, 12+len(p))
	dst = binary.BigEndian.AppendUint32(dst, uint32(IDBasicPublish.Class())<<16)
	dst = binary.BigEndian.AppendUint64(dst, uint64(bodySize))
	dst = append(dst, p...)
	return append(dst, FrameEnd)
}

// AppendBodyHead begins a body frame of size bytes; after them FrameEnd follows.
func AppendBodyHead(dst []byte, channel uint16, size int) []byte {
	return appendFrameHead(dst, FrameBody, channel, size)
}

// AppendContent appends header and body frames, none larger than frameMax.
func AppendContent(dst []byte, channel uint16, p Properties, body []byte, frameMax int) []byte {
	dst = AppendHeader(dst, channel, len(body), p)
	for part := frameMax - FrameOverhead; len(body) > 0; {
		n := min(part, len(body))
		dst = AppendFrame(dst, FrameBody, channel, body[:n])
		body = body[n:]
	}
	return dst
}
