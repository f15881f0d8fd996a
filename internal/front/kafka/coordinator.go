package kafka

import (
	"encoding/hex"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"trine/internal/core"
	"trine/internal/core/record"
	"trine/internal/front/kafka/group"
)

const (
	loadBytes  = 4 << 20 // that a coordinator reads at a time
	retryLoad  = 100 * core.Millisecond
	emptyRetry = 10 * core.Millisecond
)

// barrierKey is the key of the record that a new coordinator appends first: what
// stands before it is all there is to load. It is its own tombstone.
var barrierKey = []byte{0x7f, 0xff}

// coordinators are the partitions of the offsets topic that this node leads.
type coordinators struct {
	f      *Front
	mu     sync.Mutex
	parts  map[int32]*coordinating
	closed bool
}

func newCoordinators(f *Front) *coordinators {
	return &coordinators{f: f, parts: map[int32]*coordinating{}}
}

// get gives the coordinator of a partition, nil where this node is not the one.
func (cs *coordinators) get(i int32) *coordinating {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.parts[i]
}

// all gives all coordinators of this node, by partition.
func (cs *coordinators) all() []*coordinating {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	var out []*coordinating
	for i, n := int32(0), len(cs.parts); n > 0; i++ {
		if c := cs.parts[i]; c != nil {
			out = append(out, c)
			n--
		}
	}
	return out
}

// led is told each change of a partition's stream; nil: it is gone.
func (cs *coordinators) led(i int32, s *core.Stream) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	old := cs.parts[i]
	leads := s != nil && s.Leader != 0 && s.Leader == cs.f.self() && !cs.closed
	if old != nil {
		if leads && old.stream == s.ID && old.epoch == s.Epoch {
			return
		}
		delete(cs.parts, i)
		cs.f.log.Debug("groups are coordinated elsewhere", "partition", i, "epoch", old.epoch)
		old.end()
	}
	if leads {
		cs.f.log.Debug("groups are coordinated here", "partition", i, "epoch", s.Epoch)
		c := &coordinating{f: cs.f, stream: s.ID, epoch: s.Epoch, calls: map[uint64]func(kmsg.Response){},
			batches: map[uint64][]uint64{},
			machine: group.New(group.Config{InitialDelay: cs.f.cfg.RebalanceDelay})}
		cs.parts[i] = c
		cs.f.cfg.Later(0, c.load)
	}
}

func (cs *coordinators) topicGone(name string) {
	for _, c := range cs.all() {
		c.post(group.Event{TopicGone: name})
	}
}

func (cs *coordinators) close() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.closed = true
	for i, c := range cs.parts {
		delete(cs.parts, i)
		c.end()
	}
}

// coordinating is one partition of the offsets topic in one epoch of its
// leadership: the machine, and who does what it says. Events wait in the inbox;
// one run at a time takes them, asked for through Config.Later.
//
//	led ──▶ loading ──▶ loaded ──▶ ended
//	           │                     ▲
//	           └─────────────────────┘ another leads, or the same anew
type coordinating struct {
	f      *Front
	stream core.StreamID
	epoch  core.Epoch

	mu      sync.Mutex // guards what follows
	inbox   []group.Event
	calls   map[uint64]func(kmsg.Response) // by the event's id
	lastID  uint64
	batches map[uint64][]uint64 // writes by the append's token
	token   uint64
	running bool
	loaded  bool
	ended   bool
	wakeAt  core.Time

	// Only a run, or the loading before it, uses these.
	machine *group.Coordinator
	out     group.Effects
	builder record.Builder
	over    bool
}

// ask posts a request; answer is called once, not under any lock of this.
func (c *coordinating) ask(e group.Event, answer func(kmsg.Response)) {
	c.mu.Lock()
	c.lastID++
	e.ID = c.lastID
	c.calls[e.ID] = answer
	c.postLocked(e)
	c.mu.Unlock()
}

func (c *coordinating) post(e group.Event) {
	c.mu.Lock()
	c.postLocked(e)
	c.mu.Unlock()
}

func (c *coordinating) postLocked(e group.Event) {
	c.inbox = append(c.inbox, e)
	c.wake()
}

