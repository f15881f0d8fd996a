package front

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"trine/internal/core"
)

// Sizes of a connection's read buffer: small while idle, large while busy.
const (
	readBytesMin = 4 << 10
	readBytesMax = 64 << 10
)

// lingerMax is how long an ending connection waits for its client to read the
// goodbye and to close: closing with unread bytes would reset the connection and
// lose what was written last.
const lingerMax = time.Second

// socket joins a net.Conn and a Conn. Its lock guards all fields below it and the
// Conn's own state. The reader goroutine (run) owns the end: it waits for the
// writer, then tells the Conn.
type socket struct {
	s    *Server
	nc   net.Conn
	info Info

	sync.Mutex
	conn     Conn
	out      Output
	writable sync.Cond // Out has grown, or ending
	readable sync.Cond // less is owed or unsent, or ending
	owed     int
	held     bool // by Wire.Hold
	pace     Pace // as the Conn was told
	writing  int  // bytes in the writer's hands
	received uint64
	sent     uint64
	ready    bool
	heard    bool // the client has said something
	ending   bool
	closed   bool  // Closed was called: what is answered later is owed no more
	gone     bool  // the writer has ended, or the socket failed: nothing is sent any more
	unsent   error // why writing failed: the client is away, its last words may be unread
	err      error
	timer    *time.Timer
	tickAt   core.Time
}

func newSocket(s *Server, nc net.Conn) *socket {
	c := &socket{s: s, nc: nc}
	c.info = Info{ID: lastConnID.Add(1), Local: nc.LocalAddr(), Remote: nc.RemoteAddr()}
	c.writable.L, c.readable.L = &c.Mutex, &c.Mutex
	return c
}

// run is the connection's life.
func (c *socket) run() {
	defer c.s.forget(c)
	deadline := time.Now().Add(c.s.o.Handshake)
	if t, ok := c.nc.(*tls.Conn); ok {
		_ = t.SetDeadline(deadline)
		if err := t.Handshake(); err != nil {
			c.s.o.Log.Debug("tls handshake", "front", c.s.o.Name, "client", c.info.Remote, "err", err)
			_ = c.nc.Close()
			return
		}
		_ = t.SetDeadline(time.Time{})
		state := t.ConnectionState()
		c.info.TLS = &state
	}
	c.Lock()
	c.conn = c.s.o.Open(c)
	if !c.ready {
		_ = c.nc.SetReadDeadline(deadline)
	}
	c.tick()
	c.Unlock()

	written := make(chan struct{})
	go func() { c.write(); close(written) }() // awaited below
	err := c.read()

	c.Lock()
	if c.unsent != nil {
		err = c.unsent
	}
	c.end(err)
	c.Unlock()
	<-written
	_ = c.nc.Close()
	c.Lock()
	if c.timer != nil {
		c.timer.Stop()
	}
	c.conn.Closed(c.Now(), c.err)
	c.closed = true
	if c.owed != 0 {
		c.s.o.Budget.add(-c.owed)
		c.owed = 0
	}
	c.Unlock()
	c.s.o.Budget.leave(c)
}

// read feeds the Conn until the socket ends. Once the connection is ending it
// drops what arrives.
func (c *socket) read() error {
	buf := make([]byte, readBytesMin)
	small := 0
	for {
		n, err := c.nc.Read(buf)
		if n > 0 {
			c.feed(buf[:n])
		}
		if err != nil {
			return c.ended(err)
		}
		switch {
		case n == len(buf) && n < readBytesMax:
			buf, small = make([]byte, readBytesMax), 0
		case n >= readBytesMin || len(buf) == readBytesMin:
			small = 0
		default:
			if small++; small > 256 {
				buf, small = make([]byte, readBytesMin), 0
			}
		}
	}
}

// feed hands bytes over, then waits while more is owed or unsent than may be. What a
// client said before it left is taken in too, as far as there is room for it: it may
// have settled or committed something and closed without awaiting an answer.
func (c *socket) feed(b []byte) {
	c.Lock()
	defer c.Unlock()
	if c.ending {
		return
	}
	c.heard = true
	c.received += uint64(len(b))
	if err := c.conn.Feed(c.Now(), b); err != nil {
		c.end(err)
	}
	c.Wake()
	for !c.ending {
		if c.gone {
			c.takeLast()
			return
		}
		p := c.paceNow()
		if p != c.pace {
			c.pace = p
			if t, ok := c.conn.(Paced); ok {
				t.SetPace(c.Now(), p)
				c.Wake()
			}
		}
		if p == Flowing {
			return
		}
		c.readable.Wait()
	}
}

// paceNow says whether more may be read now. Lock held.
func (c *socket) paceNow() Pace {
	switch {
	case c.s.o.Budget.full() && c.owed > 0 && c.s.o.Budget.wait(c):
		return Short
	case c.held || c.owed >= c.s.o.BytesMax || c.out.Len()+c.writing >= c.s.o.OutMax:
		return Paused
	}
	return Flowing
}

