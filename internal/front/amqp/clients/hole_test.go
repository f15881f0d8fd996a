package clients

import (
	"encoding/json"
	"errors"
	"testing"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
	amqp091 "github.com/rabbitmq/amqp091-go"
)

// TestRabbitHoleKeepsUsersHostsAndLimits sets and reads all of it with the client that
// Terraform's provider uses, which reads strictly.
func TestRabbitHoleKeepsUsersHostsAndLimits(t *testing.T) {
	h := gatedHouse(t)
	at := "http://" + h.api(t)
	c, err := rabbithole.NewClient(at, "guest", "guest")
	ok(t, err)

	_, err = c.PutVhost("v/1", rabbithole.VhostSettings{Description: "one", Tags: []string{"a", "b"},
		DefaultQueueType: "quorum"})
	ok(t, err)
	v, err := c.GetVhost("v/1")
	ok(t, err)
	if v.Description != "one" || len(v.Tags) != 2 || v.DefaultQueueType != "quorum" {
		t.Errorf("%+v", v)
	}
	_, err = c.PutUser("ann", rabbithole.UserSettings{Password: "secret", Tags: rabbithole.UserTags{"monitoring"}})
	ok(t, err)
	_, err = c.PutUser("hashed", rabbithole.UserSettings{Tags: rabbithole.UserTags{"management"},
		PasswordHash:     rabbithole.Base64EncodedSaltedPasswordHashSHA512("known"),
		HashingAlgorithm: rabbithole.HashingAlgorithmSHA512})
	ok(t, err)
	_, err = c.PutUserWithoutPassword("cert", rabbithole.UserSettings{Tags: rabbithole.UserTags{}})
	ok(t, err)
	for _, u := range [][2]string{{"ann", "secret"}, {"hashed", "known"}} {
		other, err := rabbithole.NewClient(at, u[0], u[1])
		ok(t, err)
		who, err := other.Whoami()
		ok(t, err)
		if who.Name != u[0] {
			t.Errorf("%+v", who)
		}
	}
	_, err = c.UpdatePermissionsIn("v/1", "ann", rabbithole.Permissions{Configure: "^a", Write: ".*", Read: "^a"})
	ok(t, err)
	_, err = c.UpdateTopicPermissionsIn("v/1", "ann",
		rabbithole.TopicPermissions{Exchange: "amq.topic", Write: "^{username}", Read: ".*"})
	ok(t, err)
	p, err := c.GetPermissionsIn("v/1", "ann")
	ok(t, err)
	topics, err := c.GetTopicPermissionsIn("v/1", "ann")
	ok(t, err)
	if p.Configure != "^a" || p.Vhost != "v/1" || len(topics) != 1 || topics[0].Write != "^{username}" {
		t.Errorf("%+v, %+v", p, topics)
	}
	_, err = c.PutVhostLimits("v/1", rabbithole.VhostLimitsValues{"max-connections": 1, "max-queues": 7})
	ok(t, err)
	_, err = c.PutUserLimits("ann", rabbithole.UserLimitsValues{"max-channels": 3})
	ok(t, err)
	hosts, err := c.GetVhostLimits("v/1")
	ok(t, err)
	users, err := c.GetUserLimits("ann")
	ok(t, err)
	if hosts[0].Value["max-queues"] != 7 || users[0].Value["max-channels"] != 3 {
		t.Errorf("%+v, %+v", hosts, users)
	}
	conn, err := amqp091.DialConfig("amqp://"+h.server.Addr().String(), amqp091.Config{Vhost: "v/1",
		SASL: []amqp091.Authentication{&amqp091.PlainAuth{Username: "ann", Password: "secret"}}})
	ok(t, err)
	declare(t, open(t, conn), "a-queue", nil)
	ok(t, conn.Close())
	q, err := c.GetQueue("v/1", "a-queue")
	ok(t, err)
	if q.Type != "quorum" {
		t.Errorf("%+v", q)
	}
	holeGoesOn(t, c)
}

// holeGoesOn moves what is there by definitions, and takes it away again.
func holeGoesOn(t *testing.T, c *rabbithole.Client) {
	_, err := c.PutGlobalParameter("g", map[string]any{"deep": []any{1, "x"}})
	ok(t, err)
	without, err := c.ListUsersWithoutPermissions()
	ok(t, err)
	if len(without) != 2 {
		t.Errorf("%+v", without)
	}
	defs, err := c.ListDefinitions()
	ok(t, err)
	if len(*defs.Users) != 4 || len(*defs.Vhosts) != 2 || len(*defs.Queues) != 1 ||
		len(*defs.TopicPermissions) != 1 || len(*defs.GlobalParameters) != 1 {
		b, _ := json.Marshal(defs)
		t.Errorf("%s", b)
	}
	one, err := c.ListVhostDefinitions("v/1")
	ok(t, err)
	_, err = c.PutVhost("v/2", rabbithole.VhostSettings{})
	ok(t, err)
	_, err = c.UploadVhostDefinitions(one, "v/2")
	ok(t, err)
	if q, err := c.GetQueue("v/2", "a-queue"); err != nil || q.Type != "quorum" {
		t.Errorf("%+v, %v", q, err)
	}
	_, err = c.DeleteVhostLimits("v/1", rabbithole.VhostLimits{"max-connections", "max-queues"})
	ok(t, err)
	_, err = c.DeleteUserLimits("ann", rabbithole.UserLimits{"max-channels"})
	ok(t, err)
	_, err = c.DeleteTopicPermissionsIn("v/1", "ann", "amq.topic")
	ok(t, err)
	_, err = c.ClearPermissionsIn("v/1", "ann")
	ok(t, err)
	_, err = c.BulkDeleteUsers([]string{"hashed", "cert"})
	ok(t, err)
	_, err = c.DeleteUser("ann")
	ok(t, err)
	_, err = c.DeleteVhost("v/1")
	ok(t, err)
	_, err = c.DeleteGlobalParameter("g")
	ok(t, err)
	_, err = c.GetVhost("v/1")
	var none rabbithole.ErrorResponse
	if !errors.As(err, &none) || none.StatusCode != 404 || none.Message != "Object Not Found" ||
		none.Reason != "Not Found" {
		t.Errorf("%#v", err)
	}
	left, err := c.ListUsers()
	ok(t, err)
	if len(left) != 1 {
		t.Errorf("%+v", left)
	}
}
