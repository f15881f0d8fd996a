package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"trine/internal/core"
	"trine/internal/front/amqp/direct"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/amqp/wire"
)

// queueRoutes are the paths of this file.
var queueRoutes = []route{
	{"GET", "queues", managers, false, (*server).queues},
	{"GET", "queues/detailed", managers, false, (*server).queues},
	{"GET", "queues/*", managers, true, (*server).queues},
	{"GET", "queues/*/*", managers, true, (*server).queue},
	{"PUT", "queues/*/*", managers, true, (*server).putQueue},
	{"DELETE", "queues/*/*", managers, true, (*server).removeQueue},
	{"DELETE", "queues/*/*/contents", managers, true, (*server).purgeQueue},
	{"POST", "queues/*/*/actions", administrators, true, (*server).queueAction},
}

// early are the keys of a queue that cost nothing to know.
var early = []string{"name", "vhost", "type", "durable", "auto_delete", "exclusive", "arguments",
	"node", "state", "policy", "operator_policy", "effective_policy_definition", "leader", "members",
	"online", "slave_nodes", "synchronised_slave_nodes"}

// basic is a queue as the catalog has it.
func (s *server) basic(q *topology.QueueInfo, alive map[core.NodeID]bool) object {
	kind := q.Kind
	if kind == "mirrored" {
		kind = topology.Classic
	}
	o := object{"name": q.Name, "vhost": q.VHost, "type": kind, "durable": q.Durable,
		"exclusive": q.Exclusive, "auto_delete": q.AutoDelete, "arguments": q.Arguments,
		"node": topology.NodeName(q.Stream.Leader), "state": s.state(q, alive),
		"effective_policy_definition": q.Definition,
		"trine_kind":                  q.Kind, "trine_stream": q.Stream.Name}
	if q.Stream.Leader == 0 {
		o["node"] = nil
	}
	if q.Policy != "" {
		o["policy"] = q.Policy
	}
	if q.Operator != "" {
		o["operator_policy"] = q.Operator
	}
	leader, members, online, slaves, synced := o["node"], []string{}, []string{}, []string{}, []string{}
	for _, m := range q.Stream.Members {
		name := topology.NodeName(m.Node)
		members = append(members, name)
		if alive[m.Node] {
			online = append(online, name)
		}
		if m.Node != q.Stream.Leader {
			slaves = append(slaves, name)
			if m.InSync {
				synced = append(synced, name)
			}
		}
	}
	if q.Kind == topology.Classic {
		return o
	}
	o["leader"], o["members"], o["online"] = leader, members, online
	if q.Kind == "mirrored" {
		o["slave_nodes"], o["synchronised_slave_nodes"] = slaves, synced
	}
	return o
}

// state says how a queue is, in RabbitMQ's words.
func (s *server) state(q *topology.QueueInfo, alive map[core.NodeID]bool) string {
	up := 0
	for _, m := range q.Stream.Members {
		if alive[m.Node] {
			up++
		}
	}
	switch {
	case q.Stream.Policy.Election == core.ElectMajority && up <= len(q.Stream.Members)/2:
		return "minority"
	case q.Stream.Leader == 0 || !alive[q.Stream.Leader]:
		return "down"
	case q.Stream.Changing:
		return "syncing"
	}
	return "running"
}

func (s *server) alive() map[core.NodeID]bool {
	m := map[core.NodeID]bool{}
	for _, n := range s.f.Core().Cluster().Nodes() {
		m[n.Node] = n.Alive
	}
	return m
}

// known are the queues that a request is about, and their counts once filled.
type known struct {
	s       *server
	c       *call
	streams map[string]core.StreamID // by virtual host, 0, name
	single  map[core.StreamID]bool   // one active consumer at a time
	infos   map[core.StreamID]core.QueueInfo
	rates   span
	lengths span
}

func keyOf(o object) string {
	host, _ := o["vhost"].(string)
	name, _ := o["name"].(string)
	return host + "\x00" + name
}

func (s *server) queues(c *call) (any, error) {
	l, err := c.paged()
	if err != nil {
		return nil, err
	}
	host := c.arg(1)
	if host == "detailed" && len(c.path) == 2 && !s.f.View().HasHost(host) {
		host = ""
	}
	k, all, err := s.listed(c, host)
	if err != nil {
		return nil, err
	}
	if c.URL.Query().Get("disable_stats") == "true" {
		return l.reply(all, early, k.totals)
	}
	return l.reply(all, early, k.fill)
}

