package clients

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// ask sends one request as guest.
func ask(t *testing.T, at, method, path, kind string, body []byte) (int, []byte) {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+at+"/api/"+path, bytes.NewReader(body))
	ok(t, err)
	r.SetBasicAuth("guest", "guest")
	r.Header.Set("Content-Type", kind)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	a, err := client.Do(r)
	ok(t, err)
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	ok(t, err)
	return a.StatusCode, b
}

func bringIn(t *testing.T, at, path string, file []byte) {
	t.Helper()
	if status, b := ask(t, at, "POST", path, "application/json", file); status != 204 {
		t.Fatalf("import: %d %s", status, b)
	}
}

// same gives definitions in one order, without what is each cluster's own.
func same(t *testing.T, file []byte) map[string]any {
	t.Helper()
	var m map[string]any
	ok(t, json.Unmarshal(file, &m))
	delete(m, "original_cluster_name")
	delete(m, "explanation")
	for name, v := range m {
		list, is := v.([]any)
		if !is {
			continue
		}
		if name == "global_parameters" { // these are the broker's
			list = slices.DeleteFunc(list, func(e any) bool {
				n := e.(map[string]any)["name"]
				return n == "cluster_tags" || n == "internal_cluster_id"
			})
		}
		slices.SortFunc(list, func(a, b any) int {
			x, _ := json.Marshal(a)
			y, _ := json.Marshal(b)
			return bytes.Compare(x, y)
		})
		m[name] = list
	}
	return m
}

func compare(t *testing.T, got, want []byte) {
	t.Helper()
	g, w := same(t, got), same(t, want)
	for name := range w {
		if !reflect.DeepEqual(g[name], w[name]) {
			x, _ := json.MarshalIndent(g[name], "", " ")
			y, _ := json.MarshalIndent(w[name], "", " ")
			t.Errorf("%s: got\n%s\nwant\n%s", name, x, y)
		}
	}
	if len(g) != len(w) {
		t.Errorf("got %d parts, want %d", len(g), len(w))
	}
}

// TestDefinitionsOfRabbitMQComeInAndGoOutAgain takes what RabbitMQ 4.0.5 exported, and
// exports the same; users log in with the passwords that they had there.
func TestDefinitionsOfRabbitMQComeInAndGoOutAgain(t *testing.T) {
	file, err := os.ReadFile("testdata/definitions/rabbitmq-4.0.5.json")
	ok(t, err)
	h := gatedHouse(t)
	at := h.api(t)
	bringIn(t, at, "definitions", file)
	_, out := ask(t, at, "GET", "definitions", "", nil)
	compare(t, out, file)
	bringIn(t, at, "definitions", file) // again: nothing changes
	bringIn(t, at, "definitions", out)
	_, again := ask(t, at, "GET", "definitions", "", nil)
	compare(t, again, out)

	one, err := os.ReadFile("testdata/definitions/rabbitmq-4.0.5-vhost.json")
	ok(t, err)
	_, out = ask(t, at, "GET", "definitions/a%2Fb%20c", "", nil)
	compare(t, out, one)
	if status, _ := ask(t, at, "PUT", "vhosts/other", "", nil); status != 201 {
		t.Fatalf("status %d", status)
	}
	bringIn(t, at, "definitions/other", one)
	_, out = ask(t, at, "GET", "definitions/other", "", nil)
	g, w := same(t, out), same(t, one)
	for _, name := range []string{"queues", "exchanges", "bindings", "policies", "parameters"} {
		if !reflect.DeepEqual(g[name], w[name]) {
			t.Errorf("%s: got %v, want %v", name, g[name], w[name])
		}
	}

	for _, c := range []struct{ user, password, vhost, want string }{
		{"ann", "secret", "/", ""}, {"ann", "other", "/", "403"}, {"ann", "secret", "a/b c", "530"},
		{"b/o%b é", "secret", "a/b c", ""}, {"cert", "", "/", "403"},
	} {
		conn, err := amqp091.DialConfig("amqp://"+h.server.Addr().String(), amqp091.Config{Vhost: c.vhost,
			SASL: []amqp091.Authentication{&amqp091.PlainAuth{Username: c.user, Password: c.password}}})
		if got := fmt.Sprint(err); (err == nil) != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %v", c, err)
		}
		if err == nil {
			_ = conn.Close()
		}
	}
	ch := h.channel()
	publish(t, ch, "amq.topic", "a.b.c", "through")
	if d := mustGet(t, ch, "qq"); string(d.Body) != "through" {
		t.Errorf("%s", d.Body)
	}
}

// TestDefinitionsComeInAsAForm is how browsers and old tools send them.
func TestDefinitionsComeInAsAForm(t *testing.T) {
	at := gatedHouse(t).api(t)
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile("file", "defs.json")
	ok(t, err)
	_, err = part.Write([]byte(`{"vhosts":[{"name":"formed"}]}`))
	ok(t, err)
	ok(t, w.WriteField("redirect", "/#/overview"))
	ok(t, w.Close())
	if status, body := ask(t, at, "POST", "definitions", w.FormDataContentType(), b.Bytes()); status != 303 {
		t.Fatalf("%d %s", status, body)
	}
	if status, _ := ask(t, at, "GET", "vhosts/formed", "", nil); status != 200 {
		t.Errorf("the virtual host is not there: %d", status)
	}
	for _, body := range []string{`{"users":[{"name":"x","password_hash":"AAAA","hashing_algorithm":"none"}]}`,
		`{"queues":[{"name":"q"}]}`, `{"queues":{}}`, `{"queues":[1]}`, `{"vhosts":[{"name":""}]}`,
		`{"users":[{"name":"x","limits":{"max-connections":"many"}}]}`,
		`{"parameters":[{"vhost":"formed","component":"vhost-limits","name":"limits","value":{"max-queues":"x"}}]}`,
		`{"permissions":[{"user":"guest","vhost":"formed","configure":"("}]}`} {
		if status, b := ask(t, at, "POST", "definitions", "application/json", []byte(body)); status != 400 {
			t.Errorf("%s: %d %s", body, status, b)
		}
	}
	long := append([]byte(`{"x":"`), bytes.Repeat([]byte("x"), 21<<20)...)
	if status, _ := ask(t, at, "POST", "definitions", "application/json", long); status != 400 {
		t.Errorf("21 MiB: %d", status)
	}
}

// TestDefinitionsOfTrineWereTakenByRabbitMQ: what RabbitMQ gave back after it took Trine's
// definitions is what it was given, and what Trine gives still.
func TestDefinitionsOfTrineWereTakenByRabbitMQ(t *testing.T) {
	ours, err := os.ReadFile("testdata/definitions/trine.json")
	ok(t, err)
	theirs, err := os.ReadFile("testdata/definitions/trine-in-rabbitmq-4.0.5.json")
	ok(t, err)
	compare(t, theirs, ours)
	at := gatedHouse(t).api(t)
	bringIn(t, at, "definitions", theirs)
	_, out := ask(t, at, "GET", "definitions", "", nil)
	compare(t, out, ours)
}
