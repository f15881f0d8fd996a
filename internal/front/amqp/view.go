package amqp

import (
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"

	"trine/internal/core"
	"trine/internal/front/amqp/route"
	"trine/internal/front/amqp/wire"
)

// view is what the catalog says of this front end's things, compiled for routing.
// It is written on the node's loop and read by every connection.
type view struct {
	revision atomic.Uint64 // counts changes: a kept route is good while it stays

	mu       sync.RWMutex // guards all below
	vhosts   map[string]*vhost
	policies policies
}

type vhost struct {
	name      string
	exchanges map[string]*exchange
	queues    map[string]*queue
	bindings  map[string]*binding   // by the document's key
	bySource  map[string][]*binding // by the source's name
	byQueue   map[string][]*binding // by the destination's name
	byTarget  map[string][]*binding // the same, of exchanges
}

// exchange is one exchange. All but out is immutable.
type exchange struct {
	exchangeDoc
	name     string
	kind     route.Kind
	revision core.Revision // of its document: its identity; 0: predeclared
	out      route.Bindings[*binding]
}

// exchangeDoc is an exchange's document.
type exchangeDoc struct {
	Type       string     `json:"type"`
	Durable    bool       `json:"durable,omitempty"`
	AutoDelete bool       `json:"auto_delete,omitempty"`
	Internal   bool       `json:"internal,omitempty"`
	Arguments  wire.Table `json:"arguments,omitempty"`
}

// alternate gives the exchange that takes what finds no binding.
func (x *exchange) alternate() string {
	v, _ := x.Arguments.Get("alternate-exchange")
	name, _ := v.Text()
	return string(name)
}

// queue is one queue. Another definition makes another queue value.
type queue struct {
	label
	vhost  string
	name   string
	stream *core.Stream
	lazy   bool // its stream does not flush
}

// label is how a queue was declared: the stream's labels.
type label struct {
	Durable    bool        `json:"durable,omitempty"`
	Exclusive  bool        `json:"exclusive,omitempty"`
	AutoDelete bool        `json:"auto_delete,omitempty"`
	Arguments  wire.Table  `json:"arguments,omitempty"`
	Kind       string      `json:"kind"` // classic, quorum, stream: as first declared
	Reply      bool        `json:"reply,omitempty"`
	Node       core.NodeID `json:"node,omitempty"` // where it was declared
}

// binding is one binding. It is in its source's out while both its ends are those
// that it was made for.
type binding struct {
	bindingDoc
	document string
	revision core.Revision
	queue    *queue // where it leads, once linked: one of the two
	exchange *exchange
	linked   bool
}

// bindingDoc is a binding's document.
type bindingDoc struct {
	Source         string        `json:"source"`
	Destination    string        `json:"destination"`
	ToQueue        bool          `json:"to_queue,omitempty"`
	Key            string        `json:"key"`
	Arguments      wire.Table    `json:"arguments,omitempty"`
	SourceRevision core.Revision `json:"source_revision,omitempty"`
	Stream         core.StreamID `json:"stream,omitempty"`
	DestRevision   core.Revision `json:"dest_revision,omitempty"`
}

func newView() *view {
	v := &view{vhosts: map[string]*vhost{}}
	v.vhosts["/"] = newVHost("/")
	return v
}

// predeclared are the exchanges that every virtual host has.
var predeclared = []struct{ name, typ string }{
	{"", "direct"}, {"amq.direct", "direct"}, {"amq.fanout", "fanout"}, {"amq.topic", "topic"},
	{"amq.headers", "headers"}, {"amq.match", "headers"},
	{"amq.rabbitmq.trace", "topic"},
}

func newVHost(name string) *vhost {
	h := &vhost{name: name, exchanges: map[string]*exchange{}, queues: map[string]*queue{},
		bindings: map[string]*binding{}, bySource: map[string][]*binding{},
		byQueue: map[string][]*binding{}, byTarget: map[string][]*binding{}}
	for _, p := range predeclared {
		x := &exchange{name: p.name, kind: route.KindOf(p.typ)}
		x.Type, x.Durable, x.Internal = p.typ, true, p.name == "amq.rabbitmq.trace"
		x.out.Kind = x.kind
		h.exchanges[p.name] = x
	}
	return h
}

// host gives a virtual host, making what a stream or document shows to exist.
func (v *view) host(name string) *vhost {
	h := v.vhosts[name]
	if h == nil {
		h = newVHost(name)
		v.vhosts[name] = h
	}
	return h
}

// hasHost says whether clients may open a virtual host.
func (v *view) hasHost(name string) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.vhosts[name] != nil
}

func (v *view) queue(vhost, name string) *queue {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if h := v.vhosts[vhost]; h != nil {
		return h.queues[name]
	}
	return nil
}

func (v *view) exchange(vhost, name string) *exchange {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if h := v.vhosts[vhost]; h != nil {
		return h.exchanges[name]
	}
	return nil
}

// documents takes changes of documents, on the node's loop.
func (f *Front) documents(ds []core.Document) {
	policies := false
	f.view.mu.Lock()
	for _, d := range ds {
		if vhost, name, ok := cutName(d.Key, exchangePrefix); ok {
			f.view.host(vhost).setExchange(name, d)
		} else if vhost, _, ok := cutName(d.Key, bindingPrefix); ok {
			f.view.host(vhost).setBinding(d)
		} else if vhost, name, ok := cutName(d.Key, policyPrefix); ok {
			f.view.policies.set(vhost, name, d)
			policies = true
		} else if name, ok := trimPrefix(d.Key, vhostPrefix); ok {
			if d.Value != nil {
				f.view.host(unescape(name))
			} else {
				delete(f.view.vhosts, unescape(name))
			}
		}
	}
	f.view.revision.Add(1)
	f.view.mu.Unlock()
	if policies {
		f.applyPolicies()
	}
}

