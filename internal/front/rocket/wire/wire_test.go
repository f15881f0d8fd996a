package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"strings"
	"testing"
)

// frameOf makes a JSON frame of a header and a body, as a client would.
func frameOf(header, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(4+len(header)+len(body)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(header)))
	return append(append(b, header...), body...)
}

func TestJSONHeaderOfARealClientIsRead(t *testing.T) {
	// What rocketmq-client-go 2.1.2 sends for a message with a key and a tag.
	b := frameOf(`{"code":10,"language":"GO","version":317,"opaque":7,"flag":0,"remark":"",`+
		`"extFields":{"topic":"t","queueId":"3","batch":"false","bornTimestamp":"1700000000000",`+
		`"properties":"KEYS\u0001k1\u0002TAGS\u0001\u6807\u7b7e\u0002"}}`, "body")
	var c Command
	if err := c.Parse(b); err != nil {
		t.Fatal(err)
	}
	if c.Code != 10 || c.Language != 9 || c.Version != 317 || c.Opaque != 7 ||
		string(c.Body) != "body" {
		t.Fatalf("read %+v", c)
	}
	if c.Str("topic") != "t" || c.Int("queueId", -1) != 3 || c.Int("bornTimestamp",
		0) != 1700000000000 {
		t.Fatalf("fields %s", c.Fields)
	}
	props := c.Get("properties")
	if string(Prop(props, "KEYS")) != "k1" || string(Prop(props, "TAGS")) != "标签" {
		t.Fatalf("properties %q", props)
	}
}

func TestFastjsonsOdditiesAreRead(t *testing.T) {
	var c Command
	err := c.Parse(frameOf(`{ code : 34 , "remark":null, "nested":{"a":[1,{"b":"]}"}]},`+
		`"extFields":{"n":5,"b":true,"none":null,"o":{"x":1},"s":"\x41\/\uD83D\uDE00\uD83Dx"},flag:1}`,
		""))
	if err != nil {
		t.Fatal(err)
	}
	if c.Code != 34 || !c.IsAnswer() || c.Int("n", 0) != 5 || !c.Bool("b") || c.Get("none") != nil ||
		c.Str("s") != "A/😀\uFFFDx" {
		t.Fatalf("read %+v, s=%q", c, c.Str("s"))
	}
}

func TestBinaryHeaderComesBackAsWritten(t *testing.T) {
	for _, form := range []Form{JSON, Binary} {
		var w Writer
		w.B = []byte("before")
		w.Answer(form, 77, TopicNotExist, "no \"such\"\ntopic")
		w.Int("queueOffset", -5)
		w.Str("msgId", "a\x01b\x02")
		w.Bool("TRACE_ON", true)
		w.Bytes("x", nil)
		w.Body()
		w.B = append(w.B, "the body"...)
		w.End()
		var c Command
		if err := c.Parse(w.B[6:]); err != nil {
			t.Fatalf("form %d: %v", form, err)
		}
		if c.Form != form || c.Code != 17 || c.Opaque != 77 || !c.IsAnswer() || c.Language != 0 ||
			c.Version != ProtocolVersion || string(c.Remark) != "no \"such\"\ntopic" ||
			c.Int("queueOffset", 0) != -5 || c.Str("msgId") != "a\x01b\x02" || !c.Bool("TRACE_ON") ||
			len(c.Fields) != 4 || string(c.Body) != "the body" {
			t.Fatalf("form %d: read %+v", form, c)
		}
	}
}

func TestJSONAnswerAlwaysHasFields(t *testing.T) {
	var w Writer
	w.Answer(JSON, 1, Success, "")
	w.End()
	var h map[string]any
	if err := json.Unmarshal(w.B[8:], &h); err != nil {
		t.Fatal(err)
	}
	if _, ok := h["extFields"].(map[string]any); !ok || h["flag"] != 1.0 {
		t.Fatalf("header %v", h)
	}
}

func TestBinaryCodeOfPopIsMappedBack(t *testing.T) {
	for code, want := range map[int]int{3442: 200050, 3448: 200056, 3543: 200151, 10: 10, 351: 351} {
		var w Writer
		w.Begin(Binary, code, 1, 0, "")
		w.End()
		var c Command
		if err := c.Parse(w.B); err != nil || c.Code != want {
			t.Errorf("code %d became %d, want %d (%v)", code, c.Code, want, err)
		}
	}
}