// wake asks for a run. Lock held.
func (c *coordinating) wake() {
	if !c.running && (c.loaded || c.ended) {
		c.running = true
		c.f.cfg.Later(0, c.run)
	}
}

func (c *coordinating) end() {
	c.mu.Lock()
	c.ended = true
	c.wake()
	c.mu.Unlock()
}

// run takes what waits in the inbox until nothing does.
func (c *coordinating) run() {
	for {
		c.mu.Lock()
		events, ended := c.inbox, c.ended
		c.inbox = nil
		if len(events) == 0 && (!ended || c.over) {
			c.running = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		if ended {
			c.finish(events)
			continue
		}
		now := c.f.cfg.Now()
		for i := range events {
			c.machine.Step(now, &events[i], &c.out)
		}
		c.carryOut(now)
	}
}

// finish answers all that wait, and all that comes after.
func (c *coordinating) finish(events []group.Event) {
	if !c.over {
		c.over = true
		c.machine.Unload(&c.out)
		c.carryOut(c.f.cfg.Now())
	}
	c.refuse(events, errNotCoordinator)
}

func (c *coordinating) refuse(events []group.Event, code int16) {
	for i := range events {
		if q := events[i].Request; q != nil {
			c.answer(events[i].ID, refusal(q, code))
		}
	}
}

func (c *coordinating) answer(id uint64, r kmsg.Response) {
	c.mu.Lock()
	call := c.calls[id]
	delete(c.calls, id)
	c.mu.Unlock()
	if call != nil {
		call(r)
	}
}

// carryOut does what the machine said: all writes as one batch, the answers, the
// next wake-up.
func (c *coordinating) carryOut(now core.Now) {
	if len(c.out.Writes) > 0 {
		c.builder.Reset(0, 0, now.Wall)
		var ids []uint64
		for i := range c.out.Writes {
			w := &c.out.Writes[i]
			ids = append(ids, w.ID)
			for j := range w.Records {
				c.builder.Add(&w.Records[j])
			}
		}
		c.mu.Lock()
		c.token++
		token := c.token
		c.batches[token] = ids
		c.mu.Unlock()
		c.f.core.Log().Append([]core.Append{{Stream: c.stream, Ack: core.AckCommit, IfEpoch: c.epoch,
			Batch: c.builder.Finish(), Here: true, WaitMax: 5 * core.Second, To: c, Token: token}})
	}
	for _, r := range c.out.Replies {
		c.answer(r.ID, r.Response)
	}
	clear(c.out.Replies)
	clear(c.out.Writes)
	c.out.Replies, c.out.Writes = c.out.Replies[:0], c.out.Writes[:0]
	c.wakeLater(c.out.WakeAt)
}

// wakeLater makes sure that the machine is stepped at a time.
func (c *coordinating) wakeLater(at core.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at == 0 || c.ended || c.wakeAt != 0 && c.wakeAt <= at {
		return
	}
	c.wakeAt = at
	c.f.cfg.Later(at, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.wakeAt == at {
			c.wakeAt = 0
		}
		if !c.ended {
			c.postLocked(group.Event{})
		}
	})
}

// Appended is told what became of a batch of writes, by the node's loop.
func (c *coordinating) Appended(token uint64, _ core.Appended, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := c.batches[token]
	delete(c.batches, token)
	for _, id := range ids {
		c.postLocked(group.Event{Written: id, Code: coordinatorCode(err)})
	}
}

// load begins to read what the partition holds: first a record is appended, which
// holds in this epoch only, and ends what must be read.
func (c *coordinating) load() {
	c.mu.Lock()
	ended := c.ended
	c.mu.Unlock()
	if ended {
		return
	}
	c.builder.Reset(0, 0, c.f.cfg.Now().Wall)
	c.builder.Add(&core.Record{Stamp: -1, Key: barrierKey})
	c.f.core.Log().Append([]core.Append{{Stream: c.stream, Ack: core.AckCommit, IfEpoch: c.epoch,
		Batch: c.builder.Finish(), Here: true, WaitMax: 5 * core.Second, To: loader{c}}})
}

// loader is told of the barrier.
type loader struct{ c *coordinating }

