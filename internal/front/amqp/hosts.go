package amqp

import (
	"fmt"

	"trine/internal/front/amqp/access"
	"trine/internal/front/amqp/tally"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
	"trine/internal/front/gate"
)

// hostsGone closes the connections to virtual hosts that went. Who was asked to remove one
// removes what is declared in it too, and one node beside it, lest that ends half way.
func (f *Front) hostsGone(names []string) {
	for _, name := range names {
		f.closeWhere("its virtual host was removed", fmt.Sprintf("vhost '%s' is down", name),
			func(c *conn) bool { return c.vhost == name })
		if f.caretaker() {
			f.view.SweepHost(f.core, name, func(err error) {
				if err != nil {
					f.log.Warn("a removed virtual host is not empty", "front", "amqp", "vhost", name, "err", err)
				}
			})
		}
	}
}

// userChanged closes the connections of a user who was removed, and tells what is counted
// where one is newly limited.
func (f *Front) userChanged(name string, there bool) {
	if there {
		f.publishTally()
		return
	}
	f.closeWhere("its user was removed", fmt.Sprintf("user '%s' is deleted", name),
		func(c *conn) bool { return c.user == name })
}

// closeWhere closes the connections of this node that pick names.
func (f *Front) closeWhere(why, text string, pick func(*conn) bool) {
	for _, c := range f.openConns() {
		c.w.Lock()
		if c.stage == running && pick(c) {
			c.forced(why, text)
			c.w.Wake()
		}
		c.w.Unlock()
	}
}

// enter says whether a connection may open a virtual host, and counts it if so.
func (c *conn) enter(vhost string) error {
	refuse := func(format string, args ...any) error {
		return &wire.Error{Code: wire.NotAllowed, ID: wire.IDConnectionOpen, Text: fmt.Sprintf(format, args...)}
	}
	v := c.f.view
	if !v.HasHost(vhost) {
		return refuse("vhost %s not found", vhost)
	}
	if !c.f.o.Gate.Enter(c.user, vhost) {
		return refuse("access to vhost '%s' refused for user '%s'", vhost, c.user)
	}
	ofHost, ofUser := v.Limit(vhost, topology.ConnectionsMax), c.f.userLimit(c.user, topology.ConnectionsMax)
	switch c.f.tally.Enter(vhost, c.user, ofHost, ofUser) {
	case tally.HostFull:
		return refuse("access to vhost '%s' refused for user '%s': connection limit (%d) is reached",
			vhost, c.user, ofHost)
	case tally.UserFull:
		return refuse("connection refused for user '%s': user connection limit (%d) is reached",
			c.user, ofUser)
	}
	c.counted = true
	c.f.publishTally()
	return nil
}

// inHost gives the connection its user's rights in a virtual host.
func (c *conn) inHost(vhost string) {
	c.vhost = vhost
	c.rights = access.Rights{Gate: c.f.o.Gate, User: c.user, VHost: vhost, Addr: gate.Addr(c.w.Info())}
}

// countOut takes the connection out of the node's tally, before its client may know that
// it is over.
func (c *conn) countOut() {
	if c.counted {
		c.counted = false
		c.f.tally.Leave(c.vhost, c.user)
		c.f.publishTally()
	}
}

// userLimit gives one limit of a user; less than 0 is none.
func (f *Front) userLimit(user, name string) int {
	a, _ := f.o.Gate.Account(user)
	if n, ok := a.Limits[name]; ok {
		return n
	}
	return -1
}

// publishTally tells the other nodes what this one counted, where that has changed.
func (f *Front) publishTally() {
	f.tally.Tell(f.core, tally.Limits{
		Host:     func(h string) bool { return f.view.Limit(h, topology.ConnectionsMax) >= 0 },
		User:     func(u string) bool { return f.userLimit(u, gate.ConnectionsMax) >= 0 },
		Channels: func(u string) bool { return f.userLimit(u, gate.ChannelsMax) >= 0 }})
}
