package kafka

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"trine/internal/core"
	"trine/internal/core/record"
	"trine/internal/front"
	"trine/internal/seamtest"
)

// wire is a front.Wire without a socket.
type testWire struct {
	sync.Mutex
	out   front.Output
	owed  int
	err   error
	ended bool
	b     *seamtest.Broker
}

func (w *testWire) Out() *front.Output { return &w.out }
func (w *testWire) Wake()              {}
func (w *testWire) TickAt(core.Time)   {}
func (w *testWire) Owe(n int)          { w.owed += n }
func (w *testWire) Hold(bool)          {}
func (w *testWire) Ready()             {}
func (w *testWire) End(err error)      { w.ended, w.err = true, err }
func (w *testWire) Now() core.Now      { return w.b.Now() }
func (w *testWire) Info() front.Info {
	a := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9092}
	return front.Info{ID: 1, Local: a, Remote: a}
}

// peer drives a Conn as a client does.
type peer struct {
	t    testing.TB
	w    *testWire
	c    *Conn
	f    *Front
	b    *seamtest.Broker
	corr int32
	in   []byte
}

func newPeer(t testing.TB, cfg Config) *peer {
	b := seamtest.New(seamtest.RealTime())
	b.SetNodes([]core.NodeInfo{{Peer: b.Self(), Alive: true, Self: true, Leads: true,
		Addresses: map[string]string{Name: "node:9092"}}})
	cfg.Now = b.Now
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &peer{t: t, b: b, w: &testWire{b: b}, f: New(b, cfg)}
	p.c = p.f.Open(p.w).(*Conn)
	t.Cleanup(func() {
		p.w.Lock()
		p.c.Closed(b.Now(), nil)
		p.w.Unlock()
		p.f.Close()
		b.Close()
	})
	return p
}

func (p *peer) feed(b []byte) error {
	p.w.Lock()
	defer p.w.Unlock()
	return p.c.Feed(p.b.Now(), b)
}

