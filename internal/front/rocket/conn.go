package rocket

import (
	"bytes"
	"fmt"
	"net"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/front/rocket/topology"
	"trine/internal/front/rocket/wire"
)

// idleMax is how long a connection may be silent in both directions.
const idleMax = 120 * core.Second

// Conn is one client's connection, to the NameServer, the broker, or both. All its
// state is guarded by its Wire's lock.
type Conn struct {
	f     *Front
	w     front.Wire
	id    uint64    // its Wire's
	group string    // of the port by which it came
	local wire.Host // where the client dialled
	peer  wire.Host

	in        []byte // the beginning of a frame
	frame     []byte // the one being dispatched
	cmd       wire.Command
	synced    bool      // it is dispatched again, after Cluster.Sync
	heldUntil core.Time // or after hold: till then it may be held; 0: it comes first
	out       wire.Writer
	heard     core.Time // when it last was fed
	closed    bool
	shut      bool  // it ends once the sends under way are answered
	opaque    int32 // of the last request of ours

	slab    slab
	appends []core.Append // of this turn
	sends   []send
	free    []uint32 // places in sends
	retries int      // sends that wait to be entered again
	updates updates  // consumer offsets of this turn
	ready   []*pull  // with answers to be written
	later   []later

	client    string
	reg       map[string]*consumer // by consumer group
	producers map[string]bool
	beat      uint64 // hash of the last heartbeat
	waits     map[int32]func(*wire.Command)
}

// later is something to do at a time.
type later struct {
	at core.Time
	do func(now core.Now)
}

// Open makes connections that came by the port of a group; "" is this node's own.
func (f *Front) Open(group string) func(w front.Wire) front.Conn {
	if group == "" {
		group = topology.HomeGroup(f.core.Self().Node)
	}
	return func(w front.Wire) front.Conn {
		info := w.Info()
		c := &Conn{f: f, w: w, id: info.ID, group: group, local: hostOf(info.Local),
			peer:  hostOf(info.Remote),
			heard: w.Now().Mono}
		return c
	}
}

func hostOf(a net.Addr) (h wire.Host) {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return h
	}
	h.Port = int32(t.Port)
	if ip4 := t.IP.To4(); ip4 != nil {
		copy(h.IP[:], ip4)
		return h
	}
	h.V6 = true
	copy(h.IP[:], t.IP.To16())
	return h
}

// Feed takes bytes off the socket.
func (c *Conn) Feed(now core.Now, b []byte) error {
	c.heard = now.Mono
	defer c.endTurn(now)
	err := c.frames(now, b)
	if err != nil {
		c.f.o.Log.Warn("connection ended: the request is not understood", "front", "rocket",
			"client", c.w.Info().Remote, "err", err)
	}
	return err
}

