package topology

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"trine/internal/core"
	"trine/internal/front/amqp/route"
	"trine/internal/front/amqp/wire"
)

// View is what the catalog says of this front end's things, compiled for routing.
// It is written on the node's loop and read by every connection.
type View struct {
	Here core.NodeID // this node; set before anything is watched

	revision atomic.Uint64

	mu       sync.RWMutex // guards all below
	vhosts   map[string]*vhost
	policies policies
	settings settings
	sweeps   map[string][]func(error) // of virtual hosts: who waits for their end
}

type vhost struct {
	name      string
	exchanges map[string]*Exchange
	queues    map[string]*Queue
	bindings  map[string]*Binding   // by the document's key
	bySource  map[string][]*Binding // by the source's name
	byQueue   map[string][]*Binding // by the destination's name
	byTarget  map[string][]*Binding // the same, of exchanges
	stores    map[string]*Queue     // by the stream's name

	declared      bool // clients may open it
	doc           HostDoc
	limits        map[string]int
	limitRevision core.Revision
}

// Exchange is one exchange. All but out is immutable.
type Exchange struct {
	ExchangeDoc
	Name     string
	Kind     route.Kind    // of its type; where it delays, of the type that it delays for
	Delays   bool          // it is of the type x-delayed-message
	Revision core.Revision // of its document: its identity; 0: predeclared
	Tally    *Tally        // what passes through it on this node
	out      route.Bindings[*Binding]
}

// ExchangeDoc is an exchange's document.
type ExchangeDoc struct {
	Type       string     `json:"type"`
	Durable    bool       `json:"durable,omitempty"`
	AutoDelete bool       `json:"auto_delete,omitempty"`
	Internal   bool       `json:"internal,omitempty"`
	Arguments  wire.Table `json:"arguments,omitempty"`
}

// Queue is one queue. Another definition makes another Queue; the Tally goes on while
// it is the same stream.
type Queue struct {
	Label
	VHost  string
	Name   string
	Stream *core.Stream
	Store  StoreKind // not 0: it is no queue, but what an exchange of that name keeps
	Tally  *Tally    // what this node's connections do with it
}

// Homeless says that the catalog knows nobody who leads the queue, and that nobody
// else may: its only copy is on a node that is not there.
func (q *Queue) Homeless() bool {
	s := q.Stream
	return s.Leader == 0 && s.Policy.Copies == 1 && s.Policy.Election == core.ElectNone
}

// Refuses says whether the queue refuses the newest at a limit.
func (q *Queue) Refuses() bool {
	s := q.Stream.Queue
	return s != nil && !s.DropHead && (s.LengthMax > 0 || s.BytesMax > 0)
}

// Label is how a queue was declared: the stream's labels.
type Label struct {
	Durable    bool        `json:"durable,omitempty"`
	Exclusive  bool        `json:"exclusive,omitempty"`
	AutoDelete bool        `json:"auto_delete,omitempty"`
	Arguments  wire.Table  `json:"arguments,omitempty"`
	Kind       string      `json:"kind"` // classic, quorum, stream: as first declared
	Reply      bool        `json:"reply,omitempty"`
	Node       core.NodeID `json:"node,omitempty"` // where it was declared
}

// Binding is one binding. It is in its source's out while both its ends are those
// that it was made for.
type Binding struct {
	BindingDoc
	document string
	revision core.Revision
	queue    *Queue // where it leads, once linked: one of the two
	exchange *Exchange
	linked   bool
}

// BindingDoc is a binding's document.
type BindingDoc struct {
	Source         string        `json:"source"`
	Destination    string        `json:"destination"`
	ToQueue        bool          `json:"to_queue,omitempty"`
	Key            string        `json:"key"`
	Arguments      wire.Table    `json:"arguments,omitempty"`
	SourceRevision core.Revision `json:"source_revision,omitempty"`
	Stream         core.StreamID `json:"stream,omitempty"`
	DestRevision   core.Revision `json:"dest_revision,omitempty"`
}

