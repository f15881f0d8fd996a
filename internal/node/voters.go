package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"

	"trine/internal/core"
	"trine/internal/journal"
)

// The first voters of the catalog stand in a file of their own beside the journal:
// until the catalog has made its first checkpoint nothing else on the disk says who
// they were. It is written once, before the disk is bound to its cluster.
//
//	0 magic "TRVO", 4 version u8, 5 zero[3], 8 cluster u64, 16 count u32
//	20 each: node u32, disk u64, votes u8
//	.. crc32c u32 of all that stands before
const (
	votersName    = "voters"
	votersMagic   = "TRVO"
	votersVersion = 1
	votersHead    = 20
	voterBytes    = 13
	votersMax     = 1 << 10
)

func encodeVoters(f found) []byte {
	be := binary.BigEndian
	b := append([]byte(votersMagic), votersVersion, 0, 0, 0)
	b = be.AppendUint64(b, f.cluster)
	b = be.AppendUint32(b, uint32(len(f.voters)))
	for _, v := range f.voters {
		b = be.AppendUint32(b, uint32(v.Node))
		b = be.AppendUint64(b, uint64(v.Disk))
		if v.InSync {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	return be.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

func decodeVoters(b []byte) (found, error) {
	be := binary.BigEndian
	if len(b) < votersHead+4 || string(b[:4]) != votersMagic {
		return found{}, errors.New("it is too short or does not begin with \"TRVO\"")
	}
	if b[4] != votersVersion {
		return found{}, fmt.Errorf("version %d is not %d", b[4], votersVersion)
	}
	n := int(be.Uint32(b[16:]))
	if n > votersMax || len(b) != votersHead+n*voterBytes+4 {
		return found{}, fmt.Errorf("%d bytes do not hold the %d voters it names", len(b), n)
	}
	end := len(b) - 4
	if crc32.Checksum(b[:end], crc32.MakeTable(crc32.Castagnoli)) != be.Uint32(b[end:]) {
		return found{}, errors.New("its checksum does not match: it is damaged")
	}
	f := found{cluster: be.Uint64(b[8:])}
	for v := b[votersHead:end]; len(v) > 0; v = v[voterBytes:] {
		f.voters = append(f.voters, core.Member{Node: core.NodeID(be.Uint32(v)),
			Disk: core.DiskID(be.Uint64(v[4:])), InSync: v[12] == 1})
	}
	return f, nil
}

// writeVoters writes the file so that after a power cut it is whole or absent.
func writeVoters(disk journal.FS, dir string, f found) error {
	name := path.Join(dir, votersName)
	if err := journal.WriteFile(disk, dir, name, encodeVoters(f)); err != nil {
		return fmt.Errorf("write %q: %w", name, err)
	}
	return nil
}

// readVoters gives what writeVoters wrote, or nothing where there is no file.
func readVoters(disk journal.FS, dir string) (found, error) {
	name := path.Join(dir, votersName)
	b, err := journal.ReadFile(disk, name, votersHead+votersMax*voterBytes+4)
	if errors.Is(err, fs.ErrNotExist) {
		return found{}, nil
	}
	if err != nil {
		return found{}, fmt.Errorf("read %q: %w", name, err)
	}
	f, err := decodeVoters(b)
	if err != nil {
		return found{}, fmt.Errorf("read %q: %w", name, err)
	}
	return f, nil
}
