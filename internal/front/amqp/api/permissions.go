package api

import (
	"slices"

	"trine/internal/core"
	"trine/internal/front/amqp/api/form"
	"trine/internal/front/gate"
)

// permissionRoutes are the paths of this file.
var permissionRoutes = []route{
	{"GET", "permissions", administrators, false, (*server).permissions},
	{"GET", "permissions/*/*", administrators, false, (*server).permission},
	{"PUT", "permissions/*/*", administrators, false, (*server).putPermission},
	{"DELETE", "permissions/*/*", administrators, false, (*server).removePermission},
	{"GET", "vhosts/*/permissions", administrators, true, (*server).permissionsOfHost},
	{"GET", "topic-permissions", administrators, false, (*server).topics},
	{"GET", "topic-permissions/*/*", administrators, false, (*server).topic},
	{"PUT", "topic-permissions/*/*", administrators, false, (*server).putTopic},
	{"DELETE", "topic-permissions/*/*", administrators, false, (*server).removeTopic},
	{"DELETE", "topic-permissions/*/*/*", administrators, false, (*server).removeTopic},
	{"GET", "vhosts/*/topic-permissions", administrators, true, (*server).topicsOfHost},
}

// grants lists the permissions that pick names.
func (s *server) grants(c *call, pick func(gate.Grant) bool) (any, error) {
	known, err := s.known()
	if err != nil {
		return nil, err
	}
	all := []object{}
	for _, g := range known.Grants() {
		if pick(g) && s.f.View().HasHost(g.Tenant) {
			all = append(all, form.OfPermission(g))
		}
	}
	return c.list(all)
}

func (s *server) permissions(c *call) (any, error) {
	return s.grants(c, func(gate.Grant) bool { return true })
}

func (s *server) permissionsOfHost(c *call) (any, error) {
	return s.grants(c, func(g gate.Grant) bool { return g.Tenant == c.arg(1) })
}

func (s *server) permissionsOfUser(c *call) (any, error) {
	if _, _, err := s.account(c.arg(1)); err != nil {
		return nil, err
	}
	return s.grants(c, func(g gate.Grant) bool { return g.User == c.arg(1) })
}

// granted gives the user, the virtual host and the permission that a path names:
// errNone where one of the first two is not there.
func (s *server) granted(c *call) (g gate.Grant, there bool, err error) {
	known, _, err := s.account(c.arg(2))
	if err != nil {
		return g, false, err
	}
	if !s.f.View().HasHost(c.arg(1)) {
		return g, false, errNone
	}
	all := known.Grants()
	i := slices.IndexFunc(all, func(g gate.Grant) bool {
		return g.Tenant == c.arg(1) && g.User == c.arg(2)
	})
	if i < 0 {
		return gate.Grant{User: c.arg(2), Tenant: c.arg(1)}, false, nil
	}
	return all[i], true, nil
}

func (s *server) permission(c *call) (any, error) {
	g, there, err := s.granted(c)
	if err == nil && !there {
		err = errNone
	}
	if err != nil {
		return nil, err
	}
	return form.OfPermission(g), nil
}

// noneOf is the answer where the user or the virtual host of a permission is not there.
func noneOf(err error) error {
	if err == errNone {
		return bad("vhost_or_user_not_found")
	}
	return err
}

func (s *server) putPermission(c *call) (any, error) {
	_, there, err := s.granted(c)
	if err != nil {
		return nil, noneOf(err)
	}
	o, err := c.body("configure", "write", "read")
	if err != nil {
		return nil, err
	}
	ch, err := form.Permission(c.arg(2), c.arg(1), o)
	if err != nil {
		return nil, err
	}
	return s.put(c, madeOr(there), ch)
}

func (s *server) removePermission(c *call) (any, error) {
	_, there, err := s.granted(c)
	if err == nil && !there {
		err = errNone
	}
	if err != nil {
		return nil, err
	}
	return s.put(c, done, gate.Forbid(c.arg(2), c.arg(1)))
}

// topicsOf lists the topic permissions that pick names.
func (s *server) topicsOf(pick func(gate.Topic) bool) ([]object, error) {
	known, err := s.known()
	if err != nil {
		return nil, err
	}
	all := []object{}
	for _, t := range known.Topics() {
		if pick(t) && s.f.View().HasHost(t.Tenant) {
			all = append(all, form.OfTopic(t))
		}
	}
	return all, nil
}

func (s *server) topics(*call) (any, error) {
	return s.topicsOf(func(gate.Topic) bool { return true })
}

func (s *server) topicsOfHost(c *call) (any, error) {
	return s.topicsOf(func(t gate.Topic) bool { return t.Tenant == c.arg(1) })
}

func (s *server) topicsOfUser(c *call) (any, error) {
	if _, _, err := s.account(c.arg(1)); err != nil {
		return nil, err
	}
	return s.topicsOf(func(t gate.Topic) bool { return t.User == c.arg(1) })
}

// topicsAt lists those of one user in one virtual host: errNone where one of them is not
// there.
func (s *server) topicsAt(c *call) ([]object, error) {
	if _, _, err := s.granted(c); err != nil {
		return nil, err
	}
	return s.topicsOf(func(t gate.Topic) bool { return t.Tenant == c.arg(1) && t.User == c.arg(2) })
}

func (s *server) topic(c *call) (any, error) {
	all, err := s.topicsAt(c)
	if err == nil && len(all) == 0 {
		err = errNone
	}
	return all, err
}

func (s *server) putTopic(c *call) (any, error) {
	there, err := s.topicsAt(c)
	if err != nil {
		return nil, noneOf(err)
	}
	o, err := c.body("exchange", "write", "read")
	if err != nil {
		return nil, err
	}
	ch, err := form.Topic(c.arg(2), c.arg(1), o)
	if err != nil {
		return nil, err
	}
	return s.put(c, madeOr(len(there) > 0), ch)
}

// removeTopic takes away what a user was permitted with one exchange, or with all.
func (s *server) removeTopic(c *call) (any, error) {
	there, err := s.topicsAt(c)
	if err == nil && len(there) == 0 {
		err = errNone
	}
	if err != nil {
		return nil, err
	}
	var cs []core.Change
	for _, t := range there {
		if x := t["exchange"].(string); len(c.path) < 4 || x == c.arg(3) {
			cs = append(cs, gate.ForbidTopic(c.arg(2), c.arg(1), x))
		}
	}
	if len(cs) == 0 {
		return nil, done
	}
	return s.put(c, done, cs...)
}
