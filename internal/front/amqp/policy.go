package amqp

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"

	"trine/internal/core"
	"trine/internal/front"
)

// Policy is a rule for all queues of a virtual host whose names match a pattern.
// Of those that match, the one with the highest priority is in force.
type Policy struct {
	VHost      string           `json:"-"`
	Name       string           `json:"-"`
	Pattern    string           `json:"pattern"`
	ApplyTo    string           `json:"apply-to"` // queues, classic_queues, quorum_queues, all
	Priority   int              `json:"priority"`
	Definition PolicyDefinition `json:"definition"`

	pattern *regexp.Regexp
}

// PolicyDefinition is what a policy says; nil fields say nothing.
type PolicyDefinition struct {
	HaMode        string          `json:"ha-mode,omitempty"`
	HaParams      json.RawMessage `json:"ha-params,omitempty"` // a number, or names of nodes
	HaPromote     string          `json:"ha-promote-on-failure,omitempty"`
	HaSync        string          `json:"ha-sync-mode,omitempty"` // accepted: copies are always filled
	MessageTTL    *int64          `json:"message-ttl,omitempty"`
	Expires       *int64          `json:"expires,omitempty"`
	MaxLength     *int64          `json:"max-length,omitempty"`
	MaxBytes      *int64          `json:"max-length-bytes,omitempty"`
	Overflow      *string         `json:"overflow,omitempty"`
	DeadExchange  *string         `json:"dead-letter-exchange,omitempty"`
	DeadKey       *string         `json:"dead-letter-routing-key,omitempty"`
	DeadStrategy  *string         `json:"dead-letter-strategy,omitempty"`
	DeliveryLimit *int64          `json:"delivery-limit,omitempty"`
	TrineKind     string          `json:"trine-kind,omitempty"`   // classic or quorum: the kind in force
	TrineCopies   int             `json:"trine-copies,omitempty"` // of a quorum queue
}

// policies are all policies, the strongest first.
type policies struct{ list []*Policy }

func (p *policies) set(vhost, name string, d core.Document) {
	p.list = slices.DeleteFunc(p.list, func(o *Policy) bool { return o.VHost == vhost && o.Name == name })
	if d.Value == nil {
		return
	}
	n := &Policy{VHost: vhost, Name: name}
	if json.Unmarshal(d.Value, n) != nil {
		return
	}
	var err error
	if n.pattern, err = regexp.Compile(n.Pattern); err != nil {
		return // refused by SetPolicy
	}
	p.list = append(p.list, n)
	slices.SortStableFunc(p.list, func(a, b *Policy) int {
		return cmp.Or(b.Priority-a.Priority, cmp.Compare(a.Name, b.Name))
	})
}

func (p *Policy) matches(vhost, queue, kind string) bool {
	switch p.ApplyTo {
	case "", "all", "queues", kind + "_queues":
		return p.VHost == vhost && p.pattern.MatchString(queue)
	}
	return false
}

// effective is what arguments and the policy in force say together.
type effective struct {
	PolicyDefinition
	name string
}

func (p *policies) effective(vhost, queue string, l label) effective {
	for _, o := range p.list {
		if o.matches(vhost, queue, l.Kind) {
			return effective{o.Definition, o.Name}
		}
	}
	return effective{}
}

// kind is the kind in force.
func (e *effective) kind(l label) string {
	if !l.Exclusive && (e.TrineKind == classic || e.TrineKind == quorum) {
		return e.TrineKind
	}
	return l.Kind
}

// quorumCopies is how many copies a quorum queue has where nobody says.
const quorumCopies = 3

// copiesMax is what the core takes.
const copiesMax = 7

