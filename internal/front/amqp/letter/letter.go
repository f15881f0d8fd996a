// Package letter is a message as queues keep it: how a record holds what AMQP says of a
// message beside its body, what of that its reader is shown, and what is written into it
// when its queue gives it up.
//
// The record's header named amqp:
//
//	version u8 | exchange short string | routing key short string | properties
//
// The properties stand as they were received.
package letter

import (
	"strconv"

	"trine/internal/core"
	"trine/internal/front/amqp/wire"
)

const header = "amqp"

// The versions of the header.
const (
	Plain     = 1
	Forwarded = 2 // it went through a queue's dead letters: its x-death is ours, in others it means nothing
)

// Message is a message on its way out; its bytes alias the record.
type Message struct {
	Exchange, Key []byte
	Props         wire.Properties
	Body          []byte
}

// encode appends a record header's value to dst, which has room for it.
func encode(dst []byte, exchange, key []byte, props []byte) []byte {
	dst = append(dst, Plain, byte(len(exchange)))
	dst = append(dst, exchange...)
	dst = append(dst, byte(len(key)))
	dst = append(dst, key...)
	return append(dst, props...)
}

func size(exchange, key, props []byte) int { return 3 + len(exchange) + len(key) + len(props) }

// Headers makes a record's headers of what AMQP says of a message.
func Headers(version byte, exchange, key []byte, p wire.Properties) []core.Header {
	b := encode(make([]byte, 0, size(exchange, key, p)), exchange, key, p)
	b[0] = version
	return []core.Header{{Key: header, Value: b}}
}

// WithoutBCC gives properties as those who get the message may see them.
func WithoutBCC(p wire.Properties, f *wire.Fields) wire.Properties {
	if f.Flags&wire.HasHeaders == 0 {
		return p
	}
	if _, ok := f.Headers.Get("BCC"); !ok {
		return p
	}
	g := *f
	g.Headers = f.Headers.Without("BCC")
	return g.Append(nil)
}

// Of reads a record of a queue. One that another protocol wrote, or that
// nobody can read any more, becomes a plain message under the queue's own name.
func Of(r *core.Record, queue string) Message {
	for i := range r.Headers {
		if r.Headers[i].Key != header {
			continue
		}
		if m, ok := decode(r.Headers[i].Value); ok {
			m.Body = r.Value
			return m
		}
	}
	return Message{Key: []byte(queue), Props: foreignProperties(r), Body: r.Value}
}

// Version gives the version of a record's header, or 0.
func Version(r *core.Record) byte {
	for i := range r.Headers {
		if h := &r.Headers[i]; h.Key == header && len(h.Value) > 0 {
			return h.Value[0]
		}
	}
	return 0
}

func decode(b []byte) (m Message, ok bool) {
	if len(b) < 3 || b[0] != Plain && b[0] != Forwarded || int(b[1]) > len(b)-3 {
		return m, false
	}
	n := 2 + int(b[1])
	m.Exchange, b = b[2:n], b[n:]
	if n = 1 + int(b[0]); n > len(b)-2 {
		return m, false
	}
	m.Key, m.Props = b[1:n], wire.Properties(b[n:])
	return m, true
}

// WithHeader gives properties with one header put in place of any of that name.
func WithHeader(p wire.Properties, name string, v wire.Value) wire.Properties {
	var f wire.Fields
	if _, err := f.Read(p); err != nil {
		return p
	}
	headers := append(wire.Table(nil), f.Headers.Without(name)...)
	f.Headers = headers.Put(name, v)
	f.Flags |= wire.HasHeaders
	return f.Append(nil)
}

// Expiration reads the property of that name, in milliseconds.
func Expiration(b []byte) (ms int64, err *wire.Error) {
	n, e := strconv.ParseInt(string(b), 10, 64)
	switch {
	case e != nil:
		return 0, wire.Errorf(wire.PreconditionFailed, "invalid expiration '%s': no_integer", b)
	case n < 0:
		return 0, wire.Errorf(wire.PreconditionFailed, "invalid expiration '%s': {value_negative,%d}",
			b, n)
	case n > ExpiryMsMax:
		return 0, wire.Errorf(wire.PreconditionFailed,
			"invalid expiration '%s': {value_too_large,%d}", b, n)
	}
	return n, nil
}

// ExpiryMsMax is the longest time to live, of messages and queues: 10 years.
const ExpiryMsMax = 315_360_000_000

// Copies reads the further routing keys that a message's headers CC and BCC name.
func Copies(headers wire.Table) (keys [][]byte, err error) {
	for _, name := range [...]string{"CC", "BCC"} {
		v, ok := headers.Get(name)
		if !ok {
			continue
		}
		a, ok := v.Array()
		if !ok {
			return nil, wire.Errorf(wire.PreconditionFailed,
				"invalid message: {unacceptable_type_in_header,\"%s\",%s}", name, v.TypeName())
		}
		for {
			e, rest, ok := a.Next()
			if !ok {
				break
			}
			if text, ok := e.Text(); ok {
				keys = append(keys, text)
			}
			a = rest
		}
	}
	return keys, nil
}
