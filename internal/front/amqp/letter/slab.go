package letter

import (
	"trine/internal/core"
	"trine/internal/front/amqp/wire"
)

// Slab gives memory for what passes to the core: many small pieces of one large
// one, which goes when the last of them does.
type Slab struct {
	bytes   []byte
	headers []core.Header
}

const slabBytes = 32 << 10

// Take gives n bytes.
func (s *Slab) Take(n int) []byte {
	if n > slabBytes/4 {
		return make([]byte, n)
	}
	if n > len(s.bytes) {
		s.bytes = make([]byte, slabBytes)
	}
	b := s.bytes[:n:n]
	s.bytes = s.bytes[n:]
	return b
}

// header gives a record's headers with one in them.
func (s *Slab) header(h core.Header) []core.Header {
	if len(s.headers) == 0 {
		s.headers = make([]core.Header, 128)
	}
	s.headers[0] = h
	one := s.headers[:1:1]
	s.headers = s.headers[1:]
	return one
}

// Record makes the record of a message that is put into a queue now.
func (s *Slab) Record(now core.Stamp, exchange, key, props []byte, f *wire.Fields, body []byte) core.Record {
	b := s.Take(size(exchange, key, props))[:0]
	r := core.Record{Stamp: -1, Value: body, Headers: s.header(core.Header{Key: header,
		Value: encode(b, exchange, key, props)})}
	if f.Flags&wire.HasPriority != 0 {
		r.Priority = f.Priority
	}
	if f.Flags&wire.HasExpiration != 0 {
		if ms, err := Expiration(f.Expiration); err == nil { // checked when it arrived
			r.Expires = now + core.Stamp(ms)
		}
	}
	return r
}
