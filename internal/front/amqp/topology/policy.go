package topology

import (
	"encoding/json"
	"fmt"
	"regexp"

	"trine/internal/core"
	"trine/internal/front/amqp/wire"
)

// Policy is a rule for all queues of a virtual host whose names match a pattern.
// Of those that match, the one with the highest priority is in force.
type Policy struct {
	VHost      string           `json:"-"`
	Name       string           `json:"-"`
	Pattern    string           `json:"pattern"`
	ApplyTo    string           `json:"apply-to"` // queues, classic_queues, quorum_queues, streams, all
	Priority   int              `json:"priority"`
	Definition PolicyDefinition `json:"definition"`

	pattern *regexp.Regexp
}

// The kinds of queue, as x-queue-type names them.
const (
	Classic = "classic"
	Quorum  = "quorum"
	Stream  = "stream"
)

// NodeName is a node's name as clients see it.
func NodeName(n core.NodeID) string { return fmt.Sprintf("trine@node%d", n) }

func intOf(args wire.Table, name string, otherwise int64) int64 {
	v, _ := args.Get(name)
	if n, ok := v.Int(); ok {
		return n
	}
	return otherwise
}

func textOf(args wire.Table, name string) (string, bool) {
	v, ok := args.Get(name)
	b, _ := v.Text()
	return string(b), ok
}

func boolOf(args wire.Table, name string) bool {
	v, _ := args.Get(name)
	b, _ := v.Bool()
	return b
}

// Effective is what arguments and the policy in force say together.
type Effective struct {
	PolicyDefinition
	user, operator *Policy // nil: none matches
}

func (p *policies) effective(vhost, queue string, l Label) *Effective {
	e := &Effective{user: strongest(p.list, vhost, queue, l.Kind),
		operator: strongest(p.operators, vhost, queue, l.Kind)}
	if e.user != nil {
		e.PolicyDefinition = e.user.Definition
	}
	if e.operator != nil {
		e.cap(&e.operator.Definition)
	}
	return e
}

// kind is the kind in force.
func (e *Effective) kind(l Label) string {
	if !l.Exclusive && l.Kind != Stream && (e.TrineKind == Classic || e.TrineKind == Quorum) {
		return e.TrineKind
	}
	return l.Kind
}

// quorumCopies is how many copies a quorum queue has where nobody says.
const quorumCopies = 3

// copiesMax is what the core takes.
const copiesMax = 7

// Copies says how a queue is replicated, and where it begins.
func (e *Effective) Copies(l Label) (core.Policy, []core.NodeID) {
	home := []core.NodeID{l.Node}
	if l.Kind == Stream {
		return e.streamPolicy(l), home
	}
	if e.kind(l) == Quorum {
		n := int(intOf(l.Arguments, "x-quorum-initial-group-size", quorumCopies))
		if e.TrineCopies > 0 {
			n = e.TrineCopies
		}
		return core.Majority(min(max(n, 1), copiesMax)), home
	}
	flush := core.FlushLazy
	if l.Durable {
		flush = core.FlushEach
	}
	if l.Exclusive {
		return core.Single(flush), home
	}
	n := 1
	switch e.HaMode {
	case "all":
		n = copiesMax
	case "exactly":
		_ = json.Unmarshal(e.HaParams, &n)
	case "nodes":
		if at := e.haNodes(); len(at) > 0 {
			home, n = at, len(at)
		}
	}
	if n = min(n, copiesMax); n <= 1 {
		return core.Single(flush), home
	}
	p := core.Mirror(n, flush)
	if e.HaPromote == "always" {
		p.Election = core.ElectAny
	}
	return p, home
}

// haNodes reads the nodes that ha-params names: by their names here, or by number.
func (e *Effective) haNodes() []core.NodeID {
	var names []string
	if json.Unmarshal(e.HaParams, &names) != nil {
		return nil
	}
	var at []core.NodeID
	for _, n := range names {
		for id := core.NodeID(1); id <= 999; id++ {
			if n == NodeName(id) {
				at = append(at, id)
			}
		}
	}
	return at
}

// DeadLetter says where a queue's dead letters go: QueueSettings.ForwardTo.
type DeadLetter struct {
	Exchange string  `json:"exchange"`
	Key      *string `json:"key,omitempty"`     // nil: the message's own
	Refused  bool    `json:"refused,omitempty"` // so does what the queue refuses at its limit
}

// DeadLetterOf reads where a stream's dead letters go; false: nowhere.
func DeadLetterOf(s *core.Stream) (d DeadLetter, ok bool) {
	ok = s.Queue != nil && json.Unmarshal(s.Queue.ForwardTo, &d) == nil
	return d, ok
}

// deliveryLimit is that of quorum queues where nobody says.
const deliveryLimit = 20

// least gives the smaller of two limits, of which either may be absent.
func least(arg int64, policy *int64) int64 {
	switch {
	case policy == nil:
		return arg
	case arg < 0:
		return *policy
	}
	return min(arg, *policy)
}

