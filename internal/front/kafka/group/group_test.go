package group

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"trine/internal/core"
)

// story is a coordinator, the partition that its writes go to, and a clock.
type story struct {
	c       *Coordinator
	log     []core.Record
	pending []Write
	out     Effects
	now     core.Now
	id      uint64
	asked   map[uint64]string
	ids     map[string]string // members' ids by the names that the story gives them
	hold    bool              // writes do not end by themselves
	lines   []string
	cfg     Config
}

func newStory(cfg Config) *story {
	s := &story{cfg: cfg, c: New(cfg), now: core.Now{Mono: core.Second, Wall: 1_000_000},
		asked: map[uint64]string{}, ids: map[string]string{}}
	s.c.Loaded(s.now, &s.out)
	return s
}

func (s *story) step(e Event) {
	s.c.Step(s.now, &e, &s.out)
	s.drain()
}

// drain prints the replies, and ends the writes.
func (s *story) drain() {
	for len(s.out.Replies)+len(s.out.Writes) > 0 {
		replies, writes := slices.Clone(s.out.Replies), slices.Clone(s.out.Writes)
		s.out.Replies, s.out.Writes = nil, nil
		for _, r := range replies {
			s.lines = append(s.lines, fmt.Sprintf("%s: %s", s.asked[r.ID], s.show(r.Response)))
		}
		s.pending = append(s.pending, writes...)
		if s.hold {
			continue
		}
		s.written(errNone)
	}
}

// written ends the writes that wait.
func (s *story) written(code int16) {
	ws := s.pending
	s.pending = nil
	for _, w := range ws {
		if code == errNone {
			s.log = append(s.log, w.Records...)
		}
		s.c.Step(s.now, &Event{Written: w.ID, Code: code}, &s.out)
	}
}

// pass lets time pass, stepping when the coordinator asks for it.
func (s *story) pass(d core.Time) {
	end := s.now.Mono + d
	for s.out.WakeAt != 0 && s.out.WakeAt <= end {
		s.at(s.out.WakeAt)
		s.step(Event{})
	}
	s.at(end)
}

func (s *story) at(t core.Time) {
	if t > s.now.Mono {
		s.now.Wall += core.Stamp((t - s.now.Mono) / core.Millisecond)
		s.now.Mono = t
	}
}

// takeOver makes another coordinator of what was written.
func (s *story) takeOver() {
	s.c.Unload(&s.out)
	s.drain()
	s.c = New(s.cfg)
	for i := range s.log {
		s.c.Load(&s.log[i])
	}
	s.c.Loaded(s.now, &s.out)
	s.drain()
}

func code(c int16) string {
	if c == 0 {
		return "ok"
	}
	return kerr.TypedErrorForCode(c).Message
}

func (s *story) name(id string) string {
	for _, n := range slices.Sorted(mapsKeys(s.ids)) {
		if s.ids[n] == id {
			return n
		}
	}
	return id
}

func mapsKeys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (s *story) show(r kmsg.Response) string {
	switch r := r.(type) {
	case *kmsg.JoinGroupResponse:
		who := ""
		if r.ErrorCode != 0 {
			return code(r.ErrorCode)
		}
		for _, m := range r.Members {
			who += fmt.Sprintf(" %s=%s", s.name(m.MemberID), m.ProtocolMetadata)
		}
		if r.SkipAssignment {
			who += " (assigned already)"
		}
		return fmt.Sprintf("generation %d, %s, leader %s%s", r.Generation, *r.Protocol,
			s.name(r.LeaderID), who)
	case *kmsg.SyncGroupResponse:
		if r.ErrorCode != 0 {
			return code(r.ErrorCode)
		}
		return fmt.Sprintf("assigned %q", r.MemberAssignment)
	case *kmsg.HeartbeatResponse:
		return code(r.ErrorCode)
	case *kmsg.LeaveGroupResponse:
		out := code(r.ErrorCode)
		for _, m := range r.Members {
			out += ", " + code(m.ErrorCode)
		}
		return out
	case *kmsg.OffsetCommitResponse:
		return code(r.Topics[0].Partitions[0].ErrorCode)
	case *kmsg.OffsetFetchResponse:
		out := []string{}
		for _, t := range r.Groups[0].Topics {
			for _, p := range t.Partitions {
				out = append(out, fmt.Sprintf("%s/%d=%d %q", t.Topic, p.Partition, p.Offset, *p.Metadata))
			}
		}
		return strings.Join(out, ", ")
	case *kmsg.DescribeGroupsResponse:
		g := r.Groups[0]
		out := g.State
		if g.ErrorCode != 0 {
			out += ": " + code(g.ErrorCode)
		}
		for _, m := range g.Members {
			out += fmt.Sprintf(", %s=%q", s.name(m.MemberID), m.MemberAssignment)
		}
		return out
	case *kmsg.ListGroupsResponse:
		out := []string{}
		for _, g := range r.Groups {
			out = append(out, g.Group+" "+g.GroupState)
		}
		return strings.Join(out, ", ")
	case *kmsg.DeleteGroupsResponse:
		return code(r.Groups[0].ErrorCode)
	case *kmsg.OffsetDeleteResponse:
		if r.ErrorCode != 0 {
			return code(r.ErrorCode)
		}
		return code(r.Topics[0].Partitions[0].ErrorCode)
	}
	return fmt.Sprintf("%T", r)
}

// ask sends a request in a member's name.
func (s *story) ask(who string, q kmsg.Request) {
	s.id++
	s.asked[s.id] = who
	s.step(Event{ID: s.id, Request: q, Client: "c", Host: "/h", Random: fmt.Sprint(s.id)})
}

