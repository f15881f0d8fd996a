// Package clients tests the AMQP front end with a client of RabbitMQ over sockets.
package clients

import (
	"context"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"trine/internal/front"
	"trine/internal/front/amqp"
	"trine/internal/seamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a front end over a seam in memory, on a socket.
type house struct {
	t      *testing.T
	broker *seamtest.Broker
	front  *amqp.Front
	server *front.Server
}

func newHouse(t *testing.T, o amqp.Options, with ...seamtest.Option) *house {
	t.Helper()
	return houseOver(t, seamtest.New(append(with, seamtest.RealTime())...), o)
}

// houseOver is a house over a broker of the test's, which it closes.
func houseOver(t *testing.T, b *seamtest.Broker, o amqp.Options) *house {
	t.Helper()
	return houseOnSeam(t, b, b, o)
}

// houseOnSeam is houseOver where the front end has another seam over the broker.
func houseOnSeam(t *testing.T, seam front.Core, b *seamtest.Broker, o amqp.Options) *house {
	t.Helper()
	h := &house{t: t, broker: b}
	o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	h.front = amqp.New(seam, o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.server = front.Serve(l, front.Options{Name: "amqp", Open: h.front.Open, Log: o.Log})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := h.server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		h.broker.Close()
	})
	return h
}

// dial opens a connection.
func (h *house) dial() *amqp091.Connection {
	h.t.Helper()
	c, err := amqp091.Dial("amqp://guest:guest@" + h.server.Addr().String() + "/")
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = c.Close() })
	return c
}

// channel opens a channel on a connection of its own.
func (h *house) channel() *amqp091.Channel {
	h.t.Helper()
	return open(h.t, h.dial())
}

func open(t *testing.T, c *amqp091.Connection) *amqp091.Channel {
	t.Helper()
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// ok ends the test where err says so.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func declare(t *testing.T, ch *amqp091.Channel, name string, args amqp091.Table) amqp091.Queue {
	t.Helper()
	q, err := ch.QueueDeclare(name, true, false, false, false, args)
	ok(t, err)
	return q
}

func publish(t *testing.T, ch *amqp091.Channel, exchange, key, body string) {
	t.Helper()
	ok(t, ch.Publish(exchange, key, false, false, amqp091.Publishing{Body: []byte(body)}))
}

// receive waits for something that must come.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v, open := <-from:
		if !open {
			t.Fatal("the channel was closed")
		}
		return v
	case <-time.After(5 * time.Second):
		t.Fatal("nothing came")
	}
	panic("unreachable")
}

// nothing makes sure that nothing comes for a moment.
func nothing[T any](t *testing.T, from <-chan T) {
	t.Helper()
	select {
	case v, open := <-from:
		if open {
			t.Fatalf("%v came", v)
		}
	case <-time.After(50 * time.Millisecond):
	}
}