func frame(q kmsg.Request, version int16, corr int32) []byte {
	q.SetVersion(version)
	b := make([]byte, 4, 64)
	b = kbin.AppendInt16(b, q.Key())
	b = kbin.AppendInt16(b, version)
	b = kbin.AppendInt32(b, corr)
	b = kbin.AppendNullableString(b, kmsg.StringPtr("client"))
	if q.IsFlexible() {
		b = append(b, 0)
	}
	b = q.AppendTo(b)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// next waits for the next answer's bytes behind its length.
func (p *peer) next() []byte {
	p.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		p.w.Lock()
		parts, _ := p.w.out.Take(nil, nil)
		for _, b := range parts {
			p.in = append(p.in, b...)
		}
		ended := p.w.ended
		p.w.Unlock()
		if len(p.in) >= 4 {
			if n := int(binary.BigEndian.Uint32(p.in)); len(p.in) >= 4+n {
				b := p.in[4 : 4+n]
				p.in = p.in[4+n:]
				return b
			}
		}
		if ended || time.Now().After(deadline) {
			p.t.Fatalf("no answer; ended: %v, %v", ended, p.w.err)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

func decode[R kmsg.Response](t testing.TB, q kmsg.Request, corr int32, b []byte) R {
	t.Helper()
	if got := int32(binary.BigEndian.Uint32(b)); got != corr {
		t.Fatalf("answer to %d, not %d", got, corr)
	}
	b = b[4:]
	r := q.ResponseKind()
	if q.IsFlexible() && q.Key() != keyApiVersions {
		b = b[1:]
	}
	if err := r.ReadFrom(b); err != nil {
		t.Fatal(err)
	}
	// What was read must be all that was sent.
	if again := r.AppendTo(nil); len(again) != len(b) {
		t.Fatalf("version %d: %d bytes sent, %d understood", q.GetVersion(), len(b), len(again))
	}
	return r.(R)
}

func ask[R kmsg.Response](p *peer, q kmsg.Request, version int16) R {
	p.t.Helper()
	p.corr++
	if err := p.feed(frame(q, version, p.corr)); err != nil {
		p.t.Fatal(err)
	}
	return decode[R](p.t, q, p.corr, p.next())
}

func (p *peer) make(topic string, partitions int32, settings map[string]string) [16]byte {
	p.t.Helper()
	q := kmsg.NewPtrCreateTopicsRequest()
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = topic, partitions, -1
	for k, v := range settings {
		s := kmsg.NewCreateTopicsRequestTopicConfig()
		s.Name, s.Value = k, &v
		rt.Configs = append(rt.Configs, s)
	}
	q.Topics = append(q.Topics, rt)
	r := ask[*kmsg.CreateTopicsResponse](p, q, 7)
	if r.Topics[0].ErrorCode != 0 {
		p.t.Fatal(r.Topics[0].ErrorCode, *r.Topics[0].ErrorMessage)
	}
	return r.Topics[0].TopicID
}

func testBatch(n int, value string) []byte {
	var b record.Builder
	b.Reset(0, 0, core.Stamp(time.Now().UnixMilli()))
	for i := range n {
		b.Add(&core.Record{Stamp: -1, Key: fmt.Append(nil, i), Value: []byte(value)})
	}
	return b.Finish()
}

func produceTo(topic string, id [16]byte, acks int16,
	batches map[int32][]byte) *kmsg.ProduceRequest {
	q := kmsg.NewPtrProduceRequest()
	q.Acks, q.TimeoutMillis = acks, 5000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.TopicID = topic, id
	for i := range int32(8) {
		if b, ok := batches[i]; ok {
			rp := kmsg.NewProduceRequestTopicPartition()
			rp.Partition, rp.Records = i, b
			rt.Partitions = append(rt.Partitions, rp)
		}
	}
	q.Topics = append(q.Topics, rt)
	return q
}

func fetchFrom(topic string, id [16]byte, offset int64, partitions ...int32) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.MaxBytes, q.MinBytes, q.MaxWaitMillis, q.SessionEpoch = 1<<20, 1, 100, -1
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID = topic, id
	for _, i := range partitions {
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = i, offset, 1<<20
		rt.Partitions = append(rt.Partitions, rp)
	}
	q.Topics = append(q.Topics, rt)
	return q
}

func TestEveryVersionOfProduceAndFetchIsServed(t *testing.T) {
	p := newPeer(t, Config{})
	id := p.make("t", 2, nil)
	offset := int64(0)
	for v := int16(3); v <= 13; v++ {
		r := ask[*kmsg.ProduceResponse](p, produceTo("t", id, -1, map[int32][]byte{0: testBatch(2,
			"small"), 1: testBatch(1, strings.Repeat("x", 3000)), 5: testBatch(1, "")}), v)
		ps := r.Topics[0].Partitions
		if ps[0].ErrorCode != 0 || ps[0].BaseOffset != 2*offset || ps[1].BaseOffset != offset ||
			ps[2].ErrorCode != errUnknownTopic {
			t.Fatal(v, ps)
		}
		offset++
	}
	for v := int16(4); v <= 18; v++ {
		for _, isolation := range []int8{0, 1} {
			q := fetchFrom("t", id, 0, 0, 1, 7)
			q.IsolationLevel = isolation
			r := ask[*kmsg.FetchResponse](p, q, v)
			ps := r.Topics[0].Partitions
			if r.ErrorCode != 0 || ps[0].ErrorCode != 0 || ps[0].HighWatermark != 22 ||
				ps[2].ErrorCode != errUnknownTopic {
				t.Fatal(v, r.ErrorCode, ps)
			}
			n := 0
			for i, count := range []int{22, 11} {
				bs, err := record.Split(ps[i].RecordBatches)
				if err != nil {
					t.Fatal(err)
				}
				for _, b := range bs {
					h, err := record.Check(b)
					if err != nil {
						t.Fatal(err)
					}
					n += int(h.Count)
				}
				if n != count {
					t.Fatal(v, i, n)
				}
				n = 0
			}
		}
	}
}

func TestAnswersLeaveInTheOrderOfTheirRequests(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := newPeer(t, Config{})
		id := p.make("t", 2, nil)
		var all []byte
		var qs []kmsg.Request
		for i := range rapid.IntRange(1, 30).Draw(rt, "n") {
			var q kmsg.Request
			v := int16(9)
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0:
				q = kmsg.NewPtrMetadataRequest()
			case 1:
				q = fetchFrom("t", id, 0, 0)
				q.(*kmsg.FetchRequest).MaxWaitMillis = 5
			case 2:
				q, v = kmsg.NewPtrApiVersionsRequest(), 2
			default:
				topic := rapid.SampledFrom([]string{"t", "unknown"}).Draw(rt, "topic")
				q = produceTo(topic, id, -1, map[int32][]byte{0: testBatch(1, "v")})
			}
			all = append(all, frame(q, v, int32(i))...)
			qs = append(qs, q)
		}
		for len(all) > 0 {
			n := rapid.IntRange(1, len(all)).Draw(rt, "cut")
			if err := p.feed(all[:n]); err != nil {
				rt.Fatal(err)
			}
			all = all[n:]
		}
		next := int64(0)
		for i, q := range qs {
			r := decode[kmsg.Response](t, q, int32(i), p.next())
			if a, ok := r.(*kmsg.ProduceResponse); ok && a.Topics[0].Topic == "t" {
				if got := a.Topics[0].Partitions[0].BaseOffset; got != next {
					rt.Fatalf("request %d is at %d, not %d", i, got, next)
				}
				next++
			}
		}
		p.w.Lock()
		defer p.w.Unlock()
		if p.w.owed != 0 {
			rt.Fatalf("%d bytes are still owed", p.w.owed)
		}
	})
}

