package layout

import (
	"fmt"
	"go/ast"
	"slices"
	"strconv"
	"strings"
)

// The bounds, in lines. Tests count as files alone.
const (
	fileLinesMax     = 500
	functionLinesMax = 70
	packageLinesMax  = 5000
)

// size is how long one thing is.
type size struct {
	what  string // "file", "function" or "package"
	name  string // a path; of a function with its name after a colon
	lines int
	max   int
}

func sizes(files []*file) (all []size) {
	packages := map[string]int{}
	for _, f := range files {
		all = append(all, size{"file", f.path, f.lines(), fileLinesMax})
		if f.test() {
			continue
		}
		dir := f.path[:strings.LastIndex("/"+f.path, "/")]
		packages[strings.TrimSuffix(dir, "/")] += f.lines()
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				n := f.set.Position(fn.End()).Line - f.set.Position(fn.Pos()).Line + 1
				all = append(all, size{"function", f.path + ":" + functionName(fn), n, functionLinesMax})
			}
		}
	}
	for dir, n := range packages {
		all = append(all, size{"package", dir, n, packageLinesMax})
	}
	slices.SortFunc(all, func(a, b size) int { return strings.Compare(a.what+a.name, b.what+b.name) })
	return all
}

func functionName(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return fn.Name.Name
	}
	t := fn.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.Ident:
			return x.Name + "." + fn.Name.Name
		default:
			return fn.Name.Name
		}
	}
}

// tooLong gives what exceeds its bound and is not allowed to, and every allowance
// that is not exactly what is needed.
func tooLong(files []*file, allowed string) (bad []string) {
	may := map[string]int{}
	for i, line := range strings.Split(allowed, "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 4 {
			bad = append(bad, fmt.Sprintf("allowed.txt:%d: what, name, lines, reason are needed", i+1))
			continue
		}
		n, err := strconv.Atoi(fields[2])
		if err != nil {
			bad = append(bad, fmt.Sprintf("allowed.txt:%d: %q is no number of lines", i+1, fields[2]))
		}
		may[fields[0]+" "+fields[1]] = n
	}
	for _, s := range sizes(files) {
		key := s.what + " " + s.name
		n, ok := may[key]
		delete(may, key)
		switch {
		case s.lines <= s.max && ok:
			bad = append(bad, fmt.Sprintf("allowed.txt: %s fits by now: remove it", key))
		case s.lines > s.max && !ok:
			bad = append(bad, fmt.Sprintf("%s has %d lines, of at most %d", key, s.lines, s.max))
		case ok && s.lines > n:
			bad = append(bad, fmt.Sprintf("%s has grown to %d lines, %d are allowed", key, s.lines, n))
		case ok && s.lines < n:
			bad = append(bad, fmt.Sprintf("allowed.txt: %s has shrunk: write %d", key, s.lines))
		}
	}
	for key := range may {
		bad = append(bad, fmt.Sprintf("allowed.txt: there is no %s", key))
	}
	slices.Sort(bad)
	return bad
}
