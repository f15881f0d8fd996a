package onward

import (
	"trine/internal/core"
	"trine/internal/core/record"
	"trine/internal/front/amqp/letter"
	"trine/internal/front/amqp/route"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
)

// historyBytes is how much of a history is read at a time.
const historyBytes = 1 << 20

// CatchUp gives what an exchange kept to a queue, or to another exchange's queues: the
// oldest first. One of queue and to is nil.
func (f *Router) CatchUp(vhost string, x *topology.Exchange, queue *topology.Queue,
	to *topology.Exchange, done func(error)) {
	store := f.View.Store(topology.History, vhost, x.Name)
	if store == nil {
		done(nil)
		return
	}
	h := &historian{f: f, vhost: vhost, store: store, most: x.HistoryLength(), queue: queue, to: to,
		done: done}
	h.begin()
}

// historian reads a history's last messages and appends them where they are wanted.
type historian struct {
	f     *Router
	vhost string
	store *topology.Queue
	most  int64
	queue *topology.Queue // where they go: one of the two
	to    *topology.Exchange
	done  func(error)

	end core.Offset
	all []core.Record
}

func (h *historian) begin() {
	h.f.Core.Log().Find(core.Find{Stream: h.store.Stream.ID, Kind: core.FindEnd},
		func(at core.Found, err error) {
			if err != nil || at.Offset <= 0 {
				h.done(err)
				return
			}
			h.end = at.Offset
			h.read(max(at.Offset-core.Offset(h.most), 0))
		})
}

func (h *historian) read(from core.Offset) {
	if from >= h.end {
		h.deliver()
		return
	}
	h.f.Core.Log().Read(core.Read{Parts: []core.ReadPart{{Stream: h.store.Stream.ID, From: from,
		BytesMax: historyBytes}}, BytesMax: historyBytes}, func(as []core.ReadAnswer) {
		a := &as[0]
		switch {
		case core.KindOf(a.Err) == core.OutOfRange && from < a.Start:
			h.read(a.Start)
			return
		case a.Err != nil || len(a.Batches) == 0:
			h.done(a.Err)
			return
		}
		next := from
		for _, b := range a.Batches {
			err := record.Each(b, record.UnpackedMax, func(at core.Offset, r *core.Record) bool {
				if at >= next {
					h.all = append(h.all, core.Record{Stamp: -1, Value: r.Value,
						Headers: append([]core.Header(nil), r.Headers...)})
					next = at + 1
				}
				return true
			})
			if err != nil {
				h.done(err)
				return
			}
		}
		h.read(next)
	})
}

// deliver appends what was read, in order.
func (h *historian) deliver() {
	p := &posting{drops: true, done: h.done}
	now, s := h.f.Clock().Wall, &letter.Slab{}
	for i := range h.all {
		m := letter.Of(&h.all[i], h.store.Name)
		var f wire.Fields
		if _, err := f.Read(m.Props); err != nil {
			continue
		}
		queues := []*topology.Queue{h.queue}
		if h.to != nil {
			more, _ := letter.Copies(f.Headers)
			queues = h.f.View.Resolve(h.vhost, h.to, &route.Message{Key: m.Key, More: more, Fields: &f,
				Draw: h.f.Draws.Next()}, &topology.Resolver{}).Queues
		}
		r := s.Record(now, m.Exchange, m.Key, letter.WithoutBCC(m.Props, &f), &f, m.Body)
		for _, q := range queues {
			p.add(q, r)
		}
	}
	if len(p.as) == 0 {
		h.done(nil)
		return
	}
	p.post(h.f)
}

// TrimHistory lets go of what an exchange need not keep any more, now and then.
func (f *Router) TrimHistory(store *topology.Queue, a core.Appended) {
	x := f.View.Exchange(store.VHost, store.Name)
	if x == nil || a.Base < 0 {
		return
	}
	most := core.Offset(x.HistoryLength())
	if before := a.Base - most; before-a.Start > 2*most+256 {
		f.Core.Log().Trim(core.Trim{Stream: store.Stream.ID, Before: before}, func(core.Offset, error) {})
	}
}
