package onward

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync/atomic"

	"trine/internal/front/amqp/route"
)

// Draws gives random numbers to exchanges that route by chance: as many sequences as
// there are connections would cost more than one that all share.
type Draws struct{ last atomic.Uint64 }

// Seed begins the numbers.
func (d *Draws) Seed(r io.Reader) {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		panic(fmt.Sprintf("draw a seed: %v", err)) // crypto/rand does not fail
	}
	d.last.Store(binary.BigEndian.Uint64(b[:]))
}

// Next gives one.
func (d *Draws) Next() uint64 { return route.Mix(d.last.Add(0x9e3779b97f4a7c15)) }
