package letter

import "trine/internal/front/amqp/wire"

// Describe gives a message as the headers of one that tells of it: where it was published
// and all that it says of itself.
func Describe(m *Message, node string) wire.Table {
	var f wire.Fields
	if _, err := f.Read(m.Props); err != nil {
		f = wire.Fields{}
	}
	keys := wire.Array(nil).PutString(string(m.Key))
	more, _ := Copies(f.Headers)
	for _, key := range more {
		keys = keys.PutString(string(key))
	}
	return wire.Table(nil).PutString("exchange_name", string(m.Exchange)).PutArray("routing_keys", keys).
		PutTable("properties", properties(&f)).PutString("node", node)
}

func properties(f *wire.Fields) wire.Table {
	var t wire.Table
	for _, p := range []struct {
		flag  uint16
		name  string
		value []byte
	}{
		{wire.HasContentType, "content_type", f.ContentType},
		{wire.HasContentEncoding, "content_encoding", f.ContentEncoding},
		{wire.HasCorrelationID, "correlation_id", f.CorrelationID},
		{wire.HasReplyTo, "reply_to", f.ReplyTo}, {wire.HasExpiration, "expiration", f.Expiration},
		{wire.HasMessageID, "message_id", f.MessageID}, {wire.HasType, "type", f.Type},
		{wire.HasUserID, "user_id", f.UserID}, {wire.HasAppID, "app_id", f.AppID},
		{wire.HasClusterID, "cluster_id", f.ClusterID},
	} {
		if f.Flags&p.flag != 0 {
			t = t.PutString(p.name, string(p.value))
		}
	}
	if f.Flags&wire.HasHeaders != 0 {
		t = t.PutTable("headers", f.Headers)
	}
	if f.Flags&wire.HasDeliveryMode != 0 {
		t = t.PutInt32("delivery_mode", int32(f.DeliveryMode))
	}
	if f.Flags&wire.HasPriority != 0 {
		t = t.PutInt32("priority", int32(f.Priority))
	}
	if f.Flags&wire.HasTimestamp != 0 {
		t = t.PutInt("timestamp", int64(f.Timestamp))
	}
	return t
}
