package topology

import (
	"cmp"
	"encoding/json"

	"trine/internal/core"
	"trine/internal/front/amqp/route"
)

// StoreKind says what an exchange keeps in a stream of its own.
type StoreKind uint8

// The kinds of store. Both are replicated by a majority, so that what was confirmed
// outlives the node that took it.
const (
	// Delays is a queue in which a message waits to expire: what it gives up then goes
	// to where the exchange's bindings lead. So the wait needs no clock but the queue's,
	// and each leader goes on with it.
	Delays StoreKind = 1 + iota
	// History is a plain stream with the last messages.
	History
)

const (
	delayPrefix   = "amqp/d/"
	historyPrefix = "amqp/h/"
)

// storeCopies is how many copies a store has.
const storeCopies = 3

// storeOf reads the name of a store's stream; kind is 0 where it is none.
func storeOf(stream string) (kind StoreKind, vhost, exchange string) {
	if vhost, exchange, ok := CutName(stream, delayPrefix); ok {
		return Delays, vhost, exchange
	}
	if vhost, exchange, ok := CutName(stream, historyPrefix); ok {
		return History, vhost, exchange
	}
	return 0, "", ""
}

// DelayedFrom gives the exchange whose delayed messages a stream holds.
func DelayedFrom(s *core.Stream) (vhost, exchange string, ok bool) {
	kind, vhost, exchange := storeOf(s.Name)
	return vhost, exchange, kind == Delays
}

func storeName(kind StoreKind, vhost, exchange string) string {
	prefix := delayPrefix
	if kind == History {
		prefix = historyPrefix
	}
	return prefix + escape(vhost) + "/" + exchange
}

// compile makes ready what an exchange's document says; false where its type is not
// known here.
func (x *Exchange) compile(here core.NodeID) bool {
	typ := x.Type
	if x.Delays = typ == route.Delayed; x.Delays {
		typ, _ = textOf(x.Arguments, "x-delayed-type")
	}
	x.Kind = route.KindOf(typ)
	x.out = route.Bindings[*Binding]{Kind: x.Kind, Order: byAge, Target: target,
		Near: func(b *Binding) bool { return b.queue != nil && b.queue.Stream.Leader == here }}
	x.out.HashOn.Header, _ = textOf(x.Arguments, "hash-header")
	x.out.HashOn.Property, _ = textOf(x.Arguments, "hash-property")
	return x.Kind != 0
}

func byAge(a, b *Binding) int {
	return cmp.Or(cmp.Compare(a.revision, b.revision), cmp.Compare(a.document, b.document))
}

func target(b *Binding) string {
	if b.ToQueue {
		return "q" + b.Destination
	}
	return "e" + b.Destination
}

// forgettable says that a message is not to be kept among the recent ones.
func forgettable(m *route.Message) bool {
	return boolOf(m.Headers(), "x-recent-history-no-store")
}

// HistoryLength is how many messages an exchange keeps for those who come later.
func (x *Exchange) HistoryLength() int64 {
	return max(intOf(x.Arguments, "x-recent-history-length", historyLength), 1)
}

const historyLength = 20

// stores are the kinds of store that an exchange has.
func (x *Exchange) stores() []StoreKind {
	var kinds []StoreKind
	if x.Delays {
		kinds = append(kinds, Delays)
	}
	if x.Kind == route.RecentHistory {
		kinds = append(kinds, History)
	}
	return kinds
}

// DeclareExchange gives what to change for an exchange to be there, with its stores.
func (v *View) DeclareExchange(vhost, name string, doc ExchangeDoc) ([]core.Change, error) {
	value, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	changes := []core.Change{{Key: ExchangeKey(vhost, name), Value: value, Expect: core.NoRevision}}
	x := &Exchange{ExchangeDoc: doc, Name: name}
	x.compile(v.Here)
	for _, kind := range x.stores() {
		if v.Store(kind, vhost, name) != nil {
			continue // left by one of the same name
		}
		d := core.Definition{Name: storeName(kind, vhost, name), Policy: core.Majority(storeCopies),
			At: []core.NodeID{v.Here}, Labels: []byte("{}")}
		if kind == Delays {
			d.Queue = &core.QueueSettings{TTLMs: -1, DeliveryLimit: -1, ForwardTo: []byte("{}"),
				ForwardRetry: true}
		}
		changes = append(changes, core.Change{Define: &d})
	}
	return changes, nil
}

// withStores adds to changes the removal of an exchange's stores. Lock held.
func (h *vhost) withStores(changes []core.Change, x *Exchange) []core.Change {
	for _, kind := range x.stores() {
		if s := h.stores[storeName(kind, h.name, x.Name)]; s != nil {
			changes = append(changes, core.Change{Stream: s.Stream.Name, IfID: s.Stream.ID})
		}
	}
	return changes
}

// store adds an exchange's store to where a message goes. Lock held.
func (h *vhost) store(x *Exchange, kind StoreKind, r *Resolved) {
	s := h.stores[storeName(kind, h.name, x.Name)]
	r.Delayed = r.Delayed || kind == Delays
	if s == nil {
		r.Missing = r.Missing || kind == Delays
		return
	}
	r.Stores = append(r.Stores, s)
}

// Store gives a store of an exchange, or nil.
func (v *View) Store(kind StoreKind, vhost, exchange string) *Queue {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if h := v.vhosts[vhost]; h != nil {
		return h.stores[storeName(kind, vhost, exchange)]
	}
	return nil
}

// storeChanged takes a change of a store's stream.
func (v *View) storeChanged(s *core.Stream, gone bool) {
	kind, vhost, exchange := storeOf(s.Name)
	v.mu.Lock()
	defer v.mu.Unlock()
	h := v.host(vhost)
	old := h.stores[s.Name]
	switch {
	case !gone && (old == nil || old.Stream.ID != s.ID || old.Stream.Revision <= s.Revision):
		h.stores[s.Name] = &Queue{Label: Label{Durable: true, Kind: Quorum}, VHost: vhost,
			Name: exchange, Stream: s, Store: kind}
	case gone && old != nil && old.Stream.ID == s.ID:
		delete(h.stores, s.Name)
	}
	v.revision.Add(1)
}
