package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"trine/internal/core"
	"trine/internal/core/shard"
	"trine/internal/journal"
)

type turn = shard.Turn

func beatTo(id core.NodeID) shard.Send { return shard.Send{To: id, Msg: &core.Beat{Seq: 1}} }

func TestEverythingQueuedDuringAFlushGoesInTheNext(t *testing.T) {
	m := mustStart(t, setup{id: 1})
	hold, begun := make(chan struct{}), make(chan struct{}, 10)
	m.disk.gate = func(core.Flush, []core.Write) error {
		begun <- struct{}{}
		<-hold
		return nil
	}
	write := func(id uint64, s core.StreamID) {
		m.run(func(out *turn) {
			out.Writes = append(out.Writes, core.Write{ID: id, Stream: s, Road: core.FlushEach})
		})
	}
	write(1, 1)
	<-begun
	for id := uint64(2); id <= 5; id++ {
		write(id, core.StreamID(id))
	}
	eventually(t, "all were decided", func() bool { return m.script.count("asked") == 5 }, m)
	m.ask(&shard.Ask{})
	eventually(t, "the turn after", func() bool { return m.script.count("asked") == 6 }, m)
	close(hold)
	eventually(t, "all flushed", func() bool { return m.script.count("flushed 5") == 1 }, m)
	if got := fmt.Sprint(m.disk.written()); got != "[1[1] 1[2 3 4 5]]" {
		t.Errorf("calls: %s", got)
	}
}

func TestAStreamThatChangesItsRoadKeepsItsOrder(t *testing.T) {
	m := mustStart(t, setup{id: 1})
	hold := make(chan struct{})
	m.disk.gate = func(road core.Flush, ws []core.Write) error {
		if ws[0].ID == 1 {
			<-hold
		}
		return nil
	}
	m.run(func(out *turn) {
		for i, road := range []core.Flush{core.FlushLazy, core.FlushEach, core.FlushLazy, core.FlushEach} {
			out.Writes = append(out.Writes, core.Write{ID: uint64(i) + 1, Stream: 8, Road: road})
		}
		out.Writes = append(out.Writes, core.Write{ID: 9, Stream: 9, Road: core.FlushEach})
	})
	eventually(t, "another stream does not wait", func() bool { return m.script.count("flushed 9") == 1 }, m)
	close(hold)
	eventually(t, "all", func() bool { return m.script.count("flushed 4") == 1 }, m)
	if got := m.disk.written(); !slices.Equal(got[len(got)-3:], []string{"1[2]", "0[3]", "1[4]"}) {
		t.Errorf("calls: %v", got)
	}
}

func TestFailedWritesAndLoadsAreTold(t *testing.T) {
	m := mustStart(t, setup{id: 1})
	m.disk.gate = func(core.Flush, []core.Write) error { return errors.New("no space") }
	m.run(func(out *turn) {
		out.Writes = append(out.Writes, core.Write{ID: 1, Stream: 1}, core.Write{ID: 2, Stream: 2})
		out.Loads = append(out.Loads, core.Load{ID: 3, Stream: 1, Index: 44}, core.Load{ID: 4})
	})
	eventually(t, "all four outcomes", func() bool {
		l := m.script.log()
		return strings.Contains(l, "failed 1: no space") && strings.Contains(l, "failed 2: no space") &&
			strings.Contains(l, "loaded 3") && strings.Contains(l, "failed 4: unexpected EOF")
	}, m)
}

func TestARefusedWriteFailsAlone(t *testing.T) {
	m := mustStart(t, setup{id: 1})
	m.disk.refuse = []journal.Refusal{{ID: 2, Err: &core.Error{Op: "write", Kind: core.Full}}}
	m.run(func(out *turn) {
		for id := uint64(1); id <= 3; id++ {
			out.Writes = append(out.Writes, core.Write{ID: id, Stream: 1, Road: core.FlushEach})
		}
	})
	eventually(t, "all three outcomes", func() bool {
		l := m.script.log()
		return strings.Contains(l, "flushed 1") && strings.Contains(l, "failed 2: write: full") &&
			strings.Contains(l, "flushed 3")
	}, m)
}

