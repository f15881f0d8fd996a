package amqp

import (
	"fmt"
	"time"

	"trine/internal/core"
	"trine/internal/front/amqp/tally"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
	"trine/internal/front/gate"
)

// sweepChanges is how much of a virtual host goes by one change of the catalog.
const sweepChanges = 500

// sweepTries is how often in a row a sweep may be refused: each refusal says that
// something went or came meanwhile.
const sweepTries = 100

// RemoveHost ends a virtual host: with it go more, its limits and policies at once,
// then all that is declared in it.
func (f *Front) RemoveHost(name string, more []core.Change, done func(error)) {
	f.core.Cluster().Put(append(f.view.RemoveHost(name), more...), func(_ core.Revision, err error) {
		if err != nil {
			done(err)
			return
		}
		f.SweepHost(name, done)
	})
}

// SweepHost removes what is declared in a virtual host that clients may not open.
func (f *Front) SweepHost(name string, done func(error)) { f.sweepHost(name, sweepTries, done) }

func (f *Front) sweepHost(name string, tries int, done func(error)) {
	changes := f.view.HostContents(name, sweepChanges)
	if len(changes) == 0 || f.view.HasHost(name) {
		done(nil)
		return
	}
	f.core.Cluster().Put(changes, func(_ core.Revision, err error) {
		switch k := core.KindOf(err); {
		case err == nil:
			f.sweepHost(name, sweepTries, done)
		case tries > 0 && (k == core.Conflict || k == core.NotExist):
			time.AfterFunc(5*time.Millisecond, func() { f.sweepHost(name, tries-1, done) })
		default:
			done(err)
		}
	})
}

// hostsGone closes the connections to virtual hosts that went, and removes what else is
// left of them where the node that was asked to do so does not: one node does.
func (f *Front) hostsGone(names []string) {
	for _, name := range names {
		f.closeWhere("its virtual host was removed", fmt.Sprintf("vhost '%s' is down", name),
			func(c *conn) bool { return c.vhost == name })
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

// withQueueType adds to a declaration that names no kind of queue the one that its
// virtual host gives to such, where the declaration would do for it.
func (c *conn) withQueueType(m *wire.QueueDeclare) {
	kind := c.f.view.QueueType(c.vhost)
	if kind == "" {
		return
	}
	if _, says := m.Arguments.Get("x-queue-type"); says {
		return
	}
	if kind == classic || m.Durable && !m.Exclusive && !m.AutoDelete {
		m.Arguments = m.Arguments.PutString("x-queue-type", kind)
	}
}

// publishTally tells the other nodes what this one counted, where that has changed: one
// change of the catalog at a time.
func (f *Front) publishTally() {
	self := f.core.Self()
	c, ok := f.tally.Change(core.Owner{Node: self.Node, Incarnation: self.Incarnation}, tally.Limits{
		Host:     func(h string) bool { return f.view.Limit(h, topology.ConnectionsMax) >= 0 },
		User:     func(u string) bool { return f.userLimit(u, gate.ConnectionsMax) >= 0 },
		Channels: func(u string) bool { return f.userLimit(u, gate.ChannelsMax) >= 0 }})
	if !ok {
		return
	}
	f.core.Cluster().Put([]core.Change{c}, func(_ core.Revision, err error) {
		if f.tally.Changed(err) {
			f.publishTally()
		}
	})
}
