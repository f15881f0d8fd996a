package rocket

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"trine/internal/core"
	"trine/internal/front/rocket/topology"
	"trine/internal/front/rocket/wire"
)

// raw is a client that says exactly what a test wants.
type raw struct {
	t      *testing.T
	c      net.Conn
	form   wire.Form
	opaque int32
	in     []byte
	pushed []wire.Command // requests of the broker
}

func (s *served) raw(t *testing.T) *raw {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &raw{t: t, c: c}
}

type fields map[string]any

func (r *raw) send(code int, flag int32, fs fields, body string) {
	r.t.Helper()
	r.opaque++
	w := wire.Writer{}
	w.Begin(r.form, code, r.opaque, flag, "")
	for k, v := range fs {
		w.Str(k, fmt.Sprint(v))
	}
	w.Body()
	w.B = append(w.B, body...)
	w.End()
	if _, err := r.c.Write(w.B); err != nil {
		r.t.Fatal(err)
	}
}

// next reads the next frame.
func (r *raw) next() wire.Command {
	r.t.Helper()
	_ = r.c.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		n, err := wire.FrameSize(r.in)
		if err != nil {
			r.t.Fatal(err)
		}
		if n > 0 && n <= len(r.in) {
			var c wire.Command
			if err := c.Parse(bytes.Clone(r.in[:n])); err != nil {
				r.t.Fatal(err)
			}
			r.in = r.in[n:]
			return c
		}
		b := make([]byte, 64<<10)
		m, err := r.c.Read(b)
		if err != nil {
			r.t.Fatalf("read: %v", err)
		}
		r.in = append(r.in, b[:m]...)
	}
}

// ask sends a request and gives its answer; requests of the broker are kept.
func (r *raw) ask(code int, fs fields, body string) wire.Command {
	r.t.Helper()
	r.send(code, 0, fs, body)
	for {
		c := r.next()
		if !c.IsAnswer() {
			r.pushed = append(r.pushed, c)
			continue
		}
		if c.Opaque != r.opaque {
			r.t.Fatalf("answer to %d, not to %d", c.Opaque, r.opaque)
		}
		return c
	}
}

func (r *raw) put(topic string, queue int, props, body string) wire.Command {
	r.t.Helper()
	return r.ask(wire.SendMessageV2, fields{"a": "pg", "b": topic, "c": "TBW102", "d": 4, "e": queue,
		"f": 0,
		"g": 1700000000000, "h": 0, "i": props}, body)
}

func (r *raw) get(topic string, queue, at int, more fields) (wire.Command, []wire.Message) {
	r.t.Helper()
	fs := fields{"consumerGroup": "cg", "topic": topic, "queueId": queue, "queueOffset": at,
		"maxMsgNums": 32,
		"sysFlag":    wire.PullSubscription, "commitOffset": 0, "suspendTimeoutMillis": 0,
		"subscription": "*",
		"subVersion":   1}
	for k, v := range more {
		fs[k] = v
	}
	c := r.ask(wire.PullMessage, fs, "")
	var ms []wire.Message
	for b := c.Body; len(b) > 0; {
		m, n, err := wire.ParseMessage(b)
		if err != nil {
			r.t.Fatal(err)
		}
		ms, b = append(ms, m), b[n:]
	}
	return c, ms
}

func wantCode(t *testing.T, c wire.Command, code int) {
	t.Helper()
	if c.Code != code {
		t.Fatalf("code %d (%s), want %d", c.Code, c.Remark, code)
	}
}

