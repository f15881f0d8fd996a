package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Codec says how a batch's records are compressed.
type Codec uint8

// The codecs, as they stand in a batch's attributes.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

func (c Codec) String() string {
	if names := [...]string{"none", "gzip", "snappy", "lz4", "zstd"}; int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("codec %d", uint8(c))
}

// UnpackedMax is what the records of one batch may amount to when decompressed,
// where a caller knows no better: 128 MiB.
const UnpackedMax = 128 << 20

// bufferKeepMax is the largest buffer that a Coder keeps between calls.
const bufferKeepMax = 4 << 20

// Coder owns the state of codecs, made when first needed, so that it is not made
// for every batch. The zero Coder is ready. One caller at a time. What its methods
// return or show lives until the next call.
//
// Coder keeps at most bufferKeepMax bytes between calls.
type Coder struct {
	buf    []byte
	src    bytes.Reader
	gunzip *gzip.Reader
	unlz4  *lz4.Reader
	unzstd *zstd.Decoder

	out  bytes.Buffer
	gz   *gzip.Writer
	lz   *lz4.Writer
	zenc *zstd.Encoder
}

// Unpack gives what src was before it was compressed, at most bytesMax bytes, and
// of Zstd never more than UnpackedMax.
// A None src is returned as it is. The result lives until the next call.
func (c *Coder) Unpack(codec Codec, src []byte, bytesMax int) ([]byte, error) {
	var err error
	if cap(c.buf) > bufferKeepMax {
		c.buf = nil
	}
	if c.buf == nil && codec != None {
		c.buf = make([]byte, 0, min(4*len(src)+512, 64<<10, bytesMax+1))
	}
	b := c.buf[:0]
	switch codec {
	case None:
		if len(src) > bytesMax {
			return nil, ErrLarge
		}
		return src, nil
	case Gzip:
		c.src.Reset(src)
		if c.gunzip == nil {
			c.gunzip, err = gzip.NewReader(&c.src)
		} else {
			err = c.gunzip.Reset(&c.src)
		}
		if err == nil {
			b, err = readMax(b, c.gunzip, bytesMax)
		} else {
			c.gunzip = nil
		}
	case Snappy:
		b, err = unsnappy(b, src, bytesMax)
	case LZ4:
		c.src.Reset(src)
		if c.unlz4 == nil {
			c.unlz4 = lz4.NewReader(&c.src)
		} else {
			c.unlz4.Reset(&c.src)
		}
		b, err = readMax(b, c.unlz4, bytesMax)
	case Zstd:
		b, err = c.unpackZstd(b, src, bytesMax)
	default:
		return nil, fmt.Errorf("%w %d", ErrCodec, uint8(codec))
	}
	if err != nil {
		if !errors.Is(err, ErrLarge) {
			err = fmt.Errorf("%w: %s: %v", ErrForm, codec, err)
		}
		return nil, err
	}
	c.buf = b
	return b, nil
}

// readMax appends what r gives to b, growing it as bytes come.
func readMax(b []byte, r io.Reader, bytesMax int) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case len(b) > bytesMax:
			return b, ErrLarge
		case err == io.EOF:
			return b, nil
		case err != nil:
			return b, err
		}
	}
}

// Snappy comes raw, or as the Java library frames it: this magic, two versions of
// four bytes, then raw blocks that each follow their length of four bytes.
var xerial = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const (
	xerialHead  = 16
	xerialBlock = 32 << 10
	snappyRatio = 22 // 64 bytes from a copy of 3 bytes is the most
)

func unsnappy(b, src []byte, bytesMax int) ([]byte, error) {
	if !bytes.HasPrefix(src, xerial) {
		return unsnappyBlock(b, src, bytesMax)
	}
	if len(src) < xerialHead {
		return b, io.ErrUnexpectedEOF
	}
	for src = src[xerialHead:]; len(src) > 0; {
		if len(src) < 4 {
			return b, io.ErrUnexpectedEOF
		}
		n := binary.BigEndian.Uint32(src)
		if src = src[4:]; uint64(n) > uint64(len(src)) {
			return b, io.ErrUnexpectedEOF
		}
		var err error
		if b, err = unsnappyBlock(b, src[:n], bytesMax); err != nil {
			return b, err
		}
		src = src[n:]
	}
	return b, nil
}

