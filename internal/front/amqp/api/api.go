// Package api is RabbitMQ's HTTP API over the AMQP front end, as far as clients and
// tools that operate a broker need it: who is connected, what is declared, virtual
// hosts, policies, health.
//
//	client ──▶ login ──▶ route ──┬──▶ view, tallies          what the catalog and this node know
//	                             ├──▶ the other nodes' parts  connections, counts (peers.go)
//	                             └──▶ direct connection       declare, bind, publish, get
//
// Names in paths are percent-encoded: the virtual host / is %2F. Which path is whose
// stands in tables of routes, one in each file that answers (route.go). Rates come from
// samples that are taken every five seconds (sampler.go).
package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"trine/internal/core"
	"trine/internal/front/amqp"
)

// answerMax is how long a request waits for the cluster.
const answerMax = 10 * time.Second

// inspectMax is how long a list waits for one queue's counts.
const inspectMax = time.Second

// bodyMax bounds what a request may send.
const bodyMax = 1 << 20

// Options are what the API is told. Zero fields take the defaults.
type Options struct {
	Dir  string                     // where the node keeps its data, as it is shown
	Disk func() (free, least int64) // bytes there, and how many must stay free; nil: not shown
	Log  *slog.Logger
}

// Server answers requests, and takes samples of what is counted until it is closed.
type Server = server

type server struct {
	f       *amqp.Front
	o       Options
	log     *slog.Logger
	sampler *sampler
	lengths lengths
	client  *http.Client // to other nodes
	since   time.Time
	build   string
}

// failure is an answer other than 200.
type failure struct {
	status int
	reason string
}

func (f *failure) Error() string { return f.reason }

var (
	errNone = &failure{http.StatusNotFound, "Not Found"}
	created = &failure{status: http.StatusCreated}
	done    = &failure{status: http.StatusNoContent}
)

// refused says that a request cannot be what was meant.
func refused(reason string) *failure { return &failure{http.StatusBadRequest, reason} }

// New makes the handler; it wants the paths below /api/.
func New(f *amqp.Front, o Options) *Server {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &server{f: f, o: o, log: o.Log, sampler: newSampler(f), since: time.Now(), build: build()}
	s.lengths.queues = map[core.StreamID]*lengthPair{}
	s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2,
		IdleConnTimeout: time.Minute}}
	return s
}

// Close ends what the server does by itself.
func (s *server) Close() {
	s.sampler.close()
	s.client.CloseIdleConnections()
}

// build says which Trine this is.
func build() string {
	if i, ok := debug.ReadBuildInfo(); ok {
		return "Trine " + i.Main.Version
	}
	return "Trine"
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.peer(w, r) {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, bodyMaxOf(r))
	v, err := s.serve(r)
	var f *failure
	var t *trouble
	var l *located
	var m *moved
	switch {
	case err == nil:
		if d, ok := v.(*download); ok {
			w.Header().Set("Content-Disposition", "attachment; filename="+d.name)
			v = d.v
		}
		answer(w, http.StatusOK, v)
	case errors.As(err, &t):
		answer(w, t.Status, t.Body)
	case errors.As(err, &m):
		w.Header().Set("Location", m.to)
		w.WriteHeader(http.StatusSeeOther)
	case errors.As(err, &l):
		w.Header().Set("Location", l.at)
		w.WriteHeader(http.StatusCreated)
	case errors.As(err, &f) && f.reason == "":
		if f.status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Basic realm="RabbitMQ Management"`)
		}
		w.WriteHeader(f.status)
	case errors.As(err, &f):
		answer(w, f.status, problem(f.status, f.reason))
	default:
		answer(w, http.StatusInternalServerError, problem(http.StatusInternalServerError, err.Error()))
	}
}

// problems are the names of what may go wrong, as RabbitMQ has them.
var problems = map[int]string{http.StatusBadRequest: "bad_request",
	http.StatusNotFound:         "Object Not Found",
	http.StatusMethodNotAllowed: "method_not_allowed", http.StatusConflict: "conflict",
	http.StatusInternalServerError: "internal_server_error",
	http.StatusServiceUnavailable:  "service_unavailable"}

func problem(status int, reason string) map[string]string {
	return map[string]string{"error": problems[status], "reason": reason}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone is nobody's trouble
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
			return refused(err.Error())
		case core.Conflict:
			return &failure{http.StatusConflict, "it changed meanwhile"}
		}
		return err
	case <-ctx.Done():
		return &failure{http.StatusServiceUnavailable, "the cluster did not answer in time"}
	}
}
