package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"trine/internal/core"
	"trine/internal/front/amqp/api/form"
	"trine/internal/front/amqp/direct"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
)

// declarers is how many queues, exchanges or bindings are made at a time.
const declarers = 8

// take makes all that definitions name, in the order in which things need each other;
// what is there already stays as it is, but for users, virtual hosts, permissions,
// parameters and policies, which are put. host is "" or where all belongs to.
//
//	users ─▶ hosts ─▶ permissions ─▶ exchanges ─▶ parameters ─▶ policies ─▶ queues ─▶ bindings
func (s *server) take(c *call, o object, host string) error {
	lists := map[string][]object{}
	for _, name := range []string{"users", "vhosts", "permissions", "topic_permissions", "exchanges",
		"global_parameters", "policies", "parameters", "queues", "bindings"} {
		list, err := listOf(o, name)
		if err != nil {
			return err
		}
		lists[name] = list
	}
	if host != "" {
		lists["users"], lists["vhosts"], lists["permissions"] = nil, nil, nil
		lists["topic_permissions"], lists["global_parameters"] = nil, nil
	}
	for _, name := range []string{"exchanges", "queues", "bindings"} {
		for _, e := range lists[name] {
			if host == "" && text(e, "vhost") == "" {
				return bad("some " + name + " name no virtual host: definitions of one virtual host are " +
					"imported into one, at /api/definitions/VHOST")
			}
		}
	}
	for _, step := range []func() error{
		func() error { return s.takeUsers(c, lists["users"]) },
		func() error { return s.takeHosts(c, lists["vhosts"]) },
		func() error { return s.fits(lists["queues"], host) },
		func() error { return s.takePermissions(c, lists["permissions"], form.Permission) },
		func() error { return s.takePermissions(c, lists["topic_permissions"], form.Topic) },
		func() error { return s.each(c, lists["exchanges"], host, s.takeExchange) },
		func() error { return s.takeGlobals(c, lists["global_parameters"]) },
		func() error { return s.takeParameters(c, lists["parameters"], host) },
		func() error { return s.takePolicies(c, lists["policies"], host) },
		func() error { return s.each(c, lists["queues"], host, s.takeQueue) },
		func() error { return s.each(c, lists["bindings"], host, s.takeBinding) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// listOf gives a list of objects among definitions.
func listOf(o object, name string) ([]object, error) {
	v, there := o[name]
	list, ok := v.([]any)
	if there && v != nil && !ok {
		return nil, bad(name + " is no list")
	}
	var all []object
	for _, e := range list {
		m, ok := e.(object)
		if !ok {
			return nil, bad(name + " holds something that is no object")
		}
		all = append(all, m)
	}
	return all, nil
}

// change puts changes, and waits until this node sees them.
func (s *server) change(c *call, cs []core.Change) error {
	if len(cs) == 0 {
		return nil
	}
	if err := s.do(c, func(told func(error)) {
		s.f.Core().Cluster().Put(cs, func(_ core.Revision, err error) { told(err) })
	}); err != nil {
		return err
	}
	return s.do(c, s.f.Core().Cluster().Sync)
}

func (s *server) takeUsers(c *call, list []object) error {
	known, err := s.known()
	if err != nil {
		return err
	}
	var cs []core.Change
	for _, u := range list {
		name := text(u, "name")
		if _, there := u["tags"]; !there {
			u["tags"] = ""
		}
		ch, err := form.User(known, name, u)
		if err != nil {
			return err
		}
		cs = append(cs, ch)
	}
	return s.change(c, cs)
}

func (s *server) takeHosts(c *call, list []object) error {
	var cs []core.Change
	for _, h := range list {
		meta, _ := h["metadata"].(object)
		for _, key := range []string{"description", "tags", "default_queue_type"} {
			if _, says := h[key]; !says && meta[key] != nil {
				h[key] = meta[key]
			}
		}
		change, err := s.hostChanges(text(h, "name"), h, c.User)
		if err != nil {
			return err
		}
		cs = append(cs, change...)
	}
	return s.change(c, cs)
}

// missingHost is the answer where definitions need a virtual host that is not there.
func missingHost(name string) error {
	return bad(fmt.Sprintf("Please create virtual host %q prior to importing definitions.", name))
}

func (s *server) takePermissions(c *call, list []object,
	change func(user, vhost string, o object) (core.Change, error)) error {
	known, err := s.known()
	if err != nil {
		return err
	}
	var cs []core.Change
	for _, p := range list {
		user, vhost := text(p, "user"), text(p, "vhost")
		if !s.f.View().HasHost(vhost) {
			return missingHost(vhost)
		}
		if _, there := known.Account(user); !there {
			return bad(fmt.Sprintf("{no_such_user,<<%q>>}", user))
		}
		ch, err := change(user, vhost, p)
		if err != nil {
			return err
		}
		cs = append(cs, ch)
	}
	return s.change(c, cs)
}

// fits refuses more queues than their virtual hosts may have.
func (s *server) fits(list []object, host string) error {
	more := map[string]int{}
	var order []string
	for _, q := range list {
		h := hostOf(q, host)
		if s.f.View().Queue(h, text(q, "name")) == nil {
			if more[h] == 0 {
				order = append(order, h)
			}
			more[h]++
		}
	}
	for _, h := range order {
		limit, there := s.f.View().Limit(h, topology.QueuesMax), s.f.View().QueueCount(h)
		if limit >= 0 && there+more[h] > limit {
			return bad(fmt.Sprintf("Adding %d queue(s) to virtual host %q would exceed the limit of %d "+
				"queue(s).\n\nThis virtual host currently has %d queue(s) defined.\n\nImport aborted!",
				more[h], h, limit, there))
		}
	}
	return nil
}

func (s *server) takeGlobals(c *call, list []object) error {
	var cs []core.Change
	for _, p := range list {
		value, err := json.Marshal(p["value"])
		if err != nil {
			return bad(err.Error())
		}
		cs = append(cs, core.Change{Key: topology.GlobalKey(text(p, "name")), Value: value})
	}
	return s.change(c, cs)
}

// takeParameters puts parameters: those that are limits or operators' policies as such.
func (s *server) takeParameters(c *call, list []object, host string) error {
	for _, p := range list {
		h, component, name := hostOf(p, host), text(p, "component"), text(p, "name")
		if !s.f.View().HasHost(h) {
			return missingHost(h)
		}
		value, _ := p["value"].(object)
		var err error
		switch component {
		case "operator_policy":
			err = s.takePolicy(c, h, name, value, true)
		case "vhost-limits":
			err = s.takeLimits(c, h, value)
		default:
			raw, e := json.Marshal(p["value"])
			if e != nil {
				return bad(e.Error())
			}
			set := topology.Parameter{VHost: h, Component: component, Name: name, Value: raw}
			err = s.do(c, func(told func(error)) { topology.SetParameter(s.f.Core(), set, told) })
		}
		if err != nil {
			return err
		}
	}
	return s.do(c, s.f.Core().Cluster().Sync)
}

func (s *server) takeLimits(c *call, host string, limits object) error {
	for _, name := range hostLimits {
		if _, says := limits[name]; !says {
			continue
		}
		n, ok := number(limits, name)
		if !ok {
			return bad(fmt.Sprintf("Validation failed\n\n%s should be a number, actually was %s\n", name,
				erlang(limits[name])))
		}
		if err := s.change(c, []core.Change{s.f.View().LimitHost(host, name, &n)}); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) takePolicies(c *call, list []object, host string) error {
	for _, p := range list {
		h := hostOf(p, host)
		if !s.f.View().HasHost(h) {
			return missingHost(h)
		}
		if err := s.takePolicy(c, h, text(p, "name"), p, false); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) takePolicy(c *call, host, name string, o object, operator bool) error {
	if why := checkPolicy(o, operator); why != "" {
		return bad(fmt.Sprintf("<<%q>>", "Validation failed\n\n"+why+"\n ("+host+"/"+name+")"))
	}
	p := topology.Policy{VHost: host, Name: name, Pattern: text(o, "pattern"), ApplyTo: "all"}
	if to := text(o, "apply-to"); to != "" {
		p.ApplyTo = to
	}
	p.Priority, _ = number(o, "priority")
	raw, err := json.Marshal(o["definition"])
	if err == nil {
		err = json.Unmarshal(raw, &p.Definition)
	}
	if err != nil {
		return bad(err.Error())
	}
	set := topology.SetPolicy
	if operator {
		set = topology.SetOperatorPolicy
	}
	return s.do(c, func(told func(error)) { set(s.f.Core(), p, told) })
}

// each makes what a list names, some at a time.
func (s *server) each(c *call, list []object, host string,
	method func(object, string) (wire.Method, error)) error {
	ctx, cancel := context.WithCancelCause(c.Context())
	defer cancel(nil)
	work := func(list []object) {
		for _, o := range list {
			if ctx.Err() != nil {
				return
			}
			h := hostOf(o, host)
			if !s.f.View().HasHost(h) {
				cancel(missingHost(h))
				return
			}
			m, err := method(o, h)
			if err == nil && m != nil {
				err = s.declareFreely(ctx, c, h, m)
			}
			if err != nil {
				cancel(err)
				return
			}
		}
	}
	var wait sync.WaitGroup
	share := (len(list) + declarers - 1) / declarers
	for from := 0; from < len(list); from += share {
		wait.Go(func() { work(list[from:min(from+share, len(list))]) }) // waited for below
	}
	wait.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.do(c, s.f.Core().Cluster().Sync)
}

// declareFreely carries out a method with nobody's permissions asked.
func (s *server) declareFreely(ctx context.Context, c *call, host string, m wire.Method) error {
	d := direct.Open(s.f, "", host, c.info())
	defer d.Close()
	ctx, cancel := context.WithTimeout(ctx, answerMax)
	defer cancel()
	_, err := d.Call(ctx, m)
	var e *wire.Error
	if !errors.As(err, &e) {
		return err
	}
	name, _, _ := strings.Cut(e.ReplyText(), " - ")
	return bad(strings.ToLower(name) + ": " + e.Text)
}

func (s *server) takeExchange(o object, host string) (wire.Method, error) {
	name := text(o, "name")
	if systemName(name) || s.f.View().Exchange(host, name) != nil {
		return nil, nil
	}
	args, err := table(o["arguments"])
	if err != nil {
		return nil, err
	}
	return &wire.ExchangeDeclare{Exchange: name, Type: text(o, "type"), Durable: flag(o, "durable"),
		AutoDelete: flag(o, "auto_delete"), Internal: flag(o, "internal"), Arguments: args}, nil
}

func (s *server) takeQueue(o object, host string) (wire.Method, error) {
	name := text(o, "name")
	if systemName(name) || s.f.View().Queue(host, name) != nil {
		return nil, nil
	}
	args, err := table(o["arguments"])
	if err != nil {
		return nil, err
	}
	_, says := o["durable"]
	return &wire.QueueDeclare{Queue: name, Durable: flag(o, "durable") || !says,
		AutoDelete: flag(o, "auto_delete"), Arguments: args}, nil
}

func (s *server) takeBinding(o object, host string) (wire.Method, error) {
	source, dest, toQueue := text(o, "source"), text(o, "destination"), text(o, "destination_type") == "queue"
	if source == "" {
		return nil, nil // every queue has it
	}
	var missing []string
	miss := func(kind, name string) {
		missing = append(missing, fmt.Sprintf("{not_found,{resource,<<%q>>,%s,<<%q>>}}", host, kind, name))
	}
	v := s.f.View()
	if v.Exchange(host, source) == nil {
		miss("exchange", source)
	}
	if toQueue && v.Queue(host, dest) == nil {
		miss("queue", dest)
	} else if !toQueue && v.Exchange(host, dest) == nil {
		miss("exchange", dest)
	}
	if len(missing) > 0 {
		return nil, bad("{resources_missing,[" + strings.Join(missing, ",\n") + "]}")
	}
	args, err := table(o["arguments"])
	if err != nil {
		return nil, err
	}
	if toQueue {
		return &wire.QueueBind{Queue: dest, Exchange: source, RoutingKey: text(o, "routing_key"),
			Arguments: args}, nil
	}
	return &wire.ExchangeBind{Destination: dest, Source: source, RoutingKey: text(o, "routing_key"),
		Arguments: args}, nil
}