func unsnappyBlock(b, src []byte, bytesMax int) ([]byte, error) {
	n, err := snappy.DecodedLen(src)
	switch {
	case err != nil:
		return b, err
	case n > len(src)*snappyRatio:
		return b, errors.New("says that it holds more than it can")
	case n > bytesMax-len(b):
		return b, ErrLarge
	}
	if cap(b)-len(b) < n {
		b = append(make([]byte, 0, max(len(b)+n, 2*cap(b))), b...)
	}
	got, err := snappy.Decode(b[len(b):len(b)+n], src)
	if err != nil {
		return b, err
	}
	return b[:len(b)+len(got)], nil
}

const (
	zstdWindowMax = 128 << 20 // level 22 of the reference library; not allocated here
	zstdBlockMax  = 128 << 10 // a block of 4 bytes may hold so many
	zstdBlockMin  = 3
)

func (c *Coder) unpackZstd(b, src []byte, bytesMax int) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(src); err != nil {
		return b, err
	}
	if h.HasFCS {
		if h.FrameContentSize > uint64(bytesMax) {
			return b, ErrLarge
		}
		if h.FrameContentSize > uint64(len(src)/zstdBlockMin+1)*zstdBlockMax {
			return b, errors.New("says that it holds more than it can")
		}
	}
	// The decoder's own limit is not bytesMax: it would refuse windows larger than
	// that, which Java's producer announces whatever it sends. Memory grows with what
	// comes out, not with what is announced.
	if c.unzstd == nil {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdWindowMax), zstd.WithDecoderMaxMemory(UnpackedMax))
		if err != nil {
			return b, err
		}
		c.unzstd = d
	}
	b, err := c.unzstd.DecodeAll(src, b)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || err == nil && len(b) > bytesMax {
		err = ErrLarge
	}
	return b, err
}

// Pack compresses src. The result lives until the next call.
func (c *Coder) Pack(codec Codec, src []byte) ([]byte, error) {
	c.out.Reset()
	switch codec {
	case None:
		return src, nil
	case Gzip:
		if c.gz == nil {
			c.gz = gzip.NewWriter(&c.out)
		}
		c.gz.Reset(&c.out)
		return c.written(c.gz, src)
	case Snappy:
		return c.packSnappy(src), nil
	case LZ4:
		if c.lz == nil {
			c.lz = lz4.NewWriter(&c.out)
			if err := c.lz.Apply(lz4.BlockSizeOption(lz4.Block64Kb)); err != nil {
				return nil, err
			}
		}
		c.lz.Reset(&c.out)
		return c.written(c.lz, src)
	case Zstd:
		if c.zenc == nil {
			e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1),
				zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20), zstd.WithZeroFrames(true))
			if err != nil {
				return nil, err
			}
			c.zenc = e
		}
		return c.zenc.EncodeAll(src, c.out.AvailableBuffer()), nil
	}
	return nil, fmt.Errorf("%w %d", ErrCodec, uint8(codec))
}

func (c *Coder) written(w io.WriteCloser, src []byte) ([]byte, error) {
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return c.out.Bytes(), nil
}

func (c *Coder) packSnappy(src []byte) []byte {
	out := append(c.out.AvailableBuffer(), xerial...)
	out = binary.BigEndian.AppendUint32(out, 1)
	out = binary.BigEndian.AppendUint32(out, 1)
	for len(src) > 0 {
		n := min(len(src), xerialBlock)
		block := snappy.Encode(nil, src[:n])
		out = binary.BigEndian.AppendUint32(out, uint32(len(block)))
		out = append(out, block...)
		src = src[n:]
	}
	return out
}
