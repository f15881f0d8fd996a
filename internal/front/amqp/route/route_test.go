package route

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"trine/internal/front/amqp/wire"
)

// matches is the rule of topic patterns said plainly, by recursion over words.
func matches(pattern, key []string) bool {
	if len(pattern) == 0 {
		return len(key) == 0
	}
	if pattern[0] == "#" {
		return matches(pattern[1:], key) || len(key) > 0 && matches(pattern, key[1:])
	}
	return len(key) > 0 && (pattern[0] == "*" || pattern[0] == key[0]) &&
		matches(pattern[1:], key[1:])
}

func words(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ".")
}

func TestTheTreeMatchesWhatTheRuleSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "*", "#", ""}), 0, 5),
			func(w []string) string { return strings.Join(w, ".") })
		key := rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", ""}), 0, 5),
			func(w []string) string { return strings.Join(w, ".") })
		var tree Topic[int]
		var s Scratch
		patterns := rapid.SliceOfN(pattern, 1, 8).Draw(t, "patterns")
		for i, p := range patterns {
			tree.Add(p, i)
		}
		for i, p := range patterns {
			if rapid.Bool().Draw(t, "remove") {
				tree.Remove(p, i)
				patterns[i] = "removed"
			}
		}
		for range 3 {
			k := key.Draw(t, "key")
			var want []int
			for i, p := range patterns {
				if p != "removed" && matches(words(p), words(k)) {
					want = append(want, i)
				}
			}
			got := tree.Match([]byte(k), &s, nil)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("%q over %q: got %v, want %v", k, patterns, got, want)
			}
		}
	})
}

func TestARowOfHashesCostsNoMoreThanItsLength(t *testing.T) {
	var tree Topic[int]
	var s Scratch
	tree.Add(strings.Repeat("#.a.", 40)+"end", 1)
	key := []byte(strings.Repeat("a.", 100) + "b") // exponential where one backtracks
	if got := tree.Match(key, &s, nil); len(got) != 0 {
		t.Fatal(got)
	}
	if got := tree.Match([]byte(strings.Repeat("a.", 100)+"end"), &s, nil); len(got) != 1 {
		t.Fatal(got)
	}
}

func TestEmptyTreesAreCutOff(t *testing.T) {
	var tree Topic[int]
	for i := range 100 {
		p := fmt.Sprintf("a.%d.#.*", i)
		tree.Add(p, i)
		tree.Remove(p, i)
	}
	if n := len(tree.root.words); n != 0 {
		t.Fatalf("%d words are left", n)
	}
}

func TestHeadersMatch(t *testing.T) {
	table := func(match string, fields ...any) wire.Table {
		var t wire.Table
		if match != "" {
			t = t.PutString("x-match", match)
		}
		for i := 0; i < len(fields); i += 2 {
			switch v := fields[i+1].(type) {
			case string:
				t = t.PutString(fields[i].(string), v)
			case int:
				t = t.PutInt(fields[i].(string), int64(v))
			case nil:
				t = t.Put(fields[i].(string), wire.Value{Type: wire.TypeVoid})
			}
		}
		return t
	}
	headers := table("", "a", "1", "n", 5, "x-y", "z").PutInt32("m", 7)
	for _, c := range []struct {
		args wire.Table
		want bool
	}{
		{table(""), true},
		{table("all", "a", "1", "n", 5), true},
		{table("all", "a", "1", "n", 6), false},
		{table("all", "m", 7), true}, // whatever the integer's size
		{table("all", "a", nil), true},
		{table("all", "b", nil), false},
		{table("any", "a", "2", "n", 5), true},
		{table("any", "a", "2"), false},
		{table("any"), false},
		{table("all", "a", "1", "x-y", "other"), true},
		{table("all-with-x", "a", "1", "x-y", "other"), false},
		{table("any-with-x", "a", "2", "x-y", "z"), true},
		{table("any", "a", "2", "x-y", "z"), false},
	} {
		k, _, ok := MatchKindOf(c.args)
		if got := MatchHeaders(k, c.args, headers); !ok || got != c.want {
			t.Errorf("%q: %v", c.args, got)
		}
	}
	if _, text, ok := MatchKindOf(table("foo")); ok || text != "foo" {
		t.Error("x-match foo was accepted")
	}
}

func TestBindingsOfEachKindComeAndGo(t *testing.T) {
	for kind, key := range map[Kind]string{Direct: "k", Fanout: "", TopicKind: "#", Headers: ""} {
		b := Bindings[string]{Kind: kind}
		var s Scratch
		b.Add(key, nil, "one")
		b.Add(key, nil, "two")
		if got := b.Match(&Message{Key: []byte("k")}, &s, nil); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("kind %d: %v", kind, got)
		}
		b.Remove(key, nil, "one")
		if got := b.Match(&Message{Key: []byte("k")}, &s, nil); !slices.Equal(got, []string{"two"}) {
			t.Errorf("kind %d: %v", kind, got)
		}
	}
}

func BenchmarkTopic(b *testing.B) {
	var tree Topic[int]
	for i := range 1000 {
		tree.Add(fmt.Sprintf("stock.%d.*.#", i), i)
	}
	var s Scratch
	var into []int
	b.ReportAllocs()
	for b.Loop() {
		into = tree.Match([]byte("stock.500.nyse.price"), &s, into[:0])
	}
}