func (s *story) join(who, instance string, version int16, session, rebalance int32,
	protocols []string) {
	q := kmsg.NewPtrJoinGroupRequest()
	q.SetVersion(version)
	q.Group, q.MemberID, q.ProtocolType = "g", s.ids[who], protocolConsumer
	q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = session, rebalance
	if instance != "" {
		q.InstanceID = &instance
	}
	for _, p := range protocols {
		jp := kmsg.NewJoinGroupRequestProtocol()
		name, meta, _ := strings.Cut(p, ":")
		jp.Name, jp.Metadata = name, []byte(meta)
		q.Protocols = append(q.Protocols, jp)
	}
	if q.MemberID == "" {
		prefix := "c"
		if instance != "" {
			prefix = instance
		}
		s.ids[who] = fmt.Sprintf("%s-%d", prefix, s.id+1)
	}
	s.ask(who, q)
}

// TestStories plays what members do, and shows what they are told. Writes to the
// partition end at once unless they are held.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := newStory(Config{SessionMsMin: 1000})
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.lines = nil
			who := ""
			if len(d.CmdArgs) > 0 && len(d.CmdArgs[0].Vals) == 0 {
				who = d.CmdArgs[0].Key
			}
			str := func(name, def string) string {
				if d.HasArg(name) {
					d.ScanArgs(t, name, &def)
				}
				return def
			}
			num := func(name string, def int) int {
				if d.HasArg(name) {
					d.ScanArgs(t, name, &def)
				}
				return def
			}
			var instance *string
			if i := str("instance", ""); i != "" {
				instance = &i
			}
			switch d.Cmd {
			case "config":
				s = newStory(Config{SessionMsMin: 1000, InitialDelay: core.Time(num("delay",
					0)) * core.Millisecond,
					SizeMax: num("size", 0), RetentionMs: int64(num("retention", 0))})
			case "join":
				if d.HasArg("anew") {
					delete(s.ids, who)
				}
				s.join(who, str("instance", ""), int16(num("version", 9)), int32(num("session", 10_000)),
					int32(num("rebalance", 30_000)), strings.Split(str("protocols", "range"), ","))
			case "sync":
				q := kmsg.NewPtrSyncGroupRequest()
				q.Group, q.Generation, q.MemberID, q.InstanceID = "g", int32(num("generation", 0)),
					s.ids[who], instance
				for _, line := range strings.Fields(d.Input) {
					m, a, _ := strings.Cut(line, "=")
					ga := kmsg.NewSyncGroupRequestGroupAssignment()
					ga.MemberID, ga.MemberAssignment = s.ids[m], []byte(a)
					q.GroupAssignment = append(q.GroupAssignment, ga)
				}
				s.ask(who, q)
			case "beat":
				q := kmsg.NewPtrHeartbeatRequest()
				q.Group, q.Generation, q.MemberID, q.InstanceID = "g", int32(num("generation", 0)),
					s.ids[who], instance
				s.ask(who, q)
			case "leave":
				q := kmsg.NewPtrLeaveGroupRequest()
				q.SetVersion(4)
				q.Group = "g"
				m := kmsg.NewLeaveGroupRequestMember()
				m.MemberID, m.InstanceID = s.ids[who], instance
				q.Members = append(q.Members, m)
				s.ask(who, q)
			case "commit":
				q := kmsg.NewPtrOffsetCommitRequest()
				q.SetVersion(8)
				q.Group, q.MemberID, q.Generation = str("group", "g"), s.ids[who], int32(num("generation", -1))
				rt := kmsg.NewOffsetCommitRequestTopic()
				rt.Topic = str("topic", "t")
				rp := kmsg.NewOffsetCommitRequestTopicPartition()
				rp.Partition, rp.Offset, rp.Metadata = int32(num("partition", 0)), int64(num("offset", 0)),
					kmsg.StringPtr(str("metadata", ""))
				if d.HasArg("long") {
					rp.Metadata = kmsg.StringPtr(strings.Repeat("x", 5000))
				}
				rt.Partitions = append(rt.Partitions, rp)
				q.Topics = append(q.Topics, rt)
				s.ask(who, q)
			case "committed":
				q := kmsg.NewPtrOffsetFetchRequest()
				q.SetVersion(8)
				g := kmsg.NewOffsetFetchRequestGroup()
				g.Group = str("group", "g")
				q.Groups = append(q.Groups, g)
				s.ask(who, q)
			case "describe":
				q := kmsg.NewPtrDescribeGroupsRequest()
				q.SetVersion(6)
				q.Groups = []string{str("group", "g")}
				s.ask(who, q)
			case "list":
				q := kmsg.NewPtrListGroupsRequest()
				if f := str("state", ""); f != "" {
					q.StatesFilter = []string{f}
				}
				s.ask(who, q)
			case "delete":
				q := kmsg.NewPtrDeleteGroupsRequest()
				q.Groups = []string{str("group", "g")}
				s.ask(who, q)
			case "topic-gone":
				s.step(Event{TopicGone: str("topic", "t")})
			case "pass":
				s.pass(core.Time(num("ms", 0)) * core.Millisecond)
			case "hold":
				s.hold = true
			case "written":
				s.hold = false
				s.written(int16(num("code", 0)))
				s.drain()
			case "take-over":
				s.takeOver()
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			if len(s.lines) == 0 {
				return "-"
			}
			return strings.Join(s.lines, "\n")
		})
	})
}
