package route

import (
	"encoding/binary"
	"math/bits"
	"strconv"

	"trine/internal/front/amqp/wire"
)

// HashOn says what of a message a ConsistentHash exchange hashes: one of the two, or
// where both are "" its routing key.
type HashOn struct {
	Header   string
	Property string // message_id, correlation_id or timestamp
}

// The properties that HashOn may name.
var hashProperties = [...]string{"correlation_id", "message_id", "timestamp"}

// HashProperty says whether a property can be hashed.
func HashProperty(name string) bool {
	for _, p := range hashProperties {
		if p == name {
			return true
		}
	}
	return false
}

// hash gives a message's hash. Where it has not what is to be hashed, all such
// messages have one hash.
func (h HashOn) hash(m *Message) uint64 {
	f := m.Fields
	switch {
	case h.Header != "":
		v, ok := m.Headers().Get(h.Header)
		if !ok {
			return hashOf(nil)
		}
		if n, ok := v.Int(); ok { // of any size
			return hashOf(binary.BigEndian.AppendUint64(nil, uint64(n)))
		}
		return hashOf(v.Raw)
	case h.Property == "":
		return hashOf(m.Key)
	case f == nil:
	case h.Property == "message_id" && f.Flags&wire.HasMessageID != 0:
		return hashOf(f.MessageID)
	case h.Property == "correlation_id" && f.Flags&wire.HasCorrelationID != 0:
		return hashOf(f.CorrelationID)
	case h.Property == "timestamp" && f.Flags&wire.HasTimestamp != 0:
		return hashOf(strconv.AppendUint(nil, f.Timestamp, 10))
	}
	return hashOf(nil)
}

// hashOf is FNV-1a with its bits well mixed.
func hashOf(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return Mix(h)
}

// Mix spreads what differs in n over all bits.
func Mix(n uint64) uint64 {
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// below turns a random number into one below n.
func below(random uint64, n int) int {
	high, _ := bits.Mul64(random, uint64(n))
	return int(high)
}

// jump is Lamping and Veach's jump consistent hash: which of n buckets, so that one
// more bucket takes its share evenly from all others, and nothing else moves.
func jump(key uint64, n int64) int64 {
	b, j := int64(-1), int64(0)
	for j < n {
		b = j
		key = key*2862933555777941757 + 1
		j = int64(float64(b+1) * (float64(1<<31) / float64(key>>33+1)))
	}
	return b
}

// WeightMax is the largest weight of a binding to a ConsistentHash exchange.
const WeightMax = 10_000

// Weight reads the weight that a binding's key is. why says what is wrong with it, in
// RabbitMQ's words.
func Weight(key string) (n int64, why string) {
	n, err := strconv.ParseInt(key, 10, 64)
	switch {
	case key == "":
		return 0, "The binding key must be an integer: <<>>"
	case err != nil:
		return 0, "The binding key must be an integer: <<\"" + key + "\">>"
	case n < 1:
		return 0, "The binding key must be greater than 0"
	case n > WeightMax:
		return 0, "The binding key must not exceed " + strconv.Itoa(WeightMax)
	}
	return n, ""
}
