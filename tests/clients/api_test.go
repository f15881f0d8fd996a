package clients

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
	amqp091 "github.com/rabbitmq/amqp091-go"
)

// TestAnyNodeAnswersForTheCluster asks each node for what only node 2 knows: who is connected to it, and what passed
// through it.
func TestAnyNodeAnswersForTheCluster(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	conn, err := amqp091.DialConfig("amqp://guest:guest@"+hosts[1]+":5672/",
		amqp091.Config{Properties: amqp091.Table{"connection_name": "asked-for"}})
	must(err)
	defer conn.Close()
	ch, err := conn.Channel()
	must(err)
	q, err := ch.QueueDeclare("asked-for", true, false, false, false, nil)
	must(err)
	must(ch.Confirm(false))
	lent, err := ch.Consume(q.Name, "asked", false, false, false, false, nil)
	must(err)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for range 10 {
		d, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", q.Name, false, false, amqp091.Publishing{})
		must(err)
		_, err = d.WaitContext(ctx)
		must(err)
		<-lent
	}
	var name string
	for i, host := range hosts {
		c, err := rabbithole.NewClient("http://"+host+":15672", "guest", "guest")
		must(err)
		conns, err := c.ListConnections()
		must(err)
		name = ""
		for _, o := range conns {
			if o.ClientProperties["connection_name"] == "asked-for" && o.Node == "trine@node2" {
				name = o.Name
			}
		}
		got, err := c.GetQueue("/", q.Name)
		must(err)
		info := fmt.Sprintf("node %d: %q, queue %+v", i+1, name, got)
		if name == "" || got.MessageStats == nil || got.MessageStats.Publish != 10 ||
			got.MessageStats.Deliver != 10 || got.MessagesUnacknowledged != 10 ||
			len(*got.ConsumerDetails) != 1 || (*got.ConsumerDetails)[0].ChannelDetails.Node != "trine@node2" {
			t.Error(info)
		}
		nodes, err := c.ListNodes()
		must(err)
		for _, n := range nodes {
			if !n.IsRunning || n.Uptime == 0 || n.MemUsed == 0 || n.DiskFree == 0 {
				t.Errorf("node %d says of %s: %+v", i+1, n.Name, n)
			}
		}
		o, err := c.Overview()
		must(err)
		ports := map[string]int{}
		for _, l := range o.Listeners {
			ports[l.Protocol]++
		}
		if ports["amqp"] != 3 || ports["http"] != 3 {
			t.Errorf("node %d: listeners %v", i+1, o.Listeners)
		}
		if r, err := c.HealthCheckPortListener(5672); err != nil || !r.Ok() {
			t.Errorf("node %d: port 5672: %+v, %v", i+1, r, err)
		}
	}
	gone := conn.NotifyClose(make(chan *amqp091.Error, 1))
	c, err := rabbithole.NewClient("http://"+hosts[0]+":15672", "guest", "guest")
	must(err)
	_, err = c.CloseConnection(name)
	must(err)
	select {
	case e := <-gone:
		if e == nil || e.Code != 320 || !strings.Contains(e.Reason, "Closed via management plugin") {
			t.Errorf("the client was told %v", e)
		}
	case <-ctx.Done():
		t.Error("node 1 did not close a connection of node 2's")
	}
	_, err = c.DeleteQueue("/", q.Name)
	must(err)
}