// frames dispatches whole frames and keeps what is left.
func (c *Conn) frames(now core.Now, b []byte) error {
	c.slab.reserve(len(b))
	if len(c.in) > 0 {
		c.in = append(c.in, b...)
		b = c.in
	}
	for {
		n, err := wire.FrameSize(b)
		if err != nil {
			return err
		}
		if n == 0 || n > len(b) {
			break
		}
		c.w.Ready()
		if err := c.dispatch(now, b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	if len(b) == 0 && cap(c.in) > 64<<10 {
		c.in = nil
	}
	c.in = append(c.in[:0], b...)
	return nil
}

func (c *Conn) dispatch(now core.Now, frame []byte) error {
	c.frame = frame
	if err := c.cmd.Parse(frame); err != nil {
		return err
	}
	if c.cmd.IsAnswer() {
		if done := c.waits[c.cmd.Opaque]; done != nil {
			delete(c.waits, c.cmd.Opaque)
			done(&c.cmd)
		}
		return nil
	}
	switch c.cmd.Code {
	case wire.SendMessage, wire.SendMessageV2, wire.SendBatch:
		c.send(now)
	case wire.PullMessage, wire.LitePullMessage:
		c.pull(now)
	default:
		h := handlers[c.cmd.Code]
		if h == nil {
			c.fail(wire.NotSupported, fmt.Sprintf("request code %d is not supported", c.cmd.Code))
			return nil
		}
		h(c, now)
	}
	return nil
}

// handlers are what is asked less often than messages are sent and pulled.
var handlers map[int]func(*Conn, core.Now)

func init() {
	handlers = map[int]func(*Conn, core.Now){}
	for _, some := range []map[int]func(*Conn, core.Now){nameHandlers, clientHandlers,
		consumerHandlers, adminHandlers} {
		for code, h := range some {
			handlers[code] = h
		}
	}
}

// endTurn hands over what the turn's requests asked.
func (c *Conn) endTurn(core.Now) {
	if len(c.appends) > 0 {
		as := c.appends
		c.appends = nil
		c.f.core.Log().Append(as)
	}
	c.updates.flush(c.f)
}

// answer opens the frame that answers the present request; with end it goes out.
func (c *Conn) answer(code int, remark string) *wire.Writer {
	return c.answerTo(c.ask(), code, remark)
}

// ask is what is needed to answer a request later.
type ask struct {
	form   wire.Form
	oneway bool
	opaque int32
}

func (c *Conn) ask() ask { return ask{c.cmd.Form, c.cmd.IsOneway(), c.cmd.Opaque} }

func (c *Conn) answerTo(a ask, code int, remark string) *wire.Writer {
	c.out.B = c.w.Out().B
	c.out.Answer(a.form, a.opaque, code, remark)
	return &c.out
}

func (c *Conn) end() {
	c.out.End()
	c.w.Out().B = c.out.B
}

// endBody ends the frame with a body.
func (c *Conn) endBody(body []byte) {
	c.out.Body()
	c.out.B = append(c.out.B, body...)
	c.end()
}

// fail answers the present request with a code and its reason.
func (c *Conn) fail(code int, remark string) { c.failTo(c.ask(), code, remark) }

func (c *Conn) failTo(a ask, code int, remark string) {
	if a.oneway {
		return
	}
	c.answerTo(a, code, remark)
	c.end()
}

// ok answers the present request with success and nothing else.
func (c *Conn) ok() { c.failTo(c.ask(), wire.Success, "") }

// outcome answers with success, or with err as RocketMQ would.
func (c *Conn) outcome(a ask, err error) {
	if err == nil {
		c.failTo(a, wire.Success, "")
		return
	}
	c.failTo(a, codeOf(err), err.Error())
}

// codeOf gives the code of an error that is no send's.
func codeOf(err error) int {
	switch core.KindOf(err) {
	case core.Invalid:
		return wire.InvalidParameter
	case core.Denied:
		return wire.NoPermission
	case core.NotExist:
		return wire.QueryNotFound
	}
	return wire.SystemError
}

// afterSync dispatches the present request again once the catalog is known to be
// current; false where that was done already and what is missing is not there.
func (c *Conn) afterSync() bool {
	if c.synced {
		return false
	}
	c.again(c.f.core.Cluster().Sync)
	return true
}

// again dispatches the present request again when wait is done. What wait finds
// wrong answers it.
func (c *Conn) again(wait func(done func(error))) {
	frame, a := bytes.Clone(c.frame), c.ask()
	wait(func(err error) {
		c.locked(func(now core.Now) {
			if err != nil {
				code := codeOf(err)
				if code == wire.SystemError {
					code = wire.ServiceNotAvailable
				}
				c.failTo(a, code, err.Error())
				return
			}
			c.synced = true
			_ = c.dispatch(now, frame) // it was parsed before
			c.synced = false
			c.endTurn(now)
		})
	})
}

// holdEvery is how often a held request is tried.
const holdEvery = 100 * core.Millisecond

// hold dispatches the present request again a little later, with heldUntil set.
func (c *Conn) hold(now core.Now, most core.Time) {
	frame := bytes.Clone(c.frame)
	until := c.heldUntil
	if until == 0 {
		until = now.Mono + most
	}
	c.at(now.Mono+holdEvery, func(now core.Now) {
		c.heldUntil = until
		_ = c.dispatch(now, frame) // it was parsed before
		c.heldUntil = 0
	})
}

// locked runs do from the node's loop, unless the connection is closed.
func (c *Conn) locked(do func(now core.Now)) {
	c.w.Lock()
	defer c.w.Unlock()
	if !c.closed {
		do(c.w.Now())
		c.w.Wake()
	}
}

// at asks for do at a time. Lock held.
func (c *Conn) at(t core.Time, do func(now core.Now)) {
	c.later = append(c.later, later{t, do})
	c.w.TickAt(t)
}

// Tick does what is due.
func (c *Conn) Tick(now core.Now) core.Time {
	ready := c.ready
	c.ready = nil
	for _, p := range ready {
		p.answered(now)
	}
	due := c.later
	c.later = nil
	for _, l := range due {
		if l.at <= now.Mono {
			l.do(now)
		} else {
			c.later = append(c.later, l)
		}
	}
	c.endTurn(now)
	next := c.heard + idleMax
	if next <= now.Mono {
		c.w.End(nil)
		return 0
	}
	for _, l := range c.later {
		next = min(next, l.at)
	}
	return next
}

// Drained has nothing to do: answers are bounded by what the client asked.
func (c *Conn) Drained(core.Now) {}

// Shut ends the connection once the sends under way are answered: a client waits for
// those until its time is over, whatever becomes of the connection.
func (c *Conn) Shut(core.Now) {
	c.shut = true
	c.endIfIdle()
}

func (c *Conn) endIfIdle() {
	if c.shut && len(c.sends) == len(c.free) && c.retries == 0 && len(c.appends) == 0 {
		c.w.End(nil)
	}
}

// Closed takes the client's registrations away.
func (c *Conn) Closed(core.Now, error) {
	c.closed = true
	c.f.closed(c)
}

// request sends a request of ours. body may be nil; done nil sends it oneway.
// Lock held.
func (c *Conn) request(code int, fields func(w *wire.Writer), body []byte,
	done func(*wire.Command)) {
	flag := int32(wire.FlagOneway)
	c.opaque++
	if done != nil {
		flag = 0
		if c.waits == nil {
			c.waits = map[int32]func(*wire.Command){}
		}
		c.waits[c.opaque] = done
	}
	c.out.B = c.w.Out().B
	c.out.Begin(wire.JSON, code, c.opaque, flag, "")
	fields(&c.out)
	c.endBody(body)
}
