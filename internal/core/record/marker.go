package record

import (
	"encoding/binary"

	"trine/internal/core"
)

// Marker ends a producer's span of a transaction. It is the only record of a
// control batch: key {int16 version 0, int16 kind}, value {int16 version 0, int32
// epoch of the coordinator}.
type Marker uint8

// The kinds of Marker.
const (
	NoMarker Marker = iota // another control record, not known here
	Abort
	Commit
)

const markerSize = 4

// MarkerOf gives what a control batch marks.
func MarkerOf(batch []byte) Marker {
	m := NoMarker
	_ = Each(batch, UnpackedMax, func(_ core.Offset, r *core.Record) bool {
		if len(r.Key) >= markerSize {
			switch binary.BigEndian.Uint16(r.Key[2:]) {
			case 0:
				m = Abort
			case 1:
				m = Commit
			}
		}
		return false
	})
	return m
}

// NewMarker gives the control batch that ends producer's span.
func NewMarker(m Marker, producer int64, epoch int16, coordinator int32, now core.Stamp) []byte {
	core.Assert(m == Abort || m == Commit, "marker %d", m)
	var b Builder
	b.Reset(0, 0, now)
	key := binary.BigEndian.AppendUint16(make([]byte, 2, markerSize), uint16(m-Abort))
	value := binary.BigEndian.AppendUint32(make([]byte, 2, 6), uint32(coordinator))
	b.Add(&core.Record{Stamp: now, Key: key, Value: value})
	out := b.Finish()
	h, _ := Parse(out)
	h.Attributes = bitControl | bitTxn
	h.Producer, h.ProducerEpoch = producer, epoch
	putHeader(out, h)
	sum(out)
	return out
}