func TestADiskThatRestsIsTold(t *testing.T) {
	m := mustStart(t, setup{id: 1})
	m.run(func(out *turn) { out.Writes = append(out.Writes, core.Write{ID: 1, Road: core.FlushEach}) })
	eventually(t, "flushed", func() bool { return m.script.count("flushed 1") == 1 }, m)
	before := m.disk.rests.Load()
	eventually(t, "a rest after the write, once", func() bool { return m.disk.rests.Load() > 0 }, m)
	time.Sleep(3 * restAfter)
	if n := m.disk.rests.Load(); n > before+1 {
		t.Errorf("%d rests", n-before)
	}
}

func TestHeartbeatsStayBackWhileTheDiskDoesNotAnswer(t *testing.T) {
	a, b, _ := pairOf(t)
	hold, begun := make(chan struct{}), make(chan struct{})
	a.disk.gate = func(core.Flush, []core.Write) error { close(begun); <-hold; return nil }
	a.run(func(out *turn) { out.Writes = append(out.Writes, core.Write{ID: 1, Stream: 1}) })
	<-begun
	// As if the flush had begun long ago.
	a.disks.roads[core.FlushLazy].begun.Store(int64(a.now().Mono - 2*flushAgeMax))
	a.run(func(out *turn) {
		out.Sends = append(out.Sends, beatTo(2), shard.Send{To: 2, Msg: &core.Suspect{}})
	})
	eventually(t, "the other message", func() bool { return b.script.count("message 1 *core.Suspect") == 1 }, a, b)
	if b.script.count("message 1 *core.Beat") != 0 {
		t.Error("a heartbeat left")
	}
	close(hold)
	eventually(t, "flushed", func() bool { return a.script.count("flushed 1") == 1 }, a)
	a.run(func(out *turn) { out.Sends = append(out.Sends, beatTo(2)) })
	eventually(t, "a heartbeat", func() bool { return b.script.count("message 1 *core.Beat") == 1 }, a, b)
	if !a.logged.has("the disk does not answer") || !a.logged.has("the disk answers again") {
		t.Error("nothing was said about it")
	}
}

func TestATickComesWhenItIsDue(t *testing.T) {
	m := mustStart(t, setup{id: 1})
	var due, came core.Time
	m.script.mu.Lock()
	m.script.turn = func(now core.Now, in []shard.Event, out *turn) {
		for _, e := range in {
			if e.Kind == shard.Tick && came == 0 {
				came = now.Mono
				return
			}
		}
		if came == 0 {
			due = now.Mono + 20*core.Millisecond
			out.WakeAt = due
		}
	}
	m.script.mu.Unlock()
	m.ask(&shard.Ask{})
	eventually(t, "a tick", func() bool { return m.script.count("tick") > 0 }, m)
	m.script.mu.Lock()
	defer m.script.mu.Unlock()
	if came < due {
		t.Errorf("it came at %d and was due at %d", came, due)
	}
	if n := strings.Count(strings.Join(m.script.lines, " "), "tick"); n != 1 {
		t.Errorf("%d ticks", n)
	}
}

func TestTheViewIsThereBeforeTheAnswer(t *testing.T) {
	m := mustStart(t, setup{id: 1})
	var watched []string
	m.Streams().Watch("q/", func(s *core.Stream, gone bool) {
		watched = append(watched, fmt.Sprintf("%s %d %v", s.Name, s.ID, gone))
	})
	var documents []string
	m.Cluster().Watch("user/", func(ds []core.Document) {
		for _, d := range ds {
			documents = append(documents, d.Key+"="+string(d.Value))
		}
	})
	m.sync()
	stream := func(name string, id core.StreamID) *core.Stream {
		return &core.Stream{Definition: core.Definition{Name: name}, ID: id}
	}
	answered := make(chan string, 1)
	m.run(func(out *turn) {
		out.View.Streams = []*core.Stream{stream("q/b", 3), stream("q/a", 2), stream("t/a", 4)}
		out.View.Documents = []core.Document{{Key: "user/x", Value: []byte("1")}, {Key: "rule/x", Value: []byte("2")}}
		out.Answers = append(out.Answers, shard.Answer{Do: func() {
			d, _ := m.Cluster().Get("user/x")
			answered <- fmt.Sprintf("%d %s %d", m.Streams().Lookup("q/a").ID, d.Value,
				len(m.Streams().List("q/")))
		}})
	})
	if got := <-answered; got != "2 1 2" {
		t.Errorf("the answer finds %s", got)
	}
	m.run(func(out *turn) {
		out.View.Gone = []*core.Stream{stream("q/a", 2)}
		out.View.Streams = []*core.Stream{stream("q/a", 9)}
		out.View.Documents = []core.Document{{Key: "user/x"}}
		out.Answers = append(out.Answers, shard.Answer{Do: func() {
			_, there := m.Cluster().Get("user/x")
			answered <- fmt.Sprint(m.Streams().Lookup("q/a").ID, there)
		}})
	})
	if got := <-answered; got != "9 false" {
		t.Errorf("then it finds %s", got)
	}
	late := make(chan string, 9)
	m.Streams().Watch("q/", func(s *core.Stream, gone bool) { late <- s.Name })
	if got := <-late + " " + <-late; got != "q/a q/b" {
		t.Errorf("a late watcher is told %s", got)
	}
	m.sync()
	if got := strings.Join(watched, ", "); got != "q/b 3 false, q/a 2 false, q/a 2 true, q/a 9 false" {
		t.Errorf("watched %s", got)
	}
	if got := strings.Join(documents, ", "); got != "user/x=1, user/x=" {
		t.Errorf("documents %s", got)
	}
}

