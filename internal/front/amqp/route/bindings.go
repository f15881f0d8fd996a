package route

import "trine/internal/front/amqp/wire"

// Bindings are what an exchange is bound to. D is what a binding leads to. The kinds
// that hash need Order; ConsistentHash, Target too; LocalRandom, Near.
type Bindings[D comparable] struct {
	Kind   Kind
	HashOn HashOn
	Order  func(a, b D) int // an order that every node has alike
	Target func(d D) string // names what a binding leads to, whatever its key
	Near   func(d D) bool   // it is led on this node
	Count  int

	byKey   map[string][]D
	all     []D
	topic   Topic[D]
	headers []headersBinding[D]
	ring    ring[D]
}

// ByKey says whether the routing key alone decides, so that its answer may be kept.
func (b *Bindings[D]) ByKey() bool {
	switch b.Kind {
	case Direct, Fanout, TopicKind, ModulusHash:
		return true
	case ConsistentHash:
		return b.HashOn == HashOn{}
	}
	return false
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
	case Fanout, Random, LocalRandom, RecentHistory:
		b.all = append(b.all, d)
	case ConsistentHash:
		weight, _ := Weight(key)
		b.ring.add(weight, d, b.Order, b.Target)
	case ModulusHash:
		b.ring.add(1, d, b.Order, nil)
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
	case Fanout, Random, LocalRandom, RecentHistory:
		b.all = without(b.all, d)
	case ConsistentHash:
		b.ring.remove(d, b.Target)
	case ModulusHash:
		b.ring.remove(d, nil)
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
func (b *Bindings[D]) Match(m *Message, s *Scratch, into []D) []D {
	switch b.Kind {
	case Direct:
		into = append(into, b.byKey[string(m.Key)]...)
		for _, key := range m.More {
			into = append(into, b.byKey[string(key)]...)
		}
	case Fanout, RecentHistory:
		into = append(into, b.all...)
	case TopicKind:
		into = b.topic.Match(m.Key, s, into)
		for _, key := range m.More {
			into = b.topic.Match(key, s, into)
		}
	case Headers:
		headers := m.Headers()
		for i := range b.headers {
			if h := &b.headers[i]; MatchHeaders(h.kind, h.args, headers) {
				into = append(into, h.dest)
			}
		}
	default:
		into = b.one(m, into)
	}
	return into
}

// one appends where a message goes that goes to one place only.
func (b *Bindings[D]) one(m *Message, into []D) []D {
	switch b.Kind {
	case ConsistentHash:
		if b.ring.total > 0 {
			into = append(into, b.ring.bucket(jump(b.HashOn.hash(m), b.ring.total)))
		}
	case ModulusHash:
		if n := uint64(b.ring.total); n > 0 {
			into = append(into, b.ring.bucket(int64(hashOf(m.Key)%n)))
		}
	case Random:
		if n := len(b.all); n > 0 {
			into = append(into, b.all[below(m.Draw, n)])
		}
	case LocalRandom:
		from := len(into)
		for _, d := range b.all {
			if b.Near(d) {
				into = append(into, d)
			}
		}
		if n := len(into) - from; n > 0 {
			into[from] = into[from+below(m.Draw, n)]
			into = into[:from+1]
		}
	}
	return into
}
