package api

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// lines reads a file of testdata without its comments.
func lines(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			all = append(all, line)
		}
	}
	return all
}

// absent says what of a shape a value has not, or has of another kind.
func absent(shape, v any, at string) (all []string) {
	switch shape := shape.(type) {
	case object:
		o, ok := v.(object)
		if !ok {
			return []string{fmt.Sprintf("%s is %T", at, v)}
		}
		for k, sub := range shape {
			if _, ok := o[k]; !ok {
				all = append(all, at+"."+k)
			} else {
				all = append(all, absent(sub, o[k], at+"."+k)...)
			}
		}
	case []any:
		l, ok := v.([]any)
		if !ok {
			return []string{fmt.Sprintf("%s is %T", at, v)}
		}
		if len(shape) > 0 {
			all = absentEverywhere(shape[0], l, at+"[]")
		}
	case string:
		kind := map[string]string{"string": "string", "number": "float64", "bool": "bool"}[shape]
		if got := fmt.Sprintf("%T", v); v != nil && kind != "" && got != kind {
			all = append(all, at+" is "+got)
		}
	}
	return all
}

// absentEverywhere says what no element of a list has: a shape is a union too.
func absentEverywhere(shape any, l []any, at string) []string {
	if len(l) == 0 {
		return []string{at + " is empty"}
	}
	all := absent(shape, l[0], at)
	for _, e := range l[1:] {
		these := absent(shape, e, at)
		all = slices.DeleteFunc(all, func(s string) bool { return !slices.Contains(these, s) })
	}
	return all
}

func TestAnswersHaveTheShapeOfRabbitMQs(t *testing.T) {
	s := newStage(t)
	s.play()
	b, err := os.ReadFile("testdata/rabbitmq-4.0.5.json")
	s.must(err)
	shapes := map[string]any{}
	s.must(json.Unmarshal(b, &shapes))
	allowed := map[string]bool{}
	for _, line := range lines(t, "missing.txt") {
		allowed[line] = false
	}
	for path, shape := range shapes {
		if strings.HasPrefix(path, "health/checks/p") || strings.HasPrefix(path, "nodes/nope") {
			continue // the seam in memory has no listeners
		}
		code, v, _ := s.ask("GET", s.path(path), nil)
		if code != 200 {
			t.Errorf("GET %s: status %d, %v", path, code, v)
			continue
		}
		for _, l := range absent(shape, v, "") {
			line := path + " " + l
			known := false
			for a := range allowed {
				if a == line || suffixed(a, line) {
					allowed[a], known = true, true
				}
			}
			if !known {
				t.Errorf("missing: %s", line)
			}
		}
	}
	for a, met := range allowed {
		if !met {
			t.Errorf("listed as missing, but there: %s", a)
		}
	}
}

// suffixed says whether a line of missing.txt with a * in front of a key is about it.
func suffixed(a, line string) bool {
	key, ok := strings.CutPrefix(a, "* ")
	return ok && (strings.HasSuffix(line, "."+key) || strings.Contains(line, "."+key+"."))
}

func TestWhatToolsReadIsThere(t *testing.T) {
	s := newStage(t)
	s.play()
	for _, line := range lines(t, "needs.txt") {
		part := strings.Split(line, "; ")
		v := s.get(s.path(part[1]))
		for key := range strings.SplitSeq(part[2], ",") {
			if !has(v, strings.Split(key, ".")) {
				t.Errorf("%s: %s has no %s", part[0], part[1], key)
			}
		}
	}
}

// has says whether a value has a key: of lists, whether any element has it.
func has(v any, key []string) bool {
	if len(key) == 0 {
		return true
	}
	switch v := v.(type) {
	case object:
		sub, ok := v[key[0]]
		return ok && has(sub, key[1:])
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return has(e, key) }) ||
			key[0] == "node" && len(v) == 0 || len(v) == 0 && emptyHere[key[0]]
	}
	return false
}

// emptyHere are keys of listeners, of which the seam in memory has none; the tests
// with real nodes look at them.
var emptyHere = map[string]bool{"protocol": true, "port": true, "ip_address": true}

func TestRepliesAreRabbitMQs(t *testing.T) {
	s := newStage(t)
	s.play()
	b, err := os.ReadFile("testdata/replies-4.0.5.json")
	s.must(err)
	var all []struct {
		Method, Path string
		Body, Answer any
		Status       int
		Location     string
	}
	s.must(json.Unmarshal(b, &all))
	differs := map[string]bool{}
	for _, line := range lines(t, "differs.txt") {
		differs[line] = false
	}
	for i, e := range all {
		sent := e.Body
		code, v, _ := s.ask(e.Method, e.Path, sent)
		same := code == e.Status
		if code >= 400 || e.Method == "POST" {
			same = same && alike(e.Answer, v)
		}
		name := fmt.Sprintf("%d %s %s", i, e.Method, e.Path)
		_, listed := differs[name]
		switch {
		case listed && !same:
			differs[name] = true
		case listed:
			t.Errorf("listed as different, but alike: %s", name)
			differs[name] = true
		case !same:
			t.Errorf("%s %v:\n%d %v, of RabbitMQ's\n%d %v", name, sent, code, v, e.Status, e.Answer)
		}
	}
	for name, met := range differs {
		if !met {
			t.Errorf("listed as different, but not asked: %s", name)
		}
	}
}

func alike(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }
