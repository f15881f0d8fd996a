package layout

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documents are the pages whose names of files, functions and tests must exist.
var documents = []string{"docs/ARCHITECTURE.md", "docs/JOURNEY.md", "docs/COMPATIBILITY.md", "docs/BENCHMARKS.md"}

var (
	fence    = regexp.MustCompile("(?s)```.*?```")
	quoted   = regexp.MustCompile("`([^`\n]+)`")
	fileName = regexp.MustCompile(`^\w[\w./-]*\.(go|txt|md)$`)
	funcName = regexp.MustCompile(`^(?:[\w*]+\.)*(\w+)\(\)$`)
	testName = regexp.MustCompile(`\bTest[A-Z]\w*`)
)

// named is all that documents may name.
type named struct {
	paths []string // of all files, from the module's root, with a leading /
	funcs map[string]bool
}

// missing gives what a page names that is not there: files by any ending of their
// path, functions written as `name()`, tests.
func (n *named) missing(page string) (bad []string) {
	for _, m := range quoted.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		switch what := m[1]; {
		case fileName.MatchString(what) && !n.hasFile(what):
			bad = append(bad, "file "+what)
		case funcName.MatchString(what) && !n.funcs[funcName.FindStringSubmatch(what)[1]]:
			bad = append(bad, "function "+what)
		}
	}
	for _, t := range testName.FindAllString(page, -1) {
		if !n.funcs[t] && t != "TestMain" {
			bad = append(bad, "test "+t)
		}
	}
	return bad
}

func (n *named) hasFile(name string) bool {
	for _, p := range n.paths {
		if strings.HasSuffix(p, "/"+name) {
			return true
		}
	}
	return false
}

// there gathers what the module has.
func there(t *testing.T) *named {
	n := &named{funcs: map[string]bool{}}
	for _, f := range source(t) {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				n.funcs[fn.Name.Name] = true
			}
		}
	}
	top := root(t)
	err := filepath.WalkDir(top, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if err == nil && d.Name() == ".git" {
				return filepath.SkipDir
			}
			return err
		}
		below, _ := filepath.Rel(top, p)
		n.paths = append(n.paths, "/"+filepath.ToSlash(below))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestDocumentsNameWhatIsThere holds the documents to the source.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	n := there(t)
	for _, d := range documents {
		page, err := os.ReadFile(filepath.Join(root(t), d))
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range n.missing(string(page)) {
			t.Errorf("%s: there is no %s", d, b)
		}
	}
}

// TestWhatIsMissingIsFound proves that TestDocumentsNameWhatIsThere can fail.
func TestWhatIsMissingIsFound(t *testing.T) {
	n := &named{paths: []string{"/internal/a/b.go"}, funcs: map[string]bool{"do": true, "TestA": true}}
	for page, bad := range map[string]string{
		"`a/b.go` and `b.go`, `x.do()`, TestA": "",
		"`c.go`":                               "file c.go",
		"`do2()`":                              "function do2()",
		"see TestB":                            "test TestB",
		"```\n`c.go`\n```":                     "",
	} {
		if got := strings.Join(n.missing(page), ", "); got != bad {
			t.Errorf("%q: found %q, should be %q", page, got, bad)
		}
	}
}
