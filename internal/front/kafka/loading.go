package kafka

import (
	"trine/internal/core"
	"trine/internal/core/record"
	"trine/internal/front/kafka/group"
)

// load begins to read what the partition holds: first a record is appended, which
// holds in this epoch only, and ends what must be read.
func (c *coordinating) load() {
	epoch, ended := c.state()
	if ended {
		return
	}
	c.builder.Reset(0, 0, c.f.cfg.Now().Wall)
	c.builder.Add(&core.Record{Stamp: -1, Key: barrierKey})
	c.f.core.Log().Append([]core.Append{{Stream: c.stream, Ack: core.AckCommit, IfEpoch: epoch,
		Batch: c.builder.Finish(), Here: true, WaitMax: 5 * core.Second, To: loader{c}}})
}

func (c *coordinating) state() (epoch core.Epoch, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.epoch, c.ended
}

// loader is told of the barrier.
type loader struct{ c *coordinating }

// Appended goes on with the loading, or tries again where that may help.
func (l loader) Appended(_ uint64, a core.Appended, err error) {
	switch core.KindOf(err) {
	case core.OK:
		l.c.f.cfg.Later(0, func() { l.c.read(a.Start, a.Base) })
	case core.NotLeader, core.NoLeader, core.Fenced, core.Conflict, core.NotExist, core.Shut:
		l.c.loadLater(l.c.load) // the watch says whether it is still this node's business
	default:
		l.c.f.log.Warn("group coordinator cannot load yet", "stream", l.c.stream, "err", err)
		l.c.loadLater(l.c.load)
	}
}

// loadLater tries again soon. Those who have waited long are told to ask again.
func (c *coordinating) loadLater(again func()) {
	now := c.f.cfg.Now().Mono
	c.mu.Lock()
	if c.loading == 0 {
		c.loading = now
	}
	ended := c.ended
	var events []group.Event
	if now-c.loading > loadWait {
		events, c.inbox = c.inbox, nil
	}
	c.mu.Unlock()
	if len(events) > 0 {
		c.f.cfg.Later(0, func() { c.refuse(events, errCoordinatorLoading) })
	}
	if !ended {
		c.f.cfg.Later(now+retry, again)
	}
}

// read loads the records from an offset on up to the barrier.
func (c *coordinating) read(from, barrier core.Offset) {
	epoch, ended := c.state()
	if ended {
		return
	}
	if from >= barrier {
		c.begin()
		return
	}
	c.f.core.Log().Read(core.Read{Here: true, BytesMax: loadBytes, Parts: []core.ReadPart{
		{Stream: c.stream, From: from, BytesMax: loadBytes, IfEpoch: epoch}}},
		func(as []core.ReadAnswer) {
			a := as[0]
			c.f.cfg.Later(0, func() { c.loadFrom(a, from, barrier) })
		})
}

func (c *coordinating) loadFrom(a core.ReadAnswer, from, barrier core.Offset) {
	if core.KindOf(a.Err) == core.OutOfRange && a.Start > from {
		c.read(a.Start, barrier)
		return
	}
	if a.Err != nil {
		c.loadLater(func() { c.read(from, barrier) })
		return
	}
	next := from
	for _, b := range a.Batches {
		h, err := record.Parse(b)
		if err == nil && h.Base < barrier {
			err = record.Each(b, record.UnpackedMax, func(o core.Offset, r *core.Record) bool {
				if o >= from && o < barrier {
					c.machine.Load(r)
				}
				return true
			})
		}
		if err != nil {
			c.f.log.Error("group coordinator: a batch cannot be read", "stream", c.stream, "from", next,
				"err", err)
		}
		next = max(next, h.Next())
	}
	if next == from { // nothing there yet
		c.f.cfg.Later(c.f.cfg.Now().Mono+retry, func() { c.read(from, barrier) })
		return
	}
	c.read(next, barrier)
}

// begin lets those in who have waited.
func (c *coordinating) begin() {
	now := c.f.cfg.Now()
	c.machine.Loaded(now, &c.out)
	c.carryOut(now)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loaded = true
	c.wake()
}
