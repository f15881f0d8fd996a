package api

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"trine/internal/core"
	"trine/internal/front/amqp/topology"
)

// Connections, channels, consumers and counts are known to the node that clients are
// connected to alone. Whoever is asked for them asks the other nodes:
//
//	GET  /api/trine/part?want=connections,queues   one node's part, as JSON
//	POST /api/trine/close?name=...                 close a connection there
//
//	client ──▶ node 1 ──┬──▶ node 2    signed with a secret that stands in the catalog,
//	                    └──▶ node 3    which nodes alone can read
//
// The asking node judges what its user may see. A node that does not answer in time
// is left out.
const (
	partPath  = "/api/trine/part"
	closePath = "/api/trine/close"
)

// peerMax is how long another node is waited for.
const peerMax = 2 * time.Second

// partBytesMax bounds what another node may answer.
const partBytesMax = 64 << 20

// secretKey is where the secret stands that nodes sign with.
const secretKey = topology.DocumentPrefix + "api/secret"

// signedHeader bears a request's time and signature; skewMax is how far apart two
// nodes' clocks may be.
const (
	signedHeader = "Trine-Node"
	skewMax      = 60 * time.Second
)

// part is what one node knows by itself. Only what was wanted is there.
type part struct {
	Node        core.NodeID     `json:"node"`
	Info        object          `json:"info,omitempty"`
	Connections []object        `json:"connections,omitempty"`
	Channels    []object        `json:"channels,omitempty"`
	Consumers   []object        `json:"consumers,omitempty"`
	Queues      map[string]stat `json:"queues,omitempty"` // by virtual host, 0, name
	Exchanges   map[string]stat `json:"exchanges,omitempty"`
	Total       stat            `json:"total"`
	Churn       [churns]stat    `json:"churn"`
	Connected   int             `json:"connected"` // how many
	Opened      int             `json:"opened"`
	Consuming   int             `json:"consuming"`
}

// gather asks every living node for its part. This node's comes first.
func (s *server) gather(c *call, want ...string) []part {
	samples := c.URL.Query().Has("msg_rates_age")
	parts := []part{s.part(want, samples)}
	q := url.Values{"want": {strings.Join(want, ",")}}
	if samples {
		q.Set("samples", "1")
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	for _, n := range s.f.Core().Cluster().Nodes() {
		if n.Self || !n.Alive {
			continue
		}
		wait.Go(func() { // waited for below
			var p part
			b, err := s.hop(c.Context(), n, http.MethodGet, partPath+"?"+q.Encode())
			if err == nil {
				err = json.Unmarshal(b, &p)
			}
			if err != nil {
				s.log.Warn("a node's part is missing", "front", "amqp api", "node", n.Node, "err", err)
				return
			}
			mu.Lock()
			parts = append(parts, p)
			mu.Unlock()
		})
	}
	wait.Wait()
	return parts
}

// hop sends a signed request to another node.
func (s *server) hop(ctx context.Context, n core.NodeInfo, method, path string) ([]byte, error) {
	at, err := addressOf(n)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, peerMax)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+at+path, nil)
	if err != nil {
		return nil, err
	}
	secret, err := s.secret(ctx)
	if err != nil {
		return nil, err
	}
	r.Header.Set(signedHeader, sign(secret, time.Now().Unix(), method, path))
	a, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(io.LimitReader(a.Body, partBytesMax))
	if err == nil && a.StatusCode >= 300 {
		err = &failure{a.StatusCode, fmt.Sprintf("node %d answered %s", n.Node, a.Status)}
	}
	return b, err
}

// addressOf gives where a node's HTTP API is: its host is that of another listener
// where it listens on all.
func addressOf(n core.NodeInfo) (string, error) {
	at := n.Addresses[httpName]
	if at == "" {
		return "", fmt.Errorf("node %d has no HTTP listener", n.Node)
	}
	if strings.HasPrefix(at, ":") {
		return "", fmt.Errorf("node %d does not say on which host its HTTP listener is: set advertise",
			n.Node)
	}
	return at, nil
}

