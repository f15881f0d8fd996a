package sim

import (
	"trine/internal/core"
	"trine/internal/core/record"
	"trine/internal/core/shard"
)

// Plant is a bug that a run plants on purpose, at the seams between a shard and its
// disk and network: a simulator that does not catch it is broken. The nil Plant is none.
type Plant struct {
	Name  string
	Times int // how often it lied
}

// The planted bugs.
const (
	EarlyAck        = "acknowledge before flush"
	LostVote        = "vote not persisted"
	CommitOff       = "committed index off by one"
	LostDedupe      = "lost dedupe window"
	LostSettlement  = "settlement forgotten"
	UnfencedLeaders = "two leaders"
)

func (p *Plant) is(name string) bool { return p != nil && p.Name == name }

// write lies about what goes to disk.
func (p *Plant) write(n *Node, wr *core.Write) {
	if p.is(LostVote) && wr.State != nil && wr.State.Vote != 0 {
		p.Times++
		x := *wr.State
		x.Vote = 0
		wr.State = &x
	}
}

// early says that a write is complete before it has begun, and by how much it comes late.
func (p *Plant) early(n *Node, ws []core.Write) core.Time {
	if !p.is(EarlyAck) {
		return 0
	}
	for i := range ws {
		p.Times++
		n.push(shard.Event{Kind: shard.Flushed, ID: ws[i].ID})
	}
	return 20 * core.Millisecond
}

// send lies on the way.
func (p *Plant) send(from, to *Node, m core.Message) core.Message {
	switch m := m.(type) {
	case *core.Replicate:
		switch {
		case p.is(CommitOff) && m.Type == core.RepAppend && len(m.Entries) > 0:
			p.Times++
			x := *m
			x.Commit = m.Entries[len(m.Entries)-1].Index
			return &x
		case p.is(LostSettlement) && to.ID == 3 && len(m.Entries) > 0:
			x := *m
			x.Entries = append([]core.Entry(nil), m.Entries...)
			for i := range x.Entries {
				if x.Entries[i].Kind == core.EntryQueue {
					p.Times++
					x.Entries[i].Kind, x.Entries[i].Data = core.EntryEmpty, nil
				}
			}
			return &x
		}
	case *core.Request:
		if e, ok := m.Body.(*core.Enter); ok && p.is(LostDedupe) {
			p.Times++
			y := *e
			y.Batch = append([]byte(nil), e.Batch...)
			record.SetProducer(y.Batch, -1, -1, -1, false)
			return &core.Request{ID: m.ID, Body: &y}
		}
	}
	return m
}

// cut answers a leader that is cut off as its followers would if they had everything.
func (p *Plant) cut(l *wire, from *Node, m core.Message) {
	r, ok := m.(*core.Replicate)
	if !ok || !p.is(UnfencedLeaders) || r.Type != core.RepAppend || len(r.Entries) == 0 {
		return
	}
	p.Times++
	last := r.Entries[len(r.Entries)-1]
	a := &core.Replicate{Stream: r.Stream, Gen: r.Gen, Type: core.RepAppendAnswer, From: r.To, To: r.From,
		Epoch: r.Epoch, Index: last.Index, LogEpoch: last.Epoch}
	from.push(shard.Event{Kind: shard.Message, Peer: l.other(from).self, Msg: a})
}
