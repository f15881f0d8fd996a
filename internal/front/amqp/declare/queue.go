package declare

import (
	"fmt"

	"trine/internal/front/amqp/route"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
)

// KindOf reads x-queue-type.
func KindOf(args wire.Table, of Subject) (string, error) {
	v, ok := args.Get("x-queue-type")
	if !ok {
		return topology.Classic, nil
	}
	b, ok := v.Text()
	if !ok {
		return "", invalidArg("x-queue-type", of, text(v))
	}
	switch string(b) {
	case topology.Classic, topology.Quorum, topology.Stream:
		return string(b), nil
	}
	return "", invalidArg("x-queue-type", of, fmt.Sprintf("\"unsupported queue type '%s'\"", b))
}

// WithKind gives a declaration's arguments with the kind that its virtual host gives to
// queues, where it names none and would do for that.
func WithKind(m *wire.QueueDeclare, kind string) wire.Table {
	_, says := m.Arguments.Get("x-queue-type")
	if says || kind == "" || kind != topology.Classic && (!m.Durable || m.Exclusive || m.AutoDelete) {
		return m.Arguments
	}
	return m.Arguments.PutString("x-queue-type", kind)
}

// Queue refuses a declaration that no queue can follow.
func Queue(m *wire.QueueDeclare, kind string, of Subject) error {
	if err := dead(m.Arguments, of); err != nil {
		return err
	}
	if err := follows(rules, m.Arguments, kind, of); err != nil {
		return err
	}
	if kind == topology.Classic {
		return nil
	}
	if err := lasting(m, kind, of); err != nil || kind != topology.Stream {
		return err
	}
	return checkStream(m.Arguments)
}

// dead refuses what is said of dead letters and cannot be followed.
func dead(args wire.Table, of Subject) error {
	exchange, to := args.Get("x-dead-letter-exchange")
	if _, named := exchange.Text(); to && !named {
		return noName("x-dead-letter-exchange", exchange, of)
	}
	if _, ok := args.Get("x-dead-letter-routing-key"); ok && !to {
		return invalidArg("x-dead-letter-routing-key", of, "routing_key_but_no_dlx_defined")
	}
	return nil
}

// lasting refuses properties that quorum queues and streams cannot have.
func lasting(m *wire.QueueDeclare, kind string, of Subject) error {
	var bad string
	switch {
	case m.Queue == "":
		return wire.Errorf(wire.PreconditionFailed,
			"Cannot declare a server-named queue for type rabbit_%s_queue", kind)
	case m.Exclusive:
		bad = "exclusive-owner"
	case !m.Durable:
		bad = "non-durable"
	case m.AutoDelete:
		bad = "auto-delete"
	default:
		return nil
	}
	return wire.Errorf(wire.PreconditionFailed, "invalid property '%s' for %s", bad, of)
}

// SameQueue compares a declaration with the first one.
func SameQueue(q *topology.Queue, m *wire.QueueDeclare, kind string) error {
	of := Subject{"queue", q.Name, q.VHost}
	if m.Durable != q.Durable {
		return inequivalent("durable", of, truth(m.Durable), truth(q.Durable))
	}
	if m.AutoDelete != q.AutoDelete {
		return inequivalent("auto_delete", of, truth(m.AutoDelete), truth(q.AutoDelete))
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

func sameArgument(name string, of Subject, received, current wire.Table) error {
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

// segmentBytesMax is the largest size that segments of a stream may be asked to have.
const segmentBytesMax = 3_000_000_000

// checkStream refuses arguments of a stream that its rules let pass.
func checkStream(args wire.Table) error {
	if Number(args, "x-stream-max-segment-size-bytes", 0) > segmentBytesMax {
		return wire.Errorf(wire.PreconditionFailed,
			"Exceeded max value for x-stream-max-segment-size-bytes")
	}
	if n := Number(args, "x-stream-filter-size-bytes", 16); n < 16 || n > 255 {
		return wire.Errorf(wire.PreconditionFailed, "Invalid value for  x-stream-filter-size-bytes")
	}
	return nil
}

// Number gives an integer argument, or otherwise.
func Number(args wire.Table, name string, otherwise int64) int64 {
	v, _ := args.Get(name)
	if n, ok := v.Int(); ok {
		return n
	}
	return otherwise
}

// Flag gives an argument that is a truth value, or false.
func Flag(args wire.Table, name string) bool {
	v, _ := args.Get(name)
	b, _ := v.Bool()
	return b
}
