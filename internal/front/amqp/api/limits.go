package api

import (
	"fmt"
	"slices"

	"trine/internal/front/amqp/api/form"
	"trine/internal/front/amqp/topology"
)

// limitRoutes are the paths of this file.
var limitRoutes = []route{
	{"GET", "vhost-limits", managers, false, (*server).hostLimitsAll},
	{"GET", "vhost-limits/*", managers, true, (*server).hostLimitsAll},
	{"PUT", "vhost-limits/*/*", administrators, false, (*server).limitHost},
	{"DELETE", "vhost-limits/*/*", administrators, false, (*server).limitHost},
	{"GET", "user-limits", managers, false, (*server).userLimitsAll},
	{"GET", "user-limits/*", managers, false, (*server).userLimitsAll},
	{"PUT", "user-limits/*/*", administrators, false, (*server).limitUser},
	{"DELETE", "user-limits/*/*", administrators, false, (*server).limitUser},
}

// hostLimits are those that a virtual host may have.
var hostLimits = []string{topology.ConnectionsMax, topology.QueuesMax}

func (s *server) hostLimitsAll(c *call) (any, error) {
	all := []object{}
	for _, h := range s.f.View().Hosts() {
		if (len(c.path) < 2 || h.Name == c.arg(1)) && len(h.Limits) > 0 && s.sees(c, h.Name) {
			all = append(all, object{"vhost": h.Name, "value": h.Limits})
		}
	}
	return all, nil
}

// limitOf reads one limit, which a DELETE has none of.
func (c *call) limitOf() (*int, object, error) {
	if c.Method == "DELETE" {
		return nil, nil, nil
	}
	o, err := c.body("value")
	if err != nil {
		return nil, nil, err
	}
	n, ok := number(o, "value")
	if _, isText := o["value"].(string); isText || !ok {
		return nil, o, nil
	}
	return &n, o, nil
}

func (s *server) limitHost(c *call) (any, error) {
	vhost, name := c.arg(1), c.arg(2)
	if !s.f.View().HasHost(vhost) {
		return nil, notFound("vhost_not_found")
	}
	n, o, err := c.limitOf()
	if err != nil {
		return nil, err
	}
	if o != nil && !slices.Contains(hostLimits, name) {
		return nil, bad(fmt.Sprintf("Validation failed\n\nUnrecognised terms [{<<%q>>,%s}] in limits\n",
			name, erlang(o["value"])))
	}
	if o != nil && n == nil {
		return nil, bad(fmt.Sprintf("Validation failed\n\n%s should be a number, actually was %s\n",
			name, erlang(o["value"])))
	}
	return s.put(c, done, s.f.View().LimitHost(vhost, name, n))
}

func (s *server) userLimitsAll(c *call) (any, error) {
	known, err := s.known()
	if err != nil {
		return nil, err
	}
	if _, there := known.Account(c.arg(1)); len(c.path) > 1 && !there {
		return nil, errNone
	}
	all := []object{}
	for _, a := range known.Accounts() {
		if (len(c.path) < 2 || a.Name == c.arg(1)) && len(a.Limits) > 0 {
			all = append(all, object{"user": a.Name, "value": a.Limits})
		}
	}
	return all, nil
}

func (s *server) limitUser(c *call) (any, error) {
	user, name := c.arg(1), c.arg(2)
	known, err := s.known()
	if err != nil {
		return nil, err
	}
	n, o, err := c.limitOf()
	if err != nil {
		return nil, err
	}
	if _, there := known.Account(user); !there && o == nil {
		return nil, errNone
	} else if !there {
		return nil, bad([]any{"no_such_user", user})
	}
	if o != nil && !slices.Contains(form.UserLimits, name) {
		return nil, bad(fmt.Sprintf("Unrecognised terms [{<<%q>>,%s}] in user-limits", name,
			erlang(o["value"])))
	}
	if o != nil && n == nil {
		return nil, bad(fmt.Sprintf("%s should be a number, actually was %s", name, erlang(o["value"])))
	}
	ch, err := known.LimitUser(user, name, n)
	if err != nil {
		return nil, err
	}
	return s.put(c, done, ch)
}
