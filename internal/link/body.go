package link

import (
	"fmt"
	"slices"

	"trine/internal/core"
)

// The types of bodies. The values are on the wire and are never reused; 0 is no body.
const (
	bodyEnter uint8 = 1 + iota
	bodyEntered
	bodyRead
	bodyReadDone
	bodyFind
	bodyFound
	bodyTrim
	bodyTrimmed
	bodyAttachAsk
	bodyAttached
	bodyCreditAsk
	bodySettleAsk
	bodySettleDone
	bodyDetachAsk
	bodyInspectAsk
	bodyQueueInfo
	bodyPurgeAsk
	bodyPurged
	bodyPropose
	bodyProposed
	bodyReadIndex
	bodyReadIndexDone
	bodyDone
)

// bodies makes a body of each type; the index is the type.
var bodies = [...]func() core.Body{
	bodyEnter:         func() core.Body { return new(core.Enter) },
	bodyEntered:       func() core.Body { return new(core.Entered) },
	bodyRead:          func() core.Body { return new(core.Read) },
	bodyReadDone:      func() core.Body { return new(core.ReadDone) },
	bodyFind:          func() core.Body { return new(core.Find) },
	bodyFound:         func() core.Body { return new(core.Found) },
	bodyTrim:          func() core.Body { return new(core.Trim) },
	bodyTrimmed:       func() core.Body { return new(core.Trimmed) },
	bodyAttachAsk:     func() core.Body { return new(core.AttachAsk) },
	bodyAttached:      func() core.Body { return new(core.Attached) },
	bodyCreditAsk:     func() core.Body { return new(core.CreditAsk) },
	bodySettleAsk:     func() core.Body { return new(core.SettleAsk) },
	bodySettleDone:    func() core.Body { return new(core.SettleDone) },
	bodyDetachAsk:     func() core.Body { return new(core.DetachAsk) },
	bodyInspectAsk:    func() core.Body { return new(core.InspectAsk) },
	bodyQueueInfo:     func() core.Body { return new(core.QueueInfo) },
	bodyPurgeAsk:      func() core.Body { return new(core.PurgeAsk) },
	bodyPurged:        func() core.Body { return new(core.Purged) },
	bodyPropose:       func() core.Body { return new(core.Propose) },
	bodyProposed:      func() core.Body { return new(core.Proposed) },
	bodyReadIndex:     func() core.Body { return new(core.ReadIndex) },
	bodyReadIndexDone: func() core.Body { return new(core.ReadIndexDone) },
	bodyDone:          func() core.Body { return new(core.Done) },
}

func bodyKind(b core.Body) uint8 {
	switch b.(type) {
	case *core.Enter:
		return bodyEnter
	case *core.Entered:
		return bodyEntered
	case *core.Read:
		return bodyRead
	case *core.ReadDone:
		return bodyReadDone
	case *core.Find:
		return bodyFind
	case *core.Found:
		return bodyFound
	case *core.Trim:
		return bodyTrim
	case *core.Trimmed:
		return bodyTrimmed
	case *core.AttachAsk:
		return bodyAttachAsk
	case *core.Attached:
		return bodyAttached
	case *core.CreditAsk:
		return bodyCreditAsk
	case *core.SettleAsk:
		return bodySettleAsk
	case *core.SettleDone:
		return bodySettleDone
	case *core.DetachAsk:
		return bodyDetachAsk
	case *core.InspectAsk:
		return bodyInspectAsk
	case *core.QueueInfo:
		return bodyQueueInfo
	case *core.PurgeAsk:
		return bodyPurgeAsk
	case *core.Purged:
		return bodyPurged
	case *core.Propose:
		return bodyPropose
	case *core.Proposed:
		return bodyProposed
	case *core.ReadIndex:
		return bodyReadIndex
	case *core.ReadIndexDone:
		return bodyReadIndexDone
	case *core.Done:
		return bodyDone
	}
	return 0
}

