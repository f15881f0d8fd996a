package api

import (
	"errors"
	"net/url"
	"slices"
	"testing"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
	amqp091 "github.com/rabbitmq/amqp091-go"
)

// some are properties: the client leaves none out, and RabbitMQ insists on them.
var some = map[string]any{"delivery_mode": 2}

// hole gives RabbitMQ's client of its HTTP API, as Terraform's provider uses it.
func (s *stage) hole() *rabbithole.Client {
	s.t.Helper()
	c, err := rabbithole.NewClient(s.http.URL, "guest", "guest")
	s.must(err)
	return c
}

func TestRabbitHoleDeclaresBindsPublishesAndRemoves(t *testing.T) {
	s := newStage(t)
	c := s.hole()
	args := map[string]any{"x-max-length": 10, "x-queue-type": "quorum"}
	for _, want := range []int{201, 204} {
		r, err := c.DeclareQueue("/", "a/b", rabbithole.QueueSettings{Durable: true, Arguments: args})
		s.must(err)
		if r.StatusCode != want {
			t.Errorf("queue declared: status %d, want %d", r.StatusCode, want)
		}
		r, err = c.DeclareExchange("/", "x", rabbithole.ExchangeSettings{Type: "topic", Durable: true})
		s.must(err)
		if r.StatusCode != want {
			t.Errorf("exchange declared: status %d, want %d", r.StatusCode, want)
		}
	}
	_, err := c.DeclareQueue("/", "a/b", rabbithole.QueueSettings{Durable: false})
	var refused rabbithole.ErrorResponse
	if !errors.As(err, &refused) || refused.StatusCode != 400 || refused.Message != "bad_request" ||
		refused.Reason != "inequivalent arg 'durable' for queue 'a/b' in vhost '/': received 'false' but "+
			"current is 'true'" {
		t.Errorf("declared otherwise: %v", err)
	}
	b := rabbithole.BindingInfo{Source: "x", Destination: "a/b", DestinationType: "queue",
		RoutingKey: "k.#/~ é", Arguments: map[string]any{"n": 1}}
	r, err := c.DeclareBinding("/", b)
	s.must(err)
	at, err := url.PathUnescape(r.Header.Get("Location"))
	s.must(err)
	bs, err := c.ListQueueBindingsBetween("/", "x", "a/b")
	s.must(err)
	if len(bs) != 1 || bs[0].RoutingKey != b.RoutingKey || "a/b/"+bs[0].PropertiesKey != at {
		t.Fatalf("bindings %+v, made at %q", bs, at)
	}
	p, err := c.PublishToExchange("/", "x", rabbithole.PublishOptions{RoutingKey: "k.#/~ é",
		Payload: "hi", PayloadEncoding: "string", Properties: some})
	s.must(err)
	if !p.Routed {
		t.Error("the message found no queue")
	}
	q, err := c.GetQueue("/", "a/b")
	s.must(err)
	if q.Type != "quorum" || q.Messages != 1 || q.Leader == "" || len(q.Online) != 1 {
		t.Errorf("queue %+v", q)
	}
	_, err = c.DeleteBinding("/", bs[0])
	s.must(err)
	p, err = c.PublishToExchange("/", "x", rabbithole.PublishOptions{RoutingKey: "k", PayloadEncoding: "string",
		Properties: some})
	s.must(err)
	if p.Routed {
		t.Error("a binding that was removed routes")
	}
	_, err = c.PurgeQueue("/", "a/b")
	s.must(err)
	_, err = c.DeleteQueue("/", "a/b", rabbithole.QueueDeleteOptions{})
	s.must(err)
	_, err = c.DeleteExchange("/", "x")
	s.must(err)
	if _, err = c.GetQueue("/", "a/b"); !errors.As(err, &refused) || refused.StatusCode != 404 {
		t.Errorf("a queue that was deleted: %v", err)
	}
}

func TestRabbitHoleSeesClients(t *testing.T) {
	s := newStage(t)
	s.play()
	c := s.hole()
	conns, err := c.ListConnections()
	s.must(err)
	if len(conns) != 1 || conns[0].User != "guest" || conns[0].Channels != 3 || conns[0].RecvOct == 0 ||
		conns[0].SendOct == 0 {
		t.Fatalf("connections %+v", conns)
	}
	one, err := c.GetConnection(conns[0].Name)
	s.must(err)
	if one.Node != "trine@node1" || one.PeerPort == 0 {
		t.Errorf("connection %+v", one)
	}
	chans, err := c.ListChannels()
	s.must(err)
	if len(chans) != 3 || !chans[0].UsesPublisherConfirms || chans[1].ConsumerCount != 2 {
		t.Errorf("channels %+v", chans)
	}
	cs, err := c.ListConsumersIn("/")
	s.must(err)
	if len(cs) != 2 || cs[0].ConsumerTag != "ctag-cap-c" || cs[0].PrefetchCount != 5 {
		t.Errorf("consumers %+v", cs)
	}
	_, err = c.CloseConnection(conns[0].Name)
	s.must(err)
	if e := <-s.conn.NotifyClose(make(chan *amqp091.Error, 1)); e != nil && e.Code != 320 {
		t.Errorf("the client was told %v", e)
	}
}

