package rocket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/rlog"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/front/rocket/topology"
	"trine/internal/seamtest"
)

func TestMain(m *testing.M) {
	rlog.SetLogLevel("fatal")
	os.Exit(m.Run()) // not with goleak: the Go client leaves goroutines behind
}

// served is a front end on a socket over the seam in memory.
type served struct {
	*Front
	broker *seamtest.Broker
	server *front.Server
	addr   string
}

func serve(t *testing.T, o Options) *served {
	t.Helper()
	b := seamtest.New(seamtest.RealTime())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nodes := b.Cluster().Nodes()
	nodes[0].Addresses = map[string]string{topology.AddressName: fmt.Sprintf(":%d",
		l.Addr().(*net.TCPAddr).Port)}
	b.SetNodes(nodes)
	s := &served{Front: New(b, o), broker: b, addr: l.Addr().String()}
	s.server = front.Serve(l, front.Options{Name: "rocket", Open: s.Open(""), Clock: b.Now})
	stop := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() {
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
				s.Tick(b.Now())
			}
		}
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.server.Shutdown(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		close(stop)
		ticking.Wait()
		b.Close()
	})
	return s
}

// await waits until ok, and says what it waited for.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// makeTopic makes a topic with queues on this node.
func (s *served) makeTopic(t *testing.T, name string, queues int) {
	t.Helper()
	done := make(chan error, 1)
	s.view.Ensure(&topology.Change{Topic: name, Wishes: []topology.Wish{{
		Group: topology.HomeGroup(1), Read: queues, Write: queues, Perm: 6}}},
		func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

var _ = core.OK
