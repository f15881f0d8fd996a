package wire

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var allIDs = func() (ids []ID) {
	for class := ID(0); class < 100; class++ {
		for method := ID(0); method < 130; method++ {
			if newMethod(class<<16|method) != nil {
				ids = append(ids, class<<16|method)
			}
		}
	}
	return ids
}()

func drawTable(t *rapid.T, depth int) Table {
	var out Table
	for i := rapid.IntRange(0, 3).Draw(t, "fields"); i > 0; i-- {
		out = out.Put(rapid.StringN(0, 20, 200).Draw(t, "name"), drawValue(t, depth))
	}
	return out
}

func drawValue(t *rapid.T, depth int) Value {
	typ := rapid.SampledFrom([]byte("tbBsuIilLfdDSxATFV")).Draw(t, "type")
	switch size := fixedSize(typ); {
	case size >= 0:
		return Value{typ, rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "raw")}
	case typ == TypeTable && depth > 0:
		return Value{typ, drawTable(t, depth-1)}
	case typ == TypeArray && depth > 0:
		var a Array
		for i := rapid.IntRange(0, 3).Draw(t, "elements"); i > 0; i-- {
			a = a.Put(drawValue(t, depth-1))
		}
		return Value{typ, a}
	}
	return Value{TypeString, rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "text")}
}

// fill draws a value for every field of a method.
func fill(t *rapid.T, m Method) {
	v := reflect.ValueOf(m).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		switch f.Interface().(type) {
		case bool:
			f.SetBool(rapid.Bool().Draw(t, "bit"))
		case uint8, uint16, uint32, uint64:
			f.SetUint(rapid.Uint64Max(1<<f.Type().Bits()-1).Draw(t, "number"))
		case string:
			f.SetString(rapid.StringN(0, 40, 255).Draw(t, "string"))
		case []byte:
			f.SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 255).Draw(t, "bytes"))
		case Table:
			f.SetBytes(drawTable(t, 3))
		default:
			t.Fatalf("field of type %s", f.Type())
		}
	}
}

func TestEveryMethodIsReadAsItWasWritten(t *testing.T) {
	if len(allIDs) != 66 {
		t.Fatalf("%d methods", len(allIDs))
	}
	rapid.Check(t, func(t *rapid.T) {
		m := newMethod(rapid.SampledFrom(allIDs).Draw(t, "id"))
		fill(t, m)
		b := AppendMethod([]byte("before"), 7, m)[6:]
		f, n, err := Cut(b, len(b))
		if err != nil || n != len(b) || f.Type != FrameMethod || f.Channel != 7 {
			t.Fatalf("cut %+v, %d of %d: %v", f, n, len(b), err)
		}
		got, err := ParseMethod(f.Payload)
		if err != nil {
			t.Fatal(err)
		}
		again := AppendMethod(nil, 7, got)
		if !bytes.Equal(again, b) {
			t.Fatalf("%T %+v became %+v", m, m, got)
		}
		for cut := range len(f.Payload) {
			if _, err := ParseMethod(f.Payload[:cut]); err == nil {
				t.Fatalf("%T cut to %d of %d bytes was accepted", m, cut, len(f.Payload))
			}
		}
	})
}

func TestPropertiesAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f Fields
		f.Flags = rapid.Uint16().Draw(t, "flags") &^ (propertiesMore | propertiesUnknown)
		text := func() []byte { return rapid.SliceOfN(rapid.Byte(), 1, 255).Draw(t, "text") }
		f.ContentType, f.ContentEncoding, f.Headers = text(), text(), drawTable(t, 2)
		f.DeliveryMode, f.Priority, f.CorrelationID = 2, 9, text()
		f.ReplyTo, f.Expiration, f.MessageID, f.Timestamp = text(), text(), text(), 1<<40
		f.Type, f.UserID, f.AppID, f.ClusterID = text(), text(), text(), text()
		p := f.Append(nil)
		frames := AppendContent(nil, 3, p, []byte("0123456789"), 4+FrameOverhead)
		head, n, err := Cut(frames, len(frames))
		if err != nil {
			t.Fatal(err)
		}
		var got Fields
		h, err := ParseHeader(head.Payload, &got)
		if err != nil || !bytes.Equal(h.Raw, p) || h.BodySize != 10 || h.Class != 60 {
			t.Fatalf("%+v: %v", h, err)
		}
		if !bytes.Equal(got.Append(nil), p) {
			t.Fatalf("%+v became %+v", f, got)
		}
		var body []byte
		for frames = frames[n:]; len(frames) > 0; frames = frames[n:] {
			var part Frame
			if part, n, err = Cut(frames, 4); err != nil || n == 0 || part.Type != FrameBody {
				t.Fatalf("%+v: %v", part, err)
			}
			body = append(body, part.Payload...)
		}
		if string(body) != "0123456789" {
			t.Fatalf("body %q", body)
		}
	})
}

func TestDeliverAndConfirmAreTheMethodsOfThatName(t *testing.T) {
	same := func(b []byte, m Method) {
		t.Helper()
		if want := AppendMethod(nil, 5, m); !bytes.Equal(b, want) {
			t.Errorf("%x\n%x", b, want)
		}
	}
	same(AppendDeliver(nil, 5, "tag", 99, true, "ex", "key"), &BasicDeliver{Tag: "tag",
		DeliveryTag: 99, Redelivered: true, Exchange: []byte("ex"), RoutingKey: []byte("key")})
	same(AppendConfirm(nil, 5, 8, true, false), &BasicAck{DeliveryTag: 8, Multiple: true})
	same(AppendConfirm(nil, 5, 8, false, true), &BasicNack{DeliveryTag: 8})
	b := AppendMethod(nil, 5, &BasicNack{DeliveryTag: 8, Requeue: true})
	var s Settlement
	if err := s.Read(b[7 : len(b)-1]); err != nil || s.Tag != 8 || s.Multiple || !s.Requeue {
		t.Errorf("%+v: %v", s, err)
	}
}

func TestALengthBeyondItsFrameIsAnErrorNotAnAllocation(t *testing.T) {
	huge := binary.BigEndian.AppendUint32([]byte{1, 0, 0}, 1<<31)
	if _, _, err := Cut(huge, 131072); err == nil {
		t.Error("a frame of 2 GiB was accepted")
	}
	if err := Table("\x01aS\xff\xff\xff\xff").Check(); err == nil {
		t.Error("a string of 4 GiB in a table was accepted")
	}
	start := binary.BigEndian.AppendUint32(nil, uint32(IDConnectionStartOk))
	start = binary.BigEndian.AppendUint32(start, 1<<32-1)
	if n := testing.AllocsPerRun(10, func() { _, _ = ParseMethod(start) }); n > 8 {
		t.Errorf("%v allocations", n)
	}
}

func TestTablesDeeperThanTheLimitAreRefused(t *testing.T) {
	deep := Table(nil)
	for range TableDepthMax - 1 {
		deep = Table(nil).PutTable("t", deep)
	}
	if err := deep.Check(); err != nil {
		t.Fatalf("at the limit: %v", err)
	}
	if err := Table(nil).PutTable("t", deep).Check(); err == nil {
		t.Fatal("beyond the limit it was accepted")
	}
}

func TestAFieldIsFoundAndTakenOut(t *testing.T) {
	tab := Table(nil).PutString("a", "x").PutInt32("b", -5).PutBool("c", true).PutInt("b", 9)
	if v, ok := tab.Get("b"); !ok || v.String() != "-5" || v.TypeName() != "signedint" {
		t.Errorf("b is %v", v)
	}
	if got := tab.Without("b", "zz"); got.Count() != 2 {
		t.Errorf("%d fields are left of %q", got.Count(), got)
	}
	if got := tab.Without("zz"); &got[0] != &tab[0] {
		t.Error("it was copied although nothing was taken out")
	}
}

