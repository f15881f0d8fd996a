package layout

import (
	"os"
	"strings"
	"testing"
)

// TestTheSourceKeepsItsLayout holds every source file against every rule.
func TestTheSourceKeepsItsLayout(t *testing.T) {
	files := source(t)
	for name, breaches := range rules {
		t.Run(name, func(t *testing.T) {
			for _, b := range breaches(files) {
				t.Error(b)
			}
		})
	}
	t.Run("sizes", func(t *testing.T) {
		allowed, err := os.ReadFile("allowed.txt")
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range tooLong(files, string(allowed)) {
			t.Error(b)
		}
	})
}

// planted is source that breaks one rule, or that looks as if it did.
type planted struct {
	rule, path, src string
	breach          string // "": none
}

var plants = []planted{
	{"imports", "internal/core/ids.go", `import "fmt"`, ""},
	{"imports", "internal/core/ids.go", `import "strings"`, "core imports fmt alone"},
	{"imports", "internal/core/stream/a.go", `import "trine/internal/core/record"`, ""},
	{"imports", "internal/core/record/a.go", `import "trine/internal/core/stream"`, "may not import core/stream"},
	{"imports", "internal/core/catalog/a.go", `import "trine/internal/core/shard"`, "may not import core/shard"},
	{"imports", "internal/core/catalog/a.go", `import "trine/internal/link"`, "may not import link"},
	{"imports", "internal/core/shard/a.go", `import "trine/internal/core/catalog"`, ""},
	{"imports", "internal/link/a.go", `import "trine/internal/journal"`, "may not import journal"},
	{"imports", "internal/journal/a.go", `import "trine/internal/link"`, "may not import link"},
	{"imports", "internal/node/a.go", `import "trine/internal/core/shard"`, ""},
	{"imports", "internal/node/a.go", `import "trine/internal/journal"`, ""},
	{"imports", "internal/node/a.go", `import "trine/internal/core/queue"`, "may not import core/queue"},
	{"imports", "internal/node/a.go", `import "trine/internal/front"`, "may not import front"},
	{"imports", "internal/front/a.go", `import "trine/internal/node"`, "may not import node"},
	{"imports", "internal/front/a.go", `import "trine/internal/front/gate"`, "may not import front/gate"},
	{"imports", "internal/front/amqp/a.go", `import "trine/internal/front/gate"`, ""},
	{"imports", "internal/front/amqp/a.go", `import "trine/internal/front/amqp/wire"`, ""},
	{"imports", "internal/front/amqp/a.go", `import "trine/internal/front/kafka"`, "may not import front/kafka"},
	{"imports", "internal/front/amqp/wire/a.go", `import "trine/internal/core/shard"`, "may not import core/shard"},
	{"imports", "internal/front/gate/a.go", `import "trine/internal/front/amqp"`, "may not import front/amqp"},
	{"imports", "internal/front/kafka/a.go", `import "trine/internal/core/catalog"`, "may not import core/catalog"},
	{"imports", "internal/sim/a.go", `import "trine/internal/core/shard"`, ""},
	{"imports", "internal/sim/a.go", `import "trine/internal/drill"`, "may not import drill"},
	{"imports", "internal/seamtest/a.go", `import "trine/internal/node"`, "may not import node"},
	{"imports", "internal/front/amqp/a.go", `import "trine/internal/seamtest"`, "may not import seamtest"},
	{"imports", "internal/util/a.go", ``, "no place in the layout"},
	{"imports", "internal/link/a_test.go", `import "trine/internal/node"`, ""},
	{"imports", "cmd/trine/a.go", `import "trine/internal/node"`, ""},

	{"pure", "internal/core/queue/a.go", `import "time"`, "imports time"},
	{"pure", "internal/core/queue/a.go", `import "math/rand/v2"`, "imports math/rand/v2"},
	{"pure", "internal/core/queue/a.go", `import "sync/atomic"`, "imports sync/atomic"},
	{"pure", "internal/core/shard/a.go", `import r "crypto/rand"`, "imports crypto/rand"},
	{"pure", "internal/link/a.go", `import "io/fs"`, "imports io/fs"},
	{"pure", "internal/link/a.go", `import "io"`, ""},
	{"pure", "internal/front/amqp/wire/a.go", `import "net"`, "imports net"},
	{"pure", "internal/front/kafka/group/a.go", `import "context"`, "imports context"},
	{"pure", "internal/front/kafka/a.go", `import "context"`, ""},
	{"pure", "internal/front/amqp/route/a.go", `import "log/slog"`, "imports log/slog"},
	{"pure", "internal/core/queue/a.go", `func f() { go f() }`, "goroutine"},
	{"pure", "internal/core/queue/a.go", `var c chan int`, "channel"},
	{"pure", "internal/core/queue/a_test.go", `import "time"`, ""},
	{"pure", "internal/node/a.go", `import "time"`, ""},

	{"words", "internal/core/a.go", `// as Kafka does`, "a.go:2: a protocol's word, Kafka"},
	{"words", "internal/core/a.go", `type amqpQueue int`, "amqp"},
	{"words", "internal/journal/a.go", `const name = "the ISR"`, "ISR"},
	{"words", "internal/node/a.go", `// one exchange of frames`, "exchange"},
	{"words", "internal/link/a.go", `// RocketMQ's`, "RocketMQ"},
	{"words", "internal/core/a.go", `// exchanged and disruptive`, ""},
	{"words", "internal/core/record/doc.go", `// as Kafka does`, ""},
	{"words", "internal/core/record/batch.go", `// as Kafka does`, "Kafka"},
	{"words", "internal/core/a_test.go", `// as Kafka does`, ""},
	{"words", "internal/front/kafka/a.go", `// as Kafka does`, ""},

	{"raft", "internal/core/replica/a.go", `import pb "go.etcd.io/raft/v3/raftpb"`, ""},
	{"raft", "internal/node/a.go", `import "go.etcd.io/raft/v3/raftpb"`, "only core/replica"},

	{"seam", "internal/front/front.go", `type S interface { A(); B(); C(); D(); E(); F() }`, ""},
	{"seam", "internal/front/front.go", `type S interface { A(); B(); C(); D(); E(); F(); G() }`, "S has 7 methods"},
	{"seam", "internal/front/front.go", `type S interface { A(); B(); C(); D(); E(); F(); error }`, "S has 7 methods"},

	{"clients", "internal/node/a.go", `import "github.com/twmb/franz-go/pkg/kgo"`, "client of the drill's"},
	{"clients", "cmd/trine/a.go", `import "github.com/rabbitmq/amqp091-go"`, "client of the drill's"},
	{"clients", "internal/sim/a.go", `import "github.com/apache/rocketmq-client-go/v2/producer"`, "client of"},
	{"clients", "internal/front/kafka/a.go", `import "github.com/twmb/franz-go/pkg/kmsg"`, ""},
	{"clients", "internal/drill/a.go", `import "github.com/twmb/franz-go/pkg/kgo"`, ""},
	{"clients", "internal/node/a_test.go", `import "github.com/twmb/franz-go/pkg/kgo"`, ""},
}

