package kafka

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"trine/internal/core"
	"trine/internal/core/record"
	"trine/internal/front/kafka/group"
)

const (
	loadBytes = 4 << 20 // that a coordinator reads at a time
	retry     = 20 * core.Millisecond
	patience  = 3 * core.Second // with a stream that nobody leads
	loadWait  = core.Second     // how long requests wait for the loading before they are refused
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
//
// A quiet stream that wakes has nobody who leads for a moment, and then the same
// node in the next epoch. Nobody else can have written in between, so what the
// coordinator knows still holds: it waits, and goes on.
func (cs *coordinators) led(i int32, s *core.Stream) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	old := cs.parts[i]
	if s == nil || cs.closed || s.Leader != 0 && s.Leader != cs.f.self() {
		if old != nil {
			cs.over(i, old)
		}
		return
	}
	if s.Leader == 0 {
		if old != nil {
			old.suspend()
			cs.f.cfg.Later(cs.f.cfg.Now().Mono+patience, func() { cs.stillSuspended(i, old) })
		}
		return
	}
	if old != nil {
		if old.stream == s.ID && old.resume(s.Epoch) {
			return
		}
		cs.over(i, old)
	}
	cs.f.log.Debug("groups are coordinated here", "partition", i, "epoch", s.Epoch)
	c := &coordinating{f: cs.f, stream: s.ID, epoch: s.Epoch, calls: map[uint64]func(kmsg.Response){},
		machine: group.New(group.Config{InitialDelay: cs.f.cfg.RebalanceDelay})}
	cs.parts[i] = c
	cs.f.cfg.Later(0, c.load)
}

// over ends a partition's coordination here. Lock held.
func (cs *coordinators) over(i int32, c *coordinating) {
	cs.f.log.Debug("groups are coordinated elsewhere", "partition", i)
	delete(cs.parts, i)
	c.end()
}

// stillSuspended gives up a coordinator that nobody let go on.
func (cs *coordinators) stillSuspended(i int32, c *coordinating) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.parts[i] == c && c.waits() {
		cs.over(i, c)
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
//	led ──▶ loading ──▶ loaded ◀──▶ suspended ──▶ ended
//	           │          │         nobody leads    ▲
//	           └──────────┴─────────────────────────┘ another leads, or did
type coordinating struct {
	f      *Front
	stream core.StreamID

	mu      sync.Mutex // guards what follows
	epoch   core.Epoch
	inbox   []group.Event
	calls   map[uint64]func(kmsg.Response) // by the event's id
	lastID  uint64
	unsent  []*outgoing // in order of their tokens
	sent    int         // and not yet told
	failed  bool        // one of them must be sent again: it goes before others
	token   uint64
	running bool
	loaded  bool
	ended   bool
	asleep  bool // suspended: nobody leads
	wakeAt  core.Time
	loading core.Time // since when it cannot load

	// Only a run, or the loading before it, uses these.
	machine *group.Coordinator
	out     group.Effects
	builder record.Builder
	over    bool
}

// outgoing is a batch of the machine's writes on its way to the stream.
type outgoing struct {
	c     *coordinating
	token uint64
	batch []byte // kept, to be sent again
	ids   []uint64
	until core.Time // how long it is tried
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
		o := &outgoing{c: c, until: now.Mono + patience}
		for i := range c.out.Writes {
			w := &c.out.Writes[i]
			o.ids = append(o.ids, w.ID)
			for j := range w.Records {
				c.builder.Add(&w.Records[j])
			}
		}
		o.batch = c.builder.Finish()
		c.mu.Lock()
		c.token++
		o.token = c.token
		c.unsent = append(c.unsent, o)
		c.sendLocked()
		c.mu.Unlock()
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

// sendLocked appends what is not sent. Where one failed, all that were sent must
// have been told first, so that the order stays. Lock held.
func (c *coordinating) sendLocked() {
	if c.ended || c.asleep || c.failed && c.sent > 0 {
		return
	}
	c.failed = false
	for _, o := range c.unsent {
		c.sent++
		c.f.core.Log().Append([]core.Append{{Stream: c.stream, Ack: core.AckCommit, IfEpoch: c.epoch,
			Batch: bytes.Clone(o.batch), Here: true, WaitMax: 5 * core.Second, To: o}})
	}
	c.unsent = nil
}

// Appended is told what became of a batch, by the node's loop. One that was
// certainly not appended is sent again: the stream may only have woken.
func (o *outgoing) Appended(_ uint64, _ core.Appended, err error) {
	c := o.c
	now := c.f.cfg.Now().Mono
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent--
	switch k := core.KindOf(err); k {
	case core.Conflict, core.NotLeader, core.NoLeader, core.Fenced, core.Unavailable, core.Refused:
		if c.ended || now >= o.until {
			break
		}
		c.failed = true
		at, _ := slices.BinarySearchFunc(c.unsent, o.token, func(u *outgoing, t uint64) int {
			return cmp.Compare(u.token, t)
		})
		c.unsent = slices.Insert(c.unsent, at, o)
		c.f.cfg.Later(now+retry, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.sendLocked()
		})
		return
	}
	for _, id := range o.ids {
		c.postLocked(group.Event{Written: id, Code: coordinatorCode(err)})
	}
	if c.failed {
		c.sendLocked()
	}
}

// suspend holds the writes: nobody leads the stream.
func (c *coordinating) suspend() {
	c.mu.Lock()
	c.asleep = true
	c.mu.Unlock()
}

// waits says whether it is suspended.
func (c *coordinating) waits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asleep
}

// resume goes on in an epoch of this node, if nobody else can have led since.
func (c *coordinating) resume(epoch core.Epoch) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if epoch != c.epoch && epoch != c.epoch+1 {
		return false
	}
	c.epoch, c.asleep = epoch, false
	c.sendLocked()
	return true
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
