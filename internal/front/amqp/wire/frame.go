package wire

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// The types of frames.
const (
	FrameMethod    = 1
	FrameHeader    = 2
	FrameBody      = 3
	FrameHeartbeat = 8
	FrameEnd       = 0xCE
)

// FrameOverhead is what a frame costs beside its payload.
const FrameOverhead = 8

// FrameMin is the smallest frame size that may be agreed on, and the limit before
// anything was agreed.
const FrameMin = 4096

// Frame is one frame; Payload aliases what it was cut from.
type Frame struct {
	Type    uint8
	Channel uint16
	Payload []byte
}

// Cut takes the frame at the start of b. n is its length, or 0 where b does not
// hold it whole. A payload may have payloadMax bytes: the size agreed on, so 8 more than
// it should, for many clients count wrongly.
func Cut(b []byte, payloadMax int) (f Frame, n int, err error) {
	if len(b) < 7 {
		return f, 0, nil
	}
	f.Type, f.Channel = b[0], binary.BigEndian.Uint16(b[1:])
	size := binary.BigEndian.Uint32(b[3:])
	if uint64(size) > uint64(payloadMax) {
		return f, 0, f.wrong(fmt.Sprintf("{frame_too_large,%d,%d}", size, payloadMax-FrameOverhead))
	}
	n = int(size) + FrameOverhead
	if len(b) < n {
		return f, 0, nil
	}
	f.Payload = b[7 : n-1 : n-1]
	if b[n-1] != FrameEnd {
		return f, 0, f.wrong(fmt.Sprintf("{invalid_frame_end_marker,%d}", b[n-1]))
	}
	return f, n, nil
}

// Check says whether a frame is of a known type and has what that must have.
func (f Frame) Check() *Error {
	switch n := len(f.Payload); {
	case f.Type == FrameMethod && n >= 4, f.Type == FrameHeader && n >= 12, f.Type == FrameBody,
		f.Type == FrameHeartbeat && n == 0:
		return nil
	}
	return f.wrong("unknown_frame")
}

// wrong and Unexpected are RabbitMQ's replies to frames that are none, and to those at the
// wrong time.
func (f Frame) wrong(why string) *Error {
	return errorf(FrameError, "type %d, %s: %s", f.Type, snippet(f.Payload), why)
}

// Unexpected is the reply to a frame that may not come now.
func (f Frame) Unexpected() *Error {
	return errorf(UnexpectedFrame, "type %d, %s", f.Type, snippet(f.Payload))
}

// snippet shows a payload's beginning as Erlang would.
func snippet(b []byte) string {
	what := "all octets = "
	if len(b) > 16 {
		what, b = "first 16 octets = ", b[:16]
	}
	text := len(b) > 0
	for _, c := range b {
		text = text && c >= ' ' && c <= '~'
	}
	if text {
		return what + "<<\"" + strings.NewReplacer("\\", "\\\\", "\"", "\\\"").Replace(string(b)) + "\">>"
	}
	list := make([]string, len(b))
	for i, c := range b {
		list[i] = fmt.Sprint(c)
	}
	return what + "<<" + strings.Join(list, ",") + ">>"
}

// AppendFrame appends a whole frame.
func AppendFrame(dst []byte, typ uint8, channel uint16, payload []byte) []byte {
	dst = appendFrameHead(dst, typ, channel, len(payload))
	dst = append(dst, payload...)
	return append(dst, FrameEnd)
}

func appendFrameHead(dst []byte, typ uint8, channel uint16, size int) []byte {
	return append(dst, typ, byte(channel>>8), byte(channel),
		byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
}

// begin and finish stand around a frame whose size is known at its end.
func begin(dst []byte, typ uint8, channel uint16) ([]byte, int) {
	return appendFrameHead(dst, typ, channel, 0), len(dst)
}

func finish(dst []byte, at int) []byte {
	binary.BigEndian.PutUint32(dst[at+3:], uint32(len(dst)-at-7))
	return append(dst, FrameEnd)
}

// AppendHeartbeat appends a heartbeat.
func AppendHeartbeat(dst []byte) []byte {
	return append(dst, FrameHeartbeat, 0, 0, 0, 0, 0, 0, FrameEnd)
}

// ProtocolHeaderSize is the length of what a client says first.
const ProtocolHeaderSize = 8

// ProtocolHeader is what a server answers to a protocol it does not speak.
var ProtocolHeader = [ProtocolHeaderSize]byte{'A', 'M', 'Q', 'P', 0, 0, 9, 1}

// SpokenHeader says whether b, the first 8 bytes, begins a protocol that is spoken
// here: 0-9-1, and what clients of 0-9 and 0-8 that mean the same send.
func SpokenHeader(b []byte) bool {
	switch string(b[:ProtocolHeaderSize]) {
	case "AMQP\x00\x00\x09\x01", "AMQP\x01\x01\x00\x09", "AMQP\x01\x01\x08\x00",
		"AMQP\x01\x01\x09\x01":
		return true
	}
	return false
}
