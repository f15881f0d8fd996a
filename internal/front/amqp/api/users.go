package api

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"trine/internal/core"
	"trine/internal/front/gate"
)

// userRoutes are the paths of this file.
var userRoutes = []route{
	{"GET", "whoami", managers, false, (*server).whoami},
	{"GET", "auth", anybody, false, (*server).authSettings},
	{"GET", "users", administrators, false, (*server).users},
	{"GET", "users/*", administrators, false, (*server).user},
	{"PUT", "users/*", administrators, false, (*server).putUser},
	{"DELETE", "users/*", administrators, false, (*server).removeUser},
	{"POST", "users/bulk-delete", administrators, false, (*server).removeUsers},
	{"GET", "users/without-permissions", administrators, false, (*server).usersWithout},
	{"GET", "users/*/permissions", administrators, false, (*server).permissionsOfUser},
	{"GET", "users/*/topic-permissions", administrators, false, (*server).topicsOfUser},
}

// keeper is who keeps the users: nil where a front end runs without any.
func (s *server) keeper() *gate.Gate {
	g, _ := s.f.Gate().(*gate.Gate)
	return g
}

// known gives the users and what they may do.
func (s *server) known() (*gate.Snapshot, error) {
	g := s.keeper()
	if g == nil {
		return nil, called(http.StatusServiceUnavailable, "service_unavailable", "no users are kept here")
	}
	return g.Snapshot(), nil
}

// put makes changes and answers with success.
func (s *server) put(c *call, success *failure, cs ...core.Change) (any, error) {
	return nil, s.wait(c, func(told func(error)) {
		s.f.Core().Cluster().Put(cs, func(_ core.Revision, err error) { told(err) })
	}, success)
}

// madeOr gives 201 for what is new and 204 for what was there.
func madeOr(there bool) *failure {
	if there {
		return done
	}
	return created
}

func (s *server) whoami(c *call) (any, error) {
	return object{"name": c.User, "tags": list0(c.account.Tags), "is_internal_user": true}, nil
}

func (s *server) authSettings(*call) (any, error) { return object{"oauth_enabled": false}, nil }

// list0 is a list that is never null in JSON.
func list0(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func userObject(a gate.Account) object {
	algorithm := a.Hash.Algorithm
	if algorithm == "" {
		algorithm = gate.Algorithms[0]
	}
	limits := object{}
	for name, n := range a.Limits {
		limits[name] = n
	}
	return object{"name": a.Name, "tags": list0(a.Tags), "limits": limits,
		"hashing_algorithm": algorithm, "password_hash": base64.StdEncoding.EncodeToString(a.Hash.Salted)}
}

func (s *server) users(*call) (any, error) {
	known, err := s.known()
	if err != nil {
		return nil, err
	}
	all := []object{}
	for _, a := range known.Accounts() {
		all = append(all, userObject(a))
	}
	return all, nil
}

// usersWithout lists the users who may enter no virtual host.
func (s *server) usersWithout(*call) (any, error) {
	known, err := s.known()
	if err != nil {
		return nil, err
	}
	all := []object{}
	for _, a := range known.Accounts() {
		if !slices.ContainsFunc(known.Grants(), func(g gate.Grant) bool { return g.User == a.Name }) {
			all = append(all, userObject(a))
		}
	}
	return all, nil
}

// account gives the user that a path names.
func (s *server) account(name string) (*gate.Snapshot, gate.Account, error) {
	known, err := s.known()
	if err != nil {
		return nil, gate.Account{}, err
	}
	a, ok := known.Account(name)
	if !ok {
		return known, a, errNone
	}
	return known, a, nil
}

func (s *server) user(c *call) (any, error) {
	_, a, err := s.account(c.arg(1))
	if err != nil {
		return nil, err
	}
	return userObject(a), nil
}

func (s *server) putUser(c *call) (any, error) {
	o, err := c.body()
	if err != nil {
		return nil, err
	}
	known, err := s.known()
	if err != nil {
		return nil, err
	}
	_, there := known.Account(c.arg(1))
	ch, err := userChange(known, c.arg(1), o)
	if err != nil {
		return nil, err
	}
	return s.put(c, madeOr(there), ch)
}

// userChange makes a user of what JSON says of it. Limits that it does not speak of
// stay.
func userChange(known *gate.Snapshot, name string, o object) (core.Change, error) {
	a := gate.Account{Name: name}
	before, _ := known.Account(name)
	a.Limits = before.Limits
	var err error
	if a.Tags, err = tagsOf(o["tags"]); err != nil {
		return core.Change{}, err
	}
	if limits, ok := o["limits"].(object); ok {
		a.Limits = map[string]int{}
		for k := range limits {
			n, ok := number(limits, k)
			if !ok || !slices.Contains(userLimits, k) {
				return core.Change{}, bad("limit " + k + " of user " + name + " is not one")
			}
			a.Limits[k] = n
		}
	}
	password, named := o["password"]
	hash, hashed := o["password_hash"]
	if named && hashed {
		return core.Change{}, bad("both_password_and_password_hash_are_provided")
	}
	word, isText := password.(string)
	if named && !isText {
		return core.Change{}, bad("the password is no string")
	}
	if word != "" {
		return invalid(gate.PutUser(a, word, rand.Reader))
	}
	if hashed {
		text, isText := hash.(string)
		a.Hash.Salted, err = base64.StdEncoding.DecodeString(text)
		if !isText || err != nil {
			return core.Change{}, bad([]any{"not_base64", hash})
		}
	}
	if len(a.Hash.Salted) > 0 {
		if a.Hash.Algorithm = text(o, "hashing_algorithm"); a.Hash.Algorithm == "" {
			a.Hash.Algorithm = gate.Algorithms[0]
		}
	}
	return invalid(gate.PutHashed(a))
}

// invalid gives an error that says what is wrong with a request.
func invalid(ch core.Change, err error) (core.Change, error) {
	if core.KindOf(err) == core.Invalid {
		return ch, bad(err.Error())
	}
	return ch, err
}

// tagsOf reads tags as a list, or as words with commas between them.
func tagsOf(v any) ([]string, error) {
	tags := []string{}
	switch v := v.(type) {
	case nil:
		return nil, bad("tags_not_present")
	case string:
		for t := range strings.SplitSeq(v, ",") {
			if t = strings.TrimSpace(t); t != "" {
				tags = append(tags, t)
			}
		}
	case []any:
		for _, e := range v {
			t, ok := e.(string)
			if !ok {
				return nil, bad("a tag is no string")
			}
			tags = append(tags, t)
		}
	default:
		return nil, bad("tags are neither a string nor a list of strings")
	}
	return tags, nil
}

func (s *server) removeUser(c *call) (any, error) {
	known, _, err := s.account(c.arg(1))
	if err != nil {
		return nil, err
	}
	return s.put(c, done, known.RemoveUser(c.arg(1))...)
}

func (s *server) removeUsers(c *call) (any, error) {
	o, err := c.body("users")
	if err != nil {
		return nil, err
	}
	known, err := s.known()
	if err != nil {
		return nil, err
	}
	names, ok := o["users"].([]any)
	if !ok {
		return nil, bad("users are no list")
	}
	var cs []core.Change
	seen := map[string]bool{}
	for _, n := range names {
		name, _ := n.(string)
		if _, there := known.Account(name); there && !seen[name] {
			seen[name] = true
			cs = append(cs, known.RemoveUser(name)...)
		}
	}
	if len(cs) == 0 {
		return nil, done
	}
	return s.put(c, done, cs...)
}
