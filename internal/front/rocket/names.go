package rocket

import (
	"net"
	"slices"
	"sort"
	"strconv"
	"strings"

	"trine/internal/core"
	"trine/internal/front/rocket/wire"
)

// nameHandlers are what is asked of NameServers.
var nameHandlers = map[int]func(*Conn, core.Now){
	wire.TopicRoute:         (*Conn).topicRoute,
	wire.BrokerCluster:      (*Conn).brokerCluster,
	wire.AllTopicsNameSrv:   (*Conn).allTopics,
	wire.TopicsByCluster:    (*Conn).topicsByCluster,
	wire.SystemTopics:       (*Conn).systemTopics,
	wire.UnitTopics:         (*Conn).noTopics,
	wire.UnitSubTopics:      (*Conn).noTopics,
	wire.NonUnitSubTopics:   (*Conn).noTopics,
	wire.PutKV:              (*Conn).putKV,
	wire.GetKV:              (*Conn).getKV,
	wire.DeleteKV:           (*Conn).deleteKV,
	wire.ListKV:             (*Conn).listKV,
	wire.WipeWritePerm:      (*Conn).wipeWrite,
	wire.AddWritePerm:       (*Conn).addWrite,
	wire.DeleteTopicNameSrv: (*Conn).deleteTopicName,
	wire.GetNameSrvConf:     (*Conn).nameServerConf,
}

// place is where a group is to be had at present.
type place struct {
	group  *group
	addr   string
	master bool // its queues take writes
}

// places gives every group that can be used, in order of the groups' names.
func (f *Front) places(c *Conn) []place {
	nodes := f.core.Cluster().Nodes()
	var ps []place
	for _, g := range f.groups() {
		if p, ok := f.placeOf(c, g, nodes); ok {
			ps = append(ps, p)
		}
	}
	return ps
}

// placeOf gives the address of a living node for a group: the first of its nodes
// that lives and is not doubted. Where nobody takes over for the first, the others only serve reads.
func (f *Front) placeOf(c *Conn, g *group, nodes []core.NodeInfo) (place, bool) {
	at := g.places(nodes)
	if g.elects() {
		for _, n := range nodes {
			if !slices.Contains(at, n.Node) {
				at = append(at, n.Node) // any node forwards
			}
		}
	}
	for i, id := range at {
		for _, n := range nodes {
			addr, serves := n.Addresses[addressName]
			if n.Node != id || !serves || !n.Alive || n.Doubted && !n.Self {
				continue
			}
			p := place{group: g, master: i == 0 || g.elects()}
			p.addr, serves = f.address(c, g, n, addr)
			return p, serves
		}
	}
	return place{}, false
}

// address gives a node's address for a group: the port says which group is meant.
func (f *Front) address(c *Conn, g *group, n core.NodeInfo, addr string) (string, bool) {
	host, port, err := net.SplitHostPort(addr)
	base, err2 := strconv.Atoi(port)
	if err != nil || err2 != nil {
		return "", false
	}
	if host == "" {
		local, _, err := net.SplitHostPort(c.w.Info().Local.String())
		if err != nil {
			return "", false
		}
		host = local
	}
	return net.JoinHostPort(host, strconv.Itoa(base+f.portOffset(g, n.Node))), true
}

// portOffset gives by how much the port of a group lies above a node's first.
func (f *Front) portOffset(g *group, n core.NodeID) int {
	switch {
	case g.home == n:
		return 0
	case g.home != 0:
		return f.o.PortStep * int(g.home)
	}
	return f.o.PortStep*g.Index + f.o.PortStep/2
}

// Port is one more port that a node must listen on, above the first by Offset:
// connections by it are Open(Group).
type Port struct {
	Group  string
	Offset int
}

// Ports gives the ports, beside the first, by which this node is to be had for
// groups at present: those for which it stands in. rev changes when they may have.
func (f *Front) Ports() []Port {
	self := f.core.Self().Node
	var ps []Port
	for _, g := range f.groups() {
		alone := g.Mode == ModeSingle
		if g.home == self || alone && g.home != 0 {
			continue
		}
		ps = append(ps, Port{g.name, f.portOffset(g, self)})
	}
	return ps
}

