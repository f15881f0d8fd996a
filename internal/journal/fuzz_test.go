package journal

import (
	"testing"

	"trine/internal/core"
)

// FuzzOpen lays arbitrary bytes over a small directory, or cuts a file off: whatever
// comes, a start ends with an answer, and so does every read.
func FuzzOpen(f *testing.F) {
	fs := smallDisk(f)
	names := fs.Names()
	f.Add(uint8(0), uint32(0), []byte{1}, uint32(0))
	f.Add(uint8(4), uint32(4096), []byte("TRWW"), uint32(0))
	f.Add(uint8(5), uint32(4100), []byte{0xff, 0xff, 0xff, 0xff}, uint32(5000))
	f.Fuzz(func(t *testing.T, file uint8, at uint32, patch []byte, cut uint32) {
		c := fs.Clone()
		name := names[int(file)%len(names)]
		h, err := c.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		size, _ := h.Size()
		if len(patch) > 0 && size > 0 {
			if _, err := h.WriteAt(patch[:min(len(patch), 4096)], int64(at)%size); err != nil {
				t.Fatal(err)
			}
		}
		if cut > 0 {
			h.Truncate(int64(cut) % (size + 1))
		}
		j, rep, err := Open(c, "d", tiny())
		if err != nil {
			return
		}
		for _, r := range rep.Streams {
			loadAll(j, r.Stream)
			j.FindStamp(r.Stream, 1005)
		}
		for now := core.Stamp(10_000); now < 30_000; now += 10_000 {
			j.Clean(now, 0)
		}
		j.WriteEach(each(77, batchEntry(1, 0, 1, 1, 10)))
		j.Close()
	})
}

// smallDisk has a file of each sort.
func smallDisk(t testing.TB) *MemFS {
	fs := NewMemFS()
	opt := tiny()
	opt.LogBytes, opt.SmallBytes = 6<<10, 700
	j, _ := open(t, fs, opt)
	for i := core.Index(1); i <= 12; i++ {
		r, err := j.WriteEach([]core.Write{
			{Stream: 1, Road: core.FlushEach, Entries: []core.Entry{ledgerEntry(i, 0, 1, 20)},
				State: &core.HardState{Epoch: 1, Commit: i}, Checkpoint: &core.Checkpoint{Index: i}},
			{Stream: 2, Road: core.FlushEach, Entries: []core.Entry{batchEntry(i, core.Offset(i-1), 1, 1, 200)}},
			{Stream: core.StreamID(20 + i), Road: core.FlushEach, Entries: []core.Entry{
				batchEntry(1, 0, 1, 1, 20)}}})
		must(t, r, err)
		r, err = j.WriteLazy(lazily(3, batchEntry(i, core.Offset(i-1), 1, 1, 80)))
		must(t, r, err)
		if err := j.Clean(core.Stamp(i)*2000, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Rest(); err != nil {
		t.Fatal(err)
	}
	return fs.Kill()
}
