package amqp

import (
	"strconv"

	"trine/internal/core"
	"trine/internal/front/amqp/wire"
)

// recordHeader is the header of a record that holds what AMQP needs beside the
// body:
//
//	version u8 = 1 | exchange short string | routing key short string | properties
//
// The properties stand as they were received.
const recordHeader = "amqp"

const recordVersion = 1

// message is a message on its way out; its bytes alias the record.
type message struct {
	exchange, key []byte
	props         wire.Properties
	body          []byte
}

// encodeHeader appends a record header's value to dst, which has room for it.
func encodeHeader(dst []byte, exchange, key []byte, props []byte) []byte {
	dst = append(dst, recordVersion, byte(len(exchange)))
	dst = append(dst, exchange...)
	dst = append(dst, byte(len(key)))
	dst = append(dst, key...)
	return append(dst, props...)
}

func headerSize(exchange, key, props []byte) int { return 3 + len(exchange) + len(key) + len(props) }

// messageOf reads a record of a queue. One that another protocol wrote, or that
// nobody can read any more, becomes a plain message under the queue's own name.
func messageOf(r *core.Record, queue string) message {
	for i := range r.Headers {
		if r.Headers[i].Key != recordHeader {
			continue
		}
		if m, ok := decodeHeader(r.Headers[i].Value); ok {
			m.body = r.Value
			return m
		}
	}
	return message{key: []byte(queue), props: foreignProperties(r), body: r.Value}
}

func decodeHeader(b []byte) (m message, ok bool) {
	if len(b) < 3 || b[0] != recordVersion && b[0] != recordForwarded || int(b[1]) > len(b)-3 {
		return m, false
	}
	m.exchange, b = b[2:2+b[1]], b[2+b[1]:]
	if int(b[0]) > len(b)-3 {
		return m, false
	}
	m.key, m.props = b[1:1+b[0]], wire.Properties(b[1+b[0]:])
	return m, true
}

// foreignProperties makes properties of what a record of another protocol says.
func foreignProperties(r *core.Record) wire.Properties {
	f := wire.Fields{Flags: wire.HasDeliveryMode, DeliveryMode: wire.Persistent}
	text := func(flag uint16, to *[]byte, v []byte) {
		if len(v) <= wire.ShortMax {
			f.Flags |= flag
			*to = v
		}
	}
	for _, h := range r.Headers {
		switch h.Key {
		case "content_type", "content-type":
			text(wire.HasContentType, &f.ContentType, h.Value)
		case "content_encoding", "content-encoding":
			text(wire.HasContentEncoding, &f.ContentEncoding, h.Value)
		case "correlation_id":
			text(wire.HasCorrelationID, &f.CorrelationID, h.Value)
		case "reply_to":
			text(wire.HasReplyTo, &f.ReplyTo, h.Value)
		case "message_id":
			text(wire.HasMessageID, &f.MessageID, h.Value)
		case "type":
			text(wire.HasType, &f.Type, h.Value)
		case "app_id":
			text(wire.HasAppID, &f.AppID, h.Value)
		case recordHeader:
		default:
			if len(h.Key) <= wire.ShortMax {
				f.Headers = f.Headers.Put(h.Key, wire.Value{Type: wire.TypeString, Raw: h.Value})
			}
		}
	}
	if r.Key != nil {
		f.Headers = f.Headers.Put("x-trine-key", wire.Value{Type: wire.TypeString, Raw: r.Key})
	}
	if len(f.Headers) > 0 {
		f.Flags |= wire.HasHeaders
	}
	if r.Stamp > 0 {
		f.Flags |= wire.HasTimestamp
		f.Timestamp = uint64(r.Stamp / 1000)
	}
	return f.Append(nil)
}

// withHeader gives properties with one header put in place of any of that name.
func withHeader(p wire.Properties, name string, v wire.Value) wire.Properties {
	var f wire.Fields
	if _, err := f.Read(p); err != nil {
		return p
	}
	headers := append(wire.Table(nil), f.Headers.Without(name)...)
	f.Headers = headers.Put(name, v)
	f.Flags |= wire.HasHeaders
	return f.Append(nil)
}

// expiration reads the property of that name, in milliseconds.
func expiration(b []byte) (ms int64, err *wire.Error) {
	n, e := strconv.ParseInt(string(b), 10, 64)
	switch {
	case e != nil:
		return 0, wire.Errorf(wire.PreconditionFailed, "invalid expiration '%s': no_integer", b)
	case n < 0:
		return 0, wire.Errorf(wire.PreconditionFailed, "invalid expiration '%s': {value_negative,%d}",
			b, n)
	case n > expiryMsMax:
		return 0, wire.Errorf(wire.PreconditionFailed,
			"invalid expiration '%s': {value_too_big,%d}", b, n)
	}
	return n, nil
}

// expiryMsMax is the longest time to live, of messages and queues: 10 years.
const expiryMsMax = 315_360_000_000
