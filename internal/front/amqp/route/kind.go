package route

// Kind is how an exchange routes.
type Kind uint8

// The kinds of exchange.
const (
	Direct         Kind = 1 + iota
	Fanout              // to all
	TopicKind           // by patterns of words
	Headers             // by the message's headers
	ConsistentHash      // to one, by a hash over weights: few messages move when one comes or goes
	ModulusHash         // to one, by a hash modulo their number
	Random              // to any one
	LocalRandom         // to any one that is near
	RecentHistory       // to all; the exchange keeps the last messages for those that come later
)

var kinds = [...]struct {
	name string
	kind Kind
}{
	{"direct", Direct}, {"fanout", Fanout}, {"topic", TopicKind}, {"headers", Headers},
	{"x-consistent-hash", ConsistentHash}, {"x-modulus-hash", ModulusHash}, {"x-random", Random},
	{"x-local-random", LocalRandom}, {"x-recent-history", RecentHistory},
}

// Delayed is the type of exchanges that keep messages for a while before they route
// them, as an exchange of another type would.
const Delayed = "x-delayed-message"

// Names are the types' names.
func Names() []string {
	names := make([]string, 0, len(kinds)+1)
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return append(names, Delayed)
}

// KindOf gives the kind that a type's name means, or 0: Delayed is none by itself.
func KindOf(name string) Kind {
	for _, k := range kinds {
		if k.name == name {
			return k.kind
		}
	}
	return 0
}
