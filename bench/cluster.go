package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// cluster is a broker that runs: Trine's nodes, or a peer's.
type cluster struct {
	o     *options
	row   *row
	trine bool
	nodes []*exec.Cmd // Trine's, each a child of this process
	dir   string
	log   string // level of Trine's logs
	pprof bool   // its profiles are to be had, though none is asked for

	kafka, amqp, rocket []string  // where clients connect first
	at                  time.Time // when first had its acknowledgement
}

// The addresses of Trine's nodes: apart from the peers', which count from 127.0.0.1.
const trineBase = 51

func trineHost(i int) string { return fmt.Sprintf("127.0.0.%d", trineBase+i) }

// start begins an empty cluster and returns when it says that it serves.
func start(ctx context.Context, o *options, r *row, trine bool) (*cluster, error) {
	return (&cluster{o: o, row: r, trine: trine, log: "warn"}).start(ctx)
}

// startLogged is start for Trine, with more in the logs.
func startLogged(ctx context.Context, o *options, r *row, level string) (*cluster, error) {
	return (&cluster{o: o, row: r, trine: true, log: level}).start(ctx)
}

// startProfiled is start for Trine, with what tells how much memory is in use.
func startProfiled(ctx context.Context, o *options, r *row) (*cluster, error) {
	return (&cluster{o: o, row: r, trine: true, log: "warn", pprof: true}).start(ctx)
}

