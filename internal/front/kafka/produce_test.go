package kafka

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"trine/internal/core"
	"trine/internal/core/record"
)

func TestBadBatchesAreRefusedOneByOne(t *testing.T) {
	p := newPeer(t, Config{})
	id := p.make("t", 8, map[string]string{"max.message.bytes": "2000"})
	edit := func(n int, f func(b []byte)) []byte {
		b := testBatch(n, "value")
		f(b)
		return b
	}
	flipped := edit(1, func(b []byte) { b[len(b)-1] ^= 1 })
	magic := edit(1, func(b []byte) { b[16] = 1 })
	forged := edit(1, func(b []byte) { record.SetProducer(b, -77, 0, 0, false) })
	txn := edit(1, func(b []byte) { record.SetProducer(b, 5, 0, 0, true) })
	old := func() []byte {
		var b record.Builder
		b.Reset(0, 0, core.Stamp(time.Now().Add(2*time.Hour).UnixMilli()))
		b.Add(&core.Record{Stamp: -1, Value: []byte("v")})
		return b.Finish()
	}()
	r := ask[*kmsg.ProduceResponse](p, produceTo("t", id, -1, map[int32][]byte{0: flipped, 1: magic,
		2: forged, 3: txn,
		4: testBatch(1, strings.Repeat("x", 2001)), 5: append(testBatch(1, "a"), testBatch(1, "b")...),
		6: old, 7: testBatch(1, "good")}), 9)
	want := []int16{errCorruptMessage, errInvalidRecord, errInvalidRecord, errInvalidTxnState,
		errMessageTooLarge, errInvalidRecord, errInvalidTimestamp, 0}
	for i, ps := range r.Topics[0].Partitions {
		if ps.ErrorCode != want[i] {
			t.Errorf("partition %d: %d, want %d", i, ps.ErrorCode, want[i])
		}
	}
}

func TestProducersAreToldWhoLeads(t *testing.T) {
	p := newPeer(t, Config{})
	id := p.make("t", 1, nil)
	p.b.SetNodes([]core.NodeInfo{{Peer: p.b.Self(), Alive: true, Self: true,
		Addresses: map[string]string{Name: ":9092"}},
		{Peer: core.Peer{Node: 2}, Alive: true, Rack: "r2",
			Addresses: map[string]string{Name: "other:9093"}}})
	p.b.Fail(func(verb, name string) error {
		if verb == "append" || verb == "read" {
			return &core.Error{Op: verb, Name: name, Kind: core.NotLeader, Leader: 2, Epoch: 9}
		}
		return nil
	})
	r := ask[*kmsg.ProduceResponse](p, produceTo("t", id, -1, map[int32][]byte{0: testBatch(1,
		"v")}), 13)
	ps := r.Topics[0].Partitions[0]
	if ps.ErrorCode != errNotLeader || ps.CurrentLeader.LeaderID != 2 ||
		ps.CurrentLeader.LeaderEpoch != 9 ||
		len(r.Brokers) != 1 || r.Brokers[0].Host != "other" || r.Brokers[0].Port != 9093 ||
		*r.Brokers[0].Rack != "r2" {
		t.Fatalf("%+v %+v", ps, r.Brokers)
	}
	f := ask[*kmsg.FetchResponse](p, fetchFrom("t", id, 0, 0), 17)
	fp := f.Topics[0].Partitions[0]
	if fp.ErrorCode != errNotLeader || fp.CurrentLeader.LeaderID != 2 || len(f.Brokers) != 1 ||
		f.Brokers[0].Host != "other" {
		t.Fatalf("%+v %+v", fp, f.Brokers)
	}
	for v := int16(3); v < 10; v++ { // versions that have no place for it
		r := ask[*kmsg.ProduceResponse](p, produceTo("t", id, -1, map[int32][]byte{0: testBatch(1,
			"v")}), v)
		if r.Topics[0].Partitions[0].ErrorCode != errNotLeader {
			t.Fatal(v)
		}
	}
}

func TestTopicsReencodeWhatTheyAreSetTo(t *testing.T) {
	p := newPeer(t, Config{})
	id := p.make("t", 1, map[string]string{"compression.type": "lz4",
		"message.timestamp.type": "LogAppendTime"})
	r := ask[*kmsg.ProduceResponse](p, produceTo("t", id, -1, map[int32][]byte{0: testBatch(3,
		"value")}), 9)
	if at := r.Topics[0].Partitions[0].LogAppendTime; at <= 0 {
		t.Fatal(at)
	}
	f := ask[*kmsg.FetchResponse](p, fetchFrom("t", id, 0, 0), 12)
	h, err := record.Check(f.Topics[0].Partitions[0].RecordBatches)
	if err != nil || h.Codec() != record.LZ4 || !h.AppendTime() || h.Count != 3 {
		t.Fatal(h, err)
	}
}

func TestWithoutAcksThereIsNoAnswer(t *testing.T) {
	p := newPeer(t, Config{})
	id := p.make("t", 1, nil)
	for i := range 10 {
		if err := p.feed(frame(produceTo("t", id, 0, map[int32][]byte{0: testBatch(1, "v")}), 9,
			int32(100+i))); err != nil {
			t.Fatal(err)
		}
	}
	r := ask[*kmsg.ProduceResponse](p, produceTo("t", id, -1, map[int32][]byte{0: testBatch(1,
		"v")}), 9)
	if at := r.Topics[0].Partitions[0].BaseOffset; at != 10 {
		t.Fatal(at)
	}
	if err := p.feed(frame(produceTo("unknown", id, 0, map[int32][]byte{0: testBatch(1, "v")}), 9,
		1)); err != nil {
		t.Fatal(err)
	}
	p.b.Idle()
	p.w.Lock()
	defer p.w.Unlock()
	if !p.w.ended {
		t.Fatal("an error without an answer does not end the connection")
	}
}

