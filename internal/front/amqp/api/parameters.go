package api

import (
	"encoding/json"
	"slices"

	"trine/internal/front/amqp/topology"
)

// parameterRoutes are the paths of this file. What is set here is kept and given back
// as it was set; Trine has no shovels and no federation that would follow it.
var parameterRoutes = []route{
	{"GET", "parameters", policymakers, false, (*server).parameters},
	{"GET", "parameters/*", policymakers, false, (*server).parameters},
	{"GET", "parameters/*/*", policymakers, false, (*server).parameters},
	{"GET", "parameters/*/*/*", policymakers, false, (*server).parameter},
	{"PUT", "parameters/*/*/*", policymakers, false, (*server).putParameter},
	{"DELETE", "parameters/*/*/*", policymakers, false, (*server).clearParameter},
	{"GET", "global-parameters", policymakers, false, (*server).globals},
	{"GET", "global-parameters/*", policymakers, false, (*server).global},
	{"PUT", "global-parameters/*", policymakers, false, (*server).putGlobal},
	{"DELETE", "global-parameters/*", policymakers, false, (*server).clearGlobal},
}

// components are the parts of RabbitMQ that take parameters.
var components = []string{"shovel", "federation-upstream", "federation-upstream-set",
	"federation", "operator_policy", "policy", "vhost-limits"}

func parameterObject(p *topology.Parameter) object {
	o := object{"name": p.Name, "value": p.Value}
	if p.Component != "" {
		o["vhost"], o["component"] = p.VHost, p.Component
	}
	return o
}

func (s *server) listParameters(c *call, host, component string) []object {
	all := []object{}
	for _, p := range s.f.View().Parameters(host, component) {
		if host != "" || s.sees(c, p.VHost) {
			all = append(all, parameterObject(&p))
		}
	}
	sortBy(all, "component", "vhost", "name")
	return all
}

func (s *server) parameters(c *call) (any, error) {
	if err := s.entered(c, c.arg(2)); err != nil && c.arg(2) != "" {
		return nil, err
	}
	return s.listParameters(c, c.arg(2), c.arg(1)), nil
}

// entered says whether a virtual host is there and the user may use it.
func (s *server) entered(c *call, host string) error {
	if !s.f.View().HasHost(host) {
		return notFound("vhost_not_found")
	}
	if !c.is(administrators) && !s.enters(c, host) {
		return mayNot("User not authorised to access virtual host")
	}
	return nil
}

func (s *server) parameter(c *call) (any, error) {
	if err := s.entered(c, c.arg(2)); err != nil {
		return nil, errNone
	}
	return one(with(s.listParameters(c, c.arg(2), c.arg(1)), "name", c.arg(3)))
}

func (s *server) putParameter(c *call) (any, error) {
	if err := s.entered(c, c.arg(2)); err != nil {
		return nil, err
	}
	b, err := c.body("value")
	if err != nil {
		return nil, err
	}
	if !slices.Contains(components, c.arg(1)) {
		return nil, bad("Validation failed\n\ncomponent " + c.arg(1) + " not found\n")
	}
	value, err := json.Marshal(b["value"])
	if err != nil {
		return nil, bad(err.Error())
	}
	return nil, s.setParameter(c, topology.Parameter{VHost: c.arg(2), Component: c.arg(1), Name: c.arg(3),
		Value: value}, len(with(s.listParameters(c, c.arg(2), c.arg(1)), "name", c.arg(3))) > 0)
}

func (s *server) setParameter(c *call, p topology.Parameter, there bool) error {
	if err := s.do(c, func(told func(error)) { topology.SetParameter(s.f.Core(), p, told) }); err != nil {
		return err
	}
	if there {
		return done
	}
	return created
}

func (s *server) clearParameter(c *call) (any, error) {
	if _, err := s.parameter(c); err != nil {
		return nil, err
	}
	return nil, s.removeParameter(c, topology.Parameter{VHost: c.arg(2), Component: c.arg(1), Name: c.arg(3)})
}

func (s *server) removeParameter(c *call, p topology.Parameter) error {
	if err := s.do(c, func(told func(error)) { topology.ClearParameter(s.f.Core(), p, told) }); err != nil {
		return err
	}
	return done
}

func (s *server) listGlobals() []object {
	all := []object{}
	for _, p := range s.f.View().GlobalParameters() {
		all = append(all, parameterObject(&p))
	}
	return all
}

func (s *server) globals(*call) (any, error) { return s.listGlobals(), nil }

func (s *server) global(c *call) (any, error) { return one(with(s.listGlobals(), "name", c.arg(1))) }

func (s *server) putGlobal(c *call) (any, error) {
	b, err := c.body("value")
	if err != nil {
		return nil, err
	}
	value, err := json.Marshal(b["value"])
	if err != nil {
		return nil, bad(err.Error())
	}
	return nil, s.setParameter(c, topology.Parameter{Name: c.arg(1), Value: value},
		len(with(s.listGlobals(), "name", c.arg(1))) > 0)
}

func (s *server) clearGlobal(c *call) (any, error) {
	if _, err := s.global(c); err != nil {
		return nil, err
	}
	return nil, s.removeParameter(c, topology.Parameter{Name: c.arg(1)})
}
