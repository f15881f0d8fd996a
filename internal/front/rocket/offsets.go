package rocket

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"sync"

	"trine/internal/core"
	"trine/internal/core/record"
	"trine/internal/front/rocket/topology"
)

// offsets is this node's copy of what consumer groups have consumed: the stream
// rocket/offsets, followed. Key "group \x00 topic \x00 broker \x00 queue", value
// the next offset to consume as int64, or nothing where it was taken away.
//
//	update ──▶ append ──▶ (every node) read ──▶ at
//	query  ──▶ where is the end? ──▶ wait until at has that ──▶ answer
//
// So a query on any node sees what any node has acknowledged.
type offsets struct {
	f *Front

	mu      sync.Mutex
	id      core.StreamID               // 0: not known yet
	next    core.Offset                 // of the stream: at has all below
	at      map[string]map[string]int64 // by group, then by the rest of the key
	waits   []offsetsWait
	defines bool // the stream's definition is on its way
	early   []core.Append
}

type offsetsWait struct {
	end core.Offset
	do  func()
}

func (o *offsets) init(f *Front) {
	o.f, o.at = f, map[string]map[string]int64{}
}

const offsetSeparator = 0

func offsetKey(b []byte, group []byte, q *topology.Queue) []byte {
	b = append(append(b, group...), offsetSeparator)
	return appendQueueKey(b, q.Topic, q.Group, q.ID)
}

func appendQueueKey(b []byte, topic, group string, id int) []byte {
	b = append(append(b, topic...), offsetSeparator)
	b = append(append(b, group...), offsetSeparator)
	return append(b, itoa(id)...)
}

// follow begins to read the stream, once.
func (o *offsets) follow(id core.StreamID) {
	o.mu.Lock()
	known := o.id != 0
	o.id = id
	early := o.early
	o.early = nil
	o.mu.Unlock()
	if known {
		return
	}
	for i := range early {
		early[i].Stream = id
	}
	if len(early) > 0 {
		o.f.core.Log().Append(early)
	}
	o.read()
}

const (
	offsetsBytes = 1 << 20
	offsetsWaitT = 30 * core.Second
	offsetsRetry = 100 * core.Millisecond
)

func (o *offsets) read() {
	o.mu.Lock()
	r := core.Read{Parts: []core.ReadPart{{Stream: o.id, From: o.next, BytesMax: offsetsBytes}},
		BytesMin: 1, BytesMax: offsetsBytes, Wait: offsetsWaitT, Copy: true}
	o.mu.Unlock()
	o.f.core.Log().Read(r, func(as []core.ReadAnswer) {
		if o.take(&as[0]) {
			o.read()
			return
		}
		o.f.after(offsetsRetry, func(core.Now) { o.read() })
	})
}

// take brings at forward; false asks for a pause.
func (o *offsets) take(a *core.ReadAnswer) bool {
	o.mu.Lock()
	if core.KindOf(a.Err) == core.OutOfRange && o.next < a.Start {
		o.next = a.Start
		o.mu.Unlock()
		return true
	}
	if a.Err != nil {
		o.mu.Unlock()
		return false
	}
	var coder record.Coder
	defer coder.Close()
	for _, b := range a.Batches {
		h, err := record.Parse(b)
		if err != nil {
			break
		}
		err = coder.Each(b, record.UnpackedMax, func(at core.Offset, r *core.Record) bool {
			if at >= o.next {
				o.set(r)
			}
			return true
		})
		if err != nil {
			o.f.o.Log.Error("read consumers' offsets", "base", h.Base, "err", err)
		}
		o.next = max(o.next, h.Next())
	}
	if len(a.Batches) == 0 {
		o.next = max(o.next, a.Committed) // what compaction left empty
	}
	var due []func()
	kept := o.waits[:0]
	for _, w := range o.waits {
		if w.end <= o.next {
			due = append(due, w.do)
		} else {
			kept = append(kept, w)
		}
	}
	o.waits = kept
	o.mu.Unlock()
	for _, do := range due {
		do()
	}
	return true
}

func (o *offsets) set(r *core.Record) {
	group, rest, ok := bytes.Cut(r.Key, []byte{offsetSeparator})
	if !ok {
		return
	}
	m := o.at[string(group)]
	if len(r.Value) != 8 {
		delete(m, string(rest))
		if len(m) == 0 {
			delete(o.at, string(group))
		}
		return
	}
	if m == nil {
		m = map[string]int64{}
		o.at[string(group)] = m
	}
	m[string(rest)] = int64(binary.BigEndian.Uint64(r.Value))
}

