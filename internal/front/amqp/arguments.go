package amqp

import (
	"fmt"
	"strings"

	"trine/internal/front/amqp/route"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
)

// rule says what an argument of queue.declare may be.
type rule struct {
	name  string
	check func(v wire.Value) string // why the value is refused, or ""
	kinds string                    // which kinds of queue take it, by their first letters
}

var rules = []rule{
	{"x-expires", positive, "cq"},
	{"x-message-ttl", natural, "cq"},
	{"x-dead-letter-exchange", text, "cq"},
	{"x-dead-letter-routing-key", text, "cq"},
	{"x-dead-letter-strategy", oneOf("invalid_dlx_strategy", "at-most-once", "at-least-once"), "q"},
	{"x-max-length", natural, "cq"},
	{"x-max-length-bytes", natural, "cqs"},
	{"x-max-priority", level, "c"},
	{"x-overflow", oneOf("invalid_overflow", "drop-head", "reject-publish", "reject-publish-dlx"), "cq"},
	{"x-queue-mode", oneOf("invalid_queue_mode", "default", "lazy"), "c"},
	{"x-queue-version", natural, "c"},
	{"x-single-active-consumer", boolean, "cq"},
	{"x-delivery-limit", integer, "q"},
	{"x-quorum-initial-group-size", positive, "q"},
	{"x-max-age", maxAge, "s"},
	{"x-stream-max-segment-size-bytes", natural, "s"},
	{"x-stream-filter-size-bytes", natural, "s"},
	{"x-initial-cluster-size", positive, "s"},
	{"x-queue-leader-locator", oneOf("invalid_queue_leader_locator", "client-local", "balanced",
		"least-leaders", "random"), "cqs"},
	{"x-queue-master-locator", oneOf("invalid_queue_master_locator", "client-local", "min-masters",
		"random"), "c"},
}

// consumerRules are those for the arguments of basic.consume.
var consumerRules = []rule{
	{"x-priority", integer, "cq"},
	{"x-stream-offset", streamOffset, "s"},
	{"x-stream-filter", anything, "s"},
	{"x-stream-match-unfiltered", anything, "s"},
}

// follows holds arguments to the rules for a kind of queue: first those that it takes,
// then that there are no others.
func follows(rs []rule, args wire.Table, kind string, of subject) error {
	takes := func(r *rule) bool { return strings.Contains(r.kinds, kind[:1]) }
	for i := range rs {
		r := &rs[i]
		v, ok := args.Get(r.name)
		if !ok || !takes(r) {
			continue
		}
		if why := r.check(v); why != "" {
			return invalidArg(r.name, of, why)
		}
	}
	for {
		name, _, rest, ok := args.Next()
		if !ok {
			return nil
		}
		args = rest
		for i := range rs {
			if rs[i].name == string(name) && !takes(&rs[i]) {
				return wire.Errorf(wire.PreconditionFailed,
					"invalid arg '%s' for %s of queue type rabbit_%s_queue", name, of, kind)
			}
		}
	}
}

func anything(wire.Value) string { return "" }

func maxAge(v wire.Value) string {
	b, ok := v.Text()
	if !ok {
		return text(v)
	}
	if _, ok := topology.MaxAge(string(b)); !ok {
		return "invalid_max_age"
	}
	return ""
}

func integer(v wire.Value) string {
	if _, ok := v.Int(); !ok {
		return fmt.Sprintf("\"expected integer, got %s\"", v.TypeName())
	}
	return ""
}

func natural(v wire.Value) string {
	n, ok := v.Int()
	switch {
	case !ok:
		return integer(v)
	case n < 0:
		return fmt.Sprintf("{value_negative,%d}", n)
	}
	return ""
}

func positive(v wire.Value) string {
	if why := natural(v); why != "" {
		return why
	}
	if n, _ := v.Int(); n == 0 {
		return "{value_zero,0}"
	}
	return ""
}

func level(v wire.Value) string {
	if why := natural(v); why != "" {
		return why
	}
	if n, _ := v.Int(); n > 255 {
		return fmt.Sprintf("{max_value_exceeded,%d}", n)
	}
	return ""
}

