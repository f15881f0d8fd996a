package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/seamtest"
)

// server is the front end over a broker in memory, on a real socket.
type server struct {
	addr  string
	core  *seamtest.Broker
	front *Front
}

func serve(t *testing.T, cfg Config) *server {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	b := seamtest.New(seamtest.RealTime())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	b.SetNodes([]core.NodeInfo{{Peer: b.Self(), Alive: true, Self: true, Voter: true, Leads: true,
		Rack:      "r1",
		Addresses: map[string]string{Name: ":" + port}}})
	cfg.Now = b.Now
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	f := New(b, cfg)
	s := front.Serve(l, front.Options{Name: Name, Open: f.Open, Clock: b.Now, Log: cfg.Log})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		f.Close()
		b.Close()
		goleak.VerifyNone(t, leaks)
	})
	return &server{l.Addr().String(), b, f}
}

func (s *server) client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(s.addr),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.MetadataMinAge(20 * time.Millisecond)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func (s *server) topic(t *testing.T, name string, partitions int32, settings map[string]*string) {
	t.Helper()
	a := kadm.NewClient(s.client(t))
	r, err := a.CreateTopic(within(t, 10*time.Second), partitions, -1, settings, name)
	if err != nil || r.Err != nil {
		t.Fatal(err, r.Err)
	}
}

func TestWhatIsProducedIsConsumedUnderEveryCodecAndAck(t *testing.T) {
	s := serve(t, Config{})
	for i, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(),
		kgo.SnappyCompression(),
		kgo.Lz4Compression(), kgo.ZstdCompression()} {
		for j, acks := range []kgo.Acks{kgo.AllISRAcks(), kgo.LeaderAck(), kgo.NoAck()} {
			name := fmt.Sprintf("t-%d-%d", i, j)
			s.topic(t, name, 3, nil)
			ctx := within(t, 20*time.Second)
			opts := []kgo.Opt{kgo.ProducerBatchCompression(codec), kgo.RequiredAcks(acks),
				kgo.RecordPartitioner(kgo.RoundRobinPartitioner())}
			if acks != kgo.AllISRAcks() {
				opts = append(opts, kgo.DisableIdempotentWrite())
			}
			p := s.client(t, opts...)
			const n = 100
			var rs []*kgo.Record
			for j := range n {
				rs = append(rs, &kgo.Record{Topic: name, Key: []byte(strconv.Itoa(j)),
					Value:   []byte(strings.Repeat("v", j)),
					Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("x")}}})
			}
			if err := p.ProduceSync(ctx, rs...).FirstErr(); err != nil {
				t.Fatal(name, err)
			}
			c := s.client(t, kgo.ConsumeTopics(name), kgo.FetchMaxWait(200*time.Millisecond))
			seen := map[string]bool{}
			for len(seen) < n {
				fs := c.PollFetches(ctx)
				if err := fs.Err0(); err != nil {
					t.Fatal(name, err, len(seen))
				}
				for _, r := range fs.Records() {
					j, _ := strconv.Atoi(string(r.Key))
					if len(r.Value) != j || len(r.Headers) != 1 || seen[string(r.Key)] {
						t.Fatal(name, r)
					}
					seen[string(r.Key)] = true
				}
			}
			p.Close()
			c.Close()
		}
	}
}

