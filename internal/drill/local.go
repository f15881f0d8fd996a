package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"trine/internal/front/admin"
)

// ports of the services, on each node's own address.
var ports = map[string]int{AMQP: 5672, Kafka: 9092, NameServer: 9876, Broker: 10911, HTTP: 15672}

// portPeers is where a node, and the proxies to it, listen for other nodes.
const portPeers = 7400

// endMax is how long a node may take to stop in order.
const endMax = 12 * time.Second

// local is three processes of this program, with a proxy for each ordered pair.
type local struct {
	base    net.IP
	procs   [nodes + 1]*process
	proxies [nodes + 1][nodes + 1]*Proxy // from, to
	client  http.Client
}

// StartLocal starts three nodes on base+1 .. base+3, the proxies on base+10*from+to,
// with data and logs below dir, and waits until all serve. volatile makes the end
// of a node's process a power cut.
func StartLocal(ctx context.Context, program, dir, base string, volatile bool) (Cluster, error) {
	c := &local{base: net.ParseIP(base).To4(), client: http.Client{Timeout: 3 * time.Second}}
	if c.base == nil || c.base[3] > 200 {
		return nil, fmt.Errorf("address %q is no IPv4 address with room for nodes and proxies", base)
	}
	for from := 1; from <= nodes; from++ {
		peers := []string{}
		for to := 1; to <= nodes; to++ {
			if to == from {
				continue
			}
			at := net.JoinHostPort(c.host(10*from+to), fmt.Sprint(portPeers))
			p, err := NewProxy(at, net.JoinHostPort(c.host(to), fmt.Sprint(portPeers)))
			if err != nil {
				c.Close()
				return nil, err
			}
			c.proxies[from][to] = p
			peers = append(peers, fmt.Sprintf("%d=%s", to, p.Addr()))
		}
		c.procs[from] = c.process(program, dir, from, peers, volatile)
	}
	for n := 1; n <= nodes; n++ {
		if err := c.Start(n); err != nil {
			c.Close()
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := c.Healthy(ctx, nil); err != nil {
		c.Close()
		return nil, fmt.Errorf("start cluster: %w", err)
	}
	return c, nil
}

func (c *local) process(program, dir string, node int, peers []string, volatile bool) *process {
	args := []string{"serve", "--node", fmt.Sprint(node),
		"--data", filepath.Join(dir, fmt.Sprintf("node-%d", node)),
		"--listen", net.JoinHostPort(c.host(node), fmt.Sprint(portPeers)),
		"--peers", strings.Join(peers, ","),
		"--kafka-copies", "3", "--kafka-min-in-sync", "2"}
	for _, s := range []string{AMQP, Kafka, NameServer, Broker, HTTP} {
		args = append(args, "--"+s, c.Address(node, s))
	}
	if volatile {
		args = append(args, "--unsafe-volatile-writes")
	}
	return &process{program: program, args: args,
		log: filepath.Join(dir, fmt.Sprintf("node-%d.log", node))}
}

func (c *local) host(i int) string {
	return net.IPv4(c.base[0], c.base[1], c.base[2], c.base[3]+byte(i)).String()
}

func (c *local) Address(node int, service string) string {
	return net.JoinHostPort(c.host(node), fmt.Sprint(ports[service]))
}

func (c *local) Signal(node int, s syscall.Signal) { c.procs[node].signal(s) }

func (c *local) End(node int, s syscall.Signal) { c.procs[node].end(s, endMax) }

func (c *local) Gone(node int) bool { return c.procs[node].gone() }

func (c *local) Start(node int) error { return c.procs[node].start() }

func (c *local) Link(node int, s State) error {
	var errs []error
	for o := 1; o <= nodes; o++ {
		if o != node {
			errs = append(errs, c.proxies[node][o].Set(s), c.proxies[o][node].Set(s))
		}
	}
	return errors.Join(errs...)
}

func (c *local) Hold(node int, d time.Duration) {
	for o := 1; o <= nodes; o++ {
		if o != node {
			c.proxies[node][o].Delay(d, 0)
			c.proxies[o][node].Delay(0, d)
		}
	}
}

func (c *local) Close() {
	for n := 1; n <= nodes; n++ {
		if p := c.procs[n]; p != nil {
			p.signal(syscall.SIGCONT)
			p.signal(syscall.SIGKILL)
		}
	}
	for from := range c.proxies {
		if p := c.procs[from]; p != nil {
			p.end(syscall.SIGKILL, endMax)
		}
		for _, p := range c.proxies[from] {
			if p != nil {
				p.Close()
			}
		}
	}
}

func (c *local) Crashed() (all []int) {
	for n := 1; n <= nodes; n++ {
		if c.procs[n].crashed() {
			all = append(all, n)
		}
	}
	return all
}

// call asks one node over HTTP.
func (c *local) call(ctx context.Context, node int, method, path string, q url.Values, body, answer any) error {
	var b io.Reader
	if body != nil {
		j, err := json.Marshal(body)
		if err != nil {
			return err
		}
		b = bytes.NewReader(j)
	}
	u := "http://" + c.Address(node, HTTP) + path
	if len(q) > 0 {
		u += "?" + q.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, u, b)
	if err != nil {
		return err
	}
	r.SetBasicAuth("guest", "guest")
	resp, err := c.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(said))
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// ask asks the first node that answers.
func (c *local) ask(ctx context.Context, method, path string, q url.Values, body, answer any) (err error) {
	for n := 1; n <= nodes; n++ {
		if err = c.call(ctx, n, method, path, q, body, answer); err == nil {
			return nil
		}
	}
	return err
}

// CatalogLeader waits until some node says who leads.
func (c *local) CatalogLeader(ctx context.Context) (int, error) {
	end := time.Now().Add(healthyMax)
	for time.Now().Before(end) && ctx.Err() == nil {
		for n := 1; n <= nodes; n++ {
			var all []admin.Node
			if c.call(ctx, n, "GET", "/api/trine/v1/nodes", nil, nil, &all) != nil {
				continue
			}
			for _, n := range all {
				if n.Leads {
					return int(n.Node), nil
				}
			}
		}
		sleep(ctx, 50*time.Millisecond)
	}
	return 0, errors.New("nobody leads the catalog")
}

func (c *local) Find(ctx context.Context, part string) (Stream, error) {
	all, err := c.streams(ctx, 0, part)
	if err != nil {
		return Stream{}, err
	}
	if len(all) == 0 {
		return Stream{}, fmt.Errorf("no stream is called like %q", part)
	}
	return all[0], nil
}

// streams lists those with part in their names, as one node, or any, sees them.
func (c *local) streams(ctx context.Context, node int, part string) (found []Stream, err error) {
	var all []admin.Stream
	if node > 0 {
		err = c.call(ctx, node, "GET", "/api/trine/v1/streams", nil, nil, &all)
	} else {
		err = c.ask(ctx, "GET", "/api/trine/v1/streams", nil, nil, &all)
	}
	for _, s := range all {
		if !strings.Contains(s.Name, part) {
			continue
		}
		f := Stream{Name: s.Name, Mode: s.Mode, Leader: int(s.Leader), InSync: s.InSync, Changing: s.Changing}
		for _, m := range s.Members {
			f.Nodes = append(f.Nodes, int(m.Node))
		}
		found = append(found, f)
	}
	return found, err
}

// Lead asks for another order of the stream's nodes. A Raft group hands over when
// its first node changes, so one that prefers the node already is turned away first.
func (c *local) Lead(ctx context.Context, part string, node int) error {
	for {
		s, err := c.Find(ctx, part)
		if err == nil && s.Leader == node {
			return nil
		}
		if err == nil && s.Mode == "majority" && s.Leader > 0 {
			err = c.prefer(ctx, &s, s.Leader)
		}
		if err == nil {
			err = c.prefer(ctx, &s, node)
		}
		for again := time.Now().Add(leadAgain); err == nil && time.Now().Before(again) && ctx.Err() == nil; {
			sleep(ctx, 20*time.Millisecond)
			if now, e := c.Find(ctx, part); e == nil && now.Leader == node {
				return nil
			}
		}
		if sleep(ctx, 20*time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("lead stream %q at node %d: it is at %d: %w", part, node, s.Leader,
				errors.Join(err, ctx.Err()))
		}
	}
}

// leadAgain is when a leadership that did not move is asked for again.
const leadAgain = 700 * time.Millisecond

// prefer moves a stream to the same nodes, with one of them first.
func (c *local) prefer(ctx context.Context, s *Stream, first int) error {
	to := []int{first}
	for _, n := range s.Nodes {
		if n != first {
			to = append(to, n)
		}
	}
	if len(s.Nodes) == 1 {
		to = to[:1]
	}
	return c.ask(ctx, "POST", "/api/trine/v1/move", url.Values{"name": {s.Name}}, map[string]any{"nodes": to}, nil)
}

// Policy puts a policy and waits until every node knows it.
func (c *local) Policy(ctx context.Context, name, pattern string, definition map[string]any) error {
	path := "/api/policies/%2F/" + name
	err := c.ask(ctx, "PUT", path, nil,
		map[string]any{"pattern": pattern, "definition": definition, "apply-to": "all"}, nil)
	for n := 1; n <= nodes && err == nil; n++ {
		for c.call(ctx, n, "GET", path, nil, nil, nil) != nil {
			if sleep(ctx, 10*time.Millisecond); ctx.Err() != nil {
				return fmt.Errorf("policy %q is not known to node %d: %w", name, n, ctx.Err())
			}
		}
	}
	return err
}

func (c *local) Alter(ctx context.Context, node int, name string, ch Change) error {
	return c.call(ctx, node, "PATCH", "/api/trine/v1/streams", url.Values{"name": {name}}, ch, nil)
}

// Healthy waits until every node serves and sees the streams as they are wanted.
func (c *local) Healthy(ctx context.Context, wants []Want) error {
	var why error
	for {
		if why = c.healthy(ctx, wants); why == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return why
		case <-time.After(30 * time.Millisecond):
		}
	}
}

func (c *local) healthy(ctx context.Context, wants []Want) error {
	for n := 1; n <= nodes; n++ {
		if err := c.call(ctx, n, "GET", "/readyz", nil, nil, nil); err != nil {
			return fmt.Errorf("node %d is not healthy: %w", n, err)
		}
		if len(wants) == 0 {
			continue
		}
		all, err := c.streams(ctx, n, "")
		if err != nil {
			return err
		}
		for _, w := range wants {
			if err := w.met(all); err != nil {
				return fmt.Errorf("node %d sees %w", n, err)
			}
		}
	}
	return nil
}

// met says what of the wanted streams is not as it shall be.
func (w *Want) met(all []Stream) error {
	found := false
	for _, s := range all {
		if !strings.Contains(s.Name, w.Part) {
			continue
		}
		found = true
		if s.Leader == 0 || s.InSync < w.Copies || w.Leader != 0 && s.Leader != w.Leader ||
			w.Mode != "" && (s.Mode != w.Mode || s.Changing) {
			return fmt.Errorf("stream %q: mode %s, leader %d, %d of %d copies in sync, changing %v", s.Name,
				s.Mode, s.Leader, s.InSync, w.Copies, s.Changing)
		}
	}
	if !found {
		return fmt.Errorf("no stream called like %q", w.Part)
	}
	return nil
}
