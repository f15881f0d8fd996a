package link

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"trine/internal/core"
)

// ranges are the values that enums take on the wire.
var ranges = map[reflect.Type][2]uint64{
	reflect.TypeFor[core.ReplicateType](): {uint64(core.RepAppend), uint64(core.RepQuiet)},
	reflect.TypeFor[core.EntryKind]():     {uint64(core.EntryBatch), uint64(core.EntryMoved)},
	reflect.TypeFor[core.Kind]():          {0, uint64(core.Unavailable)},
	reflect.TypeFor[core.Ack]():           {0, uint64(core.AckNone)},
	reflect.TypeFor[core.FindKind]():      {0, uint64(core.FindEpochEnd)},
	reflect.TypeFor[core.Outcome]():       {uint64(core.Accept), uint64(core.Reject)},
}

// fill draws a value for everything that travels.
func fill(t *rapid.T, v reflect.Value, path string) {
	if r, ok := ranges[v.Type()]; ok {
		v.SetUint(rapid.Uint64Range(r[0], r[1]).Draw(t, path))
		return
	}
	switch v.Interface().(type) {
	case core.Body:
	case core.Settler:
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, path))
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(rapid.Uint64Range(0, 1<<v.Type().Bits()-1).Draw(t, path))
	case reflect.Int, reflect.Int32, reflect.Int64:
		b := v.Type().Bits()
		v.SetInt(rapid.Int64Range(-1<<(b-1), 1<<(b-1)-1).Draw(t, path))
	case reflect.String:
		v.SetString(rapid.String().Draw(t, path))
	case reflect.Slice:
		fillSlice(t, v, path)
	case reflect.Map:
		if m := rapid.MapOfN(rapid.String(), rapid.String(), 0, 3).Draw(t, path); len(m) > 0 {
			v.Set(reflect.ValueOf(m))
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(t, path+"?") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem(), path)
		}
	case reflect.Interface:
		fillInterface(t, v, path)
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if v.Type() == reflect.TypeFor[core.Settle]() && (f.Name == "To" || f.Name == "Token") ||
				v.Type() == reflect.TypeFor[core.Error]() && f.Name == "Err" {
				continue // they do not travel
			}
			fill(t, v.Field(i), path+"."+f.Name)
		}
	default:
		t.Fatalf("%s: no rule for %v", path, v.Type())
	}
}

func fillSlice(t *rapid.T, v reflect.Value, path string) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		if rapid.Bool().Draw(t, path+"?") {
			v.SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, path))
		}
		return
	}
	n := rapid.IntRange(0, 3).Draw(t, path+"#")
	if n == 0 {
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	for i := range n {
		fill(t, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
}

func fillInterface(t *rapid.T, v reflect.Value, path string) {
	switch v.Type() {
	case reflect.TypeFor[core.Body]():
		if k := rapid.IntRange(0, len(bodies)-1).Draw(t, path); k > 0 {
			b := bodies[k]()
			fill(t, reflect.ValueOf(b).Elem(), path)
			v.Set(reflect.ValueOf(b))
		}
	case reflect.TypeFor[error]():
		if rapid.Bool().Draw(t, path+"?") {
			e := new(core.Error)
			fill(t, reflect.ValueOf(e).Elem(), path)
			v.Set(reflect.ValueOf(e))
		}
	default:
		t.Fatalf("%s: no rule for %v", path, v.Type())
	}
}

func drawMessage(t *rapid.T) core.Message {
	m := newMessage(uint8(rapid.IntRange(int(kindBeat), int(kindJoinAnswer)).Draw(t, "type")))
	fill(t, reflect.ValueOf(m).Elem(), reflect.TypeOf(m).Elem().Name())
	return m
}

func TestEveryMessageComesBackAsItWasSent(t *testing.T) {
	seen := map[string]bool{}
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		b := Append(nil, m)
		got, err := Decode(b)
		if err != nil {
			t.Fatalf("decode %#v: %v", m, err)
		}
		if !reflect.DeepEqual(got, m) {
			t.Fatalf("sent %#v\n got %#v", m, got)
		}
		if again := Append(nil, got); !bytes.Equal(again, b) {
			t.Fatalf("the same message has other bytes: %x, %x", again, b)
		}
		for cut := range len(b) {
			if _, err := Decode(b[:cut]); err == nil {
				t.Fatalf("the first %d of %d bytes of %T decode as well", cut, len(b), m)
			}
		}
		seen[fmt.Sprintf("%T", m)] = true
	})
	if len(seen) < int(kindJoinAnswer) {
		t.Errorf("only %d of %d types were drawn", len(seen), kindJoinAnswer)
	}
}

