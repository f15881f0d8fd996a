package letter

import (
	"trine/internal/core"
	"trine/internal/front/amqp/wire"
)

// Filter is what a stream's consumer asks to see: messages whose header
// x-stream-filter-value is one of some, and those that have none if it says so.
// RabbitMQ passes whole chunks over that have no such message; here each is judged.
type Filter struct {
	values     map[string]bool
	unfiltered bool
}

// FilterOf reads the arguments of a consumer; nil where it asks for everything.
func FilterOf(args wire.Table) *Filter {
	v, ok := args.Get("x-stream-filter")
	if !ok {
		return nil
	}
	f := &Filter{values: map[string]bool{}}
	if b, ok := v.Text(); ok {
		f.values[string(b)] = true
	}
	a, _ := v.Array()
	for {
		e, rest, ok := a.Next()
		if !ok {
			break
		}
		if b, ok := e.Text(); ok {
			f.values[string(b)] = true
		}
		a = rest
	}
	u, _ := args.Get("x-stream-match-unfiltered")
	f.unfiltered, _ = u.Bool()
	return f
}

func (f *Filter) Takes(r *core.Record) bool {
	if f == nil {
		return true
	}
	m := Of(r, "")
	var fields wire.Fields
	if _, err := fields.Read(m.Props); err != nil || fields.Flags&wire.HasHeaders == 0 {
		return f.unfiltered
	}
	v, ok := fields.Headers.Get("x-stream-filter-value")
	if !ok {
		return f.unfiltered
	}
	b, _ := v.Text()
	return f.values[string(b)]
}
