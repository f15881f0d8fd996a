package clients

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"trine/internal/front/amqp"
)

// prober is what each probe may use: a channel and connection of its own, beside
// another connection that holds what is locked.
type prober struct {
	t     *testing.T
	ch    *amqp091.Channel
	other *amqp091.Channel // of another connection, with queue ex
}

type table = amqp091.Table

func (p *prober) queue(name string, args table) error {
	_, err := p.ch.QueueDeclare(name, true, false, false, false, args)
	return err
}

func (p *prober) publish(exchange, key string, m amqp091.Publishing) error {
	return p.ch.Publish(exchange, key, false, false, m)
}

func (p *prober) consume(q, tag string, autoAck, exclusive bool, args table) error {
	_, err := p.ch.Consume(q, tag, autoAck, exclusive, false, false, args)
	return err
}

// probes ask for what the replies in testdata answer, under the same names.
var probes = map[string]func(p *prober) error{
	"queue.declare durable mismatch": func(p *prober) error {
		_, err := p.ch.QueueDeclare("q", false, false, false, false, nil)
		return err
	},
	"queue.declare auto_delete mismatch": func(p *prober) error {
		_, err := p.ch.QueueDeclare("q", true, true, false, false, nil)
		return err
	},
	"queue.declare exclusive mismatch": func(p *prober) error {
		_, err := p.ch.QueueDeclare("q", true, false, true, false, nil)
		return err
	},
	"queue.declare arg mismatch value": func(p *prober) error {
		return p.queue("qttl", table{"x-message-ttl": int32(2000)})
	},
	"queue.declare arg missing": func(p *prober) error { return p.queue("qttl", nil) },
	"queue.declare arg same value other int type": func(p *prober) error {
		return p.queue("qttl", table{"x-message-ttl": int64(1000)})
	},
	"queue.declare extra unknown x-arg": func(p *prober) error {
		return p.queue("q", table{"x-foo": "bar"})
	},
	"queue.declare type mismatch": func(p *prober) error {
		return p.queue("q", table{"x-queue-type": "quorum"})
	},
	"queue.declare passive missing": func(p *prober) error {
		_, err := p.ch.QueueDeclarePassive("nope", false, false, false, false, nil)
		return err
	},
	"queue.declare amq. prefix": func(p *prober) error { return p.queue("amq.foo", nil) },
	"queue.declare exclusive from other conn": func(p *prober) error {
		_, err := p.ch.QueueDeclare("ex", false, false, true, false, nil)
		return err
	},
	"consume exclusive queue other conn": func(p *prober) error {
		return p.consume("ex", "", false, false, nil)
	},
	"queue.declare x-message-ttl negative": func(p *prober) error {
		return p.queue("n1", table{"x-message-ttl": int32(-1)})
	},
	"queue.declare x-expires 0": func(p *prober) error {
		return p.queue("n2", table{"x-expires": int32(0)})
	},
	"queue.declare x-message-ttl string": func(p *prober) error {
		return p.queue("n3", table{"x-message-ttl": "abc"})
	},
	"queue.declare x-overflow bad": func(p *prober) error {
		return p.queue("n4", table{"x-overflow": "bad"})
	},
	"queue.declare x-max-priority 256": func(p *prober) error {
		return p.queue("n5", table{"x-max-priority": int32(256)})
	},
	"queue.declare dlrk without dlx": func(p *prober) error {
		return p.queue("n6", table{"x-dead-letter-routing-key": "k"})
	},
	"quorum non-durable": func(p *prober) error {
		_, err := p.ch.QueueDeclare("n7", false, false, false, false, table{"x-queue-type": "quorum"})
		return err
	},
	"quorum exclusive": func(p *prober) error {
		_, err := p.ch.QueueDeclare("n8", true, false, true, false, table{"x-queue-type": "quorum"})
		return err
	},
	"quorum auto-delete": func(p *prober) error {
		_, err := p.ch.QueueDeclare("n9", true, true, false, false, table{"x-queue-type": "quorum"})
		return err
	},
	"quorum x-max-priority": func(p *prober) error {
		return p.queue("n10", table{"x-queue-type": "quorum", "x-max-priority": int32(5)})
	},
	"quorum server-named": func(p *prober) error {
		return p.queue("", table{"x-queue-type": "quorum"})
	},
	"bad x-queue-type": func(p *prober) error { return p.queue("n11", table{"x-queue-type": "foo"}) },
	"exchange.declare type mismatch": func(p *prober) error {
		return p.ch.ExchangeDeclare("x", "topic", true, false, false, false, nil)
	},
	"exchange.declare durable mismatch": func(p *prober) error {
		return p.ch.ExchangeDeclare("x", "direct", false, false, false, false, nil)
	},
	"exchange.declare unknown type": func(p *prober) error {
		return p.ch.ExchangeDeclare("y", "zzz", true, false, false, false, nil)
	},
	"exchange.declare passive missing": func(p *prober) error {
		return p.ch.ExchangeDeclarePassive("nope", "direct", true, false, false, false, nil)
	},
	"exchange.declare amq. prefix": func(p *prober) error {
		return p.ch.ExchangeDeclare("amq.foo", "direct", true, false, false, false, nil)
	},
	"exchange.declare default ''": func(p *prober) error {
		return p.ch.ExchangeDeclare("", "direct", true, false, false, false, nil)
	},
	"exchange.delete amq.direct": func(p *prober) error {
		return p.ch.ExchangeDelete("amq.direct", false, false)
	},
	"exchange.delete missing (idempotent)": func(p *prober) error {
		return p.ch.ExchangeDelete("nope", false, false)
	},
	"queue.delete missing (idempotent)": func(p *prober) error {
		_, err := p.ch.QueueDelete("nope", false, false, false)
		return err
	},
	"exchange.delete if-unused in use": func(p *prober) error {
		return p.ch.ExchangeDelete("x", true, false)
	},
	"queue.delete if-unused in use": func(p *prober) error {
		if err := p.consume("q", "", false, false, nil); err != nil {
			return err
		}
		_, err := p.ch.QueueDelete("q", true, false, false)
		return err
	},
	"queue.delete if-empty not empty": func(p *prober) error {
		_, err := p.ch.QueueDelete("qq", false, true, false)
		return err
	},
	"queue.bind missing exchange": func(p *prober) error {
		return p.ch.QueueBind("q", "k", "nope", false, nil)
	},
	"queue.bind missing queue": func(p *prober) error {
		return p.ch.QueueBind("nope", "k", "x", false, nil)
	},
	"queue.bind default exchange": func(p *prober) error {
		return p.ch.QueueBind("q", "k", "", false, nil)
	},
	"queue.unbind missing binding (idempotent)": func(p *prober) error {
		return p.ch.QueueUnbind("q", "zzz", "x", nil)
	},
	"publish missing exchange": func(p *prober) error {
		return p.publish("nope", "k", amqp091.Publishing{})
	},
	"publish internal exchange": func(p *prober) error {
		return p.publish("xi", "k", amqp091.Publishing{})
	},
	"publish immediate": func(p *prober) error {
		return p.ch.Publish("", "q", false, true, amqp091.Publishing{})
	},
	"publish bad expiration": func(p *prober) error {
		return p.publish("", "q", amqp091.Publishing{Expiration: "abc"})
	},
	"publish negative expiration": func(p *prober) error {
		return p.publish("", "q", amqp091.Publishing{Expiration: "-1"})
	},
	"publish user_id wrong": func(p *prober) error {
		return p.publish("", "q", amqp091.Publishing{UserId: "bob"})
	},
	"publish CC not list": func(p *prober) error {
		return p.publish("", "q", amqp091.Publishing{Headers: table{"CC": "foo"}})
	},
	"ack unknown tag":                        func(p *prober) error { return p.ch.Ack(99, false) },
	"nack unknown tag":                       func(p *prober) error { return p.ch.Nack(99, false, true) },
	"ack multiple tag 0 nothing outstanding": func(p *prober) error { return p.ch.Ack(0, true) },
	"consume: exclusive consumer exists": func(p *prober) error {
		if _, err := p.other.Consume("q", "", false, true, false, false, nil); err != nil {
			return err
		}
		return p.consume("q", "", false, false, nil)
	},
	"consume: dup consumer tag": func(p *prober) error {
		if err := p.consume("q", "t", false, false, nil); err != nil {
			return err
		}
		return p.consume("qttl", "t", false, false, nil)
	},
	"consume missing queue": func(p *prober) error { return p.consume("nope", "", false, false, nil) },
	"consume x-priority not int": func(p *prober) error {
		return p.consume("qttl", "", false, false, table{"x-priority": "abc"})
	},
	"consume quorum with global qos": func(p *prober) error {
		if err := p.ch.Qos(5, 0, true); err != nil {
			return err
		}
		return p.consume("qq", "", false, false, nil)
	},
	"qos prefetch_size!=0":      func(p *prober) error { return p.ch.Qos(0, 10, false) },
	"recover requeue=false":     func(p *prober) error { return p.ch.Recover(false) },
	"channel.flow active=false": func(p *prober) error { return p.ch.Flow(false) },
	"direct reply-to consume with ack": func(p *prober) error {
		return p.consume("amq.rabbitmq.reply-to", "", false, false, nil)
	},
	"direct reply-to publish w/o consumer": func(p *prober) error {
		return p.publish("", "q", amqp091.Publishing{ReplyTo: "amq.rabbitmq.reply-to"})
	},
	"tx then confirm": func(p *prober) error {
		if err := p.ch.Tx(); err != nil {
			return err
		}
		return p.ch.Confirm(false)
	},
	"confirm then tx": func(p *prober) error {
		if err := p.ch.Confirm(false); err != nil {
			return err
		}
		return p.ch.Tx()
	},
	"tx.commit without select": func(p *prober) error { return p.ch.TxCommit() },
	"consume stream without prefetch": func(p *prober) error {
		return p.consume("st", "", false, false, nil)
	},
	"consume stream auto-ack": func(p *prober) error {
		if err := p.ch.Qos(5, 0, false); err != nil {
			return err
		}
		return p.consume("st", "", true, false, nil)
	},
	"basic.get stream": func(p *prober) error {
		_, _, err := p.ch.Get("st", false)
		return err
	},
	"purge stream": func(p *prober) error {
		_, err := p.ch.QueuePurge("st", false)
		return err
	},
	"headers x-match invalid": func(p *prober) error {
		return p.ch.QueueBind("q", "", "amq.headers", false, table{"x-match": "foo"})
	},
}

