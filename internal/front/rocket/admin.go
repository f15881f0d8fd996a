package rocket

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"trine/internal/core"
	"trine/internal/front/rocket/topology"
	"trine/internal/front/rocket/wire"
)

// adminHandlers are what administrators ask of brokers.
var adminHandlers = map[int]func(*Conn, core.Now){
	wire.CreateTopic:         (*Conn).createTopic,
	wire.DeleteTopic:         (*Conn).deleteTopic,
	wire.AllTopicConfig:      (*Conn).allTopicConfig,
	wire.TopicConfig:         (*Conn).topicConfig,
	wire.SystemTopicsBroker:  (*Conn).systemTopics,
	wire.UpdateBrokerConfig:  (*Conn).updateBrokerConfig,
	wire.GetBrokerConfig:     (*Conn).getBrokerConfig,
	wire.BrokerRuntimeInfo:   (*Conn).runtimeInfo,
	wire.UpdateGroup:         (*Conn).updateSub,
	wire.AllGroups:           (*Conn).allSubs,
	wire.GroupConfig:         (*Conn).subConfig,
	wire.DeleteGroup:         (*Conn).deleteSub,
	wire.ConsumerConns:       (*Conn).consumerConns,
	wire.ProducerConns:       (*Conn).producerConns,
	wire.TopicConsumeByWho:   (*Conn).consumedByWho,
	wire.TopicsByConsumer:    (*Conn).topicsByConsumer,
	wire.ConsumerRunningInfo: (*Conn).runningInfo,
	wire.TopicStats:          (*Conn).topicStats,
	wire.ConsumeStats:        (*Conn).consumeStats,
	wire.ResetOffsets:        (*Conn).resetOffsets,
	wire.CloneOffsets:        (*Conn).cloneOffsets,
}