func (c *cluster) start(ctx context.Context) (*cluster, error) {
	c.dir = filepath.Join(c.o.work, c.row.name)
	c.addresses()
	if !c.trine {
		if err := c.empty(ctx); err != nil {
			return nil, err
		}
		return c, c.startPeer(ctx)
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return nil, err
	}
	if err := c.startTrine(ctx); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// addresses fills in where clients connect.
func (c *cluster) addresses() {
	for i := range c.row.nodes {
		host := fmt.Sprintf("127.0.0.%d", i+1)
		if c.trine {
			host = trineHost(i)
		}
		c.kafka, c.amqp = append(c.kafka, host+":9092"), append(c.amqp, host+":5672")
		if c.trine || i == 0 { // one NameServer serves the peer's brokers
			c.rocket = append(c.rocket, host+":9876")
		}
	}
}

// reach says whether somebody listens.
func reach(at string) error {
	c, err := net.DialTimeout("tcp", at, time.Second)
	if err == nil {
		c.Close()
	}
	return err
}

func (c *cluster) startTrine(ctx context.Context) error {
	if err := os.MkdirAll(c.dir, 0o750); err != nil {
		return err
	}
	n := c.row.nodes
	for i := range n {
		if at := trineHost(i) + ":7400"; reach(at) == nil {
			return fmt.Errorf("somebody listens on %s: another measurement runs", at)
		}
	}
	for i := range n {
		host := trineHost(i)
		args := []string{"serve", "--node", strconv.Itoa(i + 1), "--data", filepath.Join(c.dir, host),
			"--log-level", c.log, "--listen", host + ":7400", "--amqp", host + ":5672",
			"--kafka", host + ":9092", "--nameserver", host + ":9876", "--broker", host + ":10911",
			"--http", host + ":15672", "--kafka-copies", strconv.Itoa(n),
			"--kafka-min-in-sync", strconv.Itoa(n/2 + 1)}
		var peers []string
		for k := range n {
			if k != i {
				peers = append(peers, fmt.Sprintf("%d=%s:7400", k+1, trineHost(k)))
			}
		}
		if peers != nil {
			args = append(args, "--peers", strings.Join(peers, ","))
		}
		if c.o.profile != "" || c.pprof {
			args = append(args, "--pprof", host+":6060")
		}
		log, err := os.OpenFile(filepath.Join(c.dir, host+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
		if err != nil {
			return err
		}
		cmd := exec.Command(c.o.trine, args...)
		cmd.Stdout, cmd.Stderr = log, log
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		err = cmd.Start()
		log.Close()
		if err != nil {
			return fmt.Errorf("start trine: %w", err)
		}
		c.nodes = append(c.nodes, cmd)
	}
	for i := range n {
		if err := c.awaitReady(ctx, trineHost(i), c.nodes[i].Process.Pid); err != nil {
			return err
		}
	}
	for i, n := range c.nodes { // what answered was ours, and no other's at the same address
		if gone(n.Process.Pid) {
			return fmt.Errorf("trine at %s has ended; see %s", trineHost(i), filepath.Join(c.dir, trineHost(i)+".log"))
		}
	}
	return nil
}

func (c *cluster) awaitReady(ctx context.Context, host string, pid int) error {
	client := http.Client{Timeout: 2 * time.Second}
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end) && ctx.Err() == nil && !gone(pid); {
		if r, err := client.Get("http://" + host + ":15672/readyz"); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("trine at %s does not serve; see %s", host, filepath.Join(c.dir, host+".log"))
}

// script runs a peer's script and gives what it prints.
func (c *cluster) script(ctx context.Context, args ...string) (string, error) {
	path := filepath.Join(c.o.peers, c.row.peer, c.row.peer)
	cmd := exec.CommandContext(ctx, path, args...)
	// A file and no pipe: the peer's processes keep it open.
	f, err := os.CreateTemp("", "trine-bench-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	err = cmd.Run()
	b, _ := os.ReadFile(f.Name())
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", c.row.peer, strings.Join(args, " "), err,
			bytes.TrimSpace(b))
	}
	return string(b), nil
}

// empty removes an earlier peer's data; one that runs belongs to somebody else.
func (c *cluster) empty(ctx context.Context) error {
	if pids := c.pids(); len(pids) > 0 {
		return fmt.Errorf("a %s runs already (process %d): end it first", c.row.peer, pids[0])
	}
	if c.row.peer == "rocketmq" {
		return nil // its start empties
	}
	_, err := c.script(ctx, "clean")
	return err
}

func (c *cluster) startPeer(ctx context.Context) error {
	args := []string{"start", "-n", strconv.Itoa(c.row.nodes)}
	if c.row.peer == "rocketmq" {
		args = []string{"start", "single", "-v", c.o.rocketmq}
		if c.row.nodes == 3 {
			args = []string{"start", "dledger", "-v", "5.3.3"}
		}
	}
	if c.row.version != "" {
		args = append(args, "-v", c.row.version)
	}
	_, err := c.script(ctx, args...)
	if err != nil {
		c.stop()
	}
	return err
}

// pids are the processes of the broker that run, of a peer's with all that they began.
func (c *cluster) pids() (all []int) {
	if c.trine {
		for _, n := range c.nodes {
			all = append(all, n.Process.Pid)
		}
		return all
	}
	add := func(s string) {
		if p, err := strconv.Atoi(strings.TrimSpace(s)); err == nil && p > 0 {
			all = append(all, p)
		}
	}
	if c.row.peer == "rocketmq" {
		out, _ := c.script(context.Background(), "status")
		for _, l := range strings.Split(out, "\n") {
			if f := strings.Fields(l); len(f) > 2 && f[2] != "dead" {
				add(f[1])
			}
		}
	} else {
		for n := range 3 {
			if out, err := c.script(context.Background(), "pid", strconv.Itoa(n+1)); err == nil {
				add(out)
			}
		}
	}
	return descendants(all)
}

// stop ends the cluster and what it stored.
func (c *cluster) stop() {
	if !c.trine {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		verb := "clean"
		if c.row.peer == "rocketmq" {
			verb = "stop"
		}
		if _, err := c.script(ctx, verb); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		return
	}
	c.kill(syscall.SIGKILL)
	os.RemoveAll(c.dir)
}

// kill ends all processes of the cluster at once, and waits for it.
func (c *cluster) kill(s syscall.Signal) {
	pids := c.pids()
	for _, p := range pids {
		syscall.Kill(p, s)
	}
	for _, n := range c.nodes {
		n.Wait()
	}
	c.nodes = nil
	for _, p := range pids {
		for syscall.Kill(p, 0) == nil && !gone(p) {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// again starts what was killed, on its old disk.
func (c *cluster) again(ctx context.Context) error {
	switch {
	case c.trine:
		return c.startTrine(ctx)
	case c.row.peer == "rocketmq":
		for _, name := range []string{"ns-1", "broker-a"} {
			if _, err := c.script(ctx, "restart", name); err != nil {
				return err
			}
		}
		return nil
	}
	_, err := c.script(ctx, "start")
	return err
}

// profiles fetches CPU profiles of Trine's nodes while a measurement runs; wait
// returns when they are written.
func (c *cluster) profiles(span time.Duration) (wait func()) {
	var all sync.WaitGroup
	if c.o.profile == "" || !c.trine {
		return all.Wait
	}
	os.MkdirAll(c.o.profile, 0o755)
	for i := range c.nodes {
		all.Go(func() { // waited for
			url := fmt.Sprintf("http://%s:6060/debug/pprof/profile?seconds=%d", trineHost(i),
				int(span.Seconds()))
			r, err := http.Get(url)
			if err != nil {
				fmt.Fprintln(os.Stderr, "bench: profile:", err)
				return
			}
			defer r.Body.Close()
			b, _ := io.ReadAll(r.Body)
			name := fmt.Sprintf("%s-node%d.pprof", c.row.name, i+1)
			os.WriteFile(filepath.Join(c.o.profile, name), b, 0o644)
		})
	}
	return all.Wait
}
