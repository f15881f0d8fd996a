package kafka

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"trine/internal/core"
)

const (
	topicPrefix  = "kafka/topic/"
	streamPrefix = "kafka/"
	offsetsTopic = "__consumer_offsets"
)

// partitionsMax bounds the partitions of one topic.
const partitionsMax = 10_000

func topicKey(name string) string { return topicPrefix + name }

func streamName(topic string, partition int32) string {
	return streamPrefix + topic + "/" + strconv.Itoa(int(partition))
}

// topic is a topic as the catalog has it: immutable, but for the streams below it.
type topic struct {
	name     string
	id       [16]byte
	revision core.Revision
	settings settings
	parts    []*partition
}

// partition is one partition; its stream is nil until this node knows it.
type partition struct {
	topic  string
	index  int32
	stream atomic.Pointer[core.Stream]
}

// part gives a partition, or nil.
func (t *topic) part(i int32) *partition {
	if t == nil || i < 0 || int(i) >= len(t.parts) {
		return nil
	}
	return t.parts[i]
}

func (t *topic) internal() bool { return t.name == offsetsTopic }

// topicDocument is the form of a topic's document.
type topicDocument struct {
	Version    int               `json:"version"`
	ID         string            `json:"id"`
	Partitions int               `json:"partitions"`
	Settings   map[string]string `json:"settings,omitempty"`
}

const topicVersion = 1

func encodeTopic(id [16]byte, partitions int, written map[string]string) []byte {
	b, err := json.Marshal(topicDocument{topicVersion, hex.EncodeToString(id[:]), partitions, written})
	core.Assert(err == nil, "a topic's document can be written: %v", err)
	return b
}

func decodeTopic(d core.Document) (*topic, error) {
	name := strings.TrimPrefix(d.Key, topicPrefix)
	fault := func(err error) error {
		return &core.Error{Op: "read topic", Name: name, Kind: core.Invalid, Err: err}
	}
	var doc topicDocument
	if err := json.Unmarshal(d.Value, &doc); err != nil {
		return nil, fault(err)
	}
	id, err := hex.DecodeString(doc.ID)
	if err != nil || len(id) != 16 || doc.Version != topicVersion ||
		doc.Partitions < 1 || doc.Partitions > partitionsMax {
		return nil, fault(fmt.Errorf("version %d, id %q, %d partitions", doc.Version, doc.ID,
			doc.Partitions))
	}
	t := &topic{name: name, id: [16]byte(id), revision: d.Revision, parts: make([]*partition,
		doc.Partitions)}
	if t.settings, err = parseSettings(doc.Settings); err != nil {
		return nil, fault(err)
	}
	return t, nil
}

// topics is what this node knows of topics: told by the catalog's watches, asked
// by every request.
type topics struct {
	f       *Front
	mu      sync.RWMutex
	byName  map[string]*topic
	byID    map[[16]byte]*topic
	streams map[string]*core.Stream
}

func newTopics(f *Front) *topics {
	return &topics{f: f, byName: map[string]*topic{}, byID: map[[16]byte]*topic{},
		streams: map[string]*core.Stream{}}
}

// get gives a topic or nil. That it is not there may be told to a client only
// after Cluster.Sync.
func (ts *topics) get(name string) *topic {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return ts.byName[name]
}

func (ts *topics) getID(id [16]byte) *topic {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return ts.byID[id]
}

// all gives the topics in order of their names.
func (ts *topics) all() []*topic {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	out := make([]*topic, 0, len(ts.byName))
	for _, t := range ts.byName {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *topic) int { return strings.Compare(a.name, b.name) })
	return out
}

// documents takes in changes of topics' documents.
func (ts *topics) documents(ds []core.Document) {
	for _, d := range ds {
		ts.document(d)
	}
}

func (ts *topics) document(d core.Document) {
	name := strings.TrimPrefix(d.Key, topicPrefix)
	var t *topic
	if d.Value != nil {
		var err error
		if t, err = decodeTopic(d); err != nil {
			ts.f.log.Error("topic cannot be read", "err", err)
			return
		}
	}
	if t == nil {
		defer ts.f.groups.topicGone(name)
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	old := ts.byName[name]
	if old != nil {
		if t != nil && t.revision < old.revision {
			return
		}
		delete(ts.byID, old.id)
		delete(ts.byName, name)
	}
	if t == nil {
		return
	}
	for i := range t.parts {
		if old != nil && old.id == t.id && i < len(old.parts) {
			t.parts[i] = old.parts[i]
			continue
		}
		t.parts[i] = &partition{topic: name, index: int32(i)}
		t.parts[i].stream.Store(ts.streams[streamName(name, int32(i))])
	}
	ts.byName[name], ts.byID[t.id] = t, t
}

// stream takes in a change of a partition's stream.
func (ts *topics) stream(s *core.Stream, gone bool) {
	name, index, ok := splitStream(s.Name)
	if !ok {
		return
	}
	ts.mu.Lock()
	known := ts.streams[s.Name]
	if gone && known != nil && known.ID != s.ID {
		ts.mu.Unlock()
		return // another has its name by now
	}
	now := s
	if gone {
		now = nil
		delete(ts.streams, s.Name)
	} else {
		ts.streams[s.Name] = s
	}
	p := ts.byName[name].part(index)
	if p != nil {
		p.stream.Store(now)
	}
	ts.mu.Unlock()
	if name == offsetsTopic {
		ts.f.groups.led(index, now)
	}
}

// splitStream gives the topic and partition of a stream's name.
func splitStream(s string) (name string, index int32, ok bool) {
	s, ok = strings.CutPrefix(s, streamPrefix)
	if !ok {
		return "", 0, false
	}
	name, number, ok := strings.Cut(s, "/")
	n, err := strconv.ParseUint(number, 10, 31)
	return name, int32(n), ok && err == nil && int(n) < partitionsMax
}

// checkName says why a name is no topic's, or "".
func checkName(name string) string {
	switch {
	case name == "":
		return "the empty string is not allowed"
	case name == "." || name == "..":
		return "'.' or '..' is not allowed"
	case len(name) > 249:
		return "the length of '" + name + "' is longer than the max allowed length 249"
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_',
			c == '-':
		default:
			return "'" + name + "' contains one or more characters other than ASCII " +
				"alphanumerics, '.', '_' and '-'"
		}
	}
	return ""
}
