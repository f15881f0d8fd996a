package wire

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// How the 63 bits of a physical offset are shared: see PhysicalOf.
const (
	physicalOffsetBits = 39
	// QueueNumberMax is the greatest number of a queue that PhysicalOf takes.
	QueueNumberMax = 1<<(63-physicalOffsetBits) - 1
	// QueueOffsetMax is the greatest offset that PhysicalOf takes.
	QueueOffsetMax = 1<<physicalOffsetBits - 1
)

// PhysicalOf gives the physical offset that names record offset of queue number:
// clients hand it back, alone, to name a message.
func PhysicalOf(number uint32, offset int64) int64 {
	return int64(number&QueueNumberMax)<<physicalOffsetBits | offset&QueueOffsetMax
}

// PhysicalParts undoes PhysicalOf.
func PhysicalParts(physical int64) (number uint32, offset int64) {
	return uint32(uint64(physical)>>physicalOffsetBits) & QueueNumberMax, physical & QueueOffsetMax
}

const upperHex = "0123456789ABCDEF"

// AppendMessageID appends the name of a message that its broker gives it: address,
// port and physical offset in hexadecimal.
func AppendMessageID(dst []byte, h *Host, physical int64) []byte {
	var raw [28]byte
	n := copy(raw[:], h.bytes())
	binary.BigEndian.PutUint32(raw[n:], uint32(h.Port))
	binary.BigEndian.PutUint64(raw[n+4:], uint64(physical))
	for _, b := range raw[:n+12] {
		dst = append(dst, upperHex[b>>4], upperHex[b&15])
	}
	return dst
}

// ParseMessageID undoes AppendMessageID.
func ParseMessageID(id []byte) (h Host, physical int64, err error) {
	var raw [28]byte
	if len(id) != 32 && len(id) != 56 {
		return h, 0, fmt.Errorf("read message id %q: %d characters, not 32 or 56", id, len(id))
	}
	if _, err = hex.Decode(raw[:], id); err != nil {
		return h, 0, fmt.Errorf("read message id %q: %w", id, err)
	}
	h.V6 = len(id) == 56
	n := copy(h.IP[:len(h.bytes())], raw[:])
	h.Port = int32(binary.BigEndian.Uint32(raw[n:]))
	return h, int64(binary.BigEndian.Uint64(raw[n+4:])), nil
}