// NewView gives a view of nothing but the virtual host / and what every one has.
func NewView() *View {
	v := &View{vhosts: map[string]*vhost{}, sweeps: map[string][]func(error){}}
	h := v.host(FirstHost)
	h.declared, h.doc = true, HostDoc{Description: "Default virtual host"}
	return v
}

// predeclared are the exchanges that every virtual host has.
var predeclared = []struct{ name, typ string }{
	{"", "direct"}, {"amq.direct", "direct"}, {"amq.fanout", "fanout"}, {"amq.topic", "topic"},
	{"amq.headers", "headers"}, {"amq.match", "headers"},
	{"amq.rabbitmq.trace", "topic"},
}

func newVHost(name string) *vhost {
	h := &vhost{name: name, exchanges: map[string]*Exchange{}, queues: map[string]*Queue{},
		bindings: map[string]*Binding{}, bySource: map[string][]*Binding{},
		byQueue: map[string][]*Binding{}, byTarget: map[string][]*Binding{},
		stores: map[string]*Queue{}}
	for _, p := range predeclared {
		x := &Exchange{Name: p.name, Kind: route.KindOf(p.typ), Tally: &Tally{}}
		x.Type, x.Durable, x.Internal = p.typ, true, p.name == "amq.rabbitmq.trace"
		x.out.Kind = x.Kind
		h.exchanges[p.name] = x
	}
	return h
}

// host gives a virtual host, making what a stream or document shows to exist.
func (v *View) host(name string) *vhost {
	h := v.vhosts[name]
	if h == nil {
		h = newVHost(name)
		v.vhosts[name] = h
	}
	return h
}

// HasHost says whether clients may open a virtual host.
func (v *View) HasHost(name string) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	h := v.vhosts[name]
	return h != nil && h.declared
}

// Queue gives a queue, or nil.
func (v *View) Queue(vhost, name string) *Queue {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if h := v.vhosts[vhost]; h != nil {
		return h.queues[name]
	}
	return nil
}

// Exchange gives an exchange, or nil.
func (v *View) Exchange(vhost, name string) *Exchange {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if h := v.vhosts[vhost]; h != nil {
		return h.exchanges[name]
	}
	return nil
}

func (h *vhost) setExchange(name string, d core.Document, here core.NodeID) {
	if old := h.exchanges[name]; old != nil {
		if old.Revision == 0 || old.Revision == d.Revision && d.Value != nil {
			return
		}
		h.unlinkAll(h.bySource[name])
		h.unlinkAll(h.byTarget[name])
		delete(h.exchanges, name)
	}
	if d.Value == nil {
		return
	}
	x := &Exchange{Name: name, Revision: d.Revision, Tally: &Tally{}}
	if json.Unmarshal(d.Value, &x.ExchangeDoc) != nil || !x.compile(here) {
		return // of a newer version
	}
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
	b := &Binding{document: d.Key, revision: d.Revision}
	if d.Value == nil || json.Unmarshal(d.Value, &b.BindingDoc) != nil {
		return
	}
	h.bindings[d.Key] = b
	h.bySource[b.Source] = append(h.bySource[b.Source], b)
	to := h.destinations(b)
	to[b.Destination] = append(to[b.Destination], b)
	h.link(b)
}

func (h *vhost) destinations(b *Binding) map[string][]*Binding {
	if b.ToQueue {
		return h.byQueue
	}
	return h.byTarget
}

