package kafka

import (
	"github.com/twmb/franz-go/pkg/kbin"

	"trine/internal/core"
)

// producing is a Produce request that was read, and what becomes of it. It is
// told the outcomes of its appends: its parts' numbers are their tokens.
type producing struct {
	r         *request
	txn       *string
	acks      int16
	timeoutMs int32
	topics    []producedTopic
	parts     []produced
	open      int // parts without an outcome

	// Where the slices above and the appends lie while there is one of each.
	oneTopic  [1]producedTopic
	onePart   [1]produced
	oneAppend [1]core.Append
}

// producedMax bounds the batches of one request.
const producedMax = 100_000

// producedTopic is a topic's share of a request: parts[from:to].
type producedTopic struct {
	name     string
	id       [16]byte
	from, to int
}

// produced is one partition's batch, and its outcome.
type produced struct {
	index  int32
	batch  []byte
	p      *partition
	topic  *topic
	stream *core.Stream
	code   int16
	why    string
	base   core.Offset
	stamp  core.Stamp
	start  core.Offset
	leader core.NodeID // told where code is 6
	epoch  core.Epoch
}

// readProduce reads versions 3 to 13. Names and batches alias the body.
func readProduce(r *request, p *producing) error {
	in := reader{Reader: kbin.Reader{Src: r.body}, flexible: r.flexible}
	p.r = r
	p.topics, p.parts = p.oneTopic[:0], p.onePart[:0]
	p.txn = in.nullableName()
	p.acks = in.Int16()
	p.timeoutMs = in.Int32()
	for range in.count() {
		t := producedTopic{from: len(p.parts)}
		if r.version >= 13 {
			t.id = in.Uuid()
		} else {
			t.name = in.name()
		}
		for range in.count() {
			part := produced{index: in.Int32(), base: -1, stamp: -1, start: -1}
			part.batch = in.records()
			in.tags(nil)
			if !in.Ok() {
				return in.Complete()
			}
			if len(p.parts) == producedMax {
				return errShape
			}
			p.parts = append(p.parts, part)
		}
		in.tags(nil)
		if !in.Ok() {
			return in.Complete()
		}
		t.to = len(p.parts)
		p.topics = append(p.topics, t)
	}
	in.tags(nil)
	return in.Complete()
}

// AppendTo appends the answer.
func (p *producing) AppendTo(b []byte) []byte {
	w := writer{b: b, flexible: p.r.flexible}
	v := p.r.version
	w.count(len(p.topics))
	for i := range p.topics {
		t := &p.topics[i]
		if v >= 13 {
			w.b = append(w.b, t.id[:]...)
		} else {
			w.str(t.name)
		}
		w.count(t.to - t.from)
		for j := t.from; j < t.to; j++ {
			p.appendPart(&w, &p.parts[j], v)
		}
		w.tags()
	}
	w.int32(0) // not throttled
	p.appendHints(&w, v)
	return w.b
}

func (p *producing) appendPart(w *writer, part *produced, v int16) {
	w.int32(part.index)
	w.int16(part.code)
	w.int64(int64(part.base))
	w.int64(int64(part.stamp))
	if v >= 5 {
		w.int64(int64(part.start))
	}
	if v >= 8 {
		w.count(0) // no single records that are at fault
		if part.why == "" {
			w.null()
		} else {
			w.str(part.why)
		}
	}
	if v >= 10 && part.code == errNotLeader && part.leader != 0 {
		appendLeader(w, 0, part.leader, part.epoch)
		return
	}
	w.tags()
}

// appendLeader appends tagged fields that consist of one: who leads.
func appendLeader(w *writer, tag int, leader core.NodeID, epoch core.Epoch) {
	w.uvarint(1)
	w.uvarint(tag)
	w.uvarint(4 + 4 + 1)
	w.int32(int32(leader))
	w.int32(int32(epoch))
	w.tags()
}

// appendHints appends the last tagged fields: where the leaders named above are.
func (p *producing) appendHints(w *writer, v int16) {
	var leaders []core.NodeID
	if v >= 10 {
		for i := range p.parts {
			if part := &p.parts[i]; part.code == errNotLeader && part.leader != 0 {
				leaders = append(leaders, part.leader)
			}
		}
	}
	p.r.c.appendNodes(w, 0, leaders)
}

// appendNodes appends tagged fields of an answer's end: the addresses of nodes,
// under tag, if there are any.
func (c *Conn) appendNodes(w *writer, tag int, ids []core.NodeID) {
	if !w.flexible {
		return
	}
	var known []node
	if len(ids) > 0 {
		for _, n := range c.nodes() {
			for _, id := range ids {
				if n.id == id {
					known = append(known, n)
					break
				}
			}
		}
	}
	if len(known) == 0 {
		w.tags()
		return
	}
	in := writer{flexible: true}
	in.count(len(known))
	for _, n := range known {
		in.int32(int32(n.id))
		in.str(n.host)
		in.int32(n.port)
		if n.rack == "" {
			in.null()
		} else {
			in.str(n.rack)
		}
		in.tags()
	}
	w.uvarint(1)
	w.uvarint(tag)
	w.uvarint(len(in.b))
	w.b = append(w.b, in.b...)
}
