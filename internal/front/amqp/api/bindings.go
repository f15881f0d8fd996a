package api

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
)

// bindingRoutes are the paths of this file.
var bindingRoutes = []route{
	{"GET", "bindings", managers, false, (*server).bindings},
	{"GET", "bindings/*", managers, true, (*server).bindings},
	{"GET", "bindings/*/e/*/*/*", managers, true, (*server).bindings},
	{"POST", "bindings/*/e/*/*/*", managers, true, (*server).bind},
	{"GET", "bindings/*/e/*/*/*/*", managers, true, (*server).binding},
	{"DELETE", "bindings/*/e/*/*/*/*", managers, true, (*server).unbind},
	{"GET", "exchanges/*/*/bindings/source", managers, true, (*server).bindings},
	{"GET", "exchanges/*/*/bindings/destination", managers, true, (*server).bindings},
	{"GET", "queues/*/*/bindings", managers, true, (*server).bindings},
}

// propertiesKey names a binding among those between the same two ends: its routing
// key, and a digest of its arguments where it has any.
func propertiesKey(key string, args wire.Table) string {
	quoted := strings.ReplaceAll(url.QueryEscape(key), "~", "%7E")
	switch {
	case len(args) == 0 && key == "":
		return "~"
	case len(args) == 0:
		return quoted
	}
	h := fnv.New64a()
	_, _ = h.Write(args)
	return quoted + "~" + base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, h.Sum64()))
}

func binding(b *topology.BindingInfo) object {
	kind := "exchange"
	if b.ToQueue {
		kind = "queue"
	}
	return object{"source": b.Source, "vhost": b.VHost, "destination": b.Destination,
		"destination_type": kind, "routing_key": b.Key, "arguments": b.Arguments,
		"properties_key": propertiesKey(b.Key, b.Table)}
}

// implicit are the bindings that every queue has to the default exchange.
func (s *server) implicit(host string) []topology.BindingInfo {
	var all []topology.BindingInfo
	for _, q := range s.f.View().Queues(host) {
		all = append(all, topology.BindingInfo{VHost: q.VHost, Destination: q.Name, Key: q.Name,
			ToQueue: true, Arguments: object{}})
	}
	return all
}

// bound gives the bindings that a path is about.
func (s *server) bound(c *call) ([]topology.BindingInfo, error) {
	all := append(s.implicit(c.arg(1)), s.f.View().Bindings(c.arg(1))...)
	keep := func(topology.BindingInfo) bool { return true }
	a, z := exchangeName(c.arg(3)), c.arg(5)
	switch last := c.path[len(c.path)-1]; {
	case len(c.path) <= 2:
		if c.arg(1) == "" {
			keep = func(b topology.BindingInfo) bool { return s.sees(c, b.VHost) }
		}
	case c.path[0] == "queues":
		if s.f.View().Queue(c.arg(1), c.arg(2)) == nil {
			return nil, errNone
		}
		keep = func(b topology.BindingInfo) bool { return b.ToQueue && b.Destination == c.arg(2) }
	case c.path[0] == "exchanges":
		x := exchangeName(c.arg(2))
		if s.f.View().Exchange(c.arg(1), x) == nil {
			return nil, errNone
		}
		keep = func(b topology.BindingInfo) bool { return b.Source == x }
		if last == "destination" {
			keep = func(b topology.BindingInfo) bool { return !b.ToQueue && b.Destination == x }
		}
	case c.arg(4) == "q":
		keep = func(b topology.BindingInfo) bool { return b.Source == a && b.ToQueue && b.Destination == z }
	case c.arg(4) == "e":
		z = exchangeName(z)
		keep = func(b topology.BindingInfo) bool { return b.Source == a && !b.ToQueue && b.Destination == z }
	default:
		return nil, errNone
	}
	return slices.DeleteFunc(all, func(b topology.BindingInfo) bool { return !keep(b) }), nil
}

func (s *server) bindings(c *call) (any, error) {
	l, err := c.paged()
	if err != nil {
		return nil, err
	}
	bs, err := s.bound(c)
	if err != nil {
		return nil, err
	}
	all := []object{}
	for i := range bs {
		all = append(all, binding(&bs[i]))
	}
	sortBy(all, "vhost", "source", "destination", "routing_key", "properties_key")
	return l.reply(all, nil, nil)
}

// named gives the one binding that a path names.
func (s *server) named(c *call) (*topology.BindingInfo, error) {
	bs, err := s.bound(c)
	if err != nil {
		return nil, err
	}
	for i := range bs {
		if propertiesKey(bs[i].Key, bs[i].Table) == c.arg(6) {
			return &bs[i], nil
		}
	}
	for i := range bs { // a client may have escaped the key once only
		if len(bs[i].Table) == 0 && bs[i].Key == c.arg(6) {
			return &bs[i], nil
		}
	}
	return nil, errNone
}

func (s *server) binding(c *call) (any, error) {
	b, err := s.named(c)
	if err != nil {
		return nil, err
	}
	return binding(b), nil
}

// bind makes a binding, and says where it stands.
func (s *server) bind(c *call) (any, error) {
	b, err := c.body()
	if err != nil {
		return nil, err
	}
	args, err := table(b["arguments"])
	if err != nil {
		return nil, err
	}
	key := text(b, "routing_key")
	if len(key) > wire.ShortMax {
		return nil, bad("routing key is too long")
	}
	var m wire.Method
	switch c.arg(4) {
	case "q":
		m = &wire.QueueBind{Queue: c.arg(5), Exchange: exchangeName(c.arg(3)), RoutingKey: key, Arguments: args}
	case "e":
		m = &wire.ExchangeBind{Destination: exchangeName(c.arg(5)), Source: exchangeName(c.arg(3)),
			RoutingKey: key, Arguments: args}
	default:
		return nil, errNone
	}
	if err := s.direct(c, m); err != nil {
		return nil, err
	}
	return nil, &located{url.PathEscape(c.arg(5)) + "/" + url.QueryEscape(propertiesKey(key, args))}
}

// located answers 201 with the place of what was made, beside the request's path.
type located struct{ at string }

func (l *located) Error() string { return "made at " + l.at }

func (s *server) unbind(c *call) (any, error) {
	b, err := s.named(c)
	if err != nil {
		return nil, err
	}
	var m wire.Method = &wire.ExchangeUnbind{Destination: b.Destination, Source: b.Source,
		RoutingKey: b.Key, Arguments: b.Table}
	if b.ToQueue {
		m = &wire.QueueUnbind{Queue: b.Destination, Exchange: b.Source, RoutingKey: b.Key,
			Arguments: b.Table}
	}
	if err := s.direct(c, m); err != nil {
		return nil, err
	}
	return nil, &failure{status: http.StatusNoContent}
}