func TestRepliesAreThoseOfRabbitMQ(t *testing.T) {
	file, err := os.ReadFile("testdata/replies-4.0.5.txt")
	ok(t, err)
	h := newHouse(t, amqp.Options{})
	setup := h.channel()
	declare(t, setup, "q", nil)
	declare(t, setup, "qttl", table{"x-message-ttl": int32(1000)})
	declare(t, setup, "qq", table{"x-queue-type": "quorum"})
	declare(t, setup, "st", table{"x-queue-type": "stream"})
	ok(t, setup.ExchangeDeclare("x", "direct", true, false, false, false, nil))
	ok(t, setup.ExchangeDeclare("xi", "direct", true, false, true, false, nil))
	ok(t, setup.QueueBind("q", "k", "x", false, nil))
	ran := 0
	for line := range strings.Lines(string(file)) {
		parts := strings.SplitN(strings.TrimRight(line, "\n"), " | ", 3)
		name, level, want := strings.TrimSpace(parts[0]), parts[1], parts[2]
		probe := probes[name]
		if probe == nil {
			t.Errorf("nobody probes %q", name)
			continue
		}
		ran++
		t.Run(name, func(t *testing.T) { h.probe(t, probe, level, want) })
	}
	if ran != len(probes) {
		t.Errorf("%d of %d probes ran", ran, len(probes))
	}
}

