package drill

import (
	"fmt"
	"slices"
)

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
	{Name: "kill-catalog", Says: "SIGKILL of the catalog's leader, started again; the stream is led elsewhere"},
	{Name: "kill-other", Says: "SIGKILL of a node that leads neither, started again"},
	{Name: "pause", Says: "SIGSTOP of the leader for 5 s"},
	{Name: "term", Says: "SIGTERM to the leader, started again"},
	{Name: "cut", Says: "the leader's connections to the others fall silent for 5 s"},
	{Name: "reset", Says: "the leader's connections to the others are reset and refused for 5 s"},
	{Name: "kill-all", Says: "SIGKILL of all three, started again"},
	{Name: "power", Says: "power cut of all three", Power: true},
	{Name: "power-one", Says: "power cut of the leader", Power: true},
	{Name: "alter", Says: "the live stream's mode is changed, and its leader killed 0 to 120 ms later"},
}

// Mode is one way to keep a stream, with what it promises.
type Mode struct {
	Name   string
	Says   string
	Copies int  // in sync at the end
	Queue  bool // checked as a queue, else as a log

	MayLose    []string // faults under which acknowledged messages may be lost
	MayRepeat  bool     // a client's own retry may write a message twice
	MayReorder bool     // and in another place
	Waits      bool     // without its leader the stream waits for it
	Refuses    bool     // with a copy away it must refuse, and write nothing

	Judged  bool // its gaps have goals
	Patient bool // a killed node stays away until these clients go on without it
	Dead    bool // clients are connected to the node that is broken: what they held may come late, flagged
	Changes []Change
	groups  seatOf // RocketMQ: of whose broker groups it takes possession
	open    func() workload
}

// seatOf says which nodes' broker groups a RocketMQ mode uses: a group has one mode.
type seatOf uint8

const (
	noGroups    seatOf = iota
	clientGroup        // of the node that clients call
	victimGroup        // of the node that is broken
	otherGroups        // all that no other mode takes
)

// The changes that a stream goes through under fault alter, over and over.
var (
	kafkaChanges = []Change{{Mode: "majority", Copies: 3}, {Mode: "insync", Copies: 3, MinInSync: 2}}
	amqpChanges  = []Change{{Mode: "mirror", Copies: 3}, {Mode: "majority", Copies: 3},
		{Mode: "single", Copies: 1}}
)

