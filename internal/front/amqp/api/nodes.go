package api

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"trine/internal/core"
	"trine/internal/front/amqp/topology"
)

// nodeRoutes are the paths of this file.
var nodeRoutes = []route{
	{"GET", "nodes", monitors, false, (*server).nodes},
	{"GET", "nodes/*", monitors, false, (*server).node},
	{"GET", "nodes/*/memory", monitors, false, (*server).memory},
}

func (s *server) allNodes(c *call) []object {
	known := map[core.NodeID]object{}
	for _, p := range s.gather(c, "info") {
		known[p.Node] = p.Info
	}
	all := []object{}
	for _, n := range s.f.Core().Cluster().Nodes() {
		o := known[n.Node]
		if o == nil {
			o = object{}
		}
		o["name"], o["type"], o["running"] = topology.NodeName(n.Node), "disc", n.Alive
		o["rack"], o["disk_free_alarm"] = n.Rack, n.Cramped
		all = append(all, o)
	}
	return all
}

func (s *server) nodes(c *call) (any, error) {
	l, err := c.paged()
	if err != nil {
		return nil, err
	}
	return l.reply(s.allNodes(c), nil, nil)
}

func (s *server) node(c *call) (any, error) {
	for _, o := range s.allNodes(c) {
		if o["name"] == c.arg(1) {
			return o, nil
		}
	}
	return nil, errNone
}

// memory breaks a node's memory down as far as this runtime knows it.
func (s *server) memory(c *call) (any, error) {
	o, err := s.node(c)
	if err != nil {
		return nil, err
	}
	used, ok := o.(object)["mem_breakdown"]
	if !ok {
		return object{"memory": "not_available"}, nil
	}
	return object{"memory": used}, nil
}

// nodeInfo is what this node knows of itself.
func (s *server) nodeInfo() object {
	fdTotal, fdUsed := descriptors()
	rss := resident()
	o := object{"os_pid": strconv.Itoa(os.Getpid()), "uptime": time.Since(s.since).Milliseconds(),
		"processors": runtime.GOMAXPROCS(0), "run_queue": gauge("/sched/goroutines/runnable:goroutines"),
		"fd_total": fdTotal, "fd_used": fdUsed, "sockets_total": fdTotal,
		"proc_total": procTotal, "proc_used": runtime.NumGoroutine(),
		"mem_used": rss, "mem_limit": memoryLimit(), "mem_alarm": false, "mem_calculation_strategy": "rss",
		"gc_num":             gauge("/gc/cycles/total:gc-cycles"),
		"gc_bytes_reclaimed": gauge("/gc/heap/frees:bytes"),
		"rates_mode":         "basic", "exchange_types": exchangeTypes(), "partitions": []string{},
		"auth_mechanisms": []object{{"name": "PLAIN", "description": "SASL PLAIN", "enabled": true},
			{"name": "AMQPLAIN", "description": "AMQPLAIN", "enabled": true}},
		"applications": []object{{"name": "trine", "description": "Trine", "version": s.build}},
		"contexts":     s.contexts(), "enabled_plugins": []string{"rabbitmq_management"},
		"being_drained": false, "config_files": []string{}, "db_dir": s.o.Dir, "log_files": []string{},
		"net_ticktime": 1, "cluster_links": []object{}}
	connections, _, _ := s.f.Sizes()
	o["sockets_used"] = connections
	_, churn := s.sampler.node(false)
	for k, v := range churnObject(&churn) {
		o[k] = v
	}
	if s.o.Disk != nil {
		o["disk_free"], o["disk_free_limit"] = s.o.Disk()
	}
	o["mem_breakdown"] = breakdown(rss)
	return o
}

// unknown are the parts of memory that RabbitMQ tells apart and this runtime does not:
// shown as nothing, since tools insist on them.
var unknown = []string{"connection_readers", "connection_writers", "connection_channels",
	"connection_other", "queue_procs", "quorum_queue_procs", "quorum_queue_dlx_procs",
	"stream_queue_procs", "stream_queue_replica_reader_procs", "stream_queue_coordinator_procs",
	"plugins", "metadata_store", "other_proc", "metrics", "mgmt_db", "mnesia", "quorum_ets",
	"metadata_store_ets", "other_ets", "msg_index", "code", "atom"}

// breakdown is where the memory is, as far as this runtime knows it.
func breakdown(rss uint64) object {
	o := object{"total": object{"rss": rss, "allocated": gauge("/memory/classes/total:bytes"),
		"erlang": gauge("/memory/classes/heap/objects:bytes")}, "strategy": "rss",
		"binary":               gauge("/memory/classes/heap/objects:bytes"),
		"allocated_unused":     gauge("/memory/classes/heap/free:bytes"),
		"reserved_unallocated": gauge("/memory/classes/heap/released:bytes"),
		"other_system":         gauge("/memory/classes/metadata/other:bytes")}
	for _, name := range unknown {
		o[name] = 0
	}
	return o
}

// procTotal stands for no limit of what RabbitMQ calls processes.
const procTotal = 1<<31 - 1

// gauge reads one of the runtime's metrics; 0 where it has none of that name.
func gauge(name string) uint64 {
	m := []metrics.Sample{{Name: name}}
	metrics.Read(m)
	if m[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return m[0].Value.Uint64()
}

// memoryLimit is the limit that was set, else the machine's memory.
func memoryLimit() uint64 {
	const unset = 1<<63 - 1
	if n := debug.SetMemoryLimit(-1); n != unset {
		return uint64(n)
	}
	return field("/proc/meminfo", "MemTotal:") * 1024
}

// resident is what the process keeps of the machine's memory.
func resident() uint64 {
	if n := field("/proc/self/status", "VmRSS:"); n > 0 {
		return n * 1024
	}
	return gauge("/memory/classes/total:bytes")
}

// field reads a number behind a name in one of the system's files; 0 where there is
// none.
func field(file, name string) uint64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			n, _ := strconv.ParseUint(f[1], 10, 64)
			return n
		}
	}
	return 0
}

// descriptors gives how many files may be open and how many are.
func descriptors() (total, used uint64) {
	if ds, err := os.ReadDir("/proc/self/fd"); err == nil {
		used = uint64(len(ds))
	}
	b, err := os.ReadFile("/proc/self/limits")
	if err != nil {
		return 0, used
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				total, _ = strconv.ParseUint(f[0], 10, 64)
			}
		}
	}
	return total, used
}