func TestReplyTextsFitAShortString(t *testing.T) {
	e := Errorf(NotFound, "no queue '%s' in vhost '/'", strings.Repeat("q", 255))
	if n := len(e.ReplyText()); n != 255 {
		t.Errorf("%d bytes", n)
	}
	if e.Connection() || !Errorf(NotAllowed, "x").Connection() {
		t.Error("the level of an error is wrong")
	}
}

func TestPublishAndDeliverAllocateNothing(t *testing.T) {
	pub := AppendMethod(nil, 1, &BasicPublish{Exchange: []byte("e"), RoutingKey: []byte("k")})
	f := Fields{Flags: HasHeaders | HasDeliveryMode, DeliveryMode: 2,
		Headers: Table(nil).PutString("a", "b")}
	pub = AppendContent(pub, 1, f.Append(nil), make([]byte, 100), 131072)
	out := make([]byte, 0, 4096)
	var p Publish
	var got Fields
	n := testing.AllocsPerRun(100, func() {
		out = out[:0]
		for b := pub; len(b) > 0; {
			frame, n, err := Cut(b, 131072)
			if err != nil {
				t.Fatal(err)
			}
			b = b[n:]
			switch frame.Type {
			case FrameMethod:
				if err := p.Read(frame.Payload); err != nil {
					t.Fatal(err)
				}
				out = AppendDeliver(out, 1, "tag", 1, false, p.Exchange, p.RoutingKey)
			case FrameHeader:
				h, err := ParseHeader(frame.Payload, &got)
				if err != nil {
					t.Fatal(err)
				}
				out = AppendHeader(out, 1, int(h.BodySize), h.Raw)
			case FrameBody:
				out = AppendFrame(out, FrameBody, 1, frame.Payload)
			}
		}
		out = AppendConfirm(out, 1, 1, false, false)
	})
	if n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}

func FuzzFrames(f *testing.F) {
	for _, id := range allIDs {
		f.Add(AppendMethod(nil, 1, newMethod(id)))
	}
	f.Add(AppendHeartbeat(nil))
	f.Add(AppendContent(nil, 1, NoProperties, []byte("body"), 4096))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			fr, n, err := Cut(b, 131072)
			if err != nil || n == 0 {
				return
			}
			b = b[n:]
			switch fr.Type {
			case FrameMethod:
				var p Publish
				var s Settlement
				switch PeekID(fr.Payload) {
				case IDBasicPublish:
					_ = p.Read(fr.Payload)
				case IDBasicAck, IDBasicNack, IDBasicReject:
					_ = s.Read(fr.Payload)
				}
				m, err := ParseMethod(fr.Payload)
				if err != nil {
					continue
				}
				w := AppendMethod(nil, fr.Channel, m)
				again, err := ParseMethod(w[7 : len(w)-1])
				if err != nil || !bytes.Equal(AppendMethod(nil, fr.Channel, again), w) {
					t.Fatalf("%T %+v is not stable: %v", m, m, err)
				}
			case FrameHeader:
				var fs Fields
				h, err := ParseHeader(fr.Payload, &fs)
				if err == nil && !bytes.Equal(fs.Append(nil), h.Raw) {
					t.Fatalf("%+v is not stable", fs)
				}
			}
		}
	})
}

func FuzzTable(f *testing.F) {
	f.Add([]byte(Table(nil).PutString("a", "b").PutTable("t", Table(nil).PutInt("n", 1))))
	f.Fuzz(func(t *testing.T, b []byte) {
		tab := Table(b)
		if tab.Check() != nil {
			return
		}
		var built Table
		for rest := tab; len(rest) > 0; {
			name, v, r, ok := rest.Next()
			if !ok {
				t.Fatal("a checked table ends early")
			}
			_, _ = v.String(), v.TypeName()
			built = built.Put(string(name), v)
			rest = r
		}
		if !bytes.Equal(built, tab) {
			t.Fatalf("%x became %x", tab, built)
		}
	})
}
