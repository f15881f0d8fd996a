package route

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"trine/internal/front/amqp/wire"
)

func hashing(kind Kind) *Bindings[string] {
	return &Bindings[string]{Kind: kind, Order: strings.Compare, Target: func(d string) string { return d }}
}

func goesTo(b *Bindings[string], m *Message) string {
	var s Scratch
	if got := b.Match(m, &s, nil); len(got) == 1 {
		return got[0]
	}
	return ""
}

func TestWeightsShareOutTheKeys(t *testing.T) {
	b := hashing(ConsistentHash)
	weights := map[string]int{"a": 1, "b": 2, "c": 5}
	for d, w := range weights {
		b.Add(fmt.Sprint(w), nil, d)
	}
	b.Add("9", nil, "a") // a second binding to a: the first counts
	counts := map[string]int{}
	const n = 80_000
	for i := range n {
		counts[goesTo(b, &Message{Key: []byte(fmt.Sprint("key", i))})]++
	}
	for d, w := range weights {
		want := float64(n) * float64(w) / 8
		if math.Abs(float64(counts[d])-want) > want/20 {
			t.Errorf("%s: %d of %d, want about %.0f", d, counts[d], n, want)
		}
	}
}

func TestFewKeysMoveWhenAQueueComesOrGoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "queues")
		b, more := hashing(ConsistentHash), hashing(ConsistentHash)
		order := rapid.Permutation([]int{0, 1, 2, 3, 4, 5, 6, 7}).Draw(t, "order")
		for _, i := range order { // as another node may have come to know of them
			if i < n {
				more.Add("3", nil, fmt.Sprint("q", i))
			}
		}
		for i := range n {
			b.Add("3", nil, fmt.Sprint("q", i))
		}
		more.Add("3", nil, "r")
		moved := 0
		for i := range 200 {
			m := &Message{Key: []byte(fmt.Sprint("k", i))}
			if was, is := goesTo(b, m), goesTo(more, m); was != is {
				moved++
				if is != "r" {
					t.Fatalf("a key went from %s to %s as r came", was, is)
				}
			}
		}
		if moved == 0 {
			t.Fatal("r gets nothing")
		}
		more.Remove("3", nil, "r")
		for i := range 200 {
			m := &Message{Key: []byte(fmt.Sprint("k", i))}
			if goesTo(b, m) != goesTo(more, m) {
				t.Fatal("the ring is not what it was")
			}
		}
	})
}

func TestAHashIsOfWhatTheExchangeSays(t *testing.T) {
	fields := func(header any, id string) *wire.Fields {
		f := &wire.Fields{Flags: wire.HasHeaders | wire.HasMessageID, MessageID: []byte(id)}
		switch v := header.(type) {
		case string:
			f.Headers = f.Headers.PutString("h", v)
		case int32:
			f.Headers = f.Headers.PutInt32("h", v)
		case int64:
			f.Headers = f.Headers.PutInt("h", v)
		}
		return f
	}
	byHeader, byID := HashOn{Header: "h"}, HashOn{Property: "message_id"}
	one := &Message{Key: []byte("k"), Fields: fields(int32(7), "id")}
	other := &Message{Key: []byte("l"), Fields: fields(int64(7), "id")}
	if byHeader.hash(one) != byHeader.hash(other) || byID.hash(one) != byID.hash(other) {
		t.Error("the key changes a hash that is not of it, or an integer's size does")
	}
	if (HashOn{}).hash(one) == (HashOn{}).hash(other) {
		t.Error("two keys have one hash")
	}
	if byHeader.hash(&Message{Fields: fields("a", "")}) == byHeader.hash(&Message{Fields: fields("b", "")}) {
		t.Error("two headers have one hash")
	}
	if byHeader.hash(&Message{}) != byHeader.hash(&Message{Key: []byte("k"), Fields: fields(nil, "x")}) {
		t.Error("what has not the header has no common hash")
	}
}

func TestWeightsAreRefusedInRabbitMQsWords(t *testing.T) {
	for key, want := range map[string]string{"1": "", "10000": "",
		"0": "The binding key must be greater than 0", "-3": "The binding key must be greater than 0",
		"x": `The binding key must be an integer: <<"x">>`, "10001": "The binding key must not exceed 10000"} {
		if _, why := Weight(key); why != want {
			t.Errorf("%s: %s", key, why)
		}
	}
}