func TestImpossibleLengthsAreRefusedAtOnce(t *testing.T) {
	for name, b := range map[string][]byte{
		"negative length":    {0xff, 0, 0, 0},
		"too short":          {0, 0, 0, 3},
		"above the maximum":  {1, 0, 0, 1},
		"unknown form":       {0, 0, 0, 20, 2, 0, 0, 1},
		"header beyond it":   {0, 0, 0, 20, 0, 0, 0, 17},
		"http":               []byte("GET / HTTP/1.1"),
		"binary, huge field": append([]byte{0, 0, 0, 8, 1, 0, 0, 4}, 1, 2, 3, 4),
	} {
		n, err := FrameSize(b)
		if err == nil && n <= len(b) && n > 0 {
			var c Command
			err = c.Parse(b[:n])
		}
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if n, err := FrameSize([]byte{0, 0, 1}); n != 0 || err != nil {
		t.Errorf("three bytes: %d, %v", n, err)
	}
}

func sample() Message {
	return Message{Queue: 3, Flag: 9, QueueOffset: 42, Physical: PhysicalOf(7, 42),
		SysFlag: SysCompressed,
		BornMs:  1700000000001, Born: Host{IP: [16]byte{127, 0, 0, 1}, Port: 5555},
		StoreMs: 1700000000002, Store: Host{IP: [16]byte{127, 0, 0, 2}, Port: 10911},
		Reconsumed: 1, Prepared: 8, Body: []byte("hello"), Topic: []byte("topic"),
		Props: []byte("TAGS\x01a\x02")}
}

func TestStoredMessageHasTheLayoutOfTheNotes(t *testing.T) {
	m := sample()
	b := AppendMessage([]byte("xx"), &m)[2:]
	be := binary.BigEndian
	if len(b) != 91+5+5+7 || int(be.Uint32(b)) != len(b) || be.Uint32(b[4:]) != 0xDAA320A7 {
		t.Fatalf("%d bytes: % x", len(b), b)
	}
	if be.Uint32(b[8:]) != crc32.ChecksumIEEE([]byte("hello"))&0x7FFFFFFF || be.Uint32(b[12:]) != 3 ||
		be.Uint32(b[16:]) != 9 || be.Uint64(b[20:]) != 42 || be.Uint64(b[28:]) != 7<<39|42 {
		t.Fatalf("% x", b)
	}
	if !bytes.Equal(b[48:52], []byte{127, 0, 0, 1}) || be.Uint32(b[52:]) != 5555 {
		t.Fatalf("born host % x", b[48:56])
	}
	if be.Uint32(b[84:]) != 5 || string(b[88:93]) != "hello" || b[93] != 5 ||
		string(b[94:99]) != "topic" ||
		be.Uint16(b[99:]) != 7 {
		t.Fatalf("% x", b[84:])
	}
	got, n, err := ParseMessage(append(b, "rest"...))
	if err != nil || n != len(b) || string(AppendMessage(nil, &got)) != string(b) {
		t.Fatalf("read back %+v, %d, %v", got, n, err)
	}
}

func TestLongTopicTakesTheSecondMagic(t *testing.T) {
	m := sample()
	m.Topic = []byte("%RETRY%" + strings.Repeat("g", 125))
	m.Born.V6 = true
	b := AppendMessage(nil, &m)
	if binary.BigEndian.Uint32(b[4:]) != MagicV2 || len(b) != 92+12+5+132+7 {
		t.Fatalf("%d bytes, magic %x", len(b), b[4:8])
	}
	got, _, err := ParseMessage(b)
	if err != nil || string(got.Topic) != string(m.Topic) || got.SysFlag != SysCompressed|SysBornV6 {
		t.Fatalf("read back %+v, %v", got, err)
	}
}

func TestBatchBodyIsWalked(t *testing.T) {
	one := func(body, props string) []byte {
		b := binary.BigEndian.AppendUint32(nil, uint32(22+len(body)+len(props)))
		b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5)
		b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
		b = append(b, body...)
		b = binary.BigEndian.AppendUint16(b, uint16(len(props)))
		return append(b, props...)
	}
	all := append(one("first", "a\x01b\x02"), one("", "")...)
	var got []string
	err := EachInBatch(all, func(flag int32, body, props []byte) error {
		if flag != 5 {
			t.Errorf("flag %d", flag)
		}
		got = append(got, string(body)+"/"+string(props))
		return nil
	})
	if err != nil || strings.Join(got, " ") != "first/a\x01b\x02 /" {
		t.Fatalf("%q, %v", got, err)
	}
	for cut := 1; cut < len(all); cut++ {
		if cut == len(one("first", "a\x01b\x02")) {
			continue
		}
		if EachInBatch(all[:cut], func(int32, []byte, []byte) error { return nil }) == nil {
			t.Fatalf("cut at %d was taken", cut)
		}
	}
}

