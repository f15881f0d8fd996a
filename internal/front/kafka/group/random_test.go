package group

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"trine/internal/core"
)

// TestWhateverMembersDoTheyAgree sends requests at random, lets coordinators die,
// and checks that no generation has two assignments for one member, that every
// request is answered, that committed offsets survive, and that a group without
// members ends empty.
func TestWhateverMembersDoTheyAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStory(Config{SessionMsMin: 1000})
		names := []string{"a", "b", "c"}
		generation := map[string]int32{}
		leads := map[string]bool{}
		assigned := map[string]string{}
		committed := int64(-1)
		watch := func(id uint64, r kmsg.Response) {
			who := s.asked[id]
			delete(s.asked, id)
			switch r := r.(type) {
			case *kmsg.JoinGroupResponse:
				if r.ErrorCode == 0 {
					generation[who], leads[who] = r.Generation, r.LeaderID == r.MemberID
				}
				if r.ErrorCode == errUnknownMember {
					delete(s.ids, who)
				}
			case *kmsg.SyncGroupResponse:
				if r.ErrorCode == 0 {
					key := fmt.Sprintf("%d/%s", generation[who], s.ids[who])
					if was, ok := assigned[key]; ok && was != string(r.MemberAssignment) {
						t.Fatalf("%s has %q and %q", key, was, r.MemberAssignment)
					}
					assigned[key] = string(r.MemberAssignment)
				}
				if r.ErrorCode == errUnknownMember {
					delete(s.ids, who)
				}
			case *kmsg.OffsetFetchResponse:
				got := int64(-1)
				if len(r.Groups[0].Topics) > 0 {
					got = r.Groups[0].Topics[0].Partitions[0].Offset
				}
				if got != committed {
					t.Fatalf("committed %d, fetched %d", committed, got)
				}
			}
		}
		drain := func() {
			for len(s.out.Replies)+len(s.out.Writes) > 0 {
				replies, writes := slices.Clone(s.out.Replies), slices.Clone(s.out.Writes)
				s.out.Replies, s.out.Writes = nil, nil
				for _, r := range replies {
					if _, ok := s.asked[r.ID]; !ok {
						t.Fatal("answered twice")
					}
					watch(r.ID, r.Response)
				}
				s.pending = append(s.pending, writes...)
				s.written(errNone)
			}
		}
		send := func(who string, q kmsg.Request) {
			s.id++
			s.asked[s.id] = who
			s.c.Step(s.now, &Event{ID: s.id, Request: q, Client: "c", Host: "/h",
				Random: fmt.Sprint(s.id)}, &s.out)
			drain()
		}
		busy := func(who string) bool {
			for _, w := range s.asked {
				if w == who {
					return true
				}
			}
			return false
		}
		pass := func(d core.Time) {
			end := s.now.Mono + d
			for s.out.WakeAt != 0 && s.out.WakeAt <= end {
				s.at(s.out.WakeAt)
				s.c.Step(s.now, &Event{}, &s.out)
				drain()
			}
			s.at(end)
		}
		for range rapid.IntRange(0, 80).Draw(t, "steps") {
			who := rapid.SampledFrom(names).Draw(t, "who")
			what := rapid.IntRange(0, 9).Draw(t, "what")
			if busy(who) && what < 7 {
				what = 7
			}
			switch what {
			case 0, 1, 2:
				q := kmsg.NewPtrJoinGroupRequest()
				q.SetVersion(3)
				q.Group, q.MemberID, q.ProtocolType, q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = "g",
					s.ids[who], "consumer", 5000, 8000
				p := kmsg.NewJoinGroupRequestProtocol()
				p.Name, p.Metadata = "range", []byte{byte(rapid.IntRange(0, 1).Draw(t, "meta"))}
				q.Protocols = append(q.Protocols, p)
				if q.MemberID == "" {
					s.ids[who] = fmt.Sprintf("c-%d", s.id+1)
				}
				send(who, q)
			case 3, 4:
				q := kmsg.NewPtrSyncGroupRequest()
				q.Group, q.MemberID, q.Generation = "g", s.ids[who], generation[who]
				if leads[who] {
					for _, n := range names {
						a := kmsg.NewSyncGroupRequestGroupAssignment()
						a.MemberID, a.MemberAssignment = s.ids[n], fmt.Appendf(nil, "%d", s.id)
						q.GroupAssignment = append(q.GroupAssignment, a)
					}
				}
				send(who, q)
			case 5:
				q := kmsg.NewPtrLeaveGroupRequest()
				q.Group, q.MemberID = "g", s.ids[who]
				delete(s.ids, who)
				send(who, q)
			case 6:
				q := kmsg.NewPtrHeartbeatRequest()
				q.Group, q.MemberID, q.Generation = "g", s.ids[who], generation[who]
				send(who, q)
			case 7:
				pass(core.Time(rapid.IntRange(1, 4000).Draw(t, "ms")) * core.Millisecond)
			case 8:
				q := kmsg.NewPtrOffsetCommitRequest()
				q.Group, q.Generation = "other", -1
				tp := kmsg.NewOffsetCommitRequestTopic()
				tp.Topic = "t"
				pp := kmsg.NewOffsetCommitRequestTopicPartition()
				committed++
				pp.Offset = committed
				tp.Partitions = append(tp.Partitions, pp)
				q.Topics = append(q.Topics, tp)
				send("x", q)
			case 9:
				if rapid.Bool().Draw(t, "die") {
					s.c.Unload(&s.out)
					drain()
					s.c = New(s.cfg)
					for i := range s.log {
						s.c.Load(&s.log[i])
					}
					s.c.Loaded(s.now, &s.out)
					drain()
				}
				q := kmsg.NewPtrOffsetFetchRequest()
				q.SetVersion(8)
				g := kmsg.NewOffsetFetchRequestGroup()
				g.Group = "other"
				q.Groups = append(q.Groups, g)
				send("x", q)
			}
		}
		pass(60 * core.Second)
		pass(60 * core.Second)
		if len(s.asked) != 0 {
			t.Fatalf("%d requests were never answered", len(s.asked))
		}
		if g := s.c.get("g"); g != nil && g.state != Empty {
			t.Fatalf("nobody is there, but the group is %s with %d members", g.state, len(g.members))
		}
	})
}
