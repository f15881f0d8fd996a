package rocket

import (
	"encoding/json"
	"net/url"
	"sort"

	"trine/internal/core"
	"trine/internal/front/rocket/topology"
	"trine/internal/front/rocket/wire"
)

// A consumer group that consumes in order has one document of locks,
// "rocket/lock/GROUP". A lock lives lockMs after it was written. Its owner trusts
// it for 30 s after each answer and asks every 20 s, so that an answer may leave
// without writing it anew while it is younger than lockFreshMs: 25 + 30 < 60.
const (
	lockMs      = 60_000
	lockFreshMs = 25_000
)

type lockDoc struct {
	Locks map[string]lock `json:"locks"` // by appendQueueKey
}

type lock struct {
	Client string     `json:"client"`
	At     core.Stamp `json:"at"`
}

// lockBody is the body of codes 41 and 42.
type lockBody struct {
	Group  string      `json:"consumerGroup"`
	Client string      `json:"clientId"`
	Queues []lockQueue `json:"mqSet"`
}

type lockQueue struct {
	Topic  string `json:"topic"`
	Broker string `json:"brokerName"`
	ID     int    `json:"queueId"`
}

func (q *lockQueue) key() string { return string(appendQueueKey(nil, q.Topic, q.Broker, q.ID)) }

// lockQueues takes code 41: it answers with those of the queues that the client
// holds from now on.
func (c *Conn) lockQueues(core.Now) {
	c.changeLocks(func(d *lockDoc, b *lockBody, now core.Stamp) (got []lockQueue, write bool) {
		for _, q := range b.Queues {
			l, held := d.Locks[q.key()]
			if held && l.Client != b.Client && l.At+lockMs > now {
				continue
			}
			got = append(got, q)
			if held && l.Client == b.Client && l.At+lockFreshMs > now && l.At <= now {
				continue
			}
			d.Locks[q.key()] = lock{b.Client, now}
			write = true
		}
		return got, write
	}, true)
}

// unlockQueues takes code 42.
func (c *Conn) unlockQueues(core.Now) {
	c.changeLocks(func(d *lockDoc, b *lockBody, _ core.Stamp) (got []lockQueue, write bool) {
		for _, q := range b.Queues {
			if l, held := d.Locks[q.key()]; held && l.Client == b.Client {
				delete(d.Locks, q.key())
				write = true
			}
		}
		return nil, write
	}, false)
}

// changeLocks changes a group's locks, again and again while others are faster.
func (c *Conn) changeLocks(change func(*lockDoc, *lockBody, core.Stamp) ([]lockQueue, bool),
	list bool) {
	b := &lockBody{}
	if err := json.Unmarshal(c.cmd.Body, b); err != nil || b.Group == "" || b.Client == "" {
		c.fail(wire.SystemError, "the set of queues cannot be read")
		return
	}
	a := c.ask()
	key := lockPrefix + url.PathEscape(b.Group)
	reply := func(got []lockQueue, err error) {
		c.locked(func(core.Now) { c.replyLocks(a, got, list, err) })
	}
	cluster := c.f.core.Cluster()
	tries := 0
	var try func(err error)
	try = func(err error) {
		if err != nil {
			reply(nil, err)
			return
		}
		d, expect := lockDoc{}, core.NoRevision
		if old, ok := cluster.Get(key); ok {
			expect = old.Revision
			_ = json.Unmarshal(old.Value, &d) // what cannot be read locks nothing
		}
		if d.Locks == nil {
			d.Locks = map[string]lock{}
		}
		now := c.w.Now().Wall
		got, write := change(&d, b, now)
		if !write {
			reply(got, nil)
			return
		}
		for k, l := range d.Locks {
			if l.At+10*lockMs < now {
				delete(d.Locks, k)
			}
		}
		put := core.Change{Key: key, Value: topology.Encode(&d), Expect: expect}
		if len(d.Locks) == 0 {
			put.Value = nil
		}
		cluster.Put([]core.Change{put}, func(_ core.Revision, err error) {
			if core.KindOf(err) == core.Conflict && tries < topology.ChangeTriesMax {
				tries++
				cluster.Sync(try)
				return
			}
			reply(got, err)
		})
	}
	cluster.Sync(try)
}

func (c *Conn) replyLocks(a ask, got []lockQueue, list bool, err error) {
	if err != nil || !list {
		c.outcome(a, err)
		return
	}
	if a.oneway {
		return
	}
	sort.Slice(got, func(i, j int) bool { return got[i].key() < got[j].key() })
	c.answerTo(a, wire.Success, "")
	body := []byte(`{"lockOKMQSet":[`)
	for i, q := range got {
		if i > 0 {
			body = append(body, ',')
		}
		body = wire.AppendQueue(body, q.Broker, q.ID, q.Topic)
	}
	c.endBody(append(body, ']', '}'))
}
