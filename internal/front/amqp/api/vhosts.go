package api

import "trine/internal/front/amqp/topology"

// hostRoutes are the paths of this file.
var hostRoutes = []route{
	{"GET", "whoami", managers, false, (*server).whoami},
	{"GET", "vhosts", managers, false, (*server).vhosts},
	{"GET", "vhosts/*", managers, true, (*server).vhosts},
	{"PUT", "vhosts/*", administrators, false, (*server).putVHost},
}

func (s *server) whoami(c *call) (any, error) {
	return object{"name": c.User, "tags": c.account.Tags}, nil
}

func (s *server) vhosts(c *call) (any, error) {
	all := []object{}
	for _, name := range s.f.View().VHosts() {
		o := object{"name": name, "tracing": false, "default_queue_type": "classic"}
		if c.arg(1) == name {
			return o, nil
		}
		all = append(all, o)
	}
	if c.arg(1) != "" {
		return nil, errNone
	}
	return all, nil
}

func (s *server) putVHost(c *call) (any, error) {
	return nil, s.wait(c, func(told func(error)) {
		topology.AddVHost(s.f.Core(), c.arg(1), told)
	}, created)
}