func TestMessageComesBackAsItWasSentInBothForms(t *testing.T) {
	s := serve(t, Options{})
	for _, form := range []wire.Form{wire.JSON, wire.Binary} {
		r := s.raw(t)
		r.form = form
		topic := fmt.Sprint("topic", form)
		a := r.put(topic, 1, "KEYS\x01k\x02TAGS\x01a\x02UNIQ_KEY\x01u\x02", "hello")
		wantCode(t, a, wire.Success)
		if a.Form != form || a.Int("queueId", -1) != 1 || a.Int("queueOffset", -1) != 0 ||
			a.Get("MSG_REGION") == nil {
			t.Fatalf("answer %+v", a)
		}
		c, ms := r.get(topic, 1, 0, nil)
		wantCode(t, c, wire.Success)
		if len(ms) != 1 || string(ms[0].Body) != "hello" || string(ms[0].Topic) != topic ||
			ms[0].Queue != 1 ||
			ms[0].BornMs != 1700000000000 || string(ms[0].Props) != "KEYS\x01k\x02TAGS\x01a\x02UNIQ_KEY\x01u\x02" {
			t.Fatalf("pulled %+v", ms)
		}
		if c.Int("nextBeginOffset", -1) != 1 || c.Int("minOffset", -1) != 0 || c.Int("maxOffset",
			-1) != 1 {
			t.Fatalf("header %s", c.Fields)
		}
		_, physical, err := wire.ParseMessageID(a.Get("msgId"))
		if err != nil || physical != ms[0].Physical {
			t.Fatalf("id %s is not of offset %d", a.Get("msgId"), ms[0].Physical)
		}
		v := r.ask(wire.ViewMessage, fields{"offset": physical}, "")
		wantCode(t, v, wire.Success)
		if m, _, err := wire.ParseMessage(v.Body); err != nil || string(m.Body) != "hello" {
			t.Fatalf("viewed %+v, %v", m, err)
		}
	}
}

func TestWhatIsWrongGetsRocketMQsOwnAnswer(t *testing.T) {
	s := serve(t, Options{MessageMax: 1000})
	s.makeTopic(t, "topic", 2)
	r := s.raw(t)
	wantCode(t, r.ask(9999, nil, ""), wire.NotSupported)
	wantCode(t, r.put("topic", 0, "", strings.Repeat("x", 1001)), wire.MessageIllegal)
	wantCode(t, r.put("no such.topic", 0, "", "x"), wire.MessageIllegal)
	wantCode(t, r.put("topic", 7, "", "x"), wire.TopicNotExist)
	wantCode(t, r.ask(wire.TopicRoute, fields{"topic": "none"}, ""), wire.TopicNotExist)
	wantCode(t, r.ask(wire.ConsumerList, fields{"consumerGroup": "none"}, ""), wire.SystemError)
	wantCode(t, r.ask(wire.SendBatch, fields{"a": "pg", "b": "topic", "e": 0, "m": "true"}, "junk"),
		wire.MessageIllegal)
	wantCode(t, r.ask(wire.HeartBeat, nil, "{"), wire.SystemError)
	c, _ := r.get("topic", 0, 5, nil)
	wantCode(t, c, wire.PullOffsetMoved)
	if c.Int("nextBeginOffset", -1) != 0 {
		t.Fatalf("moved to %s", c.Get("nextBeginOffset"))
	}
	c, _ = r.get("topic", 0, 0, fields{"subscription": "a = 1", "expressionType": "SQL92"})
	wantCode(t, c, wire.SubscriptionParse)
	c, _ = r.get("topic", 0, 0, fields{"sysFlag": 0})
	wantCode(t, c, wire.SubscriptionNotExist)
	wantCode(t, r.ask(wire.ViewMessage, fields{"offset": 1 << 50}, ""), wire.SystemError)
	for _, junk := range []string{"GET / HTTP/1.1\r\n\r\n", "\xff\xff\xff\xff....",
		"\x00\x00\x00\x08\x07\x00\x00\x04junk"} {
		g := s.raw(t)
		if _, err := g.c.Write([]byte(junk)); err != nil {
			t.Fatal(err)
		}
		_ = g.c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadAll(g.c); err != nil {
			t.Errorf("%q: the connection stays open: %v", junk, err)
		}
	}
	wantCode(t, r.put("topic", 0, "", "still here"), wire.Success)
}

