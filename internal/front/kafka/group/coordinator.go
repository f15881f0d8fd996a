package group

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"trine/internal/core"
)

// The error codes of Kafka's protocol that groups are answered with.
const (
	errNone                  int16 = 0
	errUnknownTopic          int16 = 3
	errMetadataTooLarge      int16 = 12
	errLoading               int16 = 14
	errNotAvailable          int16 = 15
	errNotCoordinator        int16 = 16
	errIllegalGeneration     int16 = 22
	errInconsistentProtocol  int16 = 23
	errInvalidGroupID        int16 = 24
	errUnknownMember         int16 = 25
	errInvalidSessionTimeout int16 = 26
	errRebalanceInProgress   int16 = 27
	errNonEmptyGroup         int16 = 68
	errGroupNotFound         int16 = 69
	errMemberIDRequired      int16 = 79
	errGroupFull             int16 = 81
	errFencedInstance        int16 = 82
	errSubscribed            int16 = 86
	newMemberMs                    = 5 * 60 * 1000 // how long one may take to join for the first time
	expireEvery                    = 600 * core.Second
	protocolConsumer               = "consumer"
)

// Config is the rules of a Coordinator. Zero fields take Kafka's defaults.
type Config struct {
	SessionMsMin int32 // 6 s
	SessionMsMax int32 // 30 min
	SizeMax      int   // members of one group: no limit
	InitialDelay core.Time
	MetadataMax  int   // 4096 bytes beside an offset
	RetentionMs  int64 // 7 days: of offsets of groups without members
}

// Event is one thing that happened to the groups: a request, a write that ended,
// or, without either, that WakeAt has come.
type Event struct {
	ID      uint64       // of the request, for its Reply
	Request kmsg.Request // a request of a group; only Group or Groups of this partition
	Client  string       // the client's id
	Host    string       // and its address
	Random  string       // what a new member's id ends with: unlike any other

	Written uint64 // a Write that ended
	Code    int16  // with this code

	TopicGone string // a topic that is deleted: what was committed for it goes
}

// Reply is the answer to the request of an Event.
type Reply struct {
	ID       uint64
	Response kmsg.Response
}

// Write is what must be appended to the partition, as one.
type Write struct {
	ID      uint64
	Records []core.Record
}

// Effects is what follows from a Step; it is reused.
type Effects struct {
	Replies []Reply
	Writes  []Write
	WakeAt  core.Time // 0: not before something happens
}

// Coordinator is the groups of one partition. One caller at a time.
type Coordinator struct {
	cfg     Config
	groups  map[string]*group
	due     dueHeap
	writing map[uint64]func(code int16)
	writes  uint64
	expire  core.Time

	now core.Now // of the present Step
	out *Effects
}

// New is a Coordinator that knows of no group.
func New(cfg Config) *Coordinator {
	if cfg.SessionMsMin == 0 {
		cfg.SessionMsMin = 6000
	}
	if cfg.SessionMsMax == 0 {
		cfg.SessionMsMax = 30 * 60 * 1000
	}
	if cfg.MetadataMax == 0 {
		cfg.MetadataMax = 4096
	}
	if cfg.RetentionMs == 0 {
		cfg.RetentionMs = 7 * 24 * 3600 * 1000
	}
	return &Coordinator{cfg: cfg, groups: map[string]*group{}, writing: map[uint64]func(int16){}}
}

// Step takes in one event. What follows is appended to out.
func (c *Coordinator) Step(now core.Now, e *Event, out *Effects) {
	c.now, c.out = now, out
	switch {
	case e.Request != nil:
		c.request(e)
	case e.Written != 0:
		if then := c.writing[e.Written]; then != nil {
			delete(c.writing, e.Written)
			then(e.Code)
		}
	case e.TopicGone != "":
		c.topicGone(e.TopicGone)
	}
	c.timers()
	c.out = nil
}

func (c *Coordinator) request(e *Event) {
	switch q := e.Request.(type) {
	case *kmsg.JoinGroupRequest:
		c.join(e, q)
	case *kmsg.SyncGroupRequest:
		c.sync(e, q)
	case *kmsg.HeartbeatRequest:
		c.heartbeat(e, q)
	case *kmsg.LeaveGroupRequest:
		c.leave(e, q)
	case *kmsg.OffsetCommitRequest:
		c.commit(e, q)
	case *kmsg.OffsetFetchRequest:
		c.fetch(e, q)
	case *kmsg.DescribeGroupsRequest:
		c.describe(e, q)
	case *kmsg.ListGroupsRequest:
		c.list(e, q)
	case *kmsg.DeleteGroupsRequest:
		c.remove(e, q)
	case *kmsg.OffsetDeleteRequest:
		c.offsetDelete(e, q)
	default:
		core.Assert(false, "a group is asked what it knows, not %T", q)
	}
}

// reply answers a request.
func (c *Coordinator) reply(id uint64, r kmsg.Response) {
	c.out.Replies = append(c.out.Replies, Reply{id, r})
}

