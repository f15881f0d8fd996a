package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"trine/internal/core"
)

var codecs = []Codec{None, Gzip, Snappy, LZ4, Zstd}

func drawRecord(t *rapid.T) core.Record {
	blob := rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOfN(rapid.Byte(), 0, 200))
	r := core.Record{
		Stamp: core.Stamp(rapid.Int64Range(0, 1<<42).Draw(t, "stamp")),
		Key:   blob.Draw(t, "key"),
		Value: blob.Draw(t, "value"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "headers") {
		r.Headers = append(r.Headers, core.Header{
			Key: rapid.StringN(0, 20, 40).Draw(t, "hkey"), Value: blob.Draw(t, "hvalue")})
	}
	if rapid.Bool().Draw(t, "queue") {
		r.Priority = rapid.Byte().Draw(t, "priority")
		r.Expires = core.Stamp(rapid.Int64Range(0, 1<<42).Draw(t, "expires"))
		r.NotBefore = core.Stamp(rapid.Int64Range(0, 1<<42).Draw(t, "notbefore"))
	}
	return r
}

func build(rs []core.Record) []byte {
	var b Builder
	b.Reset(0, 0, 1000)
	for i := range rs {
		b.Add(&rs[i])
	}
	return b.Finish()
}

func same(a, b *core.Record) bool {
	null := func(x, y []byte) bool { return (x == nil) == (y == nil) && bytes.Equal(x, y) }
	if a.Stamp != b.Stamp || !null(a.Key, b.Key) || !null(a.Value, b.Value) ||
		a.Priority != b.Priority || a.Expires != b.Expires || a.NotBefore != b.NotBefore ||
		len(a.Headers) != len(b.Headers) {
		return false
	}
	for i := range a.Headers {
		if a.Headers[i].Key != b.Headers[i].Key || !null(a.Headers[i].Value, b.Headers[i].Value) {
			return false
		}
	}
	return true
}

func TestWhatIsBuiltIsReadBackUnderEveryCodec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := rapid.SliceOfN(rapid.Custom(drawRecord), 1, 30).Draw(t, "records")
		plain := build(rs)
		codec := rapid.SampledFrom(codecs).Draw(t, "codec")
		b, err := Recompress(plain, codec)
		if err != nil {
			t.Fatal(err)
		}
		SetBase(b, 77, 3)
		h, err := Check(b)
		if err != nil {
			t.Fatal(err)
		}
		if h.Base != 77 || h.Epoch != 3 || h.Codec() != codec || h.Count != int32(len(rs)) ||
			h.Next() != 77+core.Offset(len(rs)) || h.Size() != len(b) {
			t.Fatalf("header %+v", h)
		}
		if err := CheckRecords(b, UnpackedMax); err != nil {
			t.Fatal(err)
		}
		i := 0
		err = Each(b, UnpackedMax, func(o core.Offset, r *core.Record) bool {
			if o != 77+core.Offset(i) || !same(r, &rs[i]) {
				t.Fatalf("offset %d: %+v, want %+v", o, r, rs[i])
			}
			i++
			return true
		})
		if err != nil || i != len(rs) {
			t.Fatal(i, err)
		}
		one, err := One(b, h.Last())
		if err != nil || !same(&one, &rs[len(rs)-1]) {
			t.Fatal(one, err)
		}
	})
}

func TestAnotherImplementationReadsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := rapid.SliceOfN(rapid.Custom(drawRecord), 1, 10).Draw(t, "records")
		var k kmsg.RecordBatch
		b := build(rs)
		if err := k.ReadFrom(b); err != nil {
			t.Fatal(err)
		}
		h, _ := Parse(b)
		if k.NumRecords != h.Count || int32(k.CRC) != int32(h.CRC) ||
			k.FirstTimestamp != int64(h.First) ||
			k.MaxTimestamp != int64(h.Max) || k.ProducerID != -1 || k.LastOffsetDelta != h.LastDelta ||
			k.FirstSequence != -1 || k.ProducerEpoch != -1 || k.PartitionLeaderEpoch != -1 {
			t.Fatalf("%+v, want %+v", k, h)
		}
		rest := k.Records
		for i := range rs {
			n, w := kbin.Varint(rest)
			var r kmsg.Record
			if err := r.ReadFrom(rest[:w+int(n)]); err != nil {
				t.Fatal(err)
			}
			rest = rest[w+int(n):]
			if !bytes.Equal(r.Key, rs[i].Key) || !bytes.Equal(r.Value, rs[i].Value) ||
				int(r.OffsetDelta) != i || k.FirstTimestamp+r.TimestampDelta64 != int64(rs[i].Stamp) {
				t.Fatalf("%+v, want %+v", r, rs[i])
			}
			if err := r.ReadFrom(r.AppendTo(nil)); err != nil {
				t.Fatal(err)
			}
		}
		if len(rest) != 0 {
			t.Fatal("bytes are left")
		}
		if again := k.AppendTo(nil); !bytes.Equal(again, b) {
			t.Fatalf("written again as\n%x, was\n%x", again, b)
		}
	})
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	b := build([]core.Record{{Stamp: 5, Key: []byte("k"), Value: []byte("v")}})
	for i := range b {
		if i < atLength || i >= atEpoch && i < atMagic {
			continue // the frame of an entry guards base and epoch
		}
		for bit := range 8 {
			c := bytes.Clone(b)
			c[i] ^= 1 << bit
			if _, err := Check(c); err == nil {
				t.Fatalf("byte %d bit %d: passed", i, bit)
			}
		}
	}
}

