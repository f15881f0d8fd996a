package api

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"unicode/utf8"

	"trine/internal/core"
	"trine/internal/front/amqp/direct"
	kinds "trine/internal/front/amqp/route"
	"trine/internal/front/amqp/wire"
)

// exchangeRoutes are the paths of this file.
var exchangeRoutes = []route{
	{"GET", "exchanges", managers, false, (*server).exchanges},
	{"GET", "exchanges/*", managers, true, (*server).exchanges},
	{"GET", "exchanges/*/*", managers, true, (*server).exchange},
	{"PUT", "exchanges/*/*", managers, true, (*server).putExchange},
	{"DELETE", "exchanges/*/*", managers, true, (*server).removeExchange},
	{"POST", "exchanges/*/*/publish", managers, true, (*server).publish},
	{"POST", "queues/*/*/get", managers, true, (*server).get},
}

// exchangeName gives the exchange that a path names: the default one has no name.
func exchangeName(s string) string {
	if s == "amq.default" {
		return ""
	}
	return s
}

func (s *server) listExchanges(c *call, host string) ([]object, error) {
	rates, err := c.span("msg_rates")
	if err != nil {
		return nil, err
	}
	stats := map[string]*stat{}
	for _, p := range s.gather(c, "exchanges") {
		for name, st := range p.Exchanges {
			if have := stats[name]; have != nil {
				have.add(&st)
			} else {
				stats[name] = &st
			}
		}
	}
	all := []object{}
	for _, x := range s.f.View().Exchanges(host) {
		if host == "" && !s.sees(c, x.VHost) {
			continue
		}
		o := object{"name": x.Name, "vhost": x.VHost, "type": x.Type, "durable": x.Durable,
			"auto_delete": x.AutoDelete, "internal": x.Internal, "arguments": x.Arguments}
		if x.Predeclared {
			o["user_who_performed_action"] = "rmq-internal"
		}
		if x.Policy != "" {
			o["policy"] = x.Policy
		}
		if st := stats[x.VHost+"\x00"+x.Name]; st != nil {
			if m := st.messages(rates, passed); m != nil {
				o["message_stats"] = m
			}
		}
		all = append(all, o)
	}
	return all, nil
}

func (s *server) exchanges(c *call) (any, error) {
	l, err := c.paged()
	if err != nil {
		return nil, err
	}
	all, err := s.listExchanges(c, c.arg(1))
	if err != nil {
		return nil, err
	}
	return l.reply(all, nil, nil)
}

func (s *server) exchange(c *call) (any, error) {
	all, err := s.listExchanges(c, c.arg(1))
	if err != nil {
		return nil, err
	}
	all = with(all, "name", exchangeName(c.arg(2)))
	if len(all) == 0 {
		return nil, errNone
	}
	all[0]["incoming"], all[0]["outgoing"] = []object{}, []object{}
	return all[0], nil
}

func (s *server) putExchange(c *call) (any, error) {
	b, err := c.body()
	if err != nil {
		return nil, err
	}
	args, err := table(b["arguments"])
	if err != nil {
		return nil, err
	}
	typ := text(b, "type")
	if typ == "" {
		typ = "direct"
	}
	if len(c.arg(2)) > wire.ShortMax || len(typ) > wire.ShortMax {
		return nil, bad("exchange name or type is too long")
	}
	if kinds.KindOf(typ) == 0 && typ != kinds.Delayed {
		return nil, bad("invalid exchange type '" + typ + "'")
	}
	there := s.f.View().Exchange(c.arg(1), c.arg(2)) != nil
	return nil, s.declare(c, there, &wire.ExchangeDeclare{Exchange: c.arg(2), Type: typ,
		Durable: flag(b, "durable"), AutoDelete: flag(b, "auto_delete"), Internal: flag(b, "internal"),
		Arguments: args})
}

func (s *server) removeExchange(c *call) (any, error) {
	if s.f.View().Exchange(c.arg(1), exchangeName(c.arg(2))) == nil {
		return nil, errNone
	}
	if err := s.direct(c, &wire.ExchangeDelete{Exchange: exchangeName(c.arg(2)),
		IfUnused: c.URL.Query().Get("if-unused") == "true"}); err != nil {
		return nil, err
	}
	return nil, done
}

