package topology

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"trine/internal/core"
	"trine/internal/front/rocket/wire"
)

// Names of topics that brokers themselves use.
const (
	RetryPrefix   = "%RETRY%"
	DlqPrefix     = "%DLQ%"
	TemplateTopic = "TBW102"
	ScheduleTopic = "SCHEDULE_TOPIC_XXXX"
	HalfTopic     = "RMQ_SYS_TRANS_HALF_TOPIC"
	OpTopic       = "RMQ_SYS_TRANS_OP_HALF_TOPIC"
	checkMaxTopic = "TRANS_CHECK_MAX_TIME_TOPIC"
	traceTopic    = "RMQ_SYS_TRACE_TOPIC"
)

// SystemTopics are those that a fresh broker names when asked for them.
var SystemTopics = []string{TemplateTopic, "SELF_TEST_TOPIC", "BenchmarkTest", ScheduleTopic,
	HalfTopic, OpTopic, checkMaxTopic, traceTopic}

// Wish is what a topic shall have of one group.
type Wish struct {
	Group       string
	Read, Write int
	Perm        int
}

// Change is a topic to be made or altered. A change that asks for what is there
// already does nothing.
type Change struct {
	Topic  string
	Wishes []Wish
	Grow   bool              // parts that are there stay as they are: only missing ones are made
	Alter  func(d *TopicDoc) // nil, or: what else to set
	done   []func(error)
	tries  int
}

// CheckName refuses what clients refuse, and what would not be a name here.
func CheckName(name string) error {
	max := wire.TopicBytesMax
	if len(name) > 0 && name[0] == '%' {
		max += len(RetryPrefix)
	}
	bad := name == "" || len(name) > max
	for i := 0; i < len(name) && !bad; i++ {
		c := name[i]
		bad = !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			c == '_' || c == '-' || c == '%' || c == '|')
	}
	if bad {
		return &core.Error{Op: "create topic", Name: name, Kind: core.Invalid,
			Detail: fmt.Sprintf("a name has 1 to %d of the characters %%|a-zA-Z0-9_-", max)}
	}
	return nil
}

// Ensure makes what is missing of a topic and calls done on the node's loop. Equal
// asks that wait are answered together; changes go to the catalog one by one, so
// that this node never conflicts with itself over the numbers.
func (v *View) Ensure(c *Change, done func(error)) {
	c.done = []func(error){done}
	v.mu.Lock()
	for _, w := range v.changes {
		if w.Topic == c.Topic && w.Alter == nil && c.Alter == nil && w.Grow && c.Grow &&
			slices.Equal(w.Wishes, c.Wishes) {
			w.done = append(w.done, done)
			v.mu.Unlock()
			return
		}
	}
	v.changes = append(v.changes, c)
	first := len(v.changes) == 1
	v.mu.Unlock()
	if first {
		v.putTopic(c)
	}
}

// changed ends a change and begins the next.
func (v *View) changed(c *Change, err error) {
	v.mu.Lock()
	v.changes = v.changes[1:]
	var next *Change
	if len(v.changes) > 0 {
		next = v.changes[0]
	}
	v.mu.Unlock()
	for _, done := range c.done {
		done(err)
	}
	if next != nil {
		v.putTopic(next)
	}
}

const ChangeTriesMax = 20

// putTopic puts a change that is the first of v.changes.
func (v *View) putTopic(c *Change) {
	puts, err := v.topicPuts(c)
	if err != nil || len(puts) == 0 {
		// Answered from the loop like all else: the caller may hold a connection's lock.
		v.core.Cluster().Sync(func(lost error) {
			if err == nil {
				err = lost
			}
			v.changed(c, err)
		})
		return
	}
	v.core.Cluster().Put(puts, func(_ core.Revision, err error) {
		kind := core.KindOf(err)
		if kind != core.Conflict && kind != core.Exist || c.tries >= ChangeTriesMax {
			v.changed(c, err)
			return
		}
		c.tries++ // another node was faster: see what it made
		v.core.Cluster().Sync(func(err error) {
			if err != nil {
				v.changed(c, err)
				return
			}
			v.putTopic(c)
		})
	})
}