// current calls do on the node's loop once at has all that was acknowledged before
// the call.
func (o *offsets) current(do func(err error)) {
	o.f.core.Cluster().Sync(func(err error) {
		s := o.f.core.Streams().Lookup(offsetsName)
		if err != nil || s == nil {
			do(err)
			return
		}
		o.f.core.Log().Find(core.Find{Stream: s.ID, Kind: core.FindEnd}, func(found core.Found,
			err error) {
			if err != nil {
				do(err)
				return
			}
			o.mu.Lock()
			if found.Offset > o.next {
				o.waits = append(o.waits, offsetsWait{found.Offset, func() { do(nil) }})
				o.mu.Unlock()
				return
			}
			o.mu.Unlock()
			do(nil)
		})
	})
}

// get gives what at has of a queue. Call it from current.
func (o *offsets) get(group string, q *topology.Queue) (int64, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	v, ok := o.at[group][string(appendQueueKey(nil, q.Topic, q.Group, q.ID))]
	return v, ok
}

// topicsOf gives the topics of which a group has consumed.
func (o *offsets) topicsOf(group string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := map[string]bool{}
	for k := range o.at[group] {
		topic, _, _ := strings.Cut(k, string(rune(offsetSeparator)))
		seen[topic] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// groupsOf gives the groups that have consumed of a topic.
func (o *offsets) groupsOf(topic string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var groups []string
	for g, at := range o.at {
		for k := range at {
			if strings.HasPrefix(k, topic+string(rune(offsetSeparator))) && g[0] >= ' ' {
				groups = append(groups, g)
				break
			}
		}
	}
	slices.Sort(groups)
	return groups
}

// forget takes all offsets of a group away.
func (o *offsets) forget(group string) {
	var rs []core.Record
	o.mu.Lock()
	for k := range o.at[group] {
		key := append(append([]byte(group), offsetSeparator), k...)
		rs = append(rs, core.Record{Stamp: -1, Key: key})
	}
	o.mu.Unlock()
	slices.SortFunc(rs, func(a, b core.Record) int { return bytes.Compare(a.Key, b.Key) })
	if len(rs) > 0 {
		o.append(core.Append{Records: rs})
	}
}

// append puts records into the stream, which is made by the first.
func (o *offsets) append(a core.Append) {
	a.Ack = core.AckCommit
	o.mu.Lock()
	if o.id != 0 {
		a.Stream = o.id
		o.mu.Unlock()
		o.f.core.Log().Append([]core.Append{a})
		return
	}
	o.early = append(o.early, a)
	first := !o.defines
	o.defines = true
	o.mu.Unlock()
	if first {
		o.define()
	}
}

// offsetsDefinition is the stream of consumers' offsets.
func offsetsDefinition() core.Definition {
	return core.Definition{Name: offsetsName, Policy: core.Majority(3),
		Keep: core.Keep{Compact: true, TombstoneMs: 24 * 3600 * 1000, SegmentBytes: 16 << 20}}
}

func (o *offsets) define() {
	o.f.core.Streams().Define(offsetsDefinition(), func(s *core.Stream, err error) {
		if s != nil {
			o.follow(s.ID)
			return
		}
		o.f.after(offsetsRetry, func(core.Now) { o.define() })
	})
}

// updates gathers what one turn of a connection says about offsets.
type updates struct {
	records []core.Record
	wait    []func(err error)
}

// add notes that group has consumed q up to offset; done may be nil.
func (u *updates) add(group []byte, q *topology.Queue, offset int64, done func(err error)) {
	key := offsetKey(nil, group, q)
	value := binary.BigEndian.AppendUint64(nil, uint64(offset))
	for i := range u.records {
		if bytes.Equal(u.records[i].Key, key) {
			u.records[i].Value = value
			key = nil
			break
		}
	}
	if key != nil {
		u.records = append(u.records, core.Record{Stamp: -1, Key: key, Value: value})
	}
	if done != nil {
		u.wait = append(u.wait, done)
	}
}

// flush appends what was gathered.
func (u *updates) flush(f *Front) {
	if len(u.records) == 0 {
		return
	}
	a := core.Append{Records: u.records}
	if len(u.wait) > 0 {
		a.To = told(u.wait)
	}
	*u = updates{}
	f.offsets.append(a)
}

// told is an Appender that tells several.
type told []func(err error)

// Appended tells them.
func (t told) Appended(_ uint64, _ core.Appended, err error) {
	for _, do := range t {
		do(err)
	}
}
