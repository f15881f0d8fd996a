package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// devData is where trine dev keeps its nodes where nothing else is said.
const devData = "trine-data/dev"

// readyMax is how long the nodes may take until all serve.
const readyMax = 60 * time.Second

func devCommand() *cobra.Command {
	d := devCluster{}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a cluster on this machine, to try and to break",
		Long: "Run a cluster of several processes on this machine. Node N listens on 127.0.0.N\n" +
			"with the standard ports; where the machine has only 127.0.0.1, on it with 100 added to the ports\n" +
			"for each node. Ctrl-C stops all. From another terminal: trine dev kill|pause|resume|stop|\n" +
			"start|pid N.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return d.run() },
	}
	cmd.PersistentFlags().StringVar(&d.data, "data", devData, "directory of the nodes' data and logs")
	cmd.Flags().IntVarP(&d.n, "nodes", "n", 3, "how many nodes")
	cmd.Flags().StringVar(&d.base, "address", "127.0.0.1",
		"address of node 1; the others count on from it")
	cmd.Flags().StringVar(&d.level, "log-level", "info", "of the nodes' logs")
	for _, v := range []struct{ verb, short string }{
		{"kill", "Kill a node's process at once, as a crash does (SIGKILL)"},
		{"pause", "Stop a node's process where it stands (SIGSTOP)"},
		{"resume", "Let a paused process go on (SIGCONT)"},
		{"stop", "Stop a node in order (SIGTERM)"},
		{"start", "Start a node that was killed or stopped"},
		{"pid", "Print the process id of a node"},
	} {
		cmd.AddCommand(&cobra.Command{Use: v.verb + " N", Short: v.short,
			Long: v.short + ".\n\nN is the node's number; --data names the directory of the trine dev that\n" +
				"runs it, where that is not the usual one.",
			Args: one("a node's number", "1"),
			RunE: func(_ *cobra.Command, args []string) error {
				out, err := control(d.data, v.verb, args[0])
				if err == nil && out != "" {
					fmt.Println(out)
				}
				return err
			}})
	}
	return cmd
}

// devCluster is the process of trine dev: it owns the nodes' processes.
type devCluster struct {
	data  string
	n     int
	base  string
	level string

	configs []config
	procs   []*process
	spawner *spawner
}

