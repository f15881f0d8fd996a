package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"testing"

	"trine/internal/core"
)

func opts() Options {
	return Options{NewDiskID: func() core.DiskID { return 7 }, LogBytes: 64 << 10, SegmentBytes: 32 << 10,
		SmallBytes: 4 << 10, ReserveBytes: 1}
}

// batchOf makes a batch of n records whose values fill size bytes together.
func batchOf(base core.Offset, n int32, size int, stamp core.Stamp) []byte {
	b := make([]byte, batchHeader+size)
	be := binary.BigEndian
	be.PutUint64(b, uint64(base))
	be.PutUint32(b[8:], uint32(len(b)-12))
	be.PutUint32(b[12:], 1)
	b[16] = 2
	be.PutUint32(b[23:], uint32(n-1))
	be.PutUint64(b[27:], uint64(stamp))
	be.PutUint64(b[35:], uint64(stamp))
	be.PutUint32(b[57:], uint32(n))
	for i := batchHeader; i < len(b); i++ {
		b[i] = byte(int(base) + i)
	}
	be.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
	return b
}

func entry(i core.Index, base core.Offset, size int) core.Entry {
	return core.Entry{Index: i, Epoch: 1, Gen: 1, Kind: core.EntryBatch, Base: base, Count: 1,
		Data: batchOf(base, 1, size, core.Stamp(i))}
}

func mustOpen(t *testing.T, fs FS) (*Journal, *core.DiskReport) {
	t.Helper()
	j, r, err := Open(fs, "d", opts())
	if err != nil {
		t.Fatal(err)
	}
	return j, r
}

func TestSmoke(t *testing.T) {
	fs := NewMemFS()
	j, r := mustOpen(t, fs)
	fmt.Println(r)
	for i := core.Index(1); i <= 3000; i++ {
		ref, err := j.WriteEach([]core.Write{{Stream: 5, Road: core.FlushEach, Entries: []core.Entry{entry(i, core.Offset(i-1), 100)}}})
		if err != nil || len(ref) > 0 {
			t.Fatal(err, ref)
		}
		ref, err = j.WriteLazy([]core.Write{{Stream: 6, Entries: []core.Entry{entry(i, core.Offset(i-1), 100)}}})
		if err != nil || len(ref) > 0 {
			t.Fatal(err, ref)
		}
		if err := j.Clean(core.Stamp(i), 0); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Printf("%+v\n", j.Stats())
	check := func(j *Journal) {
		for _, s := range []core.StreamID{5, 6} {
			for i := core.Index(1); i <= 3000; i += 50 {
				es, err := j.Load(core.Load{Stream: s, ByIndex: true, Index: i, BytesMax: 2000})
				if err != nil || len(es) == 0 || es[0].Index != i {
					t.Fatal(s, i, err, len(es))
				}
				es, err = j.Load(core.Load{Stream: s, From: core.Offset(i), BytesMax: 2000})
				if err != nil || len(es) == 0 && i < 3000 || len(es) > 0 && es[0].Base != core.Offset(i) {
					t.Fatal(s, i, err, len(es))
				}
			}
		}
	}
	check(j)
	fs = fs.Kill()
	j, r = mustOpen(t, fs)
	for _, s := range r.Streams {
		fmt.Println(s.Stream, s.Damage, len(s.Tail), s.Bytes)
	}
	check(j)
	fmt.Println(r.Clean, r.SameBoot, r.Damage)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, r = mustOpen(t, fs)
	check(j)
	fmt.Println(r.Clean, r.SameBoot, r.Damage, fs.Names())
}
