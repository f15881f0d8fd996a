package api

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"trine/internal/core"
)

// list is what a request wants of a list: RabbitMQ's parameters sort, sort_reverse,
// columns, page, page_size, name and use_regex.
//
//	all ──▶ sort ──▶ filter by name ──▶ cut a page ──▶ fill in ──▶ columns
//
// What costs much to fill in, a queue's counts, is filled in for the page alone
// unless it is sorted by.
type list struct {
	sort    string
	reverse bool
	columns [][]string
	page    int // 0: all
	size    int
	name    string
	regex   *regexp.Regexp
}

// The bounds of pages.
const (
	pageSize      = 100
	pageSizeMax   = 500
	nameFilterMax = 1000
)

// paged reads a request's parameters.
func (c *call) paged() (*list, error) {
	q := c.URL.Query()
	l := &list{sort: q.Get("sort"), reverse: q.Get("sort_reverse") == "true", columns: columnsOf(q.Get("columns"))}
	if !q.Has("page") {
		return l, nil
	}
	var err1, err2 error
	l.page, err1 = strconv.Atoi(q.Get("page"))
	l.size = pageSize
	size := "undefined"
	if q.Has("page_size") {
		size = q.Get("page_size")
		l.size, err2 = strconv.Atoi(size)
	}
	if err1 != nil || err2 != nil {
		return nil, bad("Pagination parameters are invalid")
	}
	if l.page < 1 || l.size < 1 || l.size > pageSizeMax {
		return nil, called(http.StatusBadRequest, "invalid_pagination_parameters",
			fmt.Sprintf("Invalid pagination parameters: page number %d, page size %s", l.page, size))
	}
	l.name = q.Get("name")
	if q.Get("use_regex") == "true" && l.name != "" {
		if len(l.name) > nameFilterMax {
			return nil, called(http.StatusBadRequest, "invalid_pagination_parameters",
				"name filter regex is too long")
		}
		if l.regex, err1 = regexp.Compile("(?i)" + l.name); err1 != nil {
			l.regex = regexp.MustCompile(`$^x`) // matches nothing, as in RabbitMQ
		}
	}
	return l, nil
}

// list gives a list as the request wants it.
func (c *call) list(all []object) (any, error) {
	l, err := c.paged()
	if err != nil {
		return nil, err
	}
	return l.reply(all, nil, nil)
}

func columnsOf(s string) [][]string {
	var cs [][]string
	for c := range strings.SplitSeq(s, ",") {
		if c != "" {
			cs = append(cs, strings.Split(c, "."))
		}
	}
	return cs
}

// reply gives a list as it is wanted. The objects come in the order that is given
// where none is asked for; fill adds to them what costs much, all at once, and early
// are the keys that are there without it.
func (l *list) reply(all []object, early []string, fill func([]object)) (any, error) {
	full := fill == nil
	if l.sort != "" && !full && !slices.Contains(early, l.sort) {
		fill(all)
		full = true
	}
	if l.sort != "" {
		slices.SortStableFunc(all, func(a, b object) int { return compare(dotted(a, l.sort), dotted(b, l.sort)) })
	}
	if l.reverse {
		slices.Reverse(all)
	}
	if l.page == 0 {
		if !full && !l.within(early) {
			fill(all)
		}
		return l.cut(all), nil
	}
	total := len(all)
	all = slices.DeleteFunc(all, func(o object) bool { return !l.named(o) })
	from := (l.page - 1) * l.size
	if from > len(all) || from == len(all) && l.page > 1 {
		return nil, called(http.StatusBadRequest, "page_out_of_range",
			fmt.Sprintf("Page out of range, page: %d page size: %d, len: %d", l.page, l.size, len(all)))
	}
	items := all[from:min(from+l.size, len(all))]
	if !full && !l.within(early) {
		fill(items)
	}
	return object{"filtered_count": len(all), "item_count": len(items), "items": l.cut(items),
		"page": l.page, "page_count": (len(all) + l.size - 1) / l.size, "page_size": l.size,
		"total_count": total}, nil
}

// within says whether only columns are wanted that are there early.
func (l *list) within(early []string) bool {
	for _, c := range l.columns {
		if !slices.Contains(early, c[0]) {
			return false
		}
	}
	return len(l.columns) > 0
}

func (l *list) named(o object) bool {
	name, _ := o["name"].(string)
	if l.regex != nil {
		return l.regex.MatchString(name)
	}
	return strings.Contains(strings.ToLower(name), strings.ToLower(l.name))
}

// cut leaves the columns that are wanted.
func (l *list) cut(all []object) []object {
	if l.columns == nil {
		return all
	}
	cut := make([]object, len(all))
	for i, o := range all {
		cut[i] = only(o, l.columns)
	}
	return cut
}

// only gives the parts of an object that the columns name.
func only(o object, columns [][]string) object {
	r := object{}
	for k, v := range o {
		var deeper [][]string
		whole := false
		for _, c := range columns {
			if c[0] != k {
				continue
			}
			if len(c) == 1 {
				whole = true
				break
			}
			deeper = append(deeper, c[1:])
		}
		switch {
		case whole:
			r[k] = v
		case deeper == nil:
		default:
			r[k] = onlyOf(v, deeper)
		}
	}
	return r
}

func onlyOf(v any, columns [][]string) any {
	switch v := v.(type) {
	case object:
		return only(v, columns)
	case []object:
		l := list{columns: columns}
		return l.cut(v)
	}
	return v
}

// dotted gives what stands at a path such as message_stats.publish_details.rate.
func dotted(o object, path string) any {
	key, rest, more := strings.Cut(path, ".")
	v := o[key]
	if !more {
		return v
	}
	if sub, ok := v.(object); ok {
		return dotted(sub, rest)
	}
	return nil
}

// compare orders values as Erlang does, as far as lists have them: nothing, numbers,
// then words.
func compare(a, b any) int {
	x, ok1 := numeric(a)
	y, ok2 := numeric(b)
	switch {
	case ok1 && ok2:
		return cmp.Compare(x, y)
	case ok1:
		return -1
	case ok2:
		return 1
	}
	return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
}

func numeric(v any) (float64, bool) {
	switch v := v.(type) {
	case nil:
		return 0, true
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case float64:
		return v, true
	case core.Stamp:
		return float64(v), true
	}
	return 0, false
}
