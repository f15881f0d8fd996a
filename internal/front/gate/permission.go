package gate

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"trine/internal/core"
)

// installedTenant is where the user that is there as installed may do everything: the
// one that clients enter who name none.
const installedTenant = "/"

// Permission is what one user may do in one tenant, as three regular expressions on
// names; an empty one fits no name.
type Permission struct {
	Configure string `json:"configure"` // create, alter and delete
	Write     string `json:"write"`
	Read      string `json:"read"`
}

// Grant is a Permission, and whose and where it is.
type Grant struct {
	User, Tenant string
	Permission
}

// permission is a Permission as a document.
type permission struct {
	V       int  `json:"v"`
	Removed bool `json:"removed,omitempty"` // of the one that is there as installed
	Permission
}

var (
	escaper   = strings.NewReplacer("%", "%25", "/", "%2F")
	unescaper = strings.NewReplacer("%2F", "/", "%25", "%")
)

func permissionKey(user, tenant string) string {
	return permissionPrefix + escaper.Replace(user) + "/" + tenant
}

// Permit gives the change that makes p all that a user may do in a tenant, beside
// what other rules say.
func Permit(user, tenant string, p Permission) (core.Change, error) {
	key := permissionKey(user, tenant)
	if _, err := rulesOf(key, Grant{user, tenant, p}); err != nil {
		return core.Change{}, err
	}
	return core.Change{Key: key, Value: encode(permission{V: documentVersion, Permission: p})}, nil
}

// Forbid gives the change that takes Permit back.
func Forbid(user, tenant string) core.Change {
	c := core.Change{Key: permissionKey(user, tenant)}
	if user == guestName && tenant == installedTenant {
		c.Value = encode(permission{V: documentVersion, Removed: true})
	}
	return c
}

