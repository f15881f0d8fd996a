package clients

import (
	"testing"

	"trine/internal/core"
	"trine/internal/front/amqp"
	"trine/internal/seamtest"
)

// told consumes and gives where it is told that this is over.
func told(t *testing.T, h *house, q, tag string, args table) <-chan string {
	t.Helper()
	ch := h.channel()
	cancels := ch.NotifyCancel(make(chan string, 1))
	_, err := ch.Consume(q, tag, false, false, false, false, args)
	ok(t, err)
	return cancels
}

func TestConsumersAreToldWhenTheirQueueGoes(t *testing.T) {
	for kind, args := range map[string]table{"classic": nil, "quorum": {"x-queue-type": "quorum"}} {
		h := newHouse(t, amqp.Options{})
		ch := h.channel()
		declare(t, ch, "q", args)
		cancels := told(t, h, "q", "theirs", nil)
		_, err := ch.QueueDelete("q", false, false, false)
		ok(t, err)
		if tag := receive(t, cancels); tag != "theirs" {
			t.Errorf("%s: %s", kind, tag)
		}
	}
}

func TestConsumersOfAnExclusiveQueueAreToldByItsEndAlone(t *testing.T) {
	h := newHouse(t, amqp.Options{})
	conn := h.dial()
	owner := open(t, conn)
	_, err := owner.QueueDeclare("q", false, false, true, false, nil)
	ok(t, err)
	second := open(t, conn)
	cancels := second.NotifyCancel(make(chan string, 1))
	_, err = second.Consume("q", "mine", false, false, false, false, nil)
	ok(t, err)
	ok(t, owner.Close())
	nothing(t, cancels)
	_, err = open(t, conn).QueueDelete("q", false, false, false)
	ok(t, err)
	if tag := receive(t, cancels); tag != "mine" {
		t.Error(tag)
	}
}

func TestConsumersThatAskEndWithTheirQueuesLeader(t *testing.T) {
	h := newHouse(t, amqp.Options{}, seamtest.Nodes(3))
	declare(t, h.channel(), "q", nil)
	ending := told(t, h, "q", "ending", table{"x-cancel-on-ha-failover": true})
	staying := told(t, h, "q", "staying", nil)
	done := make(chan error, 1)
	h.broker.Cluster().Move("amqp/q/%2F/q", []core.NodeID{2}, func(err error) { done <- err })
	ok(t, receive(t, done))
	if tag := receive(t, ending); tag != "ending" {
		t.Error(tag)
	}
	nothing(t, staying)
}