// TestEveryRuleFindsWhatIsPlanted proves that each rule can fail.
func TestEveryRuleFindsWhatIsPlanted(t *testing.T) {
	failed := map[string]bool{}
	for _, p := range plants {
		f, err := parse(p.path, "package p\n"+p.src+"\n")
		if err != nil {
			t.Fatalf("%s: %v", p.src, err)
		}
		found := strings.Join(rules[p.rule]([]*file{f}), "\n")
		if p.breach == "" && found != "" || !strings.Contains(found, p.breach) {
			t.Errorf("%s: %s %s: found %q, should be %q", p.rule, p.path, p.src, found, p.breach)
		}
		failed[p.rule] = failed[p.rule] || p.breach != ""
	}
	for name := range rules {
		if !failed[name] {
			t.Errorf("no breach of the rule %q was planted", name)
		}
	}
}

func TestRaftIsNamedInOneFileOnly(t *testing.T) {
	src := "package p\nimport \"go.etcd.io/raft/v3/raftpb\"\n"
	a, _ := parse("internal/core/replica/a.go", src)
	b, _ := parse("internal/core/replica/b.go", src)
	if bad := raftInOneFile([]*file{a, b}); len(bad) != 1 || !strings.Contains(bad[0], "more than one file") {
		t.Errorf("found %q", bad)
	}
}

// TestSizesRatchet: what is allowed to be too long may only shrink.
func TestSizesRatchet(t *testing.T) {
	long := "package p\nfunc f() {\n" + strings.Repeat("\tf()\n", 598) + "}\n"
	f, err := parse("internal/node/a.go", long)
	if err != nil {
		t.Fatal(err)
	}
	short, _ := parse("internal/node/b.go", "package p\nfunc (x *T[V]) g() {}\n")
	var many []*file
	for range 9 {
		many = append(many, f)
	}
	for _, c := range []struct {
		files   []*file
		allowed string
		breach  []string
	}{
		{[]*file{short}, "", nil},
		{[]*file{f}, "", []string{"file internal/node/a.go has 601 lines, of at most 500",
			"function internal/node/a.go:f has 600 lines, of at most 70"}},
		{[]*file{f}, "# why\nfile internal/node/a.go 601 a table\nfunction internal/node/a.go:f 600 a table", nil},
		{[]*file{f}, "file internal/node/a.go 600 a table\nfunction internal/node/a.go:f 601 a table",
			[]string{"allowed.txt: function internal/node/a.go:f has shrunk: write 600",
				"file internal/node/a.go has grown to 601 lines, 600 are allowed"}},
		{[]*file{short}, "function internal/node/b.go:T.g 71 a table",
			[]string{"allowed.txt: function internal/node/b.go:T.g fits by now: remove it"}},
		{[]*file{short}, "file internal/node/c.go 600 a table",
			[]string{"allowed.txt: there is no file internal/node/c.go"}},
		{[]*file{short}, "file internal/node/c.go 600",
			[]string{"allowed.txt:1: what, name, lines, reason are needed"}},
		{many, "file internal/node/a.go 601 x\nfunction internal/node/a.go:f 600 x", []string{"package internal/node has 5409 lines"}},
	} {
		bad := tooLong(c.files, c.allowed)
		if len(c.breach) == 1 && len(bad) > 1 { // the same file nine times
			bad = bad[len(bad)-1:]
		}
		if len(bad) != len(c.breach) {
			t.Errorf("%q: found %q, should be %q", c.allowed, bad, c.breach)
			continue
		}
		for i := range bad {
			if !strings.Contains(bad[i], c.breach[i]) {
				t.Errorf("%q: found %q, should be %q", c.allowed, bad[i], c.breach[i])
			}
		}
	}
}
