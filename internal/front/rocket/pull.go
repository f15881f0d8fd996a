package rocket

import (
	"fmt"
	"slices"

	"trine/internal/core"
	"trine/internal/core/record"
	"trine/internal/front/rocket/topology"
	"trine/internal/front/rocket/wire"
)

// pull is a pull on its way. It holds no goroutine: it waits as a core.Read, or
// for its connection's Tick.
type pull struct {
	ask
	c      *Conn
	queue  *topology.Queue
	from   core.Offset
	max    int // messages
	bytes  int // of messages
	filter *filter
	until  core.Time // the client waits for messages till then
	hold   core.Time // and for a leader till then
	scans  int       // reads that gave only what the filter passes over
	answer core.ReadAnswer
	slave  bool // the queue's master is away: a copy that does not lead answers
}

// Bounds of one pull.
const (
	pullMessagesMax = 1024
	pullScansMax    = 64
	pullWaitMax     = 60 * core.Second
	pullInline      = 32 << 10 // up to so many bytes are answered on the node's loop
	pullRetry       = 50 * core.Millisecond
)

// pull takes codes 11 and 361.
func (c *Conn) pull(now core.Now) {
	cmd := &c.cmd
	sys := cmd.Int("sysFlag", 0)
	groupName, id := cmd.Get("consumerGroup"), int(cmd.Int("queueId", -1))
	t := c.f.view.Topic(cmd.Get("topic"))
	if t == nil {
		if !c.afterSync() {
			c.fail(wire.TopicNotExist, "topic "+cmd.Str("topic")+" does not exist")
		}
		return
	}
	p := c.partOf(t, cmd.Get("bname"), id)
	if p == nil || id < 0 || id >= len(p.Queues) {
		if !c.afterSync() {
			c.fail(wire.SystemError, fmt.Sprintf("queueId %d is illegal: topic %s at %s", id, t.Name,
				c.brokerName(cmd.Get("bname"))))
		}
		return
	}
	if p.Perm&wire.PermRead == 0 {
		c.fail(wire.NoPermission, "topic "+t.Name+" is not readable")
		return
	}
	if !c.f.mayConsume(groupName) {
		c.fail(wire.NoPermission, fmt.Sprintf("subscription group no permission, %s", groupName))
		return
	}
	q := p.Queues[id]
	if at := cmd.Int("commitOffset", -1); sys&wire.PullCommit != 0 && at >= 0 {
		c.updates.add(groupName, q, at, nil)
	}
	pl := &pull{ask: c.ask(), c: c, queue: q, from: core.Offset(cmd.Int("queueOffset", 0)),
		max: int(min(max(cmd.Int("maxMsgNums", 32), 1), pullMessagesMax)), bytes: c.f.o.PullBytes}
	if n := cmd.Int("maxMsgBytes", 0); n > 0 {
		pl.bytes = int(min(n, wire.FrameBytesMax/2))
	}
	var err error
	var known bool
	if sys&wire.PullSubscription != 0 {
		pl.filter, err = newFilter(cmd.Str("subscription"), cmd.Str("expressionType"))
		known = true
	} else {
		pl.filter, known, err = c.f.subscription(string(groupName), t.Name)
	}
	switch {
	case err != nil:
		c.fail(wire.SubscriptionParse, err.Error())
		return
	case !known:
		if !c.afterSync() {
			c.fail(wire.SubscriptionNotExist, fmt.Sprintf("group %s has no subscription to %s",
				groupName, t.Name))
		}
		return
	}
	if sys&wire.PullSuspend != 0 {
		wait := core.Time(cmd.Int("suspendTimeoutMillis", 0)) * core.Millisecond
		pl.until = now.Mono + min(max(wait, 0), pullWaitMax)
	}
	pl.hold = max(pl.until, now.Mono+c.f.o.HoldMax)
	pl.read(now)
}

// read asks the core once more.
func (p *pull) read(now core.Now) {
	s := p.queue.Stream.Load()
	if s == nil {
		p.unavailable(now, "the queue is not known on this node yet")
		return
	}
	p.slave = p.c.f.away(s)
	r := core.Read{Parts: []core.ReadPart{{Stream: s.ID, From: p.from, BytesMax: p.bytes}},
		BytesMax: p.bytes, Stable: true, Copy: p.slave}
	if now.Mono < p.until {
		r.BytesMin, r.Wait = 1, p.until-now.Mono
	}
	p.c.f.core.Log().Read(r, p.done)
}

// done is called on the node's loop.
func (p *pull) done(as []core.ReadAnswer) {
	c := p.c
	c.w.Lock()
	defer c.w.Unlock()
	if c.closed {
		return
	}
	p.answer = as[0]
	size := 0
	for _, b := range p.answer.Batches {
		size += len(b)
	}
	now := c.w.Now()
	if size > pullInline {
		c.ready = append(c.ready, p)
		c.w.TickAt(now.Mono)
		return
	}
	p.answered(now)
	c.w.Wake()
}

