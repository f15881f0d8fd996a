package route

import (
	"encoding/binary"
	"math"
	"strconv"

	"trine/internal/front/amqp/wire"
)

// Message is what an exchange looks at.
type Message struct {
	Key    []byte
	More   [][]byte     // further keys: of CC and BCC
	Fields *wire.Fields // its properties; nil: none
	Draw   uint64       // a random number that whoever asks has drawn for it
}

// Headers gives the message's headers.
func (m *Message) Headers() wire.Table {
	if m.Fields == nil || m.Fields.Flags&wire.HasHeaders == 0 {
		return nil
	}
	return m.Fields.Headers
}

// delayMsMax is the longest delay: what asks for more is not delayed.
const delayMsMax = math.MaxUint32

// Delay reads how many milliseconds a message's header x-delay asks for; 0: none.
func Delay(headers wire.Table) int64 {
	v, ok := headers.Get("x-delay")
	if !ok {
		return 0
	}
	if ms := numberOf(v); ms > 0 && ms <= delayMsMax {
		return ms
	}
	return 0
}

// Undelayed gives headers whose x-delay is negative: the time is over, and the reader
// may still see how long it was.
func Undelayed(headers wire.Table) wire.Table {
	v, ok := headers.Get("x-delay")
	if !ok {
		return headers
	}
	t := append(wire.Table(nil), headers.Without("x-delay")...)
	return t.PutInt("x-delay", -numberOf(v))
}

// numberOf reads a number, however it is written; 0 where it is none.
func numberOf(v wire.Value) int64 {
	if n, ok := v.Int(); ok {
		return n
	}
	f := 0.0
	switch v.Type {
	case wire.TypeString, wire.TypeBytes:
		n, err := strconv.ParseInt(string(v.Raw), 10, 64)
		if err != nil {
			return 0
		}
		return n
	case wire.TypeFloat:
		f = float64(math.Float32frombits(binary.BigEndian.Uint32(v.Raw)))
	case wire.TypeDouble:
		f = math.Float64frombits(binary.BigEndian.Uint64(v.Raw))
	}
	if f > -delayMsMax && f < 2*delayMsMax {
		return int64(f)
	}
	return 0
}
