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
	anybody        who = iota // without a login too
	managers                  // every tag but impersonator
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
	bindingRoutes, policyRoutes, parameterRoutes, healthRoutes, featureRoutes, userRoutes,
	permissionRoutes, hostRoutes, limitRoutes, definitionRoutes)

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
	tags := []string{gate.AdministratorTag}
	switch w {
	case anybody:
		return true
	case managers:
		tags = append(tags, "monitoring", "policymaker", "management")
	case monitors:
		tags = append(tags, "monitoring")
	case policymakers:
		tags = append(tags, "policymaker")
	}
	return c.account.Super || slices.ContainsFunc(tags, func(t string) bool { return slices.Contains(c.account.Tags, t) })
}

// enters says whether the user may use a virtual host.
func (s *server) enters(c *call, vhost string) bool { return s.f.Gate().Enter(c.User, vhost) }

// sees says whether the user is shown what is in a virtual host.
func (s *server) sees(c *call, vhost string) bool { return c.is(monitors) || s.enters(c, vhost) }

// parse takes a request's path apart.
func parse(r *http.Request) (*call, error) {
	c := &call{Request: r}
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

// login finds out who asks.
func (s *server) login(c *call) error {
	user, password, given := c.BasicAuth()
	if !given {
		return &failure{status: http.StatusUnauthorized}
	}
	i := front.Info{Remote: address(c.RemoteAddr), TLS: c.TLS}
	known := s.f.Gate().Revision()
	err := s.f.Gate().Login(user, password, i)
	if err != nil && s.do(c, s.f.Core().Cluster().Sync) == nil && s.f.Gate().Revision() != known {
		err = s.f.Gate().Login(user, password, i) // the user may be one of those that came meanwhile
	}
	if err != nil {
		return called(http.StatusUnauthorized, "not_authorized", "Not_Authorized")
	}
	c.account, _ = s.f.Gate().Account(user)
	c.Principal = gate.Principal{User: user, Addr: gate.Addr(i)}
	if !c.is(managers) {
		return mayNot("Not management user")
	}
	return nil
}

// mayNot is the answer to who may not do what was asked.
func mayNot(why string) error { return called(http.StatusUnauthorized, "not_authorised", why) }

// lacks says what somebody is not whom a route is not for.
var lacks = map[who]string{managers: "Not management user", monitors: "Not monitor user",
	policymakers: "User not authorised to access object", administrators: "Not administrator user"}

// serve finds who answers a request, and asks.
func (s *server) serve(r *http.Request) (any, error) {
	c, err := parse(r)
	if err != nil {
		return nil, err
	}
	found, others := find(c)
	if found == nil || found.who != anybody {
		if err := s.login(c); err != nil {
			return nil, err
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
		return nil, mayNot(lacks[found.who])
	case found.inHost && !s.f.View().HasHost(c.arg(1)):
		if c.Method == http.MethodPut || c.Method == http.MethodPost {
			return nil, notFound("vhost_not_found")
		}
		return nil, errNone
	case found.inHost && !c.is(administrators) && !s.enters(c, c.arg(1)):
		return nil, mayNot("User not authorised to access virtual host")
	}
	return found.answer(s, c)
}

// find gives the route of a request, or nil; others says that its path has others, of
// other methods.
func find(c *call) (found *route, others bool) {
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
	return found, others
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
