package gate_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"trine/internal/front"
	"trine/internal/front/amqp"
	"trine/internal/front/gate"
	"trine/internal/seamtest"
)

// TestAClientLogsInThroughTheGate: a client of its own make logs in by PLAIN and
// AMQPLAIN, over a socket, and is refused with the protocol's own codes.
func TestAClientLogsInThroughTheGate(t *testing.T) {
	b := seamtest.New(seamtest.RealTime())
	defer b.Close()
	g, err := gate.New(b.Cluster(), gate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b.Idle()
	permit, err := gate.Permit("ann", "/", gate.Permission{Configure: ".*", Write: ".*", Read: ".*"})
	if err != nil {
		t.Fatal(err)
	}
	put(t, b, user(t, "ann", "one"), user(t, "bob", "two"), permit)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := amqp.New(b, amqp.Options{Gate: g, Log: slog.New(slog.DiscardHandler)})
	s := front.Serve(l, front.Options{Name: "amqp", Open: a.Open, Clock: front.SystemClock(),
		Budget: front.NewBudget(front.NodeBytesMax)})
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.Shutdown(ctx)
	}()
	for _, c := range []struct {
		user, password string
		code           int // 0: it is let in
	}{
		{"guest", "guest", 0}, {"ann", "one", 0}, {"ann", "two", amqp091.AccessRefused},
		{"eve", "one", amqp091.AccessRefused}, {"bob", "two", amqp091.NotAllowed},
	} {
		for _, how := range []amqp091.Authentication{
			&amqp091.PlainAuth{Username: c.user, Password: c.password},
			&amqp091.AMQPlainAuth{Username: c.user, Password: c.password}} {
			conn, err := amqp091.DialConfig("amqp://"+l.Addr().String()+"/",
				amqp091.Config{SASL: []amqp091.Authentication{how}, Vhost: "/"})
			code := 0
			if e, ok := err.(*amqp091.Error); ok {
				code = e.Code
			} else if err != nil {
				t.Errorf("%s by %s: %v", c.user, how.Mechanism(), err)
			}
			if code != c.code {
				t.Errorf("%s with %s by %s: %v, should be %d", c.user, c.password, how.Mechanism(), err, c.code)
			}
			if err == nil {
				if err := conn.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}
