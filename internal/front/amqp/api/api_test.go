package api

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"trine/internal/core"
	"trine/internal/front/amqp"
	"trine/internal/seamtest"
)

func ask(t *testing.T, h http.Handler, method, path, body string) (int, any) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:9"
	r.SetBasicAuth("guest", "guest")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var v any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	return w.Code, v
}

func TestAPolicyMirrorsALiveQueue(t *testing.T) {
	b := seamtest.New(seamtest.RealTime(), seamtest.Nodes(3))
	defer b.Close()
	f := amqp.New(b, amqp.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	h := New(f, Options{})
	defer h.Close()
	made := make(chan error, 1)
	b.Streams().Define(core.Definition{Name: "amqp/q/%2F/q1", Policy: core.Single(core.FlushEach),
		At: []core.NodeID{1}, Queue: &core.QueueSettings{TTLMs: -1, DeliveryLimit: -1, DropHead: true},
		Labels: []byte(`{"durable":true,"kind":"classic","node":1}`)},
		func(_ *core.Stream, err error) { made <- err })
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	if code, _ := ask(t, h, "PUT", "/api/policies/%2F/ha", `{"pattern":"^q","apply-to":"queues",
		"priority":1,"definition":{"ha-mode":"exactly","ha-params":2,"max-length":10}}`); code != 201 {
		t.Fatalf("status %d", code)
	}
	var q map[string]any
	for i := 0; q["trine_kind"] != "mirrored"; i++ {
		if i == 200 {
			t.Fatalf("not mirrored: %v", q)
		}
		time.Sleep(5 * time.Millisecond)
		_, v := ask(t, h, "GET", "/api/queues/%2F/q1", "")
		q = v.(map[string]any)
	}
	if q["policy"] != "ha" || q["type"] != "classic" {
		t.Errorf("%v", q)
	}
	if s := b.Streams().Lookup("amqp/q/%2F/q1"); s.Policy.Copies != 2 || s.Queue.LengthMax != 10 {
		t.Errorf("%+v", s)
	}
	if code, _ := ask(t, h, "DELETE", "/api/policies/%2F/ha", ""); code != 204 {
		t.Fatalf("status %d", code)
	}
	for i := 0; b.Streams().Lookup("amqp/q/%2F/q1").Policy.Copies != 1; i++ {
		if i == 200 {
			t.Fatal("still mirrored")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestWhatIsThereIsListed(t *testing.T) {
	b := seamtest.New(seamtest.RealTime())
	defer b.Close()
	h := New(amqp.New(b, amqp.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}), Options{})
	defer h.Close()
	for _, path := range []string{"overview", "whoami", "nodes", "vhosts", "vhosts/%2F", "exchanges/%2F",
		"exchanges/%2F/amq.topic", "queues", "bindings", "connections", "policies",
		"aliveness-test/%2F", "health/checks/local-alarms"} {
		if code, v := ask(t, h, "GET", "/api/"+path, ""); code != 200 || v == nil {
			t.Errorf("%s: status %d, %v", path, code, v)
		}
	}
	for _, path := range []string{"nothing", "queues/%2F/no", "connections/no", "vhosts/no"} {
		if code, _ := ask(t, h, "GET", "/api/"+path, ""); code != 404 {
			t.Errorf("%s: status %d", path, code)
		}
	}
	r := httptest.NewRequest("GET", "/api/overview", nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 401 {
		t.Errorf("without a login: status %d", w.Code)
	}
	if code, _ := ask(t, h, "PUT", "/api/policies/%2F/bad", `{"pattern":"("}`); code != 400 {
		t.Errorf("a pattern that is none: status %d", code)
	}
}
