package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// file is one source file.
type file struct {
	path string // from the module's root: internal/core/ids.go
	src  string
	ast  *ast.File
	set  *token.FileSet
}

// pkg is the file's directory below internal/, or from the root where it is not in it.
func (f *file) pkg() string {
	return strings.TrimPrefix(filepath.ToSlash(filepath.Dir(f.path)), "internal/")
}

func (f *file) test() bool { return strings.HasSuffix(f.path, "_test.go") }

func (f *file) lines() int { return strings.Count(f.src, "\n") }

// imports gives the paths that the file imports; of this module as below internal/,
// with own true.
func (f *file) imports() (paths []imported) {
	for _, s := range f.ast.Imports {
		p, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			continue
		}
		below, own := strings.CutPrefix(p, module+"/internal/")
		paths = append(paths, imported{below, own})
	}
	return paths
}

type imported struct {
	path string
	own  bool
}

// module is this module's path.
const module = "trine"

func parse(path, src string) (*file, error) {
	set := token.NewFileSet()
	a, err := parser.ParseFile(set, path, src, parser.ParseComments|parser.SkipObjectResolution)
	return &file{path, src, a, set}, err
}

// root gives the module's directory.
func root(t *testing.T) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = up
	}
}

// source gives every source file of the module.
func source(t *testing.T) []*file {
	var files []*file
	at := root(t)
	err := filepath.WalkDir(at, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && path != at &&
			(name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".")) {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(at, path)
		if err != nil {
			return err
		}
		f, err := parse(filepath.ToSlash(rel), string(src))
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no source file below " + at)
	}
	return files
}
