package catalog

import (
	"testing"

	"trine/internal/core"
)

// seeds gives one command of each kind.
func seeds() [][]byte {
	by := core.Peer{Node: 2, Disk: 32, Incarnation: 2}
	def := core.Definition{Name: "new", Policy: core.Mirror(2, core.FlushLazy), At: []core.NodeID{1},
		Queue: &core.QueueSettings{TTLMs: -1, ForwardTo: []byte("x")}, Labels: []byte{}}
	pol := core.Majority(3)
	return [][]byte{
		Put(by, []core.Change{{Define: &def}, {Key: "k", Value: []byte("v"), Expect: core.NoRevision},
			{Stream: "q0", Alter: &core.Alteration{Policy: &pol, Keep: &core.Keep{MsMax: 1},
				Queue: &core.QueueSettings{}, At: []core.NodeID{2, 1}, Labels: []byte("l")}}, {Stream: "q1"}}),
		Register(core.Peer{Node: 4, Disk: 64, Incarnation: 9}, Registration{Rack: "r",
			Addresses: map[string]string{"a": "b", "c": "d"}, Clean: true, Damaged: []core.StreamID{262144}}),
		Register(core.Peer{Node: 1, Disk: 16, Incarnation: 9}, Registration{}),
		Fence(by), HandOver(by), Grow(), Yield([]Yielding{{Stream: 3, Gen: 1, Epoch: 1, To: 16}}), Vote([]core.NodeID{1, 2}),
		InSync([]InSyncChange{{Stream: 4 << 16, Gen: 1, Epoch: 1, Disk: 32}}),
		Move("q0", []core.NodeID{3}), Decide("q0", 32),
		Report(by, []LogEnd{{Stream: 4 << 16, Epoch: 1, Index: 7}}),
		Changed(KindChange{Stream: 4<<16 + 1, Gen: 1, Seal: 3, Floor: 2,
			Members: []core.Member{{Node: 1, Disk: 16, InSync: true}}}),
	}
}

// furnished gives a catalog with something of everything.
func furnished() *world {
	w := newWorld()
	for n := core.NodeID(1); n <= 3; n++ {
		w.a.Apply(w.a.Applied()+1, Register(core.Peer{Node: n, Disk: core.DiskID(n) * 16,
			Incarnation: core.Incarnation(n)}, Registration{}))
	}
	var cs []core.Change
	for i, p := range []core.Policy{core.InSync(3, 2, core.FlushLazy), core.Majority(3), core.Single(core.FlushEach)} {
		name := string(rune('0' + i))
		cs = append(cs, core.Change{Define: &core.Definition{Name: "q" + name, Policy: p}},
			core.Change{Key: "d" + name, Value: []byte{1}, Owner: core.Owner{Node: 2, Incarnation: 2}})
	}
	single := core.Single(core.FlushEach)
	cs = append(cs, core.Change{Stream: "q1", Alter: &core.Alteration{Policy: &single}})
	w.a.Apply(w.a.Applied()+1, Put(core.Peer{}, cs))
	w.a.Apply(w.a.Applied()+1, Move("q2", []core.NodeID{3}))
	w.look()
	return w
}

// FuzzCommand: bytes that are no command change nothing, all others keep the rules.
func FuzzCommand(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w := furnished()
		before := w.a.Describe()
		res, err := DecodeResult(w.a.Apply(100, b))
		if err != nil {
			t.Fatal(err)
		}
		if res.Kind != core.OK && w.a.Describe() != before {
			t.Fatalf("it was refused and changed\n%sto\n%s", before, w.a.Describe())
		}
		w.look()
		w.told(t)
		for _, id := range w.a.ids.list() {
			check(t, w.a, w.a.streams[id])
		}
		sameIndexes(t, w.a, again(t, w.a))
	})
}

// FuzzCheckpoint: bytes that are no checkpoint are refused, and what is taken can be
// gone on with.
func FuzzCheckpoint(f *testing.F) {
	w := furnished()
	f.Add(w.a.Encode())
	w.a.Apply(200, Register(core.Peer{Node: 1, Disk: 16, Incarnation: 7}, Registration{}))
	w.a.Apply(201, Fence(core.Peer{Node: 2, Disk: 32, Incarnation: 2}))
	w.a.Apply(202, Fence(core.Peer{Node: 3, Disk: 48, Incarnation: 3}))
	f.Add(w.a.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Decode(b)
		if err != nil {
			return
		}
		c = again(t, c)
		if c.applied < 0 || c.applied > 1<<40 {
			return
		}
		for i, s := range seeds() {
			c.Apply(c.applied+1+core.Index(i), s)
		}
		again(t, c)
	})
}

// TestEveryKindOfCommandIsTaken: each seed does what it says on a furnished catalog.
func TestEveryKindOfCommandIsTaken(t *testing.T) {
	for i, s := range seeds() {
		w := furnished()
		if kind(s[1]) == kindFence || kind(s[1]) == kindDecide {
			w.a.Apply(90, Fence(core.Peer{Node: 1, Disk: 16, Incarnation: 1}))
		}
		res, err := DecodeResult(w.a.Apply(100, s))
		if err != nil || res.Kind != core.OK {
			t.Errorf("seed %d, kind %d: %+v, %v", i, s[1], res, err)
		}
	}
}

// TestCommandsCutShortAreRefused: no beginning of a command is one.
func TestCommandsCutShortAreRefused(t *testing.T) {
	for _, s := range seeds() {
		for n := range len(s) {
			w := furnished()
			if res, _ := DecodeResult(w.a.Apply(100, s[:n])); res.Kind != core.Invalid {
				t.Errorf("%x of %x: %+v", s[:n], s, res)
			}
		}
	}
}

// TestACheckpointCutShortIsRefused: no beginning of a checkpoint is one.
func TestACheckpointCutShortIsRefused(t *testing.T) {
	b := furnished().a.Encode()
	for n := range len(b) {
		if _, err := Decode(b[:n]); err == nil {
			t.Errorf("%d bytes of %d are taken", n, len(b))
		}
	}
}
