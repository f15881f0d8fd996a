package link

import (
	"fmt"

	"trine/internal/core"
)

// The types of messages. The values are on the wire and are never reused.
const (
	kindBeat uint8 = 1 + iota
	kindBeatAnswer
	kindSuspect
	kindReplicate
	kindLeading
	kindFill
	kindFilled
	kindRequest
	kindResponse
	kindLends
	kindHolds
	kindHeld
	kindJoin
	kindJoinAnswer
)

// MessageMax bounds an encoded message, in bytes.
const MessageMax = 64 << 20

// Append appends the bytes of m to dst.
func Append(dst []byte, m core.Message) []byte {
	c := coder{b: dst}
	k := messageKind(m)
	core.Assert(k != 0, "a message of type %T has no bytes", m)
	c.b = append(c.b, k)
	c.message(m)
	return c.b
}

// Decode gives the message that b holds and nothing else. Its byte fields alias b.
func Decode(b []byte) (core.Message, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("decode message: %w", errShort)
	}
	if len(b) > MessageMax {
		return nil, fmt.Errorf("decode message: %d bytes are above the limit of %d", len(b), MessageMax)
	}
	m := newMessage(b[0])
	if m == nil {
		return nil, fmt.Errorf("decode message: type %d is unknown", b[0])
	}
	c := coder{b: b[1:], read: true}
	c.message(m)
	if err := c.end(); err != nil {
		return nil, fmt.Errorf("decode message %T: %w", m, err)
	}
	return m, nil
}

func messageKind(m core.Message) uint8 {
	switch m.(type) {
	case *core.Beat:
		return kindBeat
	case *core.BeatAnswer:
		return kindBeatAnswer
	case *core.Suspect:
		return kindSuspect
	case *core.Replicate:
		return kindReplicate
	case *core.Leading:
		return kindLeading
	case *core.Fill:
		return kindFill
	case *core.Filled:
		return kindFilled
	case *core.Request:
		return kindRequest
	case *core.Response:
		return kindResponse
	case *core.Lends:
		return kindLends
	case *core.Holds:
		return kindHolds
	case *core.Held:
		return kindHeld
	case *core.Join:
		return kindJoin
	case *core.JoinAnswer:
		return kindJoinAnswer
	}
	return 0
}

func newMessage(k uint8) core.Message {
	switch k {
	case kindBeat:
		return new(core.Beat)
	case kindBeatAnswer:
		return new(core.BeatAnswer)
	case kindSuspect:
		return new(core.Suspect)
	case kindReplicate:
		return new(core.Replicate)
	case kindLeading:
		return new(core.Leading)
	case kindFill:
		return new(core.Fill)
	case kindFilled:
		return new(core.Filled)
	case kindRequest:
		return new(core.Request)
	case kindResponse:
		return new(core.Response)
	case kindLends:
		return new(core.Lends)
	case kindHolds:
		return new(core.Holds)
	case kindHeld:
		return new(core.Held)
	case kindJoin:
		return new(core.Join)
	case kindJoinAnswer:
		return new(core.JoinAnswer)
	}
	return nil
}

// message walks over the fields of m.
func (c *coder) message(m core.Message) {
	switch m := m.(type) {
	case *core.Beat:
		uns(c, &m.Seq)
		sig(c, &m.Sent)
		sig(c, &m.Wall)
		sig(c, &m.Applied)
		c.flag(&m.Cramped)
	case *core.BeatAnswer:
		uns(c, &m.Seq)
		sig(c, &m.Sent)
	case *core.Suspect:
		c.peer(&m.Peer)
		c.flag(&m.Evidence)
		c.flag(&m.Silent)
		c.flag(&m.Back)
	case *core.Replicate:
		c.replicate(m)
	case *core.Leading:
		list(c, &m.Leads, 4, (*coder).lead)
	case *core.Fill:
		uns(c, &m.Stream)
		uns(c, &m.ID)
		sig(c, &m.From)
		sig(c, &m.BytesMax)
	case *core.Filled:
		c.filled(m)
	case *core.Request:
		uns(c, &m.ID)
		c.body(&m.Body)
	case *core.Response:
		uns(c, &m.ID)
		opt(c, &m.Err, (*coder).error)
		c.body(&m.Body)
	case *core.Lends:
		c.lends(m)
	case *core.Holds:
		list(c, &m.Leads, 4, (*coder).lead)
	case *core.Held:
		list(c, &m.Streams, 1, uns)
	case *core.Join:
		c.join(m)
	case *core.JoinAnswer:
		c.joinAnswer(m)
	}
}