func TestGroupMembersShareTheirTopicAndGoOnWhereTheyCommitted(t *testing.T) {
	s := serve(t, Config{})
	s.topic(t, "shared", 4, nil)
	ctx := within(t, 30*time.Second)
	p := s.client(t, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	produce := func(from, to int) {
		for i := from; i < to; i++ {
			if err := p.ProduceSync(ctx, kgo.StringRecord(strconv.Itoa(i))).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	p = s.client(t, kgo.DefaultProduceTopic("shared"),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	produce(0, 40)
	member := func(opts ...kgo.Opt) *kgo.Client {
		return s.client(t, append([]kgo.Opt{kgo.ConsumerGroup("g"), kgo.ConsumeTopics("shared"),
			kgo.DisableAutoCommit(),
			kgo.HeartbeatInterval(100 * time.Millisecond), kgo.FetchMaxWait(100 * time.Millisecond)},
			opts...)...)
	}
	a, b := member(), member()
	seen := map[string]int{}
	owners := map[*kgo.Client]map[int32]bool{a: {}, b: {}}
	both := func() bool { return len(owners[a]) == 2 && len(owners[b]) == 2 }
	for len(seen) < 40 || !both() {
		if ctx.Err() != nil {
			t.Fatal(len(seen), owners)
		}
		for _, c := range []*kgo.Client{a, b} {
			pctx, cancel := context.WithTimeout(ctx, 150*time.Millisecond)
			fs := c.PollFetches(pctx)
			cancel()
			for _, r := range fs.Records() {
				seen[string(r.Value)]++
			}
			if len(fs.Records()) > 0 {
				if err := c.CommitRecords(ctx, fs.Records()...); err != nil && !errors.Is(err,
					kerr.RebalanceInProgress) &&
					!errors.Is(err, kerr.IllegalGeneration) {
					t.Fatal(err)
				}
			}
		}
		d := kadm.NewClient(p)
		gs, err := d.DescribeGroups(ctx, "g")
		if err != nil {
			t.Fatal(err)
		}
		g := gs["g"]
		clear(owners[a])
		clear(owners[b])
		if g.State == "Stable" && len(g.Members) == 2 {
			for i, c := range []*kgo.Client{a, b} {
				as, _ := g.Members[i].Assigned.AsConsumer()
				for _, tp := range as.Topics {
					for _, q := range tp.Partitions {
						owners[c][q] = true
					}
				}
			}
		}
	}
	a.Close()
	b.Close()
	produce(40, 50)
	c := member(kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	got := map[string]bool{}
	for len(got) < 10 {
		fs := c.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fs.Records() {
			if n, _ := strconv.Atoi(string(r.Value)); n < 40 {
				t.Fatalf("%s came again after it was committed", r.Value)
			}
			got[string(r.Value)] = true
		}
	}
	c.Close()
	ad := kadm.NewClient(p)
	gs, err := ad.ListGroups(ctx)
	if err != nil || len(gs) != 1 {
		t.Fatal(gs, err)
	}
	for range 50 {
		ds, err := ad.DeleteGroups(ctx, "g")
		if err != nil {
			t.Fatal(err)
		}
		if ds["g"].Err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the group cannot be deleted")
}

func TestTopicsAreMadeChangedAndRemoved(t *testing.T) {
	s := serve(t, Config{})
	ctx := within(t, 20*time.Second)
	a := kadm.NewClient(s.client(t))
	s.topic(t, "one", 2, map[string]*string{"retention.ms": kadm.StringPtr("1000"),
		"trine.mode": kadm.StringPtr("majority")})
	r, err := a.CreateTopic(ctx, 1, 1, nil, "one")
	if !errors.Is(r.Err, kerr.TopicAlreadyExists) {
		t.Fatal(r, err)
	}
	for name, want := range map[string]error{"a/b": kerr.InvalidTopicException,
		"x": kerr.InvalidReplicationFactor, "one": kerr.TopicAlreadyExists} {
		if r, _ := a.CreateTopic(ctx, 1, 5, nil, name); !errors.Is(r.Err, want) {
			t.Fatal(name, r)
		}
	}
	if r, _ := a.CreateTopic(ctx, 1, 1, map[string]*string{"no.such": kadm.StringPtr("1")},
		"y"); !errors.Is(r.Err, kerr.InvalidConfig) {
		t.Fatal(r)
	}
	if s.core.Streams().Lookup("kafka/one/0").Policy.Commit != core.CommitMajority {
		t.Fatal("the mode is not majority")
	}
	cs, err := a.DescribeTopicConfigs(ctx, "one")
	if err != nil {
		t.Fatal(err)
	}
	c, err := cs.On("one", nil)
	if err != nil || c.Err != nil {
		t.Fatal(err, c.Err)
	}
	values := map[string]string{}
	for _, v := range c.Configs {
		values[v.Key] = v.MaybeValue()
	}
	if values["retention.ms"] != "1000" || values["max.message.bytes"] != "1048588" {
		t.Fatal(values)
	}
	if _, err := a.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig,
		Name: "retention.ms", Value: kadm.StringPtr("5000")},
		{Op: kadm.SetConfig, Name: "flush.messages", Value: kadm.StringPtr("1")},
		{Op: kadm.DeleteConfig, Name: "trine.mode"}}, "one"); err != nil {
		t.Fatal(err)
	}
	st := s.core.Streams().Lookup("kafka/one/1")
	if st.Keep.MsMax != 5000 || st.Policy.Flush != core.FlushEach ||
		st.Policy.Commit != core.CommitInSync {
		t.Fatalf("%+v", st)
	}
	if rs, err := a.CreatePartitions(ctx, 3, "one"); err != nil || rs["one"].Err != nil {
		t.Fatal(rs, err)
	}
	if rs, _ := a.CreatePartitions(ctx, 1, "one"); rs["one"].Err != nil {
		t.Fatal(rs)
	}
	if rs, _ := a.UpdatePartitions(ctx, 2, "one"); !errors.Is(rs["one"].Err, kerr.InvalidPartitions) {
		t.Fatal(rs)
	}
	md, err := a.Metadata(ctx, "one")
	if err != nil || len(md.Topics["one"].Partitions) != 6 {
		t.Fatal(md, err)
	}
	if len(md.Brokers) != 1 || md.Brokers[0].Host != "127.0.0.1" {
		t.Fatal(md.Brokers)
	}
	if ds, err := a.DeleteTopics(ctx, "one", "two"); err != nil || ds["one"].Err != nil ||
		!errors.Is(ds["two"].Err, kerr.UnknownTopicOrPartition) {
		t.Fatal(ds, err)
	}
	if len(s.core.Streams().List("kafka/one/")) != 0 {
		t.Fatal("streams are left")
	}
	time.Sleep(30 * time.Millisecond) // the client's own memory of it
	md, err = a.Metadata(ctx, "one")
	if err != nil || !errors.Is(md.Topics["one"].Err, kerr.UnknownTopicOrPartition) {
		t.Fatal(md, err)
	}
}

func TestTopicsMakeThemselvesOnlyWhereTheyMay(t *testing.T) {
	for _, may := range []bool{true, false} {
		s := serve(t, Config{AutoCreate: may})
		ctx := within(t, 3*time.Second)
		c := s.client(t, kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(0))
		err := c.ProduceSync(ctx, &kgo.Record{Topic: "new", Value: []byte("v")}).FirstErr()
		if may != (err == nil) {
			t.Fatal(may, err)
		}
		if exists := s.core.Streams().Lookup("kafka/new/0") != nil; exists != may {
			t.Fatal(may, exists)
		}
		c.Close()
	}
}

func TestOffsetsAreListedOfEveryKind(t *testing.T) {
	s := serve(t, Config{})
	s.topic(t, "t", 1, nil)
	ctx := within(t, 20*time.Second)
	c := s.client(t, kgo.DefaultProduceTopic("t"))
	start := time.Now().Add(-10 * time.Minute).Truncate(time.Millisecond)
	for i := range 10 {
		if err := c.ProduceSync(ctx, &kgo.Record{Value: []byte("v"),
			Timestamp: start.Add(time.Duration(i) * time.Minute)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	a := kadm.NewClient(c)
	one := func(l kadm.ListedOffsets, err error) int64 {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		o, ok := l.Lookup("t", 0)
		if !ok || o.Err != nil {
			t.Fatal(o)
		}
		return o.Offset
	}
	if o := one(a.ListStartOffsets(ctx, "t")); o != 0 {
		t.Fatal(o)
	}
	if o := one(a.ListEndOffsets(ctx, "t")); o != 10 {
		t.Fatal(o)
	}
	if o := one(a.ListCommittedOffsets(ctx, "t")); o != 10 {
		t.Fatal(o)
	}
	if o := one(a.ListOffsetsAfterMilli(ctx, start.Add(150*time.Second).UnixMilli(), "t")); o != 3 {
		t.Fatal(o)
	}
	if o := one(a.ListMaxTimestampOffsets(ctx, "t")); o != 9 {
		t.Fatal(o)
	}
	os := kadm.Offsets{}
	os.AddOffset("t", 0, 4, -1)
	if ds, err := a.DeleteRecords(ctx, os); err != nil || ds.Error() != nil {
		t.Fatal(ds, err)
	}
	if o := one(a.ListStartOffsets(ctx, "t")); o != 4 {
		t.Fatal(o)
	}
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	rt := kmsg.NewOffsetForLeaderEpochRequestTopic()
	rt.Topic = "t"
	rp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	rp.LeaderEpoch, rp.CurrentLeaderEpoch = 1, -1
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, c)
	if err != nil || resp.Topics[0].Partitions[0].EndOffset != 10 {
		t.Fatal(resp, err)
	}
}

func TestProducerIDsAreUnique(t *testing.T) {
	s := serve(t, Config{})
	c := s.client(t)
	ctx := within(t, 20*time.Second)
	seen := map[int64]bool{}
	for range 2500 {
		q := kmsg.NewPtrInitProducerIDRequest()
		r, err := q.RequestWith(ctx, c)
		if err != nil || r.ErrorCode != 0 || seen[r.ProducerID] || r.ProducerEpoch != 0 {
			t.Fatal(r, err)
		}
		seen[r.ProducerID] = true
	}
}

func TestKcatReadsAndWrites(t *testing.T) {
	path, err := exec.LookPath("kcat")
	if err != nil {
		t.Fatal("kcat is not installed: tests/install installs it")
	}
	s := serve(t, Config{AutoCreate: true})
	ctx := within(t, 30*time.Second)
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		in := exec.CommandContext(ctx, path, "-P", "-b", s.addr, "-t", "k"+codec, "-z", codec, "-K:",
			"-H", "a=b")
		in.Stdin = strings.NewReader("k1:one\nk2:two\nk3:" + strings.Repeat("three", 1000) + "\n")
		if b, err := in.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", codec, err, b)
		}
		out := exec.CommandContext(ctx, path, "-C", "-b", s.addr, "-t", "k"+codec, "-e", "-q", "-f",
			"%o %k %h %S\n")
		b, err := out.CombinedOutput()
		if want := "0 k1 a=b 3\n1 k2 a=b 3\n2 k3 a=b 5000\n"; err != nil || string(b) != want {
			t.Fatalf("%s: %v\n%s", codec, err, b)
		}
	}
}
