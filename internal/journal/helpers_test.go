package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"testing"

	"trine/internal/core"
)

// tiny makes everything that grows end soon, so that small tests reach all of it.
func tiny() Options {
	return Options{NewDiskID: func() core.DiskID { return 7 }, LogBytes: 16 << 10, LogFiles: 1,
		SegmentBytes: 4 << 10, SmallBytes: 1 << 10, ReserveBytes: 1, FilesMax: 2}
}

// batchOf makes a batch of n records whose values fill size bytes together.
func batchOf(base core.Offset, epoch core.Epoch, n int32, size int, stamp core.Stamp) []byte {
	b := make([]byte, BatchHeader+size)
	be := binary.BigEndian
	be.PutUint64(b, uint64(base))
	be.PutUint32(b[8:], uint32(len(b)-12))
	be.PutUint32(b[12:], uint32(epoch))
	b[16] = 2
	be.PutUint32(b[23:], uint32(n-1))
	be.PutUint64(b[27:], uint64(stamp))
	be.PutUint64(b[35:], uint64(stamp))
	be.PutUint32(b[57:], uint32(n))
	for i := BatchHeader; i < len(b); i++ {
		b[i] = byte(int(base)*7 + int(epoch) + i)
	}
	be.PutUint32(b[17:], crc32.Checksum(b[21:], Castagnoli))
	return b
}

func batchEntry(i core.Index, base core.Offset, epoch core.Epoch, n int32, size int) core.Entry {
	return core.Entry{Index: i, Epoch: epoch, Gen: 1, Kind: core.EntryBatch, Base: base, Count: n,
		Data: batchOf(base, epoch, n, size, core.Stamp(1000+i))}
}

func ledgerEntry(i core.Index, base core.Offset, epoch core.Epoch, size int) core.Entry {
	return core.Entry{Index: i, Epoch: epoch, Gen: 1, Kind: core.EntryQueue, Base: base,
		Data: bytes.Repeat([]byte{byte(i)}, size)}
}

func entryText(e *core.Entry) string {
	return fmt.Sprintf("{%d epoch %d kind %d base %d+%d, %d bytes, crc %08x}", e.Index, e.Epoch, e.Kind,
		e.Base, e.Count, len(e.Data), crc32.ChecksumIEEE(e.Data))
}

func sameEntry(a, b *core.Entry) bool {
	return a.Index == b.Index && a.Epoch == b.Epoch && a.Gen == b.Gen && a.Kind == b.Kind &&
		a.Base == b.Base && a.Count == b.Count && bytes.Equal(a.Data, b.Data)
}

func open(t testing.TB, fs FS, opt Options) (*Journal, *core.DiskReport) {
	t.Helper()
	j, r, err := Open(fs, "d", opt)
	if err != nil {
		t.Fatal(err)
	}
	return j, r
}

func must(t testing.TB, refused []Refusal, err error) {
	t.Helper()
	if err != nil || len(refused) > 0 {
		t.Fatalf("write: %v, refused %v", err, refused)
	}
}

// loadAll reads a stream by index, in small pieces.
func loadAll(j *Journal, s core.StreamID) ([]core.Entry, error) {
	var all []core.Entry
	for next := core.Index(0); ; {
		es, err := j.Load(core.Load{Stream: s, ByIndex: true, Index: next, BytesMax: 900})
		if err != nil || len(es) == 0 {
			return all, err
		}
		for _, e := range es {
			if e.Index < next {
				return all, fmt.Errorf("load from %d gives %d", next, e.Index)
			}
			all = append(all, e)
			next = e.Index + 1
		}
	}
}

func writesText(ws []core.Write) string {
	var b strings.Builder
	for i := range ws {
		w := &ws[i]
		fmt.Fprintf(&b, "[%d road %d", w.Stream, w.Road)
		if w.Remove {
			b.WriteString(" remove")
		}
		if w.Install != nil {
			fmt.Fprintf(&b, " install %d next %d", w.Install.Index, w.Install.Next)
		}
		if w.Cut != 0 {
			fmt.Fprintf(&b, " cut %d", w.Cut)
		}
		if n := len(w.Entries); n > 0 {
			fmt.Fprintf(&b, " entries %d-%d fill %v", w.Entries[0].Index, w.Entries[n-1].Index, w.Fill)
		}
		if w.State != nil {
			fmt.Fprintf(&b, " state %v", *w.State)
		}
		if w.Checkpoint != nil {
			fmt.Fprintf(&b, " checkpoint %d next %d", w.Checkpoint.Index, w.Checkpoint.Next)
		}
		if w.Trim != 0 {
			fmt.Fprintf(&b, " trim %d", w.Trim)
		}
		if w.Reclaim != nil {
			fmt.Fprintf(&b, " reclaim %v", *w.Reclaim)
		}
		b.WriteString("] ")
	}
	return b.String()
}

// dump draws what a journal remembers, for messages.
func dump(j *Journal) string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(j.streams)) {
		s := j.streams[id]
		fmt.Fprintf(&b, "\nstream %d road %d known %v removed %v start %d last %d checkpoint %d at %+v "+
			"home %d skip %d damage %q", id, s.road, s.known, s.removed, s.start, s.last, s.cp.Index, s.cpAt,
			s.home, s.skip, s.damage)
		for _, p := range s.parts {
			fmt.Fprintf(&b, "\n  %+v", p)
		}
		for _, p := range s.fill {
			fmt.Fprintf(&b, "\n  fill %+v", p)
		}
	}
	return b.String()
}
