package journal

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"trine/internal/core"
)

func each(s core.StreamID, es ...core.Entry) []core.Write {
	return []core.Write{{ID: uint64(s), Stream: s, Road: core.FlushEach, Entries: es}}
}

func lazily(s core.StreamID, es ...core.Entry) []core.Write {
	return []core.Write{{ID: uint64(s), Stream: s, Entries: es}}
}

func TestAFailedFlushEndsTheJournalForGood(t *testing.T) {
	for _, name := range []string{"wal", "seg"} {
		t.Run(name, func(t *testing.T) {
			mem := NewMemFS()
			fs := NewFaultFS(mem)
			j, _ := open(t, fs, tiny())
			r, err := j.WriteEach(each(1, batchEntry(1, 0, 1, 1, 50)))
			must(t, r, err)
			r, err = j.WriteLazy(lazily(2, batchEntry(1, 0, 1, 1, 50)))
			must(t, r, err)
			fs.Inject(Fault{Kind: "flush", Op: OpSync, Name: "/" + name + "/", Times: 1, Err: syscall.EIO,
				Drop: true})
			if name == "wal" {
				_, err = j.WriteEach(each(1, batchEntry(2, 1, 1, 1, 50)))
			} else {
				_, err = j.WriteLazy([]core.Write{{Stream: 2, Checkpoint: &core.Checkpoint{Index: 1, Next: 1}}})
				must(t, nil, err)
				err = j.Clean(1, 0)
			}
			if err == nil || !errors.Is(err, syscall.EIO) {
				t.Fatalf("the failed flush gives %v", err)
			}
			if n := fs.Counts(); len(n) != 1 || n[0].Times != 1 {
				t.Fatalf("fired: %v", n)
			}
			_, err = j.WriteEach(each(1, batchEntry(2, 1, 1, 1, 50)))
			_, err2 := j.WriteLazy(lazily(2, batchEntry(2, 1, 1, 1, 50)))
			if _, h := j.Health(); err == nil || err2 == nil || h == nil {
				t.Fatalf("afterwards: %v, %v, health %v", err, err2, h)
			}
			if j.Close() == nil {
				t.Fatal("it closes in order")
			}
			fs.Heal()
			_, rep := open(t, mem.Crash(1, 0), tiny())
			if rep.Clean || len(rep.Streams) != 2 || len(rep.Streams[0].Tail) != 1 {
				t.Fatalf("what was acknowledged before is not there: %+v", rep)
			}
		})
	}
}

func TestAFullDiskRefusesBatchesAndKeepsSettling(t *testing.T) {
	opt := tiny()
	opt.ReserveBytes = 6 << 10
	for _, lazy := range []bool{false, true} {
		t.Run(fmt.Sprint("lazy ", lazy), func(t *testing.T) {
			mem := NewMemFS()
			mem.SetQuota(60 << 10)
			j, _ := open(t, mem, opt)
			call, road := j.WriteEach, core.FlushEach
			if lazy {
				call, road = j.WriteLazy, core.FlushLazy
			}
			write := func(w core.Write) error {
				w.Stream, w.Road = 5, road
				refused, err := call([]core.Write{w})
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range refused {
					return r.Err
				}
				return nil
			}
			var n core.Index
			var full error
			for n = 1; n < 1000 && full == nil; n++ {
				full = write(core.Write{Entries: []core.Entry{batchEntry(n, core.Offset(n-1), 1, 1, 500)}})
			}
			n--
			if core.KindOf(full) != core.Full {
				t.Fatalf("after %d entries: %v", n, full)
			}
			for i := range core.Index(5) { // the reserve
				if err := write(core.Write{Entries: []core.Entry{ledgerEntry(n+i, core.Offset(n-1), 1, 50)},
					State: &core.HardState{Epoch: core.Epoch(i)}}); err != nil {
					t.Fatalf("a settlement is refused: %v", err)
				}
			}
			n += 5
			all, err := loadAll(j, 5)
			if err != nil || len(all) != int(n-1) {
				t.Fatalf("%d of %d entries: %v", len(all), n-1, err)
			}
			// until nothing at all fits
			for full = nil; full == nil; n++ {
				full = write(core.Write{Entries: []core.Entry{ledgerEntry(n, core.Offset(n-1), 1, 900)}})
			}
			n--
			if core.KindOf(full) != core.Full {
				t.Fatalf("with nothing left: %v", full)
			}
			if _, err := j.Health(); err != nil {
				t.Fatalf("a full disk ends the journal: %v", err)
			}
			mem.SetQuota(200 << 10)
			for i := range core.Index(3) {
				if err := write(core.Write{Entries: []core.Entry{
					batchEntry(n+i, core.Offset(n-1+i), 1, 1, 500)}}); err != nil {
					t.Fatalf("with room again: %v", err)
				}
			}
			n += 3
			_, rep := open(t, mem.Kill(), opt)
			if r := rep.Streams[0]; core.Index(len(r.Tail)) != n-1 || r.Damage != "" {
				t.Fatalf("%d of %d entries come back, %q %v", len(r.Tail), n-1, r.Damage, rep.Damage)
			}
		})
	}
}

