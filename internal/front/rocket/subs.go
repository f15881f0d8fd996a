package rocket

import (
	"encoding/json"
	"net/url"
	"strings"

	"trine/internal/core"
	"trine/internal/front/rocket/topology"
	"trine/internal/front/rocket/wire"
)

// subPrefix is where the settings of consumer groups stand: type subDoc. A group
// without a document has the defaults.
const subPrefix = "rocket/sub/"

// subDoc is SubscriptionGroupConfig as administrators send it and get it back.
type subDoc struct {
	Name          string            `json:"groupName"`
	Consume       bool              `json:"consumeEnable"`
	FromMin       bool              `json:"consumeFromMinEnable"`
	Broadcast     bool              `json:"consumeBroadcastEnable"`
	Orderly       bool              `json:"consumeMessageOrderly"`
	RetryQueues   int               `json:"retryQueueNums"`
	RetryMax      int               `json:"retryMaxTimes"`
	BrokerID      int64             `json:"brokerId"`
	Slowly        int64             `json:"whichBrokerWhenConsumeSlowly"`
	Notify        bool              `json:"notifyConsumerIdsChangedEnable"`
	SysFlag       int               `json:"groupSysFlag"`
	TimeoutMinute int               `json:"consumeTimeoutMinute"`
	Attributes    map[string]string `json:"attributes"`
}

func newSub(name string) *subDoc {
	return &subDoc{Name: name, Consume: true, FromMin: true, Broadcast: true, RetryQueues: 1,
		RetryMax: retryMax, Slowly: 1, Notify: true, TimeoutMinute: 15, Attributes: map[string]string{}}
}

// sub gives a consumer group's settings.
func (f *Front) sub(name string) *subDoc {
	f.mu.RLock()
	s := f.subs[name]
	f.mu.RUnlock()
	if s == nil {
		s = newSub(name)
	}
	return s
}

// mayConsume says whether a group's settings let it.
func (f *Front) mayConsume(group []byte) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	s := f.subs[string(group)]
	return s == nil || s.Consume
}

// subChanged takes a document of a group's settings. Front.mu held.
func (f *Front) subChanged(d *core.Document) {
	name, err := url.PathUnescape(strings.TrimPrefix(d.Key, subPrefix))
	s := newSub(name)
	if err != nil || d.Value != nil && json.Unmarshal(d.Value, s) != nil {
		return
	}
	if d.Value == nil {
		delete(f.subs, name)
		return
	}
	f.subs[name] = s
}

// updateSub takes code 200.
func (c *Conn) updateSub(core.Now) {
	s := newSub("")
	if err := json.Unmarshal(c.cmd.Body, s); err != nil ||
		topology.CheckName(topology.RetryPrefix+s.Name) != nil || s.Name == "" {
		c.fail(wire.InvalidParameter, "the consumer group's settings cannot be read, or its name is none")
		return
	}
	c.put(core.Change{Key: subPrefix + url.PathEscape(s.Name), Value: topology.Encode(s)})
}

// allSubs takes code 201.
func (c *Conn) allSubs(now core.Now) {
	table := map[string]*subDoc{}
	c.f.mu.RLock()
	for name, s := range c.f.subs {
		table[name] = s
	}
	for name := range c.f.members.groups {
		if table[name] == nil {
			table[name] = newSub(name)
		}
	}
	c.f.mu.RUnlock()
	c.reply(map[string]any{"subscriptionGroupTable": table,
		"dataVersion": dataVersion{Stamp: int64(now.Wall)}})
}

// subConfig takes code 352.
func (c *Conn) subConfig(core.Now) { c.reply(c.f.sub(c.cmd.Str("group"))) }

// deleteSub takes code 207: the settings, and the offsets where that is asked.
func (c *Conn) deleteSub(core.Now) {
	group := c.cmd.Str("groupName")
	if c.cmd.Bool("cleanOffset") || c.cmd.Bool("removeOffset") {
		c.f.offsets.forget(group)
	}
	c.put(core.Change{Key: subPrefix + url.PathEscape(group)})
}