func TestPropertiesAreFoundAndReplaced(t *testing.T) {
	p := []byte("KEYS\x01a b\x02XKEYS\x01no\x02junk\x02\x01x\x02TAGS\x01t") // no trailing separator
	for name, want := range map[string]string{"KEYS": "a b", "XKEYS": "no", "TAGS": "t", "EYS": "",
		"junk": ""} {
		if got := string(Prop(p, name)); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	p = AppendProp(WithoutProps(nil, p, "KEYS"), "KEYS", "z")
	if string(p) != "XKEYS\x01no\x02TAGS\x01t\x02KEYS\x01z\x02" {
		t.Errorf("%q", p)
	}
}

func TestTagHashIsJavas(t *testing.T) {
	for tag, want := range map[string]int32{"": 0, "TagA": 2598919, "标签": 857175, "😀": 1772899} {
		if got := TagHash([]byte(tag)); got != want {
			t.Errorf("%q: %d, want %d", tag, got, want)
		}
	}
}

func TestMessageIDNamesQueueAndOffset(t *testing.T) {
	h := Host{IP: [16]byte{127, 0, 0, 3}, Port: 10911}
	id := AppendMessageID(nil, &h, PhysicalOf(QueueNumberMax, QueueOffsetMax))
	if string(id) != "7F00000300002A9F7FFFFFFFFFFFFFFF" {
		t.Fatalf("id %s", id)
	}
	back, physical, err := ParseMessageID(id)
	number, offset := PhysicalParts(physical)
	if err != nil || back != h || number != QueueNumberMax || offset != QueueOffsetMax {
		t.Fatalf("%v %d %d %v", back, number, offset, err)
	}
	if _, _, err := ParseMessageID([]byte("zz")); err == nil {
		t.Fatal("took zz")
	}
}

func TestRouteIsJSONWithQuotedKeys(t *testing.T) {
	r := Route{Queues: []RouteQueues{{"broker-1", 4, 8, 6, 0}},
		Brokers: []RouteBroker{{"c", "broker-1", []BrokerAddr{{0, "127.0.0.1:10911"}, {1, "h:1"}}}}}
	var got struct {
		BrokerDatas []struct {
			BrokerAddrs         map[string]string
			BrokerName, Cluster string
		}
		QueueDatas []struct{ ReadQueueNums, WriteQueueNums, Perm int }
	}
	if err := json.Unmarshal(AppendRoute(nil, &r), &got); err != nil {
		t.Fatal(err)
	}
	if got.BrokerDatas[0].BrokerAddrs["1"] != "h:1" || got.QueueDatas[0].WriteQueueNums != 8 {
		t.Fatalf("%+v", got)
	}
	if !json.Valid(AppendClusterInfo(nil, "c", r.Brokers)) {
		t.Fatal("cluster info is no JSON")
	}
}

func TestSendAndAnswerAllocateNothing(t *testing.T) {
	b := frameOf(`{"code":310,"extFields":{"a":"g","b":"t","e":"3","i":"KEYS\u0001k1\u0002"},"flag":0,`+
		`"language":"JAVA","opaque":7,"serializeTypeCurrentRPC":"JSON","version":401}`, "body")
	var c Command
	var w Writer
	turn := func() {
		if err := c.Parse(b); err != nil {
			t.Fatal(err)
		}
		w.B = w.B[:0]
		w.Answer(c.Form, c.Opaque, Success, "")
		w.Int("queueOffset", 12345)
		w.Str("MSG_REGION", "DefaultRegion")
		w.End()
	}
	turn()
	if n := testing.AllocsPerRun(100, turn); n > 0 {
		t.Fatalf("%v allocations a turn", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(frameOf(`{"code":10,"extFields":{"a":"b\u0001"},"opaque":1}`, "body"))
	var w Writer
	w.Begin(Binary, 10, 1, 0, "r")
	w.Str("k", "v")
	w.End()
	f.Add(w.B)
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := FrameSize(b)
		if err != nil || n == 0 || n > len(b) {
			return
		}
		var c Command
		if c.Parse(b[:n]) != nil {
			return
		}
		var w Writer
		w.Begin(c.Form, c.Code, c.Opaque, c.Flag, "")
		for _, fd := range c.Fields {
			w.Bytes("k", fd.Value)
		}
		w.End()
		var again Command
		if err := again.Parse(w.B); err != nil {
			t.Fatalf("what was read cannot be written and read again: %v", err)
		}
		if len(again.Fields) != len(c.Fields) {
			t.Fatalf("%d fields became %d", len(c.Fields), len(again.Fields))
		}
		for i := range c.Fields {
			if !bytes.Equal(c.Fields[i].Value, again.Fields[i].Value) {
				t.Fatalf("value %q became %q", c.Fields[i].Value, again.Fields[i].Value)
			}
		}
	})
}

func FuzzParseMessage(f *testing.F) {
	m := sample()
	f.Add(AppendMessage(nil, &m))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, n, err := ParseMessage(b)
		if err != nil || len(m.Props) > PropsBytesMax {
			return
		}
		if got := AppendMessage(nil, &m); len(m.Topic) > TopicBytesMax == (b[7] == 0xAB) &&
			!bytes.Equal(got[12:36], b[12:36]) {
			t.Fatalf("% x became % x", b[:n], got)
		}
	})
}

func FuzzEachInBatch(f *testing.F) {
	f.Add([]byte{0, 0, 0, 22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		_ = EachInBatch(b, func(_ int32, body, props []byte) error {
			total += 22 + len(body) + len(props)
			EachProp(props, func(k, v []byte) bool { return true })
			return nil
		})
		if total > len(b) {
			t.Fatalf("%d bytes gave %d", len(b), total)
		}
	})
}
