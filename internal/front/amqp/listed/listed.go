// Package listed is what a node shows of its clients: their connections, channels and
// consumers at one moment.
package listed

import (
	"fmt"
	"net"

	"trine/internal/core"
	"trine/internal/front/amqp/topology"
)

// Connection is one connection of this node, for those who operate it.
type Connection struct {
	Name       string // "client:port -> server:port"
	User       string
	VHost      string
	Client     string // the client's host:port
	ID         uint64 // of its socket, in this run of the node
	Host       string // the server's end
	Port       int
	PeerHost   string // the client's
	PeerPort   int
	Mechanism  string // of the login
	Properties map[string]any
	Channels   int
	ChannelMax int
	FrameMax   int
	HeartbeatS int
	State      string
	TLS        bool
	Since      core.Stamp
	Received   uint64 // bytes
	Sent       uint64 // bytes
	Pending    int    // bytes that wait to be sent
}

// Channel is one channel of this node, for those who operate it.
type Channel struct {
	Connection    *Connection
	Number        int
	Confirms      bool
	Transactional bool
	Prefetch      int // of consumers to come
	Shared        int // of all consumers together; 0: no limit
	Consumers     int
	Unacked       int
	Unconfirmed   int
	Uncommitted   int // messages
	UncommittedAs int // acknowledgements
	Counted       topology.Tallied
}

// Name is the channel's, as RabbitMQ makes it.
func (i *Channel) Name() string { return fmt.Sprintf("%s (%d)", i.Connection.Name, i.Number) }

// Consumer is one consumer of this node.
type Consumer struct {
	Channel   *Channel
	ID        core.ConsumerID
	Tag       string
	VHost     string
	Queue     string
	Stream    core.StreamID
	Single    bool // its queue has one active consumer at a time
	Acks      bool
	Exclusive bool
	Prefetch  int
	TimeoutMs int64 // how long it may hold a message; 0: for ever
	Arguments map[string]any
	Counted   topology.Tallied
}

// HostPort takes an address apart.
func HostPort(a net.Addr) (string, int) {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.IP.String(), t.Port
	}
	return a.String(), 0
}