// topicPuts gives the changes of the catalog that make c; none where all is there.
func (v *View) topicPuts(c *Change) ([]core.Change, error) {
	cluster := v.core.Cluster()
	var d TopicDoc
	expect := core.NoRevision
	if old, ok := cluster.Get(topicPrefix + c.Topic); ok {
		if err := json.Unmarshal(old.Value, &d); err != nil {
			return nil, &core.Error{Op: "create topic", Name: c.Topic, Kind: core.Invalid,
				Detail: "its document cannot be read", Err: err}
		}
		expect = old.Revision
	}
	before := Encode(&d)
	next, numbersExpect := uint32(1), core.NoRevision
	if n, ok := cluster.Get(numbersKey); ok {
		v, _ := strconv.ParseUint(string(n.Value), 10, 32)
		next, numbersExpect = uint32(v), n.Revision
	}
	first := next
	var puts []core.Change
	for _, w := range c.Wishes {
		defines, err := v.apply(&d, c, w, &next)
		if err != nil {
			return nil, err
		}
		puts = append(puts, defines...)
	}
	if c.Alter != nil {
		c.Alter(&d)
	}
	after := Encode(&d)
	if expect != core.NoRevision && string(after) == string(before) {
		return nil, nil
	}
	puts = append(puts, core.Change{Key: topicPrefix + c.Topic, Value: after, Expect: expect})
	if next != first {
		puts = append(puts, core.Change{Key: numbersKey, Expect: numbersExpect,
			Value: strconv.AppendUint(nil, uint64(next), 10)})
	}
	return puts, nil
}

// apply makes one wish part of d and gives the streams that it needs.
func (v *View) apply(d *TopicDoc, c *Change, w Wish, next *uint32) ([]core.Change, error) {
	p := d.Part(w.Group)
	if p != nil && c.Grow {
		return nil, nil
	}
	if w.Read < 1 || w.Write < 1 || max(w.Read, w.Write) > queuesMax {
		return nil, &core.Error{Op: "create topic", Name: c.Topic, Kind: core.Invalid,
			Detail: fmt.Sprintf("%d and %d queues are not between 1 and %d", w.Read, w.Write, queuesMax)}
	}
	if p == nil {
		d.Parts = append(d.Parts, PartDoc{Group: w.Group})
		slices.SortFunc(d.Parts, func(a, b PartDoc) int {
			if a.Group < b.Group {
				return -1
			}
			return 1
		})
		p = d.Part(w.Group)
	}
	p.Read, p.Write, p.Perm = w.Read, w.Write, w.Perm
	var puts []core.Change
	for id := len(p.Numbers); id < max(w.Read, w.Write); id++ {
		if *next > wire.QueueNumberMax {
			return nil, &core.Error{Op: "create topic", Name: c.Topic, Kind: core.Full,
				Detail: "all numbers of queues were given out"}
		}
		p.Numbers = append(p.Numbers, *next)
		*next++
		def := v.queueDefinition(c.Topic, w.Group, id)
		puts = append(puts, core.Change{Define: &def})
	}
	return puts, nil
}

// queueDefinition says what the stream of a queue is.
func (v *View) queueDefinition(topic, groupName string, id int) core.Definition {
	g := v.Group(groupName)
	return core.Definition{Name: streamName(topic, groupName, id), Policy: g.Policy(), Keep: keepOf(),
		At: g.Places(v.core.Cluster().Nodes())}
}

// Everywhere wishes the same of every group that takes writes at present: one whose
// node is away cannot be given queues, and must not keep the others from having them.
func (v *View) Everywhere(read, write, perm int) []Wish {
	var ws []Wish
	nodes := v.core.Cluster().Nodes()
	for _, g := range v.Groups() {
		if !g.Wiped && g.writable(nodes) {
			ws = append(ws, Wish{g.Name, read, write, perm})
		}
	}
	return ws
}

// writable says whether a group's master lives, or somebody who may take its place.
func (g *Group) writable(nodes []core.NodeInfo) bool {
	at := g.Places(nodes)
	if at == nil {
		return true
	}
	for _, n := range nodes {
		if n.Alive && (n.Node == at[0] || g.Elects() && slices.Contains(at, n.Node)) {
			return true
		}
	}
	return false
}

