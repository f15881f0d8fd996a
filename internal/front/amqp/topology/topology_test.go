package topology

import (
	"encoding/json"
	"testing"

	"trine/internal/core"
	"trine/internal/front/amqp/route"
	"trine/internal/front/amqp/wire"
)

func document(t *testing.T, key string, v any, revision core.Revision) core.Document {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return core.Document{Key: key, Value: b, Revision: revision}
}

func stream(name string, id core.StreamID) *core.Stream {
	return &core.Stream{Definition: core.Definition{Name: StreamName("/", name),
		Policy: core.Single(core.FlushEach), Queue: &core.QueueSettings{},
		Labels: []byte(`{"kind":"classic","durable":true}`)}, ID: id, Revision: core.Revision(id), Leader: 1}
}

func bind(t *testing.T, v *View, source, queue string, sourceRevision core.Revision, id core.StreamID) {
	t.Helper()
	v.Documents([]core.Document{document(t, BindingKey("/", source, true, queue, "k", nil),
		BindingDoc{Source: source, Destination: queue, ToQueue: true, Key: "k",
			SourceRevision: sourceRevision, Stream: id}, 100)})
}

func queues(v *View, exchange, key string) int {
	var s Resolver
	return len(v.Resolve("/", v.Exchange("/", exchange), &route.Message{Key: []byte(key)}, &s).Queues)
}

func TestABindingLeftBehindBindsNothingOfTheSameName(t *testing.T) {
	v := NewView()
	key := ExchangeKey("/", "x")
	v.Documents([]core.Document{document(t, key, ExchangeDoc{Type: "direct"}, 5)})
	bind(t, v, "x", "q", 5, 7) // before its queue is seen
	if queues(v, "x", "k") != 0 {
		t.Fatal("it leads to a queue that is not there")
	}
	v.StreamChanged(stream("q", 7), false)
	if queues(v, "x", "k") != 1 {
		t.Fatal("it does not lead to its queue")
	}
	v.StreamChanged(stream("q", 7), true)
	v.StreamChanged(stream("q", 8), false)
	if queues(v, "x", "k") != 0 {
		t.Fatal("it leads to another queue of the name")
	}
	bind(t, v, "x", "q", 5, 8)
	v.Documents([]core.Document{{Key: key, Revision: 9}})
	v.Documents([]core.Document{document(t, key, ExchangeDoc{Type: "direct"}, 10)})
	if queues(v, "x", "k") != 0 {
		t.Fatal("it leads from another exchange of the name")
	}
}

func TestNamesOfAnyBytesStayApart(t *testing.T) {
	for _, c := range [][2]string{{"/", "a/b"}, {"a/b", "c"}, {"%2F", "%"}, {"", ""}} {
		vhost, name, ok := CutName(StreamName(c[0], c[1]), StreamPrefix)
		if !ok || vhost != c[0] || name != c[1] {
			t.Errorf("%q became %q, %q", c, vhost, name)
		}
	}
	a := BindingKey("/", "a/b", true, "c", "", nil)
	if a == BindingKey("/", "a", true, "b/c", "", nil) || a == BindingKey("/", "a/b", false, "c", "", nil) {
		t.Error("two bindings have one key")
	}
}

func TestAnAutoDeleteExchangeGoesWithItsLastBinding(t *testing.T) {
	v := NewView()
	v.Documents([]core.Document{
		document(t, ExchangeKey("/", "x"), ExchangeDoc{Type: "direct", AutoDelete: true}, 5),
		document(t, ExchangeKey("/", "up"), ExchangeDoc{Type: "fanout", AutoDelete: true}, 6),
		document(t, BindingKey("/", "up", false, "x", "", nil), BindingDoc{Source: "up", Destination: "x",
			SourceRevision: 6, DestRevision: 5}, 7)})
	v.StreamChanged(stream("q", 7), false)
	v.StreamChanged(stream("r", 8), false)
	bind(t, v, "x", "q", 5, 7)
	bind(t, v, "x", "r", 5, 8)
	if n := len(v.RemoveQueue(v.Queue("/", "r"))); n != 2 {
		t.Errorf("%d changes while another binding stays", n)
	}
	v.StreamChanged(stream("r", 8), true)
	v.Documents([]core.Document{{Key: BindingKey("/", "x", true, "r", "k", nil), Revision: 9}})
	if n := len(v.RemoveQueue(v.Queue("/", "q"))); n != 5 { // q, its binding, x, the binding to it, up
		t.Errorf("%d changes", n)
	}
}

