package link

import (
	"bytes"
	"testing"

	"trine/internal/core"
)

func seeds() []core.Message {
	e := core.Entry{Index: 9, Epoch: 2, Gen: 1, Kind: core.EntryBatch, Base: 40, Count: 2, Data: []byte("data")}
	return []core.Message{
		&core.Beat{Seq: 1, Sent: 2, Wall: 3, Applied: 4},
		&core.Replicate{Stream: 5, Gen: 1, Type: core.RepAppend, From: 6, To: 7, Entries: []core.Entry{e, e}},
		&core.Replicate{Type: core.RepCheckpoint, Checkpoint: &core.Checkpoint{Index: 3, Machine: []byte("m")}},
		&core.Filled{Entries: []core.Entry{e}, Done: true},
		&core.Request{ID: 3, Body: &core.Enter{Stream: 5, Batch: []byte("batch")}},
		&core.Request{ID: 4, Body: &core.SettleAsk{Stream: 5, Settles: []core.Settle{{Stream: 5,
			Verdicts: []core.Verdict{{From: 1, To: 2, Outcome: core.Accept}}}}}},
		&core.Response{ID: 3, Err: &core.Error{Op: "append", Kind: core.NotLeader, Leader: 2}},
		&core.Response{ID: 3, Body: &core.ReadDone{Parts: []core.ReadAnswer{{Batches: [][]byte{{1}, {2}}}}}},
		&core.Lends{Stream: 5, Lends: []core.Lend{{Consumer: 1, Record: core.Record{Key: []byte("k"),
			Headers: []core.Header{{Key: "h", Value: []byte("v")}}}}}},
		&core.Join{Empty: true, Addresses: map[string]string{"a": "b"}, Named: []core.NodeID{1, 2}},
		&core.JoinAnswer{Cluster: 8, Voters: []core.Member{{Node: 1, Disk: 2, InSync: true}}},
	}
}

// FuzzDecode: whatever comes, Decode says what is wrong or gives a message whose
// bytes decode to the same.
func FuzzDecode(f *testing.F) {
	for _, m := range seeds() {
		f.Add(Append(nil, m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		once := Append(nil, m)
		m, err = Decode(once)
		if err != nil {
			t.Fatalf("what was decoded does not decode again: %v", err)
		}
		if twice := Append(nil, m); !bytes.Equal(once, twice) {
			t.Fatalf("%x, then %x", once, twice)
		}
	})
}

// FuzzCut: whatever a connection brings, cutting it ends, and holds no more than
// was sent.
func FuzzCut(f *testing.F) {
	for _, m := range seeds() {
		b, _ := AppendFrames(AppendGo(nil), core.LaneControl, m)
		f.Add(b, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, bulk bool) {
		l := core.LaneControl
		if bulk {
			l = core.LaneBulk
		}
		var a Assembler
		for {
			fr, size, need, err := Cut(b, l)
			if err != nil {
				return
			}
			if size == 0 {
				if need <= len(b) || need > FrameMax(l) {
					t.Fatalf("needs %d where %d are there", need, len(b))
				}
				return
			}
			if _, err := a.Add(fr); err != nil {
				return
			}
			b = b[size:]
		}
	})
}

// FuzzHello: a Hello that decodes has the same bytes again, unless a later version
// put more in.
func FuzzHello(f *testing.F) {
	f.Add(AppendHello(nil, Hello{Oldest: 1, Newest: 2, Cluster: 3, Calls: 4, Text: "text"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeHello(b)
		if err == nil && len(b) == HelloMin+len(h.Text)+len(h.Address) && !bytes.Equal(AppendHello(nil, h), b) {
			t.Fatalf("%x gives %+v", b, h)
		}
	})
}

func BenchmarkAppendBatch(b *testing.B) {
	m := &core.Replicate{Stream: 5, Gen: 1, Type: core.RepAppend, From: 6, To: 7}
	for i := range 16 {
		m.Entries = append(m.Entries, core.Entry{Index: core.Index(i), Epoch: 2, Gen: 1, Kind: core.EntryBatch,
			Data: make([]byte, 1024)})
	}
	var dst []byte
	b.SetBytes(16 << 10)
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = AppendFrames(dst[:0], core.LaneBulk, m)
	}
}

func BenchmarkDecodeBatch(b *testing.B) {
	m := &core.Replicate{Stream: 5, Gen: 1, Type: core.RepAppend, From: 6, To: 7}
	for i := range 16 {
		m.Entries = append(m.Entries, core.Entry{Index: core.Index(i), Epoch: 2, Gen: 1, Kind: core.EntryBatch,
			Data: make([]byte, 1024)})
	}
	buf, _ := AppendFrames(nil, core.LaneBulk, m)
	b.SetBytes(16 << 10)
	b.ReportAllocs()
	for b.Loop() {
		f, _, _, _ := Cut(buf, core.LaneBulk)
		var a Assembler
		if _, err := a.Add(f); err != nil {
			b.Fatal(err)
		}
	}
}
