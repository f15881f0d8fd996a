package clients

import (
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"trine/internal/front/amqp"
)

// TestWhatIsAgreedOnIsWhatTheClientAskedFor holds the last rows of
// ../../../../shared/notes/rabbitmq-wire-errors-4.0.5.txt: what the client library itself
// finds in what is offered.
func TestWhatIsAgreedOnIsWhatTheClientAskedFor(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	url := "amqp://guest:guest@" + h.server.Addr().String() + "/"
	dial := func(c amqp091.Config) (*amqp091.Connection, error) {
		conn, err := amqp091.DialConfig(url, c)
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
		}
		return conn, err
	}
	if _, err := dial(amqp091.Config{SASL: []amqp091.Authentication{&amqp091.ExternalAuth{}}}); err != amqp091.ErrSASL {
		t.Errorf("EXTERNAL without a certificate: %v", err)
	}
	conn, err := dial(amqp091.Config{ChannelMax: 2})
	ok(t, err)
	for range 2 {
		open(t, conn)
	}
	if _, err := conn.Channel(); err != amqp091.ErrChannelMax {
		t.Errorf("a third channel of two: %v", err)
	}
	conn, err = dial(amqp091.Config{FrameSize: 100})
	ok(t, err)
	ch := open(t, conn)
	declare(t, ch, "q", nil)
	body := make([]byte, 20_000)
	ok(t, ch.Publish("", "q", false, false, amqp091.Publishing{Body: body}))
	if d := mustGet(t, ch, "q"); len(d.Body) != len(body) {
		t.Errorf("%d bytes came back in frames of %d", len(d.Body), conn.Config.FrameSize)
	}
}
