package clients

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/front/amqp"
	"trine/internal/front/amqp/topology"
	"trine/internal/front/gate"
	"trine/internal/seamtest"
)

// late is a seam whose node learns of changes only when it asks what was agreed.
type late struct {
	*seamtest.Broker
	changes []core.Change
}

type lateCluster struct {
	front.Cluster
	l *late
}

func (l *late) Cluster() front.Cluster { return lateCluster{l.Broker.Cluster(), l} }

func (c lateCluster) Sync(done func(error)) {
	c.l.Broker.Cluster().Put(c.l.changes, func(core.Revision, error) {
		c.Cluster.Sync(done)
	})
}

// TestNobodyIsRefusedForWhatAnotherNodeKnows: a user and a virtual host that were made
// through another node a moment ago are there when a client logs in.
func TestNobodyIsRefusedForWhatAnotherNodeKnows(t *testing.T) {
	b := seamtest.New(seamtest.RealTime())
	g, err := gate.New(b.Cluster(), gate.Options{})
	ok(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ok(t, g.Await(ctx))
	user, err := gate.PutUser(gate.Account{Name: "ann"}, "secret", rand.Reader)
	ok(t, err)
	permit, err := gate.Permit("ann", "new", gate.Permission{})
	ok(t, err)
	l := &late{b, []core.Change{user}}
	h := houseOnSeam(t, l, b, amqp.Options{Gate: g})
	dial := func(password, host string) error {
		c, err := amqp091.DialConfig("amqp://"+h.server.Addr().String(), amqp091.Config{Vhost: host,
			SASL: []amqp091.Authentication{&amqp091.PlainAuth{Username: "ann", Password: password}}})
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	if err := dial("secret", "new"); said(err) != "530 NOT_ALLOWED - vhost new not found" {
		t.Errorf("a user who has come, a host that has not: %v", err)
	}
	l.changes = []core.Change{topology.PutHost("new", topology.HostDoc{}), permit}
	ok(t, dial("secret", "new"))
	if err := dial("other", "new"); said(err) != "403 username or password not allowed" {
		t.Errorf("another password: %v", err)
	}
}
