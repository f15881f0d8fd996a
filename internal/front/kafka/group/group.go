package group

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"trine/internal/core"
)

// State is where a group stands.
type State uint8

// The states.
const (
	Empty State = iota
	PreparingRebalance
	CompletingRebalance
	Stable
	Dead
)

func (s State) String() string {
	return [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"}[s]
}

type group struct {
	name         string
	state        State
	since        core.Stamp // of the state
	protocolType string
	protocol     string
	generation   int32
	leader       string
	members      []*member // in the order in which they joined first
	static       map[string]string
	pending      map[string]core.Time // ids that were given out, until when they hold
	offsets      map[place]offset

	joinDeadline core.Time
	initial      bool      // the first rebalance: it waits for others, in steps
	initialLeft  core.Time // how much longer it may
	newMember    bool      // one came during the present step
	syncDeadline core.Time

	writes    int // that are not told yet: until then the group stays
	due       core.Time
	heapIndex int
}

// member is one member; what it waits for is in joining and syncing.
type member struct {
	id          string
	instance    *string
	client      string
	host        string
	rebalanceMs int32
	sessionMs   int32
	protocols   []kmsg.JoinGroupRequestProtocol
	assignment  []byte
	deadline    core.Time
	isNew       bool
	synced      bool
	joiningID   uint64
	joining     *kmsg.JoinGroupResponse
	joinSkips   bool // its version knows SkipAssignment
	syncingID   uint64
	syncing     *kmsg.SyncGroupResponse
}

// satisfied says that silence does not count: the member waits for an answer.
func (m *member) satisfied() bool { return !m.isNew && (m.joining != nil || m.syncing != nil) }

func (m *member) metadata(protocol string) []byte {
	for i := range m.protocols {
		if m.protocols[i].Name == protocol {
			return m.protocols[i].Metadata
		}
	}
	return nil
}

// matches says whether a member would join with the same protocols again.
func (m *member) matches(ps []kmsg.JoinGroupRequestProtocol) bool {
	return slices.EqualFunc(m.protocols, ps, func(a, b kmsg.JoinGroupRequestProtocol) bool {
		return a.Name == b.Name && string(a.Metadata) == string(b.Metadata)
	})
}

func (m *member) answerJoin(c *Coordinator, code int16) {
	if m.joining == nil {
		return
	}
	r := m.joining
	r.ErrorCode, r.Generation, r.MemberID = code, -1, m.id
	c.reply(m.joiningID, r)
	m.joining = nil
}

func (m *member) answerSync(c *Coordinator, code int16) {
	if m.syncing == nil {
		return
	}
	r := m.syncing
	r.ErrorCode = code
	c.reply(m.syncingID, r)
	m.syncing = nil
}

// heard gives the member a session from now on.
func (c *Coordinator) heard(g *group, m *member) {
	m.deadline = c.now.Mono + core.Time(m.sessionMs)*core.Millisecond
	g.soon(c, m.deadline)
}

func (g *group) find(id string) *member {
	for _, m := range g.members {
		if m.id == id {
			return m
		}
	}
	return nil
}

func (g *group) pendingIDs() []string {
	ids := make([]string, 0, len(g.pending))
	for id := range g.pending {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (g *group) set(c *Coordinator, s State) {
	g.state, g.since = s, c.now.Wall
}

// rebalanceTime is how long a rebalance waits for the slowest member.
func (g *group) rebalanceTime() core.Time {
	ms := int32(0)
	for _, m := range g.members {
		ms = max(ms, m.rebalanceMs)
	}
	return core.Time(ms) * core.Millisecond
}

// supports says whether all members have one of the protocols.
func (g *group) supports(protocolType string, ps []kmsg.JoinGroupRequestProtocol) bool {
	if len(g.members) == 0 {
		return protocolType != "" && len(ps) > 0
	}
	return g.protocolType == protocolType && slices.ContainsFunc(ps,
		func(p kmsg.JoinGroupRequestProtocol) bool {
			return g.common(p.Name)
		})
}

func (g *group) common(protocol string) bool {
	return !slices.ContainsFunc(g.members, func(m *member) bool {
		return !slices.ContainsFunc(m.protocols,
			func(p kmsg.JoinGroupRequestProtocol) bool { return p.Name == protocol })
	})
}

// elect gives the protocol that all have and most like best; of equals the one
// that was voted for first.
func (g *group) elect() string {
	var names []string
	votes := map[string]int{}
	for _, m := range g.members {
		for i := range m.protocols {
			if n := m.protocols[i].Name; g.common(n) {
				if votes[n] == 0 {
					names = append(names, n)
				}
				votes[n]++
				break
			}
		}
	}
	best := ""
	for _, n := range names {
		if best == "" || votes[n] > votes[best] {
			best = n
		}
	}
	return best
}

// validate finds the member that a request names, or says what is wrong with it.
func (g *group) validate(id string, instance *string) (*member, int16) {
	if instance != nil {
		known, ok := g.static[*instance]
		switch {
		case !ok:
			return nil, errUnknownMember
		case known != id:
			return nil, errFencedInstance
		}
	}
	m := g.find(id)
	if m == nil {
		return nil, errUnknownMember
	}
	return m, errNone
}
