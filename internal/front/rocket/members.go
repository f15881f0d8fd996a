package rocket

import (
	"cmp"
	"encoding/json"
	"hash/maphash"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"

	"trine/internal/core"
	"trine/internal/front/rocket/topology"
	"trine/internal/front/rocket/wire"
)

// consumer is what one client says of one consumer group, and what its member
// document says: "rocket/member/GROUP/CLIENT/NODE", owned by the node.
type consumer struct {
	Type  string         `json:"type"`
	Model string         `json:"model"`
	From  string         `json:"from"`
	Subs  []subscription `json:"subs"`
	Addr  string         `json:"addr"`
	Lang  string         `json:"lang"`
	Ver   int            `json:"ver"`
}

type subscription struct {
	Topic      string   `json:"topic"`
	Expression string   `json:"expr"`
	Kind       string   `json:"kind,omitempty"`
	Version    int64    `json:"version"`
	Tags       []string `json:"tags,omitempty"`
}

// members is who consumes and produces: in the cluster, as the member documents
// say, and by which connections of this node.
type members struct {
	groups    map[string]*consumerGroup // guarded by Front.mu
	conns     map[*Conn]struct{}
	byID      map[string]*Conn                  // the last connection of a client
	producers map[string]map[*Conn]producerInfo // by producer group
	consumers connsIn                           // by consumer group

	puts    []memberPut // waiting for the Put that is on its way
	putting bool
	retryAt core.Time
}

// connsIn is the connections of this node that belong to each group.
type connsIn map[string]map[*Conn]struct{}

func (in connsIn) add(group string, c *Conn) {
	if in[group] == nil {
		in[group] = map[*Conn]struct{}{}
	}
	in[group][c] = struct{}{}
}

func (in connsIn) remove(group string, c *Conn) {
	delete(in[group], c)
	if len(in[group]) == 0 {
		delete(in, group)
	}
}

// producerInfo is what a connection says of itself.
type producerInfo struct {
	client, lang string
	version      int
}

type consumerGroup struct {
	clients map[string]map[core.NodeID]*consumer
	filters map[string]*groupFilter // by topic
}

// groupFilter is a group's newest subscription to a topic.
type groupFilter struct {
	version int64
	filter  *filter
	err     error
}

type memberPut struct {
	change core.Change
	done   func(error)
}

func newMembers() members {
	return members{groups: map[string]*consumerGroup{}, conns: map[*Conn]struct{}{},
		byID: map[string]*Conn{}, producers: map[string]map[*Conn]producerInfo{}, consumers: connsIn{}}
}

// memberKey escapes what clients may put into names.
func memberKey(group, client string, node core.NodeID) string {
	return memberPrefix + url.PathEscape(group) + "/" + url.PathEscape(client) + "/" +
		strconv.Itoa(int(node))
}

func splitMemberKey(key string) (group, client string, node core.NodeID, ok bool) {
	parts := strings.Split(strings.TrimPrefix(key, memberPrefix), "/")
	if len(parts) != 3 {
		return
	}
	group, err1 := url.PathUnescape(parts[0])
	client, err2 := url.PathUnescape(parts[1])
	n, err3 := strconv.ParseInt(parts[2], 10, 32)
	return group, client, core.NodeID(n), err1 == nil && err2 == nil && err3 == nil
}

// memberChanged takes a member document and gives the group whose members it
// changes, if it does. Front.mu held.
func (f *Front) memberChanged(d *core.Document) string {
	name, client, node, ok := splitMemberKey(d.Key)
	if !ok {
		return ""
	}
	g := f.members.groups[name]
	if d.Value == nil {
		if g == nil || g.clients[client] == nil {
			return ""
		}
		delete(g.clients[client], node)
		if len(g.clients[client]) > 0 {
			return ""
		}
		delete(g.clients, client)
		if len(g.clients) == 0 {
			delete(f.members.groups, name)
		}
		return name
	}
	m := &consumer{}
	if json.Unmarshal(d.Value, m) != nil {
		return ""
	}
	return f.memberJoined(name, client, node, m)
}

