package clients

import (
	"trine/internal/front/amqp/wire"
)

// declareQ is queue.declare on channel 1, durable, with a kind and arguments.
func declareQ(name, kind string, args wire.Table) []byte {
	if kind != "" {
		args = append(wire.Table(nil).PutString("x-queue-type", kind), args...)
	}
	return methodOn(1, &wire.QueueDeclare{Queue: name, Durable: true, Arguments: args})
}

func arg(name string, v any) wire.Table {
	switch v := v.(type) {
	case int:
		return wire.Table(nil).PutInt32(name, int32(v))
	case int64:
		return wire.Table(nil).PutInt(name, v)
	case bool:
		return wire.Table(nil).PutBool(name, v)
	}
	return wire.Table(nil).PutString(name, v.(string))
}

func consumeQ(q string, args wire.Table) []byte {
	return methodOn(1, &wire.BasicConsume{Queue: q, Tag: "t" + q, Arguments: args})
}

func prefetch(n uint16) []byte { return methodOn(1, &wire.BasicQos{PrefetchCount: n}) }

func declareX(name, typ string, args wire.Table) []byte {
	return methodOn(1, &wire.ExchangeDeclare{Exchange: name, Type: typ, Durable: true, Arguments: args})
}

func bindQ(q, x, key string, args wire.Table) []byte {
	return methodOn(1, &wire.QueueBind{Queue: q, Exchange: x, RoutingKey: key, Arguments: args})
}

// put publishes a small message to a queue.
func put(q string, f wire.Fields, body string) []byte {
	b := methodOn(1, &wire.BasicPublish{RoutingKey: []byte(q)})
	return wire.AppendContent(b, 1, f.Append(nil), []byte(body), 8192)
}

func withHeaders(t wire.Table) wire.Fields { return wire.Fields{Flags: wire.HasHeaders, Headers: t} }

func inCase(steps ...[]byte) rawCase { return rawCase{3, join(steps...)} }

