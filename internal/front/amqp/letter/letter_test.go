package letter

import (
	"bytes"
	"strings"
	"testing"

	"trine/internal/core"
	"trine/internal/front/amqp/wire"
)

func TestARecordGivesBackWhatItWasMadeOf(t *testing.T) {
	long := []byte(strings.Repeat("k", wire.ShortMax))
	f := wire.Fields{Flags: wire.HasPriority | wire.HasExpiration | wire.HasHeaders, Priority: 7,
		Expiration: []byte("1500"), Headers: wire.Table(nil).PutString("BCC", "x").PutString("a", "b")}
	props := f.Append(nil)
	for _, key := range [][]byte{nil, []byte("key"), long[:253], long[:254], long} {
		r := (&Slab{}).Record(1000, key, key, props, &f, []byte("body"))
		m := Of(&r, "q")
		if !bytes.Equal(m.Exchange, key) || !bytes.Equal(m.Key, key) || !bytes.Equal(m.Props, props) ||
			string(m.Body) != "body" || r.Priority != 7 || r.Expires != 2500 || Version(&r) != Plain {
			t.Errorf("%d bytes: %+v", len(key), m)
		}
	}
	var got wire.Fields
	if _, err := got.Read(WithoutBCC(props, &f)); err != nil || len(got.Headers) == 0 {
		t.Fatal(err)
	}
	if _, there := got.Headers.Get("BCC"); there {
		t.Error("BCC is left")
	}
}

func FuzzOf(f *testing.F) {
	f.Add([]byte{1, 1, 'x', 1, 'k', 0, 0})
	f.Add([]byte{2, 255, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		m := Of(&core.Record{Headers: []core.Header{{Key: header, Value: b}}}, "q")
		if len(m.Exchange)+len(m.Key)+len(m.Props) > len(b)+20 {
			t.Fatal("more came out than went in")
		}
	})
}

func TestADeathIsCountedAndPutFirst(t *testing.T) {
	f := wire.Fields{Flags: wire.HasExpiration, Expiration: []byte("5")}
	r := (&Slab{}).Record(0, []byte("x"), []byte("k"), f.Append(nil), &f, nil)
	for i, queue := range []string{"a", "b", "a"} {
		m := Of(&r, queue)
		b := Bury(core.Stamp(1000*(i+1)), &core.Forward{Record: r, Why: core.ForwardExpired}, &m, queue, nil)
		if i == 2 && (!b.Cycles("a") || !b.Cycles("b") || b.Cycles("c")) {
			t.Error("it does not see where it would come round to")
		}
		r = core.Record{Headers: Headers(Forwarded, m.Exchange, b.Key, b.Props)}
	}
	var got wire.Fields
	if _, err := got.Read(Of(&r, "").Props); err != nil || got.Flags&wire.HasExpiration != 0 {
		t.Fatal("expiration is left", err)
	}
	deaths := deathsOf(got.Headers)
	if len(deaths) != 2 || deaths[0].queue != "a" || count(deaths[0].table) != 2 ||
		text(deaths[0].table, "original-expiration") != "5" || count(deaths[1].table) != 1 ||
		text(got.Headers, "x-first-death-queue") != "a" || text(got.Headers, "x-last-death-queue") != "a" {
		t.Errorf("%v", deaths)
	}
}