// Modes are all, in the order of reports. This is the one table of promises.
var Modes = []Mode{
	{Name: "kafka-insync", Says: "Kafka, rf 3, min.insync.replicas 2, acks=all, idempotent", Copies: 3,
		MayLose: []string{"power"}, Judged: true, Changes: kafkaChanges,
		open: func() workload { return &kafkaLoad{acks: "all", idempotent: true} }},
	{Name: "kafka-insync-plain", Says: "the same, not idempotent", Copies: 3,
		MayLose: []string{"power"}, MayRepeat: true, Judged: true, Changes: kafkaChanges,
		open: func() workload { return &kafkaLoad{acks: "all"} }},
	{Name: "kafka-majority", Says: "Kafka, trine.mode=majority, acks=all, idempotent", Copies: 3, Judged: true,
		Changes: []Change{kafkaChanges[1], kafkaChanges[0]},
		open:    func() workload { return &kafkaLoad{acks: "all", idempotent: true, majority: true} }},
	{Name: "amqp-quorum", Says: "AMQP, quorum queue", Copies: 3, Queue: true, Judged: true,
		Changes: []Change{amqpChanges[2], amqpChanges[0], amqpChanges[1]},
		open:    func() workload { return &amqpLoad{kind: "quorum"} }},
	{Name: "amqp-mirrored", Says: "AMQP, classic queue, ha-mode all", Copies: 3, Queue: true, Judged: true,
		open: func() workload { return &amqpLoad{kind: "classic", mirrored: true} }},
	{Name: "amqp-classic", Says: "AMQP, durable classic queue", Copies: 1, Queue: true, Waits: true, Judged: true,
		Changes: amqpChanges,
		open:    func() workload { return &amqpLoad{kind: "classic"} }},
	{Name: "rocket-sync", Says: "RocketMQ, SYNC_MASTER and slave, two or three groups", Copies: 2,
		MayLose: []string{"power"}, MayRepeat: true, MayReorder: true, Judged: true, groups: otherGroups,
		open: func() workload { return &rocketLoad{mode: "sync"} }},
	{Name: "rocket-dledger", Says: "RocketMQ, DLedger group of three", Copies: 3,
		MayRepeat: true, MayReorder: true, Judged: true, groups: clientGroup,
		open: func() workload { return &rocketLoad{mode: "dledger"} }},

	{Name: "kafka-acks1", Says: "Kafka, rf 3, acks=1", Copies: 3, MayRepeat: true,
		MayLose: []string{"kill", "pause", "cut", "reset", "kill-all", "power", "power-one"},
		open:    func() workload { return &kafkaLoad{acks: "1"} }},
	{Name: "rocket-async", Says: "RocketMQ, ASYNC_MASTER and slave, two or three groups", Copies: 2,
		MayLose: []string{"power", "power-one"}, MayRepeat: true, MayReorder: true, groups: otherGroups,
		open: func() workload { return &rocketLoad{mode: "async"} }},
	{Name: "rocket-masters", Says: "RocketMQ, masters without slaves, two or three groups", Copies: 1,
		MayLose: []string{"power", "power-one"}, MayRepeat: true, MayReorder: true, groups: otherGroups,
		open: func() workload { return &rocketLoad{mode: "single"} }},
	{Name: "kafka-min3", Says: "Kafka, rf 3, min.insync.replicas 3, acks=all, a client that does not retry",
		Copies: 3, MayLose: []string{"power"}, Refuses: true,
		open: func() workload { return &kafkaLoad{acks: "all", minimum: 3, once: true} }},

	{Name: "kafka-defaults", Says: "kafka-insync, with franz-go's own defaults", Copies: 3,
		MayLose: []string{"power"}, Patient: true,
		open: func() workload { return &kafkaLoad{acks: "all", idempotent: true, defaults: true} }},
	{Name: "amqp-defaults", Says: "amqp-quorum, with amqp091-go's own defaults", Copies: 3, Queue: true,
		Patient: true,
		open:    func() workload { return &amqpLoad{kind: "quorum", defaults: true} }},
	{Name: "rocket-defaults", Says: "rocket-dledger, with rocketmq-client-go's own defaults", Copies: 3,
		MayRepeat: true, MayReorder: true, Patient: true, groups: clientGroup,
		open: func() workload { return &rocketLoad{mode: "dledger", defaults: true} }},
	{Name: "amqp-quorum-dead", Says: "amqp-quorum, clients connected to the broken node", Copies: 3, Queue: true,
		Patient: true, Dead: true,
		open: func() workload { return &amqpLoad{kind: "quorum"} }},
	{Name: "rocket-dledger-dead", Says: "rocket-dledger, clients of the broken node's group and NameServer",
		Copies: 3, MayRepeat: true, MayReorder: true, Patient: true, Dead: true, groups: victimGroup,
		open: func() workload { return &rocketLoad{mode: "dledger"} }},
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
	if v.Written > 0 {
		what = append(what, "refused and written")
	}
	if v.Stalled > 0 {
		what = append(what, fmt.Sprintf("a consumer stood still before %d messages", v.Stalled))
	}
	return what
}

// uses says whether an injection of fault makes sense to a mode.
func (m *Mode) uses(fault string) bool { return fault != "alter" || m.Changes != nil }

// leads says whether fault breaks the stream's leader.
func leads(fault string) bool { return fault != "kill-catalog" && fault != "kill-other" }

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
