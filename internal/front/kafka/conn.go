package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"trine/internal/core"
	"trine/internal/front"
)

const (
	// frameStep is how much of a long frame is taken in before more memory is:
	// nobody gets memory for bytes that he only announces.
	frameStep = 1 << 20
	// frameMin is the shortest request: key, version and correlation id.
	frameMin = 8
	// plainBytesMax bounds requests other than Produce: read, they take many times
	// their bytes.
	plainBytesMax = 8 << 20
	// waitingMax bounds the requests of one connection that have not begun.
	waitingMax = 1000
)

// Conn is one client's connection. All of its methods are called with the Wire's
// lock held; outcomes come in through later, which takes it.
type Conn struct {
	f    *Front
	w    front.Wire
	host string // by which the client knows this node

	head  [4]byte // of the frame that is being read: its length
	headN int
	frame []byte // its bytes so far
	size  int

	waiting []*request  // not begun
	pending []*request  // begun, in order; the first is answered first
	fewWait [4]*request // where waiting and pending lie while there are few
	fewPend [8]*request
	held    bool // the last to begin has not said yet what it appends: none may follow
	moving  bool // advance is running
	closed  bool
	shut    bool   // the node stops
	scratch []byte // where Fetch's answers are put together
}

// request is one request, from its bytes to its answer.
type request struct {
	c       *Conn
	api     *api
	key     int16
	version int16
	corr    int32
	client  string // aliases the frame
	body    []byte // behind the header
	size    int

	flexible bool
	done     bool
	silent   bool // there is no answer
	response answer
}

// answer is what a request is answered with: a kmsg.Response, or Produce's or
// Fetch's own.
type answer interface{ AppendTo(b []byte) []byte }

// sharer is an answer parts of which are sent without being copied.
type sharer interface {
	share(o *front.Output, header []byte)
}

func newConn(f *Front, w front.Wire) *Conn {
	c := &Conn{f: f, w: w}
	if a := w.Info().Local; a != nil {
		if host, _, err := net.SplitHostPort(a.String()); err == nil {
			c.host = host
		}
	}
	return c
}

// Feed takes bytes that arrived.
func (c *Conn) Feed(now core.Now, b []byte) error {
	for len(b) > 0 && !c.shut {
		if c.headN < len(c.head) {
			n := copy(c.head[c.headN:], b)
			c.headN, b = c.headN+n, b[n:]
			if c.headN < len(c.head) {
				return nil
			}
			size := int32(binary.BigEndian.Uint32(c.head[:]))
			if size < frameMin || int(size) > c.f.cfg.RequestBytesMax {
				return c.fault("read frame", "a length of %d bytes", size)
			}
			c.size = int(size)
			continue
		}
		if c.frame == nil && len(b) >= c.size { // the usual case, and memory is not cleared for it
			frame := bytes.Clone(b[:c.size])
			b, c.headN = b[c.size:], 0
			if err := c.take(frame); err != nil {
				return err
			}
			continue
		}
		if c.frame == nil {
			c.frame = make([]byte, 0, min(c.size, frameStep))
		}
		n := min(len(b), c.size-len(c.frame))
		if free := cap(c.frame) - len(c.frame); free < n {
			grown := make([]byte, len(c.frame), min(c.size, 2*cap(c.frame)+n))
			copy(grown, c.frame)
			c.frame = grown
		}
		c.frame, b = append(c.frame, b[:n]...), b[n:]
		if len(c.frame) < c.size {
			return nil
		}
		frame := c.frame
		c.frame, c.headN = nil, 0
		if err := c.take(frame); err != nil {
			return err
		}
	}
	c.advance()
	return nil
}

// fault gives the error that ends the connection, and tells the operator.
func (c *Conn) fault(op, detail string, args ...any) error {
	name := "a client"
	if a := c.w.Info().Remote; a != nil {
		name = a.String()
	}
	err := &core.Error{Op: op, Name: name, Kind: core.Invalid, Detail: fmt.Sprintf(detail, args...)}
	c.f.log.Warn("connection ended: the request is not understood", "err", err)
	return err
}