// createTopic takes code 17: it sets what this broker name has of a topic.
func (c *Conn) createTopic(core.Now) {
	name := c.cmd.Str("topic")
	if err := topology.CheckName(name); err != nil {
		c.fail(wire.SystemError, err.Error())
		return
	}
	w := topology.Wish{Group: c.brokerName(c.cmd.Get("bname")),
		Read: int(c.cmd.Int("readQueueNums", 8)), Write: int(c.cmd.Int("writeQueueNums", 8)),
		Perm: int(c.cmd.Int("perm", wire.PermRead|wire.PermWrite))}
	order, sys := c.cmd.Bool("order"), int(c.cmd.Int("topicSysFlag", 0))
	kind, attributes := c.cmd.Str("topicFilterType"), c.cmd.Str("attributes")
	a := c.ask()
	alter := func(d *topology.TopicDoc) {
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
	made := func(err error) { c.locked(func(core.Now) { c.outcome(a, err) }) }
	c.f.view.Ensure(&topology.Change{Topic: name, Wishes: []topology.Wish{w}, Alter: alter}, made)
}

// deleteTopic takes code 215. One of a cluster's brokers that is asked removes the
// topic from its group; administrators ask them all.
func (c *Conn) deleteTopic(core.Now) {
	a, name, group := c.ask(), c.cmd.Str("topic"), c.brokerName(c.cmd.Get("bname"))
	if c.f.view.Topic([]byte(name)) == nil && c.afterSync() {
		return
	}
	c.f.view.RemovePart(name, group, func(err error) {
		c.locked(func(core.Now) { c.outcome(a, err) })
	})
}

// topicConfigBody is TopicConfig as brokers write it.
type topicConfigBody struct {
	Attributes map[string]string `json:"attributes"`
	Order      bool              `json:"order"`
	Perm       int               `json:"perm"`
	Read       int               `json:"readQueueNums"`
	Filter     string            `json:"topicFilterType"`
	Name       string            `json:"topicName"`
	SysFlag    int               `json:"topicSysFlag"`
	Write      int               `json:"writeQueueNums"`
}

// dataVersion is by what RocketMQ's brokers compare tables.
type dataVersion struct {
	Counter int64 `json:"counter"`
	State   int64 `json:"stateVersion"`
	Stamp   int64 `json:"timestamp"`
}

func configOf(t *topology.Topic, p *topology.Part) topicConfigBody {
	b := topicConfigBody{Attributes: t.Doc.Attributes, Order: t.Doc.Order, Perm: p.Perm, Read: p.Read,
		Filter: t.Doc.FilterType, Name: t.Name, SysFlag: t.Doc.SysFlag, Write: p.Write}
	if b.Filter == "" {
		b.Filter = "SINGLE_TAG"
	}
	if b.Attributes == nil {
		b.Attributes = map[string]string{}
	}
	return b
}

// reply answers the present request with a body of JSON.
func (c *Conn) reply(body any) {
	c.answer(wire.Success, "")
	c.endBody(topology.Encode(body))
}

// allTopicConfig takes code 21: the topics of the asked broker name.
func (c *Conn) allTopicConfig(now core.Now) {
	table := map[string]topicConfigBody{}
	for _, name := range c.f.view.Topics() {
		if t := c.f.view.Topic([]byte(name)); t != nil {
			if p := t.Part(c.group); p != nil {
				table[name] = configOf(t, p)
			}
		}
	}
	c.reply(map[string]any{"topicConfigTable": table,
		"dataVersion": dataVersion{Stamp: int64(now.Wall)}})
}

// topicConfig takes code 351.
func (c *Conn) topicConfig(core.Now) {
	t := c.f.view.Topic(c.cmd.Get("topic"))
	var p *topology.Part
	if t != nil {
		p = t.Part(c.brokerName(c.cmd.Get("bname")))
	}
	if p == nil {
		if !c.afterSync() {
			c.fail(wire.TopicNotExist, "No topic in this broker. topic: "+c.cmd.Str("topic"))
		}
		return
	}
	c.reply(configOf(t, p))
}

// The keys of a broker's configuration by which its mode is set: RocketMQ's own.
const (
	confRole    = "brokerRole"            // ASYNC_MASTER, SYNC_MASTER
	confFlush   = "flushDiskType"         // ASYNC_FLUSH, SYNC_FLUSH
	confDLedger = "enableDLegerCommitLog" // as RocketMQ spells it
	confCopies  = "totalReplicas"
	confMode    = "trineMode" // single, async, sync, strict, dledger
)

// updateBrokerConfig takes code 25: it sets how the group keeps its queues, which
// change without stopping. Other keys are refused: they would do nothing.
func (c *Conn) updateBrokerConfig(core.Now) {
	a, name := c.ask(), c.group
	conf := c.f.view.Group(name).GroupConf
	for _, line := range strings.Split(string(c.cmd.Body), "\n") {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch {
		case key == "" || key[0] == '#':
		case key == confMode:
			conf.Mode, conf.Copies = topology.Mode(value), 0
		case key == confRole && value == "ASYNC_MASTER":
			conf.Mode, conf.Copies = topology.ModeAsync, 0
		case key == confRole && value == "SYNC_MASTER":
			conf.Mode, conf.Copies = topology.ModeSync, 0
		case key == confDLedger && value == "true":
			conf.Mode, conf.Copies = topology.ModeDLedger, 0
		case key == confFlush && (value == "SYNC_FLUSH" || value == "ASYNC_FLUSH"):
			conf.Flush = value == "SYNC_FLUSH"
		case key == confCopies:
			conf.Copies, _ = strconv.Atoi(value)
		default:
			c.fail(wire.InvalidParameter, fmt.Sprintf("%s=%s cannot be set: known are %s, %s, %s, %s, %s",
				key, value, confRole, confFlush, confDLedger, confCopies, confMode))
			return
		}
	}
	if err := conf.Check(); err != nil {
		c.fail(wire.InvalidParameter, err.Error())
		return
	}
	c.f.view.SetGroup(name, conf, func(err error) {
		c.locked(func(core.Now) { c.outcome(a, err) })
	})
}

// getBrokerConfig takes code 26.
func (c *Conn) getBrokerConfig(now core.Now) {
	g := c.f.view.Group(c.group)
	role, flush := "ASYNC_MASTER", "ASYNC_FLUSH"
	if g.Mode == topology.ModeSync || g.Mode == topology.ModeStrict {
		role = "SYNC_MASTER"
	}
	if g.Flush {
		flush = "SYNC_FLUSH"
	}
	host, _ := strings.CutSuffix(c.w.Info().Local.String(), ":"+strconv.Itoa(int(c.local.Port)))
	lines := []string{"brokerClusterName=" + c.f.o.Cluster, "brokerName=" + g.Name, "brokerId=0",
		"brokerIP1=" + host, "listenPort=" + strconv.Itoa(int(c.local.Port)),
		confRole + "=" + role, confFlush + "=" + flush,
		confDLedger + "=" + strconv.FormatBool(g.Mode == topology.ModeDLedger),
		confCopies + "=" + strconv.Itoa(g.Policy().Copies), confMode + "=" + string(g.Mode),
		"autoCreateTopicEnable=" + strconv.FormatBool(!c.f.o.NoAuto), "autoCreateSubscriptionGroup=true",
		"brokerPermission=" + strconv.Itoa(g.Perm()),
		"defaultTopicQueueNums=" + strconv.Itoa(topology.QueuesTemplate),
		"maxMessageSize=" + strconv.Itoa(c.f.o.MessageMax), "fileReservedTime=72"}
	c.answer(wire.Success, "").Bytes("version", topology.Encode(dataVersion{Stamp: int64(now.Wall)}))
	c.endBody([]byte(strings.Join(lines, "\n") + "\n"))
}

// consumerConns takes code 203: a group's members in the whole cluster.
func (c *Conn) consumerConns(core.Now) {
	type conn struct {
		ID       string `json:"clientId"`
		Addr     string `json:"clientAddr"`
		Language string `json:"language"`
		Version  int    `json:"version"`
	}
	type data struct {
		ClassFilter bool     `json:"classFilterMode"`
		Codes       []int32  `json:"codeSet"`
		Kind        string   `json:"expressionType"`
		Sub         string   `json:"subString"`
		Version     int64    `json:"subVersion"`
		Tags        []string `json:"tagsSet"`
		Topic       string   `json:"topic"`
	}
	group := c.cmd.Str("consumerGroup")
	body := struct {
		Conns []conn          `json:"connectionSet"`
		From  string          `json:"consumeFromWhere"`
		Type  string          `json:"consumeType"`
		Model string          `json:"messageModel"`
		Subs  map[string]data `json:"subscriptionTable"`
	}{Subs: map[string]data{}}
	c.f.mu.RLock()
	if g := c.f.members.groups[group]; g != nil {
		for id, at := range g.clients {
			m := newest(at)
			body.Conns = append(body.Conns, conn{id, m.Addr, m.Lang, m.Ver})
			body.From, body.Type, body.Model = m.From, m.Type, m.Model
			for _, s := range m.Subs {
				d := data{Sub: s.Expression, Kind: s.Kind, Version: s.Version, Topic: s.Topic, Tags: s.Tags}
				for _, tag := range s.Tags {
					d.Codes = append(d.Codes, wire.TagHash([]byte(tag)))
				}
				body.Subs[s.Topic] = d
			}
		}
	}
	c.f.mu.RUnlock()
	if len(body.Conns) == 0 {
		if !c.afterSync() {
			c.fail(wire.ConsumerNotOnline, "the consumer group["+group+"] not online")
		}
		return
	}
	slices.SortFunc(body.Conns, func(a, b conn) int { return strings.Compare(a.ID, b.ID) })
	c.reply(body)
}

// newest gives what one of a client's connections said: that to the first node.
func newest(at map[core.NodeID]*consumer) *consumer {
	var best core.NodeID
	for n := range at {
		if best == 0 || n < best {
			best = n
		}
	}
	return at[best]
}

// producerConns takes code 204: the producers of a group that are connected here.
func (c *Conn) producerConns(core.Now) {
	group := c.cmd.Str("producerGroup")
	type conn struct {
		ID       string `json:"clientId"`
		Addr     string `json:"clientAddr"`
		Language string `json:"language"`
		Version  int    `json:"version"`
	}
	c.f.mu.RLock()
	var conns []conn
	for p, id := range c.f.members.producers[group] {
		conns = append(conns, conn{id.client, p.w.Info().Remote.String(), id.lang, id.version})
	}
	c.f.mu.RUnlock()
	if len(conns) == 0 {
		c.fail(wire.SystemError, "the producer group["+group+"] not exist")
		return
	}
	slices.SortFunc(conns, func(a, b conn) int { return strings.Compare(a.Addr, b.Addr) })
	c.reply(map[string]any{"connectionSet": conns})
}

// consumedByWho takes code 300: the groups that consume a topic, or did.
func (c *Conn) consumedByWho(core.Now) {
	topic := c.cmd.Str("topic")
	groups := c.f.offsets.groupsOf(topic)
	c.f.mu.RLock()
	for name, g := range c.f.members.groups {
		if g.filters[topic] != nil && !slices.Contains(groups, name) {
			groups = append(groups, name)
		}
	}
	c.f.mu.RUnlock()
	slices.Sort(groups)
	c.answer(wire.Success, "")
	c.endBody(append(wire.AppendStringList([]byte(`{"groupList":`), groups), '}'))
}

// topicsByConsumer takes code 343: the topics of which a group has consumed.
func (c *Conn) topicsByConsumer(core.Now) {
	group := c.cmd.Str("group")
	topics := c.f.offsets.topicsOf(group)
	c.f.mu.RLock()
	if g := c.f.members.groups[group]; g != nil {
		for t := range g.filters {
			if !slices.Contains(topics, t) {
				topics = append(topics, t)
			}
		}
	}
	c.f.mu.RUnlock()
	slices.Sort(topics)
	c.topicList(topics)
}

// runningInfo takes code 307: the client is asked, and its answer given.
func (c *Conn) runningInfo(core.Now) {
	client, group := c.cmd.Str("clientId"), c.cmd.Str("consumerGroup")
	c.f.mu.RLock()
	to := c.f.members.byID[client]
	c.f.mu.RUnlock()
	if to == nil {
		c.fail(wire.SystemError, fmt.Sprintf("the consumer <%s> <%s> not online", group, client))
		return
	}
	a, stacks := c.ask(), c.cmd.Bool("jstackEnable")
	answered := func(r *wire.Command) {
		code, remark, body := r.Code, string(r.Remark), slices.Clone(r.Body)
		c.f.after(0, func(core.Now) { // not under the other connection's lock
			c.locked(func(core.Now) {
				c.answerTo(a, code, remark)
				c.endBody(body)
			})
		})
	}
	c.f.after(0, func(core.Now) {
		to.locked(func(core.Now) {
			to.request(wire.ConsumerRunningInfo, func(w *wire.Writer) {
				w.Str("consumerGroup", group)
				w.Str("clientId", client)
				w.Bool("jstackEnable", stacks)
			}, nil, answered)
		})
	})
}
