package node

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"trine/internal/core"
	"trine/internal/core/shard"
	wire "trine/internal/link"
)

func TestMessagesArriveInOrderOnBothLanes(t *testing.T) {
	a, b, _ := pairOf(t)
	const each = 2000
	large := bytes.Repeat([]byte("x"), 700_000)
	for i := range each {
		a.run(func(out *shard.Turn) {
			data := []byte{byte(i)}
			if i%500 == 0 {
				data = large
			}
			out.Sends = append(out.Sends,
				shard.Send{To: 2, Lane: core.LaneControl, Msg: &core.Request{ID: uint64(i), Body: &core.Done{}}},
				shard.Send{To: 2, Lane: core.LaneBulk, Msg: &core.Request{ID: uint64(i), Body: &core.Propose{Command: data}}})
		})
	}
	var control, bulk []uint64
	eventually(t, "all messages", func() bool {
		control, bulk = control[:0], bulk[:0]
		for _, e := range b.script.events() {
			r, ok := e.Msg.(*core.Request)
			if !ok {
				continue
			}
			if p, ok := r.Body.(*core.Propose); ok {
				if r.ID%500 == 0 && !bytes.Equal(p.Command, large) || r.ID%500 != 0 && p.Command[0] != byte(r.ID) {
					t.Fatalf("message %d holds other bytes", r.ID)
				}
				bulk = append(bulk, r.ID)
			} else {
				control = append(control, r.ID)
			}
			if e.Peer != a.self {
				t.Fatalf("it came from %v", e.Peer)
			}
		}
		return len(control) == each && len(bulk) == each
	})
	for i := range each {
		if control[i] != uint64(i) || bulk[i] != uint64(i) {
			t.Fatalf("message %d: control %d, bulk %d", i, control[i], bulk[i])
		}
	}
}

func TestAnEndedProcessIsDownAtOnceAndGoneOnceRefused(t *testing.T) {
	for _, dead := range []core.NodeID{1, 2} {
		a, b, _ := pairOf(t)
		if dead == 1 {
			a, b = b, a
		}
		peer := b.self
		b.Close()
		eventually(t, "down, then gone", func() bool {
			return strings.Contains(a.script.log(), "gone=true")
		}, a, b)
		var lines []string
		for _, e := range a.script.events() {
			if e.Kind == shard.LinkDown {
				if e.Peer != peer {
					t.Errorf("down says %v, the peer was %v", e.Peer, peer)
				}
				lines = append(lines, describe(e))
			}
		}
		if len(lines) != 2 || strings.HasSuffix(lines[0], "true") || !strings.HasSuffix(lines[1], "true") {
			t.Errorf("seen %q", lines)
		}
	}
}

func TestAListenerThatOnlyAcceptsProvesNothing(t *testing.T) {
	for _, dead := range []core.NodeID{1, 2} {
		a, b, at := pairOf(t)
		if dead == 1 {
			a, b = b, a
		}
		b.Close()
		eventually(t, "gone", func() bool { return strings.Contains(a.script.log(), "gone=true") }, a)
		// The same again with a listener in its place that accepts and hangs up.
		b = mustStart(t, setup{id: dead, listen: at[dead], peers: at})
		up := describe(shard.Event{Kind: shard.LinkUp, Peer: b.self})
		eventually(t, "up again", func() bool { return a.script.count(up) == 2 }, a, b)
		seen := len(a.script.events())
		b.listener.Close()
		l := listenAgain(t, at[dead])
		var hungUp int
		calls := make(chan struct{}, 100)
		go func() { // ends with l
			for {
				c, err := l.Accept()
				if err != nil {
					close(calls)
					return
				}
				c.Close()
				calls <- struct{}{}
			}
		}()
		b.Close()
		for hungUp < 10 {
			<-calls
			hungUp++
		}
		for _, e := range a.script.events()[seen:] {
			if e.Gone {
				t.Errorf("an accepted connection without a word counts as evidence: %v", describe(e))
			}
		}
		l.Close()
		for range calls {
		}
		eventually(t, "gone once refused", func() bool {
			for _, e := range a.script.events()[seen:] {
				if e.Gone {
					return true
				}
			}
			return false
		}, a)
	}
}