// A message may be encoded for two peers at once: the race detector sees a write.
func TestEncodingWritesToNoMessage(t *testing.T) {
	done := make(chan struct{})
	ms := seeds()
	go func() { // waited for below
		defer close(done)
		for _, m := range ms {
			Append(nil, m)
		}
	}()
	for _, m := range ms {
		Append(nil, m)
	}
	<-done
}

func TestEveryBodyHasItsKind(t *testing.T) {
	for k := 1; k < len(bodies); k++ {
		if got := bodyKind(bodies[k]()); int(got) != k {
			t.Errorf("%T is made for kind %d and has kind %d", bodies[k](), k, got)
		}
	}
	for k := kindBeat; k <= kindJoinAnswer; k++ {
		if got := messageKind(newMessage(k)); got != k {
			t.Errorf("%T is made for kind %d and has kind %d", newMessage(k), k, got)
		}
	}
}

// cutAll reads frames as a connection does, a few bytes at a time.
func cutAll(t require, b []byte, l core.Lane, step int) (ms []core.Message, frames int) {
	var a Assembler
	var have []byte
	for len(b) > 0 || len(have) > 0 {
		f, size, need, err := Cut(have, l)
		if err != nil {
			t.Fatalf("cut: %v", err)
		}
		if size == 0 {
			if need <= len(have) || len(b) == 0 {
				t.Fatalf("%d bytes are needed where %d are there and %d come", need, len(have), len(b))
			}
			n := min(step, len(b))
			have, b = append(have, b[:n]...), b[n:]
			continue
		}
		if size > FrameMax(l) {
			t.Fatalf("a frame of %d bytes", size)
		}
		have = have[size:]
		frames++
		m, err := a.Add(f)
		if err != nil {
			t.Fatalf("add: %v", err)
		}
		if m != nil {
			ms = append(ms, m)
		}
	}
	return ms, frames
}

type require interface{ Fatalf(string, ...any) }

func TestLargeMessagesTravelInParts(t *testing.T) {
	for _, l := range []core.Lane{core.LaneControl, core.LaneBulk} {
		share := FrameMax(l) - HeaderSize
		empty := len(Append(nil, &core.Request{Body: &core.Propose{Command: make([]byte, 1<<14)}})) - 1<<14
		for _, size := range []int{share - empty - 1, share - empty, share - empty + 1, 3*share - empty, 3 * share, 2_000_000} {
			data := bytes.Repeat([]byte("trine"), size/5+1)[:size]
			sent := []core.Message{&core.Beat{Seq: 1}, &core.Request{ID: 7, Body: &core.Propose{Command: data}}, &core.Beat{Seq: 2}}
			var b []byte
			var err error
			for _, m := range sent {
				if b, err = AppendFrames(b, l, m); err != nil {
					t.Fatal(err)
				}
			}
			got, frames := cutAll(t, b, l, 70_000)
			if !reflect.DeepEqual(got, sent) {
				t.Errorf("lane %d, %d bytes: not what was sent", l, size)
			}
			if want := 2 + (size+empty+share-1)/share; frames < want-1 || frames > want+1 {
				t.Errorf("lane %d, %d bytes: %d frames, want about %d", l, size, frames, want)
			}
		}
	}
}

