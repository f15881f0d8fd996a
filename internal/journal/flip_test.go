package journal

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"trine/internal/core"
)

// restedDisk is a small directory in which there is something of everything, and that
// rested a second.
func restedDisk(t *testing.T) *MemFS {
	fs := NewMemFS()
	opt := tiny()
	opt.SmallBytes, opt.LogBytes = 2<<10, 8<<10
	j, _ := open(t, fs, opt)
	if err := j.Bind(99, 2); err != nil {
		t.Fatal(err)
	}
	now := core.Stamp(1000)
	for i := core.Index(1); i <= 22; i++ {
		each := func(ws ...core.Write) { r, err := j.WriteEach(ws); must(t, r, err) }
		lazy := func(ws ...core.Write) { r, err := j.WriteLazy(ws); must(t, r, err) }
		w := core.Write{Stream: 1, Road: core.FlushEach, Entries: []core.Entry{ledgerEntry(i, 0, 1, 60)},
			State: &core.HardState{Epoch: 1, Vote: 7, Commit: i - 1}}
		if i%8 == 0 {
			w.Checkpoint = &core.Checkpoint{Index: i, Epoch: 1, Machine: []byte("facts of the machine")}
		}
		each(w, core.Write{Stream: 2, Road: core.FlushEach,
			Entries: []core.Entry{batchEntry(i, core.Offset(i-1), 1, 1, 280)}})
		if i%10 == 1 {
			each(core.Write{Stream: core.StreamID(10 + i), Road: core.FlushEach,
				Entries: []core.Entry{batchEntry(1, 0, 1, 1, 100)}, Keep: &core.Keep{MsMax: 1 << 40}})
		}
		lazy(core.Write{Stream: 3, Entries: []core.Entry{batchEntry(i, core.Offset(i-1), 1, 1, 150)}})
		if i == 15 {
			lazy(core.Write{Stream: 3, Checkpoint: &core.Checkpoint{Index: 12, Next: 12}})
		}
		if err := j.Clean(now, 0); err != nil {
			t.Fatal(err)
		}
		now += 100
	}
	for range 3 {
		if now += 1100; j.Clean(now, 0) != nil || j.Rest() != nil {
			t.Fatal("rest")
		}
	}
	return fs.Kill()
}

// view is all that a directory gives its reader.
type view struct {
	streams []core.Recovered
	loads   [][]core.Entry
	report  core.DiskReport
}

// look opens a directory and reads everything; found collects what it complains of.
func look(fs *MemFS) (v view, found []string) {
	opt := tiny()
	opt.SmallBytes, opt.LogBytes = 2<<10, 8<<10
	j, rep, err := Open(fs, "d", opt)
	if err != nil {
		return v, []string{err.Error()}
	}
	defer j.closeFiles()
	found = append(found, rep.Damage...)
	for i := range rep.Streams {
		r := &rep.Streams[i]
		if r.Damage != "" {
			found = append(found, r.Damage)
		}
		es, err := loadAll(j, r.Stream)
		if err != nil {
			found = append(found, err.Error())
		}
		v.loads = append(v.loads, es)
	}
	v.streams = rep.Streams
	v.report = core.DiskReport{Disk: rep.Disk, Node: rep.Node, Cluster: rep.Cluster, Clean: rep.Clean,
		SameBoot: rep.SameBoot}
	return v, found
}

// TestAnyFlippedByteIsFound turns over one bit of each byte of a rested directory.
// Whatever a start or a read uses is reported with file and offset; what is exempt
// is counted, and gives nothing else than before.
func TestAnyFlippedByteIsFound(t *testing.T) {
	fs := restedDisk(t)
	want, found := look(fs.Clone())
	if len(found) > 0 {
		t.Fatalf("the unharmed directory complains: %v", found)
	}
	probe, _ := open(t, fs.Clone(), tiny())
	total, harmless := 0, 0
	for _, name := range fs.Names() {
		if name == "d/lock" {
			continue
		}
		b, err := ReadFile(fs, name, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		exempt, from := []string{}, -1
		n := 0
		for at := 0; at <= len(b); at++ {
			ok := at == len(b)
			if !ok {
				total++
				ok = flip(t, fs, name, int64(at), want)
				if !ok && needed(probe, name, int64(at)) {
					t.Errorf("%s at %d: a byte that is needed, and nothing is found", name, at)
				}
			}
			if ok && from >= 0 {
				exempt = append(exempt, fmt.Sprintf("%d-%d", from, at-1))
				n += at - from
				from = -1
			} else if !ok && from < 0 {
				from = at
			}
		}
		harmless += n
		t.Logf("%s: %d bytes, exempt %d: %s", name, len(b), n, strings.Join(exempt, " "))
	}
	t.Logf("%d bytes, %d exempt", total, harmless)
}

// needed says whether a start or a read depends on a byte: not the filling of heads,
// what lies behind the last write of a log file, files of the log that are free, and
// frames of a pack that were moved on.
func needed(j *Journal, name string, at int64) bool {
	switch {
	case strings.HasSuffix(name, ".wal"):
		for _, f := range j.logs {
			if f.name == name {
				return at >= LogDataStart && at < f.end
			}
		}
		return false
	case strings.HasSuffix(name, ".pack"):
		for _, s := range j.streams {
			for _, p := range append(s.parts, s.fill...) {
				if p.kind == inPack && j.fileName(fileKey{inPack, p.file}) == name && at >= p.pos && at < p.end {
					return true
				}
			}
		}
		b, _ := ReadFile(j.fs, name, 1<<20)
		return at < segmentHead || at >= int64(binary.BigEndian.Uint64(b[len(b)-footBytes+8:]))
	case strings.HasSuffix(name, ".seg"):
		return true
	}
	return at < cardBytes || at >= cardAgain
}

// flip says whether the flip at a place is found. One that is not must change nothing.
func flip(t *testing.T, fs *MemFS, name string, at int64, want view) bool {
	c := fs.Clone()
	if err := NewFaultFS(c).FlipAtRest(name, at, uint(at)); err != nil {
		t.Fatal(err)
	}
	got, found := look(c)
	for _, f := range found {
		if strings.Contains(f, name) {
			return true
		}
	}
	if len(found) > 0 {
		t.Errorf("%s at %d: another place is blamed: %v", name, at, found)
		return true
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s at %d: nothing is found, and something else is read", name, at)
	}
	return false
}