func drop(m map[string][]*Binding, name string, b *Binding) {
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
func (h *vhost) link(b *Binding) {
	x := h.exchanges[b.Source]
	if b.linked || x == nil || x.Revision != b.SourceRevision {
		return
	}
	if b.ToQueue {
		if b.queue = h.queues[b.Destination]; b.queue == nil || b.queue.Stream.ID != b.Stream {
			return
		}
	} else {
		b.exchange = h.exchanges[b.Destination]
		if b.exchange == nil || b.exchange.Revision != b.DestRevision {
			return
		}
	}
	b.linked = true
	x.out.Add(b.Key, b.Arguments, b)
}

func (h *vhost) unlink(b *Binding) {
	if !b.linked {
		return
	}
	b.linked, b.queue, b.exchange = false, nil, nil
	if x := h.exchanges[b.Source]; x != nil {
		x.out.Remove(b.Key, b.Arguments, b)
	}
}

func (h *vhost) linkAll(bs []*Binding) {
	for _, b := range bs {
		h.link(b)
	}
}

func (h *vhost) unlinkAll(bs []*Binding) {
	for _, b := range bs {
		h.unlink(b)
	}
}

func (h *vhost) setQueue(name string, s *core.Stream) {
	old := h.queues[name]
	if old != nil && old.Stream.ID == s.ID && old.Stream.Revision > s.Revision {
		return
	}
	q := &Queue{VHost: h.name, Name: name, Stream: s}
	if old != nil && old.Stream.ID == s.ID {
		q.Tally = old.Tally
	} else {
		q.Tally = &Tally{}
	}
	if json.Unmarshal(s.Labels, &q.Label) != nil {
		q.Label = Label{Durable: true, Kind: "classic"}
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

// Revision counts changes: a route that was kept is good while it stays.
func (v *View) Revision() uint64 { return v.revision.Load() }

// Documents takes changes of documents, and says whether policies are among them, and
// which virtual hosts went by them.
func (v *View) Documents(ds []core.Document) (policies bool, gone []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, d := range ds {
		if vhost, name, ok := CutName(d.Key, exchangePrefix); ok {
			v.host(vhost).setExchange(name, d, v.Here)
		} else if vhost, _, ok := CutName(d.Key, bindingPrefix); ok {
			v.host(vhost).setBinding(d)
		} else if vhost, name, ok := CutName(d.Key, policyPrefix); ok {
			v.policies.list = setIn(v.policies.list, vhost, name, d)
			policies = true
		} else if vhost, name, ok := CutName(d.Key, operatorPrefix); ok {
			v.policies.operators = setIn(v.policies.operators, vhost, name, d)
			policies = true
		} else if vhost, name, ok := CutName(d.Key, settingPrefix); ok {
			v.settings.set(vhost, name, d)
		} else if name, ok := strings.CutPrefix(d.Key, globalPrefix); ok {
			v.settings.setGlobal(name, d)
		} else if name, limits, ok := hostOf(d); ok && limits {
			v.setLimits(name, d)
		} else if ok && v.setHost(name, d) {
			gone = append(gone, name)
		}
	}
	v.revision.Add(1)
	return policies, gone
}

// StreamChanged takes a change of a stream. known says that the queue was there
// before, as the same stream.
func (v *View) StreamChanged(s *core.Stream, gone bool) (known bool) {
	if kind, _, _ := storeOf(s.Name); kind != 0 {
		v.storeChanged(s, gone)
		return false
	}
	host, name, ok := CutName(s.Name, StreamPrefix)
	if !ok {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	h := v.host(host)
	old := h.queues[name]
	known = old != nil && old.Stream.ID == s.ID
	switch {
	case !gone:
		h.setQueue(name, s)
	case known:
		h.unlinkAll(h.byQueue[name])
		delete(h.queues, name)
	}
	v.revision.Add(1)
	return known
}

// Saw takes a stream that the core answered with, in case that it is not yet in
// what was watched, and gives its queue.
func (v *View) Saw(s *core.Stream) *Queue {
	host, name, _ := CutName(s.Name, StreamPrefix)
	v.mu.Lock()
	defer v.mu.Unlock()
	h := v.host(host)
	if q := h.queues[name]; q == nil || q.Stream.ID < s.ID {
		h.setQueue(name, s)
		v.revision.Add(1)
	}
	return h.queues[name]
}