// take queues a whole request.
func (c *Conn) take(frame []byte) error {
	r := &request{c: c, size: len(frame)}
	r.key = int16(binary.BigEndian.Uint16(frame))
	r.version = int16(binary.BigEndian.Uint16(frame[2:]))
	r.corr = int32(binary.BigEndian.Uint32(frame[4:]))
	if r.api = c.f.api(r.key); r.api == nil {
		return c.fault("read request", "key %d, version %d", r.key, r.version)
	}
	if v := r.version; v < r.api.servedMin || v > r.api.max {
		if r.key != keyApiVersions {
			return c.fault("read request", "%s, version %d", kmsg.NameForKey(r.key), v)
		}
		r.response = apiVersions(c.f, 0, errUnsupportedVersion)
		r.version = 0
	}
	if r.key != keyProduce && r.size > plainBytesMax {
		return c.fault("read request", "%s of %d bytes", kmsg.NameForKey(r.key), r.size)
	}
	if r.response == nil {
		body, err := r.readHeader(frame)
		if err != nil {
			return c.fault("read request", "%s, version %d: its header", kmsg.NameForKey(r.key), r.version)
		}
		r.body = body
	}
	if len(c.waiting) >= waitingMax {
		return c.fault("read request", "%d requests wait", len(c.waiting))
	}
	c.w.Ready()
	c.w.Owe(r.size)
	c.waiting = append(c.waiting, r)
	return nil
}

// readHeader reads what stands between the correlation id and the body.
func (r *request) readHeader(frame []byte) ([]byte, error) {
	in := reader{Reader: kbin.Reader{Src: frame[frameMin:]}}
	if client := in.UnsafeNullableString(); client != nil {
		r.client = *client
	}
	r.flexible = r.version >= r.api.flexible
	in.flexible = r.flexible
	in.tags(nil)
	return in.Src, in.Complete()
}

// advance begins the requests that may begin, and sends the answers that may leave.
func (c *Conn) advance() {
	if c.moving {
		return
	}
	c.moving = true
	for !c.closed {
		for len(c.pending) > 0 && c.pending[0].done {
			r := c.pending[0]
			c.pending[0] = nil
			c.pending = c.pending[1:]
			r.send()
		}
		if len(c.waiting) == 0 || c.held {
			break
		}
		r := c.waiting[0]
		if len(c.pending) > 0 && !(r.key == keyProduce && c.pending[len(c.pending)-1].key == keyProduce) {
			break
		}
		c.waiting[0] = nil
		c.waiting = c.waiting[1:]
		c.pending = append(c.pending, r)
		if r.response != nil {
			r.done = true
			continue
		}
		if err := r.api.run(c, r); err != nil {
			c.w.End(c.fault("read request", "%s, version %d: %v", kmsg.NameForKey(r.key), r.version, err))
			break
		}
	}
	if len(c.pending) == 0 {
		c.pending = c.fewPend[:0]
	}
	c.endIfIdle()
	if len(c.waiting) == 0 {
		c.waiting = c.fewWait[:0]
	}
	c.moving = false
}

// reply finishes a request. Lock held.
func (r *request) reply(a answer) {
	core.Assert(!r.done, "a request is answered once")
	r.done, r.response = true, a
	r.c.advance()
}

// later runs do under the lock, from the node's loop, unless the connection is over.
func (c *Conn) later(do func()) {
	c.w.Lock()
	defer c.w.Unlock()
	if c.closed {
		return
	}
	do()
	c.w.Wake()
}

// send writes a request's answer. It is the first that is pending.
func (r *request) send() {
	c := r.c
	c.w.Owe(-r.size)
	if r.silent {
		return
	}
	o := c.w.Out()
	var head [9]byte
	n := 8
	binary.BigEndian.PutUint32(head[4:], uint32(r.corr))
	if r.flexible && r.key != keyApiVersions {
		n++ // no tags
	}
	if s, ok := r.response.(sharer); ok {
		s.share(o, head[:n])
		return
	}
	start := len(o.B)
	o.B = append(o.B, head[:n]...)
	o.B = r.response.AppendTo(o.B)
	binary.BigEndian.PutUint32(o.B[start:], uint32(len(o.B)-start-4))
}

// Tick is not needed: waits are the core's.
func (c *Conn) Tick(core.Now) core.Time { return 0 }

// Drained is not needed.
func (c *Conn) Drained(core.Now) {}

// Shut ends the connection; clients look for another node by themselves. What was
// handed to the core is answered first, so that no producer must send it twice.
func (c *Conn) Shut(core.Now) {
	c.shut = true
	c.waiting = nil
	c.endIfIdle()
}

// endIfIdle ends a connection that is to end once no batch of it is on its way.
func (c *Conn) endIfIdle() {
	if c.shut && (len(c.pending) == 0 || c.pending[0].key != keyProduce) {
		c.w.End(nil)
	}
}

// Closed is the last call.
func (c *Conn) Closed(_ core.Now, err error) {
	c.closed = true
	c.waiting, c.pending, c.frame, c.scratch = nil, nil, nil, nil
}

// certain calls then, at once where sure, else once this node's catalog has all
// that was agreed when it was called: only then may a client be told that
// something is not there. then gets the error that prevents it, under the lock.
func (c *Conn) certain(sure bool, then func(err error)) {
	if sure {
		then(nil)
		return
	}
	c.f.core.Cluster().Sync(func(err error) { c.later(func() { then(err) }) })
}
