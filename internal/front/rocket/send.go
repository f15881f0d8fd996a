package rocket

import (
	"fmt"
	"strconv"

	"trine/internal/core"
	"trine/internal/front/rocket/topology"
	"trine/internal/front/rocket/wire"
)

// send is a send that waits for its append to hold.
type send struct {
	ask
	queue *topology.Queue
	group *topology.Group
	shown int // the queue's id towards the client
	count int // messages
	bytes int
	tx    []byte                                         // the id of the transaction that it begins
	tries []core.Record                                  // kept where a refusal is tried again: see retry
	until core.Time                                      // and how long
	then  func(now core.Now, a core.Appended, err error) // instead of the answer
}

// sendHeader is what sends say, under the names of either version.
type sendHeader struct {
	producerGroup, topic, defaultTopic, props, broker []byte
	defaultQueues, queue, sysFlag, flag, reconsumed   int64
	bornMs, maxReconsumed                             int64
	batch, unit                                       bool
}

// sendHeaderOf reads the header. Version 2 names its fields by letters; which
// version it is, is seen by the fields and not by the code: clients mix them.
func sendHeaderOf(c *wire.Command) (h sendHeader, ok bool) {
	h.queue, h.maxReconsumed = -1, -1
	for i := range c.Fields {
		v := c.Fields[i].Value
		n, number := wire.ParseInt(v)
		switch key := c.Fields[i].Key; string(key) {
		case "a", "producerGroup":
			h.producerGroup = v
		case "b", "topic":
			h.topic = v
		case "c", "defaultTopic":
			h.defaultTopic = v
		case "d", "defaultTopicQueueNums":
			h.defaultQueues = n
		case "e", "queueId":
			h.queue, ok = n, number
		case "f", "sysFlag":
			h.sysFlag = n
		case "g", "bornTimestamp":
			h.bornMs = n
		case "h", "flag":
			h.flag = n
		case "i", "properties":
			h.props = v
		case "j", "reconsumeTimes":
			h.reconsumed = n
		case "k", "unitMode":
			h.unit = string(v) == "true"
		case "l", "maxReconsumeTimes":
			if number {
				h.maxReconsumed = n
			}
		case "m", "batch":
			h.batch = string(v) == "true"
		case "n", "bname":
			h.broker = v
		}
	}
	return h, ok && len(h.topic) > 0
}

// send takes codes 10, 310 and 320.
func (c *Conn) send(now core.Now) {
	h, ok := sendHeaderOf(&c.cmd)
	if !ok {
		c.fail(wire.SystemError, "the header has no topic or queueId")
		return
	}
	switch {
	case len(c.cmd.Body) > c.f.o.MessageMax:
		c.fail(wire.MessageIllegal, fmt.Sprintf("the message body of %d bytes exceeds %d",
			len(c.cmd.Body), c.f.o.MessageMax))
		return
	case len(h.props) > wire.PropsBytesMax:
		c.fail(wire.MessageIllegal, fmt.Sprintf("the properties of %d bytes exceed %d",
			len(h.props), wire.PropsBytesMax))
		return
	}
	t := c.f.view.Topic(h.topic)
	if t == nil {
		c.sendUnknown(&h)
		return
	}
	p := c.partOf(t, h.broker, int(h.queue))
	if p == nil {
		c.sendElsewhere(t, &h)
		return
	}
	g := c.f.view.Group(p.Group)
	if p.Perm&wire.PermWrite == 0 || g.Wiped {
		c.fail(wire.NoPermission, fmt.Sprintf("topic %s is not writable at %s", h.topic, p.Group))
		return
	}
	id := int(h.queue)
	if id < 0 {
		id = int(c.f.pick() % uint32(p.Write))
	}
	if id >= len(p.Queues) {
		c.fail(wire.SystemError, fmt.Sprintf("queueId %d is illegal: topic %s has %d queues at %s",
			id, h.topic, len(p.Queues), p.Group))
		return
	}
	if h.batch || c.cmd.Code == wire.SendBatch {
		c.sendBatch(now, &h, g, p.Queues[id])
		return
	}
	c.sendOne(now, &h, g, p.Queues[id])
}

