package rocket

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
	retryPrefix   = "%RETRY%"
	dlqPrefix     = "%DLQ%"
	templateTopic = "TBW102"
	scheduleTopic = "SCHEDULE_TOPIC_XXXX"
	halfTopic     = "RMQ_SYS_TRANS_HALF_TOPIC"
	opTopic       = "RMQ_SYS_TRANS_OP_HALF_TOPIC"
	checkMaxTopic = "TRANS_CHECK_MAX_TIME_TOPIC"
	traceTopic    = "RMQ_SYS_TRACE_TOPIC"
)

// systemTopics are those that a fresh broker names when asked for them.
var systemTopics = []string{templateTopic, "SELF_TEST_TOPIC", "BenchmarkTest", scheduleTopic,
	halfTopic, opTopic, checkMaxTopic, traceTopic}

// wish is what a topic shall have of one group.
type wish struct {
	group       string
	read, write int
	perm        int
}

// change is a topic to be made or altered. A change that asks for what is there
// already does nothing.
type change struct {
	topic  string
	wishes []wish
	grow   bool              // parts that are there stay as they are: only missing ones are made
	alter  func(d *topicDoc) // nil, or: what else to set
	done   []func(error)
	tries  int
}

// checkTopicName refuses what clients refuse, and what would not be a name here.
func checkTopicName(name string) error {
	max := wire.TopicBytesMax
	if len(name) > 0 && name[0] == '%' {
		max += len(retryPrefix)
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

// ensure makes what is missing of a topic and calls done on the node's loop. Equal
// asks that wait are answered together; changes go to the catalog one by one, so
// that this node never conflicts with itself over the numbers.
func (f *Front) ensure(c *change, done func(error)) {
	c.done = []func(error){done}
	f.mu.Lock()
	for _, w := range f.changes {
		if w.topic == c.topic && w.alter == nil && c.alter == nil && w.grow && c.grow &&
			slices.Equal(w.wishes, c.wishes) {
			w.done = append(w.done, done)
			f.mu.Unlock()
			return
		}
	}
	f.changes = append(f.changes, c)
	first := len(f.changes) == 1
	f.mu.Unlock()
	if first {
		f.putTopic(c)
	}
}

// changed ends a change and begins the next.
func (f *Front) changed(c *change, err error) {
	f.mu.Lock()
	f.changes = f.changes[1:]
	var next *change
	if len(f.changes) > 0 {
		next = f.changes[0]
	}
	f.mu.Unlock()
	for _, done := range c.done {
		done(err)
	}
	if next != nil {
		f.putTopic(next)
	}
}

const changeTriesMax = 20

// putTopic puts a change that is the first of f.changes.
func (f *Front) putTopic(c *change) {
	puts, err := f.topicPuts(c)
	if err != nil || len(puts) == 0 {
		// Answered from the loop like all else: the caller may hold a connection's lock.
		f.core.Cluster().Sync(func(lost error) {
			if err == nil {
				err = lost
			}
			f.changed(c, err)
		})
		return
	}
	f.core.Cluster().Put(puts, func(_ core.Revision, err error) {
		kind := core.KindOf(err)
		if kind != core.Conflict && kind != core.Exist || c.tries >= changeTriesMax {
			f.changed(c, err)
			return
		}
		c.tries++ // another node was faster: see what it made
		f.core.Cluster().Sync(func(err error) {
			if err != nil {
				f.changed(c, err)
				return
			}
			f.putTopic(c)
		})
	})
}

// topicPuts gives the changes of the catalog that make c; none where all is there.
func (f *Front) topicPuts(c *change) ([]core.Change, error) {
	cluster := f.core.Cluster()
	var d topicDoc
	expect := core.NoRevision
	if old, ok := cluster.Get(topicPrefix + c.topic); ok {
		if err := json.Unmarshal(old.Value, &d); err != nil {
			return nil, &core.Error{Op: "create topic", Name: c.topic, Kind: core.Invalid,
				Detail: "its document cannot be read", Err: err}
		}
		expect = old.Revision
	}
	before := encode(&d)
	next, numbersExpect := uint32(1), core.NoRevision
	if n, ok := cluster.Get(numbersKey); ok {
		v, _ := strconv.ParseUint(string(n.Value), 10, 32)
		next, numbersExpect = uint32(v), n.Revision
	}
	first := next
	var puts []core.Change
	for _, w := range c.wishes {
		defines, err := f.apply(&d, c, w, &next)
		if err != nil {
			return nil, err
		}
		puts = append(puts, defines...)
	}
	if c.alter != nil {
		c.alter(&d)
	}
	after := encode(&d)
	if expect != core.NoRevision && string(after) == string(before) {
		return nil, nil
	}
	puts = append(puts, core.Change{Key: topicPrefix + c.topic, Value: after, Expect: expect})
	if next != first {
		puts = append(puts, core.Change{Key: numbersKey, Expect: numbersExpect,
			Value: strconv.AppendUint(nil, uint64(next), 10)})
	}
	return puts, nil
}

// apply makes one wish part of d and gives the streams that it needs.
func (f *Front) apply(d *topicDoc, c *change, w wish, next *uint32) ([]core.Change, error) {
	p := d.part(w.group)
	if p != nil && c.grow {
		return nil, nil
	}
	if w.read < 1 || w.write < 1 || max(w.read, w.write) > queuesMax {
		return nil, &core.Error{Op: "create topic", Name: c.topic, Kind: core.Invalid,
			Detail: fmt.Sprintf("%d and %d queues are not between 1 and %d", w.read, w.write, queuesMax)}
	}
	if p == nil {
		d.Parts = append(d.Parts, partDoc{Group: w.group})
		slices.SortFunc(d.Parts, func(a, b partDoc) int {
			if a.Group < b.Group {
				return -1
			}
			return 1
		})
		p = d.part(w.group)
	}
	p.Read, p.Write, p.Perm = w.read, w.write, w.perm
	var puts []core.Change
	for id := len(p.Numbers); id < max(w.read, w.write); id++ {
		if *next > wire.QueueNumberMax {
			return nil, &core.Error{Op: "create topic", Name: c.topic, Kind: core.Full,
				Detail: "all numbers of queues were given out"}
		}
		p.Numbers = append(p.Numbers, *next)
		*next++
		def := f.queueDefinition(c.topic, w.group, id)
		puts = append(puts, core.Change{Define: &def})
	}
	return puts, nil
}

// queueDefinition says what the stream of a queue is.
func (f *Front) queueDefinition(topic, groupName string, id int) core.Definition {
	g := f.group(groupName)
	return core.Definition{Name: streamName(topic, groupName, id), Policy: g.policy(), Keep: keepOf(),
		At: g.places(f.core.Cluster().Nodes())}
}

// everywhere wishes the same of every group that takes writes at present: one whose
// node is away cannot be given queues, and must not keep the others from having them.
func (f *Front) everywhere(read, write, perm int) []wish {
	var ws []wish
	nodes := f.core.Cluster().Nodes()
	for _, g := range f.groups() {
		if !g.Wiped && g.writable(nodes) {
			ws = append(ws, wish{g.name, read, write, perm})
		}
	}
	return ws
}

// writable says whether a group's master lives, or somebody who may take its place.
func (g *group) writable(nodes []core.NodeInfo) bool {
	at := g.places(nodes)
	if at == nil {
		return true
	}
	for _, n := range nodes {
		if n.Alive && (n.Node == at[0] || g.elects() && slices.Contains(at, n.Node)) {
			return true
		}
	}
	return false
}

// SetGroup makes a broker group or changes how it keeps its queues: those that are
// there change without stopping, those that are made later follow. done is called
// once, on the node's loop.
func (f *Front) SetGroup(name string, conf GroupConf, done func(error)) {
	if err := conf.check(); err != nil {
		done(err)
		return
	}
	if err := checkTopicName(name); err != nil || name[0] == '%' {
		done(&core.Error{Op: "set broker group", Name: name, Kind: core.Invalid, Err: err,
			Detail: "a name has the characters |a-zA-Z0-9_-"})
		return
	}
	f.alterGroup(name, func(d *groupDoc) { d.GroupConf = conf }, func(err error) {
		if err != nil {
			done(err)
			return
		}
		f.alterQueues(name, done)
	})
}

// alterGroup changes a group's document, which may not be there yet.
func (f *Front) alterGroup(name string, alter func(d *groupDoc), done func(error)) {
	g := f.group(name)
	doc := g.groupDoc
	expect := core.NoRevision
	if old, ok := f.core.Cluster().Get(groupPrefix + name); ok {
		expect = old.Revision
	} else if g.home == 0 {
		doc.Index = f.freeIndex()
	}
	alter(&doc)
	f.core.Cluster().Put([]core.Change{{Key: groupPrefix + name, Value: encode(&doc), Expect: expect}},
		func(_ core.Revision, err error) { done(err) })
}

// freeIndex gives the least index that no group has.
func (f *Front) freeIndex() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for i := 1; ; i++ {
		taken := false
		for _, d := range f.groupDocs {
			taken = taken || d.Index == i
		}
		if !taken {
			return i
		}
	}
}

const altersPerPut = 256

// alterQueues brings the streams of a group's queues in line with its document.
func (f *Front) alterQueues(name string, done func(error)) {
	g := f.group(name)
	policy, at := g.policy(), g.places(f.core.Cluster().Nodes())
	var puts []core.Change
	for _, topicName := range f.topicNames() {
		t := f.topicOf([]byte(topicName))
		if t == nil || t.part(name) == nil {
			continue
		}
		for _, q := range t.part(name).queues {
			s := q.stream.Load()
			if s == nil || s.Policy == policy && slices.Equal(s.At, at) {
				continue
			}
			puts = append(puts, core.Change{Stream: q.name, IfID: s.ID,
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
		f.core.Cluster().Put(some, func(_ core.Revision, err error) { next(err) })
	}
	next(nil)
}
