package api

import (
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

func TestRatesFollowWhatPasses(t *testing.T) {
	s := newStage(t)
	p := s.dial()
	s.must(p.Confirm(false))
	_, err := p.QueueDeclare("q", true, false, false, false, nil)
	s.must(err)
	s.must(p.QueueBind("q", "k", "amq.direct", false, nil))
	publish := func(n int, key string) {
		t.Helper()
		for range n {
			d, err := p.PublishWithDeferredConfirm("amq.direct", key, false, false, amqp091.Publishing{})
			s.must(err)
			d.Wait()
		}
	}
	s.pass()
	publish(50, "k")
	publish(5, "nowhere")
	s.pass()
	of := func(path, key string) any { return dotted(s.get(path).(object), key) }
	for _, c := range []struct {
		path, key string
		want      float64
	}{
		{"queues/%2F/q", "message_stats.publish", 50},
		{"queues/%2F/q", "message_stats.publish_details.rate", 10},
		{"exchanges/%2F/amq.direct", "message_stats.publish_in", 55},
		{"exchanges/%2F/amq.direct", "message_stats.publish_in_details.rate", 11},
		{"exchanges/%2F/amq.direct", "message_stats.publish_out_details.rate", 10},
		{"overview", "message_stats.publish_details.rate", 11},
		{"overview", "message_stats.confirm_details.rate", 11},
		{"overview", "message_stats.drop_unroutable_details.rate", 1},
		{"overview", "churn_rates.queue_declared", 1},
	} {
		if got := of(c.path, c.key); got != c.want {
			t.Errorf("%s: %s is %v, want %v", c.path, c.key, got, c.want)
		}
	}
	lent, err := s.dial().Consume("q", "", false, false, false, false, nil)
	s.must(err)
	for range 25 {
		s.must((<-lent).Ack(false))
	}
	m, ok, err := p.Get("q", true)
	s.must(err)
	if ok {
		t.Fatalf("a consumer without a limit left %v", m)
	}
	for of("queues/%2F/q", "message_stats.ack") != float64(25) { // an ack has no answer
		time.Sleep(time.Millisecond)
	}
	s.pass()
	for key, want := range map[string]float64{"deliver": 50, "deliver_details.rate": 10, "ack": 25,
		"ack_details.rate": 5, "get_empty": 1, "deliver_get_details.rate": 10, "redeliver": 0,
		"publish_details.rate": 0} {
		if got := of("queues/%2F/q", "message_stats."+key); got != want {
			t.Errorf("after delivery: %s is %v, want %v", key, got, want)
		}
	}
	if of("queues/%2F/q", "messages_unacknowledged") != float64(25) {
		t.Error("what is not acknowledged is not counted")
	}
	d := of("queues/%2F/q?msg_rates_age=10&msg_rates_incr=5", "message_stats.publish_details").(object)
	if l := d["samples"].([]any); len(l) != 3 || l[0].(object)["sample"] != float64(50) ||
		l[2].(object)["sample"] != float64(0) || d["avg_rate"] != float64(5) {
		t.Errorf("samples of ten seconds: %v", d)
	}
}

func TestWhatIsGoneOrAtRestHasNoSamples(t *testing.T) {
	s := newStage(t)
	ch := s.dial()
	_, err := ch.QueueDeclare("q", true, false, false, false, nil)
	s.must(err)
	s.must(ch.Publish("", "q", false, false, amqp091.Publishing{}))
	_, err = ch.QueueDelete("q", false, false, false)
	s.must(err)
	s.must(ch.Close())
	s.pass()
	if a, b := len(s.api.sampler.tallies), len(s.api.sampler.channels); a > 1 || b != 0 {
		t.Errorf("series of %d things and %d channels, beside the default exchange", a, b)
	}
}
