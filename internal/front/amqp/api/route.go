package api

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"trine/internal/front"
	"trine/internal/front/gate"
)

// who says whom a route is for, by the tags that a user has.
type who uint8

const (
	managers       who = iota // every tag but impersonator
	monitors                  // monitoring, administrator
	policymakers              // policymaker, administrator
	administrators            // administrator
)

// route is one line of the tables: whose request it is, and who answers.
type route struct {
	method string
	path   string // below /api/; "*" is any one part, and a route without one goes first
	who    who
	inHost bool // the path's second part is a virtual host: it is there, and the user may enter it
	answer func(s *server, c *call) (any, error)
}

// routes are all tables.
var routes = slices.Concat(overviewRoutes, nodeRoutes, connectionRoutes, exchangeRoutes, queueRoutes,
	bindingRoutes, policyRoutes, parameterRoutes, healthRoutes, featureRoutes, hostRoutes)

// call is one request: who asks, and the parts of its path behind /api/, unescaped.
type call struct {
	*http.Request
	gate.Principal
	account gate.Account
	path    []string
}

// info is where the request came from.
func (c *call) info() front.Info {
	return front.Info{Remote: address(c.RemoteAddr), Local: &net.TCPAddr{}, TLS: c.TLS}
}

// arg gives a part of the path, or "".
func (c *call) arg(i int) string {
	if i < len(c.path) {
		return c.path[i]
	}
	return ""
}

// is says whether the user's tags let a route be used.
func (c *call) is(w who) bool {
	tags := []string{"administrator"}
	switch w {
	case managers:
		tags = append(tags, "monitoring", "policymaker", "management")
	case monitors:
		tags = append(tags, "monitoring")
	case policymakers:
		tags = append(tags, "policymaker")
	}
	return slices.ContainsFunc(tags, func(t string) bool { return slices.Contains(c.account.Tags, t) })
}

// enters says whether the user may use a virtual host.
func (s *server) enters(c *call, vhost string) bool { return s.f.Gate().Enter(c.User, vhost) }

// sees says whether the user is shown what is in a virtual host.
func (s *server) sees(c *call, vhost string) bool { return c.is(monitors) || s.enters(c, vhost) }

// login finds out who asks.
func (s *server) login(r *http.Request) (*call, *failure) {
	user, password, _ := r.BasicAuth()
	i := front.Info{Remote: address(r.RemoteAddr), TLS: r.TLS}
	if err := s.f.Gate().Login(user, password, i); err != nil {
		return nil, &failure{http.StatusUnauthorized, "Not_Authorized"}
	}
	a, _ := s.f.Gate().Account(user)
	c := &call{Request: r, Principal: gate.Principal{User: user, Addr: gate.Addr(i)}, account: a}
	if !c.is(managers) {
		return nil, &failure{http.StatusUnauthorized, "Not_Authorized"}
	}
	rest := strings.Trim(strings.TrimPrefix(r.URL.EscapedPath(), "/api"), "/")
	for part := range strings.SplitSeq(rest, "/") {
		p, err := url.PathUnescape(part)
		if err != nil {
			return nil, refused("malformed path")
		}
		c.path = append(c.path, p)
	}
	return c, nil
}

// serve finds who answers a request, and asks.
func (s *server) serve(c *call) (any, error) {
	var found *route
	others := false
	for i := range routes {
		r := &routes[i]
		if !fits(r.path, c.path) {
			continue
		}
		if r.method != c.Method && !(r.method == http.MethodGet && c.Method == http.MethodHead) {
			others = true
			continue
		}
		if found == nil || strings.Count(r.path, "*") < strings.Count(found.path, "*") {
			found = r
		}
	}
	if c.Method != http.MethodGet && c.Method != http.MethodHead {
		if err := s.do(c, s.f.Core().Cluster().Sync); err != nil {
			return nil, err
		}
		return s.answer(c, found, others)
	}
	v, err := s.answer(c, found, others)
	if err != error(errNone) || found == nil {
		return v, err
	}
	// That there is no such thing is believed once this node knows all that was agreed.
	if err := s.do(c, s.f.Core().Cluster().Sync); err != nil {
		return nil, err
	}
	return s.answer(c, found, others)
}

// answer asks the route that was found.
func (s *server) answer(c *call, found *route, others bool) (any, error) {
	switch {
	case found == nil && others:
		return nil, &failure{status: http.StatusMethodNotAllowed}
	case found == nil:
		return nil, errNone
	case !c.is(found.who):
		return nil, &failure{http.StatusUnauthorized, "User not authorised to access object"}
	case found.inHost && !s.f.View().HasHost(c.arg(1)):
		return nil, errNone
	case found.inHost && !c.is(administrators) && !s.enters(c, c.arg(1)):
		return nil, &failure{http.StatusUnauthorized, "User not authorised to access virtual host"}
	}
	return found.answer(s, c)
}

// fits compares a route's path with a request's.
func fits(path string, parts []string) bool {
	n := 0
	for want := range strings.SplitSeq(path, "/") {
		if n == len(parts) || want != "*" && want != parts[n] {
			return false
		}
		n++
	}
	return n == len(parts)
}
