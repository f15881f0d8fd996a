package rocket

import (
	"encoding/binary"
	"encoding/hex"
	"unicode/utf8"

	"trine/internal/core"
	"trine/internal/front/rocket/topology"
	"trine/internal/front/rocket/wire"
)

// A message is a record: body is its value, KEYS its key, the time it was stored
// its stamp. All else stands in one header, bodyHeader:
//
//	uint8 version 1
//	varint flag  uvarint system flag  varint born ms  uvarint reconsumed
//	varint prepared offset  uint8 0, 4 or 16, address of the sender  uvarint its port
//	properties as received, to the end
//
// Records that others wrote have no such header: their key is KEYS and their text
// headers are properties.
const bodyHeader = "rocket"

const bodyVersion = 1

// bodyFixedMax bounds what stands before the properties.
const bodyFixedMax = 1 + 5*binary.MaxVarintLen64 + 17 + binary.MaxVarintLen64

// content is what a message consists of apart from its place.
type content struct {
	flag       int32
	sysFlag    int32
	bornMs     int64
	born       wire.Host
	reconsumed int32
	prepared   int64
	body       []byte
	props      []byte
}

func (m *content) prop(name string) []byte { return wire.Prop(m.props, name) }

// slab hands out pieces of chunks, so that a turn's messages share allocations.
type slab struct{ free []byte }

func (s *slab) take(n int) []byte {
	if n > len(s.free) {
		s.free = make([]byte, n)
	}
	b := s.free[:0:n]
	s.free = s.free[n:]
	return b
}

// reserve makes the next chunk hold n bytes more than usual.
func (s *slab) reserve(n int) {
	if n > len(s.free) {
		s.free = make([]byte, n)
	}
}

// unit is the memory of one record with its header.
type unit struct {
	record [1]core.Record
	header [1]core.Header
}

// record makes one record of m. It copies all that m aliases into s.
func (m *content) record(s *slab) []core.Record {
	u := &unit{}
	b := s.take(bodyFixedMax + len(m.props))
	b = append(b, bodyVersion)
	b = binary.AppendVarint(b, int64(m.flag))
	b = binary.AppendUvarint(b, uint64(uint32(m.sysFlag)))
	b = binary.AppendVarint(b, m.bornMs)
	b = binary.AppendUvarint(b, uint64(uint32(m.reconsumed)))
	b = binary.AppendVarint(b, m.prepared)
	switch {
	case m.born == wire.Host{}:
		b = append(b, 0)
	case m.born.V6:
		b = append(append(b, 16), m.born.IP[:]...)
	default:
		b = append(append(b, 4), m.born.IP[:4]...)
	}
	b = binary.AppendUvarint(b, uint64(uint32(m.born.Port)))
	at := len(b)
	b = append(b, m.props...)
	r := &u.record[0]
	r.Stamp = -1
	if keys := wire.Prop(b[at:], wire.PropKeys); len(keys) > 0 {
		r.Key = keys[:len(keys):len(keys)]
	}
	r.Value = append(s.take(len(m.body)), m.body...)
	u.header[0] = core.Header{Key: bodyHeader, Value: b}
	r.Headers = u.header[:]
	return u.record[:]
}

// read takes a record apart. It is total: what another protocol wrote becomes a
// message too, with scratch as memory for its properties, which is given back.
func (m *content) read(r *core.Record, scratch []byte) []byte {
	*m = content{body: r.Value, bornMs: int64(r.Stamp)}
	for i := range r.Headers {
		if r.Headers[i].Key == bodyHeader && m.readHeader(r.Headers[i].Value) {
			return scratch
		}
	}
	*m = content{body: r.Value, bornMs: int64(r.Stamp)}
	return m.readForeign(r, scratch)
}

func (m *content) readHeader(b []byte) bool {
	if len(b) == 0 || b[0] != bodyVersion {
		return false
	}
	ok := true
	signed := func() int64 { v, n := binary.Varint(b); ok = ok && n > 0; b = b[max(n, 0):]; return v }
	unsigned := func() uint64 {
		v, n := binary.Uvarint(b)
		ok = ok && n > 0
		b = b[max(n,
			0):]
		return v
	}
	b = b[1:]
	m.flag = int32(signed())
	m.sysFlag = int32(uint32(unsigned()))
	m.bornMs = signed()
	m.reconsumed = int32(uint32(unsigned()))
	m.prepared = signed()
	if !ok || len(b) == 0 {
		return false
	}
	n := int(b[0])
	if n != 0 && n != 4 && n != 16 || n >= len(b) {
		return false
	}
	copy(m.born.IP[:n], b[1:])
	m.born.V6 = n == 16
	b = b[1+n:]
	m.born.Port = int32(uint32(unsigned()))
	m.props = b
	return ok
}

// readForeign makes properties of a record's key and headers: text as it is, the
// last of a name wins, and other bytes in hexadecimal.
func (m *content) readForeign(r *core.Record, scratch []byte) []byte {
	from := len(scratch)
	add := func(name string, v []byte) {
		if name == "" || !wire.PropSafe([]byte(name)) {
			return
		}
		grown := scratch
		if wire.PropSafe(v) {
			grown = wire.AppendProp(grown, name, v)
		} else {
			grown = wire.AppendProp(grown, name, hex.EncodeToString(v))
		}
		if len(grown)-from <= wire.PropsBytesMax {
			scratch = grown
		}
	}
	if len(r.Key) > 0 {
		add(wire.PropKeys, r.Key)
	}
	for i := range r.Headers {
		h := &r.Headers[i]
		last := h.Key != bodyHeader && h.Key != wire.PropKeys && utf8.ValidString(h.Key)
		for j := i + 1; j < len(r.Headers) && last; j++ {
			last = r.Headers[j].Key != h.Key
		}
		if last {
			add(h.Key, h.Value)
		}
	}
	m.props = scratch[from:]
	return scratch
}

// stored makes m a message at its place.
func (m *content) stored(q *topology.Queue, offset core.Offset, stamp core.Stamp,
	store wire.Host) wire.Message {
	return wire.Message{Queue: int32(q.ID), Flag: m.flag, QueueOffset: int64(offset),
		Physical: wire.PhysicalOf(q.Number, int64(offset)), SysFlag: m.sysFlag,
		BornMs: m.bornMs, Born: m.born, StoreMs: int64(stamp), Store: store,
		Reconsumed: m.reconsumed, Prepared: m.prepared,
		Body: m.body, Topic: q.TopicBytes, Props: m.props}
}
