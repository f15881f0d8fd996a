package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"trine/internal/front/amqp"
	"trine/internal/front/amqp/api"
	"trine/internal/front/gate"
	"trine/internal/seamtest"
)

// TestAccessIsAsInRabbitMQ replays what was asked of a real RabbitMQ, over AMQP and
// over its HTTP API, and compares the answers. To ask a real one again, fresh and
// alone: TRINE_PEER=127.0.0.1:5672,127.0.0.1:15672 go test -run AccessIsAs -rewrite.
func TestAccessIsAsInRabbitMQ(t *testing.T) {
	for _, name := range []string{"users", "permissions", "topics", "vhosts", "limits", "parameters",
		"definitions"} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			datadriven.RunTest(t, "testdata/"+name+".txt", func(t *testing.T, d *datadriven.TestData) string {
				var out strings.Builder
				for line := range strings.Lines(d.Input) {
					line = strings.TrimSpace(line)
					switch d.Cmd {
					case "http":
						fmt.Fprintln(&out, s.http(line))
					case "amqp":
						fmt.Fprintln(&out, s.amqp(line))
					default:
						t.Fatalf("unknown command %s", d.Cmd)
					}
				}
				return out.String()
			})
		})
	}
}

// story is a broker that is asked, ours or a real one.
type story struct {
	t          *testing.T
	amqpAt, at string // host:port each
	real       bool
	held       map[string]heldConn
}

// heldConn is a connection that stays, and how the broker closed it.
type heldConn struct {
	*amqp091.Connection
	end chan *amqp091.Error
}

func newStory(t *testing.T) *story {
	s := &story{t: t, held: map[string]heldConn{}}
	t.Cleanup(func() {
		for _, c := range s.held {
			_ = c.Close()
		}
	})
	if peer := os.Getenv("TRINE_PEER"); peer != "" {
		s.amqpAt, s.at, _ = strings.Cut(peer, ",")
		s.real = true
		s.empty()
		return s
	}
	h := gatedHouse(t)
	s.amqpAt = h.server.Addr().String()
	s.at = h.api(t)
	return s
}

// empty leaves of a real broker what a new one has.
func (s *story) empty() {
	names := func(path string) (all []struct{ Name string }) {
		list := strings.ReplaceAll(strings.TrimPrefix(s.http("guest GET "+path), "200 "), "}\n", "},\n")
		ok(s.t, json.Unmarshal([]byte(list), &all))
		return all
	}
	for _, u := range names("users") {
		if u.Name != "guest" {
			s.http("guest DELETE users/" + u.Name)
		}
	}
	for _, v := range names("vhosts") {
		if v.Name != "/" {
			s.http("guest DELETE vhosts/" + url.PathEscape(v.Name))
		}
	}
	s.http(`guest PUT permissions/%2F/guest {"configure":".*","write":".*","read":".*"}`)
}

