// Command bench measures Trine beside the real RabbitMQ, Kafka and RocketMQ: the same
// standard client with the same options against both, in one run, in the order A B B A
// (Trine, the peer twice, Trine), never two brokers alive at a time. What is compared
// is the broker's CPU per message: user and system time of all its processes, from
// /proc/PID/stat, divided by the messages acknowledged in the same span. bench/run
// builds it and the broker, and takes the machine's lock.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/apache/rocketmq-client-go/v2/rlog"
)

// options are what a run is told.
type options struct {
	trine, peers, work   string
	profile, rocketmq    string
	span, warm, warmPeer time.Duration
	only                 string
	streams              int
}

// row is one line of the table: a load, the policy it needs, and how many nodes.
type row struct {
	name, what, peer string
	version          string // of the peer; "": its script's default
	nodes            int
	run              func(ctx context.Context, o *options, r *row) (outcome, error)
	load             func(ctx context.Context, c *cluster) (*load, error)
}

func rows() []*row {
	return []*row{
		{name: "kafka-record-1", what: "Kafka 1 KiB, one record a batch, one node, acks=all",
			peer: "kafka", nodes: 1, run: throughput, load: kafkaLoad(oneRecord)},
		{name: "kafka-record-3", what: "Kafka 1 KiB, one record a batch, three nodes, acks=all",
			peer: "kafka", nodes: 3, run: throughput, load: kafkaLoad(oneRecord)},
		{name: "kafka-batch-1", what: "Kafka 1 KiB, 16 KiB batches, one node, acks=all",
			peer: "kafka", nodes: 1, run: throughput, load: kafkaLoad(fullBatch)},
		{name: "kafka-batch-3", what: "Kafka 1 KiB, 16 KiB batches, three nodes, acks=all",
			peer: "kafka", nodes: 3, run: throughput, load: kafkaLoad(fullBatch)},
		{name: "amqp-classic-1", what: "AMQP 100 B persistent, confirms and acks, classic, one node",
			peer: "rabbitmq", nodes: 1, run: throughput, load: amqpLoad("classic")},
		{name: "amqp-quorum-3", what: "AMQP 100 B persistent, confirms and acks, quorum, three nodes",
			peer: "rabbitmq", nodes: 3, run: throughput, load: amqpLoad("quorum")},
		{name: "amqp310-classic-1", what: "the same as amqp-classic-1, beside RabbitMQ 3.10",
			peer: "rabbitmq", version: "3.10", nodes: 1, run: throughput, load: amqpLoad("classic")},
		{name: "amqp310-quorum-3", what: "the same as amqp-quorum-3, beside RabbitMQ 3.10",
			peer: "rabbitmq", version: "3.10", nodes: 3, run: throughput, load: amqpLoad("quorum")},
		{name: "amqp310-mirror-3", what: "AMQP 100 B persistent, confirms and acks, mirrored (ha-mode all), three nodes",
			peer: "rabbitmq", version: "3.10", nodes: 3, run: throughput, load: amqpLoad("mirrored")},
		{name: "amqp-paced-1", what: "AMQP end to end at 3,000/s, classic, one node, p99", peer: "rabbitmq",
			nodes: 1, run: paced("classic")},
		{name: "amqp-paced-3", what: "AMQP end to end at 3,000/s, quorum, three nodes, p99", peer: "rabbitmq",
			nodes: 3, run: paced("quorum")},
		{name: "amqp310-paced-3", what: "AMQP end to end at 3,000/s, mirrored, three nodes, p99", peer: "rabbitmq",
			version: "3.10", nodes: 3, run: paced("mirrored")},
		{name: "rocket-1", what: "RocketMQ sync send 128 B, 64 threads, one broker",
			peer: "rocketmq", nodes: 1, run: throughput, load: rocketLoad},
		{name: "rocket-3", what: "RocketMQ sync send 128 B, 64 threads, DLedger, three nodes",
			peer: "rocketmq", nodes: 3, run: throughput, load: rocketLoad},
		{name: "idle-kafka", what: "idle memory, beside Kafka", peer: "kafka", nodes: 1, run: idle},
		{name: "idle-amqp", what: "idle memory, beside RabbitMQ", peer: "rabbitmq", nodes: 1, run: idle},
		{name: "idle-rocket", what: "idle memory, beside RocketMQ", peer: "rocketmq", nodes: 1, run: idle},
		{name: "start-kafka", what: "cold start to first acknowledgement, Kafka", peer: "kafka",
			nodes: 1, run: coldStart},
		{name: "start-amqp", what: "cold start to first acknowledgement, AMQP", peer: "rabbitmq",
			nodes: 1, run: coldStart},
		{name: "start-rocket", what: "cold start to first acknowledgement, RocketMQ",
			peer: "rocketmq", nodes: 1, run: coldStart},
		{name: "restart-kafka", what: "restart after SIGKILL, many partitions", peer: "kafka",
			nodes: 1, run: restart},
		{name: "restart-amqp", what: "restart after SIGKILL, many classic queues", peer: "rabbitmq",
			nodes: 1, run: restart},
	}
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "spin" {
		spinMain()
		return
	}
	var o options
	var asJSON string
	flag.StringVar(&o.trine, "trine", "bin/trine", "the broker's binary")
	flag.StringVar(&o.peers, "peers", "../shared/peers", "directory of the scripts that run the peers")
	flag.StringVar(&o.work, "work", filepath.Join(os.TempDir(), "trine-bench"), "data; emptied")
	flag.StringVar(&o.profile, "profile", "", "directory for CPU profiles of Trine's nodes")
	flag.StringVar(&o.rocketmq, "rocketmq", "4.9.7", "RocketMQ's version for one broker (DLedger: 5.3.3)")
	flag.DurationVar(&o.span, "span", 6*time.Second, "length of a measurement")
	flag.DurationVar(&o.warm, "warm", 2*time.Second, "warm-up of Trine")
	flag.DurationVar(&o.warmPeer, "warm-peer", 6*time.Second, "warm-up of a peer, which compiles as it runs")
	flag.StringVar(&o.only, "only", "", "trine or peer: no comparison")
	flag.IntVar(&o.streams, "streams", 5000, "how many in the restart rows")
	flag.StringVar(&asJSON, "json", "", "file to write the results to, as JSON")
	flag.Usage = usage
	flag.Parse()
	rlog.SetLogLevel("fatal")
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if other := map[string]func(context.Context, *options, []string) error{
		"streams": streamsMain, "calm": calmMain, "declare": declareMain, "queues": queuesMain,
		"backlog": backlogMain, "mirror": mirrorMain}[flag.Arg(0)]; other != nil {
		if err := other(ctx, &o, flag.Args()[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	chosen, err := choose(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	rep := report{Machine: machine(), Began: time.Now().UTC().Format(time.RFC3339)}
	failed := false
	for _, r := range chosen {
		if ctx.Err() != nil {
			break
		}
		out, err := r.run(ctx, &o, r)
		out.Row, out.What, out.Peer = r.name, r.what, r.peer
		if err != nil {
			out.Error, failed = err.Error(), true
		}
		rep.Rows = append(rep.Rows, out)
		fmt.Fprintln(os.Stderr, out.line())
		if asJSON != "" {
			b, _ := json.MarshalIndent(&rep, "", "  ")
			if err := os.WriteFile(asJSON, append(b, '\n'), 0o644); err != nil {
				fmt.Fprintln(os.Stderr, "bench:", err)
			}
		}
	}
	rep.print(os.Stdout)
	if failed {
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: bench [OPTION]... [ROW]...   (without rows: all)\n"+
		"       bench streams [OPTION]...     many streams at rest, and led elsewhere after a kill\n"+
		"       bench calm [OPTION]...        elections while others keep the processors busy\n"+
		"       bench declare [OPTION]...     queues declared a second\n"+
		"       bench queues [OPTION]...      many queues with a message a second each\n"+
		"       bench backlog [OPTION]...     memory and disk of what waits in queues\n"+
		"       bench mirror [OPTION]...      a full mirrored queue gains a copy while it is used")
	flag.PrintDefaults()
	fmt.Fprintln(os.Stderr, "rows:")
	for _, r := range rows() {
		fmt.Fprintf(os.Stderr, "  %-18s %s\n", r.name, r.what)
	}
}

// choose gives the rows that are named, also by a prefix.
func choose(names []string) ([]*row, error) {
	all := rows()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []*row
	for _, n := range names {
		found := slices.DeleteFunc(slices.Clone(all), func(r *row) bool { return !strings.HasPrefix(r.name, n) })
		if len(found) == 0 {
			return nil, fmt.Errorf("no row %q; bench -help lists them", n)
		}
		chosen = append(chosen, found...)
	}
	return chosen, nil
}
