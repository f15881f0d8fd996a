package drill

import (
	"context"
	"syscall"
	"time"
)

// Cluster is what a drill breaks: three nodes, numbered from 1.
type Cluster interface {
	Address(node int, service string) string // host:port of one of the services below
	Signal(node int, s syscall.Signal)       // to its process
	End(node int, s syscall.Signal)          // signals, and waits for the process to end
	Gone(node int) bool                      // its process does not run
	Start(node int) error                    // again, after End
	Link(node int, s State) error            // all its connections to the others
	Hold(node int, d time.Duration)          // delays what it sends to the others
	CatalogLeader(ctx context.Context) (int, error)
	Find(ctx context.Context, part string) (Stream, error)          // the stream with part in its name
	Lead(ctx context.Context, part string, node int) error          // moves its leadership
	Alter(ctx context.Context, node int, s string, ch Change) error // as trine stream alter does
	Healthy(ctx context.Context, wants []Want) error                // all nodes serve, and see what is wanted
	Policy(ctx context.Context, name, pattern string, definition map[string]any) error
	Crashed() []int // nodes whose process ended unasked since the last call
	Close()
}

// Stream is what a drill knows of one stream.
type Stream struct {
	Name     string
	Mode     string // in trine stream's words
	Leader   int    // 0: none
	Nodes    []int
	InSync   int
	Changing bool
}

// Want is what every node shall see of the streams with Part in their names.
type Want struct {
	Part   string
	Copies int    // in sync, at least
	Leader int    // 0: any
	Mode   string // "": any
}

// Change is another mode for a live stream; zero fields stay as they are.
type Change struct {
	Mode      string `json:"mode"`
	Copies    int    `json:"copies,omitempty"`
	MinInSync int    `json:"min_in_sync,omitempty"`
}

// The services of a node.
const (
	AMQP       = "amqp"
	Kafka      = "kafka"
	NameServer = "nameserver"
	Broker     = "broker"
	HTTP       = "http"
)

// nodes is how many a drill has.
const nodes = 3