// gatedHouse is a house whose users stand in its catalog.
func gatedHouse(t *testing.T, with ...seamtest.Option) *house {
	t.Helper()
	b := seamtest.New(append(with, seamtest.RealTime())...)
	g, err := gate.New(b.Cluster(), gate.Options{})
	ok(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ok(t, g.Await(ctx))
	return houseOver(t, b, amqp.Options{Gate: g})
}

// api serves RabbitMQ's HTTP API of a house, and gives its host:port.
func (h *house) api(t *testing.T) string {
	a := api.New(h.front, api.Options{Log: slog.New(slog.DiscardHandler)})
	web := httptest.NewServer(a)
	t.Cleanup(func() { web.CloseClientConnections(); web.Close(); a.Close() })
	return strings.TrimPrefix(web.URL, "http://")
}

// http asks one line: USER METHOD PATH [BODY] [-> FIELDS]. Of what is answered only the
// fields are shown, and lists in an order of their own.
func (s *story) http(line string) string {
	line, fields, _ := strings.Cut(line, " -> ")
	parts := append(strings.SplitN(line, " ", 4), "")
	body := strings.NewReader(parts[3])
	r, err := http.NewRequest(parts[1], "http://"+s.at+"/api/"+parts[2], body)
	ok(s.t, err)
	r.Header.Set("Content-Type", "application/json")
	if user := parts[0]; user != "-" {
		name, password, other := strings.Cut(user, ":")
		if !other {
			password = name
		}
		r.SetBasicAuth(name, password)
	}
	w, err := http.DefaultClient.Do(r)
	ok(s.t, err)
	defer w.Body.Close()
	b, err := io.ReadAll(w.Body)
	ok(s.t, err)
	if s.real {
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Sprintf("%d %s", w.StatusCode, shown(b, strings.Fields(fields)))
}

// shown gives JSON in one form.
func shown(b []byte, fields []string) string {
	if len(b) == 0 {
		return "-"
	}
	var v any
	if json.Unmarshal(b, &v) != nil {
		return "no json"
	}
	list, many := v.([]any)
	if !many {
		list = []any{v}
	}
	var all []string
	for _, e := range list {
		if m, is := e.(map[string]any); is {
			for k := range m {
				if len(fields) > 0 && m["error"] == nil && !slices.Contains(fields, k) {
					delete(m, k)
				}
			}
			if h, is := m["password_hash"].(string); is && len(h) > 20 && !strings.HasPrefix(h, "AAAA") {
				m["password_hash"] = "..."
			}
		}
		var o bytes.Buffer
		enc := json.NewEncoder(&o)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(e)
		all = append(all, strings.TrimSpace(o.String()))
	}
	slices.Sort(all)
	if many {
		return "[" + strings.Join(all, "\n ") + "]"
	}
	return all[0]
}

// amqp asks one line: USER@VHOST VERB ARGS.
func (s *story) amqp(line string) string {
	who, rest, _ := strings.Cut(line, " ")
	if who == "drop" {
		_ = s.held[rest].Close()
		delete(s.held, rest)
		s.settle()
		return "ok"
	}
	if who == "channel" { // one more on a held connection
		_, err := s.held[rest].Channel()
		return said(err)
	}
	if who == "closed" {
		return said(s.closed(rest))
	}
	if who == "rest" {
		s.settle()
		return "ok"
	}
	user, vhost, _ := strings.Cut(who, "@")
	name, password, other := strings.Cut(user, ":")
	if !other {
		password = name
	}
	c, err := amqp091.DialConfig("amqp://"+s.amqpAt, amqp091.Config{Vhost: vhost,
		SASL: []amqp091.Authentication{&amqp091.PlainAuth{Username: name, Password: password}}})
	if err != nil {
		return "connect: " + said(err)
	}
	verb, args, _ := strings.Cut(rest, " ")
	if verb == "hold" {
		s.held[args] = heldConn{c, c.NotifyClose(make(chan *amqp091.Error, 1))}
		s.settle()
		return "ok"
	}
	defer func() { _ = c.Close(); s.settle() }()
	ch, err := c.Channel()
	if err != nil {
		return "channel: " + said(err)
	}
	return said(try(ch, verb, args))
}

// settle waits until a real broker has counted.
func (s *story) settle() {
	if s.real {
		time.Sleep(300 * time.Millisecond)
	}
}

// closed waits until a held connection is closed.
func (s *story) closed(name string) error {
	c := s.held[name]
	delete(s.held, name)
	select {
	case err := <-c.end:
		return err
	case <-time.After(5 * time.Second):
		return errors.New("it stays open")
	}
}

// drawn are names that the server draws.
var drawn = regexp.MustCompile(`amq\.gen-[-_A-Za-z0-9]+`)

func said(err error) string {
	var e *amqp091.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e) && e != nil:
		return fmt.Sprintf("%d %s", e.Code, drawn.ReplaceAllString(e.Reason, "amq.gen-..."))
	}
	return err.Error()
}

// try does one thing on a channel, and gives how the broker closed it if it did.
func try(ch *amqp091.Channel, verb, args string) error {
	names, tail, _ := strings.Cut(args, " {")
	a := append(strings.Fields(names), "", "", "")
	for i, v := range a {
		if v == `""` {
			a[i] = ""
		}
	}
	var t amqp091.Table
	if tail != "" {
		if err := json.Unmarshal([]byte("{"+tail), &t); err != nil {
			return err
		}
	}
	switch verb {
	case "open":
		return nil
	case "declare":
		_, err := ch.QueueDeclare(a[0], true, false, false, false, t)
		return err
	case "passive":
		_, err := ch.QueueDeclarePassive(a[0], true, false, false, false, t)
		return err
	case "delete":
		_, err := ch.QueueDelete(a[0], false, false, false)
		return err
	case "bind":
		return ch.QueueBind(a[0], a[2], a[1], false, t)
	case "unbind":
		return ch.QueueUnbind(a[0], a[2], a[1], t)
	case "purge":
		_, err := ch.QueuePurge(a[0], false)
		return err
	case "get":
		_, _, err := ch.Get(a[0], true)
		return err
	case "consume":
		_, err := ch.Consume(a[0], "", true, false, false, false, t)
		return err
	case "exchange":
		return ch.ExchangeDeclare(a[0], a[1], true, false, false, false, t)
	case "exchange-passive":
		return ch.ExchangeDeclarePassive(a[0], a[1], true, false, false, false, t)
	case "exchange-delete":
		return ch.ExchangeDelete(a[0], false, false)
	case "exchange-bind":
		return ch.ExchangeBind(a[0], a[2], a[1], false, t)
	case "exchange-unbind":
		return ch.ExchangeUnbind(a[0], a[2], a[1], false, t)
	case "publish":
		return tryPublish(ch, a[0], a[1], a[2])
	}
	return errors.New("unknown verb " + verb)
}

func tryPublish(ch *amqp091.Channel, exchange, key, user string) error {
	closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
	if err := ch.Confirm(false); err != nil {
		return err
	}
	confirmed := ch.NotifyPublish(make(chan amqp091.Confirmation, 1))
	err := ch.Publish(exchange, key, false, false, amqp091.Publishing{UserId: user, Body: []byte("x")})
	if err != nil {
		return err
	}
	select {
	case err := <-closed:
		return err
	case c, open := <-confirmed:
		if open && c.Ack {
			return nil
		}
		return <-closed
	case <-time.After(5 * time.Second):
		return errors.New("no answer")
	}
}
