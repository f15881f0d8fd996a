package admin

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"trine/internal/core"
	"trine/internal/seamtest"
)

func ask(t *testing.T, at, method, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, at+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestANodeIsAliveBeforeItIsReadyAndReadyNoLongerWhenItEnds(t *testing.T) {
	a := New(slog.New(slog.DiscardHandler))
	s := httptest.NewServer(a)
	defer s.Close()
	b := seamtest.New()
	defer b.Close()
	want := func(when string, live, ready int, metric string) {
		t.Helper()
		if code, _ := ask(t, s.URL, "GET", "/livez", ""); code != live {
			t.Errorf("%s: livez %d", when, code)
		}
		if code, _ := ask(t, s.URL, "GET", "/readyz", ""); code != ready {
			t.Errorf("%s: readyz %d", when, code)
		}
		if _, text := ask(t, s.URL, "GET", "/metrics", ""); !strings.Contains(text, metric) {
			t.Errorf("%s: metrics lack %q", when, metric)
		}
	}
	want("before", 200, 503, "trine_node_serving 0")
	a.Begin(b)
	want("serving", 200, 200, "trine_node_serving 1")
	a.End()
	want("ending", 200, 503, "trine_node_serving 0")
}

func TestStreamsAreListedDescribedAndAltered(t *testing.T) {
	b := seamtest.New()
	defer b.Close()
	a := New(slog.New(slog.DiscardHandler))
	a.Begin(b)
	s := httptest.NewServer(a)
	defer s.Close()
	made := make(chan error, 1)
	b.Streams().Define(core.Definition{Name: "x/1", Policy: core.Mirror(3, core.FlushLazy)},
		func(_ *core.Stream, err error) { made <- err })
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"GET", "/api/trine/v1/nodes", "", 200, `"self": true`},
		{"GET", "/api/trine/v1/streams?prefix=x/", "", 200, `"name": "x/1"`},
		{"GET", "/api/trine/v1/streams?prefix=y", "", 200, "[]"},
		{"GET", "/api/trine/v1/streams?name=x/2", "", 404, `"kind": "not found"`},
		{"PATCH", "/api/trine/v1/streams?name=x/1", `{"mode":"insync"}`, 200, `"min_in_sync": 2`},
		{"PATCH", "/api/trine/v1/streams?name=x/1", `{"mode":"fast"}`, 400, "none of single"},
		{"PATCH", "/api/trine/v1/streams?name=x/1", `{"copies":9}`, 400, "none of the accepted modes"},
		{"PATCH", "/api/trine/v1/streams?name=x/1", `{"colour":1}`, 400, "unknown field"},
		{"PATCH", "/api/trine/v1/streams?name=x/1", `{"flush":"often"}`, 400, "neither each nor lazy"},
		{"PATCH", "/api/trine/v1/streams?name=x/1", `"` + strings.Repeat("x", 2<<20), 413, "too large"},
		{"POST", "/api/trine/v1/move?name=x/1", `{"nodes":[]}`, 400, "no node is named"},
		{"DELETE", "/api/trine/v1/streams?name=x/1", "", 405, ""},
	} {
		code, text := ask(t, s.URL, c.method, c.path, c.body)
		if code != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.path, code, text)
		}
	}
	_, text := ask(t, s.URL, "GET", "/api/trine/v1/streams?name=x/1", "")
	var got []Stream
	if err := json.Unmarshal([]byte(text), &got); err != nil || got[0].Mode != "insync" {
		t.Errorf("%v, %s", err, text)
	}
}