// FuzzFeed feeds whatever: it may be refused, never panic, never wait for ever.
func FuzzFeed(f *testing.F) {
	id := [16]byte{1}
	for _, a := range newAPIs() {
		_ = a
	}
	for key := range int16(61) {
		q := kmsg.RequestForKey(key)
		if q == nil {
			continue
		}
		if key == keyProduce {
			q = produceTo("t", id, -1, map[int32][]byte{0: testBatch(2, "v")})
		} else if key == keyFetch {
			q = fetchFrom("t", id, 0, 0)
		}
		for _, v := range []int16{3, q.MaxVersion()} {
			f.Add(frame(q, v, 1))
		}
	}
	p := newPeer(f, Config{})
	p.make("t", 1, nil)
	f.Fuzz(func(t *testing.T, b []byte) {
		w := &testWire{b: p.b}
		c := p.f.Open(w).(*Conn)
		w.Lock()
		if err := c.Feed(p.b.Now(), b); err == nil {
			_ = c.Feed(p.b.Now(), b)
		}
		w.Unlock()
		p.b.Idle()
		w.Lock()
		c.Closed(p.b.Now(), nil)
		w.Unlock()
	})
}

// FuzzProduceAgrees reads Produce requests with both codecs.
func FuzzProduceAgrees(f *testing.F) {
	for v := int16(3); v <= 13; v++ {
		q := produceTo("t", [16]byte{1}, -1, map[int32][]byte{0: testBatch(1, "v"), 1: nil})
		q.SetVersion(v)
		f.Add(uint8(v), q.AppendTo(nil))
	}
	apis := newAPIs()
	f.Fuzz(func(t *testing.T, version uint8, b []byte) {
		v := int16(version%11) + 3
		q := kmsg.NewPtrProduceRequest()
		q.SetVersion(v)
		if bytes.Contains(b, []byte{0xff, 0xff, 0xff}) {
			return // the other codec counts tags that are not there
		}
		theirs := q.ReadFrom(b)
		var p producing
		ours := readProduce(&request{api: &apis[0], version: v, body: b, flexible: v >= 9}, &p)
		if (ours == nil) != (theirs == nil) {
			t.Fatalf("version %d: ours %v, theirs %v", v, ours, theirs)
		}
		if ours != nil {
			return
		}
		if len(p.topics) != len(q.Topics) || p.acks != q.Acks || p.timeoutMs != q.TimeoutMillis {
			t.Fatal(p, q)
		}
		for i, topic := range p.topics {
			if topic.name != q.Topics[i].Topic || topic.id != q.Topics[i].TopicID ||
				topic.to-topic.from != len(q.Topics[i].Partitions) {
				t.Fatal(topic, q.Topics[i])
			}
			for j, part := range p.parts[topic.from:topic.to] {
				if !bytes.Equal(part.batch, q.Topics[i].Partitions[j].Records) ||
					part.index != q.Topics[i].Partitions[j].Partition {
					t.Fatal(part)
				}
			}
		}
	})
}

// TestRequestsAreServedWhateverTheyHold sends every key at every version with
// fields drawn at random.
func TestRequestsAreServedWhateverTheyHold(t *testing.T) {
	p := newPeer(t, Config{AutoCreate: true})
	p.make("t", 2, nil)
	r := rand.New(rand.NewPCG(1, 2))
	for key, a := range newAPIs() {
		if a.run == nil {
			continue
		}
		for v := a.servedMin; v <= a.max; v++ {
			for range 20 {
				q := kmsg.RequestForKey(int16(key))
				q.SetVersion(v)
				b := frame(q, v, 1)
				for range r.IntN(4) {
					if at := 14 + r.IntN(len(b)); at < len(b) {
						b[at] = byte(r.IntN(3))
					}
				}
				w := &testWire{b: p.b}
				c := p.f.Open(w).(*Conn)
				w.Lock()
				_ = c.Feed(p.b.Now(), b)
				w.Unlock()
			}
		}
	}
	p.b.Idle()
}

func TestStampsAreThoseOfTheRecords(t *testing.T) {
	p := newPeer(t, Config{})
	id := p.make("t", 2, nil)
	lies := testBatch(1, "v")
	h, _ := record.Parse(lies)
	record.SetMax(lies, h.Max-1000)
	own := testBatch(1, "v")
	record.SetStamp(own, h.Max)
	r := ask[*kmsg.ProduceResponse](p, produceTo("t", id, -1, map[int32][]byte{0: lies, 1: own}), 9)
	ps := r.Topics[0].Partitions
	if ps[0].ErrorCode != 0 || ps[1].ErrorCode != errInvalidTimestamp {
		t.Fatal(ps)
	}
	f := ask[*kmsg.FetchResponse](p, fetchFrom("t", id, 0, 0), 12)
	got, err := record.Check(f.Topics[0].Partitions[0].RecordBatches)
	if err != nil || got.Max != h.Max {
		t.Fatal(got.Max, h.Max, err)
	}
}
