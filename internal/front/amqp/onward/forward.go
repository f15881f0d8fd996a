// Package onward moves messages that no client holds: dead letters, what an exchange has
// delayed, and what it remembers for those who are bound to it later. All of it happens on
// the node that leads the stream in question, at least once.
package onward

import (
	"errors"
	"log/slog"
	"sync"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/front/amqp/letter"
	"trine/internal/front/amqp/route"
	"trine/internal/front/amqp/topology"
)

// Router moves messages on one node.
type Router struct {
	Core  front.Core
	View  *topology.View
	Draws Draws
	Clock func() core.Now
	Log   *slog.Logger
}

// Forward routes what a queue gives up, on the node that leads it.
func (f *Router) Forward(fw core.Forward, done func(error)) {
	f.Core.Cluster().Sync(func(err error) {
		if err != nil {
			done(err)
			return
		}
		f.forwardNow(fw, done)
	})
}

func (f *Router) forwardNow(fw core.Forward, done func(error)) {
	if vhost, exchange, ok := topology.DelayedFrom(fw.Stream); ok {
		f.undelay(vhost, exchange, &fw, done)
		return
	}
	vhost, name, _ := topology.CutName(fw.Stream.Name, topology.StreamPrefix)
	to, ok := topology.DeadLetterOf(fw.Stream)
	if !ok {
		done(nil)
		return
	}
	x := f.View.Exchange(vhost, to.Exchange)
	if x == nil { // silently, as the reader of x-dead-letter-exchange expects
		done(nil)
		return
	}
	m := letter.Of(&fw.Record, name)
	d := letter.Bury(f.Clock().Wall, &fw, &m, name, to.Key)
	queues, stores := f.deadTargets(vhost, x, d)
	if len(queues)+len(stores) == 0 {
		done(nil)
		return
	}
	r := core.Record{Stamp: -1, Key: fw.Record.Key, Value: m.Body, Priority: fw.Record.Priority,
		Headers: letter.Headers(letter.Forwarded, []byte(to.Exchange), d.Key, d.Props)}
	p := &posting{done: done}
	for _, q := range queues {
		p.add(q, r)
	}
	for _, q := range stores {
		if r.Expires = 0; q.Store == topology.Delays {
			r.Expires = f.Clock().Wall + core.Stamp(route.Delay(d.Fields.Headers))
		}
		p.add(q, r)
	}
	p.post(f)
}

// Refused takes what a queue refused at its limit: some queues have it a dead letter.
func (f *Router) Refused(q *topology.Queue, r core.Record, err error) {
	if to, ok := topology.DeadLetterOf(q.Stream); ok && to.Refused && atLimit(err) {
		f.Forward(core.Forward{Stream: q.Stream, Why: core.ForwardOverLength, Record: r}, func(error) {})
	}
}

// posting waits until all queues have a dead letter.
type posting struct {
	as   []core.Append
	mu   sync.Mutex // guards all below: answers may come from several loops
	left int
	err  error

	drops bool // what a queue refuses for its length is dropped
	done  func(error)
}

func (p *posting) add(q *topology.Queue, r core.Record) {
	p.as = append(p.as, core.Append{Stream: q.Stream.ID, Ack: core.AckCommit,
		Records: []core.Record{r}, To: p})
}

// post appends all that was added: at least one.
func (p *posting) post(f *Router) {
	p.left = len(p.as)
	f.Core.Log().Append(p.as)
}

// atLimit says that a queue refuses what is above its limit.
func atLimit(err error) bool {
	var e *core.Error
	return errors.As(err, &e) && e.Kind == core.Full && e.Detail == core.LimitReached
}

func (p *posting) Appended(_ uint64, _ core.Appended, err error) {
	p.mu.Lock()
	if err != nil && core.KindOf(err) != core.NotExist && !(p.drops && atLimit(err)) {
		p.err = err
	}
	p.left--
	last, err := p.left == 0, p.err
	p.mu.Unlock()
	if last {
		p.done(err)
	}
}

// deadTargets gives where a dead letter goes, without the queues that it would come
// round to for ever: a queue that it died in before, with no rejection since.
func (f *Router) deadTargets(vhost string, x *topology.Exchange, d *letter.Buried) (queues, stores []*topology.Queue) {
	var s topology.Resolver
	m := &route.Message{Key: d.Key, More: d.More, Fields: &d.Fields, Draw: f.Draws.Next()}
	to := f.View.Resolve(vhost, x, m, &s)
	for _, q := range to.Queues {
		if !d.Cycles(q.Name) {
			queues = append(queues, q)
		}
	}
	return queues, to.Stores
}