// httpName is the key of the HTTP listener's address in core.NodeInfo.Addresses.
const httpName = "http"

func sign(secret []byte, at int64, method, path string) string {
	h := hmac.New(sha256.New, secret)
	fmt.Fprintf(h, "%d\n%s\n%s", at, method, path)
	return fmt.Sprintf("%d %s", at, hex.EncodeToString(h.Sum(nil)))
}

// signed says whether a node of this cluster sent a request, just now.
func (s *server) signed(r *http.Request) bool {
	at, _, ok := strings.Cut(r.Header.Get(signedHeader), " ")
	unix, err := strconv.ParseInt(at, 10, 64)
	d, known := s.f.Core().Cluster().Get(secretKey)
	if !ok || err != nil || !known || time.Since(time.Unix(unix, 0)).Abs() > skewMax {
		return false
	}
	want := sign(d.Value, unix, r.Method, r.URL.RequestURI())
	return hmac.Equal([]byte(want), []byte(r.Header.Get(signedHeader)))
}

// secret gives what nodes sign with, and draws it where there is none.
func (s *server) secret(ctx context.Context) ([]byte, error) {
	cluster := s.f.Core().Cluster()
	if d, ok := cluster.Get(secretKey); ok {
		return d.Value, nil
	}
	fresh := make([]byte, 32)
	if _, err := rand.Read(fresh); err != nil {
		return nil, err
	}
	told := make(chan error, 1)
	cluster.Put([]core.Change{{Key: secretKey, Value: fresh, Expect: core.NoRevision}},
		func(_ core.Revision, err error) { told <- err })
	select {
	case err := <-told:
		if k := core.KindOf(err); k != core.OK && k != core.Conflict {
			return nil, err
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if d, ok := cluster.Get(secretKey); ok {
		return d.Value, nil
	}
	return fresh, nil
}

// peer answers other nodes; false: the request is none of theirs.
func (s *server) peer(w http.ResponseWriter, r *http.Request) bool {
	if r.URL.Path != partPath && r.URL.Path != closePath {
		return false
	}
	if !s.signed(r) {
		answer(w, http.StatusUnauthorized, problem(http.StatusUnauthorized, "Not_Authorized"))
		return true
	}
	q := r.URL.Query()
	if r.URL.Path == partPath {
		answer(w, http.StatusOK, s.part(strings.Split(q.Get("want"), ","), q.Has("samples")))
		return true
	}
	status := http.StatusNotFound
	if r.Method == http.MethodPost && s.f.CloseConnection(q.Get("name"), q.Get("reason")) {
		status = http.StatusNoContent
	}
	w.WriteHeader(status)
	return true
}

// part gives this node's.
func (s *server) part(want []string, samples bool) part {
	p := part{Node: s.f.Core().Self().Node}
	s.f.Tell(nil)
	for _, w := range want {
		switch w {
		case "info":
			p.Info = s.nodeInfo()
		case "connections":
			p.Connections = s.ownConnections()
		case "channels":
			p.Channels = s.ownChannels(samples)
		case "consumers":
			p.Consumers = s.ownConsumers()
		case "queues":
			p.Queues = map[string]stat{}
			s.f.View().EachQueue(func(host, name string, t *topology.Tally) {
				if st := s.sampler.tally(t, samples); !st.Counted.Zero() {
					p.Queues[host+"\x00"+name] = st
				}
			})
		case "exchanges":
			p.Exchanges = map[string]stat{}
			s.f.View().EachExchange(func(host, name string, t *topology.Tally) {
				if st := s.sampler.tally(t, samples); !st.Counted.Zero() {
					p.Exchanges[host+"\x00"+name] = st
				}
			})
		case "totals":
			p.Total, p.Churn = s.sampler.node(samples)
			p.Connected, p.Opened, p.Consuming = s.f.Sizes()
		}
	}
	return p
}
