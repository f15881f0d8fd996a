package drill

import "slices"

// Fault is one way to break a cluster.
type Fault struct {
	Name  string
	Says  string
	Power bool // nodes run so that their processes' end is a power cut
}

// Faults are all, in the order of reports.
var Faults = []Fault{
	{Name: "none", Says: "nothing"},
	{Name: "kill", Says: "SIGKILL of the stream's leader, started again"},
	{Name: "kill-catalog", Says: "SIGKILL of the catalog's leader, started again"},
	{Name: "kill-other", Says: "SIGKILL of a node that leads neither, started again"},
	{Name: "pause", Says: "SIGSTOP of the leader for 5 s"},
	{Name: "term", Says: "SIGTERM to the leader, started again"},
	{Name: "cut", Says: "the leader's connections to the others fall silent for 5 s"},
	{Name: "reset", Says: "the leader's connections to the others are reset and refused for 5 s"},
	{Name: "kill-all", Says: "SIGKILL of all three, started again"},
	{Name: "power", Says: "power cut of all three", Power: true},
	{Name: "power-one", Says: "power cut of the leader", Power: true},
}

// Mode is one way to keep a stream, with what it promises.
type Mode struct {
	Name   string
	Says   string
	Copies int  // in sync at the end
	Queue  bool // checked as a queue, else as a log

	MayLose     []string // faults under which acknowledged messages may be lost
	MayRepeat   bool     // a client's own retry may write a message twice
	MayReorder  bool     // and in another place
	Unavailable bool     // without its leader the stream waits for it
	open        func() workload
}

// Modes are all, in the order of reports. This is the one table of promises.
var Modes = []Mode{
	{Name: "kafka-insync", Says: "Kafka, rf 3, min.insync.replicas 2, acks=all, idempotent", Copies: 3,
		MayLose: []string{"power"},
		open:    func() workload { return &kafkaLoad{acks: "all", idempotent: true} }},
	{Name: "kafka-insync-plain", Says: "the same, not idempotent", Copies: 3,
		MayLose: []string{"power"}, MayRepeat: true,
		open: func() workload { return &kafkaLoad{acks: "all"} }},
	{Name: "kafka-majority", Says: "Kafka, trine.mode=majority, acks=all, idempotent", Copies: 3,
		open: func() workload { return &kafkaLoad{acks: "all", idempotent: true, majority: true} }},
	{Name: "kafka-acks1", Says: "Kafka, rf 3, acks=1", Copies: 3, MayRepeat: true,
		MayLose: []string{"kill", "pause", "cut", "reset", "kill-all", "power", "power-one"},
		open:    func() workload { return &kafkaLoad{acks: "1"} }},
	{Name: "amqp-quorum", Says: "AMQP, quorum queue", Copies: 3, Queue: true,
		open: func() workload { return &amqpLoad{kind: "quorum"} }},
	{Name: "amqp-mirrored", Says: "AMQP, classic queue, ha-mode all", Copies: 3, Queue: true,
		open: func() workload { return &amqpLoad{kind: "classic", mirrored: true} }},
	{Name: "amqp-classic", Says: "AMQP, durable classic queue", Copies: 1, Queue: true, Unavailable: true,
		open: func() workload { return &amqpLoad{kind: "classic"} }},
	{Name: "rocket-async", Says: "RocketMQ, ASYNC_MASTER and slave, three groups", Copies: 2,
		MayLose: []string{"power", "power-one"}, MayRepeat: true, MayReorder: true,
		open: func() workload { return &rocketLoad{mode: "async"} }},
	{Name: "rocket-sync", Says: "RocketMQ, SYNC_MASTER and slave, three groups", Copies: 2,
		MayLose: []string{"power"}, MayRepeat: true, MayReorder: true,
		open: func() workload { return &rocketLoad{mode: "sync"} }},
	{Name: "rocket-dledger", Says: "RocketMQ, DLedger group of three", Copies: 3,
		MayRepeat: true, MayReorder: true,
		open: func() workload { return &rocketLoad{mode: "dledger"} }},
	{Name: "rocket-masters", Says: "RocketMQ, three masters without slaves", Copies: 1,
		MayLose: []string{"power", "power-one"}, MayRepeat: true, MayReorder: true,
		open: func() workload { return &rocketLoad{mode: "single"} }},
}

// broken names what a verdict shows that the mode does not allow.
func (m *Mode) broken(fault string, v *Verdict) (what []string) {
	if v.Lost > 0 && !slices.Contains(m.MayLose, fault) {
		what = append(what, "lost")
	}
	if v.Duplicated > 0 && !m.MayRepeat {
		what = append(what, "duplicated")
	}
	if v.Reordered > 0 && !m.MayReorder {
		what = append(what, "reordered")
	}
	if v.Returned > 0 {
		what = append(what, "returned")
	}
	return what
}

func faultNamed(name string) *Fault {
	for i := range Faults {
		if Faults[i].Name == name {
			return &Faults[i]
		}
	}
	return nil
}

func modeNamed(name string) *Mode {
	for i := range Modes {
		if Modes[i].Name == name {
			return &Modes[i]
		}
	}
	return nil
}
