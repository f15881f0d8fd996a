package form

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
)

// Table makes a field table of a JSON object: whole numbers are 64 bits wide, as
// RabbitMQ makes them.
func Table(v any) (wire.Table, error) {
	if v == nil {
		return nil, nil
	}
	o, ok := v.(Object)
	if !ok {
		return nil, Bad("arguments must be an object")
	}
	var t wire.Table
	for _, k := range slices.Sorted(maps.Keys(o)) {
		if len(k) > wire.ShortMax {
			return nil, Bad("the name of an argument is too long")
		}
		w, err := value(o[k])
		if err != nil {
			return nil, err
		}
		t = t.Put(k, w)
	}
	if err := t.Check(); err != nil {
		return nil, Bad(err.Text)
	}
	return t, nil
}

func value(v any) (wire.Value, error) {
	one := func(t wire.Table) wire.Value {
		w, _ := t.Get("v")
		return w
	}
	switch v := v.(type) {
	case nil:
		return wire.Value{Type: wire.TypeVoid}, nil
	case bool:
		return one(wire.Table(nil).PutBool("v", v)), nil
	case string:
		return wire.Value{Type: wire.TypeString, Raw: []byte(v)}, nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return one(wire.Table(nil).PutInt("v", n)), nil
		}
		f, err := v.Float64()
		if err != nil {
			return wire.Value{}, Bad("a number out of range")
		}
		return one(wire.Table(nil).PutDouble("v", f)), nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return one(wire.Table(nil).PutInt("v", int64(v))), nil
		}
		return one(wire.Table(nil).PutDouble("v", v)), nil
	case Object:
		t, err := Table(v)
		return wire.Value{Type: wire.TypeTable, Raw: t}, err
	case []any:
		var a wire.Array
		for _, e := range v {
			w, err := value(e)
			if err != nil {
				return w, err
			}
			a = a.Put(w)
		}
		return wire.Value{Type: wire.TypeArray, Raw: a}, nil
	}
	return wire.Value{}, Bad("an argument of an unknown type")
}

// property is one of a message's properties, by its name in JSON.
type property struct {
	name string
	flag uint16
	text func(f *wire.Fields) *[]byte
}

var properties = []property{
	{"content_type", wire.HasContentType, func(f *wire.Fields) *[]byte { return &f.ContentType }},
	{"content_encoding", wire.HasContentEncoding,
		func(f *wire.Fields) *[]byte { return &f.ContentEncoding }},
	{"correlation_id", wire.HasCorrelationID, func(f *wire.Fields) *[]byte { return &f.CorrelationID }},
	{"reply_to", wire.HasReplyTo, func(f *wire.Fields) *[]byte { return &f.ReplyTo }},
	{"expiration", wire.HasExpiration, func(f *wire.Fields) *[]byte { return &f.Expiration }},
	{"message_id", wire.HasMessageID, func(f *wire.Fields) *[]byte { return &f.MessageID }},
	{"type", wire.HasType, func(f *wire.Fields) *[]byte { return &f.Type }},
	{"user_id", wire.HasUserID, func(f *wire.Fields) *[]byte { return &f.UserID }},
	{"app_id", wire.HasAppID, func(f *wire.Fields) *[]byte { return &f.AppID }},
	{"cluster_id", wire.HasClusterID, func(f *wire.Fields) *[]byte { return &f.ClusterID }},
}

// FieldsOf reads a message's properties from JSON.
func FieldsOf(o Object) (wire.Properties, error) {
	var f wire.Fields
	for _, p := range properties {
		v, ok := o[p.name]
		if !ok {
			continue
		}
		s := fmt.Sprint(v)
		if len(s) > wire.ShortMax {
			return nil, Bad(p.name + " is too long")
		}
		f.Flags |= p.flag
		*p.text(&f) = []byte(s)
	}
	if h, ok := o["headers"]; ok {
		t, err := Table(h)
		if err != nil {
			return nil, err
		}
		f.Flags, f.Headers = f.Flags|wire.HasHeaders, t
	}
	if n, ok := Number(o, "delivery_mode"); ok {
		f.Flags, f.DeliveryMode = f.Flags|wire.HasDeliveryMode, uint8(n)
	}
	if n, ok := Number(o, "priority"); ok {
		f.Flags, f.Priority = f.Flags|wire.HasPriority, uint8(n)
	}
	if n, ok := Number(o, "timestamp"); ok {
		f.Flags, f.Timestamp = f.Flags|wire.HasTimestamp, uint64(n)
	}
	return f.Append(nil), nil
}

// PropertiesOf gives a message's properties for JSON.
func PropertiesOf(p wire.Properties) any {
	var f wire.Fields
	if _, err := f.Read(p); err != nil || f.Flags == 0 {
		return []any{} // RabbitMQ's empty list of pairs
	}
	o := Object{}
	for _, p := range properties {
		if f.Flags&p.flag != 0 {
			o[p.name] = string(*p.text(&f))
		}
	}
	if f.Flags&wire.HasHeaders != 0 {
		o["headers"] = topology.TableInfo(f.Headers)
	}
	if f.Flags&wire.HasDeliveryMode != 0 {
		o["delivery_mode"] = f.DeliveryMode
	}
	if f.Flags&wire.HasPriority != 0 {
		o["priority"] = f.Priority
	}
	if f.Flags&wire.HasTimestamp != 0 {
		o["timestamp"] = f.Timestamp
	}
	return o
}

// Erlang shows a value as RabbitMQ's errors do.
func Erlang(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return fmt.Sprintf("<<%q>>", v)
	case json.Number:
		return v.String()
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = Erlang(e)
		}
		return "[" + strings.Join(parts, ",") + "]"
	case Object:
		parts := []string{}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, fmt.Sprintf("{<<%q>>,%s}", k, Erlang(v[k])))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	return fmt.Sprint(v)
}
