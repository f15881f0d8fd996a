package clients

import "trine/internal/front/amqp/wire"

func init() {
	trace := methodOn(1, &wire.BasicPublish{Exchange: []byte("amq.rabbitmq.trace")})
	nobody := methodOn(1, &wire.BasicPublish{Exchange: []byte("amq.direct"), RoutingKey: []byte("k"), Mandatory: true})
	for name, c := range map[string]rawCase{
		"timeout: declare classic":              inCase(declareQ("t1", "classic", arg("x-consumer-timeout", 60000))),
		"timeout: declare quorum":               inCase(declareQ("t2", "quorum", arg("x-consumer-timeout", 60000))),
		"timeout: declare stream":               inCase(declareQ("t3", "stream", arg("x-consumer-timeout", 60000))),
		"timeout: declare with a string":        inCase(declareQ("t4", "", arg("x-consumer-timeout", "a"))),
		"timeout: consume":                      inCase(declareQ("t5", "", nil), consumeQ("t5", arg("x-consumer-timeout", 5))),
		"timeout: consume a stream":             inCase(declareQ("t6", "stream", nil), prefetch(5), consumeQ("t6", arg("x-consumer-timeout", 5))),
		"consume: with cancel on failover":      inCase(declareQ("t7", "", nil), consumeQ("t7", arg("x-cancel-on-ha-failover", true))),
		"consume: with credit":                  inCase(declareQ("t8", "", nil), consumeQ("t8", wire.Table(nil).PutTable("x-credit", arg("credit", 5)))),
		"declare: master locator bad":           inCase(declareQ("t9", "", arg("x-queue-master-locator", "foo"))),
		"declare: master locator quorum":        inCase(declareQ("t10", "quorum", arg("x-queue-master-locator", "random"))),
		"declare: single active stream":         inCase(declareQ("t11", "stream", arg("x-single-active-consumer", true))),
		"declare: in-memory length":             inCase(declareQ("t12", "quorum", arg("x-max-in-memory-length", 5))),
		"declare: in-memory length classic":     inCase(declareQ("t13", "", arg("x-max-in-memory-length", 5))),
		"declare: at-least-once with drop-head": inCase(declareQ("t14", "quorum", arg("x-dead-letter-strategy", "at-least-once"))),
		"publish: to the trace":                 inCase(trace, header(60, 0, 0)),
		"exchange: x-event":                     inCase(declareX("t16", "x-event", nil)),
		"bind: exchange to itself": inCase(declareX("t17", "fanout", nil), methodOn(1, &wire.ExchangeBind{
			Destination: "t17", Source: "t17"})),
		"declare: exclusive again as not": inCase(methodOn(1, &wire.QueueDeclare{Queue: "t19", Exclusive: true}),
			methodOn(1, &wire.QueueDeclare{Queue: "t19"})),
		"declare: with line ends": inCase(methodOn(1, &wire.QueueDeclare{Queue: "t\r\n20", Exclusive: true}),
			methodOn(1, &wire.QueueDeclare{Queue: "t20", Passive: true})),
		"consume: stream twice with one tag": inCase(declareQ("t21", "stream", nil), prefetch(5), consumeQ("t21", nil),
			consumeQ("t21", nil)),
		"confirm: select twice":            inCase(methodOn(1, &wire.ConfirmSelect{}), methodOn(1, &wire.ConfirmSelect{})),
		"tx: select twice":                 inCase(methodOn(1, &wire.TxSelect{}), methodOn(1, &wire.TxSelect{})),
		"flow: active":                     inCase(methodOn(1, &wire.ChannelFlow{Active: true})),
		"publish: mandatory to nobody":     inCase(nobody, header(60, 0, 0)),
		"publish: mandatory with confirms": inCase(methodOn(1, &wire.ConfirmSelect{}), nobody, header(60, 0, 0)),
		"exchange: a reserved name":        inCase(declareX("amq.new", "direct", nil)),
		"consume: stream before the first": inCase(declareQ("t23", "stream", nil), prefetch(5), consumeQ("t23", arg("x-stream-offset", -5))),
		"consume: stream offset of an age": inCase(declareQ("t24", "stream", nil), prefetch(5), consumeQ("t24", arg("x-stream-offset", "1h"))),
		"consume: stream filter of an integer": inCase(declareQ("t25", "stream", nil), prefetch(5),
			consumeQ("t25", arg("x-stream-filter", 5))),
		"consume: classic with a stream filter": inCase(declareQ("t26", "", nil), consumeQ("t26", arg("x-stream-filter", "a"))),
		"consume: stream exclusive": inCase(declareQ("t27", "stream", nil), prefetch(5),
			methodOn(1, &wire.BasicConsume{Queue: "t27", Exclusive: true})),
		"get: stream without acknowledgement": inCase(declareQ("t29", "stream", nil),
			methodOn(1, &wire.BasicGet{Queue: "t29", NoAck: true})),
		"bind: a stream": inCase(declareQ("t30", "stream", nil), bindQ("t30", "amq.topic", "#", nil)),
		"tx: with a stream": inCase(declareQ("t31", "stream", nil), methodOn(1, &wire.TxSelect{}),
			put("t31", wire.Fields{}, "x"), methodOn(1, &wire.TxCommit{})),
		"qos: shared, then a quorum queue": inCase(methodOn(1, &wire.BasicQos{PrefetchCount: 5, Global: true}),
			declareQ("t32", "quorum", nil), consumeQ("t32", nil)),
		"qos: shared of 0, then a quorum queue": inCase(methodOn(1, &wire.BasicQos{Global: true}),
			declareQ("t33", "quorum", nil), consumeQ("t33", nil)),
		"consume: exclusive twice over": inCase(declareQ("t34", "", nil),
			methodOn(1, &wire.BasicConsume{Queue: "t34", Tag: "a", Exclusive: true}),
			methodOn(1, &wire.BasicConsume{Queue: "t34", Tag: "b"})),
		"recover: without anything": inCase(methodOn(1, &wire.BasicRecover{Requeue: true})),
		"purge: a quorum queue":     inCase(declareQ("t35", "quorum", nil), methodOn(1, &wire.QueuePurge{Queue: "t35"})),
		"unbind: from the default":  inCase(declareQ("t36", "", nil), methodOn(1, &wire.QueueUnbind{Queue: "t36"})),
		"declare: exclusive passive of another kind": inCase(declareQ("t37", "quorum", nil),
			methodOn(1, &wire.QueueDeclare{Queue: "t37", Passive: true, Exclusive: true})),
	} {
		rawCases[name] = c
	}
}
