package nodes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// elsewhere is where node 1 is when the tests have no network of their own.
const elsewhere = "127.77.31.1"

// Main runs a package's tests in a network of their own.
func Main(run func() int) int {
	if code, entered := enter(); entered {
		return code
	}
	defer func() {
		if built.dir != "" {
			os.RemoveAll(built.dir)
		}
	}()
	return run()
}

var built struct {
	once sync.Once
	dir  string
	err  error
}

// Program gives the path of trine, which is built at the first call.
func Program() (string, error) {
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "trine-program-"); built.err != nil {
			return
		}
		build := exec.Command("go", "build", "-o", filepath.Join(built.dir, "trine"), "trine/cmd/trine")
		if out, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build trine: %w\n%s", err, out)
		}
	})
	return filepath.Join(built.dir, "trine"), built.err
}

// Trine runs the program to its end and gives all that it printed.
func Trine(args ...string) (string, error) {
	program, err := Program()
	if err != nil {
		return "", err
	}
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("trine %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// Process is a trine that runs beside the tests. What it prints stands in a file.
type Process struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

// Start runs the program.
func Start(log string, args ...string) (*Process, error) {
	program, err := Program()
	if err != nil {
		return nil, err
	}
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p := &Process{exec.Command(program, args...), log, make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = f, f
	begun := make(chan error, 1)
	go func() { // ends with the process; Stop and Await wait for it
		defer close(p.ended)
		endWithUs(p.cmd)
		err := p.cmd.Start()
		if begun <- err; err == nil {
			p.cmd.Wait()
		}
	}()
	return p, <-begun
}

// Said gives what it printed so far.
func (p *Process) Said() string {
	b, _ := os.ReadFile(p.log)
	return string(b)
}

// Await waits until it has printed text.
func (p *Process) Await(text string) error {
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); {
		said := p.Said()
		if strings.Contains(said, text) {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended: %s", p.cmd, p.Said())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s did not print %q: %s", p.cmd, text, p.Said())
}

// Wait waits for its end by itself and gives its exit code.
func (p *Process) Wait(max time.Duration) (int, error) {
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(max):
		return 0, fmt.Errorf("%s has not ended after %s: %s", p.cmd, max, p.Said())
	}
}

// Signal sends it a signal.
func (p *Process) Signal(s syscall.Signal) { p.cmd.Process.Signal(s) }

// Stop ends it as Ctrl-C does and waits for its end.
func (p *Process) Stop() {
	p.Signal(syscall.SIGINT)
	<-p.ended
}

// Cluster is a trine dev that runs.
type Cluster struct {
	*Process
	Hosts []string // the nodes' addresses
	Data  string
}

// Dev starts n nodes with their data in a directory, and waits until all of them serve.
func Dev(data string, n int) (*Cluster, error) {
	c := &Cluster{Data: data}
	at := netip.MustParseAddr(Host())
	for range n {
		c.Hosts = append(c.Hosts, at.String())
		at = at.Next()
	}
	if err := os.MkdirAll(data, 0o750); err != nil {
		return nil, err
	}
	var err error
	c.Process, err = Start(filepath.Join(data, "dev.log"), "dev", "-n", strconv.Itoa(n), "--data", data,
		"--address", Host())
	if err != nil {
		return nil, err
	}
	if err := c.Await(" serve after"); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// Addresses are the nodes' with a port, with commas between, those from the nth on first.
func (c *Cluster) Addresses(port string, first int) string {
	var s []string
	for i := range c.Hosts {
		s = append(s, c.Hosts[(first+i)%len(c.Hosts)]+":"+port)
	}
	return strings.Join(s, ",")
}

// Node gives the data directory of a node, counted from 1.
func (c *Cluster) Node(n int) string { return filepath.Join(c.Data, fmt.Sprintf("node-%d", n)) }

// Do gives the cluster an order: kill, pause, resume, stop, start.
func (c *Cluster) Do(t *testing.T, verb string, node int) {
	t.Helper()
	if _, err := Trine("dev", verb, strconv.Itoa(node), "--data", c.Data); err != nil {
		t.Fatal(err)
	}
}

// Status is what trine status --json prints, as far as the tests look at it.
type Status struct {
	Nodes []struct {
		Node                int
		Disk                string
		Alive, Voter, Leads bool
	}
	Streams []struct {
		Name, Mode string
		Leader     int
		Epoch      int64
		InSync     int `json:"in_sync"`
		Changing   bool
		Members    []struct {
			Node   int
			Disk   string
			InSync bool `json:"in_sync"`
		}
		Lag map[string]int64
	}
}

// Status asks a node, counted from 1.
func (c *Cluster) Status(node int) (*Status, error) {
	program, err := Program()
	if err != nil {
		return nil, err
	}
	var out, said bytes.Buffer
	cmd := exec.Command(program, "status", "--json", "--http", c.Hosts[node-1]+":15672")
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("trine status: %w: %s", err, said.Bytes())
	}
	s := &Status{}
	return s, json.Unmarshal(out.Bytes(), s)
}

// Until waits until a node's status is as ok says; its error is what is missing.
func (c *Cluster) Until(t *testing.T, node int, ok func(*Status) error) *Status {
	t.Helper()
	end := time.Now().Add(30 * time.Second)
	for {
		s, err := c.Status(node)
		if err == nil {
			err = ok(s)
		}
		if err == nil {
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("node %d: %v", node, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Whole is nil once all nodes live and vote and every copy of every stream is in sync and
// lacks nothing.
func (c *Cluster) Whole(s *Status) error {
	if len(s.Nodes) != len(c.Hosts) {
		return fmt.Errorf("%d nodes", len(s.Nodes))
	}
	var missing []error
	for _, n := range s.Nodes {
		if !n.Alive || !n.Voter {
			missing = append(missing, fmt.Errorf("node %d: alive %v, votes %v", n.Node, n.Alive, n.Voter))
		}
	}
	for _, st := range s.Streams {
		for _, m := range st.Members {
			if lag, known := st.Lag[strconv.Itoa(m.Node)]; !m.InSync || !known || lag != 0 {
				missing = append(missing, fmt.Errorf("%s: node %d: in sync %v, lag %d (known: %v)", st.Name,
					m.Node, m.InSync, lag, known))
			}
		}
		if st.Leader == 0 || st.Changing {
			missing = append(missing, fmt.Errorf("%s: leader %d, changing %v", st.Name, st.Leader, st.Changing))
		}
	}
	return errors.Join(missing...)
}
