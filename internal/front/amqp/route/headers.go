package route

import (
	"bytes"

	"trine/internal/front/amqp/wire"
)

// MatchKind is what a headers binding's x-match says.
type MatchKind uint8

// The kinds of x-match.
const (
	MatchAll      MatchKind = iota // every field; those named x-... do not count
	MatchAny                       // one field; those named x-... do not count
	MatchAllWithX                  // every field but x-match
	MatchAnyWithX                  // one field, but not x-match
)

// MatchKindOf reads x-match. Where it says nothing, all must match; text is what
// stands there where it is none of the kinds.
func MatchKindOf(args wire.Table) (k MatchKind, text string, ok bool) {
	v, there := args.Get("x-match")
	if !there {
		return MatchAll, "", true
	}
	b, _ := v.Text()
	switch string(b) {
	case "all":
		return MatchAll, "", true
	case "any":
		return MatchAny, "", true
	case "all-with-x":
		return MatchAllWithX, "", true
	case "any-with-x":
		return MatchAnyWithX, "", true
	}
	return MatchAll, v.String(), false
}

// MatchHeaders says whether a binding's arguments match a message's headers. A
// void value in the arguments asks only that the header is there.
func MatchHeaders(k MatchKind, args, headers wire.Table) bool {
	any := k == MatchAny || k == MatchAnyWithX
	withX := k == MatchAllWithX || k == MatchAnyWithX
	for {
		name, want, rest, ok := args.Next()
		if !ok {
			return !any
		}
		args = rest
		if !withX && bytes.HasPrefix(name, []byte("x-")) || string(name) == "x-match" {
			continue
		}
		got, there := headers.Get(string(name))
		if matches := there && (want.Type == wire.TypeVoid || Same(want, got)); matches == any {
			return any
		}
	}
}

// Same says whether two values are equal. Integers are, whatever their sizes;
// so are strings of both types.
func Same(a, b wire.Value) bool {
	if m, ok := a.Int(); ok {
		n, ok := b.Int()
		return ok && m == n
	}
	if s, ok := a.Text(); ok {
		t, ok := b.Text()
		return ok && bytes.Equal(s, t)
	}
	return a.Type == b.Type && bytes.Equal(a.Raw, b.Raw)
}
