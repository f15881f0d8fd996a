package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"trine/internal/core"
)

// Purpose says what a connection is for.
type Purpose uint8

// The purposes of a connection.
const (
	ForControl Purpose = iota // the control lane of a link
	ForBulk                   // the bulk lane
	ForJoin                   // a node without a cluster asks: one Join, one JoinAnswer
	ForProbe                  // is anybody there, and which run: only the two Hellos
)

// Refusal says why a Hello is not accepted. The values are on the wire.
type Refusal uint8

// The refusals.
const (
	Accepted     Refusal = iota
	WrongVersion         // no version that both speak
	WrongCluster         // the other belongs to another cluster
	WrongNode            // the one who answers is not the one who was called
	Cloned               // the same disk or node is connected as another run
	NotReady             // it has no cluster yet, or is stopping: call again
	Misplaced            // it asks what this side does not do
)

var refusalTexts = [...]string{"accepted", "no common protocol version", "another cluster",
	"another node than the one called", "this node or disk is already connected as another process",
	"not ready", "not asked of this side"}

func (r Refusal) String() string {
	if int(r) < len(refusalTexts) {
		return refusalTexts[r]
	}
	return fmt.Sprintf("refusal %d", uint8(r))
}

// Hello is what each side of a connection says first. Its layout, all versions:
//
//	0   "TRIN"
//	4   2  length of the whole
//	6   1  oldest version it speaks     7  1  newest
//	8   8  cluster, 0: none yet
//	16  4  node   20  8  disk   28  8  incarnation
//	36  4  the node that it calls; 0 in an answer
//	40  8  link: drawn by the caller, the same for both connections of a link
//	48  1  purpose   49  1  refusal
//	50  1  length n of the text, and n bytes   ..  1  length of the address, and it
//	    4  CRC32C of all that stands before
//
// A later version may put more before the CRC32C; what is not known is skipped.
type Hello struct {
	Oldest, Newest uint8
	Cluster        uint64
	Peer           core.Peer
	Calls          core.NodeID
	Link           uint64
	Purpose        Purpose
	Refusal        Refusal
	Text           string // of the refusal, at most 255 bytes
	Address        string // where the sender can be called, at most 255 bytes
}

// The lengths of a Hello, in bytes. HelloPrefix are enough to know the length.
const (
	HelloPrefix = 6
	HelloMin    = 56
	HelloMax    = 1024
)

const magic = "TRIN"

// ErrStranger says that whoever spoke is no node of any cluster.
var ErrStranger = errors.New("read hello: it does not begin with \"TRIN\": not a node's link port?")

// AppendHello appends h to dst.
func AppendHello(dst []byte, h Hello) []byte {
	h.Text, h.Address = h.Text[:min(len(h.Text), 255)], h.Address[:min(len(h.Address), 255)]
	start := len(dst)
	dst = append(dst, magic...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(HelloMin+len(h.Text)+len(h.Address)))
	dst = append(dst, h.Oldest, h.Newest)
	dst = binary.BigEndian.AppendUint64(dst, h.Cluster)
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.Peer.Node))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Peer.Disk))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Peer.Incarnation))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.Calls))
	dst = binary.BigEndian.AppendUint64(dst, h.Link)
	dst = append(dst, byte(h.Purpose), byte(h.Refusal), byte(len(h.Text)))
	dst = append(dst, h.Text...)
	dst = append(dst, byte(len(h.Address)))
	dst = append(dst, h.Address...)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// HelloSize gives the length of the Hello of which prefix is the beginning.
func HelloSize(prefix []byte) (int, error) {
	if len(prefix) < HelloPrefix || string(prefix[:4]) != magic {
		return 0, ErrStranger
	}
	n := int(binary.BigEndian.Uint16(prefix[4:]))
	if n < HelloMin || n > HelloMax {
		return 0, fmt.Errorf("read hello: a length of %d is not between %d and %d", n, HelloMin, HelloMax)
	}
	return n, nil
}

// DecodeHello reads one whole Hello.
func DecodeHello(b []byte) (Hello, error) {
	n, err := HelloSize(b)
	if err != nil {
		return Hello{}, err
	}
	if n != len(b) {
		return Hello{}, fmt.Errorf("read hello: %d bytes where it says %d", len(b), n)
	}
	if crc32.Checksum(b[:n-4], castagnoli) != binary.BigEndian.Uint32(b[n-4:]) {
		return Hello{}, errors.New("read hello: its checksum does not match")
	}
	h := Hello{Oldest: b[6], Newest: b[7], Cluster: binary.BigEndian.Uint64(b[8:]),
		Peer: core.Peer{Node: core.NodeID(binary.BigEndian.Uint32(b[16:])),
			Disk:        core.DiskID(binary.BigEndian.Uint64(b[20:])),
			Incarnation: core.Incarnation(binary.BigEndian.Uint64(b[28:]))},
		Calls: core.NodeID(binary.BigEndian.Uint32(b[36:])), Link: binary.BigEndian.Uint64(b[40:]),
		Purpose: Purpose(b[48]), Refusal: Refusal(b[49])}
	rest := b[50 : n-4]
	for _, p := range []*string{&h.Text, &h.Address} {
		if len(rest) == 0 || 1+int(rest[0]) > len(rest) {
			return Hello{}, errors.New("read hello: its texts are longer than it")
		}
		end := 1 + int(rest[0])
		*p, rest = string(rest[1:end]), rest[end:]
	}
	return h, nil
}

// Common gives the newest version that h's sender and this program both speak, or
// false where there is none.
func (h Hello) Common() (uint8, bool) {
	v := min(h.Newest, Version)
	return v, v >= VersionMin && v >= h.Oldest
}