func listenAgain(t *testing.T, address string) net.Listener {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		l, err := net.Listen("tcp", address)
		if err == nil {
			return l
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func TestAnotherRunTellsThatTheFormerIsGone(t *testing.T) {
	a, b, at := pairOf(t)
	former := b.self
	// The link ends, and before anybody could be refused the next run listens.
	b.Close()
	b = mustStart(t, setup{id: 2, listen: at[2], peers: at})
	eventually(t, "up again", func() bool { return a.script.count("up 2") == 2 }, a, b)
	var gone, up int
	for i, e := range a.script.events() {
		if e.Kind == shard.LinkDown && e.Gone && e.Peer == former {
			gone = i
		}
		if e.Kind == shard.LinkUp && e.Peer == b.self {
			up = i
		}
	}
	if gone == 0 || up < gone {
		t.Errorf("seen:\n%s", a.script.log())
	}
}

func TestNoMessageComesAfterItsLinkEnded(t *testing.T) {
	a, b, _ := pairOf(t)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() { // ends with stop; waited for below
		defer close(done)
		for i := uint64(0); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			a.run(func(out *shard.Turn) {
				for l := range core.Lane(2) {
					out.Sends = append(out.Sends, shard.Send{To: 2, Lane: l, Msg: &core.Beat{Seq: i}})
				}
			})
		}
	}()
	var last, next *link
	for i := range 20 {
		// The far end may be up a moment before this one has the link in hand.
		eventually(t, "link up", func() bool {
			p := a.Node.peers.all[2]
			p.mu.Lock()
			next = p.link
			p.mu.Unlock()
			return next != nil && next != last && b.script.count("up 1") == i+1
		}, a, b)
		last = next
		last.lanes[i%2].conn.Close()
	}
	close(stop)
	<-done
	for _, m := range []*member{a, b} {
		up := false
		for _, e := range m.script.events() {
			switch e.Kind {
			case shard.LinkUp:
				up = true
			case shard.LinkDown:
				up = false
			case shard.Message:
				if !up {
					t.Fatal("a message came while the link was down")
				}
			}
		}
	}
}

func TestAReaderWaitsForALoopThatIsBehind(t *testing.T) {
	a, b, _ := pairOf(t)
	hold := make(chan struct{})
	b.onLoop(func() { <-hold })
	a.run(func(out *shard.Turn) {
		for range 200 {
			out.Sends = append(out.Sends, shard.Send{To: 2, Lane: core.LaneBulk,
				Msg: &core.Request{Body: &core.Propose{Command: make([]byte, 200_000)}}})
		}
		out.Sends = append(out.Sends, shard.Send{To: 2, Lane: core.LaneControl, Msg: &core.Beat{Seq: 9}})
	})
	waiting := func() (n, beats int) {
		b.inbox.mu.Lock()
		defer b.inbox.mu.Unlock()
		for _, e := range b.inbox.now.events {
			switch e.Msg.(type) {
			case *core.Request:
				n += 200_000
			case *core.Beat:
				beats++
			}
		}
		return n, beats
	}
	eventually(t, "a full window, and a heartbeat beside it", func() bool {
		n, beats := waiting()
		return n > windowBytes-400_000 && beats == 1
	}, a, b)
	if n, _ := waiting(); n > windowBytes+2*slabBulk {
		t.Errorf("%d bytes wait, the window is %d", n, windowBytes)
	}
	close(hold)
	eventually(t, "everything", func() bool { return b.script.count("message 1 *core.Request") == 200 }, a, b)
}

// call says a Hello to an address and gives the answer's refusal.
func call(t *testing.T, address string, h wire.Hello) wire.Hello {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write(wire.AppendHello(nil, h))
	c.SetDeadline(time.Now().Add(10 * time.Second))
	back, err := readHello(c)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func TestHellosThatDoNotFitAreRefusedWithTheReason(t *testing.T) {
	a, b, _ := pairOf(t)
	good := wire.Hello{Oldest: wire.VersionMin, Newest: wire.Version, Cluster: 5, Calls: 2, Purpose: wire.ForProbe,
		Peer: core.Peer{Node: 3, Disk: 103, Incarnation: 9}}
	if back := call(t, b.Address(), good); back.Refusal != wire.Accepted || back.Peer != b.self {
		t.Fatalf("a good one: %+v", back)
	}
	for _, c := range []struct {
		change func(h *wire.Hello)
		want   wire.Refusal
		text   string
	}{
		{func(h *wire.Hello) { h.Oldest, h.Newest = 7, 9 }, wire.WrongVersion, "versions 7 to 9"},
		{func(h *wire.Hello) { h.Cluster = 6 }, wire.WrongCluster, "belongs to cluster 0000000000000005"},
		{func(h *wire.Hello) { h.Calls = 4 }, wire.WrongNode, "this is node 2"},
		{func(h *wire.Hello) { h.Peer.Disk = 102 }, wire.Cloned, "copied"},
		{func(h *wire.Hello) { h.Peer.Disk = 101 }, wire.Cloned, "connected to node 2 as another process"},
		{func(h *wire.Hello) { h.Peer = a.self; h.Peer.Incarnation++ }, wire.Cloned, "another process"},
		{func(h *wire.Hello) { h.Purpose = wire.ForControl }, wire.Misplaced, "smaller id"},
		{func(h *wire.Hello) { h.Purpose = 77 }, wire.Misplaced, "purpose 77"},
		{func(h *wire.Hello) { h.Peer = core.Peer{} }, wire.Misplaced, "names no node"},
	} {
		h := good
		c.change(&h)
		// The link's own traffic says that node 1 lives.
		b.peers.all[1].link.heard.Store(int64(b.now().Mono))
		if back := call(t, b.Address(), h); back.Refusal != c.want || !strings.Contains(back.Text, c.text) {
			t.Errorf("%+v: refused with %v, %q", h, back.Refusal, back.Text)
		}
	}
}

func TestStrangersAndGarbageAreClosedAndHarmNothing(t *testing.T) {
	a, b, _ := pairOf(t)
	hello := wire.AppendHello(nil, wire.Hello{Oldest: wire.VersionMin, Newest: wire.Version, Cluster: 5, Calls: 2,
		Peer: core.Peer{Node: 1, Disk: 101, Incarnation: a.self.Incarnation}})
	for _, bytes := range [][]byte{
		[]byte("GET / HTTP/1.1\r\n\r\n"), {0}, {}, []byte("TRIN\xff\xff"), []byte("TRIN\x00\x00"),
		hello[:20], append(hello, "garbage instead of go"...), append(hello, wire.AppendGo(nil)[:9]...),
	} {
		c, err := net.Dial("tcp", b.Address())
		if err != nil {
			t.Fatal(err)
		}
		c.Write(bytes)
		c.(*net.TCPConn).CloseWrite()
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		for err = nil; err == nil; {
			_, err = c.Read(make([]byte, 100))
		}
		if e, ok := err.(net.Error); ok && e.Timeout() {
			t.Errorf("%q: not closed", bytes)
		}
		c.Close()
	}
	a.run(func(out *shard.Turn) { out.Sends = append(out.Sends, shard.Send{To: 2, Msg: &core.Beat{Seq: 1}}) })
	eventually(t, "the link works", func() bool { return b.script.count("message 1 *core.Beat") == 1 }, a, b)
}

func TestGarbageOnALinkEndsItAndItIsMadeAgain(t *testing.T) {
	a, b, _ := pairOf(t)
	for i, garbage := range [][]byte{{0xff, 0xff, 0xff, 0xff}, make([]byte, 100), wire.AppendGo(nil)} {
		p := a.peers.all[2]
		p.mu.Lock()
		k := p.link
		p.mu.Unlock()
		k.lanes[i%2].conn.Write(garbage)
		eventually(t, "down and up", func() bool {
			return a.script.count("up 2") == i+2 && b.script.count("up 1") == i+2
		}, a, b)
	}
}
