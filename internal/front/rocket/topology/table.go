package topology

import (
	"encoding/json"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/front/rocket/wire"
)

// The names of what stands in the catalog.
const (
	Prefix      = "rocket/" // of all
	topicPrefix = "rocket/topic/"
	groupPrefix = "rocket/group/"
	numbersKey  = "rocket/numbers"
)

// AddressName is under what a node registers this front end's address:
// core.NodeInfo.Addresses.
const AddressName = "rocket"

// TopicDoc is a topic as its document has it.
type TopicDoc struct {
	Parts      []PartDoc         `json:"parts"`
	Order      bool              `json:"order,omitempty"`
	FilterType string            `json:"filterType,omitempty"`
	SysFlag    int               `json:"sysFlag,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// PartDoc is what one group holds of a topic.
type PartDoc struct {
	Group   string   `json:"group"`
	Read    int      `json:"read"`
	Write   int      `json:"write"`
	Perm    int      `json:"perm"`
	Numbers []uint32 `json:"numbers"` // of its queues, by their ids
}

// Part gives what a group holds of the topic, nil where it holds nothing.
func (d *TopicDoc) Part(group string) *PartDoc {
	for i := range d.Parts {
		if d.Parts[i].Group == group {
			return &d.Parts[i]
		}
	}
	return nil
}

// GroupDoc is a group as its document has it.
type GroupDoc struct {
	GroupConf
	Index int  `json:"index"`           // of its port
	Wiped bool `json:"wiped,omitempty"` // its write permission is taken away
}

// Topic, Part and Queue are the same at hand. They are immutable but for what
// they point to, and a changed document makes new ones.
type Topic struct {
	Name  string
	Doc   TopicDoc
	rev   core.Revision
	Parts []*Part
}

// Part is what one group holds of a topic, with the queues at hand.
type Part struct {
	PartDoc
	Queues []*Queue
}

// Queue is one message queue.
type Queue struct {
	Topic      string
	TopicBytes []byte
	Group      string
	ID         int
	Number     uint32
	Name       string
	Stream     atomic.Pointer[core.Stream] // nil until it is known here
}

// Part gives what a group holds of the topic, nil where it holds nothing.
func (t *Topic) Part(group string) *Part {
	for _, p := range t.Parts {
		if p.Group == group {
			return p
		}
	}
	return nil
}

func streamName(topic, group string, id int) string {
	return Prefix + topic + "/" + group + "/" + strconv.Itoa(id)
}

// Group is one broker name at hand.
type Group struct {
	Name string
	GroupDoc
	Home core.NodeID // of a node's own group; 0: of none
}

// HomeGroup gives the name of a node's own group.
func HomeGroup(n core.NodeID) string { return "broker-" + strconv.Itoa(int(n)) }

// View is what is declared, as this node knows it: topics with their queues, and
// broker groups. Safe for any goroutine; it calls nobody under its lock.
type View struct {
	core     front.Core
	defaults GroupConf

	mu        sync.RWMutex
	topics    map[string]*Topic
	queues    map[string]*Queue // by their streams' names
	numbers   map[uint32]*Queue
	streams   map[string]*core.Stream
	groupDocs map[string]*GroupDoc
	changes   []*Change // of topics: the first is on its way
}

// NewView makes a view of nothing. defaults is for nodes' own groups without a
// document.
func NewView(c front.Core, defaults GroupConf) *View {
	return &View{core: c, defaults: defaults, topics: map[string]*Topic{}, queues: map[string]*Queue{},
		numbers: map[uint32]*Queue{}, streams: map[string]*core.Stream{},
		groupDocs: map[string]*GroupDoc{}}
}

// StreamChanged takes a change of a stream.
func (v *View) StreamChanged(s *core.Stream, gone bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	held := v.streams[s.Name]
	if gone && held != nil && held.ID != s.ID {
		return // an older stream of the name: the newer one stays
	}
	now := s
	if gone {
		now = nil
		delete(v.streams, s.Name)
	} else {
		v.streams[s.Name] = s
	}
	if q := v.queues[s.Name]; q != nil {
		q.Stream.Store(now)
	}
}

// DocumentsChanged takes what of changed documents is of topics and groups.
func (v *View) DocumentsChanged(ds []core.Document) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range ds {
		d := &ds[i]
		if name, ok := strings.CutPrefix(d.Key, topicPrefix); ok {
			v.topicChanged(name, d)
		} else if name, ok := strings.CutPrefix(d.Key, groupPrefix); ok {
			v.groupChanged(name, d)
		}
	}
}

func (v *View) groupChanged(name string, d *core.Document) {
	if d.Value == nil {
		delete(v.groupDocs, name)
		return
	}
	g := &GroupDoc{}
	if err := json.Unmarshal(d.Value, g); err == nil {
		v.groupDocs[name] = g
	}
}

func (v *View) topicChanged(name string, d *core.Document) {
	old := v.topics[name]
	if d.Value == nil {
		v.dropTopic(old)
		delete(v.topics, name)
		return
	}
	t := &Topic{Name: name, rev: d.Revision}
	if json.Unmarshal(d.Value, &t.Doc) != nil {
		return
	}
	nameBytes := []byte(name)
	for _, pd := range t.Doc.Parts {
		p := &Part{PartDoc: pd}
		for id, number := range pd.Numbers {
			sn := streamName(name, pd.Group, id)
			q := v.queues[sn]
			if q == nil || q.Number != number {
				q = &Queue{Topic: name, TopicBytes: nameBytes, Group: pd.Group, ID: id,
					Number: number, Name: sn}
				q.Stream.Store(v.streams[sn])
			}
			v.queues[sn], v.numbers[number] = q, q
			p.Queues = append(p.Queues, q)
		}
		t.Parts = append(t.Parts, p)
	}
	v.dropTopicBut(old, t)
	v.topics[name] = t
}

func (v *View) dropTopic(t *Topic) { v.dropTopicBut(t, nil) }

// dropTopicBut forgets the queues of t that kept does not have.
func (v *View) dropTopicBut(t, kept *Topic) {
	if t == nil {
		return
	}
	for _, p := range t.Parts {
		for _, q := range p.Queues {
			if kept != nil && kept.Part(p.Group) != nil && q.ID < len(kept.Part(p.Group).Queues) {
				continue
			}
			delete(v.queues, q.Name)
			delete(v.numbers, q.Number)
		}
	}
}

// Topic gives a topic, nil where this node knows of none.
func (v *View) Topic(name []byte) *Topic {
	v.mu.RLock()
	t := v.topics[string(name)]
	v.mu.RUnlock()
	return t
}

// Queue gives the queue of a number, nil where this node knows of none.
func (v *View) Queue(number uint32) *Queue {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.numbers[number]
}

// Topics gives all topics, in order.
func (v *View) Topics() []string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	names := make([]string, 0, len(v.topics))
	for n := range v.topics {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Groups gives all broker groups, in order of their names: one for every node
// that serves this protocol, and those with a document.
func (v *View) Groups() []*Group {
	var gs []*Group
	seen := map[string]bool{}
	nodes := v.core.Cluster().Nodes()
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, n := range nodes {
		if _, ok := n.Addresses[AddressName]; ok {
			g := v.groupLocked(HomeGroup(n.Node))
			gs = append(gs, g)
			seen[g.Name] = true
		}
	}
	for name := range v.groupDocs {
		if !seen[name] {
			gs = append(gs, v.groupLocked(name))
		}
	}
	sort.Slice(gs, func(i, j int) bool { return gs[i].Name < gs[j].Name })
	return gs
}

// Group gives a broker group: of any name, whether a document has it or not.
func (v *View) Group(name string) *Group {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.groupLocked(name)
}

// groupLocked gives a group as its document has it, else as a node's own.
func (v *View) groupLocked(name string) *Group {
	g := &Group{Name: name}
	if n, ok := strings.CutPrefix(name, "broker-"); ok {
		if id, err := strconv.ParseInt(n, 10, 32); err == nil && id > 0 &&
			HomeGroup(core.NodeID(id)) == name {
			g.Home = core.NodeID(id)
		}
	}
	if d := v.groupDocs[name]; d != nil {
		g.GroupDoc = *d
	} else {
		g.GroupConf = v.defaults
	}
	return g
}

// Places gives where a group's copies are wished, the master first; nil: anywhere.
func (g *Group) Places(nodes []core.NodeInfo) []core.NodeID {
	want := g.Policy().Copies
	at := slices.Clone(g.Nodes)
	if len(at) == 0 {
		if g.Home == 0 {
			return nil
		}
		at = append(at, g.Home)
	}
	var others []core.NodeID
	for _, n := range nodes {
		if _, serves := n.Addresses[AddressName]; serves && n.Alive && !slices.Contains(at, n.Node) {
			others = append(others, n.Node)
		}
	}
	slices.Sort(others)
	// The next in the ring follow, so that masters and slaves spread.
	i, _ := slices.BinarySearch(others, at[0])
	for k := 0; k < len(others) && len(at) < want; k++ {
		at = append(at, others[(i+k)%len(others)])
	}
	return at[:min(len(at), want)]
}

// Perm gives what clients may do with a group: wire.PermRead and PermWrite.
func (g *Group) Perm() int {
	if g.Wiped {
		return wire.PermRead
	}
	return wire.PermRead | wire.PermWrite
}

// Encode gives a document's bytes. The types of documents can always be encoded.
func Encode(doc any) []byte {
	b, err := json.Marshal(doc)
	core.Assert(err == nil, "a document can be encoded: %v", err)
	return b
}
