package faults

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"trine/tests/nodes"
)

// serve starts one node with flags and waits until it serves.
func serve(t *testing.T, flags ...string) *nodes.Process {
	t.Helper()
	dir := t.TempDir()
	p, err := nodes.Start(filepath.Join(dir, "log"), append([]string{"serve", "--data",
		filepath.Join(dir, "data")}, flags...)...)
	if err == nil {
		t.Cleanup(p.Stop)
		err = p.Await("msg=serving")
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// toldOf gives where a Kafka client is sent that calls address.
func toldOf(t *testing.T, address string) (at []string) {
	t.Helper()
	m, err := kadm.NewClient(kafka(t, address)).BrokerMetadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range m.Brokers {
		at = append(at, net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))))
	}
	return at
}

// at gives the standard flags of a node that listens on an address.
func at(host string) []string {
	return []string{"--listen", host + ":7400", "--amqp", host + ":5672", "--kafka", host + ":9092",
		"--nameserver", host + ":9876", "--broker", host + ":10911", "--http", host + ":15672"}
}

// TestATopicThatCreatesItselfOnANodeAloneHasOneCopy is Kafka's own default.
func TestATopicThatCreatesItselfOnANodeAloneHasOneCopy(t *testing.T) {
	serve(t, at(nodes.Host())...)
	cl := kafka(t, nodes.Host()+":9092", kgo.AllowAutoTopicCreation())
	produce(t, cl, "by-itself", lines(0, 3))
	topics, err := kadm.NewClient(cl).ListTopics(t.Context(), "by-itself")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(topics["by-itself"].Partitions[0].Replicas); n != 1 {
		t.Errorf("%d copies, not 1", n)
	}
	same(t, "by-itself", everything(t, nodes.Host()+":9092", "by-itself", 3), lines(0, 3))
}

// TestAClientIsSentWhereItCanReach: a node that listens everywhere is, for a client, at the host
// that the client called.
func TestAClientIsSentWhereItCanReach(t *testing.T) {
	serve(t, at("0.0.0.0")...)
	for _, host := range []string{"127.0.0.1", "127.0.0.2", "localhost"} {
		if host == "localhost" {
			if a, err := net.LookupHost(host); err != nil || !strings.Contains(fmt.Sprint(a), "127.0.0.1") {
				continue
			}
		}
		got := toldOf(t, host+":9092")
		if len(got) != 1 || got[0] != host+":9092" && !(host == "localhost" && got[0] == "127.0.0.1:9092") {
			t.Errorf("called at %s, it sends clients to %s", host, got)
		}
	}
}

// TestWhatIsAdvertisedIsWhatClientsAreTold: whatever address they called.
func TestWhatIsAdvertisedIsWhatClientsAreTold(t *testing.T) {
	serve(t, append(at("0.0.0.0"), "--advertise", "127.0.0.7")...)
	for _, host := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.7"} {
		if got := toldOf(t, host+":9092"); len(got) != 1 || got[0] != "127.0.0.7:9092" {
			t.Errorf("called at %s, it sends clients to %s", host, got)
		}
	}
	r := rocketProducer(t, "127.0.0.2", "Advertised")
	if err := r.send("x", 5*time.Second); err != nil {
		t.Error(err)
	}
}

// TestThreeNodesShareOneAddress: where the machine has 127.0.0.1 alone, the ports are 100 apart.
func TestThreeNodesShareOneAddress(t *testing.T) {
	back, err := nodes.OnlyOne()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("SKIPPED: one address for three nodes: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := back(); err != nil {
			t.Error(err)
		}
	})
	c := dev(t, 3)
	for n, port := range []int{9092, 9192, 9292} {
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if !strings.Contains(c.Said(), address) {
			t.Errorf("trine dev does not say that node %d is at %s:\n%s", n+1, address, c.Said())
		}
		if got := toldOf(t, address); len(got) != 3 || !strings.Contains(fmt.Sprint(got), address) {
			t.Errorf("called at %s, it sends clients to %s", address, got)
		}
	}
	topic(t, kafka(t, "127.0.0.1:9092"), "t", "in-sync")
	produce(t, kafka(t, "127.0.0.1:9192"), "t", lines(0, 10))
	c.Do(t, "kill", 1)
	same(t, "t", everything(t, "127.0.0.1:9292", "t", 10), lines(0, 10))
}
