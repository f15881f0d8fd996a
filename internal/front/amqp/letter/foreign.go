package letter

import (
	"trine/internal/core"
	"trine/internal/front/amqp/wire"
)

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
		case header:
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
