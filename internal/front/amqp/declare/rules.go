// Package declare holds declarations of queues and exchanges, and the arguments of
// consumers, to RabbitMQ's rules: what is refused and in which words. Clients and their
// tests compare the words.
package declare

import (
	"fmt"
	"strings"

	"trine/internal/front/amqp/letter"
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
	{"x-expires", lease, "cq"},
	{"x-message-ttl", lifetime, "cq"},
	{"x-dead-letter-exchange", text, "cq"},
	{"x-dead-letter-routing-key", text, "cq"},
	{"x-dead-letter-strategy", oneOf("invalid_dlx_strategy", "at-most-once", "at-least-once"), "q"},
	{"x-max-length", natural, "cq"},
	{"x-max-length-bytes", natural, "cqs"},
	{"x-max-priority", level, "c"},
	{"x-overflow", oneOf("invalid_overflow", "drop-head", "reject-publish", "reject-publish-dlx"), "cq"},
	{"x-queue-mode", queueMode, "c"},
	{"x-queue-version", version, "c"},
	{"x-single-active-consumer", boolean, "cq"},
	{"x-delivery-limit", anything, "q"},
	{"x-quorum-initial-group-size", positive, "q"},
	{"x-max-age", maxAge, "s"},
	{"x-stream-max-segment-size-bytes", natural, "s"},
	{"x-stream-filter-size-bytes", natural, "s"},
	{"x-initial-cluster-size", positive, "s"},
	{"x-queue-leader-locator", oneOf("invalid_queue_locator_arg", "client-local", "balanced",
		"least-leaders", "random"), "cqs"},
	{"x-queue-master-locator", anything, "c"},
	{"x-max-in-memory-length", natural, "q"}, // taken, and without effect
	{"x-max-in-memory-bytes", natural, "q"},
}

// consumerRules are those for the arguments of basic.consume.
var consumerRules = []rule{
	{"x-priority", integer, "cq"},
	{"x-stream-offset", streamOffset, "s"},
	{"x-stream-filter", anything, "s"},
	{"x-stream-match-unfiltered", anything, "s"},
}

// Consumer refuses arguments of basic.consume that a queue of some kind does not take.
func Consumer(args wire.Table, kind string, of Subject) error {
	return follows(consumerRules, args, kind, of)
}

// follows holds arguments to the rules for a kind of queue: first those that it takes,
// then that there are no others.
func follows(rs []rule, args wire.Table, kind string, of Subject) error {
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

// lifetime is a time to live in milliseconds, lease one that is not over at once.
func lifetime(v wire.Value) string {
	if why := natural(v); why != "" {
		return why
	}
	if n, _ := v.Int(); n > letter.ExpiryMsMax {
		return fmt.Sprintf("{value_too_large,%d}", n)
	}
	return ""
}

func lease(v wire.Value) string {
	if why := lifetime(v); why != "" {
		return why
	}
	return positive(v)
}

func queueMode(v wire.Value) string {
	b, ok := v.Text()
	switch {
	case !ok:
		return text(v)
	case string(b) == "default", string(b) == "lazy":
		return ""
	}
	return fmt.Sprintf("\"unsupported queue mode '%s'\"", b)
}

func version(v wire.Value) string {
	if why := natural(v); why != "" {
		return why
	}
	if n, _ := v.Int(); n != 1 && n != 2 {
		return fmt.Sprintf("\"unsupported queue version '%d'\"", n)
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

// streamOffset refuses an x-stream-offset that says no place.
func streamOffset(v wire.Value) string {
	b, ok := v.Text()
	if _, isInt := v.Int(); isInt || v.Type == wire.TypeTimestamp {
		return ""
	}
	switch string(b) {
	case "first", "last", "next":
		return ""
	}
	if _, isAge := topology.MaxAge(string(b)); ok && isAge {
		return ""
	}
	return "{invalid_stream_offset_arg,{" + v.TypeName() + "," + erlang(v) + "}}"
}

// erlang gives a value as RabbitMQ's replies print it where they do not know its type.
func erlang(v wire.Value) string {
	if b, ok := v.Text(); ok && len(b) == 0 {
		return "<<>>"
	} else if ok {
		return "<<\"" + v.String() + "\">>"
	}
	return v.String()
}
