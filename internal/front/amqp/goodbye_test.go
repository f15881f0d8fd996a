package amqp

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"trine/internal/front/amqp/wire"
	"trine/internal/seamtest"
)

func TestOnlyAClientsOwnErrorIsCalledItsError(t *testing.T) {
	for _, c := range []struct {
		name, want string
		code       uint16
		end        func(f *Front, h *hand)
	}{
		{"shutdown", "connection closed: the node stops", wire.ConnectionForced,
			func(_ *Front, h *hand) {
				h.Lock()
				h.conn.Shut(h.b.Now())
				h.Unlock()
			}},
		{"an operator", "connection closed: an operator's doing", wire.ConnectionForced,
			func(f *Front, h *hand) {
				if !f.CloseConnection(h.conn.(*conn).name(), "maintenance") {
					t.Error("the connection was not found")
				}
			}},
		{"a frame that is none", "connection closed for its client's error", wire.FrameError,
			func(_ *Front, h *hand) { h.feed([]byte{9, 0, 0, 0, 0, 0, 0, 9}) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := seamtest.New()
			defer b.Close()
			var log bytes.Buffer
			f := New(b, Options{Rand: strings.NewReader(strings.Repeat("0123456789", 100)),
				Log: slog.New(slog.NewTextHandler(&log, nil))})
			b.Idle()
			h := &hand{b: b}
			h.conn = f.Open(h)
			h.feed(hello())
			h.said()
			c.end(f, h)
			h.rest()
			fr, n, err := wire.Cut(h.said(), 1<<20)
			if err != nil || n == 0 {
				t.Fatalf("nothing was said: %v", err)
			}
			m, err := wire.ParseMethod(fr.Payload)
			if m, is := m.(*wire.ConnectionClose); !is || int(m.Code) != int(c.code) {
				t.Errorf("said %+v, %v; want code %d", m, err, c.code)
			}
			if !strings.Contains(log.String(), c.want) ||
				strings.Count(log.String(), "connection closed") != 1 {
				t.Errorf("logged %s", log.String())
			}
		})
	}
}
