package amqp

import (
	"cmp"
	"fmt"
	"slices"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/front/amqp/access"
	"trine/internal/front/amqp/listed"
	"trine/internal/front/amqp/topology"
)

// Core is the seam that the front end stands on.
func (f *Front) Core() front.Core { return f.core }

// Gate is who lets users in.
func (f *Front) Gate() access.Gate { return f.o.Gate }

// Version is RabbitMQ's, as clients are told.
func (f *Front) Version() string { return f.o.Version }

// ClusterName is the cluster's, as clients are told.
func (f *Front) ClusterName() string { return f.o.Cluster }

// View is what is declared, as this node knows it.
func (f *Front) View() *topology.View { return f.view }

// Connections gives this node's open connections by name.
func (f *Front) Connections() []listed.Connection {
	var all []listed.Connection
	for _, c := range f.openConns() {
		c.w.Lock()
		if c.stage == running {
			all = append(all, c.info())
		}
		c.w.Unlock()
	}
	slices.SortFunc(all, func(a, b listed.Connection) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func (f *Front) openConns() []*conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	conns := make([]*conn, 0, len(f.conns))
	for c := range f.conns {
		conns = append(conns, c)
	}
	return conns
}

func (c *conn) name() string {
	i := c.w.Info()
	return fmt.Sprintf("%s -> %s", i.Remote, i.Local)
}

func (c *conn) info() listed.Connection {
	host, port := listed.HostPort(c.w.Info().Local)
	peer, peerPort := listed.HostPort(c.w.Info().Remote)
	received, sent := c.traffic()
	return listed.Connection{Name: c.name(), ID: c.w.Info().ID, Host: host, Port: port, PeerHost: peer,
		PeerPort: peerPort, Mechanism: c.mechanism, User: c.user, VHost: c.vhost, Client: c.w.Info().Remote.String(),
		Properties: topology.TableInfo(c.properties), Channels: len(c.channels), ChannelMax: c.chanMax,
		FrameMax: c.frameMax, HeartbeatS: int(c.heartbeat / core.Second), State: "running",
		TLS: c.w.Info().TLS != nil, Since: c.since, Received: received, Sent: sent, Pending: c.w.Out().Len()}
}

func (c *conn) traffic() (received, sent uint64) {
	if m, ok := c.w.(front.Metered); ok {
		return m.Traffic()
	}
	return 0, 0
}

// Traffic calls fn for every open connection of this node, by its id, with the bytes
// that came and went since it was opened.
func (f *Front) Traffic(fn func(conn, received, sent uint64)) {
	for _, c := range f.openConns() {
		c.w.Lock()
		received, sent := c.traffic()
		fn(c.w.Info().ID, received, sent)
		c.w.Unlock()
	}
}

// CloseConnection ends a connection as an operator's doing; false where none of that
// name is open on this node.
func (f *Front) CloseConnection(name, reason string) bool {
	for _, c := range f.openConns() {
		c.w.Lock()
		found := c.stage == running && c.name() == name
		if found {
			c.forced("an operator's doing", reason)
			c.w.Wake()
		}
		c.w.Unlock()
		if found {
			return true
		}
	}
	return false
}

// DirectSpace sets the ids of connections without a socket apart from those of
// sockets.
const DirectSpace = 1 << 63

// direct says whether the connection is one without a socket.
func (c *conn) direct() bool { return c.w.Info().ID&DirectSpace != 0 }

// FrameMax is the largest frame, and Clock the time.
func (f *Front) FrameMax() int          { return f.o.FrameMax }
func (f *Front) Clock() func() core.Now { return f.o.Clock }

// Enter makes a connection that has one open channel, for a user who was let in
// already: package direct. It is listed nowhere. Who is "" may do everything.
func (f *Front) Enter(w front.Wire, user, vhost string) front.Conn {
	c := newConn(f, w)
	c.stage, c.user = running, user
	c.inHost(vhost)
	if user == "" {
		c.rights.Gate = access.Guest{}
	}
	c.frameMax, c.chanMax, c.since = f.o.FrameMax, 1, f.o.Clock().Wall
	c.channels[1] = &channel{c: c, id: 1, consumers: map[string]*consumer{}}
	return c
}
