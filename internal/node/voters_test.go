package node

import (
	"bytes"
	"reflect"
	"testing"

	"trine/internal/core"
	"trine/internal/journal"
)

func TestTheFirstVotersAreKeptAndDamageIsFound(t *testing.T) {
	disk := journal.NewMemFS()
	if err := disk.MkdirAll("d"); err != nil {
		t.Fatal(err)
	}
	if f, err := readVoters(disk, "d"); err != nil || f.cluster != 0 {
		t.Fatalf("without a file: %+v, %v", f, err)
	}
	want := found{cluster: 77, voters: []core.Member{{Node: 1, Disk: 11, InSync: true}, {Node: 2, Disk: 22}}}
	if err := writeVoters(disk, "d", want); err != nil {
		t.Fatal(err)
	}
	after := disk.Crash(1, 0) // everything unflushed is lost
	if f, err := readVoters(after, "d"); err != nil || !reflect.DeepEqual(f, want) {
		t.Errorf("after a power cut: %+v, %v", f, err)
	}
	b := encodeVoters(want)
	for i := range len(b) * 8 {
		c := bytes.Clone(b)
		c[i/8] ^= 1 << (i % 8)
		if _, err := decodeVoters(c); err == nil {
			t.Errorf("bit %d flipped: accepted", i)
		}
	}
}

func FuzzVoters(f *testing.F) {
	f.Add(encodeVoters(found{cluster: 77, voters: []core.Member{{Node: 1, Disk: 11, InSync: true}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decodeVoters(b)
		if err == nil && len(v.voters) > votersMax {
			t.Errorf("%d voters", len(v.voters))
		}
	})
}