func TestFilterKeepsBaseAndLastDelta(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := rapid.SliceOfN(rapid.Custom(drawRecord), 1, 20).Draw(t, "records")
		kept := rapid.SliceOfN(rapid.Bool(), len(rs), len(rs)).Draw(t, "kept")
		b, err := Recompress(build(rs), rapid.SampledFrom(codecs).Draw(t, "codec"))
		if err != nil {
			t.Fatal(err)
		}
		SetBase(b, 100, 1)
		f, err := Filter(b, func(o core.Offset, r *core.Record) bool { return kept[o-100] })
		if err != nil {
			t.Fatal(err)
		}
		h, err := Check(f)
		if err != nil || h.Base != 100 || h.Next() != 100+core.Offset(len(rs)) {
			t.Fatal(h, err)
		}
		var got []core.Offset
		if err := Each(f, UnpackedMax, func(o core.Offset, r *core.Record) bool {
			if !same(r, &rs[o-100]) {
				t.Fatal(o, r)
			}
			got = append(got, o)
			return true
		}); err != nil {
			t.Fatal(err)
		}
		n := 0
		for i, k := range kept {
			if k {
				if n >= len(got) || got[n] != 100+core.Offset(i) {
					t.Fatal(got, kept)
				}
				n++
			}
		}
		if n != len(got) || int(h.Count) != n {
			t.Fatal(got, kept)
		}
	})
}