func (c *coder) peer(p *core.Peer) {
	sig(c, &p.Node)
	name(c, &p.Disk)
	name(c, &p.Incarnation)
}

func (c *coder) replicate(m *core.Replicate) {
	uns(c, &m.Stream)
	uns(c, &m.Gen)
	enum(c, &m.Type, core.RepAppend, core.RepQuiet)
	name(c, &m.From)
	name(c, &m.To)
	sig(c, &m.Epoch)
	sig(c, &m.LogEpoch)
	sig(c, &m.Index)
	sig(c, &m.Commit)
	uns(c, &m.Vote)
	c.flag(&m.Reject)
	sig(c, &m.Hint)
	c.bytes(&m.Context)
	list(c, &m.Entries, 7, (*coder).entry)
	opt(c, &m.Checkpoint, (*coder).checkpoint)
}

func (c *coder) entry(e *core.Entry) {
	sig(c, &e.Index)
	sig(c, &e.Epoch)
	uns(c, &e.Gen)
	enum(c, &e.Kind, core.EntryBatch, core.EntryTrim)
	sig(c, &e.Base)
	sig(c, &e.Count)
	c.bytes(&e.Data)
}

func (c *coder) checkpoint(p *core.Checkpoint) {
	sig(c, &p.Index)
	sig(c, &p.Epoch)
	uns(c, &p.Gen)
	sig(c, &p.Next)
	sig(c, &p.Start)
	c.bytes(&p.Members)
	c.bytes(&p.Memory)
	c.bytes(&p.Machine)
}

func (c *coder) lead(l *core.Lead) {
	uns(c, &l.Stream)
	uns(c, &l.Gen)
	sig(c, &l.Epoch)
	sig(c, &l.Leader)
}

func (c *coder) filled(m *core.Filled) {
	uns(c, &m.Stream)
	uns(c, &m.ID)
	list(c, &m.Entries, 7, (*coder).entry)
	sig(c, &m.Next)
	c.flag(&m.Done)
	c.outcome(&m.Kind)
}

func (c *coder) outcome(k *core.Kind) { enum(c, k, core.OK, core.Unavailable) }

func (c *coder) lends(m *core.Lends) {
	uns(c, &m.Stream)
	sig(c, &m.Epoch)
	list(c, &m.Lends, 11, (*coder).lend)
	list(c, &m.Drained, 2, (*coder).drained)
	list(c, &m.Ended, 2, (*coder).ended)
}

func (c *coder) lend(l *core.Lend) {
	uns(c, &l.Consumer)
	sig(c, &l.Offset)
	sig(c, &l.Returned)
	c.flag(&l.Again)
	uns(c, &l.Try)
	c.record(&l.Record)
}

func (c *coder) record(r *core.Record) {
	sig(c, &r.Stamp)
	c.bytes(&r.Key)
	c.bytes(&r.Value)
	list(c, &r.Headers, 2, (*coder).header)
	c.octet(&r.Priority)
	sig(c, &r.Expires)
	sig(c, &r.NotBefore)
}

func (c *coder) header(h *core.Header) {
	c.text(&h.Key)
	c.bytes(&h.Value)
}

func (c *coder) drained(d *core.DrainedCredit) {
	uns(c, &d.Consumer)
	sig(c, &d.Ready)
}

func (c *coder) ended(e *core.EndedAttachment) {
	uns(c, &e.Consumer)
	c.outcome(&e.Kind)
}

func (c *coder) join(m *core.Join) {
	c.peer(&m.Peer)
	c.flag(&m.Empty)
	c.text(&m.Rack)
	c.addresses(&m.Addresses)
	list(c, &m.Named, 1, sig)
}

func (c *coder) joinAnswer(m *core.JoinAnswer) {
	c.peer(&m.Peer)
	name(c, &m.Cluster)
	list(c, &m.Voters, 10, (*coder).member)
	c.outcome(&m.Kind)
	c.text(&m.Detail)
	list(c, &m.Addresses, 2, (*coder).nodeAddress)
}

func (c *coder) nodeAddress(a *core.NodeAddress) {
	sig(c, &a.Node)
	c.text(&a.Address)
}

func (c *coder) member(m *core.Member) {
	sig(c, &m.Node)
	name(c, &m.Disk)
	c.flag(&m.InSync)
}
