// Package api is RabbitMQ's HTTP API over the AMQP front end, as far as clients and
// tools that operate a broker need it: who is connected, what is declared, virtual
// hosts, policies, health.
//
//	GET            /api/overview /api/whoami /api/nodes /api/vhosts /api/exchanges
//	               /api/queues /api/bindings /api/connections /api/policies, most
//	               also under /VHOST and /VHOST/NAME
//	PUT, DELETE    /api/policies/VHOST/NAME
//	PUT            /api/vhosts/NAME
//	DELETE         /api/connections/NAME /api/queues/VHOST/NAME[/contents]
//	GET            /api/aliveness-test/VHOST /api/health/checks/...
//
// Names in paths are percent-encoded: the virtual host / is %2F. Connections are
// those of the node that is asked.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/front/amqp"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/gate"
)

// answerMax is how long a request waits for the cluster.
const answerMax = 10 * time.Second

// inspectMax is how long a list waits for one queue's counts.
const inspectMax = time.Second

// bodyMax bounds what a request may send.
const bodyMax = 1 << 20

// server answers requests.
type server struct {
	f *amqp.Front
}

// call is one request: the parts of its path behind /api/, unescaped.
type call struct {
	*http.Request
	user string
	path []string
}

// arg gives a part of the path, or "".
func (c *call) arg(i int) string {
	if i < len(c.path) {
		return c.path[i]
	}
	return ""
}

// failure is an answer other than 200.
type failure struct {
	status int
	reason string
}

func (f *failure) Error() string { return f.reason }

var (
	errNone = &failure{http.StatusNotFound, "Object Not Found"}
	created = &failure{status: http.StatusCreated}
	done    = &failure{status: http.StatusNoContent}
)

// New makes the handler; it wants the paths below /api/.
func New(f *amqp.Front) http.Handler { return &server{f} }

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if err := s.f.Gate().Login(user, password, clientOf(r)); err != nil {
		w.Header().Set("WWW-Authenticate", `Basic realm="RabbitMQ Management"`)
		answer(w, http.StatusUnauthorized, problem("not_authorised", "Login failed"))
		return
	}
	i := clientOf(r)
	admin := gate.Need{Resource: gate.Resource{Type: gate.Cluster}, Op: gate.Admin}
	if s.f.Gate().Check(gate.Principal{User: user, Addr: gate.Addr(i)}, admin) != nil {
		answer(w, http.StatusUnauthorized, problem("not_authorised", "Not_Authorized"))
		return
	}
	c := &call{Request: r, user: user}
	rest := strings.Trim(strings.TrimPrefix(r.URL.EscapedPath(), "/api"), "/")
	for _, part := range strings.Split(rest, "/") {
		p, err := url.PathUnescape(part)
		if err != nil {
			answer(w, http.StatusBadRequest, problem("bad_request", "malformed path"))
			return
		}
		c.path = append(c.path, p)
	}
	r.Body = http.MaxBytesReader(w, r.Body, bodyMax)
	v, err := s.route(c)
	var f *failure
	switch {
	case err == nil:
		answer(w, http.StatusOK, v)
	case errors.As(err, &f) && f.reason == "":
		w.WriteHeader(f.status)
	case errors.As(err, &f):
		answer(w, f.status, problem(http.StatusText(f.status), f.reason))
	default:
		answer(w, http.StatusInternalServerError, problem("internal_error", err.Error()))
	}
}

func problem(name, reason string) map[string]string {
	return map[string]string{"error": name, "reason": reason}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone is nobody's trouble
}

// route finds who answers.
func (s *server) route(c *call) (any, error) {
	switch c.path[0] + " " + c.Method {
	case "overview GET":
		return s.overview()
	case "whoami GET":
		return map[string]any{"name": c.user, "tags": []string{"administrator"}}, nil
	case "nodes GET":
		return s.nodes(c)
	case "vhosts GET":
		return s.vhosts(c)
	case "vhosts PUT":
		return nil, s.wait(c, func(d func(error)) { topology.AddVHost(s.f.Core(), c.arg(1), d) }, created)
	case "connections GET":
		return s.connections(c)
	case "connections DELETE":
		return nil, s.closeConnection(c)
	case "exchanges GET":
		return s.exchanges(c)
	case "queues GET":
		return s.queues(c)
	case "queues DELETE":
		return nil, s.removeQueue(c)
	case "bindings GET":
		return s.bindings(c)
	case "policies GET":
		return s.policies(c)
	case "policies PUT":
		return nil, s.putPolicy(c)
	case "policies DELETE":
		return nil, s.wait(c, func(d func(error)) {
			topology.ClearPolicy(s.f.Core(), c.arg(1), c.arg(2), d)
		}, done)
	case "aliveness-test GET", "health GET":
		return map[string]string{"status": "ok"}, nil
	}
	return nil, errNone
}

// wait asks the cluster for something and answers with success.
func (s *server) wait(c *call, ask func(func(error)), success *failure) error {
	ctx, cancel := context.WithTimeout(c.Context(), answerMax)
	defer cancel()
	told := make(chan error, 1)
	ask(func(err error) { told <- err })
	select {
	case err := <-told:
		switch core.KindOf(err) {
		case core.OK:
			return success
		case core.NotExist:
			return errNone
		case core.Invalid:
			return &failure{http.StatusBadRequest, err.Error()}
		}
		return err
	case <-ctx.Done():
		return &failure{http.StatusServiceUnavailable, "the cluster did not answer in time"}
	}
}

func clientOf(r *http.Request) front.Info {
	return front.Info{Remote: address(r.RemoteAddr), TLS: r.TLS}
}
