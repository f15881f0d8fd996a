package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"trine/internal/core"
)

// TestMetadataNamesNobodyWhoIsDoubted: whoever is named as a broker or leader is asked,
// and one that does not answer costs the client its request timeout.
func TestMetadataNamesNobodyWhoIsDoubted(t *testing.T) {
	p := newPeer(t, Config{})
	p.make("t", 1, map[string]string{"trine.mode": "majority"})
	ask := func(selfDoubted, otherDoubted bool) *kmsg.MetadataResponse {
		p.b.SetNodes([]core.NodeInfo{{Peer: p.b.Self(), Alive: true, Self: true, Doubted: selfDoubted,
			Addresses: map[string]string{Name: ":9092"}},
			{Peer: core.Peer{Node: 2}, Alive: true, Doubted: otherDoubted,
				Addresses: map[string]string{Name: "other:9093"}}})
		q := kmsg.NewPtrMetadataRequest()
		q.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr("t")}}
		return ask[*kmsg.MetadataResponse](p, q, 12)
	}
	if r := ask(false, false); len(r.Brokers) != 2 || r.Topics[0].Partitions[0].Leader != 1 {
		t.Fatalf("while all is well: %+v", r)
	}
	if r := ask(false, true); len(r.Brokers) != 1 || r.Brokers[0].NodeID != 1 {
		t.Errorf("while node 2 is not heard of, the brokers are %+v", r.Brokers)
	}
	// Cut off, it names the others as well as itself, but not itself as leader.
	r := ask(true, false)
	if at := r.Topics[0].Partitions[0]; len(r.Brokers) != 2 || at.Leader != -1 ||
		at.ErrorCode != errLeaderNotAvailable {
		t.Errorf("while it is cut off: %+v of %+v", at, r.Brokers)
	}
	ns := p.c.nodes()
	if s := (&core.Stream{Definition: core.Definition{Policy: core.Majority(3)}}); leads(ns, s) {
		t.Error("node 0 leads")
	}
	if s := (&core.Stream{Leader: 1, Definition: core.Definition{Policy: core.Single(core.FlushLazy)}}); !leads(ns, s) {
		t.Error("what nobody else may lead is led by its node, cut off or not")
	}
	if s := (&core.Stream{Leader: 2, Definition: core.Definition{Policy: core.Majority(3)}}); !leads(ns, s) {
		t.Error("a node that is not doubted leads")
	}
}

// TestALeaderThatLeadsNoLongerDoesNotNameItself: with NOT_LEADER a producer is told
// where to go, and must not be sent back.
func TestALeaderThatLeadsNoLongerDoesNotNameItself(t *testing.T) {
	p := newPeer(t, Config{})
	id := p.make("t", 1, nil)
	p.b.Fail(func(verb, name string) error {
		if verb == "append" {
			return &core.Error{Op: verb, Name: name, Kind: core.NotLeader}
		}
		return nil
	})
	r := ask[*kmsg.ProduceResponse](p, produceTo("t", id, -1, map[int32][]byte{0: testBatch(1,
		"v")}), 13)
	if ps := r.Topics[0].Partitions[0]; ps.ErrorCode != errNotLeader || ps.CurrentLeader.LeaderID != -1 {
		t.Fatalf("%+v", ps)
	}
}
