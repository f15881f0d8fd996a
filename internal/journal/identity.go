package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"

	"trine/internal/core"
)

// Two small files stand beside the log; each holds its content twice, at 0 and at
// 512, and is replaced as a whole.
//
//	disk   0 magic "TRDK", 4 format u32, 8 disk u64, 16 cluster u64, 24 node u32,
//	      28 zero[28], 56 zero u32, 60 crc u32 of the 60 before
//	run    0 magic "TRRN", 4 version u32, 8 clean u8, 9 length u8, 10 boot id[48],
//	      58 zero[2], 60 crc u32 of the 60 before
//
// FormatVersion is the version of everything in the directory together.
const (
	FormatVersion = 1

	diskMagic = 0x5452444b // TRDK
	runMagic  = 0x5452524e // TRRN

	diskName = "disk"
	runName  = "run"
	lockName = "lock"

	cardBytes = 64
	cardAgain = 512
	bootMax   = 48
)

// card closes 64 bytes with their CRC and doubles them.
func card(b []byte) []byte {
	binary.BigEndian.PutUint32(b[60:], crc32.Checksum(b[:60], Castagnoli))
	out := make([]byte, cardAgain+cardBytes)
	copy(out, b)
	copy(out[cardAgain:], b)
	return out
}

// readCard gives the good copy, and what is wrong with the other.
func (j *Journal) readCard(name string, magic uint32) (b []byte, err error) {
	full, err := ReadFile(j.fs, path.Join(j.dir, name), 4096)
	if err != nil {
		return nil, err
	}
	for _, at := range []int{cardAgain, 0} {
		if len(full) < at+cardBytes {
			j.report.Damage = append(j.report.Damage,
				(&Damage{path.Join(j.dir, name), int64(at), errors.New("it is cut off")}).Error())
			continue
		}
		c := full[at : at+cardBytes]
		sum := binary.BigEndian.Uint32(c[60:]) == crc32.Checksum(c[:60], Castagnoli)
		if sum && binary.BigEndian.Uint32(c) == magic {
			b = c
			continue
		}
		j.report.Damage = append(j.report.Damage,
			(&Damage{path.Join(j.dir, name), int64(at), errors.New("its CRC does not fit")}).Error())
	}
	if b == nil {
		return nil, &Damage{path.Join(j.dir, name), 0, errors.New("both copies are damaged")}
	}
	return b, nil
}

// identify reads whose disk this is, or makes an empty directory a new disk.
func (j *Journal) identify() error {
	b, err := j.readCard(diskName, diskMagic)
	if errors.Is(err, fs.ErrNotExist) {
		for _, d := range []string{logDir, packDir, segmentDir} {
			if ns, _ := j.fs.List(path.Join(j.dir, d)); len(ns) > 0 {
				return fmt.Errorf("open journal %q: it has data in %q but no file %q that says "+
					"whose", j.dir, d, diskName)
			}
		}
		j.disk = j.opt.NewDiskID()
		core.Assert(j.disk != 0, "a disk id is not 0")
		if err := j.fs.SyncDir(path.Dir(j.dir)); err != nil {
			return fmt.Errorf("make journal %q: %w", j.dir, err)
		}
		return j.writeDisk()
	}
	if err != nil {
		return fmt.Errorf("open journal %q: %w", j.dir, err)
	}
	be := binary.BigEndian
	if v := be.Uint32(b[4:]); v != FormatVersion {
		return fmt.Errorf("open journal %q: its format version is %d, this program knows %d",
			j.dir, v, FormatVersion)
	}
	j.disk = core.DiskID(be.Uint64(b[8:]))
	j.report.Cluster = be.Uint64(b[16:])
	j.report.Node = core.NodeID(be.Uint32(b[24:]))
	return nil
}

func (j *Journal) writeDisk() error {
	b := make([]byte, cardBytes)
	be := binary.BigEndian
	be.PutUint32(b, diskMagic)
	be.PutUint32(b[4:], FormatVersion)
	be.PutUint64(b[8:], uint64(j.disk))
	be.PutUint64(b[16:], j.report.Cluster)
	be.PutUint32(b[24:], uint32(j.report.Node))
	if err := WriteFile(j.fs, j.dir, path.Join(j.dir, diskName), card(b)); err != nil {
		return fmt.Errorf("write identity of journal %q: %w", j.dir, err)
	}
	return nil
}

// Bind writes, once, which node of which cluster the disk belongs to. To bind it
// again to the same is no error.
func (j *Journal) Bind(cluster uint64, node core.NodeID) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.report.Cluster == cluster && j.report.Node == node {
		return nil
	}
	if j.report.Cluster != 0 {
		return &core.Error{Op: "bind disk", Name: j.dir, Kind: core.Exist, Detail: fmt.Sprintf(
			"it belongs to node %d of cluster %x", j.report.Node, j.report.Cluster)}
	}
	j.report.Cluster, j.report.Node = cluster, node
	err := j.writeDisk()
	if err != nil {
		j.report.Cluster, j.report.Node = 0, 0
	}
	return err
}

// readRun says how the last run ended.
func (j *Journal) readRun() error {
	boot, err := j.fs.BootID()
	if err != nil {
		return fmt.Errorf("open journal %q: ask boot id: %w", j.dir, err)
	}
	j.boot = boot[:min(len(boot), bootMax)]
	b, err := j.readCard(runName, runMagic)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil: // as if it had ended badly, with a power cut
		if d := (*Damage)(nil); !errors.As(err, &d) {
			return err
		}
	case binary.BigEndian.Uint32(b[4:]) != FormatVersion:
		return fmt.Errorf("open journal %q: file %q has version %d, this program knows %d",
			j.dir, runName, binary.BigEndian.Uint32(b[4:]), FormatVersion)
	default:
		j.report.Clean = b[8] == 1
		j.report.SameBoot = string(b[10:10+min(int(b[9]), bootMax)]) == j.boot
	}
	return nil
}

func (j *Journal) writeRun(clean bool) error {
	b := make([]byte, cardBytes)
	binary.BigEndian.PutUint32(b, runMagic)
	binary.BigEndian.PutUint32(b[4:], FormatVersion)
	if clean {
		b[8] = 1
	}
	b[9] = byte(len(j.boot))
	copy(b[10:10+bootMax], j.boot)
	return WriteFile(j.fs, j.dir, path.Join(j.dir, runName), card(b))
}
