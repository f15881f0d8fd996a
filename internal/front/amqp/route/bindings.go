package route

import "trine/internal/front/amqp/wire"

// Kind is how an exchange routes.
type Kind uint8

// The kinds of exchange.
const (
	Direct Kind = 1 + iota
	Fanout
	TopicKind
	Headers
)

// KindOf gives the kind that a type's name means, or 0.
func KindOf(name string) Kind {
	switch name {
	case "direct":
		return Direct
	case "fanout":
		return Fanout
	case "topic":
		return TopicKind
	case "headers":
		return Headers
	}
	return 0
}

// ByKey says whether the routing key alone decides, so that its answer may be kept.
func (k Kind) ByKey() bool { return k != Headers }

// Bindings are what an exchange is bound to. D is what a binding leads to.
type Bindings[D comparable] struct {
	Kind    Kind
	Count   int
	byKey   map[string][]D
	all     []D
	topic   Topic[D]
	headers []headersBinding[D]
}

type headersBinding[D comparable] struct {
	kind MatchKind
	args wire.Table
	dest D
}

// Add adds a binding.
func (b *Bindings[D]) Add(key string, args wire.Table, d D) {
	b.Count++
	switch b.Kind {
	case Direct:
		if b.byKey == nil {
			b.byKey = map[string][]D{}
		}
		b.byKey[key] = append(b.byKey[key], d)
	case Fanout:
		b.all = append(b.all, d)
	case TopicKind:
		b.topic.Add(key, d)
	case Headers:
		kind, _, _ := MatchKindOf(args)
		b.headers = append(b.headers, headersBinding[D]{kind, args, d})
	}
}

// Remove takes back one Add with the same key, arguments and destination.
func (b *Bindings[D]) Remove(key string, args wire.Table, d D) {
	b.Count--
	switch b.Kind {
	case Direct:
		if ds := without(b.byKey[key], d); len(ds) > 0 {
			b.byKey[key] = ds
		} else {
			delete(b.byKey, key)
		}
	case Fanout:
		b.all = without(b.all, d)
	case TopicKind:
		b.topic.Remove(key, d)
	case Headers:
		for i, h := range b.headers {
			if h.dest == d && string(h.args) == string(args) {
				b.headers = append(b.headers[:i], b.headers[i+1:]...)
				return
			}
		}
	}
}

// Match appends to into where a message goes; one destination may stand there more
// than once.
func (b *Bindings[D]) Match(key []byte, headers wire.Table, s *Scratch, into []D) []D {
	switch b.Kind {
	case Direct:
		return append(into, b.byKey[string(key)]...)
	case Fanout:
		return append(into, b.all...)
	case TopicKind:
		return b.topic.Match(key, s, into)
	}
	for i := range b.headers {
		if h := &b.headers[i]; MatchHeaders(h.kind, h.args, headers) {
			into = append(into, h.dest)
		}
	}
	return into
}
