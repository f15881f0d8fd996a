package api

import (
	"net/http"
	"slices"

	"trine/internal/core"
	"trine/internal/front/amqp/api/form"
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
	return object{"name": c.User, "tags": form.List(c.account.Tags), "is_internal_user": true}, nil
}

func (s *server) authSettings(*call) (any, error) { return object{"oauth_enabled": false}, nil }

func (s *server) users(c *call) (any, error) {
	known, err := s.known()
	if err != nil {
		return nil, err
	}
	all := []object{}
	for _, a := range known.Accounts() {
		all = append(all, form.OfUser(a))
	}
	return c.list(all)
}

// usersWithout lists the users who may enter no virtual host.
func (s *server) usersWithout(c *call) (any, error) {
	known, err := s.known()
	if err != nil {
		return nil, err
	}
	all := []object{}
	for _, a := range known.Accounts() {
		if !slices.ContainsFunc(known.Grants(), func(g gate.Grant) bool { return g.User == a.Name }) {
			all = append(all, form.OfUser(a))
		}
	}
	return c.list(all)
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
	return form.OfUser(a), nil
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
	ch, err := form.User(known, c.arg(1), o)
	if err != nil {
		return nil, err
	}
	return s.put(c, madeOr(there), ch)
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
