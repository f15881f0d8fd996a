package admin

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// collector counts what this node's copy of the catalog says, when it is asked.
type collector struct {
	a       *Admin
	runtime prometheus.Collector
	process prometheus.Collector

	ready, alive, nodes, streams, led, leaderless, below *prometheus.Desc
}

func newCollector(a *Admin) *collector {
	d := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("trine_"+name, help, nil, nil)
	}
	return &collector{a: a,
		runtime:    collectors.NewGoCollector(),
		process:    collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		ready:      d("node_serving", "1 while this node is a member of its cluster and serves clients."),
		nodes:      d("nodes", "Nodes that the cluster knows."),
		alive:      d("nodes_alive", "Nodes that the cluster holds alive."),
		streams:    d("streams", "Streams that the cluster knows."),
		led:        d("streams_led", "Streams that this node leads."),
		leaderless: d("streams_without_leader", "Streams of which nobody is known to lead."),
		below:      d("streams_below_minimum", "Streams with fewer copies in sync than their minimum."),
	}
}

// Describe gives nothing: what is collected is not the same at all times.
func (m *collector) Describe(chan<- *prometheus.Desc) {}

// Collect counts.
func (m *collector) Collect(out chan<- prometheus.Metric) {
	m.runtime.Collect(out)
	m.process.Collect(out)
	gauge := func(d *prometheus.Desc, v int) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v))
	}
	c, err := m.a.seam()
	if err != nil {
		gauge(m.ready, 0)
		return
	}
	gauge(m.ready, 1)
	nodes := c.Cluster().Nodes()
	alive := 0
	for _, n := range nodes {
		if n.Alive {
			alive++
		}
	}
	gauge(m.nodes, len(nodes))
	gauge(m.alive, alive)
	led, leaderless, below := 0, 0, 0
	streams := c.Streams().List("")
	for _, s := range streams {
		switch s.Leader {
		case 0:
			leaderless++
		case c.Self().Node:
			led++
		}
		if s.InSyncCount() < s.Policy.MinInSync {
			below++
		}
	}
	gauge(m.streams, len(streams))
	gauge(m.led, led)
	gauge(m.leaderless, leaderless)
	gauge(m.below, below)
}