func (s *server) listed(c *call, host string) (*known, []object, error) {
	k := &known{s: s, c: c, streams: map[string]core.StreamID{}, single: map[core.StreamID]bool{}}
	var err error
	if k.rates, err = c.span("msg_rates"); err != nil {
		return nil, nil, err
	}
	if k.lengths, err = c.span("lengths"); err != nil {
		return nil, nil, err
	}
	all, alive := []object{}, s.alive()
	for _, q := range s.f.View().Queues(host) {
		if host == "" && !s.sees(c, q.VHost) {
			continue
		}
		o := s.basic(&q, alive)
		k.streams[keyOf(o)] = q.Stream.ID
		if r := q.Stream.Queue; r != nil {
			k.single[q.Stream.ID] = r.SingleActive
			if q.Kind == topology.Quorum {
				o["delivery_limit"] = deliveryLimit(r.DeliveryLimit)
				o["single_active_consumer_tag"] = nil
			}
		}
		all = append(all, o)
	}
	return k, all, nil
}

// totals fills in how many messages there are, where no more is wanted.
func (k *known) totals(all []object) {
	if k.c.URL.Query().Get("enable_queue_totals") != "true" {
		return
	}
	k.inspect(all)
	for _, o := range all {
		if i, ok := k.infos[k.streams[keyOf(o)]]; ok {
			o["messages"], o["messages_ready"] = i.Ready+i.Lent, i.Ready
			o["messages_unacknowledged"] = i.Lent
		}
	}
}

func (k *known) inspect(all []object) {
	ids := make([]core.StreamID, len(all))
	for i, o := range all {
		ids[i] = k.streams[keyOf(o)]
	}
	k.infos = k.s.inspectAll(k.c, ids)
}

// fill adds what queues know and what passed through them.
func (k *known) fill(all []object) {
	k.inspect(all)
	stats := map[string]*stat{}
	for _, p := range k.s.gather(k.c, "queues") {
		for name, st := range p.Queues {
			if have := stats[name]; have != nil {
				have.add(&st)
			} else {
				stats[name] = &st
			}
		}
	}
	for _, o := range all {
		key := keyOf(o)
		id := k.streams[key]
		if i, ok := k.infos[id]; ok {
			k.s.counts(o, id, &i, k.single[id])
		}
		if st := stats[key]; st != nil {
			if m := st.messages(k.rates, published, deliveries); m != nil {
				o["message_stats"] = m
			}
		}
	}
}

// What a queue costs its leader's memory: an estimate of what is at rest, of a
// consumer and of a message that is lent.
const (
	queueBytes    = 4 << 10
	consumerBytes = 512
	lentBytes     = 128
)

// counts adds what a queue says of itself.
func (s *server) counts(o object, id core.StreamID, i *core.QueueInfo, single bool) {
	o["messages_ready"], o["messages_unacknowledged"] = i.Ready, i.Lent
	o["messages"], o["consumers"] = i.Ready+i.Lent, len(i.Consumers)
	o["message_bytes_ready"], o["message_bytes"] = i.Bytes, i.Bytes
	o["memory"] = queueBytes + int64(len(i.Consumers))*consumerBytes + i.Lent*lentBytes
	o["messages_persistent"] = 0
	if o["durable"] == true {
		o["messages_persistent"] = i.Ready + i.Lent
	}
	capacity := 0.0
	for _, c := range i.Consumers {
		if c.Credit > 0 {
			capacity = 1 // somebody could take more
		}
		if c.Active && single {
			o["single_active_consumer_tag"] = c.Tag
		}
	}
	o["consumer_capacity"], o["consumer_utilisation"] = capacity, capacity
	rate := s.lengths.rate(id, time.Now(), i)
	o["messages_details"] = object{"rate": rate[0] + rate[1]}
	o["messages_ready_details"] = object{"rate": rate[0]}
	o["messages_unacknowledged_details"] = object{"rate": rate[1]}
}

// deliveryLimit shows a limit as RabbitMQ does.
func deliveryLimit(n int32) any {
	if n < 0 {
		return "unlimited"
	}
	return n
}