func TestSetStampSetsAllRecords(t *testing.T) {
	b := build([]core.Record{{Stamp: 5, Value: []byte("a")}, {Stamp: 9, Value: []byte("b")}})
	SetStamp(b, 1234)
	h, err := Check(b)
	if err != nil || !h.AppendTime() || h.Max != 1234 {
		t.Fatal(h, err)
	}
	if err := Each(b, 100, func(o core.Offset, r *core.Record) bool {
		if r.Stamp != 1234 {
			t.Error(o, r.Stamp)
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
}

func TestSessionsStandAsProducers(t *testing.T) {
	var b Builder
	b.Reset(core.SessionOf(41), 7, 99)
	b.Add(&core.Record{Stamp: -1, Value: []byte("x")})
	h, err := Check(b.Finish())
	if err != nil || h.Producer != -43 || h.ProducerEpoch != 0 || h.Sequence != 7 ||
		h.First != 99 || h.Max != 99 {
		t.Fatal(h, err)
	}
}

func TestSplitRefusesAPartialBatch(t *testing.T) {
	one := build([]core.Record{{Value: []byte("a")}})
	two := append(bytes.Clone(one), one...)
	if bs, err := Split(two); err != nil || len(bs) != 2 || !bytes.Equal(bs[1], one) {
		t.Fatal(bs, err)
	}
	if _, err := Split(two[:len(two)-1]); !errors.Is(err, ErrShort) {
		t.Fatal(err)
	}
}

func TestRawSnappyIsRead(t *testing.T) {
	var c Coder
	raw := []byte{5, 4 << 2, 'h', 'e', 'l', 'l', 'o'}
	if b, err := c.Unpack(Snappy, raw, 100); err != nil || string(b) != "hello" {
		t.Fatal(b, err)
	}
}

func TestBombsAreRefusedBeforeTheyAreUnpacked(t *testing.T) {
	zeros := make([]byte, 8<<20)
	for _, codec := range codecs[1:] {
		var c Coder
		p, err := c.Pack(codec, zeros)
		if err != nil {
			t.Fatal(err)
		}
		p = bytes.Clone(p)
		if _, err := c.Unpack(codec, p, 1<<20); !errors.Is(err, ErrLarge) {
			t.Errorf("%s: %v", codec, err)
		}
		if cap(c.buf) > 4<<20 {
			t.Errorf("%s: %d bytes were taken", codec, cap(c.buf))
		}
		if b, err := c.Unpack(codec, p, 8<<20); err != nil || len(b) != 8<<20 {
			t.Errorf("%s: %d bytes, %v", codec, len(b), err)
		}
		c.Close()
	}
	lies := map[Codec][]byte{
		Snappy: append(binary.AppendUvarint(nil, 1<<30), 0, 'x'),
		Zstd:   {0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0x40, 1, 0, 0}, // one segment of 1 GiB
	}
	for codec, p := range lies {
		var c Coder
		if _, err := c.Unpack(codec, p, 1<<31-1); !errors.Is(err, ErrForm) {
			t.Errorf("%s: %v", codec, err)
		}
	}
}

// Clients that compress as they go do not say how much it will be, and announce a
// window that has nothing to do with it.
func TestZstdWithoutItsSizeIsReadInAnyBuffer(t *testing.T) {
	var stream bytes.Buffer
	w, err := zstd.NewWriter(&stream, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20))
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("three "), 1000)
	for _, part := range [][]byte{want[:10], want[10:4000], want[4000:]} {
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, 10, 100, 1000, 3000, 5999, 6000, 6001, 7000, 1 << 20} {
		c := Coder{buf: make([]byte, 0, size+1)}
		if b, err := c.Unpack(Zstd, stream.Bytes(), len(want)); err != nil || !bytes.Equal(b, want) {
			t.Fatal(size, err)
		}
		c.Close()
	}
	var c Coder
	if _, err := c.Unpack(Zstd, stream.Bytes(), len(want)-1); !errors.Is(err, ErrLarge) {
		t.Fatal(err)
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	b := build([]core.Record{{Value: make([]byte, 1000)}})
	var c Coder
	if n := testing.AllocsPerRun(100, func() {
		if _, err := Check(b); err != nil {
			t.Fatal(err)
		}
		if err := c.CheckRecords(b, 1<<20); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Fatal(n)
	}
}

func TestGapsInOffsetsAreRefusedAtTheDoorOnly(t *testing.T) {
	b, err := Filter(build([]core.Record{{Value: []byte("a")}, {Value: []byte("b")}}),
		func(o core.Offset, _ *core.Record) bool { return o == 1 })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Check(b); err != nil {
		t.Fatal(err)
	}
	if err := CheckRecords(b, 1<<20); !errors.Is(err, ErrForm) {
		t.Fatal(err)
	}
}

func seeds(f *testing.F) {
	for _, codec := range codecs {
		b, err := Recompress(build([]core.Record{{Stamp: 3, Key: []byte("k"),
			Value:   bytes.Repeat([]byte("v"), 50),
			Headers: []core.Header{{Key: "h", Value: []byte("1")}}, Priority: 3}, {Value: nil}}), codec)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

func FuzzBatch(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		const bytesMax = 1 << 20
		h, err := Parse(b)
		if err != nil {
			return
		}
		b = b[:h.Size()]
		sum(b)
		if _, err := Check(b); err != nil {
			return
		}
		checked := CheckRecords(b, bytesMax)
		n := 0
		var rs []core.Record
		err = Each(b, bytesMax, func(o core.Offset, r *core.Record) bool {
			n++
			c := *r
			c.Headers = append([]core.Header(nil), r.Headers...)
			rs = append(rs, c)
			return true
		})
		if checked == nil && (err != nil || n != int(h.Count)) {
			t.Fatalf("checked, but %d of %d records read: %v", n, h.Count, err)
		}
		if err != nil || n == 0 || h.AppendTime() {
			return
		}
		for i := range rs {
			if rs[i].Stamp < 0 {
				return
			}
		}
		i := 0
		if err := Each(build(rs), 8<<20, func(_ core.Offset, r *core.Record) bool {
			if !same(r, &rs[i]) {
				t.Fatal(fmt.Sprint(*r, rs[i]))
			}
			i++
			return true
		}); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzUnpack(f *testing.F) {
	for _, codec := range codecs {
		var c Coder
		b, _ := c.Pack(codec, bytes.Repeat([]byte("abc"), 100))
		f.Add(uint8(codec), bytes.Clone(b))
	}
	f.Fuzz(func(t *testing.T, codec uint8, b []byte) {
		var c Coder
		defer c.Close()
		if got, err := c.Unpack(Codec(codec), b, 1<<20); err == nil && len(got) > 1<<20 {
			t.Fatal(len(got))
		}
	})
}

func TestTheGreatestStampIsThatOfTheRecords(t *testing.T) {
	b := build([]core.Record{{Stamp: 5}, {Stamp: 9}, {Stamp: 7}})
	SetMax(b, 1000)
	var c Coder
	if s, err := c.CheckStamps(b, 1000); err != nil || s != 9 {
		t.Fatal(s, err)
	}
	SetMax(b, 9)
	if h, err := Check(b); err != nil || h.Max != 9 {
		t.Fatal(h, err)
	}
}
