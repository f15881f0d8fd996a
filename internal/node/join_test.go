package node

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"trine/internal/core"
)

// startAll starts empty nodes at once and gives them in the order of their ids.
func startAll(t *testing.T, setups ...setup) []*member {
	t.Helper()
	ms := make([]*member, len(setups))
	errs := make([]error, len(setups))
	var wait sync.WaitGroup
	for i := range setups {
		wait.Go(func() { ms[i], errs[i] = start(t, setups[i]) })
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return ms
}

func TestEmptyNodesFormOneClusterAndALaterOneJoinsIt(t *testing.T) {
	free := freeAddresses(t, 4)
	three := map[core.NodeID]string{1: free[0], 2: free[1], 3: free[2]}
	ms := startAll(t, setup{id: 1, empty: true, listen: free[0], peers: three},
		setup{id: 2, empty: true, listen: free[1], peers: three},
		setup{id: 3, empty: true, listen: free[2], peers: three})
	want := []core.Member{{Node: 1, Disk: 101, InSync: true}, {Node: 2, Disk: 102, InSync: true},
		{Node: 3, Disk: 103, InSync: true}}
	for _, m := range ms {
		if c := m.script.cfg; c.Cluster == 0 || c.Cluster != ms[0].script.cfg.Cluster ||
			!reflect.DeepEqual(c.Voters, want) {
			t.Errorf("node %d starts with cluster %x, voters %v", m.self.Node, c.Cluster, c.Voters)
		}
		if m.disk.bound != m.self.Node || m.disk.cluster != m.script.cfg.Cluster {
			t.Errorf("its disk is bound to node %d, cluster %x", m.disk.bound, m.disk.cluster)
		}
	}
	// A fourth, of which nobody was told, names one of them, and is called back.
	last := mustStart(t, setup{id: 4, empty: true, listen: free[3],
		peers: map[core.NodeID]string{2: free[1]}})
	if c := last.script.cfg; c.Cluster != ms[0].script.cfg.Cluster || !reflect.DeepEqual(c.Voters, want) {
		t.Errorf("the fourth starts with cluster %x, voters %v", c.Cluster, c.Voters)
	}
	eventually(t, "the fourth is linked", func() bool { return ms[1].script.count("up 4") == 1 }, ms...)
	// One that lost its directory is no voter any more: it joins as well.
	ms[2].Close()
	again := mustStart(t, setup{id: 3, disk: 999, empty: true, listen: free[2], peers: three})
	if c := again.script.cfg; c.Cluster != last.script.cfg.Cluster || !reflect.DeepEqual(c.Voters, want) {
		t.Errorf("the node with a new disk starts with cluster %x, voters %v", c.Cluster, c.Voters)
	}
}

func TestAnEmptyNodeWaitsForEveryNamedPeer(t *testing.T) {
	free := freeAddresses(t, 3)
	three := map[core.NodeID]string{1: free[0], 2: free[1], 3: free[2]}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errors.New("waited"))
	defer cancel()
	var wait sync.WaitGroup
	for id := core.NodeID(1); id <= 2; id++ {
		wait.Go(func() {
			_, err := start(t, setup{id: id, empty: true, listen: free[id-1], peers: three, ctx: ctx})
			if err == nil || !strings.Contains(err.Error(), "waited") {
				t.Errorf("node %d: %v", id, err)
			}
		})
	}
	wait.Wait()
}

func TestANodeWithoutPeersFormsAClusterAlone(t *testing.T) {
	m := mustStart(t, setup{id: 1, empty: true})
	if c := m.script.cfg; c.Cluster == 0 || len(c.Voters) != 1 || c.Voters[0].Disk != 101 || len(c.Peers) != 0 {
		t.Errorf("%+v", c)
	}
	other := mustStart(t, setup{id: 1, disk: 7, empty: true})
	if other.script.cfg.Cluster == m.script.cfg.Cluster {
		t.Error("two such nodes are one cluster")
	}
}

func TestEmptyNodesThatWereToldOfDifferentNodesSayso(t *testing.T) {
	free := freeAddresses(t, 2)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, errors.New("waited"))
	defer cancel()
	m := &member{logged: &lines{}}
	var wait sync.WaitGroup
	wait.Go(func() {
		start(t, setup{id: 1, empty: true, listen: free[0], ctx: ctx,
			peers: map[core.NodeID]string{1: free[0], 2: free[1], 3: "127.0.0.1:1"}})
	})
	_, err := startLogged(t, m, setup{id: 2, empty: true, listen: free[1], ctx: ctx,
		peers: map[core.NodeID]string{1: free[0], 2: free[1]}})
	wait.Wait()
	if err == nil || !m.logged.has("node 1 of [1 2 3], node 2 of [1 2]") {
		t.Errorf("error %v, logged:\n%s", err, m.logged.b.String())
	}
}

func TestADirectoryOfAnotherNodeIsRefused(t *testing.T) {
	m := &member{logged: &lines{}}
	m.disk = &fakeDisk{report: core.DiskReport{Disk: 9, Node: 2, Cluster: 5}}
	_, err := startLogged(t, m, setup{id: 1})
	if err == nil || !strings.Contains(err.Error(), "belongs to node 2 and this is node 1") {
		t.Errorf("error %v", err)
	}
	if !m.disk.closed {
		t.Error("the disk was left open")
	}
}

func TestABusyPortIsRefusedWithWhatToDo(t *testing.T) {
	m := mustStart(t, setup{id: 1})
	_, err := start(t, setup{id: 2, listen: m.Address()})
	if err == nil || !strings.Contains(err.Error(), "another process has this port") {
		t.Errorf("error %v", err)
	}
}

func TestANodeOfAnotherClusterEndsWithTheReason(t *testing.T) {
	_, b, at := pairOf(t)
	free := freeAddresses(t, 1)
	stranger := mustStart(t, setup{id: 3, cluster: 6, listen: free[0],
		peers: map[core.NodeID]string{1: at[1], 2: at[2], 3: free[0]}})
	<-stranger.Done()
	if err := stranger.Err(); err == nil ||
		!strings.Contains(err.Error(), "another cluster") || !strings.Contains(err.Error(), "data directory") {
		t.Errorf("error %v", err)
	}
	if !b.logged.has("belongs to cluster 0000000000000005") {
		t.Error("the refusing side says nothing")
	}
}

func TestACloneEndsWithTheReasonAndTheOriginalGoesOn(t *testing.T) {
	a, b, at := pairOf(t)
	beats := time.NewTicker(20 * time.Millisecond)
	defer beats.Stop()
	clone := mustStart(t, setup{id: 2, peers: map[core.NodeID]string{1: at[1]}})
	for ended := false; !ended; {
		select {
		case <-beats.C:
			b.run(func(out *turn) { out.Sends = append(out.Sends, beatTo(1)) })
		case <-clone.Done():
			ended = true
		}
	}
	if err := clone.Err(); err == nil || !strings.Contains(err.Error(), "connected to node 1 as another process") {
		t.Errorf("error %v", err)
	}
	if a.script.count("up 2") != 1 {
		t.Errorf("the original's link ended:\n%s", a.script.log())
	}
}