// partOf gives the part of a topic that a request means: the broker name that it
// says, else that of its port, else of this node, else the first that has the queue.
func (c *Conn) partOf(t *topology.Topic, broker []byte, id int) *topology.Part {
	if len(broker) > 0 {
		return t.Part(string(broker))
	}
	if p := t.Part(c.group); p != nil && id < len(p.Queues) {
		return p
	}
	for _, p := range t.Parts {
		if id < len(p.Queues) {
			return p
		}
	}
	return nil
}

// sendUnknown makes a topic that is not there, where it may make itself.
func (c *Conn) sendUnknown(h *sendHeader) {
	if c.afterSync() {
		return
	}
	name := string(h.topic)
	retry := len(name) > len(topology.RetryPrefix) && name[:len(topology.RetryPrefix)] == topology.RetryPrefix
	if err := topology.CheckName(name); err != nil {
		c.fail(wire.MessageIllegal, err.Error())
		return
	}
	if c.f.o.NoAuto && !retry || string(h.defaultTopic) != topology.TemplateTopic && !retry {
		c.fail(wire.TopicNotExist, "topic "+name+" does not exist; apply for it or enable its creation")
		return
	}
	queues := int(min(max(h.defaultQueues, 1), topology.QueuesTemplate))
	if retry {
		queues = 1
	}
	c.again(func(done func(error)) {
		c.f.view.Ensure(&topology.Change{Topic: name, Grow: true,
			Wishes: c.f.view.Everywhere(queues, queues, wire.PermRead|wire.PermWrite)}, done)
	})
}

// sendElsewhere answers a send to a broker that has no such queue of the topic.
func (c *Conn) sendElsewhere(t *topology.Topic, h *sendHeader) {
	if c.afterSync() {
		return
	}
	c.fail(wire.TopicNotExist, fmt.Sprintf("topic %s has no queue %d at %s",
		t.Name, h.queue, c.brokerName(h.broker)))
}

func (c *Conn) brokerName(broker []byte) string {
	if len(broker) > 0 {
		return string(broker)
	}
	return c.group
}

func (c *Conn) contentOf(h *sendHeader, body, props []byte) content {
	return content{flag: int32(h.flag), sysFlag: int32(h.sysFlag) &^ (wire.SysBornV6 | wire.SysStoreV6),
		bornMs: h.bornMs, born: c.peer, reconsumed: int32(h.reconsumed), body: body, props: props}
}

func (c *Conn) sendOne(now core.Now, h *sendHeader, g *topology.Group, q *topology.Queue) {
	m := c.contentOf(h, c.cmd.Body, h.props)
	if m.prop(wire.PropUniqueKey) == nil {
		m.props = wire.AppendProp(append(c.slab.take(len(m.props)+64), m.props...),
			wire.PropUniqueKey, c.f.uniqueKey(now))
	}
	if len(m.props) > wire.PropsBytesMax {
		c.fail(wire.MessageIllegal, "the properties are too large")
		return
	}
	if c.detour(now, h, g, q, &m) {
		return
	}
	c.enter(send{ask: c.ask(), queue: q, group: g, shown: q.ID, count: 1, bytes: len(c.frame)},
		m.record(&c.slab))
}

func (c *Conn) sendBatch(now core.Now, h *sendHeader, g *topology.Group, q *topology.Queue) {
	if len(q.Topic) > 0 && q.Topic[0] == '%' {
		c.fail(wire.MessageIllegal, "a batch cannot be sent to a retry topic")
		return
	}
	var records []core.Record
	err := wire.EachInBatch(c.cmd.Body, func(flag int32, body, props []byte) error {
		m := c.contentOf(h, body, props)
		m.flag = flag
		records = append(records, m.record(&c.slab)...)
		return nil
	})
	if err == nil && len(records) == 0 {
		err = fmt.Errorf("the batch is empty")
	}
	if err != nil {
		c.fail(wire.MessageIllegal, err.Error())
		return
	}
	c.enter(send{ask: c.ask(), queue: q, group: g, shown: q.ID, count: len(records),
		bytes: len(c.frame)}, records)
}

