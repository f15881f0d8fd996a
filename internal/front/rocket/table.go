package rocket

import (
	"encoding/json"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"

	"trine/internal/core"
)

// The names of what stands in the catalog.
const (
	prefix       = "rocket/"
	topicPrefix  = "rocket/topic/"
	groupPrefix  = "rocket/group/"
	memberPrefix = "rocket/member/"
	lockPrefix   = "rocket/lock/"
	kvPrefix     = "rocket/kv/"
	numbersKey   = "rocket/numbers"
	offsetsName  = "rocket/offsets"
)

// topicDoc is a topic as its document has it.
type topicDoc struct {
	Parts      []partDoc         `json:"parts"`
	Order      bool              `json:"order,omitempty"`
	FilterType string            `json:"filterType,omitempty"`
	SysFlag    int               `json:"sysFlag,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// partDoc is what one group holds of a topic.
type partDoc struct {
	Group   string   `json:"group"`
	Read    int      `json:"read"`
	Write   int      `json:"write"`
	Perm    int      `json:"perm"`
	Numbers []uint32 `json:"numbers"` // of its queues, by their ids
}

func (d *topicDoc) part(group string) *partDoc {
	for i := range d.Parts {
		if d.Parts[i].Group == group {
			return &d.Parts[i]
		}
	}
	return nil
}

// groupDoc is a group as its document has it.
type groupDoc struct {
	GroupConf
	Index int  `json:"index"`           // of its port
	Wiped bool `json:"wiped,omitempty"` // its write permission is taken away
}

// topic, part and queue are the same at hand. They are immutable but for what
// they point to, and a changed document makes new ones.
type topic struct {
	name  string
	doc   topicDoc
	rev   core.Revision
	parts []*part
}

type part struct {
	partDoc
	queues []*queue
}

type queue struct {
	topic      string
	topicBytes []byte
	group      string
	id         int
	number     uint32
	name       string
	stream     atomic.Pointer[core.Stream] // nil until it is known here
}

func (t *topic) part(group string) *part {
	for _, p := range t.parts {
		if p.Group == group {
			return p
		}
	}
	return nil
}

func streamName(topic, group string, id int) string {
	return prefix + topic + "/" + group + "/" + strconv.Itoa(id)
}

// group is one broker name at hand.
type group struct {
	name string
	groupDoc
	home core.NodeID // of a node's own group; 0: of none
}

func homeGroup(n core.NodeID) string { return "broker-" + strconv.Itoa(int(n)) }

// watch begins to follow the catalog. Its callbacks come on the node's loop.
func (f *Front) watch() {
	f.core.Cluster().Watch(prefix, f.documentsChanged)
	f.core.Streams().Watch(prefix, f.streamChanged)
}

func (f *Front) streamChanged(s *core.Stream, gone bool) {
	f.mu.Lock()
	held := f.streams[s.Name]
	if gone && held != nil && held.ID != s.ID {
		f.mu.Unlock()
		return // an older stream of the name: the newer one stays
	}
	now := s
	if gone {
		now = nil
		delete(f.streams, s.Name)
	} else {
		f.streams[s.Name] = s
	}
	if q := f.queues[s.Name]; q != nil {
		q.stream.Store(now)
	}
	f.mu.Unlock()
	if s.Name == offsetsName && !gone {
		f.offsets.follow(s.ID)
	}
}

func (f *Front) documentsChanged(ds []core.Document) {
	var changed []string // consumer groups whose members changed
	f.mu.Lock()
	for i := range ds {
		d := &ds[i]
		switch {
		case strings.HasPrefix(d.Key, topicPrefix):
			f.topicChanged(d.Key[len(topicPrefix):], d)
		case strings.HasPrefix(d.Key, groupPrefix):
			f.groupChanged(d.Key[len(groupPrefix):], d)
		case strings.HasPrefix(d.Key, kvPrefix) && d.Value != nil:
			f.kv[d.Key] = struct{}{}
		case strings.HasPrefix(d.Key, kvPrefix):
			delete(f.kv, d.Key)
		case strings.HasPrefix(d.Key, subPrefix):
			f.subChanged(d)
		case strings.HasPrefix(d.Key, memberPrefix):
			if g := f.memberChanged(d); g != "" && !slices.Contains(changed, g) {
				changed = append(changed, g)
			}
		}
	}
	f.mu.Unlock()
	for _, g := range changed {
		f.notifyMembers(g)
	}
}

func (f *Front) groupChanged(name string, d *core.Document) {
	if d.Value == nil {
		delete(f.groupDocs, name)
		return
	}
	g := &groupDoc{}
	if err := json.Unmarshal(d.Value, g); err == nil {
		f.groupDocs[name] = g
	}
}

func (f *Front) topicChanged(name string, d *core.Document) {
	old := f.topics[name]
	if d.Value == nil {
		f.dropTopic(old)
		delete(f.topics, name)
		return
	}
	t := &topic{name: name, rev: d.Revision}
	if json.Unmarshal(d.Value, &t.doc) != nil {
		return
	}
	nameBytes := []byte(name)
	for _, pd := range t.doc.Parts {
		p := &part{partDoc: pd}
		for id, number := range pd.Numbers {
			sn := streamName(name, pd.Group, id)
			q := f.queues[sn]
			if q == nil || q.number != number {
				q = &queue{topic: name, topicBytes: nameBytes, group: pd.Group, id: id,
					number: number, name: sn}
				q.stream.Store(f.streams[sn])
			}
			f.queues[sn], f.numbers[number] = q, q
			p.queues = append(p.queues, q)
		}
		t.parts = append(t.parts, p)
	}
	f.dropTopicBut(old, t)
	f.topics[name] = t
}

func (f *Front) dropTopic(t *topic) { f.dropTopicBut(t, nil) }

// dropTopicBut forgets the queues of t that kept does not have.
func (f *Front) dropTopicBut(t, kept *topic) {
	if t == nil {
		return
	}
	for _, p := range t.parts {
		for _, q := range p.queues {
			if kept != nil && kept.part(p.Group) != nil && q.id < len(kept.part(p.Group).queues) {
				continue
			}
			delete(f.queues, q.name)
			delete(f.numbers, q.number)
		}
	}
}

// topicOf gives a topic, nil where this node knows of none.
func (f *Front) topicOf(name []byte) *topic {
	f.mu.RLock()
	t := f.topics[string(name)]
	f.mu.RUnlock()
	return t
}

func (f *Front) queueOf(number uint32) *queue {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.numbers[number]
}

// topicNames gives all topics, in order.
func (f *Front) topicNames() []string {
	f.mu.RLock()
	defer f.mu.RUnlock()
	names := make([]string, 0, len(f.topics))
	for n := range f.topics {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// groups gives all broker groups, in order of their names: one for every node
// that serves this protocol, and those with a document.
func (f *Front) groups() []*group {
	var gs []*group
	seen := map[string]bool{}
	nodes := f.core.Cluster().Nodes()
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, n := range nodes {
		if _, ok := n.Addresses[addressName]; ok {
			g := f.groupLocked(homeGroup(n.Node))
			gs = append(gs, g)
			seen[g.name] = true
		}
	}
	for name := range f.groupDocs {
		if !seen[name] {
			gs = append(gs, f.groupLocked(name))
		}
	}
	sort.Slice(gs, func(i, j int) bool { return gs[i].name < gs[j].name })
	return gs
}

func (f *Front) group(name string) *group {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.groupLocked(name)
}

// groupLocked gives a group as its document has it, else as a node's own.
func (f *Front) groupLocked(name string) *group {
	g := &group{name: name}
	if n, ok := strings.CutPrefix(name, "broker-"); ok {
		if id, err := strconv.ParseInt(n, 10, 32); err == nil && id > 0 &&
			homeGroup(core.NodeID(id)) == name {
			g.home = core.NodeID(id)
		}
	}
	if d := f.groupDocs[name]; d != nil {
		g.groupDoc = *d
	} else {
		g.GroupConf = f.o.Default
	}
	return g
}

// places gives where a group's copies are wished, the master first; nil: anywhere.
func (g *group) places(nodes []core.NodeInfo) []core.NodeID {
	want := g.policy().Copies
	at := slices.Clone(g.Nodes)
	if len(at) == 0 {
		if g.home == 0 {
			return nil
		}
		at = append(at, g.home)
	}
	var others []core.NodeID
	for _, n := range nodes {
		if _, serves := n.Addresses[addressName]; serves && n.Alive && !slices.Contains(at, n.Node) {
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

// encode gives a document's bytes. The types of documents can always be encoded.
func encode(doc any) []byte {
	b, err := json.Marshal(doc)
	core.Assert(err == nil, "a document can be encoded: %v", err)
	return b
}