// memberJoined notes a member. Front.mu held.
func (f *Front) memberJoined(name, client string, node core.NodeID, m *consumer) string {
	g := f.members.groups[name]
	if g == nil {
		g = &consumerGroup{clients: map[string]map[core.NodeID]*consumer{},
			filters: map[string]*groupFilter{}}
		f.members.groups[name] = g
	}
	for _, s := range m.Subs {
		if old := g.filters[s.Topic]; old == nil || old.version < s.Version {
			gf := &groupFilter{version: s.Version}
			gf.filter, gf.err = newFilter(s.Expression, s.Kind)
			g.filters[s.Topic] = gf
		}
	}
	at := g.clients[client]
	if at == nil {
		at = map[core.NodeID]*consumer{}
		g.clients[client] = at
	}
	at[node] = m
	if len(at) > 1 {
		return ""
	}
	return name
}

// subscription gives a group's filter for a topic; not known: nobody subscribed.
func (f *Front) subscription(group, topic string) (flt *filter, known bool, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	g := f.members.groups[group]
	if g == nil || g.filters[topic] == nil {
		return nil, false, nil
	}
	s := g.filters[topic]
	return s.filter, true, s.err
}

// clients gives a group's members in order, which is what they divide queues by.
func (f *Front) clients(group string) []string {
	f.mu.RLock()
	defer f.mu.RUnlock()
	var ids []string
	if g := f.members.groups[group]; g != nil {
		for id := range g.clients {
			ids = append(ids, id)
		}
	}
	sort.Strings(ids)
	return ids
}

// notifyMembers tells this node's members of a group that its members changed.
func (f *Front) notifyMembers(group string) {
	for _, c := range f.consumersOf(group) {
		c.locked(func(core.Now) {
			if c.reg[group] != nil {
				c.request(wire.IdsChanged, func(w *wire.Writer) { w.Str("consumerGroup", group) }, nil, nil)
			}
		})
	}
}

// consumersOf gives the connections of a consumer group on this node, in the order
// in which they came.
func (f *Front) consumersOf(group string) []*Conn {
	f.mu.RLock()
	cs := make([]*Conn, 0, len(f.members.consumers[group]))
	for c := range f.members.consumers[group] {
		cs = append(cs, c)
	}
	f.mu.RUnlock()
	slices.SortFunc(cs, func(a, b *Conn) int { return cmp.Compare(a.id, b.id) })
	return cs
}

// announced notes a connection's client.
func (f *Front) announced(c *Conn) {
	f.mu.Lock()
	f.members.conns[c] = struct{}{}
	f.members.byID[c.client] = c
	f.mu.Unlock()
}

// closed takes away what a connection registered. Its lock is held.
func (f *Front) closed(c *Conn) {
	f.mu.Lock()
	delete(f.members.conns, c)
	for group := range c.producers {
		f.produceNoMore(c, group)
	}
	for group := range c.reg {
		f.members.consumers.remove(group, c)
	}
	last := f.members.byID[c.client] == c
	if last {
		delete(f.members.byID, c.client)
	}
	f.mu.Unlock()
	for group := range c.reg {
		if last {
			f.leave(group, c.client, func(error) {})
		}
	}
	c.reg = nil
}

// consumes notes a connection's consumer group, before its member document is put.
func (f *Front) consumes(c *Conn, group string) {
	f.mu.Lock()
	f.members.consumers.add(group, c)
	f.mu.Unlock()
}

// produces notes a connection's producer group.
func (f *Front) produces(c *Conn, group string, info producerInfo) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.members.producers[group] == nil {
		f.members.producers[group] = map[*Conn]producerInfo{}
	}
	f.members.producers[group][c] = info
}