// inspectAll asks queues for their counts, all at once; those that do not answer soon
// are left out.
func (s *server) inspectAll(c *call, ids []core.StreamID) map[core.StreamID]core.QueueInfo {
	type outcome struct {
		id core.StreamID
		core.QueueInfo
		err error
	}
	told := make(chan outcome, len(ids))
	for _, id := range ids {
		s.f.Core().Queue().Inspect(id, func(i core.QueueInfo, err error) { told <- outcome{id, i, err} })
	}
	ctx, cancel := context.WithTimeout(c.Context(), inspectMax)
	defer cancel()
	infos := map[core.StreamID]core.QueueInfo{}
	for range ids {
		select {
		case o := <-told:
			if o.err == nil {
				infos[o.id] = o.QueueInfo
			}
		case <-ctx.Done():
			return infos
		}
	}
	return infos
}

func (s *server) queue(c *call) (any, error) {
	k, all, err := s.listed(c, c.arg(1))
	if err != nil {
		return nil, err
	}
	all = with(all, "name", c.arg(2))
	if len(all) == 0 {
		return nil, errNone
	}
	o := all[0]
	if c.URL.Query().Get("disable_stats") == "true" {
		k.totals(all)
	} else {
		k.fill(all)
		s.detail(c, o)
	}
	l, err := c.paged()
	if err != nil {
		return nil, err
	}
	if l.columns != nil {
		o = only(o, l.columns)
	}
	return o, nil
}

// detail adds who consumes from a queue.
func (s *server) detail(c *call, o object) {
	o["consumer_details"] = slices.DeleteFunc(s.allConsumers(c), func(cs object) bool {
		return dotted(cs, "queue.name") != o["name"] || dotted(cs, "queue.vhost") != o["vhost"]
	})
	o["incoming"], o["deliveries"] = []object{}, []object{}
	if _, ok := o["single_active_consumer_tag"]; !ok {
		o["single_active_consumer_tag"] = nil
	}
	o["exclusive_consumer_tag"] = nil
	for _, cs := range o["consumer_details"].([]object) {
		if cs["exclusive"] == true {
			o["exclusive_consumer_tag"] = cs["consumer_tag"]
		}
	}
}

// putQueue declares a queue: 201 where it is new, 204 where it was there.
func (s *server) putQueue(c *call) (any, error) {
	b, err := c.body()
	if err != nil {
		return nil, err
	}
	args, err := table(b["arguments"])
	if err != nil {
		return nil, err
	}
	if len(c.arg(2)) > wire.ShortMax {
		return nil, bad("queue name is too long")
	}
	there := s.f.View().Queue(c.arg(1), c.arg(2)) != nil
	return nil, s.declare(c, there, &wire.QueueDeclare{Queue: c.arg(2), Durable: flag(b, "durable"),
		AutoDelete: flag(b, "auto_delete"), Arguments: args})
}

// declare carries out a method that makes something.
func (s *server) declare(c *call, there bool, m wire.Method) error {
	if err := s.direct(c, m); err != nil {
		return err
	}
	if there {
		return done
	}
	return created
}

// direct carries out one method for the user.
func (s *server) direct(c *call, m wire.Method) error {
	d := direct.Open(s.f, c.User, c.arg(1), c.info())
	defer d.Close()
	ctx, cancel := context.WithTimeout(c.Context(), answerMax)
	defer cancel()
	_, err := d.Call(ctx, m)
	return fromBroker(err)
}

func (s *server) removeQueue(c *call) (any, error) {
	if s.f.View().Queue(c.arg(1), c.arg(2)) == nil {
		return nil, errNone
	}
	q := c.URL.Query()
	if err := s.direct(c, &wire.QueueDelete{Queue: c.arg(2), IfUnused: q.Get("if-unused") == "true",
		IfEmpty: q.Get("if-empty") == "true"}); err != nil {
		return nil, err
	}
	return nil, done
}

func (s *server) purgeQueue(c *call) (any, error) {
	if s.f.View().Queue(c.arg(1), c.arg(2)) == nil {
		return nil, errNone
	}
	if err := s.direct(c, &wire.QueuePurge{Queue: c.arg(2)}); err != nil {
		return nil, err
	}
	return nil, done
}

// queueAction refuses: mirrors fill by themselves, so that sync and cancel_sync have
// nothing to do, as in RabbitMQ since it has no mirrors.
func (s *server) queueAction(c *call) (any, error) {
	if s.f.View().Queue(c.arg(1), c.arg(2)) == nil {
		return nil, notFound("queue_not_found")
	}
	b, err := c.body("action")
	if err != nil {
		return nil, err
	}
	switch a := text(b, "action"); a {
	case "sync", "cancel_sync":
		return nil, &failure{status: http.StatusNoContent}
	default:
		return nil, bad([]string{"unknown", a})
	}
}
