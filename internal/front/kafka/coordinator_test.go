package kafka

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"trine/internal/core"
)

// joined makes a group of one member that has not been assigned anything yet.
func joined(p *peer) *kmsg.SyncGroupRequest {
	p.t.Helper()
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKey = "g"
	ask[*kmsg.FindCoordinatorResponse](p, find, 3)
	q := kmsg.NewPtrJoinGroupRequest()
	q.Group, q.ProtocolType, q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = "g", "consumer",
		10_000, 10_000
	jp := kmsg.NewJoinGroupRequestProtocol()
	jp.Name = "range"
	q.Protocols = append(q.Protocols, jp)
	r := ask[*kmsg.JoinGroupResponse](p, q, 3)
	if r.ErrorCode != 0 {
		p.t.Fatal(r.ErrorCode)
	}
	s := kmsg.NewPtrSyncGroupRequest()
	s.Group, s.MemberID, s.Generation = "g", r.MemberID, r.Generation
	a := kmsg.NewSyncGroupRequestGroupAssignment()
	a.MemberID, a.MemberAssignment = r.MemberID, []byte("all")
	s.GroupAssignment = append(s.GroupAssignment, a)
	return s
}

// offsetsStream is the stream on which the group g falls.
func (p *peer) offsetsStream() *core.Stream {
	t := p.f.topics.get(offsetsTopic)
	return t.part(groupPartition("g", len(t.parts))).stream.Load()
}

// nextEpoch makes the same node lead the stream in the epoch after this.
func (p *peer) nextEpoch(name string) {
	done := make(chan error)
	p.b.Streams().Alter(name, core.Alteration{At: []core.NodeID{1}}, func(_ *core.Stream,
		err error) {
		done <- err
	})
	if err := <-done; err != nil {
		p.t.Fatal(err)
	}
}

func TestAGroupSurvivesThatItsStreamWakes(t *testing.T) {
	p := newPeer(t, Config{})
	s := joined(p)
	p.nextEpoch(p.offsetsStream().Name)
	if r := ask[*kmsg.SyncGroupResponse](p, s, 3); r.ErrorCode != 0 ||
		string(r.MemberAssignment) != "all" {
		t.Fatal(r.ErrorCode)
	}
}

func TestAWriteIsSentAgainUntilSomebodyLeads(t *testing.T) {
	p := newPeer(t, Config{})
	s := joined(p)
	name, tries := p.offsetsStream().Name, 0
	p.b.Fail(func(verb, n string) error {
		if verb != "append" || n != name {
			return nil
		}
		if tries++; tries < 4 {
			return &core.Error{Op: "append", Name: n, Kind: core.NoLeader}
		}
		return nil
	})
	if r := ask[*kmsg.SyncGroupResponse](p, s, 3); r.ErrorCode != 0 || tries != 4 {
		t.Fatal(r.ErrorCode, tries)
	}
}

func TestACoordinatorThatMissedAnEpochBeginsAnew(t *testing.T) {
	p := newPeer(t, Config{})
	s := joined(p)
	old := *p.offsetsStream()
	old.Epoch += 2
	p.f.topics.stream(&old, false)
	p.f.topics.stream(p.offsetsStream(), false)
	if r := ask[*kmsg.SyncGroupResponse](p, s, 3); r.ErrorCode == 0 {
		t.Fatal("the group went on")
	}
}

func TestWhoWaitsIsToldThatAnotherCoordinates(t *testing.T) {
	p := newPeer(t, Config{})
	s := joined(p)
	name := p.offsetsStream().Name
	p.b.Fail(func(verb, n string) error {
		if verb == "append" && n == name {
			return &core.Error{Op: "append", Name: n, Kind: core.NoLeader}
		}
		return nil
	})
	p.corr++
	if err := p.feed(frame(s, 3, p.corr)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	elsewhere := *p.offsetsStream()
	elsewhere.Leader, elsewhere.Epoch = 2, elsewhere.Epoch+1
	p.f.topics.stream(&elsewhere, false)
	if r := decode[*kmsg.SyncGroupResponse](t, s, p.corr, p.next()); r.ErrorCode != errNotCoordinator {
		t.Fatal(r.ErrorCode)
	}
	h := kmsg.NewPtrHeartbeatRequest()
	h.Group, h.MemberID, h.Generation = "g", s.MemberID, 1
	if r := ask[*kmsg.HeartbeatResponse](p, h, 3); r.ErrorCode != errNotCoordinator {
		t.Fatal(r.ErrorCode)
	}
}

func TestCommittedOffsetsAreReadFromTheStream(t *testing.T) {
	p := newPeer(t, Config{})
	p.make("t", 1, nil)
	s := joined(p)
	if r := ask[*kmsg.SyncGroupResponse](p, s, 3); r.ErrorCode != 0 {
		t.Fatal(r.ErrorCode)
	}
	for i := range 200 {
		q := kmsg.NewPtrOffsetCommitRequest()
		q.Group, q.MemberID, q.Generation = "g", s.MemberID, s.Generation
		for _, topic := range []string{"t", "unknown"} {
			rt := kmsg.NewOffsetCommitRequestTopic()
			rt.Topic = topic
			rp := kmsg.NewOffsetCommitRequestTopicPartition()
			rp.Offset = int64(i)
			rt.Partitions = append(rt.Partitions, rp)
			q.Topics = append(q.Topics, rt)
		}
		r := ask[*kmsg.OffsetCommitResponse](p, q, 7)
		if r.Topics[0].Partitions[0].ErrorCode != 0 ||
			r.Topics[1].Partitions[0].ErrorCode != errUnknownTopic {
			t.Fatal(r)
		}
	}
	// Another node has led meanwhile: all is read again.
	elsewhere := *p.offsetsStream()
	elsewhere.Leader = 2
	here := *p.offsetsStream()
	p.f.topics.stream(&elsewhere, false)
	p.f.topics.stream(&here, false)
	q := kmsg.NewPtrOffsetFetchRequest()
	q.Group = "g"
	r := ask[*kmsg.OffsetFetchResponse](p, q, 7)
	if len(r.Topics) != 1 || r.Topics[0].Partitions[0].Offset != 199 {
		t.Fatal(r)
	}
	h := kmsg.NewPtrHeartbeatRequest()
	h.Group, h.MemberID, h.Generation = "g", s.MemberID, s.Generation
	if r := ask[*kmsg.HeartbeatResponse](p, h, 3); r.ErrorCode != 0 {
		t.Fatal(r.ErrorCode)
	}
}

func TestProducerIDsOfNodesThatTakeBlocksAtOnceAreUnique(t *testing.T) {
	p := newPeer(t, Config{})
	other := New(p.b, Config{Now: p.b.Now})
	defer other.Close()
	type got struct {
		id  int64
		err error
	}
	ids := make(chan got, 10_000)
	for range 2500 {
		for _, f := range []*Front{p.f, other} {
			if id, ok := f.ids.take(func(id int64, err error) { ids <- got{id, err} }); ok {
				ids <- got{id, nil}
			}
		}
	}
	seen := map[int64]bool{}
	for range 5000 {
		select {
		case g := <-ids:
			if g.err != nil || seen[g.id] {
				t.Fatal(g)
			}
			seen[g.id] = true
		case <-time.After(10 * time.Second):
			t.Fatal(errors.New("an id is missing"), len(seen))
		}
	}
}
