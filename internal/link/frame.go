package link

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"trine/internal/core"
)

// Version is the version of frames and messages that this program speaks;
// VersionMin is the oldest that it can speak.
const (
	Version    = 2 // 2: a Beat says whether its sender's disk is cramped
	VersionMin = 2
)

// HeaderSize is the length of a frame without its payload.
const HeaderSize = 10

// The largest frames of the lanes, in bytes.
const (
	ControlMax = 16 << 10
	BulkMax    = 256 << 10
)

// FrameMax gives the length of the largest frame on a lane, in bytes.
func FrameMax(l core.Lane) int {
	if l == core.LaneControl {
		return ControlMax
	}
	return BulkMax
}

type frameKind uint8

const (
	frameWhole frameKind = 1 + iota
	framePart
	frameLast
	frameGo
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal writes the header of the frame that f is.
func seal(f []byte, k frameKind) {
	binary.BigEndian.PutUint32(f, uint32(len(f)-4))
	f[4], f[5] = Version, byte(k)
	binary.BigEndian.PutUint32(f[6:], checksum(f))
}

func checksum(f []byte) uint32 {
	return crc32.Update(crc32.Checksum(f[4:6], castagnoli), castagnoli, f[HeaderSize:])
}

// AppendGo appends the frame that ends a handshake.
func AppendGo(dst []byte) []byte {
	n := len(dst)
	dst = append(dst, make([]byte, HeaderSize)...)
	seal(dst[n:], frameGo)
	return dst
}

// AppendFrames appends m as one frame, or as several where it is larger than a
// frame of the lane may be. A message above MessageMax is refused and dst comes
// back as it was.
func AppendFrames(dst []byte, l core.Lane, m core.Message) ([]byte, error) {
	var room [HeaderSize]byte
	start := len(dst)
	dst = Append(append(dst, room[:]...), m)
	size := len(dst) - start - HeaderSize
	if size > MessageMax {
		return dst[:start], fmt.Errorf("send %T: %d bytes are above the limit of %d", m, size, MessageMax)
	}
	share := FrameMax(l) - HeaderSize
	if size <= share {
		seal(dst[start:], frameWhole)
		return dst, nil
	}
	return split(dst, start, size, share), nil
}

// split makes room for the headers of the frames after the first, from the end on,
// so that every byte moves once.
func split(dst []byte, start, size, share int) []byte {
	frames := (size + share - 1) / share
	dst = append(dst, make([]byte, (frames-1)*HeaderSize)...)
	for i := frames - 1; i >= 0; i-- {
		n := min(share, size-i*share)
		from := start + HeaderSize + i*share
		to := start + i*(share+HeaderSize)
		copy(dst[to+HeaderSize:to+HeaderSize+n], dst[from:from+n])
		k := framePart
		if i == frames-1 {
			k = frameLast
		}
		seal(dst[to:to+HeaderSize+n], k)
	}
	return dst
}

// Frame is one frame. Its payload aliases the bytes that it was cut from.
type Frame struct {
	kind    frameKind
	payload []byte
}

// Go says whether the frame ends a handshake.
func (f Frame) Go() bool { return f.kind == frameGo }

// Cut takes the first frame of b, a lane's bytes. size is its length; it is 0 with
// as many bytes as are needed in need where b holds less than the whole frame. An
// error means that nothing after it can be trusted.
func Cut(b []byte, l core.Lane) (f Frame, size, need int, err error) {
	if len(b) < 4 {
		return f, 0, HeaderSize, nil
	}
	n := int64(binary.BigEndian.Uint32(b)) + 4
	if n < HeaderSize || n > int64(FrameMax(l)) {
		return f, 0, 0, fmt.Errorf("read frame: a length of %d is not between %d and %d",
			n, HeaderSize, FrameMax(l))
	}
	if int64(len(b)) < n {
		return f, 0, int(n), nil
	}
	b = b[:n:n]
	if b[4] != Version {
		return f, 0, 0, fmt.Errorf("read frame: version %d is not %d", b[4], Version)
	}
	if got, want := checksum(b), binary.BigEndian.Uint32(b[6:]); got != want {
		return f, 0, 0, fmt.Errorf("read frame: checksum %08x is not %08x: damaged on the way", got, want)
	}
	f = Frame{frameKind(b[5]), b[HeaderSize:]}
	if f.kind < frameWhole || f.kind > frameGo || f.kind == frameGo && len(f.payload) > 0 {
		return f, 0, 0, fmt.Errorf("read frame: kind %d is unknown", b[5])
	}
	return f, int(n), 0, nil
}

// Assembler joins the parts of messages. The zero Assembler is ready; it serves
// one connection.
type Assembler struct {
	parts []byte
	open  bool
}

// Add takes the next frame and gives the message that it completes, or nil where
// there is more to come.
func (a *Assembler) Add(f Frame) (core.Message, error) {
	switch {
	case f.kind == frameWhole && !a.open:
		return Decode(f.payload)
	case f.kind == framePart || f.kind == frameLast && a.open:
		if len(a.parts)+len(f.payload) > MessageMax {
			return nil, fmt.Errorf("read message: its parts are above the limit of %d bytes", MessageMax)
		}
		a.parts = append(a.parts, f.payload...)
		a.open = f.kind == framePart
		if a.open {
			return nil, nil
		}
		b := a.parts
		a.parts = nil
		return Decode(b)
	}
	return nil, fmt.Errorf("read message: a frame of kind %d is out of place", f.kind)
}
