package layout

import (
	"fmt"
	"go/ast"
	"regexp"
	"slices"
	"strings"
)

// rule finds breaches among all files, each as one line that names the file.
type rule func(files []*file) []string

var rules = map[string]rule{
	"imports": oneWay, "pure": pure, "words": words, "raft": raftInOneFile,
	"seam": seam, "clients": clients,
}

// order is the layout, from what everybody may import downwards.
var order = []string{"core", "core/record", "core/stream", "core/queue", "core/replica",
	"core/catalog", "core/shard", "link", "journal", "node", "front", "front/gate", "front/*",
	"seamtest", "sim", "drill"}

// rank gives a package's place in order, with the packages below it; -1: it has none.
func rank(pkg string) int {
	best := -1
	for i, o := range order {
		if o == "front/*" && strings.HasPrefix(pkg, "front/") && best < i &&
			pkg != "front/gate" && !strings.HasPrefix(pkg, "front/gate/") {
			best = i
		}
		if pkg == o || strings.HasPrefix(pkg, o+"/") && o != "core" && o != "front" {
			best = i
		}
	}
	return best
}

// oneWay is the layout's direction. Tests may import what they need.
func oneWay(files []*file) (bad []string) {
	for _, f := range files {
		if f.test() || !strings.HasPrefix(f.path, "internal/") || f.pkg() == "layout" {
			continue
		}
		if rank(f.pkg()) < 0 {
			bad = append(bad, f.path+": its package has no place in the layout")
			continue
		}
		for _, i := range f.imports() {
			if i.own && !may(f.pkg(), i.path) {
				bad = append(bad, fmt.Sprintf("%s: %s may not import %s", f.path, f.pkg(), i.path))
			}
			if !i.own && f.pkg() == "core" && i.path != "fmt" {
				bad = append(bad, fmt.Sprintf("%s: core imports fmt alone, not %s", f.path, i.path))
			}
		}
	}
	return bad
}

// within says that a package is at or below another.
func within(pkg, top string) bool { return pkg == top || strings.HasPrefix(pkg, top+"/") }

// may says whether one package may import another of this module.
func may(from, to string) bool {
	if rank(to) < 0 || rank(to) > rank(from) {
		return false
	}
	switch {
	case within(from, "core"):
		return within(to, "core")
	case within(from, "link"):
		return within(to, "core") || within(to, "link")
	case within(from, "journal"):
		return within(to, "core")
	case within(from, "node"):
		return to == "core" || to == "core/shard" || within(to, "link") || within(to, "journal") ||
			within(to, "node")
	case from == "front":
		return to == "core" || to == "core/record"
	case within(from, "front"):
		own := strings.Join(strings.Split(from, "/")[:2], "/")
		return to == "core" || to == "core/record" || to == "front" || to == "front/gate" ||
			within(to, own)
	}
	if within(from, "seamtest") { // a broker for the front ends' tests
		return within(to, "core") || to == "front" || within(to, "seamtest")
	}
	return true // sim and drill: whatever stands above them
}

// isPure says that a package must give the same outputs for the same inputs.
func isPure(pkg string) bool {
	if within(pkg, "core") || within(pkg, "link") {
		return true
	}
	parts := strings.Split(pkg, "/")
	return len(parts) > 2 && parts[0] == "front" &&
		slices.Contains([]string{"wire", "route", "group", "txn"}, parts[2])
}

var impure = regexp.MustCompile(`^(time|math/rand|crypto/rand|sync|net|os|io/fs|log|context|syscall|` +
	`runtime|golang\.org/x/sys)(/|$)`)

// pure: no clock, randomness, goroutine, lock, I/O or logging.
func pure(files []*file) (bad []string) {
	for _, f := range files {
		if f.test() || !isPure(f.pkg()) {
			continue
		}
		for _, i := range f.imports() {
			if !i.own && impure.MatchString(i.path) {
				bad = append(bad, fmt.Sprintf("%s: %s is pure and imports %s", f.path, f.pkg(), i.path))
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n.(type) {
			case *ast.GoStmt, *ast.SelectStmt, *ast.ChanType:
				bad = append(bad, fmt.Sprintf("%s: %s is pure and has a goroutine or a channel",
					f.set.Position(n.Pos()), f.pkg()))
			}
			return true
		})
	}
	return bad
}

// foreign finds the protocols' words; those that are also parts of other words, only
// where they stand alone.
var foreign = regexp.MustCompile(`(?i)amqp|kafka|rocketmq|rabbit|vhost|dledger|\b(rocket|isr|exchanges?)\b`)

// words: below the seam nobody knows a protocol. The package doc of the one form of
// batches may say whose it is.
func words(files []*file) (bad []string) {
	for _, f := range files {
		p := f.pkg()
		if f.test() || f.path == "internal/core/record/doc.go" || !strings.HasPrefix(f.path, "internal/") ||
			!(within(p, "core") || within(p, "link") || within(p, "journal") || within(p, "node")) {
			continue
		}
		for i, line := range strings.Split(f.src, "\n") {
			if w := foreign.FindString(line); w != "" {
				bad = append(bad, fmt.Sprintf("%s:%d: a protocol's word, %s", f.path, i+1, w))
			}
		}
	}
	return bad
}

// raftInOneFile: the library's messages are translated in one place.
func raftInOneFile(files []*file) (bad []string) {
	var in []string
	for _, f := range files {
		for _, i := range f.imports() {
			if f.test() || i.own || !strings.HasSuffix(i.path, "/raftpb") {
				continue
			}
			if f.pkg() != "core/replica" {
				bad = append(bad, f.path+": only core/replica names raftpb")
			}
			in = append(in, f.path)
		}
	}
	if len(in) > 1 {
		bad = append(bad, "raftpb is named in more than one file: "+strings.Join(in, ", "))
	}
	return bad
}

// methodsMax is how wide an interface of the seam may be.
const methodsMax = 6

func seam(files []*file) (bad []string) {
	for _, f := range files {
		if f.path != "internal/front/front.go" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			methods := 0
			if i, ok := spec.Type.(*ast.InterfaceType); ok {
				for _, m := range i.Methods.List {
					methods += max(len(m.Names), 1)
				}
			}
			if methods > methodsMax {
				bad = append(bad, fmt.Sprintf("%s: %s has %d methods, of at most %d", f.path,
					spec.Name.Name, methods, methodsMax))
			}
			return true
		})
	}
	return bad
}

// The clients of the drill, the tests and the benchmarks, and what of them is no client: the messages' own codec.
var (
	client = regexp.MustCompile(
		`^github\.com/(rabbitmq/amqp091-go|michaelklishin/rabbit-hole|apache/rocketmq-client-go|twmb/franz-go)(/|$)`)
	codec = regexp.MustCompile(`^github\.com/twmb/franz-go/pkg/(kmsg|kbin|kerr)(/|$)`)
)

func clients(files []*file) (bad []string) {
	for _, f := range files {
		if f.test() || within(f.pkg(), "drill") || f.pkg() == "bench" || strings.HasPrefix(f.path, "tests/") {
			continue
		}
		for _, i := range f.imports() {
			if !i.own && client.MatchString(i.path) && !codec.MatchString(i.path) {
				bad = append(bad, fmt.Sprintf("%s: %s is a client of the drill's", f.path, i.path))
			}
		}
	}
	return bad
}