func TestAMessageAboveTheLimitIsRefusedAndNothingIsSent(t *testing.T) {
	before := []byte("before")
	got, err := AppendFrames(before, core.LaneBulk, &core.Request{Body: &core.Propose{Command: make([]byte, MessageMax)}})
	if err == nil || string(got) != "before" {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
}

func TestPartsAboveTheLimitAreRefused(t *testing.T) {
	a := Assembler{parts: make([]byte, MessageMax), open: true}
	if _, err := a.Add(Frame{framePart, []byte{1}}); err == nil {
		t.Error("accepted")
	}
}

func TestFramesOutOfPlaceAreRefused(t *testing.T) {
	var a Assembler
	if _, err := a.Add(Frame{frameLast, nil}); err == nil {
		t.Error("an end without a beginning is accepted")
	}
	if m, err := a.Add(Frame{framePart, []byte{1}}); err != nil || m != nil {
		t.Error("a part is not accepted")
	}
	if _, err := a.Add(Frame{frameWhole, []byte{1}}); err == nil {
		t.Error("a whole message within another's parts is accepted")
	}
}

func TestAFlippedBitInAFrameIsFound(t *testing.T) {
	b, _ := AppendFrames(nil, core.LaneControl, &core.Beat{Seq: 300, Sent: 5, Wall: 9, Applied: 12})
	for i := range len(b) * 8 {
		c := bytes.Clone(b)
		c[i/8] ^= 1 << (i % 8)
		if _, size, need, err := Cut(c, core.LaneControl); err == nil && size > 0 && need == 0 {
			t.Errorf("bit %d flipped: accepted", i)
		}
	}
}

func TestACountIsCheckedBeforeItAllocates(t *testing.T) {
	b := Append(nil, &core.Holds{})
	b = append(b[:1], 0xff, 0xff, 0xff, 0xff, 0x7f)
	if n := testing.AllocsPerRun(10, func() {
		if _, err := Decode(b); err == nil {
			t.Error("a count without content is accepted")
		}
	}); n > 8 {
		t.Errorf("%v allocations", n)
	}
}

func TestAnErrorsCauseTravelsAsText(t *testing.T) {
	b := Append(nil, &core.Response{Err: &core.Error{Op: "append", Kind: core.Full, Detail: "2 left",
		Err: errors.New("no space")}})
	m, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	e := m.(*core.Response).Err
	if e.Kind != core.Full || e.Error() != "append: full: 2 left: no space" {
		t.Errorf("got %v", e)
	}
	b = Append(nil, &core.Response{Body: &core.ReadDone{Parts: []core.ReadAnswer{{Err: errors.New("odd")}}}})
	if m, err = Decode(b); err != nil {
		t.Fatal(err)
	}
	if got := m.(*core.Response).Body.(*core.ReadDone).Parts[0].Err; core.KindOf(got) != core.Unknown ||
		!strings.Contains(got.Error(), "odd") {
		t.Errorf("got %v", got)
	}
}

func TestHelloComesBackAndDamageIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h Hello
		fill(t, reflect.ValueOf(&h).Elem(), "hello")
		if h.Peer.Node < 0 || h.Calls < 0 {
			h.Peer.Node, h.Calls = 1, 2
		}
		b := AppendHello(nil, h)
		h.Text, h.Address = h.Text[:min(len(h.Text), 255)], h.Address[:min(len(h.Address), 255)]
		got, err := DecodeHello(b)
		if err != nil || got != h {
			t.Fatalf("sent %+v, got %+v, %v", h, got, err)
		}
		b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := DecodeHello(b); err == nil {
			t.Fatalf("a flipped bit is not found")
		}
	})
}

func TestVersionsMeetOrDoNot(t *testing.T) {
	for _, c := range []struct {
		oldest, newest uint8
		ok             bool
	}{{Version, Version, true}, {1, 9, true}, {VersionMin - 1, VersionMin - 1, false},
		{Version + 1, 9, false}, {0, 0, false}} {
		if _, ok := (Hello{Oldest: c.oldest, Newest: c.newest}).Common(); ok != c.ok {
			t.Errorf("%d to %d: %v", c.oldest, c.newest, ok)
		}
	}
}