func TestForwardsGoToTheLongestPrefixAndBack(t *testing.T) {
	m := mustStart(t, setup{id: 1})
	var mu sync.Mutex
	var routed []string
	for _, p := range []string{"a/", "a/b/"} {
		m.OnForward(p, func(f core.Forward, done func(error)) {
			mu.Lock()
			routed = append(routed, p+" "+f.Stream.Name)
			mu.Unlock()
			go done(nil) // ends by itself at once; the test waits for its event
		})
	}
	forward := func(name string) core.Forward {
		return core.Forward{Stream: &core.Stream{Definition: core.Definition{Name: name}, ID: 7, Epoch: 3}, Offset: 11}
	}
	m.run(func(out *turn) {
		out.Forwards = append(out.Forwards, forward("a/x"), forward("a/b/x"), forward("c"))
	})
	var outcomes []string
	eventually(t, "three outcomes", func() bool {
		outcomes = outcomes[:0]
		for _, e := range m.script.events() {
			if e.Ask != nil && e.Ask.ForwardDone != nil {
				d := e.Ask.ForwardDone
				outcomes = append(outcomes, fmt.Sprint(d.Stream, d.Epoch, d.Offset, core.KindOf(d.Err)))
			}
		}
		return len(outcomes) == 3
	}, m)
	slices.Sort(outcomes)
	if got := strings.Join(outcomes, "; "); got != "7 3 11 not found; 7 3 11 ok; 7 3 11 ok" {
		t.Errorf("outcomes %s", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(routed, "; "); got != "a/ a/x; a/b/ a/b/x" {
		t.Errorf("routed %s", got)
	}
}

func TestAShardThatMustEndEndsTheNode(t *testing.T) {
	m := mustStart(t, setup{id: 1})
	m.run(func(out *turn) { out.Stop = errors.New("another run of this node is alive") })
	<-m.Done()
	if err := m.Err(); err == nil || err.Error() != "another run of this node is alive" {
		t.Errorf("error %v", err)
	}
	m.Close()
	if !m.disk.closed {
		t.Error("the disk was left open")
	}
}

func TestCloseWritesWhatWasHandedToTheDisk(t *testing.T) {
	m := mustStart(t, setup{id: 1})
	hold := make(chan struct{})
	m.disk.gate = func(core.Flush, []core.Write) error { <-hold; return nil }
	for id := uint64(1); id <= 3; id++ {
		m.run(func(out *turn) {
			out.Writes = append(out.Writes, core.Write{ID: id, Stream: 1, Road: core.FlushEach})
		})
	}
	eventually(t, "decided", func() bool { return m.script.count("asked") == 3 }, m)
	closed := make(chan struct{})
	go func() { m.Close(); close(closed) }() // waited for below
	<-m.Done()
	time.Sleep(10 * time.Millisecond)
	close(hold)
	<-closed
	if got := fmt.Sprint(m.disk.written()); !strings.Contains(got, "3]") || !m.disk.closed {
		t.Errorf("calls %s", got)
	}
}
