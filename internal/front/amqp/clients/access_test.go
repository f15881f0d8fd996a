package clients

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"trine/internal/core"
	"trine/internal/front/amqp"
	"trine/internal/front/gate"
	"trine/internal/seamtest"
)

func TestAUserMayDoWhatPermissionsSayAndNothingElse(t *testing.T) {
	b := seamtest.New(seamtest.RealTime())
	g, err := gate.New(b.Cluster(), gate.Options{})
	ok(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ok(t, g.Await(ctx))
	user, err := gate.PutUser(gate.Account{Name: "ann"}, "secret", rand.Reader)
	ok(t, err)
	permit, err := gate.Permit("ann", "/", gate.Permission{Configure: "^ann", Write: "^(ann|open)",
		Read: "^ann"})
	ok(t, err)
	put := make(chan error, 1)
	b.Cluster().Put([]core.Change{user, permit}, func(_ core.Revision, err error) { put <- err })
	ok(t, <-put)
	h := houseOver(t, b, amqp.Options{Gate: g})
	guest := h.channel()
	declare(t, guest, "open", nil)
	declare(t, guest, "shut", nil)
	ann := func() *amqp091.Channel {
		c, err := amqp091.Dial("amqp://ann:secret@" + h.server.Addr().String() + "/")
		ok(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return open(t, c)
	}
	ch := ann()
	declare(t, ch, "ann-1", nil)
	ok(t, ch.ExchangeDeclare("ann-x", "fanout", true, false, false, false, nil))
	ok(t, ch.QueueBind("open", "", "ann-x", false, nil))
	publish(t, ch, "ann-x", "", "through")
	if d := mustGet(t, guest, "open"); string(d.Body) != "through" {
		t.Fatalf("%s", d.Body)
	}
	for want, try := range map[string]func(ch *amqp091.Channel) error{
		"configure access to queue 'bob' in vhost '/' refused for user 'ann'": func(ch *amqp091.Channel) error {
			_, err := ch.QueueDeclare("bob", true, false, false, false, nil)
			return err
		},
		"read access to queue 'open' in vhost '/' refused for user 'ann'": func(ch *amqp091.Channel) error {
			_, err := ch.Consume("open", "", false, false, false, false, nil)
			return err
		},
		"write access to queue 'shut' in vhost '/' refused for user 'ann'": func(ch *amqp091.Channel) error {
			return ch.QueueBind("shut", "", "ann-x", false, nil)
		},
		"write access to exchange 'amq.default' in vhost '/' refused for user 'ann'": func(ch *amqp091.Channel) error {
			closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
			publish(t, ch, "", "shut", "x")
			return receive(t, closed)
		},
		"write access to exchange 'other' in vhost '/' refused for user 'ann'": func(ch *amqp091.Channel) error {
			_, err := ch.QueueDeclare("ann-2", true, false, false, false,
				table{"x-dead-letter-exchange": "other"})
			return err
		},
	} {
		err := try(ann())
		if e, is := err.(*amqp091.Error); !is || e.Code != 403 || !strings.HasSuffix(e.Reason, want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
