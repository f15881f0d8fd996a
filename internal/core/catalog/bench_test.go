package catalog

import (
	"fmt"
	"testing"

	"trine/internal/core"
)

// filled gives three nodes with n mirrored streams on all of them.
func filled(n int) *Catalog {
	c := New(1, []core.Member{{Node: 1, Disk: 16, InSync: true}})
	for id := core.NodeID(1); id <= 3; id++ {
		c.Apply(c.applied+1, Register(core.Peer{Node: id, Disk: core.DiskID(id) * 16, Incarnation: 1}, Registration{}))
	}
	for i := 0; i < n; i += 1000 {
		c.Apply(c.applied+1, defines(i, min(n-i, 1000)))
	}
	return c
}

func defines(from, n int) []byte {
	cs := make([]core.Change, n)
	for i := range cs {
		cs[i].Define = &core.Definition{Name: fmt.Sprintf("topic-%07d", from+i),
			Policy: core.InSync(3, 2, core.FlushLazy), Keep: core.Keep{MsMax: 604800000}, Labels: []byte("labels")}
	}
	return Put(core.Peer{}, cs)
}

func BenchmarkPut1000Streams(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		c := filled(10000)
		command := defines(20000, 1000)
		b.StartTimer()
		c.Apply(c.applied+1, command)
	}
}

func BenchmarkPutOneStreamOf10000(b *testing.B) {
	c := filled(10000)
	b.ReportAllocs()
	i := 20000
	for b.Loop() {
		c.Apply(c.applied+1, defines(i, 1))
		i++
	}
}

func BenchmarkFenceWith10000Streams(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		c := filled(10000)
		command := Fence(core.Peer{Node: 1, Disk: 16, Incarnation: 1})
		b.StartTimer()
		c.Apply(c.applied+1, command)
	}
}

func BenchmarkCheckpointOf10000Streams(b *testing.B) {
	c := filled(10000)
	b.ReportAllocs()
	var bytes int
	for b.Loop() {
		bytes = len(c.Encode())
	}
	b.ReportMetric(float64(bytes)/10000, "bytes/stream")
}

func BenchmarkDecodeOf10000Streams(b *testing.B) {
	enc := filled(10000).Encode()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(enc); err != nil {
			b.Fatal(err)
		}
	}
}
