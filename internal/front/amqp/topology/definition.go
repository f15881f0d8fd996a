package topology

import (
	"cmp"
	"encoding/json"
	"maps"
	"regexp"
	"slices"

	"trine/internal/core"
	"trine/internal/front"
)

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
	LeaderLocator string          `json:"queue-leader-locator,omitempty"`
	MasterLocator string          `json:"queue-master-locator,omitempty"`
	MaxAge        *string         `json:"max-age,omitempty"` // of streams, with the two that follow
	SegmentBytes  *int64          `json:"stream-max-segment-size-bytes,omitempty"`
	ClusterSize   *int64          `json:"initial-cluster-size,omitempty"`
	TrineKind     string          `json:"trine-kind,omitempty"`   // classic or quorum: the kind in force
	TrineCopies   int             `json:"trine-copies,omitempty"` // of a quorum queue
	Alternate     *string         `json:"alternate-exchange,omitempty"`

	Given map[string]any `json:"-"` // all that was said, as it was said
}

type plainDefinition PolicyDefinition

// MarshalJSON gives what was said.
func (d PolicyDefinition) MarshalJSON() ([]byte, error) {
	if d.Given != nil {
		return json.Marshal(d.Given)
	}
	return json.Marshal(plainDefinition(d))
}

// UnmarshalJSON reads what is said, and keeps what is not known too.
func (d *PolicyDefinition) UnmarshalJSON(b []byte) error {
	if err := json.Unmarshal(b, (*plainDefinition)(d)); err != nil {
		return err
	}
	return json.Unmarshal(b, &d.Given)
}

// caps says how what an operator allows bounds what a policy says.
var caps = map[string]bool{"message-ttl": true, "expires": true, "max-length": true,
	"max-length-bytes": true, "max-in-memory-length": true, "max-in-memory-bytes": true,
	"delivery-limit": true}

// cap bounds a policy by an operator's: numbers to the smaller, the rest by the
// operator's word.
func (d *PolicyDefinition) cap(o *PolicyDefinition) {
	for _, n := range []struct{ to, by **int64 }{{&d.MessageTTL, &o.MessageTTL},
		{&d.Expires, &o.Expires}, {&d.MaxLength, &o.MaxLength}, {&d.MaxBytes, &o.MaxBytes},
		{&d.DeliveryLimit, &o.DeliveryLimit}} {
		if *n.by != nil && (*n.to == nil || **n.by < **n.to) {
			*n.to = *n.by
		}
	}
	if o.Overflow != nil {
		d.Overflow = o.Overflow
	}
}

// Definition gives what the policies in force say together, as they say it.
func (e *Effective) Definition() map[string]any {
	all := map[string]any{}
	if e.user != nil {
		maps.Copy(all, e.user.Definition.Given)
	}
	if e.operator == nil {
		return all
	}
	for key, v := range e.operator.Definition.Given {
		mine, ok1 := all[key].(float64)
		theirs, ok2 := v.(float64)
		if caps[key] && ok1 && ok2 {
			v = min(mine, theirs)
		}
		all[key] = v
	}
	return all
}

// policies are all policies, the strongest first.
type policies struct {
	list      []*Policy // of those who use the broker
	operators []*Policy // of those who run it: they bound the others
}

func setIn(list []*Policy, vhost, name string, d core.Document) []*Policy {
	list = slices.DeleteFunc(slices.Clone(list),
		func(o *Policy) bool { return o.VHost == vhost && o.Name == name })
	if d.Value == nil {
		return list
	}
	n := &Policy{VHost: vhost, Name: name}
	if json.Unmarshal(d.Value, n) != nil {
		return list
	}
	var err error
	if n.pattern, err = regexp.Compile(n.Pattern); err != nil {
		return list // refused by SetPolicy
	}
	list = append(list, n)
	slices.SortStableFunc(list, func(a, b *Policy) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// exchanges stands for the kind of what is no queue.
const exchanges = "exchange"

// strongest gives the policy in force for a queue of a kind, or for an exchange.
func strongest(list []*Policy, vhost, name, kind string) *Policy {
	for _, p := range list {
		if p.matches(vhost, name, kind) {
			return p
		}
	}
	return nil
}

func (p *Policy) matches(vhost, name, kind string) bool {
	fits := p.ApplyTo == "" || p.ApplyTo == "all"
	switch kind {
	case exchanges:
		fits = fits || p.ApplyTo == "exchanges"
	case Stream:
		fits = fits || p.ApplyTo == "queues" || p.ApplyTo == "streams"
	default:
		fits = fits || p.ApplyTo == "queues" || p.ApplyTo == kind+"_queues"
	}
	return fits && p.VHost == vhost && p.pattern.MatchString(name)
}

// SetPolicy puts a policy, for the queues that are there and those to come.
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
	put(c, core.Change{Key: PolicyKey(p.VHost, p.Name), Value: value}, done)
}

// ClearPolicy removes a policy.
func ClearPolicy(c front.Core, vhost, name string, done func(error)) {
	put(c, core.Change{Key: PolicyKey(vhost, name)}, done)
}

// SetOperatorPolicy puts a policy that bounds the others.
func SetOperatorPolicy(c front.Core, p Policy, done func(error)) {
	value, err := json.Marshal(p)
	if err != nil {
		done(&core.Error{Op: "set operator policy", Name: p.Name, Kind: core.Invalid, Err: err})
		return
	}
	put(c, core.Change{Key: OperatorKey(p.VHost, p.Name), Value: value}, done)
}

// ClearOperatorPolicy removes one.
func ClearOperatorPolicy(c front.Core, vhost, name string, done func(error)) {
	put(c, core.Change{Key: OperatorKey(vhost, name)}, done)
}

func put(c front.Core, ch core.Change, done func(error)) {
	c.Cluster().Put([]core.Change{ch}, func(_ core.Revision, err error) { done(err) })
}