// publish puts one message in, and says whether it found a queue.
func (s *server) publish(c *call) (any, error) {
	if s.f.View().Exchange(c.arg(1), exchangeName(c.arg(2))) == nil {
		return nil, notFound("exchange_not_found")
	}
	b, err := c.body("routing_key", "properties", "payload", "payload_encoding")
	if err != nil {
		return nil, err
	}
	payload, ok := b["payload"].(string)
	if !ok {
		return nil, bad("payload_not_string")
	}
	body := []byte(payload)
	switch enc := text(b, "payload_encoding"); enc {
	case "string":
	case "base64":
		if body, err = base64.StdEncoding.DecodeString(payload); err != nil {
			return nil, bad([]string{"not_base64", payload})
		}
	default:
		return nil, bad([]string{"unsupported_encoding", enc})
	}
	o, _ := b["properties"].(object)
	props, err := fieldsOf(o)
	if err != nil {
		return nil, err
	}
	key := text(b, "routing_key")
	if len(key) > wire.ShortMax {
		return nil, bad("routing key is too long")
	}
	d := direct.Open(s.f, c.User, c.arg(1), c.info())
	defer d.Close()
	ctx, cancel := context.WithTimeout(c.Context(), answerMax)
	defer cancel()
	routed, err := d.Publish(ctx, exchangeName(c.arg(2)), key, props, body)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, bad("confirm_timeout Timed out waiting for a publisher confirm. The message may " +
			"still have been enqueued. Check the health of the queues bound to this exchange.")
	case core.KindOf(err) == core.Refused:
		return nil, bad("rejected Unable to publish message. Check queue limits.")
	case err != nil:
		return nil, fromChannel(err)
	}
	return object{"routed": routed}, nil
}

// getMax bounds how many messages one request takes.
const getMax = 10000

// ackmodes say what becomes of what was got: taken at once, or rejected afterwards,
// to go back or not.
var ackmodes = map[string]struct{ noAck, requeue bool }{"ack_requeue_true": {false, true},
	"ack_requeue_false": {true, false}, "reject_requeue_true": {false, true},
	"reject_requeue_false": {false, false}}

// get takes messages out of a queue, or shows them.
func (s *server) get(c *call) (any, error) {
	if s.f.View().Queue(c.arg(1), c.arg(2)) == nil {
		return nil, notFound("queue_not_found")
	}
	b, err := c.body("ackmode", "count", "encoding")
	if err != nil {
		return nil, err
	}
	mode, ok := ackmodes[text(b, "ackmode")]
	if !ok {
		return nil, bad(fmt.Sprintf("Invalid ackmode value: %v. Valid values are: ack_requeue_true, "+
			"ack_requeue_false, reject_requeue_true, reject_requeue_false", b["ackmode"]))
	}
	enc := text(b, "encoding")
	if enc != "auto" && enc != "base64" {
		return nil, bad("Unsupported encoding. Please use auto or base64.")
	}
	count, ok := number(b, "count")
	if !ok {
		return nil, bad("count is no number")
	}
	truncate := -1
	if n, ok := number(b, "truncate"); ok {
		truncate = n
	}
	d := direct.Open(s.f, c.User, c.arg(1), c.info())
	defer d.Close()
	ctx, cancel := context.WithTimeout(c.Context(), answerMax)
	defer cancel()
	all, tags := []object{}, []uint64{}
	for range min(count, getMax) {
		m, err := d.Get(ctx, c.arg(2), mode.noAck)
		if err != nil {
			return nil, fromChannel(err)
		}
		if m == nil {
			break
		}
		all, tags = append(all, got(m, enc, truncate)), append(tags, m.Tag)
	}
	if !mode.noAck {
		for _, tag := range tags {
			if err := d.Reject(ctx, c.arg(2), tag, mode.requeue); err != nil {
				return nil, fromChannel(err)
			}
		}
	}
	return all, nil
}

func got(m *direct.Message, enc string, truncate int) object {
	body := m.Body
	if truncate >= 0 && len(body) >= truncate {
		body = body[:truncate]
	}
	o := object{"payload_bytes": len(m.Body), "redelivered": m.Redelivered, "exchange": m.Exchange,
		"routing_key": m.Key, "message_count": m.Ready, "properties": propertiesOf(m.Properties)}
	if enc == "auto" && utf8.Valid(body) {
		o["payload"], o["payload_encoding"] = string(body), "string"
	} else {
		o["payload"], o["payload_encoding"] = base64.StdEncoding.EncodeToString(body), "base64"
	}
	return o
}