func trimPrefix(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || s[:len(prefix)] != prefix {
		return s, false
	}
	return s[len(prefix):], true
}

func (h *vhost) setExchange(name string, d core.Document) {
	if old := h.exchanges[name]; old != nil {
		if old.revision == 0 || old.revision == d.Revision && d.Value != nil {
			return
		}
		h.unlinkAll(h.bySource[name])
		h.unlinkAll(h.byTarget[name])
		delete(h.exchanges, name)
	}
	if d.Value == nil {
		return
	}
	x := &exchange{name: name, revision: d.Revision}
	if json.Unmarshal(d.Value, &x.exchangeDoc) != nil || route.KindOf(x.Type) == 0 {
		return // of a newer version
	}
	x.kind = route.KindOf(x.Type)
	x.out.Kind = x.kind
	h.exchanges[name] = x
	h.linkAll(h.bySource[name])
	h.linkAll(h.byTarget[name])
}

func (h *vhost) setBinding(d core.Document) {
	if old := h.bindings[d.Key]; old != nil {
		if old.revision == d.Revision && d.Value != nil {
			return
		}
		h.unlink(old)
		delete(h.bindings, d.Key)
		drop(h.bySource, old.Source, old)
		drop(h.destinations(old), old.Destination, old)
	}
	b := &binding{document: d.Key, revision: d.Revision}
	if d.Value == nil || json.Unmarshal(d.Value, &b.bindingDoc) != nil {
		return
	}
	h.bindings[d.Key] = b
	h.bySource[b.Source] = append(h.bySource[b.Source], b)
	to := h.destinations(b)
	to[b.Destination] = append(to[b.Destination], b)
	h.link(b)
}

func (h *vhost) destinations(b *binding) map[string][]*binding {
	if b.ToQueue {
		return h.byQueue
	}
	return h.byTarget
}

func drop(m map[string][]*binding, name string, b *binding) {
	bs := m[name]
	if i := slices.Index(bs, b); i >= 0 {
		bs = slices.Delete(bs, i, i+1)
	}
	if len(bs) == 0 {
		delete(m, name)
		return
	}
	m[name] = bs
}

// link puts a binding to use where both its ends are there.
func (h *vhost) link(b *binding) {
	x := h.exchanges[b.Source]
	if b.linked || x == nil || x.revision != b.SourceRevision {
		return
	}
	if b.ToQueue {
		if b.queue = h.queues[b.Destination]; b.queue == nil || b.queue.stream.ID != b.Stream {
			return
		}
	} else {
		b.exchange = h.exchanges[b.Destination]
		if b.exchange == nil || b.exchange.revision != b.DestRevision {
			return
		}
	}
	b.linked = true
	x.out.Add(b.Key, b.Arguments, b)
}

func (h *vhost) unlink(b *binding) {
	if !b.linked {
		return
	}
	b.linked, b.queue, b.exchange = false, nil, nil
	if x := h.exchanges[b.Source]; x != nil {
		x.out.Remove(b.Key, b.Arguments, b)
	}
}

func (h *vhost) linkAll(bs []*binding) {
	for _, b := range bs {
		h.link(b)
	}
}

func (h *vhost) unlinkAll(bs []*binding) {
	for _, b := range bs {
		h.unlink(b)
	}
}

// streamChanged takes a change of a stream, on the node's loop.
func (f *Front) streamChanged(s *core.Stream, gone bool) {
	vhost, name, ok := cutName(s.Name, streamPrefix)
	if !ok {
		return
	}
	f.view.mu.Lock()
	h := f.view.host(vhost)
	old := h.queues[name]
	if gone {
		if old != nil && old.stream.ID == s.ID {
			h.unlinkAll(h.byQueue[name])
			delete(h.queues, name)
		}
	} else {
		h.setQueue(name, s)
	}
	f.view.revision.Add(1)
	f.view.mu.Unlock()
	if gone {
		f.sweep(vhost, name, s.ID)
	} else if old != nil && old.stream.ID == s.ID {
		f.homeChanged(h.name, name)
	}
}

func (h *vhost) setQueue(name string, s *core.Stream) {
	old := h.queues[name]
	if old != nil && old.stream.ID == s.ID && old.stream.Revision > s.Revision {
		return
	}
	q := &queue{vhost: h.name, name: name, stream: s, lazy: s.Policy.Flush == core.FlushLazy}
	if json.Unmarshal(s.Labels, &q.label) != nil {
		q.label = label{Durable: true, Kind: "classic"}
	}
	h.queues[name] = q
	for _, b := range h.byQueue[name] {
		if b.linked && b.Stream == s.ID {
			b.queue = q
			continue
		}
		h.unlink(b)
		h.link(b)
	}
}

// saw takes a stream that the core answered with, in case that it is not yet in
// what was watched.
func (f *Front) saw(s *core.Stream) *queue {
	vhost, name, _ := cutName(s.Name, streamPrefix)
	f.view.mu.Lock()
	defer f.view.mu.Unlock()
	h := f.view.host(vhost)
	if q := h.queues[name]; q == nil || q.stream.ID < s.ID {
		h.setQueue(name, s)
		f.view.revision.Add(1)
	}
	return h.queues[name]
}