// produceNoMore undoes produces. Front.mu held.
func (f *Front) produceNoMore(c *Conn, group string) {
	delete(f.members.producers[group], c)
	if len(f.members.producers[group]) == 0 {
		delete(f.members.producers, group)
	}
}

// producersOf gives the connections of a producer group on this node, in the order
// in which they came.
func (f *Front) producersOf(group string) []*Conn {
	f.mu.RLock()
	cs := make([]*Conn, 0, len(f.members.producers[group]))
	for c := range f.members.producers[group] {
		cs = append(cs, c)
	}
	f.mu.RUnlock()
	slices.SortFunc(cs, func(a, b *Conn) int { return cmp.Compare(a.id, b.id) })
	return cs
}

// leave takes a client's member document of this node away.
func (f *Front) leave(group, client string, done func(error)) {
	key := memberKey(group, client, f.core.Self().Node)
	f.putMember(memberPut{core.Change{Key: key}, done})
}

// join puts a client's member document of this node.
func (f *Front) join(group, client string, m *consumer, conn uint64, done func(error)) {
	self := f.core.Self()
	f.putMember(memberPut{core.Change{Key: memberKey(group, client, self.Node), Value: topology.Encode(m),
		Owner: core.Owner{Node: self.Node, Incarnation: self.Incarnation, Conn: conn}}, done})
}

// putMember puts a change of members, together with others that wait.
func (f *Front) putMember(p memberPut) {
	f.mu.Lock()
	for i := range f.members.puts { // the later word counts
		if q := &f.members.puts[i]; q.change.Key == p.change.Key {
			first, second := q.done, p.done
			q.change, q.done = p.change, func(err error) { first(err); second(err) }
			f.mu.Unlock()
			return
		}
	}
	f.members.puts = append(f.members.puts, p)
	f.mu.Unlock()
	f.putMembers()
}

const memberPutsMax = 256

func (f *Front) putMembers() {
	f.mu.Lock()
	if f.members.putting || len(f.members.puts) == 0 {
		f.mu.Unlock()
		return
	}
	f.members.putting = true
	some := f.members.puts[:min(len(f.members.puts), memberPutsMax)]
	f.members.puts = append([]memberPut(nil), f.members.puts[len(some):]...)
	f.mu.Unlock()
	changes := make([]core.Change, len(some))
	for i := range some {
		changes[i] = some[i].change
	}
	f.core.Cluster().Put(changes, func(_ core.Revision, err error) {
		f.mu.Lock()
		f.members.putting = false
		f.mu.Unlock()
		for _, p := range some {
			p.done(err)
		}
		f.putMembers()
	})
}

// tick puts what could not be put before.
func (m *members) tick(f *Front, _ core.Now) { f.putMembers() }

var beatSeed = maphash.MakeSeed()

// heartbeatData is the body of code 34.
type heartbeatData struct {
	ClientID  string `json:"clientID"`
	Producers []struct {
		Group string `json:"groupName"`
	} `json:"producerDataSet"`
	Consumers []struct {
		Group string `json:"groupName"`
		Type  string `json:"consumeType"`
		Model string `json:"messageModel"`
		From  string `json:"consumeFromWhere"`
		Subs  []struct {
			Topic   string   `json:"topic"`
			Sub     string   `json:"subString"`
			Tags    []string `json:"tagsSet"`
			Version int64    `json:"subVersion"`
			Kind    string   `json:"expressionType"`
		} `json:"subscriptionDataSet"`
	} `json:"consumerDataSet"`
	Fingerprint int64 `json:"heartbeatFingerprint"`
	WithoutSub  bool  `json:"isWithoutSub"`
}