func (d *devCluster) run() error {
	if d.n < 1 || d.n > 9 {
		return fmt.Errorf("-n %d: 1 to 9 nodes", d.n)
	}
	var err error
	if d.data, err = filepath.Abs(d.data); err != nil {
		return err
	}
	if err := os.MkdirAll(d.data, 0o750); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	if err := d.plan(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	d.spawner = newSpawner()
	defer d.spawner.close()
	for i := range d.configs {
		d.procs = append(d.procs, &process{id: i + 1, program: self, args: d.args(i),
			log: filepath.Join(d.data, fmt.Sprintf("node-%d.log", i+1)), spawner: d.spawner,
			ready: "http://" + d.configs[i].HTTP.Listen + "/readyz"})
	}
	desk, err := openDesk(d)
	if err != nil {
		return err
	}
	defer desk.close()
	defer d.stopAll()
	for _, p := range d.procs {
		if err := p.start(); err != nil {
			return err
		}
	}
	began := time.Now()
	if err := d.awaitReady(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	d.greet(time.Since(began))
	d.watch(ctx)
	fmt.Println("stopping")
	return nil
}

// plan gives each node its configuration.
func (d *devCluster) plan() error {
	base := net.ParseIP(d.base).To4()
	if base == nil || int(base[3])+d.n-1 > 254 {
		return fmt.Errorf("--address %q is no IPv4 address with room for %d nodes", d.base, d.n)
	}
	several := d.n == 1 || canListen(address(base, d.n-1))
	var peers []string
	for i := range d.n {
		host, shift := address(base, i), 0
		if !several {
			host, shift = d.base, 100*i
		}
		c := standard(host, shift)
		c.Node, c.LogLevel = i+1, d.level
		c.Data = filepath.Join(d.data, fmt.Sprintf("node-%d", i+1))
		c.Kafka.Copies = min(3, d.n)
		c.Kafka.MinInSync = max(1, c.Kafka.Copies-1)
		busy := (*busyError)(nil)
		if err := c.probe(); errors.As(err, &busy) {
			return fmt.Errorf("node %d: %s, or give the nodes other addresses: --address 127.0.1.1",
				c.Node, busy.stop())
		} else if err != nil {
			return fmt.Errorf("node %d: %w", c.Node, err)
		}
		peers = append(peers, fmt.Sprintf("%d=%s", i+1, c.Listen))
		d.configs = append(d.configs, c)
	}
	for i := range d.configs {
		for k, p := range peers {
			if k != i {
				d.configs[i].Peers = append(d.configs[i].Peers, p)
			}
		}
	}
	return nil
}

func address(base net.IP, i int) string {
	return net.IPv4(base[0], base[1], base[2], base[3]+byte(i)).String()
}

// canListen says whether the machine has an address.
func canListen(host string) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// args are the arguments of a node's process.
func (d *devCluster) args(i int) []string {
	c := d.configs[i]
	return []string{"serve", "--node", strconv.Itoa(c.Node), "--data", c.Data, "--listen", c.Listen,
		"--peers", strings.Join(c.Peers, ","), "--amqp", c.AMQP.Listen, "--kafka", c.Kafka.Listen,
		"--kafka-copies", strconv.Itoa(c.Kafka.Copies),
		"--kafka-min-in-sync", strconv.Itoa(c.Kafka.MinInSync),
		"--nameserver", c.RocketMQ.NameServer, "--broker", c.RocketMQ.Broker,
		"--http", c.HTTP.Listen, "--log-level", c.LogLevel}
}

// awaitReady waits until every node serves, or one of them has ended.
func (d *devCluster) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyMax)
	defer cancel()
	for _, p := range d.procs {
		if err := p.awaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *devCluster) greet(took time.Duration) {
	fmt.Printf("%d nodes serve after %.1f s. Connect to any of them:\n\n", d.n, took.Seconds())
	fmt.Printf("  node  %-22s %-22s %-22s %-22s %s\n", "AMQP 0-9-1", "Kafka", "RocketMQ NameServer",
		"RocketMQ broker", "HTTP (health, metrics, API)")
	for _, c := range d.configs {
		fmt.Printf("  %-5d %-22s %-22s %-22s %-22s http://%s\n", c.Node, c.AMQP.Listen, c.Kafka.Listen,
			c.RocketMQ.NameServer, c.RocketMQ.Broker, c.HTTP.Listen)
	}
	data := ""
	if rel := d.data; !strings.HasSuffix(rel, devData) {
		data = " --data " + rel
	}
	fmt.Printf("\nData and logs: %s\nBreak it from another terminal: "+
		"trine dev kill|pause|resume|stop|"+
		"start N%s\nWatch it: trine status --watch --http %s\nCtrl-C stops all.\n",
		d.data, data, d.configs[0].HTTP.Listen)
}

// watch says what becomes of the processes until ctx ends.
func (d *devCluster) watch(ctx context.Context) {
	ended := make(chan string, 16)
	for _, p := range d.procs {
		p.onEnd(func(text string) {
			select {
			case ended <- text:
			default:
			}
		})
	}
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case text := <-ended:
			fmt.Println(text)
		case <-look.C:
			// Without its directory nobody could find this cluster again, or its data.
			if s, err := readState(d.data); err != nil || s.PID != os.Getpid() {
				fmt.Printf("%s was taken away\n", d.data)
				return
			}
		}
	}
}

// stopAll stops every process that still runs, all at once.
func (d *devCluster) stopAll() {
	for _, p := range d.procs {
		p.onEnd(nil)
		p.signal(syscall.SIGCONT)
		p.signal(syscall.SIGTERM)
	}
	end := time.Now().Add(handOverMax + drainMax + 2*time.Second)
	for _, p := range d.procs {
		if !p.awaitEnd(time.Until(end)) {
			slog.Warn("a node did not stop in time and is killed", "node", p.id)
			p.signal(syscall.SIGKILL)
			p.awaitEnd(time.Second)
		}
	}
}
