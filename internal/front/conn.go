package front

import (
	"crypto/tls"
	"net"
	"sync"

	"trine/internal/core"
)

// Conn is one client's connection as its protocol sees it: it is fed what arrived
// and appends what is to be sent to Wire.Out. It has no goroutine and no clock, so
// that a simulation can drive it; whoever drives it holds the Wire's lock around
// every method.
//
//	           Feed, Tick
//	open ──▶ running ──▶ ending (Wire.End, an error of Feed, the socket's end)
//	             │ Shut      │ what Out holds is written, what arrives is dropped
//	             └───────────┴──▶ Closed
type Conn interface {
	// Feed takes bytes that arrived; b is the caller's again when it returns. An
	// error ends the connection once what stands in Out was written.
	Feed(now core.Now, b []byte) error
	// Tick is called when the time it gave last has come, and once at the start; it
	// gives when it is next due, or 0 for never.
	Tick(now core.Now) core.Time
	// Drained says that all that stood in Out before is in the socket's hands.
	Drained(now core.Now)
	// Shut says that this node stops: say goodbye, then Wire.End.
	Shut(now core.Now)
	// Closed is the last call. err is nil where the client closed in order.
	Closed(now core.Now, err error)
}

// Pace says whether a connection is read.
type Pace uint8

// The paces.
const (
	Flowing Pace = iota
	Paused       // it owes or is owed more than it may, or Wire.Hold says so
	Short        // the whole node owes more than it may
)

// Paced is a Conn that is told of its pace: whoever is not read cannot be heard.
type Paced interface{ SetPace(now core.Now, p Pace) }

// Wire is the socket below a Conn, as the Conn may use it. Outcomes that arrive on
// the node's loop take its lock, append to Out and call Wake; within Feed, Tick,
// Drained and Shut the lock is held already and Wake is implied.
type Wire interface {
	sync.Locker
	// Out is what is to be sent. Lock held.
	Out() *Output
	// Wake says that Out has grown or that less is owed. Lock held.
	Wake()
	// TickAt asks for a Tick at t or earlier. Lock held.
	TickAt(t core.Time)
	// Owe counts bytes that were handed to the core and are not yet answered (n < 0:
	// answered). While a connection or the node owes more than its budget, nothing is
	// read; the message that crosses the budget is admitted whole. Lock held.
	Owe(n int)
	// Hold stops the reading until it is called with false. Lock held.
	Hold(on bool)
	// Ready says that the handshake is over. Lock held.
	Ready()
	// End ends the connection after what stands in Out was written. Lock held.
	End(err error)
	Now() core.Now
	Info() Info
}

// Metered is a Wire that counts its bytes.
type Metered interface {
	// Traffic gives the bytes that came and went so far. Lock held.
	Traffic() (received, sent uint64)
}

// Info is what is known of a connection from its first byte on.
type Info struct {
	ID     uint64 // unique in this run of the node, never 0
	Local  net.Addr
	Remote net.Addr
	TLS    *tls.ConnectionState // nil: plain
}

// Loopback says whether the client is on this machine.
func (i Info) Loopback() bool {
	a, ok := i.Remote.(*net.TCPAddr)
	return ok && a.IP.IsLoopback()
}

// Output is what a connection has to send, in order: its own bytes in B, to which
// the encoders append, and bytes of others that are sent without being copied.
type Output struct {
	B     []byte
	from  int // where the part of B begins that parts does not hold yet
	parts [][]byte
	size  int // of parts
}

// Share sends b without copying it: nobody may write into it from here on.
func (o *Output) Share(b []byte) {
	if len(b) == 0 {
		return
	}
	o.cut()
	o.parts = append(o.parts, b)
	o.size += len(b)
}

func (o *Output) cut() {
	if n := len(o.B) - o.from; n > 0 {
		o.parts = append(o.parts, o.B[o.from:len(o.B):len(o.B)])
		o.from = len(o.B)
		o.size += n
	}
}

// Len gives the bytes that wait to be sent.
func (o *Output) Len() int { return o.size + len(o.B) - o.from }

// outputKeepBytesMax is the largest buffer that an idle connection keeps.
const outputKeepBytesMax = 64 << 10

// Take gives all that waits, and begins anew in the memory of spare. The parts are
// appended to into, and are valid until the memory is handed in again.
func (o *Output) Take(into [][]byte, spare []byte) (parts [][]byte, memory []byte) {
	o.cut()
	parts, memory = append(into, o.parts...), o.B
	clear(o.parts)
	o.B, o.parts, o.from, o.size = spare[:0], o.parts[:0], 0, 0
	if cap(memory) > outputKeepBytesMax {
		memory = nil
	}
	return parts, memory
}