// Appended goes on with the loading, or tries again where that may help.
func (l loader) Appended(_ uint64, a core.Appended, err error) {
	switch core.KindOf(err) {
	case core.OK:
		l.c.f.cfg.Later(0, func() { l.c.read(a.Start, a.Base) })
	case core.NotLeader, core.Fenced, core.Conflict, core.NotExist, core.Shut:
		// The watch says who leads.
		l.c.loadLater(a.Start, l.c.load)
	default:
		l.c.f.log.Warn("group coordinator cannot load yet", "stream", l.c.stream, "err", err)
		l.c.loadLater(a.Start, l.c.load)
	}
}

// loadLater tells those who wait to ask again, and tries again itself.
func (c *coordinating) loadLater(_ core.Offset, again func()) {
	c.mu.Lock()
	events := c.inbox
	c.inbox = nil
	ended := c.ended
	c.mu.Unlock()
	code := errCoordinatorLoading
	if ended {
		code = errNotCoordinator
	}
	c.f.cfg.Later(0, func() { c.refuse(events, code) })
	if !ended {
		c.f.cfg.Later(c.f.cfg.Now().Mono+retryLoad, again)
	}
}

// read loads the records from an offset on up to the barrier.
func (c *coordinating) read(from, barrier core.Offset) {
	c.mu.Lock()
	ended := c.ended
	c.mu.Unlock()
	if ended {
		return
	}
	if from >= barrier {
		c.begin()
		return
	}
	c.f.core.Log().Read(core.Read{Here: true, BytesMax: loadBytes, Parts: []core.ReadPart{
		{Stream: c.stream, From: from, BytesMax: loadBytes, IfEpoch: c.epoch}}}, func(as []core.ReadAnswer) {
		a := as[0]
		c.f.cfg.Later(0, func() { c.loadFrom(a, from, barrier) })
	})
}

func (c *coordinating) loadFrom(a core.ReadAnswer, from, barrier core.Offset) {
	if core.KindOf(a.Err) == core.OutOfRange && a.Start > from {
		c.read(a.Start, barrier)
		return
	}
	if a.Err != nil {
		c.loadLater(from, func() { c.read(from, barrier) })
		return
	}
	next := from
	for _, b := range a.Batches {
		h, err := record.Parse(b)
		if err == nil && h.Base < barrier {
			err = record.Each(b, record.UnpackedMax, func(o core.Offset, r *core.Record) bool {
				if o >= from && o < barrier {
					c.machine.Load(r)
				}
				return true
			})
		}
		if err != nil {
			c.f.log.Error("group coordinator: a batch cannot be read", "stream", c.stream, "from", next, "err", err)
		}
		next = max(next, h.Next())
	}
	if next == from { // nothing there yet
		c.f.cfg.Later(c.f.cfg.Now().Mono+emptyRetry, func() { c.read(from, barrier) })
		return
	}
	c.read(next, barrier)
}

// begin lets those in who have waited.
func (c *coordinating) begin() {
	now := c.f.cfg.Now()
	c.machine.Loaded(now, &c.out)
	c.carryOut(now)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loaded = true
	c.wake()
}

// groupPartition gives the partition of the offsets topic on which a group's name
// falls: as in Kafka, by Java's hash of it.
func groupPartition(name string, partitions int) int32 {
	var h int32
	for _, r := range name {
		if r >= 0x10000 {
			r -= 0x10000
			h = 31*h + (0xd800 + r>>10)
			r = 0xdc00 + r&0x3ff
		}
		h = 31*h + r
	}
	return (h & 0x7fffffff) % int32(partitions)
}

// coordinator gives who coordinates a group here, or the code that says why nobody.
func (f *Front) coordinator(name string) (*coordinating, int16) {
	t := f.topics.get(offsetsTopic)
	if t == nil {
		return nil, errNotCoordinator
	}
	if c := f.groups.get(groupPartition(name, len(t.parts))); c != nil {
		return c, errNone
	}
	return nil, errNotCoordinator
}

// memberSuffix is what a new member's id ends with.
func (f *Front) memberSuffix() string {
	id := f.cfg.NewID()
	s := hex.EncodeToString(id[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
