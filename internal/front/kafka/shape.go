package kafka

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kbin"
)

// Requests of flexible versions are walked through before kmsg reads them: kmsg
// counts tagged fields down by the number that the request gives, four milliards
// if need be, whether they are there or not.
//
// A shape gives a request's fields in order:
//
//	1 2 4 8 u  so many bytes; u: 16
//	s          a string or bytes, null or not, behind a length
//	( )        an array of what is within
//	[ ]        an array of structs of what is within, each with tagged fields
//
// Tagged fields follow the last field.
type shape struct {
	key, from int16 // of this version on
	fields    string
}

// shapes is ordered by key and version.
var shapes = []shape{
	{2, 6, "41[s[448]]"}, {2, 10, "41[s[448]]4"},
	{3, 9, "[s]111"}, {3, 10, "[us]111"}, {3, 11, "[us]11"},
	{8, 8, "s4ss[s[484s]]"},
	{9, 6, "s[s(4)]"}, {9, 7, "s[s(4)]1"}, {9, 8, "[s[s(4)]]1"}, {9, 9, "[ss4[s(4)]]1"},
	{10, 3, "s1"}, {10, 4, "1(s)"},
	{11, 6, "s44sss[ss]"}, {11, 8, "s44sss[ss]s"},
	{12, 4, "s4ss"},
	{13, 4, "s[ss]"}, {13, 5, "s[sss]"},
	{14, 4, "s4ss[ss]"}, {14, 5, "s4ssss[ss]"},
	{15, 5, "(s)1"},
	{16, 3, ""}, {16, 4, "(s)"}, {16, 5, "(s)(s)"},
	{18, 3, "ss"},
	{19, 5, "[s42[4(4)][ss]]41"},
	{20, 4, "(s)4"}, {20, 6, "[su]4"},
	{21, 2, "[s[48]]4"},
	{22, 2, "s4"}, {22, 3, "s482"},
	{23, 4, "4[s[444]]"},
	{32, 4, "[1s(s)]11"},
	{33, 2, "[1s[ss]]1"},
	{37, 2, "[s4[(4)]]41"},
	{42, 2, "(s)"},
	{44, 1, "[1s[s1s]]1"},
	{60, 0, "1"}, {60, 1, "11"}, {60, 2, "111"},
}

// itemsMax bounds the items of one request, of all its arrays together.
const itemsMax = 1 << 20

var errShape = errors.New("it has another form than its version")

// checkShape walks through a request of a flexible version.
func checkShape(key, version int16, body []byte) error {
	fields, found := "", false
	for i := range shapes {
		if s := &shapes[i]; s.key == key && s.from <= version {
			fields, found = s.fields, true
		}
	}
	if !found {
		return errShape
	}
	w := shapeWalk{in: reader{Reader: kbin.Reader{Src: body}, flexible: true}}
	w.fields(fields)
	w.in.tags(nil)
	if !w.in.Ok() || w.items > itemsMax {
		return errShape
	}
	return nil
}

type shapeWalk struct {
	in    reader
	items int
}

func (w *shapeWalk) fields(f string) {
	for i := 0; i < len(f) && w.in.Ok(); i++ {
		switch c := f[i]; c {
		case '1', '2', '4', '8':
			w.in.Span(int(c - '0'))
		case 'u':
			w.in.Span(16)
		case 's':
			w.in.Span(max(0, int(w.in.Uvarint())-1))
		case '(', '[':
			end := closing(f, i)
			w.array(f[i+1:end], c == '[')
			i = end
		}
	}
}

func (w *shapeWalk) array(f string, structs bool) {
	for n := w.in.count(); n > 0 && w.in.Ok() && w.items <= itemsMax; n-- {
		w.items++
		w.fields(f)
		if structs {
			w.in.tags(nil)
		}
	}
}

// closing gives where the bracket at i ends.
func closing(f string, i int) int {
	depth := 0
	for ; i < len(f); i++ {
		switch f[i] {
		case '(', '[':
			depth++
		case ')', ']':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return i
}
