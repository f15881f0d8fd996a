package rocket

import (
	"encoding/json"
	"strings"

	"trine/internal/core"
	"trine/internal/front/rocket/wire"
)

// adminHandlers are what administrators ask of brokers.
var adminHandlers = map[int]func(*Conn, core.Now){
	wire.CreateTopic: (*Conn).createTopic,
	wire.DeleteTopic: (*Conn).deleteTopic,
}

// createTopic takes code 17: it sets what this broker name has of a topic.
func (c *Conn) createTopic(core.Now) {
	name := c.cmd.Str("topic")
	if err := checkTopicName(name); err != nil {
		c.fail(wire.SystemError, err.Error())
		return
	}
	w := wish{group: c.brokerName(c.cmd.Get("bname")),
		read: int(c.cmd.Int("readQueueNums", 8)), write: int(c.cmd.Int("writeQueueNums", 8)),
		perm: int(c.cmd.Int("perm", wire.PermRead|wire.PermWrite))}
	order, sys := c.cmd.Bool("order"), int(c.cmd.Int("topicSysFlag", 0))
	kind, attributes := c.cmd.Str("topicFilterType"), c.cmd.Str("attributes")
	a := c.ask()
	alter := func(d *topicDoc) {
		d.Order, d.SysFlag, d.FilterType = order, sys, kind
		for _, kv := range strings.Split(attributes, ",") {
			k, v, _ := strings.Cut(kv, "=")
			switch {
			case strings.HasPrefix(k, "+"):
				if d.Attributes == nil {
					d.Attributes = map[string]string{}
				}
				d.Attributes[k[1:]] = v
			case strings.HasPrefix(k, "-"):
				delete(d.Attributes, k[1:])
			}
		}
	}
	c.f.ensure(&change{topic: name, wishes: []wish{w}, alter: alter}, func(err error) {
		c.locked(func(core.Now) { c.outcome(a, err) })
	})
}

// deleteTopic takes code 215. One of a cluster's brokers that is asked removes the
// topic from its group; administrators ask them all.
func (c *Conn) deleteTopic(core.Now) {
	a, name, group := c.ask(), c.cmd.Str("topic"), c.brokerName(c.cmd.Get("bname"))
	if c.f.topicOf([]byte(name)) == nil && c.afterSync() {
		return
	}
	c.f.removePart(name, group, func(err error) {
		c.locked(func(core.Now) { c.outcome(a, err) })
	})
}

// removePart ends a group's queues of a topic, and the topic with the last.
func (f *Front) removePart(name, group string, done func(error)) {
	d, ok := f.core.Cluster().Get(topicPrefix + name)
	var doc topicDoc
	if ok && json.Unmarshal(d.Value, &doc) != nil {
		ok = false
	}
	if !ok || doc.part(group) == nil {
		f.core.Cluster().Sync(done)
		return
	}
	var puts []core.Change
	var kept []partDoc
	for _, p := range doc.Parts {
		if p.Group != group {
			kept = append(kept, p)
			continue
		}
		for id := range p.Numbers {
			puts = append(puts, core.Change{Stream: streamName(name, group, id)})
		}
	}
	put := core.Change{Key: d.Key, Expect: d.Revision}
	if doc.Parts = kept; len(kept) > 0 {
		put.Value = encode(&doc)
	}
	f.core.Cluster().Put(append(puts, put), func(_ core.Revision, err error) {
		if core.KindOf(err) == core.Conflict {
			f.core.Cluster().Sync(func(err error) {
				if err != nil {
					done(err)
					return
				}
				f.removePart(name, group, done)
			})
			return
		}
		done(err)
	})
}
