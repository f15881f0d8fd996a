package gate

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"trine/internal/core"
)

// Op is what somebody wants to do with a resource.
type Op string

// The operations.
const (
	Create          Op = "create"
	Alter           Op = "alter"
	Delete          Op = "delete"
	Describe        Op = "describe"
	Read            Op = "read"
	Write           Op = "write"
	Admin           Op = "admin"           // change users, rules and settings
	IdempotentWrite Op = "idempotentWrite" // number what is written
	ClusterAction   Op = "clusterAction"   // act as a member of the cluster
)

var allOps = []Op{Create, Alter, Delete, Describe, Read, Write, Admin, IdempotentWrite,
	ClusterAction}

// Type is a kind of resource.
type Type string

// The types. A queue is a topic.
const (
	Tenant      Type = "tenant"
	Queue       Type = "queue"
	Exchange    Type = "exchange"
	Group       Type = "group"
	Transaction Type = "transaction"
	Cluster     Type = "cluster"
	User        Type = "user"
)

var allTypes = []Type{Tenant, Queue, Exchange, Group, Transaction, Cluster, User}

// Resource is one thing that something is done with. Tenant is empty under protocols
// that have none.
type Resource struct {
	Type   Type
	Tenant string
	Name   string
}

// Need is one of the things that a request needs.
type Need struct {
	Resource Resource
	Op       Op
}

// Principal is who speaks, and from where. User is empty where no name was given.
type Principal struct {
	User string
	Addr netip.Addr
}

// Effect says what follows where a rule fits.
type Effect string

// The effects.
const (
	Allow Effect = "allow"
	Deny  Effect = "deny"
)

// PatternKind says how a pattern is compared with a name.
type PatternKind string

// The kinds of pattern.
const (
	Any     PatternKind = "any"
	Literal PatternKind = "literal"
	Prefix  PatternKind = "prefix"
	Regexp  PatternKind = "regexp" // RE2, found anywhere in the name
)

// Pattern is which names a rule is about.
type Pattern struct {
	Kind PatternKind `json:"kind"`
	Text string      `json:"text,omitempty"`
}

// Rule allows or denies. A field that is left empty narrows nothing, but for
// Principals and Tenant: those are named, or set to be all.
type Rule struct {
	Effect     Effect         `json:"effect"`
	Everyone   bool           `json:"everyone,omitempty"` // with those who give no name
	Principals []string       `json:"principals,omitempty"`
	Hosts      []netip.Prefix `json:"hosts,omitempty"`
	AnyTenant  bool           `json:"any_tenant,omitempty"`
	Tenant     string         `json:"tenant,omitempty"`
	Types      []Type         `json:"types,omitempty"`
	Pattern    Pattern        `json:"pattern"`
	Ops        []Op           `json:"ops,omitempty"`
}

// compiled is a rule as it is compared.
type compiled struct {
	Rule
	of string // the document that it stands in
	re *regexp.Regexp
}

// patternBytesMax bounds a pattern's text.
const patternBytesMax = 4096

// compile refuses a rule that says something that is not known: it might narrow.
func compile(of string, r Rule) (*compiled, error) {
	bad := func(format string, args ...any) error {
		return failure("read rule", of, core.Invalid, fmt.Sprintf(format, args...))
	}
	if r.Effect != Allow && r.Effect != Deny {
		return nil, bad("effect %q is neither allow nor deny", r.Effect)
	}
	for _, t := range r.Types {
		if !slices.Contains(allTypes, t) {
			return nil, bad("%q is no type of resource", t)
		}
	}
	for _, op := range r.Ops {
		if !slices.Contains(allOps, op) {
			return nil, bad("%q is no operation", op)
		}
	}
	if len(r.Pattern.Text) > patternBytesMax {
		return nil, bad("a pattern of %d bytes, of at most %d",
			len(r.Pattern.Text), patternBytesMax)
	}
	c := &compiled{Rule: r, of: of}
	switch r.Pattern.Kind {
	case Any, Literal, Prefix:
	case Regexp:
		re, err := regexp.Compile(r.Pattern.Text)
		if err != nil {
			return nil, &core.Error{Op: "read rule", Name: of, Kind: core.Invalid, Err: err}
		}
		c.re = re
	default:
		return nil, bad("%q is no kind of pattern", r.Pattern.Kind)
	}
	return c, nil
}

// fits says whether the rule is about this need. Who allows something with a
// resource allows it to be described; who denies it denies only that.
func (c *compiled) fits(p *Principal, n *Need) bool {
	return c.fitsHost(p.Addr) && (c.AnyTenant || c.Tenant == n.Resource.Tenant) &&
		(len(c.Types) == 0 || slices.Contains(c.Types, n.Resource.Type)) &&
		(len(c.Ops) == 0 || slices.Contains(c.Ops, n.Op) || c.Effect == Allow && n.Op == Describe &&
			slices.ContainsFunc(c.Ops, impliesDescribe)) &&
		c.fitsName(n.Resource.Name)
}

func impliesDescribe(op Op) bool {
	return op == Read || op == Write || op == Delete || op == Alter
}

func (c *compiled) fitsHost(a netip.Addr) bool {
	return len(c.Hosts) == 0 || contains(c.Hosts, a)
}

func contains(hosts []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(hosts, func(h netip.Prefix) bool { return h.Contains(a) })
}

func (c *compiled) fitsName(name string) bool {
	switch c.Pattern.Kind {
	case Any:
		return true
	case Literal:
		return name == c.Pattern.Text
	case Prefix:
		return strings.HasPrefix(name, c.Pattern.Text)
	}
	return c.re.MatchString(name)
}