// takeLast drops the answers that nobody will read, and ends the connection where more
// is owed than may be: nothing waits for room any more. Lock held.
func (c *socket) takeLast() {
	c.out.Take(nil, nil)
	if c.owed >= c.s.o.BytesMax || c.s.o.Budget.full() {
		c.end(c.unsent)
	}
}

// ended gives the reason of the connection's end from what reading it gave.
func (c *socket) ended(err error) error {
	c.Lock()
	defer c.Unlock()
	c.gone = c.gone || !errors.Is(err, io.EOF) && !c.ending
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed):
		return io.ErrUnexpectedEOF
	case errors.Is(err, os.ErrDeadlineExceeded) && !c.ready:
		return &core.Error{Op: "handshake", Name: c.info.Remote.String(), Kind: core.Unavailable,
			Detail: "not complete in time"}
	}
	return err
}

// write sends what appears in out until the connection is ending and all is sent.
func (c *socket) write() {
	var parts [][]byte
	var spare []byte
	c.Lock()
	defer c.Unlock()
	for {
		for c.out.Len() == 0 && !c.ending && !c.gone {
			c.writable.Wait()
		}
		if c.gone || c.out.Len() == 0 {
			break
		}
		c.writing = c.out.Len()
		var memory []byte
		parts, memory = c.out.Take(parts[:0], spare)
		c.Unlock()
		err := c.send(parts)
		clear(parts)
		c.Lock()
		if err == nil {
			c.sent += uint64(c.writing)
		}
		spare, c.writing = memory, 0
		if err != nil {
			c.unsent = err // linger bounds how long the reader goes on
			break
		}
		c.readable.Signal()
		if !c.ending {
			c.conn.Drained(c.Now())
		}
	}
	c.gone = true
	c.readable.Broadcast()
	c.linger()
}

// linger closes the sending half and gives the client a moment to close.
func (c *socket) linger() {
	if h, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = h.CloseWrite()
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(lingerMax))
}

func (c *socket) send(parts [][]byte) error {
	if len(parts) == 1 {
		_, err := c.nc.Write(parts[0])
		return err
	}
	bufs := net.Buffers(parts)
	_, err := bufs.WriteTo(c.nc)
	return err
}

// end makes the connection end; the first reason stands. Lock held.
func (c *socket) end(err error) {
	if c.ending {
		return
	}
	c.ending, c.err = true, err
	_ = c.nc.SetWriteDeadline(time.Now().Add(5 * lingerMax))
	c.writable.Broadcast()
	c.readable.Broadcast()
}

// sayGoodbye tells the Conn that the node stops. A client that was not heard yet finds its
// connection reset, as if it had come a moment later: to have it end in order after its
// first request looks to clients as if they spoke the wrong protocol.
func (c *socket) sayGoodbye() {
	c.Lock()
	defer c.Unlock()
	switch {
	case c.conn == nil:
		_ = c.nc.Close()
	case !c.heard:
		reset(c.nc)
	case !c.ending:
		c.conn.Shut(c.Now())
		c.Wake()
	}
}

// reset ends a connection without an end that the client could take for an answer.
func reset(nc net.Conn) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	if t, ok := nc.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = nc.Close()
}

// tick calls Tick and sets the timer for the next. Lock held.
func (c *socket) tick() {
	if c.ending {
		return
	}
	c.tickAt = 0
	if next := c.conn.Tick(c.Now()); next != 0 {
		c.TickAt(next)
	}
	c.Wake()
}

func (c *socket) timed() {
	c.Lock()
	defer c.Unlock()
	if now := c.Now().Mono; c.tickAt != 0 && now < c.tickAt {
		c.timer.Reset(time.Duration(c.tickAt - now))
		return
	}
	c.tick()
}

// Out, Wake, TickAt, Owe, Hold, Ready, End, Now and Info are the Wire.

func (c *socket) Out() *Output { return &c.out }

func (c *socket) Wake() {
	if c.out.Len() > 0 {
		c.writable.Signal()
	}
}

func (c *socket) TickAt(t core.Time) {
	if c.tickAt != 0 && c.tickAt <= t {
		return
	}
	c.tickAt = t
	d := max(time.Duration(t-c.Now().Mono), 0)
	if c.timer == nil {
		c.timer = time.AfterFunc(d, c.timed) // ends by itself; stopped by run
		return
	}
	c.timer.Reset(d)
}

func (c *socket) Owe(n int) {
	if c.closed {
		return
	}
	c.owed += n
	c.s.o.Budget.add(n)
	if n < 0 {
		c.readable.Signal()
	}
}

func (c *socket) Traffic() (received, sent uint64) { return c.received, c.sent }

func (c *socket) Hold(on bool) {
	if c.held = on; !on {
		c.readable.Signal()
	}
}

func (c *socket) Ready() {
	if !c.ready {
		c.ready = true
		if !c.gone {
			_ = c.nc.SetReadDeadline(time.Time{})
		}
	}
}

func (c *socket) End(err error) { c.end(err) }

func (c *socket) Now() core.Now { return c.s.o.Clock() }

func (c *socket) Info() Info { return c.info }