func (p *place) broker(cluster string) wire.RouteBroker {
	id := int64(0)
	if !p.master {
		id = 1
	}
	return wire.RouteBroker{Cluster: cluster, Name: p.group.name, Addrs: []wire.BrokerAddr{{ID: id,
		Addr: p.addr}}}
}

// topicRoute takes code 105.
func (c *Conn) topicRoute(core.Now) {
	name := c.cmd.Get("topic")
	r := wire.Route{}
	t := c.f.topicOf(name)
	// A consumer asks for its retry topic before the heartbeat that makes it, and
	// then not again for 30 s: it is told what there will be.
	retry := t == nil && len(name) > len(retryPrefix) && strings.HasPrefix(string(name), retryPrefix)
	template := t == nil && (retry || c.isTemplate(string(name)))
	if t == nil && !template {
		if !c.afterSync() {
			c.fail(wire.TopicNotExist, "No topic route info in name server for the topic: "+string(name))
		}
		return
	}
	for _, p := range c.f.places(c) {
		g := p.group
		q := wire.RouteQueues{Broker: g.name, Read: queuesTBW102, Write: queuesTBW102,
			Perm: wire.PermRead | wire.PermWrite | wire.PermInherit}
		if retry {
			q.Read, q.Write, q.Perm = 1, 1, wire.PermRead|wire.PermWrite
		}
		if t != nil {
			part := t.part(g.name)
			if part == nil {
				continue
			}
			q.Read, q.Write, q.Perm, q.SysFlag = part.Read, part.Write, part.Perm, t.doc.SysFlag
		}
		if g.Wiped {
			q.Perm &^= wire.PermWrite
		}
		r.Queues = append(r.Queues, q)
		r.Brokers = append(r.Brokers, p.broker(c.f.o.Cluster))
	}
	if len(r.Queues) == 0 {
		c.fail(wire.TopicNotExist, "No living broker for the topic: "+string(name))
		return
	}
	if d, ok := c.f.core.Cluster().Get(kvKey("ORDER_TOPIC_CONFIG", string(name))); ok {
		r.OrderConf = string(d.Value)
	}
	c.answer(wire.Success, "")
	c.endBody(wire.AppendRoute(nil, &r))
}

// isTemplate says whether a name stands for brokers: the template topic, the
// cluster, or a group.
func (c *Conn) isTemplate(name string) bool {
	if name == templateTopic && !c.f.o.NoAuto || name == c.f.o.Cluster {
		return true
	}
	return slices.ContainsFunc(c.f.groups(), func(g *group) bool { return g.name == name })
}

// brokerCluster takes code 106.
func (c *Conn) brokerCluster(core.Now) {
	var bs []wire.RouteBroker
	for _, p := range c.f.places(c) {
		bs = append(bs, p.broker(c.f.o.Cluster))
	}
	c.answer(wire.Success, "")
	c.endBody(wire.AppendClusterInfo(nil, c.f.o.Cluster, bs))
}

func (c *Conn) topicList(names []string) {
	c.answer(wire.Success, "")
	c.endBody(wire.AppendTopicList(nil, names))
}

// allTopics takes code 206.
func (c *Conn) allTopics(core.Now) {
	names := c.f.topicNames()
	for _, s := range systemTopics[:1] {
		if !slices.Contains(names, s) {
			names = append(names, s)
		}
	}
	sort.Strings(names)
	c.topicList(names)
}

// topicsByCluster takes code 224.
func (c *Conn) topicsByCluster(now core.Now) {
	if c.cmd.Str("cluster") != c.f.o.Cluster {
		c.topicList(nil)
		return
	}
	c.allTopics(now)
}

// systemTopics takes code 304: the names that are not users', brokers' among them.
func (c *Conn) systemTopics(core.Now) {
	names := []string{c.f.o.Cluster}
	for _, g := range c.f.groups() {
		names = append(names, g.name)
	}
	c.topicList(append(names, systemTopics...))
}