// probe compares how a channel or connection ends.
func (h *house) probe(t *testing.T, probe func(*prober) error, level, want string) {
	locker := h.dial()
	defer locker.Close()
	p := &prober{t: t, other: open(t, locker)}
	if _, err := p.other.QueueDeclare("ex", false, false, true, false, nil); err != nil {
		t.Fatal(err)
	}
	c := h.dial()
	defer c.Close()
	p.ch = open(t, c)
	onChannel := p.ch.NotifyClose(make(chan *amqp091.Error, 1))
	onConn := c.NotifyClose(make(chan *amqp091.Error, 1))
	err := probe(p)
	if level == "none" {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.ch.QueueDeclarePassive("q", false, false, false, false, nil); err != nil {
			t.Fatalf("the channel is closed: %v", err)
		}
		return
	}
	var e *amqp091.Error
	got := ""
	select { // the connection's end also ends the channel
	case e = <-onConn:
		got = "CONNECTION"
	case e = <-onChannel:
		got = "CHANNEL"
		select {
		case c := <-onConn:
			if c != nil {
				e, got = c, "CONNECTION"
			}
		case <-time.After(50 * time.Millisecond):
		}
	case <-time.After(5 * time.Second):
		t.Fatalf("nothing was closed; the call gave %v", err)
	}
	if e == nil {
		t.Fatalf("closed without a reason; the call gave %v", err)
	}
	if got = fmt.Sprintf("%s %d", got, e.Code); got != level || e.Reason != want {
		t.Errorf("got  %s | %s\nwant %s | %s", got, e.Reason, level, want)
	}
}

func TestLoginsThatAreRefusedSaySoToClientsThatUnderstand(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	at := h.server.Addr().String()
	for name, c := range map[string]struct {
		url  string
		code int
	}{
		"a wrong password":          {"amqp://guest:wrong@" + at + "/", 403},
		"a user who is not there":   {"amqp://bob:guest@" + at + "/", 403},
		"a virtual host not there":  {"amqp://guest:guest@" + at + "/nope", 530},
		"a heartbeat of one second": {"amqp://guest:guest@" + at + "/?heartbeat=1", 0},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := amqp091.Dial(c.url)
			if err == nil {
				defer conn.Close()
			}
			code := 0
			if e, is := err.(*amqp091.Error); is {
				code = e.Code
			}
			if code != c.code {
				t.Fatalf("%v", err)
			}
		})
	}
}