func TestASecondProcessIsTurnedAway(t *testing.T) {
	dir := t.TempDir()
	j, _, err := Open(OSFS(), dir, tiny())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err = Open(OSFS(), dir, tiny()); err == nil ||
		!strings.Contains(err.Error(), "another process uses this directory") {
		t.Fatalf("a second one: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j, _, err = Open(OSFS(), dir, tiny()); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAnotherVersionAndAnotherDiskAreRefused(t *testing.T) {
	fs := NewMemFS()
	j, _ := open(t, fs, tiny())
	r, err := j.WriteEach(each(1, batchEntry(1, 0, 1, 1, 50)))
	must(t, r, err)
	if err := j.Bind(5, 1); err != nil {
		t.Fatal(err)
	}
	if err := j.Bind(5, 1); err != nil {
		t.Fatal(err)
	}
	if err := j.Bind(6, 1); core.KindOf(err) != core.Exist {
		t.Fatalf("bound again: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	refused := func(name, want string, change func(fs *MemFS)) {
		c := fs.Kill().Clone()
		change(c)
		if _, _, err := Open(c, "d", tiny()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	rewrite := func(file string, at int, to byte) func(*MemFS) {
		return func(fs *MemFS) {
			b, err := ReadFile(fs, file, 4096)
			if err != nil {
				t.Fatal(err)
			}
			b = b[:cardBytes]
			b[at] = to
			if err := WriteFile(fs, "d", file, card(b)); err != nil {
				t.Fatal(err)
			}
		}
	}
	refused("a newer format", "its format version is 2, this program knows 1", rewrite("d/disk", 7, 2))
	refused("a newer run file", "version 2", rewrite("d/run", 7, 2))
	refused("another disk's log", "belongs to disk", rewrite("d/disk", 15, 9))
	refused("no identity", "no file", func(fs *MemFS) { fs.Remove("d/disk") })
}

func TestRealFilesKeepWhatTheyWereGiven(t *testing.T) {
	dir := t.TempDir()
	opt := tiny()
	opt.LogBytes = 64 << 10
	j, _, err := Open(OSFS(), dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	for i := core.Index(1); i <= 300; i++ {
		e := batchEntry(i, core.Offset(i-1), 1, 1, 700)
		r, err := j.WriteEach(each(1, e))
		must(t, r, err)
		r, err = j.WriteLazy(lazily(2, e))
		must(t, r, err)
		if i%50 == 0 {
			if err := j.Clean(core.Stamp(i)*10_000, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := j.Rest(); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, rep, err := Open(OSFS(), dir, opt)
	if err != nil || !rep.Clean || !rep.SameBoot || len(rep.Damage) > 0 {
		t.Fatalf("opened again: %v %+v", err, rep)
	}
	defer j.Close()
	for _, s := range rep.Streams {
		all, err := loadAll(j, s.Stream)
		if err != nil || len(all) != 300 || len(s.Tail) != 300 {
			t.Fatalf("stream %d: %d entries, tail %d, %v", s.Stream, len(all), len(s.Tail), err)
		}
		for i := range all {
			if want := batchEntry(core.Index(i+1), core.Offset(i), 1, 1, 700); !sameEntry(&all[i], &want) {
				t.Fatalf("stream %d: %s", s.Stream, entryText(&all[i]))
			}
		}
	}
}