// rulesOf gives a Grant as the rules that it is.
func rulesOf(key string, g Grant) ([]*compiled, error) {
	var all []*compiled
	for _, part := range []struct {
		text string
		ops  []Op
	}{{g.Configure, []Op{Create, Alter, Delete}}, {g.Write, []Op{Write}}, {g.Read, []Op{Read}}} {
		c, err := compile(key, Rule{Effect: Allow, Principals: []string{g.User}, Tenant: g.Tenant,
			Types: []Type{Queue, Exchange}, Pattern: Pattern{Regexp, orNothing(part.text)}, Ops: part.ops})
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// orNothing gives the expression that an empty one stands for.
func orNothing(text string) string {
	if text == "" {
		return "^$"
	}
	return text
}

// readPermission takes a permission in, or out.
func (b *book) readPermission(d core.Document, rest string) error {
	user, tenant, _ := strings.Cut(rest, "/")
	user = unescaper.Replace(user)
	delete(b.rules, d.Key)
	delete(b.grants, d.Key)
	if d.Value == nil {
		return nil
	}
	b.grants[d.Key] = nil // also of one that cannot be read: it gives nothing, nor does what is installed
	var p permission
	if err := decode(d, &p.V, &p); err != nil || p.Removed {
		return err
	}
	g := &Grant{user, tenant, p.Permission}
	rules, err := rulesOf(d.Key, *g)
	if err != nil {
		return err
	}
	b.grants[d.Key], b.rules[d.Key] = g, rules
	return nil
}

// install gives the user that is there as installed what it may do.
func (b *book) install(a *account) {
	b.guest = a
	all := Permission{".*", ".*", ".*"}
	b.asInstalled = &Grant{guestName, installedTenant, all}
	rules, err := rulesOf(permissionKey(guestName, installedTenant), *b.asInstalled)
	core.Assert(err == nil, ".* is an expression: %v", err)
	b.installedRules = rules
}

// Topic is what one user may do with one exchange that goes by topics, beside what
// Permissions say: regular expressions on routing keys, in which {username} and
// {vhost} stand for those names.
type Topic struct {
	User, Tenant, Exchange string
	Write, Read            string

	write, read *regexp.Regexp
}

type topic struct {
	V     int    `json:"v"`
	Write string `json:"write"`
	Read  string `json:"read"`
}

func topicKey(user, tenant, exchange string) string {
	return topicPrefix + escaper.Replace(user) + "/" + escaper.Replace(tenant) + "/" + exchange
}

// PermitTopic gives the change that makes t what a user may do with its exchange.
func PermitTopic(t Topic) (core.Change, error) {
	key := topicKey(t.User, t.Tenant, t.Exchange)
	if err := t.compile(key); err != nil {
		return core.Change{}, err
	}
	return core.Change{Key: key, Value: encode(topic{documentVersion, t.Write, t.Read})}, nil
}

// ForbidTopic gives the change that takes PermitTopic back: from there on Permissions
// alone decide.
func ForbidTopic(user, tenant, exchange string) core.Change {
	return core.Change{Key: topicKey(user, tenant, exchange)}
}

func (t *Topic) compile(key string) error {
	names := strings.NewReplacer("{username}", regexp.QuoteMeta(t.User), "{vhost}",
		regexp.QuoteMeta(t.Tenant))
	for _, e := range []struct {
		text string
		re   **regexp.Regexp
	}{{t.Write, &t.write}, {t.Read, &t.read}} {
		if len(e.text) > patternBytesMax {
			return failure("read topic permission", key, core.Invalid, "the pattern is too long")
		}
		re, err := regexp.Compile(names.Replace(orNothing(e.text)))
		if err != nil {
			return &core.Error{Op: "read topic permission", Name: key, Kind: core.Invalid, Err: err}
		}
		*e.re = re
	}
	return nil
}

// MayWrite says whether a message with this routing key may be published.
func (t *Topic) MayWrite(key []byte) bool { return t.write.Match(key) }

// MayRead says whether something may be bound by this routing key.
func (t *Topic) MayRead(key string) bool { return t.read.MatchString(key) }

// readTopic takes a topic permission in, or out. One that cannot be read allows
// nothing.
func (b *book) readTopic(d core.Document, rest string) error {
	delete(b.topics, d.Key)
	parts := strings.SplitN(rest, "/", 3)
	if d.Value == nil || len(parts) < 3 {
		return nil
	}
	var doc topic
	t := &Topic{User: unescaper.Replace(parts[0]), Tenant: unescaper.Replace(parts[1]), Exchange: parts[2]}
	err := decode(d, &doc.V, &doc)
	if err == nil {
		t.Write, t.Read = doc.Write, doc.Read
		err = t.compile(d.Key)
	}
	if err != nil {
		t.Write, t.Read = "", ""
		core.Assert(t.compile(d.Key) == nil, "what fits nothing is an expression")
	}
	b.topics[d.Key] = t
	return err
}

// Topic gives what a user may do with an exchange that goes by topics; nil: whatever
// Permissions say.
func (s *Snapshot) Topic(user, tenant, exchange string) *Topic {
	if len(s.topics) == 0 {
		return nil
	}
	return s.topics[topicKey(user, tenant, exchange)]
}

// Grants are all Permissions of users that there are, by tenant and user.
func (s *Snapshot) Grants() []Grant { return slices.Clone(s.grants) }

// Topics are all topic permissions of users that there are, by tenant, user and
// exchange.
func (s *Snapshot) Topics() []Topic {
	var all []Topic
	for _, t := range s.topics {
		if s.users[t.User] != nil {
			all = append(all, *t)
		}
	}
	slices.SortFunc(all, func(a, b Topic) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.User, b.User),
			cmp.Compare(a.Exchange, b.Exchange))
	})
	return all
}

func sortGrants(gs []Grant) {
	slices.SortFunc(gs, func(a, b Grant) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.User, b.User))
	})
}

// RemoveTenant gives the changes that take away all that was permitted in a tenant.
func (s *Snapshot) RemoveTenant(tenant string) []core.Change {
	return s.forbidden(func(_, t string) bool { return t == tenant })
}

// forbidden gives the changes that take away what was permitted to whom where pick
// says so.
func (s *Snapshot) forbidden(pick func(user, tenant string) bool) []core.Change {
	var cs []core.Change
	for _, g := range s.grants {
		if pick(g.User, g.Tenant) {
			cs = append(cs, Forbid(g.User, g.Tenant))
		}
	}
	for _, t := range s.Topics() {
		if pick(t.User, t.Tenant) {
			cs = append(cs, ForbidTopic(t.User, t.Tenant, t.Exchange))
		}
	}
	return cs
}