func TestAStopAnswersWhatIsUnderWay(t *testing.T) {
	s := serve(t, Options{})
	s.makeTopic(t, "TopicTest", 1)
	r := s.raw(t)
	entered, hold := make(chan struct{}, 1), make(chan struct{})
	s.broker.Fail(func(verb, _ string) error {
		if verb == "append" {
			entered <- struct{}{}
			<-hold
		}
		return nil
	})
	r.send(wire.SendMessageV2, 0, fields{"a": "pg", "b": "TopicTest", "c": "TBW102", "d": 4, "e": 0, "f": 0,
		"g": 1700000000000, "h": 0, "i": ""}, "in time")
	<-entered
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		stopped <- s.server.Shutdown(ctx)
	}()
	time.Sleep(50 * time.Millisecond) // the goodbye is said while the send is under way
	close(hold)
	wantCode(t, r.next(), wire.Success)
	r.c.Close()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
}

func TestOnewayIsNeverAnswered(t *testing.T) {
	s := serve(t, Options{})
	s.makeTopic(t, "topic", 1)
	r := s.raw(t)
	r.send(wire.SendMessageV2, wire.FlagOneway, fields{"a": "pg", "b": "topic", "e": 0}, "one")
	r.send(9999, wire.FlagOneway, nil, "")
	wantCode(t, r.put("topic", 0, "", "two"), wire.Success) // ask checks the opaque
	if _, ms := r.get("topic", 0, 0, nil); len(ms) != 2 || string(ms[0].Body) != "one" {
		t.Fatalf("pulled %d", len(ms))
	}
}

func TestPullWaitsForWhatItsFilterWants(t *testing.T) {
	s := serve(t, Options{})
	s.makeTopic(t, "topic", 1)
	r, p := s.raw(t), s.raw(t)
	start := time.Now()
	go func() { // ends with its two sends, before the pull below is answered
		time.Sleep(50 * time.Millisecond)
		p.put("topic", 0, "TAGS\x01other\x02", "not this")
		time.Sleep(50 * time.Millisecond)
		p.put("topic", 0, "TAGS\x01b\x02", "this")
	}()
	c, ms := r.get("topic", 0, 0, fields{"sysFlag": wire.PullSubscription | wire.PullSuspend,
		"suspendTimeoutMillis": 15000, "subscription": "a || b"})
	wantCode(t, c, wire.Success)
	if len(ms) != 1 || string(ms[0].Body) != "this" || time.Since(start) > 10*time.Second {
		t.Fatalf("pulled %+v after %v", ms, time.Since(start))
	}
	c, _ = r.get("topic", 0, 2, fields{"sysFlag": wire.PullSubscription | wire.PullSuspend,
		"suspendTimeoutMillis": 100})
	wantCode(t, c, wire.PullNotFound)
	c, _ = r.get("topic", 0, 0, fields{"subscription": "nobody"})
	wantCode(t, c, wire.PullNotFound)
	if c.Int("nextBeginOffset", -1) != 2 {
		t.Fatalf("next %s", c.Get("nextBeginOffset"))
	}
}

func heartbeat(client, group, topic string) string {
	return fmt.Sprintf(`{"clientID":%q,"consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET",`+
		`"consumeType":"CONSUME_PASSIVELY","groupName":%q,"messageModel":"CLUSTERING","subscriptionDataSet":[`+
		`{"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"*","subVersion":1,`+
		`"tagsSet":[],"topic":%q}],"unitMode":false}],"producerDataSet":[{"groupName":"pg"}]}`, client,
		group, topic)
}

func TestMembersAreToldOfEachOther(t *testing.T) {
	s := serve(t, Options{})
	a, b := s.raw(t), s.raw(t)
	h := a.ask(wire.HeartBeat, nil, heartbeat("a", "cg", "topic"))
	wantCode(t, h, wire.Success)
	if !h.Bool("IS_SUPPORT_HEART_BEAT_V2") {
		t.Fatalf("fields %s", h.Fields)
	}
	wantCode(t, b.ask(wire.HeartBeat, nil, heartbeat("b", "cg", "topic")), wire.Success)
	l := a.ask(wire.ConsumerList, fields{"consumerGroup": "cg"}, "")
	if string(l.Body) != `{"consumerIdList":["a","b"]}` {
		t.Fatalf("list %s", l.Body)
	}
	told := 0
	for _, p := range a.pushed {
		if p.Code == wire.IdsChanged && p.Str("consumerGroup") == "cg" && p.IsOneway() {
			told++
		}
	}
	if told != 2 {
		t.Fatalf("a was told %d times", told)
	}
	b.c.Close()
	for c := a.next(); ; c = a.next() {
		if c.Code == wire.IdsChanged {
			break
		}
	}
	l = a.ask(wire.ConsumerList, fields{"consumerGroup": "cg"}, "")
	if string(l.Body) != `{"consumerIdList":["a"]}` {
		t.Fatalf("list %s", l.Body)
	}
}

