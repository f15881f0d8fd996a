package kafka

import (
	"encoding/base64"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"trine/internal/core"
)

const (
	clusterKey   = "kafka/cluster"
	producersKey = "kafka/producers"
	producerStep = 1000 // ids that a node takes at a time
	idTriesMax   = 20   // when other nodes take blocks at the same moment
)

// clusterID gives the cluster's id, nil while it has none. The first who asks
// draws it.
func (f *Front) clusterID() *string {
	if d, ok := f.core.Cluster().Get(clusterKey); ok {
		id := string(d.Value)
		return &id
	}
	id := f.cfg.NewID()
	text := base64.RawURLEncoding.EncodeToString(id[:])
	f.core.Cluster().Put([]core.Change{{Key: clusterKey, Value: []byte(text),
		Expect: core.NoRevision}},
		func(core.Revision, error) {})
	return nil
}

// producerIDs gives out producer ids that nobody else in the cluster has: from a
// block that this node took by moving the document's number on.
type producerIDs struct {
	f       *Front
	mu      sync.Mutex
	next    int64
	end     int64
	taking  bool
	waiting []func(int64, error)
}

// take gives an id, or calls then with one once a block was taken.
func (p *producerIDs) take(then func(int64, error)) (int64, bool) {
	p.mu.Lock()
	if p.next < p.end {
		id := p.next
		p.next++
		p.mu.Unlock()
		return id, true
	}
	p.waiting = append(p.waiting, then)
	first := !p.taking
	p.taking = true
	p.mu.Unlock()
	if first {
		p.block(0)
	}
	return -1, false
}

// block takes the next block. Another node may have taken it first: then Get
// shows the new number, if not at once, after Sync.
func (p *producerIDs) block(tries int) {
	cluster := p.f.core.Cluster()
	change := core.Change{Key: producersKey, Expect: core.NoRevision}
	var from int64
	if d, ok := cluster.Get(producersKey); ok {
		n, err := strconv.ParseInt(string(d.Value), 10, 64)
		if err != nil || n < 0 {
			n = 0 // it cannot be read: the next Put is refused, for it expects nothing
		}
		if from = n; n > 0 {
			change.Expect = d.Revision
		}
	}
	change.Value = strconv.AppendInt(nil, from+producerStep, 10)
	cluster.Put([]core.Change{change}, func(_ core.Revision, err error) {
		switch k := core.KindOf(err); {
		case err == nil:
			p.blocked(from, from+producerStep, nil)
		case (k == core.Conflict || k == core.Exist) && tries < idTriesMax:
			cluster.Sync(func(err error) {
				if err != nil {
					p.blocked(0, 0, err)
					return
				}
				p.block(tries + 1)
			})
		default:
			p.blocked(0, 0, err)
		}
	})
}

func (p *producerIDs) blocked(from, end int64, err error) {
	p.mu.Lock()
	waiting := p.waiting
	p.waiting, p.taking = nil, false
	if err == nil {
		p.next, p.end = from, end
	}
	p.mu.Unlock()
	for _, then := range waiting {
		if err != nil {
			then(-1, err)
			continue
		}
		if id, ok := p.take(then); ok {
			then(id, nil)
		}
	}
}

func (c *Conn) initProducerID(r *request, q *kmsg.InitProducerIDRequest) {
	a := answerTo[*kmsg.InitProducerIDResponse](q)
	a.ProducerID, a.ProducerEpoch = -1, -1
	if q.TransactionalID != nil {
		a.ErrorCode = errInvalidRequest // transactions are not served
		r.reply(a)
		return
	}
	answer := func(id int64, err error) {
		if err != nil {
			a.ErrorCode = errCoordinatorLoading // clients ask again
		} else {
			a.ProducerID, a.ProducerEpoch = id, 0
		}
		r.reply(a)
	}
	id, ok := c.f.ids.take(func(id int64, err error) { c.later(func() { answer(id, err) }) })
	if ok {
		answer(id, nil)
	}
}