func (c *coder) body(p *core.Body) {
	var k uint8
	if !c.read && *p != nil {
		k = bodyKind(*p)
		core.Assert(k != 0, "a body of type %T has no bytes", *p)
	}
	c.octet(&k)
	if k == 0 || c.err != nil {
		return
	}
	if c.read {
		if int(k) >= len(bodies) {
			c.fail(fmt.Errorf("body type %d is unknown", k))
			return
		}
		*p = bodies[k]()
	}
	c.bodyFields(*p)
}

func (c *coder) bodyFields(b core.Body) {
	switch b := b.(type) {
	case *core.Enter:
		uns(c, &b.Stream)
		enum(c, &b.Ack, core.AckCommit, core.AckNone)
		sig(c, &b.IfEpoch)
		sig(c, &b.After)
		c.bytes(&b.Batch)
	case *core.Entered:
		c.appended(&b.Appended)
	case *core.Read:
		c.readAsk(b)
	case *core.ReadDone:
		list(c, &b.Parts, 9, (*coder).readAnswer)
	case *core.Find:
		c.find(b)
	case *core.Found:
		sig(c, &b.Offset)
		sig(c, &b.Stamp)
		sig(c, &b.Epoch)
	case *core.Trim:
		uns(c, &b.Stream)
		sig(c, &b.Before)
		c.flag(&b.Here)
	case *core.Trimmed:
		sig(c, &b.Start)
	case *core.QueueInfo:
		c.queueInfo(b)
	case *core.Propose:
		c.bytes(&b.Command)
	case *core.Proposed:
		sig(c, &b.Index)
		c.bytes(&b.Result)
	case *core.ReadIndexDone:
		sig(c, &b.Index)
	case *core.ReadIndex, *core.Done:
	default:
		c.queueBody(b)
	}
}

// queueBody walks over what is said to and by a queue.
func (c *coder) queueBody(b core.Body) {
	switch b := b.(type) {
	case *core.AttachAsk:
		c.attach(&b.Attach)
		name(c, &b.Incarnation)
		uns(c, &b.Try)
		list(c, &b.Held, 2, (*coder).offsetRange)
	case *core.Attached:
		sig(c, &b.Epoch)
	case *core.CreditAsk:
		uns(c, &b.Stream)
		uns(c, &b.Consumer)
		sig(c, &b.Messages)
		sig(c, &b.Bytes)
		c.flag(&b.Drain)
		c.flag(&b.Stop)
		name(c, &b.Incarnation)
	case *core.SettleAsk:
		uns(c, &b.Stream)
		sig(c, &b.Epoch)
		sig(c, &b.Session)
		sig(c, &b.Seq)
		list(c, &b.Settles, 3, (*coder).settle)
	case *core.SettleDone:
		sig(c, &b.Seq)
	case *core.DetachAsk:
		uns(c, &b.Stream)
		c.consumer(&b.Consumer)
	case *core.InspectAsk:
		uns(c, &b.Stream)
	case *core.PurgeAsk:
		uns(c, &b.Stream)
	case *core.Purged:
		sig(c, &b.Messages)
	}
}

func (c *coder) appended(a *core.Appended) {
	sig(c, &a.Base)
	sig(c, &a.Start)
	sig(c, &a.Stamp)
	sig(c, &a.Epoch)
	sig(c, &a.InSync)
}

func (c *coder) readAsk(r *core.Read) {
	list(c, &r.Parts, 5, (*coder).readPart)
	sig(c, &r.BytesMin)
	sig(c, &r.BytesMax)
	sig(c, &r.Wait)
	c.flag(&r.Stable)
	c.flag(&r.Copy)
	c.flag(&r.Here)
}

func (c *coder) readPart(p *core.ReadPart) {
	uns(c, &p.Stream)
	sig(c, &p.From)
	sig(c, &p.BytesMax)
	sig(c, &p.IfEpoch)
	sig(c, &p.LastEpoch)
}

func (c *coder) readAnswer(a *core.ReadAnswer) {
	c.cause(&a.Err)
	list(c, &a.Batches, 1, (*coder).bytes)
	sig(c, &a.Start)
	sig(c, &a.Committed)
	sig(c, &a.Stable)
	sig(c, &a.Epoch)
	sig(c, &a.Leader)
	list(c, &a.Aborted, 2, (*coder).span)
	opt(c, &a.Diverging, (*coder).epochStart)
}

