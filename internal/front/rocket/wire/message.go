package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// The magic numbers of stored messages.
const (
	MagicV1 = 0xDAA320A7 // the topic's length is one byte
	MagicV2 = 0xDAA320AB // or two
)

// Bounds of what a message may be.
const (
	TopicBytesMax = 127       // as created by users; retry topics are longer
	GroupBytesMax = 120       //
	BodyBytesMax  = 4 << 20   //
	PropsBytesMax = 1<<15 - 1 // two signed bytes
)

// Host is an address of 4 or 16 bytes and a port.
type Host struct {
	IP   [16]byte
	V6   bool // else the first 4 bytes count
	Port int32
}

func (h *Host) bytes() []byte {
	if h.V6 {
		return h.IP[:]
	}
	return h.IP[:4]
}

// Message is one stored message. Its slices alias what it was parsed from.
type Message struct {
	Queue       int32
	Flag        int32
	QueueOffset int64
	Physical    int64 // where it is, for its broker: see PhysicalOf
	SysFlag     int32 // the two bits for hosts are set from Born and Store
	BornMs      int64
	Born        Host
	StoreMs     int64
	Store       Host
	Reconsumed  int32
	Prepared    int64
	Body        []byte
	Topic       []byte
	Props       []byte
}

// MessageFixedBytes is the size of a message with IPv4 hosts and nothing in it.
const MessageFixedBytes = 91

// AppendMessage appends m as it is stored.
func AppendMessage(dst []byte, m *Message) []byte {
	start := len(dst)
	be := binary.BigEndian
	magic, sys := uint32(MagicV1), m.SysFlag&^(SysBornV6|SysStoreV6)
	if len(m.Topic) > TopicBytesMax {
		magic = MagicV2
	}
	if m.Born.V6 {
		sys |= SysBornV6
	}
	if m.Store.V6 {
		sys |= SysStoreV6
	}
	dst = append(dst, 0, 0, 0, 0)
	dst = be.AppendUint32(dst, magic)
	dst = be.AppendUint32(dst, crc32.ChecksumIEEE(m.Body)&0x7FFFFFFF)
	dst = be.AppendUint32(dst, uint32(m.Queue))
	dst = be.AppendUint32(dst, uint32(m.Flag))
	dst = be.AppendUint64(dst, uint64(m.QueueOffset))
	dst = be.AppendUint64(dst, uint64(m.Physical))
	dst = be.AppendUint32(dst, uint32(sys))
	dst = be.AppendUint64(dst, uint64(m.BornMs))
	dst = append(dst, m.Born.bytes()...)
	dst = be.AppendUint32(dst, uint32(m.Born.Port))
	dst = be.AppendUint64(dst, uint64(m.StoreMs))
	dst = append(dst, m.Store.bytes()...)
	dst = be.AppendUint32(dst, uint32(m.Store.Port))
	dst = be.AppendUint32(dst, uint32(m.Reconsumed))
	dst = be.AppendUint64(dst, uint64(m.Prepared))
	dst = be.AppendUint32(dst, uint32(len(m.Body)))
	dst = append(dst, m.Body...)
	if magic == MagicV1 {
		dst = append(dst, byte(len(m.Topic)))
	} else {
		dst = be.AppendUint16(dst, uint16(len(m.Topic)))
	}
	dst = append(dst, m.Topic...)
	props := m.Props
	if len(props) > PropsBytesMax {
		props = nil
	}
	dst = be.AppendUint16(dst, uint16(len(props)))
	dst = append(dst, props...)
	be.PutUint32(dst[start:], uint32(len(dst)-start))
	return dst
}

// ParseMessage reads the message at the start of b and gives its size.
func ParseMessage(b []byte) (m Message, size int, err error) {
	r := reader{b: b}
	size = int(int32(r.u32()))
	if r.short || size < MessageFixedBytes || size > len(b) {
		return m, 0, fmt.Errorf("read message: length %d of %d bytes", size, len(b))
	}
	r.b = b[:size]
	magic := r.u32()
	if magic != MagicV1 && magic != MagicV2 {
		return m, 0, fmt.Errorf("read message: magic %#x", magic)
	}
	crc := r.u32()
	m.Queue, m.Flag = int32(r.u32()), int32(r.u32())
	m.QueueOffset, m.Physical = int64(r.u64()), int64(r.u64())
	m.SysFlag = int32(r.u32())
	m.BornMs, m.Born = int64(r.u64()), r.host(m.SysFlag&SysBornV6 != 0)
	m.StoreMs, m.Store = int64(r.u64()), r.host(m.SysFlag&SysStoreV6 != 0)
	m.Reconsumed, m.Prepared = int32(r.u32()), int64(r.u64())
	m.Body = r.take(int(int32(r.u32())))
	topicLen := 0
	if magic == MagicV1 {
		topicLen = int(r.take(1)[0])
	} else {
		topicLen = int(r.u16())
	}
	m.Topic = r.take(topicLen)
	m.Props = r.take(int(r.u16()))
	switch {
	case r.short || r.at != size:
		err = fmt.Errorf("read message: its parts do not add up to %d bytes", size)
	case crc != crc32.ChecksumIEEE(m.Body)&0x7FFFFFFF:
		err = fmt.Errorf("read message: the body's CRC is not %#x", crc)
	}
	return m, size, err
}

// reader takes fields off b; past its end it gives zeros and remembers.
type reader struct {
	b     []byte
	at    int
	short bool
}

var zeros [16]byte

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b)-r.at {
		r.short = true
		return zeros[:min(max(n, 1), len(zeros))]
	}
	r.at += n
	return r.b[r.at-n : r.at]
}

func (r *reader) fixed(n int) []byte {
	if n > len(r.b)-r.at {
		r.short = true
		return zeros[:n]
	}
	r.at += n
	return r.b[r.at-n : r.at]
}

func (r *reader) u16() uint16 { return binary.BigEndian.Uint16(r.fixed(2)) }
func (r *reader) u32() uint32 { return binary.BigEndian.Uint32(r.fixed(4)) }
func (r *reader) u64() uint64 { return binary.BigEndian.Uint64(r.fixed(8)) }

func (r *reader) host(v6 bool) (h Host) {
	n := 4
	if v6 {
		n = 16
	}
	h.V6 = v6
	copy(h.IP[:], r.fixed(n))
	h.Port = int32(r.u32())
	return h
}

// EachInBatch calls fn for every message in the body of a batch send, until fn
// gives an error.
func EachInBatch(body []byte, fn func(flag int32, body, props []byte) error) error {
	for len(body) > 0 {
		r := reader{b: body}
		size := int(int32(r.u32()))
		if r.short || size < 22 || size > len(body) {
			return fmt.Errorf("read batch: a message of %d bytes in the last %d", size, len(body))
		}
		r.b = body[:size]
		r.u64() // magic and CRC, which senders leave at 0
		flag := int32(r.u32())
		content := r.take(int(int32(r.u32())))
		props := r.take(int(r.u16()))
		if r.short || r.at != size {
			return fmt.Errorf("read batch: the parts of a message do not add up to %d bytes", size)
		}
		if err := fn(flag, content, props); err != nil {
			return err
		}
		body = body[size:]
	}
	return nil
}