func TestUnknownVersionsAreAnsweredAsKafkaDoes(t *testing.T) {
	p := newPeer(t, Config{})
	q := kmsg.NewPtrApiVersionsRequest()
	b := frame(q, 3, 7)
	binary.BigEndian.PutUint16(b[6:], 99)
	if err := p.feed(b); err != nil {
		t.Fatal(err)
	}
	q.Version = 0
	r := decode[*kmsg.ApiVersionsResponse](t, q, 7, p.next())
	if r.ErrorCode != errUnsupportedVersion || len(r.ApiKeys) == 0 {
		t.Fatal(r)
	}
	for _, bad := range [][2]int16{{0, 2}, {0, 14}, {3, 14}, {4, 0}, {-1, 0}, {1000, 0}} {
		p := newPeer(t, Config{})
		b := frame(kmsg.NewPtrMetadataRequest(), 4, 1)
		binary.BigEndian.PutUint16(b[4:], uint16(bad[0]))
		binary.BigEndian.PutUint16(b[6:], uint16(bad[1]))
		if err := p.feed(b); err == nil {
			t.Errorf("key %d, version %d is taken", bad[0], bad[1])
		}
	}
}

// kafka41 is what a node of Kafka 4.1.0 says of the keys that are served here.
var kafka41 = map[int16][2]int16{0: {0, 13}, 1: {4, 18}, 2: {1, 10}, 3: {0, 13}, 8: {2, 9}, 9: {1, 9},
	10: {0, 6}, 11: {0, 9}, 12: {0, 4}, 13: {0, 5}, 14: {0, 5}, 15: {0, 6}, 16: {0, 5}, 17: {0, 1},
	18: {0, 4}, 19: {2, 7}, 20: {1, 6}, 21: {0, 2}, 22: {0, 5}, 23: {2, 4}, 32: {1, 4}, 33: {0, 2},
	37: {0, 3}, 42: {0, 2}, 44: {0, 1}, 47: {0, 0}, 60: {0, 2}}

func TestVersionsAreThoseOfKafka(t *testing.T) {
	p := newPeer(t, Config{})
	r := ask[*kmsg.ApiVersionsResponse](p, kmsg.NewPtrApiVersionsRequest(), 2)
	if len(r.ApiKeys) != len(kafka41) {
		t.Fatalf("%d keys, not %d", len(r.ApiKeys), len(kafka41))
	}
	for _, k := range r.ApiKeys {
		if want := kafka41[k.ApiKey]; k.MinVersion != want[0] || k.MaxVersion != want[1] {
			t.Errorf("%s: %d to %d, not %v", kmsg.NameForKey(k.ApiKey), k.MinVersion, k.MaxVersion, want)
		}
		if k.MaxVersion > kmsg.RequestForKey(k.ApiKey).MaxVersion() {
			t.Errorf("%s: version %d is not known to the codec", kmsg.NameForKey(k.ApiKey), k.MaxVersion)
		}
	}
}

func TestALengthIsNotBelievedBeforeTheBytesAreThere(t *testing.T) {
	p := newPeer(t, Config{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := p.feed([]byte{0x06, 0, 0, 0, 0, 3}); err != nil { // 96 MiB are announced
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20 {
		t.Fatalf("%d bytes were taken", took)
	}
	for _, size := range []uint32{0, 7, 100<<20 + 1, 1 << 31, 1<<32 - 1} {
		p := newPeer(t, Config{})
		if err := p.feed(binary.BigEndian.AppendUint32(nil, size)); err == nil {
			t.Errorf("a frame of %d bytes is taken", size)
		}
	}
}

func TestWhatIsOnItsWayIsAnsweredBeforeTheEnd(t *testing.T) {
	p := newPeer(t, Config{})
	id := p.make("t", 1, nil)
	if err := p.feed(frame(produceTo("t", id, -1, map[int32][]byte{0: testBatch(1, "v")}), 9, 77)); err != nil {
		t.Fatal(err)
	}
	p.w.Lock()
	p.c.Shut(p.b.Now())
	early := p.w.ended && p.w.out.Len() == 0
	p.w.Unlock()
	if early {
		t.Fatal("ended without an answer")
	}
	p.b.Idle()
	q := kmsg.NewPtrProduceRequest()
	q.SetVersion(9)
	r := decode[*kmsg.ProduceResponse](t, q, 77, p.next())
	if r.Topics[0].Partitions[0].ErrorCode != 0 || !p.w.ended {
		t.Fatal(r, p.w.ended)
	}
	// A reader who waits is not waited for.
	p = newPeer(t, Config{})
	id = p.make("t", 1, nil)
	f := fetchFrom("t", id, 0, 0)
	f.MaxWaitMillis = 60_000
	if err := p.feed(frame(f, 12, 1)); err != nil {
		t.Fatal(err)
	}
	p.w.Lock()
	defer p.w.Unlock()
	if p.c.Shut(p.b.Now()); !p.w.ended {
		t.Fatal("it has not ended")
	}
}
