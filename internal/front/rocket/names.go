package rocket

import (
	"strconv"
	"strings"

	"trine/internal/core"
	"trine/internal/front/rocket/nameserver"
	"trine/internal/front/rocket/topology"
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

// dialled gives the address by which the client came.
func (c *Conn) dialled() string { return c.w.Info().Local.String() }

// topicRoute takes code 105.
func (c *Conn) topicRoute(core.Now) {
	topic := c.cmd.Get("topic")
	r, known := c.f.names.Route(topic, c.dialled())
	switch {
	case !known && c.afterSync():
	case !known:
		c.fail(wire.TopicNotExist, "No topic route info in name server for the topic: "+string(topic))
	case len(r.Queues) == 0:
		c.fail(wire.TopicNotExist, "No living broker for the topic: "+string(topic))
	default:
		c.answer(wire.Success, "")
		c.endBody(wire.AppendRoute(nil, &r))
	}
}

// brokerCluster takes code 106.
func (c *Conn) brokerCluster(core.Now) {
	c.answer(wire.Success, "")
	c.endBody(wire.AppendClusterInfo(nil, c.f.o.Cluster, c.f.names.Brokers(c.dialled())))
}

func (c *Conn) topicList(names []string) {
	c.answer(wire.Success, "")
	c.endBody(wire.AppendTopicList(nil, names))
}

// allTopics takes code 206.
func (c *Conn) allTopics(core.Now) { c.topicList(c.f.names.Topics()) }

// topicsByCluster takes code 224.
func (c *Conn) topicsByCluster(now core.Now) {
	if c.cmd.Str("cluster") != c.f.o.Cluster {
		c.topicList(nil)
		return
	}
	c.allTopics(now)
}

// systemTopics takes code 304: the names that are not users', brokers' among them.
func (c *Conn) systemTopics(core.Now) { c.topicList(c.f.names.SystemTopics()) }

func (c *Conn) noTopics(core.Now) { c.topicList(nil) }

// kvName gives the document of a request's namespace and key; "" where they are none.
func (c *Conn) kvName() string {
	ns, key := c.cmd.Str("namespace"), c.cmd.Str("key")
	if ns == "" || key == "" || strings.Contains(ns, "/") {
		c.fail(wire.InvalidParameter, "namespace and key are missing")
		return ""
	}
	return nameserver.Key(ns, key)
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
	table := c.f.names.Table(c.cmd.Str("namespace"))
	if len(table) == 0 {
		if !c.afterSync() {
			c.fail(wire.QueryNotFound, "no such namespace")
		}
		return
	}
	body := []byte(`{"table":{`)
	for i, p := range table {
		if i > 0 {
			body = append(body, ',')
		}
		body = wire.AppendString(body, p.Key)
		body = append(body, ':')
		body = wire.AppendString(body, p.Value)
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
	for _, t := range c.f.view.Topics() {
		if t := c.f.view.Topic([]byte(t)); t != nil && t.Part(name) != nil {
			n++
		}
	}
	c.f.view.AlterGroup(name, func(g *topology.GroupDoc) { g.Wiped = wiped }, func(err error) {
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