func TestQueueIsLockedByOneClient(t *testing.T) {
	s := serve(t, Options{})
	r := s.raw(t)
	body := func(client string) string {
		return `{"consumerGroup":"cg","clientId":"` + client + `","onlyThisBroker":false,"mqSet":[` +
			`{"topic":"t","brokerName":"broker-1","queueId":0},{"topic":"t","brokerName":"broker-1","queueId":1}]}`
	}
	count := func(c wire.Command) int {
		var got struct{ LockOKMQSet []any }
		wantCode(t, c, wire.Success)
		if err := json.Unmarshal(c.Body, &got); err != nil {
			t.Fatal(err)
		}
		return len(got.LockOKMQSet)
	}
	for _, want := range []struct {
		client string
		n      int
	}{{"a", 2}, {"b", 0}, {"a", 2}} {
		if n := count(r.ask(wire.LockQueues, nil, body(want.client))); n != want.n {
			t.Fatalf("%s holds %d, want %d", want.client, n, want.n)
		}
	}
	wantCode(t, r.ask(wire.UnlockQueues, nil, body("a")), wire.Success)
	if n := count(r.ask(wire.LockQueues, nil, body("b"))); n != 2 {
		t.Fatalf("b holds %d after a let go", n)
	}
}

func TestOffsetsAreKeptByGroupAndQueue(t *testing.T) {
	s := serve(t, Options{})
	s.makeTopic(t, "topic", 2)
	r := s.raw(t)
	q := fields{"consumerGroup": "cg", "topic": "topic", "queueId": 0}
	none := r.ask(wire.QueryConsumerOffset, fields{"consumerGroup": "cg", "topic": "topic",
		"queueId":           0,
		"setZeroIfNotFound": "false"}, "")
	wantCode(t, none, wire.QueryNotFound)
	if c := r.ask(wire.QueryConsumerOffset, q, ""); c.Code != wire.Success || c.Int("offset",
		-1) != 0 {
		t.Fatalf("a new group starts with code %d at %s", c.Code, c.Get("offset"))
	}
	for _, at := range []int{7, -1} { // -1 says nothing
		wantCode(t, r.ask(wire.UpdateConsumerOffset, fields{"consumerGroup": "cg", "topic": "topic",
			"queueId":      0,
			"commitOffset": at}, ""), wire.Success)
	}
	other := s.raw(t)
	if c := other.ask(wire.QueryConsumerOffset, q, ""); c.Int("offset", -1) != 7 {
		t.Fatalf("offset %s", c.Get("offset"))
	}
	q["queueId"] = 1
	if c := other.ask(wire.QueryConsumerOffset, q, ""); c.Int("offset", -1) != 0 {
		t.Fatalf("the other queue's offset is %s", c.Get("offset"))
	}
}

