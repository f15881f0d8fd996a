package api

import (
	"net/http"
	"strconv"

	"trine/internal/front/amqp/topology"
)

// span is how many samples a request wants of counts and of lengths: RabbitMQ's
// parameters msg_rates_age, msg_rates_incr, lengths_age and lengths_incr, in seconds.
type span struct {
	age, every int64 // 0: none
}

// spanMax bounds what may be asked for.
const spanMax = 24 * 3600

func (c *call) span(name string) (span, error) {
	q := c.URL.Query()
	age, every := q.Get(name+"_age"), q.Get(name+"_incr")
	if age == "" || every == "" {
		return span{}, nil
	}
	a, err1 := strconv.ParseInt(age, 10, 64)
	e, err2 := strconv.ParseInt(every, 10, 64)
	if err1 != nil || err2 != nil || e <= 0 || a <= 0 || a > spanMax || a/e > 1000 {
		return span{}, called(http.StatusBadRequest, "bad_request",
			"Invalid range parameters: age "+age+", incr "+every)
	}
	return span{a, e}, nil
}

// figure is one of the counts as RabbitMQ names it.
type figure struct {
	name string
	of   []topology.Count
}

// The figures of queues, of exchanges, of channels and of nodes.
var (
	deliveries = []figure{{"deliver", []topology.Count{topology.Delivered}},
		{"deliver_no_ack", []topology.Count{topology.DeliveredAll}},
		{"get", []topology.Count{topology.Got}}, {"get_no_ack", []topology.Count{topology.GotAll}},
		{"get_empty", []topology.Count{topology.GotNothing}},
		{"redeliver", []topology.Count{topology.Again}}, {"ack", []topology.Count{topology.Acked}},
		{"deliver_get", []topology.Count{topology.Delivered, topology.DeliveredAll, topology.Got,
			topology.GotAll}}}
	published = []figure{{"publish", []topology.Count{topology.Published}}}
	outcomes  = []figure{{"confirm", []topology.Count{topology.Confirmed}},
		{"return_unroutable", []topology.Count{topology.Returned}},
		{"drop_unroutable", []topology.Count{topology.Dropped}}}
	passed = []figure{{"publish_in", []topology.Count{topology.Published}},
		{"publish_out", []topology.Count{topology.Routed}}}
)

// messages gives what is shown as message_stats, or nil where nothing happened yet.
// Of several groups of figures those are shown in which something happened.
func (st *stat) messages(s span, groups ...[]figure) object {
	var o object
	for _, figures := range groups {
		any := false
		for _, f := range figures {
			any = any || sum(&st.Counted, f.of) > 0
		}
		if !any {
			continue
		}
		if o == nil {
			o = object{}
		}
		for _, f := range figures {
			rate := 0.0
			for _, c := range f.of {
				rate += st.Rates[c]
			}
			o[f.name] = sum(&st.Counted, f.of)
			o[f.name+"_details"] = details(rate, s, st.Samples, f.of)
		}
	}
	return o
}

func sum(t *topology.Tallied, of []topology.Count) (n uint64) {
	for _, c := range of {
		n += t[c]
	}
	return n
}

// details gives a rate, with the samples that are asked for, the newest first.
func details(rate float64, s span, samples []sample, of []topology.Count) object {
	o := object{"rate": rate}
	if s.age == 0 || len(samples) == 0 {
		return o
	}
	last := samples[len(samples)-1].At
	list, total := []object{}, 0.0
	at, i := last, len(samples)-1
	for ; at >= last-s.age*1000; at -= s.every * 1000 {
		for i > 0 && samples[i].At > at {
			i--
		}
		n := uint64(0)
		if samples[i].At <= at || i > 0 {
			n = sum(&samples[i].Counted, of)
		}
		list = append(list, object{"sample": n, "timestamp": at})
		total += float64(n)
	}
	newest, _ := list[0]["sample"].(uint64)
	oldest, _ := list[len(list)-1]["sample"].(uint64)
	o["samples"], o["avg"] = list, total/float64(len(list))
	o["avg_rate"] = 0.0
	if t := float64(int64(len(list)-1) * s.every); t > 0 {
		o["avg_rate"] = (float64(newest) - float64(oldest)) / t
	}
	return o
}