// SetGroup makes a broker group or changes how it keeps its queues: those that are
// there change without stopping, those that are made later follow. done is called
// once, on the node's loop.
func (v *View) SetGroup(name string, conf GroupConf, done func(error)) {
	if err := conf.Check(); err != nil {
		done(err)
		return
	}
	if err := CheckName(name); err != nil || name[0] == '%' {
		done(&core.Error{Op: "set broker group", Name: name, Kind: core.Invalid, Err: err,
			Detail: "a name has the characters |a-zA-Z0-9_-"})
		return
	}
	v.AlterGroup(name, func(d *GroupDoc) { d.GroupConf = conf }, func(err error) {
		if err != nil {
			done(err)
			return
		}
		v.alterQueues(name, done)
	})
}

// AlterGroup changes a group's document, which may not be there yet.
func (v *View) AlterGroup(name string, alter func(d *GroupDoc), done func(error)) {
	g := v.Group(name)
	doc := g.GroupDoc
	expect := core.NoRevision
	if old, ok := v.core.Cluster().Get(groupPrefix + name); ok {
		expect = old.Revision
	} else if g.Home == 0 {
		doc.Index = v.freeIndex()
	}
	alter(&doc)
	v.core.Cluster().Put([]core.Change{{Key: groupPrefix + name, Value: Encode(&doc), Expect: expect}},
		func(_ core.Revision, err error) { done(err) })
}

// freeIndex gives the least index that no group has.
func (v *View) freeIndex() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for i := 1; ; i++ {
		taken := false
		for _, d := range v.groupDocs {
			taken = taken || d.Index == i
		}
		if !taken {
			return i
		}
	}
}

const altersPerPut = 256

// alterQueues brings the streams of a group's queues in line with its document.
func (v *View) alterQueues(name string, done func(error)) {
	g := v.Group(name)
	policy, at := g.Policy(), g.Places(v.core.Cluster().Nodes())
	var puts []core.Change
	for _, topicName := range v.Topics() {
		t := v.Topic([]byte(topicName))
		if t == nil || t.Part(name) == nil {
			continue
		}
		for _, q := range t.Part(name).Queues {
			s := q.Stream.Load()
			if s == nil || s.Policy == policy && slices.Equal(s.At, at) {
				continue
			}
			puts = append(puts, core.Change{Stream: q.Name, IfID: s.ID,
				Alter: &core.Alteration{Policy: &policy, At: at}})
		}
	}
	var next func(error)
	next = func(err error) {
		if err != nil || len(puts) == 0 {
			done(err)
			return
		}
		some := puts[:min(len(puts), altersPerPut)]
		puts = puts[len(some):]
		v.core.Cluster().Put(some, func(_ core.Revision, err error) { next(err) })
	}
	next(nil)
}

// RemovePart ends a group's queues of a topic, and the topic with the last.
func (v *View) RemovePart(name, group string, done func(error)) {
	d, ok := v.core.Cluster().Get(topicPrefix + name)
	var doc TopicDoc
	if ok && json.Unmarshal(d.Value, &doc) != nil {
		ok = false
	}
	if !ok || doc.Part(group) == nil {
		v.core.Cluster().Sync(done)
		return
	}
	var puts []core.Change
	var kept []PartDoc
	for _, p := range doc.Parts {
		if p.Group != group {
			kept = append(kept, p)
			continue
		}
		for id := range p.Numbers {
			puts = append(puts, core.Change{Stream: streamName(name, group, id)})
		}
	}
	put := core.Change{Key: d.Key, Expect: d.Revision}
	if doc.Parts = kept; len(kept) > 0 {
		put.Value = Encode(&doc)
	}
	v.core.Cluster().Put(append(puts, put), func(_ core.Revision, err error) {
		if core.KindOf(err) == core.Conflict {
			v.core.Cluster().Sync(func(err error) {
				if err != nil {
					done(err)
					return
				}
				v.RemovePart(name, group, done)
			})
			return
		}
		done(err)
	})
}
