package clients

import (
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"trine/internal/core"
	"trine/internal/front/amqp"
	"trine/internal/front/amqp/topology"
)

func TestATracedHostTellsOfWhatIsPublishedAndDelivered(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	ch := h.channel()
	ok(t, ch.Confirm(false))
	declare(t, ch, "q", nil)
	declare(t, ch, "told", nil)
	ok(t, ch.QueueBind("told", "#", "amq.rabbitmq.trace", false, nil))
	send(t, ch, "", "q", amqp091.Publishing{Body: []byte("untraced")})
	trace := func(on bool) {
		done := make(chan error, 1)
		h.broker.Cluster().Put([]core.Change{topology.PutHost("/", topology.HostDoc{Tracing: on})},
			func(_ core.Revision, err error) { done <- err })
		ok(t, receive(t, done))
	}
	trace(true)
	ok(t, ch.Publish("amq.fanout", "k", false, false, amqp091.Publishing{Body: []byte("lost"), Type: "t",
		Headers: table{"a": "b"}}))
	d := mustGet(t, ch, "told")
	props, _ := d.Headers["properties"].(table)
	if d.Exchange != "amq.rabbitmq.trace" || d.RoutingKey != "publish.amq.fanout" || string(d.Body) != "lost" ||
		d.Headers["exchange_name"] != "amq.fanout" || d.Headers["vhost"] != "/" || d.Headers["user"] != "guest" ||
		props["type"] != "t" || d.Headers["routing_keys"].([]any)[0] != "k" ||
		len(d.Headers["routed_queues"].([]any)) != 0 {
		t.Errorf("%+v", d)
	}
	mustGet(t, ch, "q")
	d = mustGet(t, ch, "told")
	if d.RoutingKey != "deliver.q" || d.Headers["redelivered"] != int32(0) || string(d.Body) != "untraced" {
		t.Errorf("%+v", d)
	}
	trace(false)
	send(t, ch, "", "q", amqp091.Publishing{})
	empty(t, ch, "told")
}
