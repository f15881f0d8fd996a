package journal

import (
	"bytes"
	"math/rand"
	"path/filepath"
	"testing"
)

func TestVolatileWritesAreLostUntilFlushed(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a")
	v := VolatileFS(OSFS())
	f, err := v.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte("flushed"), 0)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte("FL"), 0)
	f.WriteAt([]byte("more"), 7)
	b := make([]byte, 11)
	if _, err := f.ReadAt(b, 0); err != nil || string(b) != "FLushedmore" {
		t.Fatalf("before the cut: %q, %v", b, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := v.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := again.Size(); n != 11 {
		t.Fatalf("who opens it again sees %d bytes", n)
	}
	left, err := ReadFile(OSFS(), name, 100)
	if err != nil || string(left) != "flushed" {
		t.Fatalf("after the cut: %q, %v", left, err)
	}
	a, _ := v.BootID()
	o, _ := VolatileFS(OSFS()).BootID()
	if a == o {
		t.Fatal("two starts have one boot id")
	}
}

// TestVolatileFileReadsAsAFileDoes compares with a plain slice of bytes, and what is
// on the disk with that slice as it was at the last flush.
func TestVolatileFileReadsAsAFileDoes(t *testing.T) {
	for seed := range int64(20) {
		r := rand.New(rand.NewSource(seed))
		name := filepath.Join(t.TempDir(), "a")
		f, err := VolatileFS(OSFS()).Create(name)
		if err != nil {
			t.Fatal(err)
		}
		var want, flushed []byte
		for range 200 {
			switch pos := r.Intn(20000); r.Intn(8) {
			case 0:
				if err := f.Sync(); err != nil {
					t.Fatal(err)
				}
				flushed = bytes.Clone(want)
			case 1:
				if err := f.Truncate(int64(pos)); err != nil {
					t.Fatal(err)
				}
				want = append(want, make([]byte, max(0, pos-len(want)))...)[:pos:pos]
			default:
				b := make([]byte, r.Intn(9000))
				r.Read(b)
				if _, err := f.WriteAt(b, int64(pos)); err != nil {
					t.Fatal(err)
				}
				if len(b) == 0 {
					pos = min(pos, len(want))
				}
				want = append(want, make([]byte, max(0, pos+len(b)-len(want)))...)
				copy(want[pos:], b)
			}
			size, _ := f.Size()
			got := make([]byte, size)
			if err := ReadFull(f, got, 0); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("seed %d: it reads otherwise than it was written: %v", seed, err)
			}
			if disk, err := ReadFile(OSFS(), name, 1<<20); err != nil || !bytes.Equal(disk, flushed) {
				t.Fatalf("seed %d: the disk holds other than what was flushed: %v", seed, err)
			}
		}
	}
}