func text(v wire.Value) string {
	if _, ok := v.Text(); !ok {
		return fmt.Sprintf("{unacceptable_type,%s}", v.TypeName())
	}
	return ""
}

func boolean(v wire.Value) string {
	if _, ok := v.Bool(); !ok {
		return fmt.Sprintf("{unacceptable_type,%s}", v.TypeName())
	}
	return ""
}

func oneOf(why string, names ...string) func(wire.Value) string {
	return func(v wire.Value) string {
		b, ok := v.Text()
		if !ok {
			return fmt.Sprintf("{unacceptable_type,%s}", v.TypeName())
		}
		for _, n := range names {
			if string(b) == n {
				return ""
			}
		}
		return why
	}
}

// kindOf reads x-queue-type.
func kindOf(args wire.Table, of subject) (string, error) {
	v, ok := args.Get("x-queue-type")
	if !ok {
		return classic, nil
	}
	b, ok := v.Text()
	if !ok {
		return "", invalidArg("x-queue-type", of, fmt.Sprintf("\"expected longstr, got %s\"", v.TypeName()))
	}
	switch string(b) {
	case classic, quorum, streamed:
		return string(b), nil
	}
	return "", invalidArg("x-queue-type", of, fmt.Sprintf("\"unsupported queue type '%s'\"", b))
}

// checkDeclaration refuses a declaration that no queue can follow.
func checkDeclaration(m *wire.QueueDeclare, kind string, of subject) error {
	if kind != classic {
		var bad string
		switch {
		case m.Exclusive:
			bad = "exclusive-owner"
		case !m.Durable:
			bad = "non-durable"
		case m.AutoDelete:
			bad = "auto-delete"
		}
		if m.Queue == "" {
			return wire.Errorf(wire.PreconditionFailed,
				"Cannot declare a server-named queue for type rabbit_%s_queue", kind)
		}
		if bad != "" {
			return wire.Errorf(wire.PreconditionFailed, "invalid property '%s' for %s", bad, of)
		}
	}
	if err := follows(rules, m.Arguments, kind, of); err != nil {
		return err
	}
	if kind == streamed {
		return checkStream(m.Arguments)
	}
	if _, ok := m.Arguments.Get("x-dead-letter-routing-key"); ok {
		if _, ok := m.Arguments.Get("x-dead-letter-exchange"); !ok {
			return invalidArg("x-dead-letter-routing-key", of, "routing_key_but_no_dlx_defined")
		}
	}
	return nil
}

// sameQueue compares a declaration with the first one.
func sameQueue(q *queue, m *wire.QueueDeclare, kind string) error {
	of := subject{"queue", q.Name, q.VHost}
	if m.Durable != q.Durable {
		return inequivalent("durable", of, quotedBool(m.Durable), quotedBool(q.Durable))
	}
	if m.AutoDelete != q.AutoDelete {
		return inequivalent("auto_delete", of, quotedBool(m.AutoDelete), quotedBool(q.AutoDelete))
	}
	if kind != q.Kind {
		return inequivalent("x-queue-type", of, quoted(kind), quoted(q.Kind))
	}
	for _, r := range rules {
		if err := sameArgument(r.name, of, m.Arguments, q.Arguments); err != nil {
			return err
		}
	}
	return nil
}

func sameArgument(name string, of subject, received, current wire.Table) error {
	a, ok1 := received.Get(name)
	b, ok2 := current.Get(name)
	switch {
	case ok1 && ok2 && !route.Same(a, b):
		return inequivalent(name, of, quoted(a.String()), quoted(b.String()))
	case ok1 && !ok2:
		return inequivalent(name, of, valued(a), "none")
	case !ok1 && ok2:
		return inequivalent(name, of, "none", valued(b))
	}
	return nil
}

func valued(v wire.Value) string {
	return fmt.Sprintf("the value '%s' of type '%s'", v, v.TypeName())
}

// intArg gives an integer argument, or otherwise.
func intArg(args wire.Table, name string, otherwise int64) int64 {
	v, _ := args.Get(name)
	if n, ok := v.Int(); ok {
		return n
	}
	return otherwise
}

func textArg(args wire.Table, name string) string {
	v, _ := args.Get(name)
	b, _ := v.Text()
	return string(b)
}