// write gives out a group's records; then is called with the code of their outcome.
func (c *Coordinator) write(g *group, rs []core.Record, then func(code int16)) {
	c.writes++
	g.writes++
	c.writing[c.writes] = func(code int16) {
		g.writes--
		then(code)
	}
	c.out.Writes = append(c.out.Writes, Write{c.writes, rs})
}

// timers does what is due, and says when to come again.
func (c *Coordinator) timers() {
	for len(c.due) > 0 && c.due[0].due <= c.now.Mono {
		g := c.due[0]
		c.groupTimers(g)
		g.reschedule(c)
		if g.due != 0 && g.due <= c.now.Mono {
			g.setDue(c, c.now.Mono+core.Millisecond)
		}
	}
	if c.expire == 0 {
		c.expire = c.now.Mono + expireEvery
	}
	if c.expire <= c.now.Mono {
		c.expire = c.now.Mono + expireEvery
		c.expireOffsets()
	}
	if len(c.groups) > 0 {
		c.out.WakeAt = c.expire
	} else {
		c.out.WakeAt = 0
	}
	if len(c.due) > 0 && (c.out.WakeAt == 0 || c.due[0].due < c.out.WakeAt) {
		c.out.WakeAt = c.due[0].due
	}
}

// groupTimers does what is due in one group.
func (c *Coordinator) groupTimers(g *group) {
	now := c.now.Mono
	for _, id := range g.pendingIDs() {
		if g.pending[id] <= now {
			delete(g.pending, id)
			c.tryCompleteJoin(g)
		}
	}
	for _, m := range slices.Clone(g.members) {
		if m.deadline != 0 && m.deadline <= now && !m.satisfied() && g.find(m.id) == m {
			c.removeMember(g, m)
			c.left(g)
		}
	}
	if g.joinDeadline != 0 && g.joinDeadline <= now {
		c.joinExpired(g)
	}
	if g.syncDeadline != 0 && g.syncDeadline <= now {
		c.syncExpired(g)
	}
}

// get gives a group, or nil.
func (c *Coordinator) get(name string) *group { return c.groups[name] }

func (c *Coordinator) make(name string) *group {
	g := &group{name: name, since: c.now.Wall, heapIndex: -1, pending: map[string]core.Time{},
		static: map[string]string{}, offsets: map[place]offset{}}
	c.groups[name] = g
	return g
}

func (c *Coordinator) drop(g *group) {
	g.state = Dead
	g.setDue(c, 0)
	delete(c.groups, g.name)
}

// names gives the groups' names in order.
func (c *Coordinator) names() []string {
	out := make([]string, 0, len(c.groups))
	for n := range c.groups {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// Unload answers all that wait: another node coordinates these groups now. The
// Coordinator is not used again.
func (c *Coordinator) Unload(out *Effects) {
	c.out = out
	for _, name := range c.names() {
		g := c.groups[name]
		for _, m := range g.members {
			m.answerJoin(c, errNotCoordinator)
			m.answerSync(c, errNotCoordinator)
		}
	}
	ids := make([]uint64, 0, len(c.writing))
	for id := range c.writing {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		then := c.writing[id]
		delete(c.writing, id)
		then(errNotCoordinator)
	}
	c.out.Writes, c.out.WakeAt, c.out = nil, 0, nil
	clear(c.groups)
}

// dueHeap has the groups that wait for a time, the first due first.
type dueHeap []*group

func (h dueHeap) Len() int { return len(h) }
func (h dueHeap) Less(i, j int) bool {
	if h[i].due != h[j].due {
		return h[i].due < h[j].due
	}
	return cmp.Less(h[i].name, h[j].name)
}
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapIndex, h[j].heapIndex = i, j
}

// Push is for container/heap.
func (h *dueHeap) Push(x any) {
	g := x.(*group)
	g.heapIndex = len(*h)
	*h = append(*h, g)
}

// Pop is for container/heap.
func (h *dueHeap) Pop() any {
	old := *h
	g := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	g.heapIndex = -1
	return g
}

// setDue says when the group's timers must be looked at; 0: they need not.
func (g *group) setDue(c *Coordinator, at core.Time) {
	g.due = at
	switch {
	case at == 0 && g.heapIndex >= 0:
		heap.Remove(&c.due, g.heapIndex)
	case at != 0 && g.heapIndex < 0:
		heap.Push(&c.due, g)
	case at != 0:
		heap.Fix(&c.due, g.heapIndex)
	}
}

// soon makes sure that the timers are looked at by then.
func (g *group) soon(c *Coordinator, at core.Time) {
	if g.due == 0 || at < g.due {
		g.setDue(c, at)
	}
}

// reschedule finds when the group's timers must be looked at next.
func (g *group) reschedule(c *Coordinator) {
	next := core.Time(0)
	earlier := func(t core.Time) {
		if t != 0 && (next == 0 || t < next) {
			next = t
		}
	}
	for _, t := range g.pending {
		earlier(t)
	}
	for _, m := range g.members {
		if !m.satisfied() {
			earlier(m.deadline)
		}
	}
	earlier(g.joinDeadline)
	earlier(g.syncDeadline)
	if g.state == Dead {
		next = 0
	}
	g.setDue(c, next)
}