func TestMessageGivenBackComesAgainAndThenDies(t *testing.T) {
	s := serve(t, Options{})
	s.makeTopic(t, "topic", 1)
	r := s.raw(t)
	wantCode(t, r.ask(wire.HeartBeat, nil, heartbeat("a", "cg", "topic")), wire.Success)
	wantCode(t, r.put("topic", 0, "UNIQ_KEY\x01u\x02", "again"), wire.Success)
	_, ms := r.get("topic", 0, 0, nil)
	back := func(m wire.Message, level int) {
		wantCode(t, r.ask(wire.SendMessageBack, fields{"offset": m.Physical, "group": "cg",
			"delayLevel":  level,
			"originMsgId": "origin", "originTopic": "topic", "maxReconsumeTimes": 16}, ""), wire.Success)
	}
	back(ms[0], 1)
	c, again := r.get("%RETRY%cg", 0, 0, fields{"sysFlag": wire.PullSubscription | wire.PullSuspend,
		"suspendTimeoutMillis": 15000})
	wantCode(t, c, wire.Success)
	m := again[0]
	if m.Reconsumed != 1 || string(m.Body) != "again" || string(wire.Prop(m.Props,
		"RETRY_TOPIC")) != "topic" ||
		string(wire.Prop(m.Props, "ORIGIN_MESSAGE_ID")) != "origin" || wire.Prop(m.Props,
		"DELAY") != nil {
		t.Fatalf("came again as %+v, %q", m, m.Props)
	}
	if d := m.StoreMs - ms[0].StoreMs; d < 1000 {
		t.Fatalf("came again after %d ms", d)
	}
	back(m, -1)
	_, dead := r.get("%DLQ%cg", 0, 0, nil)
	if len(dead) != 1 || string(dead[0].Body) != "again" {
		t.Fatalf("dead letters %+v", dead)
	}
}

func TestTransactionIsSeenOnceItIsCommitted(t *testing.T) {
	s := serve(t, Options{})
	s.makeTopic(t, "topic", 1)
	r := s.raw(t)
	wantCode(t, r.ask(wire.HeartBeat, nil, heartbeat("a", "cg", "topic")), wire.Success)
	for i, verdict := range []int{wire.SysCommit, wire.SysRollback} {
		a := r.put("topic", 0, "TRAN_MSG\x01true\x02PGROUP\x01pg\x02UNIQ_KEY\x01u\x02",
			fmt.Sprint("half ", i))
		wantCode(t, a, wire.Success)
		if a.Str("transactionId") != "u" {
			t.Fatalf("fields %s", a.Fields)
		}
		time.Sleep(60 * time.Millisecond) // Tick sees the half topic before there is an op topic
		if _, ms := r.get("topic", 0, 0, nil); len(ms) != i {
			t.Fatalf("%d messages before the verdict", len(ms))
		}
		_, physical, err := wire.ParseMessageID(a.Get("msgId"))
		if err != nil {
			t.Fatal(err)
		}
		end := fields{"producerGroup": "pg", "tranStateTableOffset": a.Int("queueOffset", -1),
			"commitLogOffset": physical, "commitOrRollback": verdict, "msgId": "u"}
		end["producerGroup"] = "another"
		wantCode(t, r.ask(wire.EndTransaction, end, ""), wire.SystemError)
		end["producerGroup"] = "pg"
		wantCode(t, r.ask(wire.EndTransaction, end, ""), wire.Success)
	}
	await(t, "no transaction to be open", func() bool {
		s.trans.mu.Lock()
		defer s.trans.mu.Unlock()
		h := s.trans.at[topology.HomeGroup(1)]
		return h != nil && h.nextHalf == 2 && h.nextOp == 2 && len(h.open) == 0
	})
	_, ms := r.get("topic", 0, 0, nil)
	if len(ms) != 1 || string(ms[0].Body) != "half 0" ||
		ms[0].SysFlag&wire.SysRollback != wire.SysCommit ||
		wire.Prop(ms[0].Props, "TRAN_MSG") != nil {
		t.Fatalf("seen %+v", ms)
	}
}

func TestTopicMakesItselfWhileANodeIsAway(t *testing.T) {
	s := serve(t, Options{})
	nodes := s.broker.Cluster().Nodes()
	nodes = append(nodes, core.NodeInfo{Peer: core.Peer{Node: 2, Disk: 2, Incarnation: 2},
		Addresses: map[string]string{topology.AddressName: "127.0.0.1:1"}})
	s.broker.SetNodes(nodes)
	r := s.raw(t)
	wantCode(t, r.put("topic", 0, "", "x"), wire.Success)
	topic := s.view.Topic([]byte("topic"))
	if len(topic.Parts) != 1 || topic.Parts[0].Group != topology.HomeGroup(1) {
		t.Fatalf("parts %+v", topic.Doc)
	}
}
