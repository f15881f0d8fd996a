package main

import (
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// TestANodeStartsWithDefinitions: what RabbitMQ exported is there once the node serves.
func TestANodeStartsWithDefinitions(t *testing.T) {
	const file = "../../internal/front/amqp/clients/testdata/definitions/rabbitmq-4.0.5.json"
	p := startOn(t, "127.0.65.1", "--definitions", file)
	for end := time.Now().Add(scriptMax); !strings.Contains(p.log(), "definitions are imported"); {
		if time.Now().After(end) {
			t.Fatal("they are not imported")
		}
		time.Sleep(20 * time.Millisecond)
	}
	conn, err := amqp091.Dial("amqp://ann:secret@" + p.at["amqp"] + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if q, err := ch.QueueDeclarePassive("t.all", true, false, false, false, nil); err != nil || q.Messages != 0 {
		t.Errorf("%+v, %v", q, err)
	}
}
