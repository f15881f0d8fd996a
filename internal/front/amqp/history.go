package amqp

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

// catchUp gives what an exchange kept to a queue, or to another exchange's queues, that
// was bound to it just now: the oldest first, before the binding is answered.
func (ch *channel) catchUp(x *exchange, q *queue, to *exchange, r *bindRequest) {
	store := ch.c.f.view.Store(topology.History, ch.c.vhost, x.Name)
	if store == nil {
		r.ok()
		return
	}
	resume := ch.await(r.id)
	h := &historian{f: ch.c.f, vhost: ch.c.vhost, store: store, most: x.HistoryLength(), queue: q, to: to,
		done: func(err error) {
			resume(func() error {
				if err != nil {
					ch.c.f.log.Warn("recent messages are missing in what was bound", "front", "amqp",
						"vhost", ch.c.vhost, "exchange", x.Name, "err", err)
				}
				r.ok()
				return nil
			})
		}}
	h.begin()
}

// historian reads a history's last messages and appends them where they are wanted.
type historian struct {
	f     *Front
	vhost string
	store *queue
	most  int64
	queue *queue // where they go: one of the two
	to    *exchange
	done  func(error)

	end core.Offset
	all []core.Record
}

func (h *historian) begin() {
	h.f.core.Log().Find(core.Find{Stream: h.store.Stream.ID, Kind: core.FindEnd},
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
	h.f.core.Log().Read(core.Read{Parts: []core.ReadPart{{Stream: h.store.Stream.ID, From: from,
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
	now, s := h.f.o.Clock().Wall, &letter.Slab{}
	for i := range h.all {
		m := letter.Of(&h.all[i], h.store.Name)
		var f wire.Fields
		if _, err := f.Read(m.Props); err != nil {
			continue
		}
		queues := []*queue{h.queue}
		if h.to != nil {
			more, _ := letter.Copies(f.Headers)
			queues = h.f.view.Resolve(h.vhost, h.to, &route.Message{Key: m.Key, More: more, Fields: &f,
				Draw: h.f.draws.next()}, &topology.Resolver{}).Queues
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

// trimHistory lets go of what an exchange need not keep any more, now and then.
func (f *Front) trimHistory(store *queue, a core.Appended) {
	x := f.view.Exchange(store.VHost, store.Name)
	if x == nil || a.Base < 0 {
		return
	}
	most := core.Offset(x.HistoryLength())
	if before := a.Base - most; before-a.Start > 2*most+256 {
		f.core.Log().Trim(core.Trim{Stream: store.Stream.ID, Before: before}, func(core.Offset, error) {})
	}
}
