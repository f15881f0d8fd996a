package journal

import (
	"fmt"
	"testing"

	"trine/internal/core"
)

// openMany opens a journal on real files in which n streams have a little each.
func openMany(b *testing.B, n int, road core.Flush) (string, *Journal) {
	dir := b.TempDir()
	opt := Options{NewDiskID: func() core.DiskID { return 7 }}
	j, _, err := Open(OSFS(), dir, opt)
	if err != nil {
		b.Fatal(err)
	}
	call := j.WriteEach
	if road == core.FlushLazy {
		call = j.WriteLazy
	}
	var next core.Index
	for range 5 {
		next++
		var ws []core.Write
		for s := range n {
			ws = append(ws, core.Write{Stream: core.StreamID(s + 2), Road: road,
				Entries: []core.Entry{batchEntry(next, core.Offset(next-1), 1, 1, 1000)}})
		}
		if r, err := call(ws); err != nil || len(r) > 0 {
			b.Fatal(err, r)
		}
	}
	return dir, j
}

// BenchmarkOpen measures a start after a kill: the page cache is warm.
func BenchmarkOpen(b *testing.B) {
	for _, road := range []core.Flush{core.FlushEach, core.FlushLazy} {
		b.Run(fmt.Sprintf("5000 streams, road %d", road), func(b *testing.B) {
			dir, j := openMany(b, 5000, road)
			j.lock.Close() // as the kernel does for a killed process
			b.ResetTimer()
			for range b.N {
				k, rep, err := Open(OSFS(), dir, Options{})
				if err != nil || len(rep.Streams) != 5000 || len(rep.Streams[7].Tail) != 5 {
					b.Fatal(err)
				}
				k.closeFiles()
				k.lock.Close()
			}
		})
	}
}

// BenchmarkWriteEach measures one call with so many streams' entries of 1 KiB each.
func BenchmarkWriteEach(b *testing.B) {
	for _, n := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("%d entries a call", n), func(b *testing.B) {
			j, _, err := Open(OSFS(), b.TempDir(), Options{NewDiskID: func() core.DiskID { return 7 }})
			if err != nil {
				b.Fatal(err)
			}
			data := batchOf(0, 1, 1, 1000-BatchHeader, 1000)
			ws := make([]core.Write, n)
			b.ReportAllocs()
			b.SetBytes(int64(n * len(data)))
			b.ResetTimer()
			for i := range b.N {
				for k := range ws {
					ws[k] = core.Write{Stream: core.StreamID(k + 2), Road: core.FlushEach, Entries: []core.Entry{
						{Index: core.Index(i + 1), Epoch: 1, Gen: 1, Kind: core.EntryBatch, Base: core.Offset(i),
							Count: 1, Data: data}}}
				}
				if r, err := j.WriteEach(ws); err != nil || len(r) > 0 {
					b.Fatal(err, r)
				}
				if i%200 == 199 {
					b.StopTimer()
					if err := j.Clean(core.Stamp(i), 0); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
			}
			b.StopTimer()
			if err := j.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