func TestChanceIsTheCallersAndReachesAll(t *testing.T) {
	b := Bindings[string]{Kind: Random}
	near := Bindings[string]{Kind: LocalRandom, Near: func(d string) bool { return d != "b" }}
	for _, d := range []string{"a", "b", "c"} {
		b.Add("", nil, d)
		near.Add("", nil, d)
	}
	seen := map[string]int{}
	for i := range uint64(300) {
		m := &Message{Draw: Mix(i)}
		seen[goesTo(&b, m)]++
		seen["near "+goesTo(&near, m)]++
		if goesTo(&b, m) != goesTo(&b, m) {
			t.Fatal("the same number gave two answers")
		}
	}
	for _, d := range []string{"a", "b", "c", "near a", "near c"} {
		if seen[d] < 50 {
			t.Errorf("%s: %d of 300", d, seen[d])
		}
	}
	if seen["near b"] > 0 {
		t.Error("a queue far away was chosen")
	}
}

func TestADelayIsReadHoweverItIsWritten(t *testing.T) {
	table := func(v wire.Value) wire.Table { return wire.Table(nil).Put("x-delay", v) }
	for _, c := range []struct {
		headers wire.Table
		want    int64
		after   int64
	}{
		{nil, 0, 0},
		{wire.Table(nil).PutInt32("x-delay", 1500), 1500, -1500},
		{wire.Table(nil).PutInt("x-delay", 1<<32-1), 1<<32 - 1, -(1<<32 - 1)},
		{wire.Table(nil).PutInt("x-delay", 1<<32), 0, -(1 << 32)},
		{wire.Table(nil).PutInt("x-delay", -5), 0, 5},
		{wire.Table(nil).PutString("x-delay", "250"), 250, -250},
		{wire.Table(nil).PutString("x-delay", "soon"), 0, 0},
		{table(wire.Value{Type: wire.TypeDouble, Raw: []byte{0x40, 0x59, 0, 0, 0, 0, 0, 0}}), 100, -100},
		{table(wire.Value{Type: wire.TypeDouble, Raw: []byte{0x7f, 0xf8, 0, 0, 0, 0, 0, 0}}), 0, 0}, // NaN
	} {
		if got := Delay(c.headers); got != c.want {
			t.Errorf("%q: %d, want %d", c.headers, got, c.want)
		}
		v, _ := Undelayed(c.headers).Get("x-delay")
		if n, _ := v.Int(); n != c.after {
			t.Errorf("%q: afterwards %d, want %d", c.headers, n, c.after)
		}
	}
}

func TestATopicsNodesAreUsedAgain(t *testing.T) {
	var tree Topic[int]
	for i := range 1000 {
		p := fmt.Sprintf("a.%d.#.b", i)
		tree.Add(p, i)
		tree.Remove(p, i)
	}
	if tree.count > 10 {
		t.Errorf("%d ids were given out for 5 nodes", tree.count)
	}
	tree.Add("a.#", 1)
	tree.Add("*.b", 2)
	var s Scratch
	if got := tree.Match([]byte("a.b"), &s, nil); !slices.Equal(got, []int{1, 2}) && !slices.Equal(got, []int{2, 1}) {
		t.Error(got)
	}
}

// BenchmarkRowsOfHashes matches a key against patterns that make a matcher which
// backtracks exponential; ns/op divided by the words must not grow with their number.
func BenchmarkRowsOfHashes(b *testing.B) {
	for _, words := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(words), func(b *testing.B) {
			var tree Topic[int]
			var s Scratch
			for i := range 10 {
				tree.Add(strings.Repeat("#.", 10+i)+"a.#.*.#.end", i)
			}
			key := []byte(strings.Repeat("a.", words-1) + "b")
			b.ReportAllocs()
			for b.Loop() {
				if len(tree.Match(key, &s, nil)) != 0 {
					b.Fatal("matched")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(words), "ns/word")
		})
	}
}