// enter appends records in this turn; who sent them is told.
func (c *Conn) enter(s send, records []core.Record) {
	stream := s.queue.Stream.Load()
	if stream == nil {
		c.refuse(s, &core.Error{Op: "send", Name: s.queue.Name, Kind: core.Unavailable,
			Detail: "the queue is not known on this node yet"})
		return
	}
	if c.f.away(stream) || c.f.waitsInVain(stream) {
		c.refuse(s, &core.Error{Op: "send", Name: s.queue.Name, Kind: core.NoLeader})
		return
	}
	a := core.Append{Stream: stream.ID, Ack: core.AckCommit, Records: records,
		WaitMax: c.f.o.SendWaitMax}
	if !s.oneway || s.then != nil {
		if s.group.Elects() && s.until == 0 {
			s.tries, s.until = records, c.w.Now().Mono+c.f.o.SendWaitMax
		}
		a.To, a.Token = c, uint64(c.slot(s))
		c.w.Owe(s.bytes)
	}
	c.appends = append(c.appends, a)
}

func (c *Conn) slot(s send) uint32 {
	if n := len(c.free); n > 0 {
		i := c.free[n-1]
		c.free = c.free[:n-1]
		c.sends[i] = s
		return i
	}
	c.sends = append(c.sends, s)
	return uint32(len(c.sends) - 1)
}

func (c *Conn) refuse(s send, err error) {
	if s.then != nil {
		s.then(c.w.Now(), core.Appended{}, err)
		return
	}
	c.failTo(s.ask, s.group.Refused(err, false), err.Error())
}

// Appended is told by the node's loop what became of a send.
func (c *Conn) Appended(token uint64, a core.Appended, err error) {
	c.w.Lock()
	defer c.w.Unlock()
	if c.closed {
		return
	}
	s := c.sends[token]
	c.sends[token] = send{}
	c.free = append(c.free, uint32(token))
	c.w.Owe(-s.bytes)
	switch {
	case c.retry(s, err):
	case s.then != nil:
		s.then(c.w.Now(), a, err)
		c.endTurn(core.Now{})
	case err != nil:
		stream := s.queue.Stream.Load()
		c.failTo(s.ask, s.group.Refused(err, stream != nil && !c.f.away(stream)), err.Error())
	default:
		c.sent(&s, &a)
	}
	c.endIfIdle()
	c.w.Wake()
}

const retryEvery = 20 * core.Millisecond

// retry enters a send again that was refused while another leader is being found:
// nothing was appended, and clients do not try the same queue a second time.
func (c *Conn) retry(s send, err error) bool {
	if s.tries == nil {
		return false
	}
	switch core.KindOf(err) {
	case core.NotLeader, core.NoLeader, core.Fenced, core.Refused, core.Unavailable:
	default:
		return false
	}
	now := c.w.Now().Mono
	if now+retryEvery > s.until {
		return false
	}
	c.retries++
	c.at(now+retryEvery, func(core.Now) {
		c.retries--
		c.enter(s, s.tries)
	})
	return true
}

// sent answers a send whose append holds.
func (c *Conn) sent(s *send, a *core.Appended) {
	code, remark := s.group.Stored(a), ""
	if code != wire.Success {
		remark = "the message is stored by its master alone"
	}
	c.f.in.count.Add(int64(s.count))
	w := c.answerTo(s.ask, code, remark)
	ids := c.slab.take(33 * s.count)
	for i := range s.count {
		if i > 0 {
			ids = append(ids, ',')
		}
		ids = wire.AppendMessageID(ids, &c.local, wire.PhysicalOf(s.queue.Number, int64(a.Base)+int64(i)))
	}
	w.Bytes("msgId", ids)
	w.Int("queueId", int64(s.shown))
	w.Int("queueOffset", int64(a.Base))
	if s.tx != nil {
		w.Bytes("transactionId", s.tx)
	}
	w.Str("MSG_REGION", c.f.o.Region)
	w.Str("TRACE_ON", "true")
	c.end()
}

// away says whether a stream's node is away and nobody may take its place: a send
// is refused at once then, so that the client turns to another group.
func (f *Front) away(s *core.Stream) bool {
	if s.Policy.Election != core.ElectNone || s.Leader == 0 {
		return false
	}
	return !f.alive(s.Leader)
}

// uniqueKey makes the id of a message whose client gave it none.
func (f *Front) uniqueKey(now core.Now) string {
	const digits = "0123456789ABCDEF"
	n := f.pick()
	var b [32]byte
	parts := [4]uint32{uint32(f.core.Self().Incarnation), uint32(f.core.Self().Node),
		uint32(now.Wall), n}
	for i, p := range parts {
		for j := range 8 {
			b[i*8+7-j] = digits[p&15]
			p >>= 4
		}
	}
	return string(b[:])
}

func itoa(n int) string { return strconv.Itoa(n) }