// heartbeat takes code 34: who the client is, and what it consumes and produces.
func (c *Conn) heartbeat(core.Now) {
	sum := maphash.Bytes(beatSeed, c.cmd.Body)
	if c.client != "" && sum == c.beat {
		c.beatAnswer(c.ask(), false)
		return
	}
	var h heartbeatData
	if err := json.Unmarshal(c.cmd.Body, &h); err != nil || h.ClientID == "" {
		c.fail(wire.SystemError, "the heartbeat cannot be read")
		return
	}
	c.beat = sum
	c.client = h.ClientID
	c.f.announced(c)
	if c.producers == nil {
		c.producers, c.reg = map[string]bool{}, map[string]*consumer{}
	}
	lang := ""
	if int(c.cmd.Language) < len(wire.Languages) {
		lang = wire.Languages[c.cmd.Language]
	}
	for _, p := range h.Producers {
		c.producers[p.Group] = true
		c.f.produces(c, p.Group, producerInfo{c.client, lang, c.cmd.Version})
	}
	a, wait := c.ask(), 1
	done := func(err error) { // the last of them answers
		if err != nil {
			c.beat = 0 // the next heartbeat tries again
		}
		if wait--; wait == 0 {
			c.beatAnswer(a, true)
		}
	}
	for _, g := range h.Consumers {
		m := &consumer{Type: g.Type, Model: g.Model, From: g.From, Addr: c.w.Info().Remote.String(),
			Lang: lang, Ver: c.cmd.Version}
		for _, s := range g.Subs {
			m.Subs = append(m.Subs, subscription{s.Topic, s.Sub, s.Kind, s.Version, s.Tags})
		}
		if h.WithoutSub && c.reg[g.Group] != nil {
			continue
		}
		c.reg[g.Group] = m
		c.f.consumes(c, g.Group)
		wait += c.register(g.Group, m, done)
	}
	done(nil)
}

// register makes a group's member and retry topic; it gives how many answers come.
func (c *Conn) register(group string, m *consumer, done func(error)) int {
	locked := func(err error) { c.locked(func(core.Now) { done(err) }) }
	c.f.join(group, c.client, m, c.w.Info().ID, locked)
	if m.Model == "BROADCASTING" || topology.CheckName(topology.RetryPrefix+group) != nil {
		return 1
	}
	c.f.view.Ensure(&topology.Change{Topic: topology.RetryPrefix + group, Grow: true,
		Wishes: c.f.view.Everywhere(1, 1, wire.PermRead|wire.PermWrite)}, locked)
	return 2
}

func (c *Conn) beatAnswer(a ask, changed bool) {
	if a.oneway {
		return
	}
	w := c.answerTo(a, wire.Success, "")
	w.Bool("IS_SUPPORT_HEART_BEAT_V2", true)
	w.Bool("IS_SUB_CHANGE", changed)
	c.end()
}

// unregister takes code 35.
func (c *Conn) unregister(core.Now) {
	client, group := c.cmd.Str("clientID"), c.cmd.Str("consumerGroup")
	if p := c.cmd.Str("producerGroup"); c.producers[p] {
		delete(c.producers, p)
		c.f.mu.Lock()
		c.f.produceNoMore(c, p)
		c.f.mu.Unlock()
	}
	a := c.ask()
	c.beat = 0
	if group == "" || c.reg[group] == nil {
		c.failTo(a, wire.Success, "")
		return
	}
	delete(c.reg, group)
	c.f.mu.Lock()
	c.f.members.consumers.remove(group, c)
	c.f.mu.Unlock()
	c.f.leave(group, client, func(err error) {
		c.locked(func(core.Now) { c.failTo(a, wire.Success, "") })
	})
}

// consumerList takes code 38.
func (c *Conn) consumerList(core.Now) {
	group := c.cmd.Str("consumerGroup")
	ids := c.f.clients(group)
	if len(ids) == 0 {
		if !c.afterSync() {
			c.fail(wire.SystemError, "no consumer for this group, "+group)
		}
		return
	}
	c.answer(wire.Success, "")
	body := append([]byte(nil), `{"consumerIdList":`...)
	body = append(wire.AppendStringList(body, ids), '}')
	c.endBody(body)
}
