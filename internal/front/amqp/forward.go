package amqp

import (
	"sync"

	"trine/internal/core"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
)

// recordForwarded is recordVersion of a message that went through a queue's dead
// letters: its x-death is ours. In others it is a client's, and means nothing.
const recordForwarded = 2

var deathReasons = map[core.ForwardReason]string{core.ForwardRejected: "rejected",
	core.ForwardExpired: "expired", core.ForwardOverLength: "maxlen",
	core.ForwardDeliveryLimit: "delivery_limit"}

// forward routes what a queue gives up, on the node that leads it.
func (f *Front) forward(fw core.Forward, done func(error)) {
	f.core.Cluster().Sync(func(err error) {
		if err != nil {
			done(err)
			return
		}
		f.forwardNow(fw, done)
	})
}

func (f *Front) forwardNow(fw core.Forward, done func(error)) {
	vhost, name, _ := topology.CutName(fw.Stream.Name, topology.StreamPrefix)
	to, ok := topology.DeadLetterOf(fw.Stream)
	if !ok {
		done(nil)
		return
	}
	x := f.view.Exchange(vhost, to.Exchange)
	if x == nil { // silently, as the reader of x-dead-letter-exchange expects
		done(nil)
		return
	}
	m := messageOf(&fw.Record, name)
	d := buryOf(f.o.Clock().Wall, &fw, &m, name, to)
	queues := f.deadTargets(vhost, x, d)
	if len(queues) == 0 {
		done(nil)
		return
	}
	header := encodeHeader(make([]byte, 0, headerSize([]byte(to.Exchange), d.key, d.props)),
		[]byte(to.Exchange), d.key, d.props)
	header[0] = recordForwarded
	r := core.Record{Stamp: -1, Key: fw.Record.Key, Value: m.body, Priority: fw.Record.Priority,
		Headers: []core.Header{{Key: recordHeader, Value: header}}}
	p := &posting{left: len(queues), done: done}
	as := make([]core.Append, len(queues))
	for i, q := range queues {
		as[i] = core.Append{Stream: q.Stream.ID, Ack: core.AckCommit, Records: []core.Record{r}, To: p}
	}
	f.core.Log().Append(as)
}

// posting waits until all queues have a dead letter.
type posting struct {
	mu   sync.Mutex // guards all below: answers may come from several loops
	left int
	err  error
	done func(error)
}

func (p *posting) Appended(_ uint64, _ core.Appended, err error) {
	p.mu.Lock()
	if !stored(err) {
		p.err = err
	}
	p.left--
	last, err := p.left == 0, p.err
	p.mu.Unlock()
	if last {
		p.done(err)
	}
}

// deadTargets gives the queues of a dead letter, without those that it would come
// round to for ever: a queue that it died in before, with no rejection since.
func (f *Front) deadTargets(vhost string, x *exchange, d *buried) []*queue {
	var s topology.Resolver
	var out []*queue
	seen := map[*queue]bool{}
	for _, key := range d.keys {
		for _, q := range f.view.Resolve(vhost, x, key, d.headers, &s).Queues {
			if !seen[q] && !d.cycles(q.Name) {
				out = append(out, q)
			}
			seen[q] = true
		}
	}
	return out
}

// buried is a dead letter with what it says of its deaths.
type buried struct {
	key     []byte
	keys    [][]byte // with those of CC and BCC
	props   wire.Properties
	headers wire.Table
	deaths  []death // the latest first
}

// death is one element of x-death.
type death struct {
	queue, reason string
	table         wire.Table
}

// cycles says whether a queue would get the message again although nobody rejected
// it since it was there.
func (b *buried) cycles(queue string) bool {
	for _, d := range b.deaths {
		if d.reason == "rejected" {
			return false
		}
		if d.queue == queue {
			return true
		}
	}
	return false
}

// buryOf writes a message's death into its headers.
func buryOf(now core.Stamp, fw *core.Forward, m *message, queue string, to topology.DeadLetter) *buried {
	var f wire.Fields
	if _, err := f.Read(m.props); err != nil {
		f = wire.Fields{}
	}
	b := &buried{key: m.key}
	more, _ := copies(f.Headers)
	reason := deathReasons[fw.Why]
	if ours(&fw.Record) {
		b.deaths = deathsOf(f.Headers)
	}
	b.die(now, m, &f, queue, reason)

	headers := f.Headers.Without("x-death", "x-last-death-queue", "x-last-death-reason",
		"x-last-death-exchange")
	if to.Key != nil {
		b.key, more = []byte(*to.Key), nil
		headers = headers.Without("CC", "BCC")
	}
	headers = append(wire.Table(nil), headers...)
	var all wire.Array
	for _, d := range b.deaths {
		all = all.PutTable(d.table)
	}
	headers = headers.PutArray("x-death", all)
	if _, ok := headers.Get("x-first-death-reason"); !ok || !ours(&fw.Record) {
		headers = append(wire.Table(nil), headers.Without("x-first-death-reason", "x-first-death-queue",
			"x-first-death-exchange")...)
		headers = headers.PutString("x-first-death-exchange", string(m.exchange)).
			PutString("x-first-death-queue", queue).PutString("x-first-death-reason", reason)
	}
	headers = headers.PutString("x-last-death-exchange", string(m.exchange)).
		PutString("x-last-death-queue", queue).PutString("x-last-death-reason", reason)
	f.Headers = headers
	f.Flags = f.Flags&^wire.HasExpiration | wire.HasHeaders
	b.props, b.headers = f.Append(nil), headers
	b.keys = append([][]byte{b.key}, more...)
	return b
}

// ours says whether a record's x-death was written here.
func ours(r *core.Record) bool {
	for i := range r.Headers {
		if h := &r.Headers[i]; h.Key == recordHeader {
			return len(h.Value) > 0 && h.Value[0] == recordForwarded
		}
	}
	return false
}

func deathsOf(headers wire.Table) []death {
	v, _ := headers.Get("x-death")
	a, _ := v.Array()
	var ds []death
	for {
		e, rest, ok := a.Next()
		if !ok {
			return ds
		}
		a = rest
		if t, ok := e.Table(); ok {
			ds = append(ds, death{textArg(t, "queue"), textArg(t, "reason"), t})
		}
	}
}

// die puts the message's death in front: a new element, or the one of the same
// queue and reason, counted once more.
func (b *buried) die(now core.Stamp, m *message, f *wire.Fields, queue, reason string) {
	for i, d := range b.deaths {
		if d.queue != queue || d.reason != reason {
			continue
		}
		n := intArg(d.table, "count", 0)
		t := wire.Table(nil).PutInt("count", n+1)
		t = append(t, d.table.Without("count")...)
		b.deaths = append(append([]death{{queue, reason, t}}, b.deaths[:i]...), b.deaths[i+1:]...)
		return
	}
	var keys wire.Array
	keys = keys.PutString(string(m.key))
	if v, ok := f.Headers.Get("CC"); ok {
		a, _ := v.Array()
		keys = append(keys, a...)
	}
	t := wire.Table(nil).PutInt("count", 1).PutString("reason", reason).PutString("queue", queue).
		PutTime("time", int64(now/1000)).PutString("exchange", string(m.exchange)).
		PutArray("routing-keys", keys)
	if f.Flags&wire.HasExpiration != 0 {
		t = t.PutString("original-expiration", string(f.Expiration))
	}
	b.deaths = append([]death{{queue, reason, t}}, b.deaths...)
}