// answered answers the client from p.answer, or asks further. Lock held.
func (p *pull) answered(now core.Now) {
	a := &p.answer
	switch kind := core.KindOf(a.Err); kind {
	case core.OK:
	case core.OutOfRange:
		p.moved()
		return
	case core.NotExist:
		p.c.failTo(p.ask, wire.TopicNotExist, a.Err.Error())
		return
	default:
		p.unavailable(now, a.Err.Error())
		return
	}
	end := min(a.Committed, a.Stable) // a new leader's may be below p.from for a moment
	if p.from < a.Start {
		p.moved()
		return
	}
	next := p.from
	var found int
	c := p.c
	c.f.bodies.with(func(b *bodies) {
		next, found = p.collect(b)
		if found > 0 {
			p.found(next, b.out)
		}
	})
	if found > 0 {
		c.f.out.count.Add(int64(found))
		return
	}
	passed := next > p.from
	p.from = next
	p.answer.Batches = nil
	switch p.scans++; {
	case passed && next < end && p.scans < pullScansMax, now.Mono < p.until && p.scans < pullScansMax:
		p.read(now)
	case passed && next < end:
		p.empty(wire.PullRetryNow, next, "the filter passes over what there is so far")
	default:
		p.empty(wire.PullNotFound, next, "no new message")
	}
}

// collect encodes what matches into b.out. next is where the client goes on.
func (p *pull) collect(b *bodies) (next core.Offset, found int) {
	next = p.from
	store := p.c.local
	b.out = b.out[:0]
	full := false
	for _, batch := range p.answer.Batches {
		h, err := record.Parse(batch)
		if err != nil || full {
			break
		}
		if h.Control() {
			p.marked(&h, batch)
		}
		if h.Control() || p.aborted(&h) {
			next = max(next, h.Next())
			continue
		}
		err = b.coder.Each(batch, record.UnpackedMax, func(offset core.Offset, r *core.Record) bool {
			if offset < p.from {
				return true
			}
			if found >= p.max || found > 0 && len(b.out)+len(r.Value) > p.bytes {
				full = true
				return false
			}
			var m content
			b.props = m.read(r, b.props[:0])
			next = offset + 1
			if p.filter.matches(&m) {
				s := m.stored(p.queue, offset, r.Stamp, store)
				b.out = wire.AppendMessage(b.out, &s)
				found++
			}
			return true
		})
		if err != nil {
			p.c.f.o.Log.Error("read batch", "stream", p.queue.Name, "base", h.Base, "err", err)
		}
		if !full {
			next = max(next, h.Next())
		}
	}
	return next, found
}

// aborted says whether a batch belongs to a transaction that was rolled back.
func (p *pull) aborted(h *record.Header) bool {
	if !h.Transactional() {
		return false
	}
	for _, s := range p.answer.Aborted {
		if s.Producer == h.Producer && h.Base >= s.First {
			return true
		}
	}
	return false
}

// marked takes the end of a producer's transaction in: its aborted span is over.
func (p *pull) marked(h *record.Header, batch []byte) {
	if record.MarkerOf(batch) != record.Abort {
		return
	}
	for i, s := range p.answer.Aborted {
		if s.Producer == h.Producer {
			p.answer.Aborted = slices.Delete(slices.Clone(p.answer.Aborted), i, i+1)
			return
		}
	}
}

func (p *pull) header(code int, next core.Offset, remark string) *wire.Writer {
	w := p.c.answerTo(p.ask, code, remark)
	broker := int64(0)
	if p.slave {
		broker = 1
	}
	w.Int("suggestWhichBrokerId", broker)
	w.Int("nextBeginOffset", int64(next))
	w.Int("minOffset", int64(p.answer.Start))
	w.Int("maxOffset", int64(p.answer.Committed))
	w.Int("topicSysFlag", 0)
	w.Int("groupSysFlag", 0)
	return w
}

func (p *pull) found(next core.Offset, messages []byte) {
	p.header(wire.Success, next, "")
	p.c.endBody(messages)
}

func (p *pull) empty(code int, next core.Offset, remark string) {
	p.header(code, next, remark)
	p.c.end()
}

// moved answers a pull from an offset that is not there any more, or not yet.
func (p *pull) moved() {
	a := &p.answer
	end := a.Committed
	switch {
	case p.from < a.Start:
		p.empty(wire.PullOffsetMoved, a.Start, fmt.Sprintf("offset %d is below the first, %d", p.from,
			a.Start))
	case p.from > end:
		p.empty(wire.PullOffsetMoved, max(end, a.Start), fmt.Sprintf("offset %d is beyond the last, %d",
			p.from, end))
	default:
		p.empty(wire.PullNotFound, p.from, "no new message")
	}
}

// unavailable holds a pull while its queue has no leader: clients wait 3 s after an
// error, but ask again at once after PULL_NOT_FOUND.
func (p *pull) unavailable(now core.Now, why string) {
	if now.Mono+pullRetry < p.hold {
		p.c.at(now.Mono+pullRetry, p.read)
		return
	}
	p.answer = core.ReadAnswer{Start: 0, Committed: p.from}
	p.empty(wire.PullNotFound, p.from, "the queue is not available: "+why)
}
