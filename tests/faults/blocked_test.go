package faults

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// TestPublishersWithoutConfirmsAreBlockedWhileTheDiskIsFull: nobody would tell them that
// what they publish is lost, so they wait, and nothing is.
func TestPublishersWithoutConfirmsAreBlockedWhileTheDiskIsFull(t *testing.T) {
	data := t.TempDir()
	onSmallDisk(t, filepath.Join(data, "node-1"))
	c := devOn(t, data, 1)
	conn, err := amqp.Dial("amqp://guest:guest@" + c.Hosts[0] + ":5672/")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare("q", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	told := conn.NotifyBlocked(make(chan amqp.Blocking, 2))
	publish := func(n int) {
		t.Helper()
		if err := ch.Publish("", "q", false, false, amqp.Publishing{DeliveryMode: amqp.Persistent,
			Body: []byte(fmt.Sprintf("message %05d", n))}); err != nil {
			t.Fatal(err)
		}
	}
	await := func(active bool) {
		t.Helper()
		select {
		case b := <-told:
			if b.Active != active || active && b.Reason != "low on disk" {
				t.Fatalf("%+v", b)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("nobody was told: blocked %v", active)
		}
	}
	publish(0)
	free := fill(t, c.Node(1), 8<<20)
	time.Sleep(500 * time.Millisecond) // the node looks ten times a second
	for n := range 200 {
		publish(n + 1)
	}
	await(true)
	other := channel(t, c.Hosts[0]) // consumers go on
	if got := peek(t, c.Hosts[0], "q", 1); got[0] != "message 00000" {
		t.Fatal(got)
	}
	free()
	await(false)
	same(t, "once there is room", peek(t, c.Hosts[0], "q", 201), lines(0, 201))
	other.Close()
}