func TestAnOperatorsPolicyCaps(t *testing.T) {
	s := newStage(t)
	c := s.hole()
	_, err := c.PutPolicy("/", "mine", rabbithole.Policy{Pattern: "^q", ApplyTo: "queues",
		Definition: map[string]any{"max-length": 100, "message-ttl": 5, "overflow": "drop-head"}})
	s.must(err)
	_, err = c.PutOperatorPolicy("/", "theirs", rabbithole.OperatorPolicy{Pattern: "^q", ApplyTo: "queues",
		Definition: map[string]any{"max-length": 10, "message-ttl": 1000, "overflow": "reject-publish"}})
	s.must(err)
	_, err = c.DeclareQueue("/", "q", rabbithole.QueueSettings{Durable: true,
		Arguments: map[string]any{"x-message-ttl": 60000}})
	s.must(err)
	o := s.get("queues/%2F/q").(object)
	d := o["effective_policy_definition"].(object)
	if o["policy"] != "mine" || o["operator_policy"] != "theirs" || d["max-length"] != float64(10) ||
		d["message-ttl"] != float64(5) || d["overflow"] != "reject-publish" {
		t.Errorf("in force: %v", o)
	}
	r := s.api.f.View().Queue("/", "q").Stream.Queue
	if r.LengthMax != 10 || r.TTLMs != 5 || r.DropHead {
		t.Errorf("the queue follows %+v", r)
	}
	_, err = c.PutOperatorPolicy("/", "bad", rabbithole.OperatorPolicy{Pattern: "^q", ApplyTo: "queues",
		Definition: map[string]any{"dead-letter-exchange": "x"}})
	if err == nil {
		t.Error("an operator's policy took what only users' policies may say")
	}
	ps, err := c.ListOperatorPoliciesIn("/")
	s.must(err)
	if len(ps) != 1 || ps[0].Name != "theirs" {
		t.Errorf("operators' policies: %v", ps)
	}
}

func TestAnAlternateExchangeIsAPolicyToo(t *testing.T) {
	s := newStage(t)
	c := s.hole()
	_, err := c.DeclareExchange("/", "x", rabbithole.ExchangeSettings{Type: "direct", Durable: true})
	s.must(err)
	_, err = c.DeclareQueue("/", "lost", rabbithole.QueueSettings{Durable: true})
	s.must(err)
	_, err = c.DeclareBinding("/", rabbithole.BindingInfo{Source: "amq.fanout", Destination: "lost",
		DestinationType: "queue"})
	s.must(err)
	_, err = c.PutPolicy("/", "ae", rabbithole.Policy{Pattern: "^x$", ApplyTo: "exchanges",
		Definition: map[string]any{"alternate-exchange": "amq.fanout"}})
	s.must(err)
	for _, want := range []bool{true, false} {
		p, err := c.PublishToExchange("/", "x", rabbithole.PublishOptions{RoutingKey: "k",
			PayloadEncoding: "string", Properties: some})
		s.must(err)
		if p.Routed != want {
			t.Errorf("routed %v, want %v", p.Routed, want)
		}
		_, err = c.DeletePolicy("/", "ae")
		s.must(err)
	}
}

func TestListsArePagedSortedAndCut(t *testing.T) {
	s := newStage(t)
	c := s.hole()
	for _, name := range []string{"b-2", "a-1", "c", "B-1"} {
		_, err := c.DeclareQueue("/", name, rabbithole.QueueSettings{Durable: true})
		s.must(err)
	}
	p, err := c.PagedListQueuesWithParametersIn("/", url.Values{"page": {"1"}, "page_size": {"2"},
		"name": {"^b-"}, "use_regex": {"true"}})
	s.must(err)
	if p.TotalCount != 4 || p.FilteredCount != 2 || p.PageCount != 1 || len(p.Items) != 2 {
		t.Errorf("page %+v", p)
	}
	names := func(path string) (all []string) {
		for _, o := range s.get(path).([]any) {
			if len(o.(object)) != 1 {
				t.Errorf("%s: %v", path, o)
			}
			all = append(all, o.(object)["name"].(string))
		}
		return all
	}
	if got := names("queues?sort=name&sort_reverse=true&columns=name"); !slices.Equal(got,
		[]string{"c", "b-2", "a-1", "B-1"}) {
		t.Errorf("sorted: %v", got)
	}
	for range 3 {
		_, err = c.PublishToExchange("/", "amq.default", rabbithole.PublishOptions{RoutingKey: "c",
			PayloadEncoding: "string", Properties: some})
		s.must(err)
	}
	if got := names("queues?sort=messages&columns=name"); got[3] != "c" {
		t.Errorf("sorted by length: %v", got)
	}
	if code, v, _ := s.ask("GET", "queues?page=9", nil); code != 400 ||
		v.(object)["error"] != "page_out_of_range" {
		t.Errorf("a page that is not there: %d %v", code, v)
	}
}

func TestRabbitHoleAsksForHealth(t *testing.T) {
	s := newStage(t)
	c := s.hole()
	for name, ask := range map[string]func() (rabbithole.HealthCheckStatus, error){
		"virtual-hosts": c.HealthCheckVirtualHosts, "quorum": c.HealthCheckNodeIsQuorumCritical,
		"mirrors": c.HealthCheckNodeIsMirrorSyncCritical} {
		if r, err := ask(); err != nil || !r.Ok() {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if r, err := c.HealthCheckAlarms(); err != nil || !r.Ok() {
		t.Errorf("alarms: %+v, %v", r, err)
	}
	if r, err := c.HealthCheckPortListener(9); err != nil || r.Ok() || r.Missing != 9 {
		t.Errorf("a port that nobody listens on: %+v, %v", r, err)
	}
}
