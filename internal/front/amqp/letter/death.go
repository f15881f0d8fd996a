package letter

import (
	"trine/internal/core"
	"trine/internal/front/amqp/wire"
)

var deathReasons = map[core.ForwardReason]string{core.ForwardRejected: "rejected",
	core.ForwardExpired: "expired", core.ForwardOverLength: "maxlen",
	core.ForwardDeliveryLimit: "delivery_limit"}

// Buried is a dead letter with what it says of its deaths.
type Buried struct {
	Key    []byte
	More   [][]byte // keys of CC and BCC
	Props  wire.Properties
	Fields wire.Fields // of Props
	deaths []death     // the latest first
}

// death is one element of x-death.
type death struct {
	queue, reason string
	table         wire.Table
}

// Cycles says whether a queue would get the message again although nobody rejected
// it since it was there.
func (b *Buried) Cycles(queue string) bool {
	for _, d := range b.deaths {
		if d.reason == "rejected" {
			return false
		}
		if d.queue == queue {
			return true
		}
	}
	return false
}

// Bury writes a message's death into its headers. key is the routing key that its queue
// says, nil: the message's own.
func Bury(now core.Stamp, fw *core.Forward, m *Message, queue string, key *string) *Buried {
	var f wire.Fields
	if _, err := f.Read(m.Props); err != nil {
		f = wire.Fields{}
	}
	b := &Buried{Key: m.Key}
	more, _ := Copies(f.Headers)
	reason := deathReasons[fw.Why]
	if ours(&fw.Record) {
		b.deaths = deathsOf(f.Headers)
	}
	b.die(now, m, &f, queue, reason)

	headers := f.Headers.Without("x-death", "x-last-death-queue", "x-last-death-reason",
		"x-last-death-exchange")
	if key != nil {
		b.Key, more = []byte(*key), nil
		headers = headers.Without("CC", "BCC")
	}
	headers = append(wire.Table(nil), headers...)
	var all wire.Array
	for _, d := range b.deaths {
		all = all.PutTable(d.table)
	}
	headers = headers.PutArray("x-death", all)
	if _, ok := headers.Get("x-first-death-reason"); !ok || !ours(&fw.Record) {
		headers = append(wire.Table(nil), headers.Without("x-first-death-reason", "x-first-death-queue",
			"x-first-death-exchange")...)
		headers = headers.PutString("x-first-death-exchange", string(m.Exchange)).
			PutString("x-first-death-queue", queue).PutString("x-first-death-reason", reason)
	}
	headers = headers.PutString("x-last-death-exchange", string(m.Exchange)).
		PutString("x-last-death-queue", queue).PutString("x-last-death-reason", reason)
	f.Headers = headers
	f.Flags = f.Flags&^wire.HasExpiration | wire.HasHeaders
	b.Props, b.Fields, b.More = f.Append(nil), f, more
	return b
}

// ours says whether a record's x-death was written here.
func ours(r *core.Record) bool { return Version(r) == Forwarded }

func deathsOf(headers wire.Table) []death {
	v, _ := headers.Get("x-death")
	a, _ := v.Array()
	var ds []death
	for {
		e, rest, ok := a.Next()
		if !ok {
			return ds
		}
		a = rest
		if t, ok := e.Table(); ok {
			ds = append(ds, death{text(t, "queue"), text(t, "reason"), t})
		}
	}
}

// die puts the message's death in front: a new element, or the one of the same
// queue and reason, counted once more.
func (b *Buried) die(now core.Stamp, m *Message, f *wire.Fields, queue, reason string) {
	for i, d := range b.deaths {
		if d.queue != queue || d.reason != reason {
			continue
		}
		n := count(d.table)
		t := wire.Table(nil).PutInt("count", n+1)
		t = append(t, d.table.Without("count")...)
		b.deaths = append(append([]death{{queue, reason, t}}, b.deaths[:i]...), b.deaths[i+1:]...)
		return
	}
	var keys wire.Array
	keys = keys.PutString(string(m.Key))
	if v, ok := f.Headers.Get("CC"); ok {
		a, _ := v.Array()
		keys = append(keys, a...)
	}
	t := wire.Table(nil).PutInt("count", 1).PutString("reason", reason).PutString("queue", queue).
		PutTime("time", int64(now/1000)).PutString("exchange", string(m.Exchange)).
		PutArray("routing-keys", keys)
	if f.Flags&wire.HasExpiration != 0 {
		t = t.PutString("original-expiration", string(f.Expiration))
	}
	b.deaths = append([]death{{queue, reason, t}}, b.deaths...)
}

func count(t wire.Table) int64 {
	v, _ := t.Get("count")
	n, _ := v.Int()
	return n
}

func text(t wire.Table, name string) string {
	v, _ := t.Get(name)
	b, _ := v.Text()
	return string(b)
}
