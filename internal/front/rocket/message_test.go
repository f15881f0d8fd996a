package rocket

import (
	"testing"

	"trine/internal/core"
	"trine/internal/core/record"
	"trine/internal/front/rocket/topology"
	"trine/internal/front/rocket/wire"
)

func TestMessageSurvivesBeingARecord(t *testing.T) {
	in := content{flag: -3, sysFlag: wire.SysCompressed, bornMs: 1700000000000, reconsumed: 2,
		prepared: 9,
		born:     wire.Host{IP: [16]byte{127, 0, 0, 9}, Port: 5}, body: []byte("body"),
		props: []byte("TAGS\x01t\x02KEYS\x01k1 k2\x02")}
	var b record.Builder
	b.Reset(0, 0, 1700000000005)
	r := in.record(&slab{})
	b.Add(&r[0])
	got, err := record.One(b.Finish(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Key) != "k1 k2" || string(got.Value) != "body" || got.Stamp != 1700000000005 {
		t.Fatalf("the record is %+v", got)
	}
	var out content
	out.read(&got, nil)
	if out.flag != -3 || out.sysFlag != in.sysFlag || out.bornMs != in.bornMs || out.reconsumed != 2 ||
		out.prepared != 9 || out.born != in.born || string(out.body) != "body" ||
		string(out.props) != string(in.props) {
		t.Fatalf("read back %+v", out)
	}
}

func TestForeignRecordIsAMessageToo(t *testing.T) {
	r := core.Record{Stamp: 77, Key: []byte("order-1"), Value: []byte("v"), Headers: []core.Header{
		{Key: "traceparent", Value: []byte("00-ab")}, {Key: "twice", Value: []byte("a")},
		{Key: "twice", Value: []byte("b")}, {Key: "raw", Value: []byte{0xff, 1}},
		{Key: "bad\x01name", Value: []byte("x")}, {Key: bodyHeader, Value: []byte{9, 9}}}}
	var m content
	m.read(&r, nil)
	want := "KEYS\x01order-1\x02traceparent\x0100-ab\x02twice\x01b\x02raw\x01ff01\x02"
	if string(m.props) != want || string(m.body) != "v" || m.bornMs != 77 {
		t.Fatalf("read %+v with %q", m, m.props)
	}
	m.read(&core.Record{}, nil)
	if m.body != nil || len(m.props) != 0 {
		t.Fatalf("an empty record is %+v", m)
	}
}

func FuzzContent(f *testing.F) {
	in := content{body: []byte("b"), props: []byte("A\x01b\x02")}
	f.Add(in.record(&slab{})[0].Headers[0].Value, []byte("key"), []byte("v"))
	f.Fuzz(func(t *testing.T, header, key, value []byte) {
		var m content
		m.read(&core.Record{Key: key, Value: value, Headers: []core.Header{{Key: bodyHeader,
			Value: header},
			{Key: string(key), Value: value}}}, nil)
		s := m.stored(&topology.Queue{TopicBytes: []byte("t")}, 1, 2, wire.Host{})
		if _, _, err := wire.ParseMessage(wire.AppendMessage(nil, &s)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestModesArePoliciesOfTheTable(t *testing.T) {
	for _, one := range []struct {
		mode topology.GroupConf
		want core.Policy
	}{
		{topology.GroupConf{Mode: topology.ModeSingle}, core.Single(core.FlushLazy)},
		{topology.GroupConf{Mode: topology.ModeSingle, Flush: true}, core.Single(core.FlushEach)},
		{topology.GroupConf{Mode: topology.ModeAsync}, core.Primary(2, core.FlushLazy)},
		{topology.GroupConf{Mode: topology.ModeSync}, core.Pair(2, 1, core.FlushLazy)},
		{topology.GroupConf{Mode: topology.ModeStrict}, core.Pair(2, 2, core.FlushLazy)},
		{topology.GroupConf{Mode: topology.ModeDLedger}, core.Majority(3)},
	} {
		if got := one.mode.Policy(); got != one.want || one.mode.Check() != nil {
			t.Errorf("%+v: %+v, %v", one.mode, got, one.mode.Check())
		}
	}
	for _, bad := range []topology.GroupConf{{}, {Mode: "raft"}, {Mode: topology.ModeSingle, Copies: 2},
		{Mode: topology.ModeAsync, Promote: true}} {
		if bad.Check() == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

// TestASendThatWouldWaitForAnAbsentSlaveIsRefusedAtOnce: its master hears of no
// majority, and so cannot leave the slave out; the client turns to another group.
func TestASendThatWouldWaitForAnAbsentSlaveIsRefusedAtOnce(t *testing.T) {
	s := serve(t, Options{})
	stream := func(p core.Policy, members ...core.Member) *core.Stream {
		return &core.Stream{Definition: core.Definition{Policy: p}, Leader: 1, Members: members}
	}
	in, out := core.Member{Node: 2, InSync: true}, core.Member{Node: 2}
	master := core.Member{Node: 1, InSync: true}
	pair := stream(core.Pair(2, 1, core.FlushLazy), master, in)
	left := stream(core.Pair(2, 1, core.FlushLazy), master, out)
	single := stream(core.Single(core.FlushLazy), master)
	see := func(want bool) {
		t.Helper()
		await(t, "the front end to see its node", func() bool { return s.waitsInVain(pair) == want })
		if s.waitsInVain(left) || s.waitsInVain(single) {
			t.Error("a master that waits for no slave waits in vain")
		}
	}
	see(false)
	nodes := s.broker.Cluster().Nodes()
	nodes[0].Doubted = true
	s.broker.SetNodes(nodes)
	see(true)
	nodes[0].Doubted = false
	s.broker.SetNodes(nodes)
	see(false)
}