func TestAPolicyAndArgumentsAreInForceTogether(t *testing.T) {
	v := NewView()
	v.Documents([]core.Document{
		document(t, PolicyKey("/", "weak"), Policy{Pattern: ".*", Priority: 1,
			Definition: PolicyDefinition{HaMode: "all"}}, 1),
		document(t, PolicyKey("/", "strong"), Policy{Pattern: "^q", Priority: 2, ApplyTo: "classic_queues",
			Definition: PolicyDefinition{HaMode: "exactly", HaParams: []byte("2"), HaPromote: "always",
				MaxLength: new(int64(10))}}, 2)})
	args := wire.Table(nil).PutInt("x-max-length", 5)
	for _, c := range []struct {
		name, kind string
		args       wire.Table
		copies     int
		mode       string
		length     int64
	}{
		{"q1", Classic, nil, 2, "mirror", 10},
		{"q1", Classic, args, 2, "mirror", 5},
		{"other", Classic, nil, copiesMax, "mirror", 0},
		{"q1", Quorum, args, 3, "majority", 5},
	} {
		l := Label{Kind: c.kind, Durable: true, Arguments: c.args}
		e := v.Effective("/", c.name, l)
		p, _ := e.Copies(l)
		if s := e.Settings(l); p.Copies != c.copies || p.Mode() != c.mode || s.LengthMax != c.length {
			t.Errorf("%+v: %+v, length %d", c, p, s.LengthMax)
		}
	}
	if p, _ := v.Effective("/", "q1", Label{Kind: Classic}).Copies(Label{}); p.Election != core.ElectAny {
		t.Error("ha-promote-on-failure=always is not in force")
	}
	if p, _ := v.Effective("/", "q1", Label{Kind: Classic, Exclusive: true}).Copies(
		Label{Kind: Classic, Exclusive: true}); p.Copies != 1 {
		t.Error("an exclusive queue is mirrored")
	}
}

func TestALocatorSaysWhereAQueueBegins(t *testing.T) {
	v := NewView()
	led := func(name string, by core.NodeID) {
		l, _ := json.Marshal(Label{Durable: true, Kind: Classic, Node: by})
		v.Saw(&core.Stream{Definition: core.Definition{Name: StreamName("/", name), Labels: l}, ID: core.StreamID(len(name)), Leader: by})
	}
	led("a", 1)
	led("bb", 1)
	led("ccc", 2)
	with := func(key, value string) Label {
		l := Label{Durable: true, Kind: Classic, Node: 1}
		if key != "" {
			l.Arguments = wire.Table(nil).PutString(key, value)
		}
		return l
	}
	all, last := []core.NodeID{1, 2, 3}, func(n int) int { return n - 1 }
	for _, c := range []struct {
		l      Label
		living []core.NodeID
		want   core.NodeID
	}{
		{with("", ""), all, 1},
		{with("x-queue-leader-locator", "client-local"), all, 1},
		{with("x-queue-leader-locator", "balanced"), all, 3},
		{with("x-queue-leader-locator", "balanced"), []core.NodeID{1, 2}, 2},
		{with("x-queue-master-locator", "min-masters"), all, 3},
		{with("x-queue-leader-locator", "random"), []core.NodeID{1, 2}, 2},
		{with("x-queue-leader-locator", "balanced"), nil, 1},
	} {
		if got := v.Locate("/", "new", c.l, c.living, last); got != c.want {
			t.Errorf("%v, %v alive: node %d, want %d", c.l.Arguments, c.living, got, c.want)
		}
	}
	v.policies.list = setIn(nil, "/", "spread", core.Document{Value: []byte(
		`{"pattern":"^new","apply-to":"queues","definition":{"queue-master-locator":"min-masters"}}`)})
	if got := v.Locate("/", "new", with("", ""), all, last); got != 3 {
		t.Errorf("by policy: node %d, want 3", got)
	}
	exclusive := with("x-queue-leader-locator", "balanced")
	exclusive.Exclusive = true
	if got := v.Locate("/", "new", exclusive, all, last); got != 1 {
		t.Errorf("an exclusive queue begins at node %d, not with its connection", got)
	}
}
