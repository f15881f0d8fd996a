package kafka

import (
	"errors"
	"fmt"
	"strings"

	"trine/internal/core"
)

// fault is an error that a client is told as it is.
type fault struct {
	code int16
	text string
}

func (e *fault) Error() string { return e.text }

func faultf(code int16, text string, args ...any) error {
	return &fault{code, fmt.Sprintf(text, args...)}
}

// adminFault gives the code and text for an error about a topic.
func adminFault(err error) (int16, *string) {
	if err == nil {
		return errNone, nil
	}
	text := err.Error()
	var f *fault
	if errors.As(err, &f) {
		return f.code, &text
	}
	var s errSetting
	if errors.As(err, &s) {
		return errInvalidConfig, &text
	}
	return adminCode(err), &text
}

// newTopic is a topic that is to be made. -1 takes the node's default.
type newTopic struct {
	name       string
	partitions int
	copies     int
	assignment map[int32][]int32 // nodes of each partition; nil: the catalog places them
	written    map[string]string
}

// topicPlan is a topic that can be made.
type topicPlan struct {
	newTopic
	id       [16]byte
	settings settings
}

// copiesMax is the most copies that a stream may have.
const copiesMax = 7

// planTopic checks what is asked, as this node's catalog stands.
func (f *Front) planTopic(n newTopic) (*topicPlan, error) {
	p := &topicPlan{newTopic: n}
	if why := checkName(n.name); why != "" {
		return nil, faultf(errInvalidTopic, "Topic name is invalid: %s", why)
	}
	if f.topics.get(n.name) != nil {
		return nil, faultf(errTopicExists, "Topic '%s' already exists.", n.name)
	}
	if other := f.topics.collides(n.name); other != "" {
		return nil, faultf(errInvalidTopic, "Topic '%s' collides with existing topic: %s", n.name, other)
	}
	if n.name == offsetsTopic {
		return nil, faultf(errInvalidTopic, "the topic is the broker's own, and makes itself")
	}
	var err error
	if p.settings, err = parseSettings(n.written); err != nil {
		return nil, err
	}
	if n.assignment != nil {
		return p, f.planAssignment(p)
	}
	if p.partitions == -1 {
		p.partitions = f.cfg.Partitions
	}
	if p.partitions <= 0 {
		return nil, faultf(errInvalidPartitions,
			"Number of partitions was set to an invalid non-positive value.")
	}
	if p.partitions > partitionsMax {
		return nil, faultf(errInvalidPartitions, "a topic has at most %d partitions", partitionsMax)
	}
	if p.copies == -1 {
		p.copies = f.cfg.DefaultCopies // as many as there can be, and more once there are nodes
		return p, nil
	}
	return p, f.checkCopies(p.copies)
}

func (f *Front) checkCopies(copies int) error {
	living := 0
	for _, n := range f.core.Cluster().Nodes() {
		if n.Alive {
			living++
		}
	}
	switch {
	case copies <= 0:
		return faultf(errInvalidReplication, "Replication factor must be larger than 0.")
	case copies > living:
		return faultf(errInvalidReplication, "Unable to replicate the partition %d time(s): "+
			"The target replication factor of %d cannot be reached because only %d "+
			"broker(s) are registered.",
			copies, copies, living)
	case copies > copiesMax:
		return faultf(errInvalidReplication, "a partition has at most %d copies", copiesMax)
	}
	return nil
}

// planAssignment checks where a client wants the partitions to lie.
func (f *Front) planAssignment(p *topicPlan) error {
	if p.newTopic.partitions != -1 || p.newTopic.copies != -1 {
		return faultf(errInvalidRequest, "A manual partition assignment was specified, "+
			"but numPartitions or replicationFactor was not set to -1.")
	}
	p.partitions = len(p.assignment)
	if p.partitions > partitionsMax {
		return faultf(errInvalidPartitions, "a topic has at most %d partitions", partitionsMax)
	}
	for i := range int32(p.partitions) {
		nodes, ok := p.assignment[i]
		if !ok {
			return faultf(errInvalidAssignment,
				"partitions should be a consecutive 0-based integer sequence")
		}
		if err := f.checkNodes(nodes, p.copies); err != nil {
			return err
		}
		p.copies = len(nodes)
	}
	return nil
}

// checkNodes checks one partition's nodes; copies is how many there must be, -1 any.
func (f *Front) checkNodes(nodes []int32, copies int) error {
	if len(nodes) == 0 || len(nodes) > copiesMax || copies != -1 && len(nodes) != copies {
		return faultf(errInvalidAssignment,
			"the partitions have different or impossible replication factors")
	}
	known := map[int32]bool{}
	for _, n := range f.core.Cluster().Nodes() {
		known[int32(n.Node)] = n.Alive
	}
	seen := map[int32]bool{}
	for _, id := range nodes {
		if !known[id] || seen[id] {
			return faultf(errInvalidAssignment, "the assignment has broker %d twice, or it is not there", id)
		}
		seen[id] = true
	}
	return nil
}

// collides gives a topic whose name differs by '.' and '_' only, or "".
func (ts *topics) collides(name string) string {
	if !strings.ContainsAny(name, "._") {
		return ""
	}
	plain := strings.ReplaceAll(name, ".", "_")
	for _, t := range ts.all() {
		if strings.ReplaceAll(t.name, ".", "_") == plain {
			return t.name
		}
	}
	return ""
}

func nodeIDs(ids []int32) []core.NodeID {
	var out []core.NodeID
	for _, id := range ids {
		out = append(out, core.NodeID(id))
	}
	return out
}

// define gives the stream of one partition.
func (f *Front) define(topic string, i int32, s *settings, copies int,
	at []int32) *core.Definition {
	return &core.Definition{Name: streamName(topic, i), Policy: s.policy(copies, f.cfg.MinInSync),
		Keep: s.keep, At: nodeIDs(at)}
}

// putTopic makes a topic whole, or not at all. done is called by the node's loop.
func (f *Front) putTopic(p *topicPlan, done func(error)) {
	p.id = f.cfg.NewID()
	cs := []core.Change{{Key: topicKey(p.name), Value: encodeTopic(p.id, p.partitions, p.written),
		Expect: core.NoRevision}}
	for i := range int32(p.partitions) {
		cs = append(cs, core.Change{Define: f.define(p.name, i, &p.settings, p.copies, p.assignment[i])})
	}
	f.core.Cluster().Put(cs, func(_ core.Revision, err error) {
		if k := core.KindOf(err); k == core.Conflict || k == core.Exist {
			err = &core.Error{Op: "create topic", Name: p.name, Kind: core.Exist, Err: err}
		}
		done(err)
	})
}