// copies says how a queue is replicated, and where it begins.
func (e *effective) copies(l label) (core.Policy, []core.NodeID) {
	home := []core.NodeID{l.Node}
	if e.kind(l) == quorum {
		n := int(intArg(l.Arguments, "x-quorum-initial-group-size", quorumCopies))
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
func (e *effective) haNodes() []core.NodeID {
	var names []string
	if json.Unmarshal(e.HaParams, &names) != nil {
		return nil
	}
	var at []core.NodeID
	for _, n := range names {
		for id := core.NodeID(1); id <= 999; id++ {
			if n == nodeName(id) {
				at = append(at, id)
			}
		}
	}
	return at
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

// settings are the rules of a queue's machine.
func (e *effective) settings(l label) core.QueueSettings {
	a := l.Arguments
	s := core.QueueSettings{TTLMs: least(intArg(a, "x-message-ttl", -1), e.MessageTTL),
		LengthMax: max(least(intArg(a, "x-max-length", -1), e.MaxLength), 0),
		BytesMax:  max(least(intArg(a, "x-max-length-bytes", -1), e.MaxBytes), 0),
		IdleMs:    max(least(intArg(a, "x-expires", -1), e.Expires), 0), DropHead: true,
		DeliveryLimit: -1, AutoDelete: l.AutoDelete,
		SingleActive: boolArg(a, "x-single-active-consumer")}
	overflow := textArg(a, "x-overflow")
	if e.Overflow != nil && (overflow == "" || e.kind(l) == quorum) {
		overflow = *e.Overflow
	}
	if overflow == "reject-publish" || overflow == "reject-publish-dlx" {
		s.DropHead = false
	}
	if e.kind(l) == quorum {
		n := least(intArg(a, "x-delivery-limit", deliveryLimit), e.DeliveryLimit)
		s.DeliveryLimit = int32(max(n, -1))
	} else {
		s.Priorities = uint8(intArg(a, "x-max-priority", 0))
	}
	dead := deadLetter{}
	if v, ok := a.Get("x-dead-letter-exchange"); ok {
		b, _ := v.Text()
		dead.set, dead.Exchange = true, string(b)
	} else if e.DeadExchange != nil {
		dead.set, dead.Exchange = true, *e.DeadExchange
	}
	if v, ok := a.Get("x-dead-letter-routing-key"); ok {
		b, _ := v.Text()
		key := string(b)
		dead.Key = &key
	} else if e.DeadKey != nil {
		dead.Key = e.DeadKey
	}
	if dead.set {
		s.ForwardTo = dead.encode()
		strategy := textArg(a, "x-dead-letter-strategy")
		if e.DeadStrategy != nil {
			strategy = *e.DeadStrategy
		}
		s.ForwardRetry = strategy == "at-least-once" && !s.DropHead
	}
	return s
}

// SetPolicy puts a policy, for the queues that are there and those to come. A
// Definition without any field removes it.
func SetPolicy(c front.Core, p Policy, done func(error)) {
	if _, err := regexp.Compile(p.Pattern); err != nil {
		done(&core.Error{Op: "set policy", Name: p.Name, Kind: core.Invalid,
			Detail: "the pattern is no regular expression", Err: err})
		return
	}
	value, err := json.Marshal(p)
	if err != nil {
		done(&core.Error{Op: "set policy", Name: p.Name, Kind: core.Invalid, Err: err})
		return
	}
	put(c, core.Change{Key: policyKey(p.VHost, p.Name), Value: value}, done)
}

// ClearPolicy removes a policy.
func ClearPolicy(c front.Core, vhost, name string, done func(error)) {
	put(c, core.Change{Key: policyKey(vhost, name)}, done)
}

func put(c front.Core, ch core.Change, done func(error)) {
	c.Cluster().Put([]core.Change{ch}, func(_ core.Revision, err error) { done(err) })
}

// applyPolicies makes every queue what the policies now say. One node does so.
func (f *Front) applyPolicies() {
	if !f.caretaker() {
		return
	}
	type alteration struct {
		name string
		a    core.Alteration
	}
	var all []alteration
	f.view.mu.RLock()
	for _, host := range sortedKeys(f.view.vhosts) {
		h := f.view.vhosts[host]
		for _, name := range sortedKeys(h.queues) {
			q := h.queues[name]
			e := f.view.policies.effective(host, name, q.label)
			if a, changed := e.alter(q); changed {
				all = append(all, alteration{q.stream.Name, a})
			}
		}
	}
	f.view.mu.RUnlock()
	for _, a := range all {
		f.core.Streams().Alter(a.name, a.a, func(_ *core.Stream, err error) {
			if err != nil && core.KindOf(err) != core.NotExist {
				f.log.Warn("a policy is not applied", "front", "amqp", "queue", a.name, "err", err)
			}
		})
	}
}

// alter gives what has to change for a queue to be what is in force.
func (e *effective) alter(q *queue) (a core.Alteration, changed bool) {
	settings := e.settings(q.label)
	if old := q.stream.Queue; old == nil || !sameSettings(*old, settings) {
		a.Queue, changed = &settings, true
	}
	policy, at := e.copies(q.label)
	if policy != q.stream.Policy {
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