func (c *Conn) noTopics(core.Now) { c.topicList(nil) }

func kvKey(namespace, key string) string { return kvPrefix + namespace + "/" + key }

// kvNames gives the namespace and key of a request; "" where they are none.
func (c *Conn) kvName() string {
	ns, key := c.cmd.Str("namespace"), c.cmd.Str("key")
	if ns == "" || key == "" || strings.Contains(ns, "/") {
		c.fail(wire.InvalidParameter, "namespace and key are missing")
		return ""
	}
	return kvKey(ns, key)
}

func (c *Conn) put(changes ...core.Change) {
	a := c.ask()
	c.f.core.Cluster().Put(changes, func(_ core.Revision, err error) {
		c.locked(func(core.Now) { c.outcome(a, err) })
	})
}

// putKV takes code 100.
func (c *Conn) putKV(core.Now) {
	if key := c.kvName(); key != "" {
		c.put(core.Change{Key: key, Value: append([]byte{}, c.cmd.Get("value")...)})
	}
}

// deleteKV takes code 102.
func (c *Conn) deleteKV(core.Now) {
	if key := c.kvName(); key != "" {
		c.put(core.Change{Key: key})
	}
}

// getKV takes code 101.
func (c *Conn) getKV(core.Now) {
	key := c.kvName()
	if key == "" {
		return
	}
	d, ok := c.f.core.Cluster().Get(key)
	if !ok {
		if !c.afterSync() {
			c.fail(wire.QueryNotFound, "no such key")
		}
		return
	}
	c.answer(wire.Success, "").Bytes("value", d.Value)
	c.end()
}

// listKV takes code 219.
func (c *Conn) listKV(core.Now) {
	f := c.f
	under := kvPrefix + c.cmd.Str("namespace") + "/"
	f.mu.RLock()
	keys := make([]string, 0, len(f.kv))
	for k := range f.kv {
		if strings.HasPrefix(k, under) {
			keys = append(keys, k)
		}
	}
	f.mu.RUnlock()
	sort.Strings(keys)
	if len(keys) == 0 {
		if !c.afterSync() {
			c.fail(wire.QueryNotFound, "no such namespace")
		}
		return
	}
	body := []byte(`{"table":{`)
	for i, k := range keys {
		if i > 0 {
			body = append(body, ',')
		}
		d, _ := f.core.Cluster().Get(k)
		body = wire.AppendString(body, k[len(under):])
		body = append(body, ':')
		body = wire.AppendString(body, d.Value)
	}
	c.answer(wire.Success, "")
	c.endBody(append(body, '}', '}'))
}

// wipeWrite takes code 205 and addWrite 327: producers leave a group, or return.
func (c *Conn) wipeWrite(core.Now) { c.setWiped(true, "wipeTopicCount") }

func (c *Conn) addWrite(core.Now) { c.setWiped(false, "addTopicCount") }

func (c *Conn) setWiped(wiped bool, count string) {
	a, n := c.ask(), 0
	name := c.cmd.Str("brokerName")
	for _, t := range c.f.topicNames() {
		if t := c.f.topicOf([]byte(t)); t != nil && t.part(name) != nil {
			n++
		}
	}
	c.f.alterGroup(name, func(g *groupDoc) { g.Wiped = wiped }, func(err error) {
		c.locked(func(core.Now) {
			if err != nil {
				c.outcome(a, err)
				return
			}
			c.answerTo(a, wire.Success, "").Int(count, int64(n))
			c.end()
		})
	})
}

// deleteTopicName takes code 216. Routes follow the topics: code 215 has removed it.
func (c *Conn) deleteTopicName(core.Now) { c.ok() }

// nameServerConf takes code 319.
func (c *Conn) nameServerConf(core.Now) {
	c.answer(wire.Success, "")
	c.endBody([]byte("listenPort=" + strconv.Itoa(int(c.local.Port)) + "\nclusterTest=false\n"))
}