// deliveryLimit gives the least that is said, or what holds where nobody says.
func (e *Effective) deliveryLimit(args wire.Table) int64 {
	if _, ok := args.Get("x-delivery-limit"); !ok && e.DeliveryLimit != nil {
		return *e.DeliveryLimit
	}
	return least(intOf(args, "x-delivery-limit", deliveryLimit), e.DeliveryLimit)
}

// Settings are the rules of a queue's machine.
func (e *Effective) Settings(l Label) core.QueueSettings {
	a := l.Arguments
	s := core.QueueSettings{TTLMs: least(intOf(a, "x-message-ttl", -1), e.MessageTTL),
		LengthMax: max(least(intOf(a, "x-max-length", -1), e.MaxLength), 0),
		BytesMax:  max(least(intOf(a, "x-max-length-bytes", -1), e.MaxBytes), 0),
		IdleMs:    max(least(intOf(a, "x-expires", -1), e.Expires), 0), DropHead: true,
		DeliveryLimit: -1, AutoDelete: l.AutoDelete,
		SingleActive: boolOf(a, "x-single-active-consumer")}
	overflow, _ := textOf(a, "x-overflow")
	if e.Overflow != nil && (overflow == "" || e.kind(l) == Quorum) {
		overflow = *e.Overflow
	}
	if overflow == "reject-publish" || overflow == "reject-publish-dlx" {
		s.DropHead = false
	}
	if e.kind(l) == Quorum {
		s.DeliveryLimit = int32(max(e.deliveryLimit(a), -1))
	} else {
		s.Priorities = uint8(intOf(a, "x-max-priority", 0))
	}
	var dead DeadLetter
	exchange, set := textOf(a, "x-dead-letter-exchange")
	if !set && e.DeadExchange != nil {
		exchange, set = *e.DeadExchange, true
	}
	dead.Exchange, dead.Refused = exchange, overflow == "reject-publish-dlx"
	if key, ok := textOf(a, "x-dead-letter-routing-key"); ok {
		dead.Key = &key
	} else if e.DeadKey != nil {
		dead.Key = e.DeadKey
	}
	if set {
		var err error
		s.ForwardTo, err = json.Marshal(dead)
		core.Assert(err == nil, "strings have a JSON form: %v", err)
		strategy, _ := textOf(a, "x-dead-letter-strategy")
		if e.DeadStrategy != nil {
			strategy = *e.DeadStrategy
		}
		s.ForwardRetry = strategy == "at-least-once" && !s.DropHead
	}
	return s
}

// Effective gives what is in force for a queue.
func (v *View) Effective(vhost, queue string, l Label) *Effective {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.policies.effective(vhost, queue, l)
}

// Alteration is what has to change for a stream to be what is in force.
type Alteration struct {
	Stream string
	core.Alteration
}

// Alterations gives what has to change for all queues to be what is in force.
func (v *View) Alterations() []Alteration {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var all []Alteration
	for _, host := range sortedKeys(v.vhosts) {
		h := v.vhosts[host]
		for _, name := range sortedKeys(h.queues) {
			q := h.queues[name]
			if q.Reply {
				continue
			}
			if a, changed := v.policies.effective(host, name, q.Label).alter(q); changed {
				all = append(all, Alteration{q.Stream.Name, a})
			}
		}
	}
	return all
}

// Alteration gives what has to change for one queue to be what is in force.
func (v *View) Alteration(vhost, name string) (Alteration, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	h := v.vhosts[vhost]
	if h == nil || h.queues[name] == nil {
		return Alteration{}, false
	}
	q := h.queues[name]
	a, changed := v.policies.effective(vhost, name, q.Label).alter(q)
	return Alteration{q.Stream.Name, a}, changed
}

// alter gives what has to change for a queue to be what is in force.
func (e *Effective) alter(q *Queue) (a core.Alteration, changed bool) {
	if q.Kind == Stream {
		return e.alterStream(q)
	}
	settings := e.Settings(q.Label)
	if old := q.Stream.Queue; old == nil || !sameSettings(*old, settings) {
		a.Queue, changed = &settings, true
	}
	policy, at := e.Copies(q.Label)
	if policy != q.Stream.Policy {
		a.Policy, changed = &policy, true
		if e.HaMode == "nodes" {
			a.At = at
		}
	}
	return a, changed
}

func sameSettings(a, b core.QueueSettings) bool {
	same := string(a.ForwardTo) == string(b.ForwardTo)
	a.ForwardTo, b.ForwardTo = nil, nil
	return same && a.TTLMs == b.TTLMs && a.Priorities == b.Priorities && a.LengthMax == b.LengthMax &&
		a.BytesMax == b.BytesMax && a.DropHead == b.DropHead && a.DeliveryLimit == b.DeliveryLimit &&
		a.SingleActive == b.SingleActive && a.IdleMs == b.IdleMs && a.AutoDelete == b.AutoDelete &&
		a.ForwardRetry == b.ForwardRetry && a.ReturnToBack == b.ReturnToBack
}
