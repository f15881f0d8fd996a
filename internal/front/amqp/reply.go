package amqp

import (
	"strings"

	"trine/internal/front/amqp/declare"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
)

// The replies that several methods give. Their words are RabbitMQ's: clients and
// their tests compare them.

func noExchange(name, vhost string) error {
	return wire.Errorf(wire.NotFound, "no exchange '%s' in vhost '%s'", name, vhost)
}

func noQueue(name, vhost string) error {
	return wire.Errorf(wire.NotFound, "no queue '%s' in vhost '%s'", name, vhost)
}

func locked(name, vhost string) error {
	return wire.Errorf(wire.ResourceLocked, "cannot obtain exclusive access to locked queue '%s' in "+
		"vhost '%s'. It could be originally declared on another connection or the exclusive property "+
		"value does not match that of the original declaration.", name, vhost)
}

func homeDown(q *queue) error {
	durable := "durable"
	if !q.Durable {
		durable = "non-durable"
	}
	home := q.Node
	if len(q.Stream.Members) > 0 {
		home = q.Stream.Members[0].Node
	}
	return wire.Errorf(wire.NotFound, "home node '%s' of %s queue '%s' in vhost '%s' is down or "+
		"inaccessible", topology.NodeName(home), durable, q.Name, q.VHost)
}

var errDefaultExchange = "operation not permitted on the default exchange"

func inExclusiveUse(q *queue) error {
	return wire.Errorf(wire.AccessRefused, "queue '%s' in vhost '%s' in exclusive use", q.Name, q.VHost)
}

func reserved(kind, name string) error {
	if !strings.HasPrefix(name, "amq.") {
		return nil
	}
	return wire.Errorf(wire.AccessRefused, "%s name '%s' contains reserved prefix 'amq.*'", kind, name)
}

func subjectOf(q *queue) declare.Subject {
	return declare.Subject{Kind: "queue", Name: q.Name, VHost: q.VHost}
}

// stripped is a name as RabbitMQ takes it: without line ends.
func stripped(s string) string {
	if strings.ContainsAny(s, "\r\n") {
		return strings.NewReplacer("\r", "", "\n", "").Replace(s)
	}
	return s
}
