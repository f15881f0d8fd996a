package record

import (
	"encoding/hex"
	"testing"

	"trine/internal/core"
)

// javaBatches are what the console producer of Apache Kafka 4.1.0 sent, once for
// each of its codecs: two records with keys and a header each.
var javaBatches = map[Codec]string{
	None: "0000000000000000000000650000000102bda10675000000000001000001a20d607cd0000001a20d" +
		"607ce800000000000007e40000000000000000000232000000086b6579311276616c7565206f6e65" +
		"0204683104763132003002086b6579321276616c75652074776f02046831047632",
	Gzip: "00000000000000000000006d00000001024f98587a000100000001000001a20d608edf000001a20d" +
		"608f1500000000000007e5000000000000000000021f8b08000000000000ff33626060e0c84ead34" +
		"142a4bcc294d55c8cf4b6562c9306429333462c86102c91841654acaf3213246002692f4ea340000" +
		"00",
	Snappy: "000000000000000000000077000000010235db6875000200000001000001a20d60ace1000001a20d" +
		"60ad3900000000000007e60000000000000000000282534e41505059000000000100000001000000" +
		"32357832000000086b6579311276616c7565206f6e65020468310476313400b00102011b00320d1b" +
		"2474776f02046831047632",
	LZ4: "000000000000000000000072000000010255401ea1000300000001000001a20d60c6b9000001a20d" +
		"60c70d00000000000007e70000000000000000000204224d1860408232000000f01032000000086b" +
		"6579311276616c7565206f6e65020468310476313400a801021b0013321b00a074776f0204683104" +
		"763200000000",
	Zstd: "0000000000000000000000720000000102c04a7f1d000400000001000001a20d60f222000001a20d" +
		"60f2a700000000000007e80000000000000000000228b52ffd0058a8010032000000086b65793112" +
		"76616c7565206f6e650204683104763134008a0202086b6579321276616c75652074776f02046831" +
		"047632010000",
}

func TestWhatAJavaClientSentIsRead(t *testing.T) {
	for codec, text := range javaBatches {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		h, err := Check(b)
		if err != nil || h.Codec() != codec || h.Count != 2 || h.Producer < 0 || h.Sequence != 0 ||
			h.Epoch != 1 {
			t.Fatalf("%s: %+v, %v", codec, h, err)
		}
		if err := CheckRecords(b, 1<<20); err != nil {
			t.Fatalf("%s: %v", codec, err)
		}
		for i, want := range []string{"key1=value one v1", "key2=value two v2"} {
			r, err := One(b, core.Offset(i))
			if err != nil || len(r.Headers) != 1 || r.Headers[0].Key != "h1" {
				t.Fatalf("%s: %+v, %v", codec, r, err)
			}
			if got := string(r.Key) + "=" + string(r.Value) + " " + string(r.Headers[0].Value); got != want {
				t.Fatalf("%s: %q", codec, got)
			}
			if r.Stamp < h.First || r.Stamp > h.Max {
				t.Fatalf("%s: stamp %d is not within %d and %d", codec, r.Stamp, h.First, h.Max)
			}
		}
		other, err := Recompress(b, (codec+1)%5)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Recompress(other, None)
		if err != nil || string(back) != string(mustPlain(t, b)) {
			t.Fatalf("%s: there and back is not the same: %v", codec, err)
		}
	}
}

func mustPlain(t *testing.T, b []byte) []byte {
	t.Helper()
	p, err := Recompress(b, None)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