func (c *coder) span(s *core.Span) {
	sig(c, &s.Producer)
	sig(c, &s.First)
}

func (c *coder) epochStart(e *core.EpochStart) {
	sig(c, &e.Epoch)
	sig(c, &e.Index)
	sig(c, &e.Base)
}

func (c *coder) find(f *core.Find) {
	uns(c, &f.Stream)
	enum(c, &f.Kind, core.FindStart, core.FindEpochEnd)
	sig(c, &f.Stamp)
	sig(c, &f.Epoch)
	sig(c, &f.IfEpoch)
	c.flag(&f.Here)
}

func (c *coder) attach(a *core.Attach) {
	uns(c, &a.Stream)
	uns(c, &a.Consumer)
	sig(c, &a.Messages)
	sig(c, &a.Bytes)
	c.flag(&a.Renew)
	c.flag(&a.Aside)
	c.flag(&a.Settled)
	c.flag(&a.Exclusive)
	sig(c, &a.Priority)
	c.text(&a.Tag)
}

func (c *coder) offsetRange(r *core.OffsetRange) {
	sig(c, &r.From)
	sig(c, &r.To)
}

func (c *coder) consumer(p *core.Consumer) {
	name(c, &p.Incarnation)
	uns(c, &p.ID)
}

// settle leaves whom to tell, and the token, behind.
func (c *coder) settle(s *core.Settle) {
	uns(c, &s.Stream)
	uns(c, &s.Consumer)
	list(c, &s.Verdicts, 3, (*coder).verdict)
}

func (c *coder) verdict(v *core.Verdict) {
	sig(c, &v.From)
	sig(c, &v.To)
	enum(c, &v.Outcome, core.Accept, core.Reject)
}

func (c *coder) queueInfo(q *core.QueueInfo) {
	sig(c, &q.Ready)
	sig(c, &q.Lent)
	sig(c, &q.Bytes)
	list(c, &q.Consumers, 16, (*coder).consumerInfo)
}

func (c *coder) consumerInfo(i *core.ConsumerInfo) {
	c.consumer(&i.Consumer)
	sig(c, &i.Node)
	c.text(&i.Tag)
	c.flag(&i.Active)
	sig(c, &i.Credit)
	sig(c, &i.Lent)
	c.flag(&i.Settled)
	sig(c, &i.Priority)
}

// error folds the cause into the detail: only its text can travel.
func (c *coder) error(e *core.Error) {
	detail := e.Detail
	if !c.read && e.Err != nil {
		if detail != "" {
			detail += ": "
		}
		detail += e.Err.Error()
	}
	c.text(&e.Op)
	c.text(&e.Name)
	c.outcome(&e.Kind)
	c.text(&detail)
	sig(c, &e.Leader)
	sig(c, &e.Epoch)
	if c.read {
		e.Detail = detail
	}
}

// cause is an error of any type; it arrives as a *core.Error.
func (c *coder) cause(p *error) {
	var e *core.Error
	if !c.read && *p != nil {
		var ok bool
		if e, ok = (*p).(*core.Error); !ok {
			e = &core.Error{Op: "ask", Kind: core.KindOf(*p), Detail: (*p).Error()}
		}
	}
	opt(c, &e, (*coder).error)
	if c.read && e != nil && c.err == nil {
		*p = e
	}
}

// addresses is a map, written in the order of its keys.
func (c *coder) addresses(p *map[string]string) {
	type pair struct{ key, value string }
	var pairs []pair
	for k, v := range *p {
		pairs = append(pairs, pair{k, v})
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if a.key < b.key {
			return -1
		}
		return 1
	})
	list(c, &pairs, 2, func(c *coder, e *pair) {
		c.text(&e.key)
		c.text(&e.value)
	})
	if !c.read || len(pairs) == 0 {
		return
	}
	*p = make(map[string]string, len(pairs))
	for _, e := range pairs {
		(*p)[e.key] = e.value
	}
}
