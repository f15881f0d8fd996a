package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"trine/internal/core"
	"trine/internal/front/admin"
)

// client asks a node over HTTP.
type client struct {
	at string // host:port
	h  http.Client
}

func (c *client) flags(cmd *cobra.Command) {
	c.h.Timeout = 15 * time.Second
	cmd.PersistentFlags().StringVar(&c.at, "http", "127.0.0.1:15672", "host:port of the HTTP of a node that lives")
}

// call asks node at; body and answer are JSON, or nil.
func (c *client) call(at, method, path string, q url.Values, body, answer any) error {
	var b io.Reader
	if body != nil {
		j, err := json.Marshal(body)
		if err != nil {
			return err
		}
		b = bytes.NewReader(j)
	}
	u := url.URL{Scheme: "http", Host: at, Path: "/api/trine/v1/" + path, RawQuery: q.Encode()}
	r, err := http.NewRequest(method, u.String(), b)
	if err != nil {
		return err
	}
	resp, err := c.h.Do(r)
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) {
			return fmt.Errorf("no node listens on %s: start one (trine serve, trine dev), or name another's "+
				"HTTP address with --http", at)
		}
		return fmt.Errorf("ask node at %s: %w", at, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		var p admin.Problem
		if json.NewDecoder(resp.Body).Decode(&p) != nil || p.Error == "" {
			return fmt.Errorf("ask node at %s: %s", at, resp.Status)
		}
		return fmt.Errorf("node at %s: %s", at, p.Error)
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// clusterStatus is what trine status prints with --json.
type clusterStatus struct {
	Nodes   []admin.Node   `json:"nodes"`
	Streams []streamStatus `json:"streams"`
	Warning string         `json:"warning,omitempty"` // why this may not be how it is now
}

// streamStatus adds to a stream what each copy lacks, by node; a node that could
// not be asked is missing.
type streamStatus struct {
	admin.Stream
	Lag map[core.NodeID]core.Offset `json:"lag"`
}

func statusCommand() *cobra.Command {
	var c client
	var watch, asJSON bool
	var prefix string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show nodes, leaders, copies in sync and lag",
		Long: "Show nodes, leaders, copies in sync and lag, as one node knows them.\n\n" +
			"  CATALOG       what the node does for what the cluster agrees on: leads, votes, or neither (-)\n" +
			"  LEADS, COPIES of how many streams it is the leader, and has a copy\n" +
			"  EPOCH         rises whenever a stream gets another leader\n" +
			"  COPIES (LAG)  each copy's node, the preferred leader's first; in brackets how many records its\n" +
			"                committed end is behind (?: it could not be asked); behind: it is not in sync\n\n" +
			"Every node answers, so ask one that lives: --http. A Kafka partition is kafka/TOPIC/N, an AMQP\n" +
			"queue amqp/q/VHOST/NAME (%2F is the vhost /), a RocketMQ queue rocket/TOPIC/BROKER/N.",
		Example: "  trine status --watch --http 127.0.0.2:15672\n  trine status --prefix kafka/ --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			show := func() error {
				s, err := c.status(prefix)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(s)
				}
				return s.print(os.Stdout, watch)
			}
			if !watch {
				return show()
			}
			return every(time.Second, show)
		},
	}
	c.flags(cmd)
	cmd.Flags().BoolVar(&watch, "watch", false, "again every second")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.Flags().StringVar(&prefix, "prefix", "", "only streams whose names begin so")
	return cmd
}

// every calls show until a signal comes. An error is shown and tried again: the
// node that is asked may be the one that was just killed.
func every(d time.Duration, show func() error) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(stop)
	for {
		if err := show(); err != nil {
			fmt.Fprintln(os.Stderr, "trine:", err)
		}
		select {
		case <-stop:
			return nil
		case <-time.After(d):
		}
	}
}