func init() {
	for name, c := range map[string]rawCase{
		"declare: queue type of an integer":    inCase(declareQ("d1", "", arg("x-queue-type", 5))),
		"declare: classic with delivery limit": inCase(declareQ("d2", "classic", arg("x-delivery-limit", 5))),
		"declare: classic with group size":     inCase(declareQ("d3", "classic", arg("x-quorum-initial-group-size", 3))),
		"declare: classic with dead letter strategy": inCase(declareQ("d4", "classic",
			arg("x-dead-letter-strategy", "at-least-once"))),
		"declare: classic with max age":       inCase(declareQ("d5", "", arg("x-max-age", "1h"))),
		"declare: classic of queue version 3": inCase(declareQ("d6", "", arg("x-queue-version", 3))),
		"declare: classic of queue version 1": inCase(declareQ("d6a", "", arg("x-queue-version", 1))),
		"declare: queue mode bad":             inCase(declareQ("d7", "", arg("x-queue-mode", "foo"))),
		"declare: locator bad":                inCase(declareQ("d8", "", arg("x-queue-leader-locator", "foo"))),
		"declare: locator of an integer":      inCase(declareQ("d9", "", arg("x-queue-leader-locator", 1))),
		"declare: strategy bad":               inCase(declareQ("d10", "quorum", arg("x-dead-letter-strategy", "foo"))),
		"declare: overflow of an integer":     inCase(declareQ("d11", "", arg("x-overflow", 1))),
		"declare: max length negative":        inCase(declareQ("d12", "", arg("x-max-length", -1))),
		"declare: expires too long":           inCase(declareQ("d13", "", arg("x-expires", int64(315_360_000_001)))),
		"declare: ttl too long":               inCase(declareQ("d14", "", arg("x-message-ttl", int64(1)<<40))),
		"declare: dead letter exchange of an integer": inCase(declareQ("d15", "",
			arg("x-dead-letter-exchange", 1))),
		"declare: single active of a string":  inCase(declareQ("d16", "", arg("x-single-active-consumer", "yes"))),
		"declare: max priority negative":      inCase(declareQ("d17", "", arg("x-max-priority", -1))),
		"declare: delivery limit of a string": inCase(declareQ("d18", "quorum", arg("x-delivery-limit", "a"))),
		"declare: delivery limit negative":    inCase(declareQ("d18a", "quorum", arg("x-delivery-limit", -1))),
		"declare: group size 0":               inCase(declareQ("d19", "quorum", arg("x-quorum-initial-group-size", 0))),
		"declare: quorum with reject-publish-dlx": inCase(declareQ("d20", "quorum",
			arg("x-overflow", "reject-publish-dlx"))),
		"declare: quorum lazy": inCase(declareQ("d21", "quorum", arg("x-queue-mode", "lazy"))),
		"declare: quorum exclusive and transient": inCase(methodOn(1, &wire.QueueDeclare{Queue: "d22",
			Exclusive: true, Arguments: arg("x-queue-type", "quorum")})),
		"declare: quorum with a bad argument, transient": inCase(methodOn(1, &wire.QueueDeclare{Queue: "d23",
			Arguments: append(arg("x-queue-type", "quorum"), arg("x-message-ttl", -1)...)})),
		"declare: stream not durable": inCase(methodOn(1, &wire.QueueDeclare{Queue: "d24",
			Arguments: arg("x-queue-type", "stream")})),
		"declare: stream exclusive": inCase(methodOn(1, &wire.QueueDeclare{Queue: "d25", Durable: true,
			Exclusive: true, Arguments: arg("x-queue-type", "stream")})),
		"declare: stream auto-delete": inCase(methodOn(1, &wire.QueueDeclare{Queue: "d26", Durable: true,
			AutoDelete: true, Arguments: arg("x-queue-type", "stream")})),
		"declare: stream server-named":          inCase(declareQ("", "stream", nil)),
		"declare: stream max length":            inCase(declareQ("d27", "stream", arg("x-max-length", 5))),
		"declare: stream ttl":                   inCase(declareQ("d28", "stream", arg("x-message-ttl", 5))),
		"declare: stream max age bad":           inCase(declareQ("d29", "stream", arg("x-max-age", "5 days"))),
		"declare: stream max age of an integer": inCase(declareQ("d30", "stream", arg("x-max-age", 5))),
		"declare: stream max age of 0":          inCase(declareQ("d31", "stream", arg("x-max-age", "0h"))),
		"declare: stream segment size too large": inCase(declareQ("d32", "stream",
			arg("x-stream-max-segment-size-bytes", int64(3_000_000_001)))),
		"declare: stream filter size 5":  inCase(declareQ("d33", "stream", arg("x-stream-filter-size-bytes", 5))),
		"declare: stream cluster size 0": inCase(declareQ("d34", "stream", arg("x-initial-cluster-size", 0))),
		"declare: stream again otherwise": inCase(declareQ("d35", "stream", arg("x-max-age", "1h")),
			declareQ("d35", "stream", arg("x-max-age", "2h"))),
		"declare: stream again as classic": inCase(declareQ("d36", "stream", nil), declareQ("d36", "", nil)),
		"declare: again with unknown arguments": inCase(declareQ("d37", "", arg("x-foo", 5)),
			declareQ("d37", "", arg("x-foo", 6))),
		"declare: again with a ttl instead of none": inCase(declareQ("d38", "", nil),
			declareQ("d38", "", arg("x-message-ttl", 5))),
		"declare: again without a locator": inCase(declareQ("d39", "", arg("x-queue-leader-locator", "balanced")),
			declareQ("d39", "", nil)),
		"declare: again with lazy":   inCase(declareQ("d40", "", nil), declareQ("d40", "", arg("x-queue-mode", "lazy"))),
		"declare: passive otherwise": inCase(declareQ("d41", "", nil), methodOn(1, &wire.QueueDeclare{Queue: "d41", Passive: true})),
		"consume: stream with priority": inCase(declareQ("c1", "stream", nil), prefetch(5),
			consumeQ("c1", arg("x-priority", 1))),
		"consume: classic with stream offset": inCase(declareQ("c2", "", nil), consumeQ("c2", arg("x-stream-offset", 1))),
		"consume: quorum with stream offset": inCase(declareQ("c3", "quorum", nil),
			consumeQ("c3", arg("x-stream-offset", "first"))),
		"consume: stream offset bad": inCase(declareQ("c4", "stream", nil), prefetch(5),
			consumeQ("c4", arg("x-stream-offset", "foo"))),
		"consume: stream offset of a truth": inCase(declareQ("c5", "stream", nil), prefetch(5),
			consumeQ("c5", arg("x-stream-offset", true))),
		"consume: stream with global qos": inCase(declareQ("c6", "stream", nil), prefetch(5),
			methodOn(1, &wire.BasicQos{PrefetchCount: 5, Global: true}), consumeQ("c6", nil)),
		"consume: stream without prefetch and without acknowledgements": inCase(declareQ("c7", "stream", nil),
			methodOn(1, &wire.BasicConsume{Queue: "c7", NoAck: true})),
		"consume: unknown arguments": inCase(declareQ("c8", "", nil), consumeQ("c8", arg("x-foo", 1))),
		"consume: exclusive on single active": inCase(declareQ("c9", "", arg("x-single-active-consumer", true)),
			methodOn(1, &wire.BasicConsume{Queue: "c9", Exclusive: true})),
		"consume: exclusive beside another": inCase(declareQ("c10", "", nil), consumeQ("c10", nil),
			methodOn(1, &wire.BasicConsume{Queue: "c10", Exclusive: true})),
		"get: quorum with single active": inCase(declareQ("g1", "quorum", arg("x-single-active-consumer", true)),
			methodOn(1, &wire.BasicGet{Queue: "g1"})),
		"get: classic with single active": inCase(declareQ("g2", "", arg("x-single-active-consumer", true)),
			methodOn(1, &wire.BasicGet{Queue: "g2"})),
		"get: a queue not there": inCase(methodOn(1, &wire.BasicGet{Queue: "nope"})),
		"delete: stream if empty": inCase(declareQ("x1", "stream", nil),
			methodOn(1, &wire.QueueDelete{Queue: "x1", IfEmpty: true})),
		"delete: stream if unused": inCase(declareQ("x2", "stream", nil), prefetch(5), consumeQ("x2", nil),
			methodOn(1, &wire.QueueDelete{Queue: "x2", IfUnused: true})),
		"delete: classic if empty": inCase(declareQ("x3", "", nil), put("x3", wire.Fields{}, "x"),
			methodOn(1, &wire.QueueDelete{Queue: "x3", IfEmpty: true})),
		"delete: quorum if unused": inCase(declareQ("x4", "quorum", nil), consumeQ("x4", nil),
			methodOn(1, &wire.QueueDelete{Queue: "x4", IfUnused: true})),
		"publish: expiration too long": inCase(declareQ("p1", "", nil), put("p1", wire.Fields{
			Flags: wire.HasExpiration, Expiration: []byte("315360000001")}, "")),
		"publish: expiration empty": inCase(declareQ("p2", "", nil), put("p2", wire.Fields{
			Flags: wire.HasExpiration}, "")),
		"publish: BCC not a list": inCase(put("q", withHeaders(arg("BCC", 5)), "")),
		"publish: CC of integers": inCase(put("q", withHeaders(wire.Table(nil).PutArray("CC",
			wire.Array(nil).Put(wire.Value{Type: wire.TypeInt8, Raw: []byte{1}}))), "")),
		"exchange: alternate of an integer": inCase(declareX("e1", "fanout", arg("alternate-exchange", 1))),
		"exchange: again with an alternate": inCase(declareX("e2", "fanout", nil),
			declareX("e2", "fanout", arg("alternate-exchange", "ae"))),
		"exchange: again without its alternate": inCase(declareX("e3", "fanout", arg("alternate-exchange", "ae")),
			declareX("e3", "fanout", nil)),
		"exchange: again internal": inCase(declareX("e4", "fanout", nil), methodOn(1, &wire.ExchangeDeclare{
			Exchange: "e4", Type: "fanout", Durable: true, Internal: true})),
		"exchange: again auto-delete": inCase(declareX("e5", "fanout", nil), methodOn(1, &wire.ExchangeDeclare{
			Exchange: "e5", Type: "fanout", Durable: true, AutoDelete: true})),
		"exchange: type empty":                  inCase(declareX("e6", "", nil)),
		"exchange: predeclared again":           inCase(declareX("amq.direct", "direct", nil)),
		"exchange: predeclared of another type": inCase(declareX("amq.direct", "topic", nil)),
		"exchange: predeclared deleted if unused": inCase(methodOn(1, &wire.ExchangeDelete{Exchange: "amq.topic",
			IfUnused: true})),
		"exchange: bind the default": inCase(methodOn(1, &wire.ExchangeBind{Destination: "", Source: "amq.topic"})),
		"exchange: bind to one not there": inCase(methodOn(1, &wire.ExchangeBind{Destination: "nope",
			Source: "amq.topic"})),
		"exchange: delete the default": inCase(methodOn(1, &wire.ExchangeDelete{})),
		"exchange: unbind from one not there": inCase(declareQ("u1", "", nil), methodOn(1, &wire.QueueUnbind{
			Queue: "u1", Exchange: "nope"})),
		"exchange: unbind a queue not there": inCase(methodOn(1, &wire.QueueUnbind{Queue: "nope",
			Exchange: "amq.topic"})),
		"bind: headers x-match of an integer": inCase(declareQ("b1", "", nil), bindQ("b1", "amq.headers", "",
			arg("x-match", 5))),
		"local random: a key":    inCase(declareX("lr1", "x-local-random", nil), declareQ("b2", "", nil), bindQ("b2", "lr1", "k", nil)),
		"local random: a quorum": inCase(declareX("lr2", "x-local-random", nil), declareQ("b3", "quorum", nil), bindQ("b3", "lr2", "", nil)),
		"local random: a stream": inCase(declareX("lr3", "x-local-random", nil), declareQ("b4", "stream", nil), bindQ("b4", "lr3", "", nil)),
		"local random: an exchange": inCase(declareX("lr4", "x-local-random", nil), methodOn(1, &wire.ExchangeBind{
			Destination: "amq.fanout", Source: "lr4"})),
		"hash: weight 0":     inCase(declareX("ch1", "x-consistent-hash", nil), declareQ("b5", "", nil), bindQ("b5", "ch1", "0", nil)),
		"hash: weight abc":   inCase(declareX("ch2", "x-consistent-hash", nil), declareQ("b6", "", nil), bindQ("b6", "ch2", "abc", nil)),
		"hash: weight empty": inCase(declareX("ch3", "x-consistent-hash", nil), declareQ("b7", "", nil), bindQ("b7", "ch3", "", nil)),
		"hash: property bad": inCase(declareX("ch4", "x-consistent-hash", arg("hash-property", "app_id"))),
		"hash: both": inCase(declareX("ch5", "x-consistent-hash", append(arg("hash-property", "message_id"),
			arg("hash-header", "h")...))),
		"history: length 0":  inCase(declareX("rh1", "x-recent-history", arg("x-recent-history-length", 0))),
		"history: length -1": inCase(declareX("rh2", "x-recent-history", arg("x-recent-history-length", -1))),
		"history: length of a string": inCase(declareX("rh3", "x-recent-history",
			arg("x-recent-history-length", "five"))),
		"tx: ack of an unknown tag":       inCase(methodOn(1, &wire.TxSelect{}), methodOn(1, &wire.BasicAck{DeliveryTag: 5})),
		"tx: rollback without select":     inCase(methodOn(1, &wire.TxRollback{})),
		"ack: multiple of an unknown tag": inCase(methodOn(1, &wire.BasicAck{DeliveryTag: 5, Multiple: true})),
		"ack: tag 0":                      inCase(methodOn(1, &wire.BasicAck{})),
		"reject: an unknown tag":          inCase(methodOn(1, &wire.BasicReject{DeliveryTag: 5})),
		"recover-async: requeue false":    inCase(methodOn(1, &wire.BasicRecoverAsync{})),
		"cancel: an unknown tag":          inCase(methodOn(1, &wire.BasicCancel{Tag: "x"})),
		"reply-to: consumed twice": inCase(
			methodOn(1, &wire.BasicConsume{Queue: "amq.rabbitmq.reply-to", NoAck: true}),
			methodOn(1, &wire.BasicConsume{Queue: "amq.rabbitmq.reply-to", NoAck: true})),
		"reply-to: declared": inCase(methodOn(1, &wire.QueueDeclare{Queue: "amq.rabbitmq.reply-to"})),
		"reply-to: a token of nobody": inCase(methodOn(1, &wire.QueueDeclare{Queue: "amq.rabbitmq.reply-to.abc.def",
			Passive: true})),
		"access: request": inCase(methodOn(1, &wire.AccessRequest{Realm: "/data"})),
	} {
		rawCases[name] = c
	}
}
