package api

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"trine/internal/front"
	"trine/internal/front/amqp"
	"trine/internal/seamtest"
)

// stage is a front end with sockets, and the API over it. The sampler's clock is the
// test's.
type stage struct {
	t    *testing.T
	api  *Server
	http *httptest.Server
	at   string // of AMQP
	time time.Time
	conn *amqp091.Connection
}

func newStage(t *testing.T, with ...seamtest.Option) *stage {
	t.Helper()
	b := seamtest.New(append(with, seamtest.RealTime())...)
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	f := amqp.New(b, amqp.Options{Log: quiet})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := front.Serve(l, front.Options{Name: "amqp", Open: f.Open, Log: quiet})
	s := &stage{t: t, at: server.Addr().String(), time: time.Now().Truncate(sampleEvery).Add(time.Hour)}
	s.api = New(f, Options{Log: quiet, Dir: "data", Disk: func() (int64, int64) { return 1 << 30, 1 << 20 }})
	s.api.sampler.close() // samples are taken by the test
	s.api.sampler.stop = make(chan struct{})
	s.http = httptest.NewServer(s.api)
	t.Cleanup(func() {
		s.http.Close()
		s.api.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
		b.Close()
	})
	return s
}

// pass lets five seconds pass on the sampler's clock.
func (s *stage) pass() {
	s.time = s.time.Add(sampleEvery)
	s.api.sampler.take(s.time)
}

func (s *stage) dial() *amqp091.Channel {
	s.t.Helper()
	if s.conn == nil {
		c, err := amqp091.DialConfig("amqp://guest:guest@"+s.at+"/",
			amqp091.Config{Properties: amqp091.Table{"connection_name": "stage", "product": "test",
				"version": "1", "platform": "Go", "information": "none"}})
		if err != nil {
			s.t.Fatal(err)
		}
		s.conn = c
		s.t.Cleanup(func() { c.Close() })
	}
	ch, err := s.conn.Channel()
	if err != nil {
		s.t.Fatal(err)
	}
	return ch
}

// ask gives status, body and Location.
func (s *stage) ask(method, path string, body any) (int, any, string) {
	s.t.Helper()
	sent := ""
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		sent = string(b)
	}
	r := httptest.NewRequest(method, "/api/"+path, strings.NewReader(sent))
	r.RemoteAddr = "127.0.0.1:9"
	r.SetBasicAuth("guest", "guest")
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, r)
	var v any = ""
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			s.t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	return w.Code, v, w.Header().Get("Location")
}

// get gives what must be there.
func (s *stage) get(path string) any {
	s.t.Helper()
	code, v, _ := s.ask("GET", path, nil)
	if code != 200 {
		s.t.Fatalf("GET %s: status %d, %v", path, code, v)
	}
	return v
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// play does what was done to the real broker: publishes, consumers, policies.
func (s *stage) play() {
	s.t.Helper()
	for path, body := range map[string]object{
		"policies/%2F/cap": {"pattern": "^cap-", "apply-to": "queues", "priority": 3,
			"definition": object{"max-length": 1000}},
		"operator-policies/%2F/op": {"pattern": "^cap-", "apply-to": "queues",
			"definition": object{"max-length": 500}},
		"parameters/federation-upstream/%2F/up1": {"value": object{"uri": "amqp://localhost"}},
		"global-parameters/gp":                   {"value": object{"a": 1}},
	} {
		if code, v, _ := s.ask("PUT", path, body); code != 201 {
			s.t.Fatalf("PUT %s: %d, %v", path, code, v)
		}
	}
	acked := make(chan string, 200)
	p := s.dial()
	s.must(p.Confirm(false))
	s.must(p.ExchangeDeclare("cap-x", "topic", true, false, false, false, nil))
	c := s.dial()
	s.must(c.Qos(5, 0, false))
	for q, kind := range map[string]string{"cap-c": "classic", "cap-q": "quorum"} {
		_, err := p.QueueDeclare(q, true, false, false, false, amqp091.Table{"x-queue-type": kind})
		s.must(err)
		s.must(p.QueueBind(q, "a.#", "cap-x", false, nil))
		s.must(p.QueueBind(q, "b", "cap-x", false, amqp091.Table{"n": int32(1)}))
		lent, err := c.Consume(q, "ctag-"+q, false, false, false, false, nil)
		s.must(err)
		go func() { // ends with the connection
			for d := range lent {
				_ = d.Ack(false)
				acked <- q
			}
		}()
	}
	s.pass()
	for range 50 {
		d, err := p.PublishWithDeferredConfirm("cap-x", "a.b", false, false, amqp091.Publishing{Body: []byte("hello")})
		s.must(err)
		d.Wait()
	}
	d, err := p.PublishWithDeferredConfirm("cap-x", "nowhere", false, false, amqp091.Publishing{})
	s.must(err)
	d.Wait()
	for range 100 {
		<-acked
	}
	_, _, err = s.dial().Get("cap-c", true)
	s.must(err)
	s.pass()
}

// connection is the name of the only connection.
func (s *stage) connection() string {
	s.t.Helper()
	return s.get("connections").([]any)[0].(object)["name"].(string)
}

// path puts names in for NODE and CONNECTION.
func (s *stage) path(p string) string {
	p = strings.ReplaceAll(p, "NODE", "trine@node1")
	return strings.ReplaceAll(p, "CONNECTION", url.PathEscape(s.connection()))
}