func printJSON(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// status asks one node for the catalog, and every living one for what its copies
// hold.
func (c *client) status(prefix string) (*clusterStatus, error) {
	s := &clusterStatus{}
	if err := c.call(c.at, "GET", "nodes", nil, nil, &s.Nodes); err != nil {
		return nil, err
	}
	s.Warning = c.doubt()
	q := url.Values{"prefix": {prefix}, "ends": {"1"}}
	ends := map[core.NodeID]map[core.StreamID]core.Offset{}
	var mu sync.Mutex
	var wait sync.WaitGroup
	for _, n := range s.Nodes {
		at := c.reach(n)
		if n.Self || !n.Alive || at == "" {
			continue
		}
		wait.Go(func() { // ends with the client's timeout; waited for below
			var theirs []admin.Stream
			quick := client{h: http.Client{Timeout: 2 * time.Second}}
			if quick.call(at, "GET", "streams", q, nil, &theirs) != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ends[n.Node] = committedEnds(theirs)
		})
	}
	var mine []admin.Stream
	err := c.call(c.at, "GET", "streams", q, nil, &mine)
	wait.Wait()
	if err != nil {
		return nil, err
	}
	for _, n := range s.Nodes {
		if n.Self {
			ends[n.Node] = committedEnds(mine)
		}
	}
	for _, m := range mine {
		s.Streams = append(s.Streams, streamStatus{m, lags(&m, ends)})
	}
	return s, nil
}

// doubt says why the asked node may not know how things are now; nothing where it serves.
func (c *client) doubt() string {
	quick := http.Client{Timeout: 3 * time.Second}
	r, err := quick.Get("http://" + c.at + "/readyz")
	if err == nil {
		r.Body.Close()
		if r.StatusCode == http.StatusOK {
			return ""
		}
	}
	return "the node at " + c.at + " reaches no majority of the catalog's voters: this is what it " +
		"knew last, and nothing can be changed until more nodes are back"
}

func committedEnds(ss []admin.Stream) map[core.StreamID]core.Offset {
	m := map[core.StreamID]core.Offset{}
	for _, s := range ss {
		if s.Local != nil {
			m[s.ID] = s.Local.Committed
		}
	}
	return m
}

// lags gives how many records each copy's committed end is behind the furthest.
func lags(s *admin.Stream,
	ends map[core.NodeID]map[core.StreamID]core.Offset) map[core.NodeID]core.Offset {
	lag, most := map[core.NodeID]core.Offset{}, core.Offset(0)
	for _, m := range s.Members {
		if end, ok := ends[m.Node][s.ID]; ok {
			lag[m.Node] = end
			most = max(most, end)
		}
	}
	for n := range lag {
		lag[n] = most - lag[n]
	}
	return lag
}

// reach gives where a node's HTTP is, as seen from here.
func (c *client) reach(n admin.Node) string {
	host, port, err := net.SplitHostPort(n.Addresses[admin.Name])
	if err != nil {
		return ""
	}
	if host == "" {
		host, _, _ = net.SplitHostPort(c.at)
	}
	return net.JoinHostPort(host, port)
}

func (s *clusterStatus) print(w io.Writer, clear bool) error {
	var b bytes.Buffer
	if clear {
		b.WriteString("\033[H\033[2J")
	}
	if s.Warning != "" {
		fmt.Fprintf(&b, "WARNING: %s.\n\n", s.Warning)
	}
	t := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tSTATE\tCATALOG\tRACK\tLEADS\tCOPIES\tADDRESS")
	for _, n := range s.Nodes {
		state, role := "dead", "-"
		if n.Alive {
			state = "alive"
		}
		if n.Voter {
			role = "votes"
		}
		if n.Leads {
			role = "leads"
		}
		leads, copies := 0, 0
		for _, st := range s.Streams {
			if st.Leader == n.Node {
				leads++
			}
			for _, m := range st.Members {
				if m.Node == n.Node {
					copies++
				}
			}
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%d\t%d\t%s\n", n.Node, state, role, cmp.Or(n.Rack, "-"), leads,
			copies, cmp.Or(n.Addresses[admin.Name], "-"))
	}
	if fmt.Fprintln(t); len(s.Streams) == 0 {
		fmt.Fprintln(t, "No streams yet.")
		t.Flush()
		_, err := w.Write(b.Bytes())
		return err
	}
	fmt.Fprintln(t, "STREAM\tMODE\tLEADER\tEPOCH\tIN SYNC\tCOPIES (LAG)")
	for i := range s.Streams {
		s.Streams[i].print(t)
	}
	t.Flush()
	_, err := w.Write(b.Bytes())
	return err
}

func (s *streamStatus) print(w io.Writer) {
	var copies []string
	for _, m := range s.Members {
		text := fmt.Sprint(m.Node)
		if lag, ok := s.Lag[m.Node]; ok {
			text += fmt.Sprintf(" (%d)", lag)
		} else {
			text += " (?)"
		}
		if !m.InSync {
			text += " behind"
		}
		copies = append(copies, text)
	}
	leader := "none"
	if s.Leader != 0 {
		leader = fmt.Sprint(s.Leader)
	}
	mode := s.Mode
	if s.Changing {
		mode += " (changing)"
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d of %d\t%s\n", s.Name, mode, leader, s.Epoch, s.InSync,
		len(s.Members), strings.Join(copies, ", "))
}
