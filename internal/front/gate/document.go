package gate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"trine/internal/core"
)

// Where the gate's documents stand.
const (
	prefix           = "gate/"
	userPrefix       = "gate/user/"
	rulePrefix       = "gate/rule/"
	permissionPrefix = "gate/permission/"
	topicPrefix      = "gate/topic/"
	installedKey     = "gate/installed"
)

// documentVersion is the form of users and rules.
const documentVersion = 1

// account is a user as a document.
type account struct {
	V       int      `json:"v"`
	Removed bool     `json:"removed,omitempty"` // of the user that is there as installed
	Super   bool     `json:"super,omitempty"`
	Tags    []string `json:"tags,omitempty"`
	SHA256  *keys    `json:"sha256,omitempty"`
	SHA512  *keys    `json:"sha512,omitempty"`
	Hash    *Hash    `json:"hash,omitempty"`

	Limits map[string]int `json:"limits,omitempty"`

	revision core.Revision
}

// keys are what is kept of a password.
type keys struct {
	Salt       []byte `json:"salt"`
	Iterations int    `json:"iterations"`
	Stored     []byte `json:"stored"`
	Server     []byte `json:"server"`
}

// ruleSet is some rules as a document.
type ruleSet struct {
	V     int    `json:"v"`
	Rules []Rule `json:"rules"`
}

// decode reads a document's JSON, and nothing else: a field that is not known might
// narrow what the known ones say.
func decode(d core.Document, version *int, into any) error {
	r := json.NewDecoder(bytes.NewReader(d.Value))
	r.DisallowUnknownFields()
	if err := r.Decode(into); err != nil {
		return &core.Error{Op: "read document", Name: d.Key, Kind: core.Invalid, Err: err}
	}
	if _, err := r.Token(); err != io.EOF || *version != documentVersion {
		return &core.Error{Op: "read document", Name: d.Key, Kind: core.Invalid,
			Detail: fmt.Sprintf("version %d, or more than one value", *version)}
	}
	return nil
}

func failure(op, name string, kind core.Kind, detail string) error {
	return &core.Error{Op: op, Name: name, Kind: kind, Detail: detail}
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	core.Assert(err == nil, "a document of plain fields encodes: %v", err)
	return b
}

// PutRules gives the change that makes id stand for these rules and no others.
func PutRules(id string, rules []Rule) (core.Change, error) {
	key := rulePrefix + id
	if id == "" {
		return core.Change{}, failure("put rules", "", core.Invalid, "they need an id")
	}
	for _, r := range rules {
		if _, err := compile(key, r); err != nil {
			return core.Change{}, err
		}
	}
	return core.Change{Key: key, Value: encode(ruleSet{documentVersion, rules})}, nil
}

// RemoveRules gives the change that takes id's rules away.
func RemoveRules(id string) core.Change { return core.Change{Key: rulePrefix + id} }

// book is the documents as they are read, from which snapshots are made.
type book struct {
	users  map[string]*account
	rules  map[string][]*compiled
	unread map[string]bool
	grants map[string]*Grant // by key; nil: taken away from who has it as installed
	topics map[string]*Topic // by key
	near   []string
	from   []netip.Prefix

	guest          *account // the user that is there as installed; nil: none
	asInstalled    *Grant   // what it may do
	installedRules []*compiled
}

func newBook() *book {
	return &book{users: map[string]*account{}, rules: map[string][]*compiled{},
		unread: map[string]bool{}, grants: map[string]*Grant{}, topics: map[string]*Topic{}}
}

// read takes a document in, or out where its Value is nil. What cannot be read is
// remembered and makes every decision a denial, but for super users.
func (b *book) read(d core.Document) error {
	delete(b.unread, d.Key)
	if name, ok := strings.CutPrefix(d.Key, userPrefix); ok {
		delete(b.users, name)
		if d.Value == nil {
			return nil
		}
		a := &account{revision: d.Revision}
		if err := decode(d, &a.V, a); err != nil {
			b.users[name] = &account{Removed: true} // this user alone is gone
			return err
		}
		b.users[name] = a
		return nil
	}
	if rest, ok := strings.CutPrefix(d.Key, permissionPrefix); ok {
		return b.readPermission(d, rest)
	}
	if rest, ok := strings.CutPrefix(d.Key, topicPrefix); ok {
		return b.readTopic(d, rest)
	}
	if !strings.HasPrefix(d.Key, rulePrefix) {
		return nil
	}
	delete(b.rules, d.Key)
	if d.Value == nil {
		return nil
	}
	var set ruleSet
	err := decode(d, &set.V, &set)
	for i := 0; i < len(set.Rules) && err == nil; i++ {
		var c *compiled
		if c, err = compile(d.Key, set.Rules[i]); err == nil {
			b.rules[d.Key] = append(b.rules[d.Key], c)
		}
	}
	if err != nil {
		delete(b.rules, d.Key)
		b.unread[d.Key] = true
	}
	return err
}

// snapshot gives what decisions rest on from here on.
func (b *book) snapshot() *Snapshot {
	s := &Snapshot{users: make(map[string]*account, len(b.users)+1), by: map[string][]*compiled{},
		near: b.near, anonymous: b.from, unread: slices.Sorted(maps.Keys(b.unread))}
	if b.guest != nil {
		s.users[guestName] = b.guest
	}
	for name, a := range b.users {
		if a.Removed {
			delete(s.users, name)
		} else {
			s.users[name] = a
		}
	}
	for _, key := range slices.Sorted(maps.Keys(b.rules)) {
		s.take(b.rules[key])
	}
	for _, g := range b.grants {
		if g != nil && s.users[g.User] != nil {
			s.grants = append(s.grants, *g)
		}
	}
	if g := b.asInstalled; g != nil && s.users[g.User] != nil {
		if _, changed := b.grants[permissionKey(g.User, g.Tenant)]; !changed {
			s.grants = append(s.grants, *g)
			s.take(b.installedRules)
		}
	}
	sortGrants(s.grants)
	s.topics = maps.Clone(b.topics)
	return s
}

func (s *Snapshot) take(rules []*compiled) {
	for _, c := range rules {
		if c.Everyone {
			s.everyone = append(s.everyone, c)
			continue
		}
		for _, p := range c.Principals {
			s.by[p] = append(s.by[p], c)
		}
	}
}
