package gate

import (
	"net/netip"
	"slices"

	"trine/internal/core"
)

// Snapshot is all that a decision rests on, at one moment. It is immutable; the same
// Snapshot gives the same decisions.
type Snapshot struct {
	users     map[string]*account
	by        map[string][]*compiled // rules that name a principal
	everyone  []*compiled
	unread    []string       // documents that cannot be read, in order
	near      []string       // users who may come from this machine only
	anonymous []netip.Prefix // from where those may come who give no name
	grants    []Grant        // permissions, by tenant and user
	topics    map[string]*Topic
}

// Reason says why something is allowed or denied.
type Reason string

// The reasons.
const (
	IsSuper     Reason = "a super user"
	Administers Reason = "an administrator"
	ByRule      Reason = "a rule allows it"
	IsNear      Reason = "no name is needed from there"
	NoUser      Reason = "no such user"
	NotNear     Reason = "this user may come from this machine only"
	Unreadable  Reason = "rules cannot be read"
	DeniedBy    Reason = "a rule denies it"
	NothingSaid Reason = "no rule allows it"
)

// Decision is the answer to one need.
type Decision struct {
	Allowed bool
	Why     Reason
	Rule    string // the document of the rule that decided
}

// Decide answers one need: deny overrides allow, and what nobody allows is denied.
func (s *Snapshot) Decide(p Principal, n Need) Decision {
	p.Addr = p.Addr.Unmap()
	if d, known := s.known(&p); !known || d.Allowed {
		return d
	}
	if n.Resource.Tenant == "" && p.User != "" && s.users[p.User].administers() {
		return Decision{Allowed: true, Why: Administers}
	}
	if len(s.unread) > 0 {
		return Decision{Why: Unreadable, Rule: s.unread[0]}
	}
	allowed := ""
	for _, rules := range [2][]*compiled{s.by[p.User], s.everyone} {
		for _, r := range rules {
			if !r.fits(&p, &n) {
				continue
			}
			if r.Effect == Deny {
				return Decision{Why: DeniedBy, Rule: r.of}
			}
			if allowed == "" {
				allowed = r.of
			}
		}
	}
	switch {
	case allowed != "":
		return Decision{Allowed: true, Why: ByRule, Rule: allowed}
	case p.User == "" && n.Op != ClusterAction && s.mayBeAnonymous(p.Addr):
		return Decision{Allowed: true, Why: IsNear}
	}
	return Decision{Why: NothingSaid}
}

// known decides what rests on the principal alone: known false is a denial.
func (s *Snapshot) known(p *Principal) (d Decision, known bool) {
	if p.User == "" {
		return Decision{}, true
	}
	u := s.users[p.User]
	switch {
	case u == nil:
		return Decision{Why: NoUser}, false
	case slices.Contains(s.near, p.User) && !p.Addr.IsLoopback():
		return Decision{Why: NotNear}, false
	case u.Super:
		return Decision{Allowed: true, Why: IsSuper}, true
	}
	return Decision{}, true
}

func (s *Snapshot) mayBeAnonymous(a netip.Addr) bool {
	return contains(s.anonymous, a)
}

// Check asks for all that a request needs: nil, or Denied for the first that may not
// be.
func (s *Snapshot) Check(p Principal, needs ...Need) error {
	for _, n := range needs {
		if d := s.Decide(p, n); !d.Allowed {
			op := string(n.Op) + " " + string(n.Resource.Type)
			return failure(op, n.Resource.Name, core.Denied, string(d.Why))
		}
	}
	return nil
}

// Enter says whether a principal may use a tenant at all: a super user, or one whom
// some rule allows something there and none denies to describe it.
func (s *Snapshot) Enter(p Principal, tenant string) bool {
	p.Addr = p.Addr.Unmap()
	whole := Need{Resource{Type: Tenant, Tenant: tenant, Name: tenant}, Describe}
	d := s.Decide(p, whole)
	if d.Allowed || d.Why != NothingSaid {
		return d.Allowed
	}
	for _, rules := range [2][]*compiled{s.by[p.User], s.everyone} {
		for _, r := range rules {
			if r.Effect == Allow && (r.AnyTenant || r.Tenant == tenant) && r.fitsHost(p.Addr) {
				return true
			}
		}
	}
	return false
}
