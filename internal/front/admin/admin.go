package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"trine/internal/core"
	"trine/internal/front"
)

// Name is the key of this listener's address in core.NodeInfo.Addresses.
const Name = "http"

// answerMax is how long a request waits for the cluster.
const answerMax = 10 * time.Second

// Admin is the handler of a node's HTTP port. It answers from the start; what needs
// the node is answered with 503 until Begin.
type Admin struct {
	log      *slog.Logger
	mux      *http.ServeMux
	registry *prometheus.Registry
	core     atomic.Pointer[front.Core]
	ending   atomic.Bool
}

// New makes the handler.
func New(log *slog.Logger) *Admin {
	a := &Admin{log: log, mux: http.NewServeMux(), registry: prometheus.NewRegistry()}
	a.registry.MustRegister(newCollector(a))
	a.mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("alive\n"))
	})
	a.mux.HandleFunc("GET /readyz", a.ready)
	a.mux.Handle("GET /metrics", promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{}))
	a.mux.HandleFunc("GET /api/trine/v1/nodes", a.serve(a.nodes))
	a.mux.HandleFunc("GET /api/trine/v1/streams", a.serve(a.streams))
	a.mux.HandleFunc("PATCH /api/trine/v1/streams", a.serve(a.alter))
	a.mux.HandleFunc("POST /api/trine/v1/move", a.serve(a.move))
	return a
}

// Begin says that the node serves, and through which seam.
func (a *Admin) Begin(c front.Core) { a.core.Store(&c) }

// End says that the node is stopping: it is ready no longer.
func (a *Admin) End() { a.ending.Store(true) }

// Handle hangs another front end's handler beside these.
func (a *Admin) Handle(pattern string, h http.Handler) { a.mux.Handle(pattern, h) }

// Register adds a source of metrics.
func (a *Admin) Register(c prometheus.Collector) { a.registry.MustRegister(c) }

// ServeHTTP answers one request.
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

func (a *Admin) seam() (front.Core, error) {
	if a.ending.Load() {
		return nil, &core.Error{Op: "ask node", Kind: core.Shut}
	}
	c := a.core.Load()
	if c == nil {
		return nil, &core.Error{Op: "ask node", Kind: core.Unavailable,
			Detail: "it waits for the other nodes of its cluster"}
	}
	return *c, nil
}

// ready answers whether clients are served: the catalog must answer too.
func (a *Admin) ready(w http.ResponseWriter, r *http.Request) {
	c, err := a.seam()
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		_, err = await(ctx, func(done func(struct{}, error)) {
			c.Cluster().Sync(func(err error) { done(struct{}{}, err) })
		})
	}
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		w.Write([]byte(err.Error() + "\n"))
		return
	}
	w.Write([]byte("ready\n"))
}

// Problem is the answer to what went wrong.
type Problem struct {
	Error string `json:"error"`
	Kind  string `json:"kind"`
}

// serve answers with what fn gives, as JSON.
func (a *Admin) serve(fn func(front.Core, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerMax)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		c, err := a.seam()
		var v any
		if err == nil {
			v, err = fn(c, r.WithContext(ctx))
		}
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			w.WriteHeader(status(err))
			v = Problem{explain(err), core.KindOf(err).String()}
		}
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		if err := e.Encode(v); err != nil {
			a.log.Debug("answer over http", "err", err)
		}
	}
}

// explain adds to an error what the one who asked can do about it.
func explain(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer from the cluster within " + answerMax.String() +
			": does a majority of its nodes run? what was asked may still be done"
	}
	return err.Error()
}

func status(err error) int {
	var tooLarge *http.MaxBytesError
	switch k := core.KindOf(err); {
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	case k == core.NotExist:
		return http.StatusNotFound
	case k == core.Invalid || k == core.OutOfRange:
		return http.StatusBadRequest
	case k == core.Exist || k == core.Conflict || k == core.Locked:
		return http.StatusConflict
	case k == core.Unknown:
		return http.StatusInternalServerError
	}
	return http.StatusServiceUnavailable
}

// await turns a callback into an answer. The callback may come later than ctx ends:
// it finds room and nobody.
func await[T any](ctx context.Context, ask func(done func(T, error))) (T, error) {
	type outcome struct {
		v   T
		err error
	}
	c := make(chan outcome, 1)
	ask(func(v T, err error) { c <- outcome{v, err} })
	select {
	case o := <-c:
		return o.v, o.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
