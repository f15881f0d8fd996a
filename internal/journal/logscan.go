package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"trine/internal/core"
)

// writeHead is the head of one write of the log.
type writeHead struct {
	gen, seq, flushed       uint64
	pos                     int64
	payload, frames, stream uint32
	body                    uint32
}

func (w *writeHead) size() int64 {
	return writeHeadBytes + (int64(w.payload)+7)&^7 + trailerBytes + 8*int64(w.stream)
}

// parseWriteHead reads the head at pos of file b, where it is one of generation gen.
func parseWriteHead(b []byte, pos int64, gen uint64) (w writeHead, ok bool) {
	if int64(len(b))-pos < writeHeadBytes {
		return w, false
	}
	h := b[pos : pos+writeHeadBytes]
	be := binary.BigEndian
	if be.Uint32(h) != writeMagic || be.Uint32(h[60:]) != crc32.Checksum(h[:60], castagnoli) {
		return w, false
	}
	w = writeHead{gen: be.Uint64(h[8:]), seq: be.Uint64(h[16:]), flushed: be.Uint64(h[24:]),
		pos: int64(be.Uint64(h[32:])), payload: be.Uint32(h[40:]), frames: be.Uint32(h[44:]),
		stream: be.Uint32(h[48:]), body: be.Uint32(h[52:])}
	return w, w.pos == pos && (gen == 0 || w.gen == gen)
}

// logScan reads one file of the log.
type logScan struct {
	j    *Journal
	f    *logFile
	b    []byte
	next uint64 // the sequence that comes next
	end  uint64 // the file's last, known from the file after it; 0: not known
}

// run shows all writes of the file, and tells damage from a torn tail.
func (c *logScan) run() {
	pos := int64(logDataStart)
	for {
		w, head := parseWriteHead(c.b, pos, c.f.gen)
		head = head && w.seq == c.next
		if head && pos+w.size() <= int64(len(c.b)) && c.whole(&w) {
			c.j.show(c.f, pos+writeHeadBytes, c.frames(&w), w.seq)
			c.next++
			pos += w.size()
			continue
		}
		at, later, witness := c.later(pos)
		if c.end >= c.next {
			witness = true
		}
		if !witness {
			c.torn(pos)
			break
		}
		if head && pos+w.size() <= int64(len(c.b)) {
			c.damaged(&w)
			c.next++
			pos += w.size()
			continue
		}
		c.lost(pos, at)
		if at == 0 {
			c.next = max(c.next, c.end+1)
			break
		}
		pos, c.next = at, later
	}
	c.f.end = pos
}

func (c *logScan) frames(w *writeHead) []byte {
	return c.b[w.pos+writeHeadBytes : w.pos+writeHeadBytes+int64(w.payload)]
}

// whole says whether all of a write is there. Of a trailer alone nothing depends, so
// that it is only reported.
func (c *logScan) whole(w *writeHead) bool {
	padded := (int64(w.payload) + 7) &^ 7
	body := c.b[w.pos+writeHeadBytes:][:padded]
	if crc32.Checksum(body, castagnoli) != w.body {
		return false
	}
	if _, ok := parseTrailer(c.b[w.pos+writeHeadBytes+padded : w.pos+w.size()]); !ok {
		c.j.report.Damage = append(c.j.report.Damage, (&Damage{c.f.name,
			w.pos + writeHeadBytes + padded, errors.New("a trailer's CRC does not fit")}).Error())
	}
	return true
}

// parseTrailer reads a trailer that fills b.
func parseTrailer(b []byte) (streams []core.StreamID, ok bool) {
	be := binary.BigEndian
	n := len(b)
	if n < trailerBytes || be.Uint32(b) != trailerMagic ||
		crc32.Checksum(b[:n-4], castagnoli) != be.Uint32(b[n-4:]) ||
		int64(be.Uint32(b[4:]))*8+trailerBytes != int64(n) {
		return nil, false
	}
	for at := 16; at < n-8; at += 8 {
		streams = append(streams, core.StreamID(be.Uint64(b[at:])))
	}
	return streams, true
}

// trailerBefore finds the trailer that ends at pos.
func trailerBefore(b []byte, pos int64) ([]core.StreamID, bool) {
	if pos < logDataStart+trailerBytes {
		return nil, false
	}
	size := int64(binary.BigEndian.Uint32(b[pos-8:]))*8 + trailerBytes
	if size > pos-logDataStart {
		return nil, false
	}
	return parseTrailer(b[pos-size : pos])
}

// later looks for the next write of this generation behind a bad one. witness says
// that some later write knows the bad one to have been flushed.
func (c *logScan) later(pos int64) (at int64, seq uint64, witness bool) {
	for q := pos + 8; q+writeHeadBytes <= int64(len(c.b)); q += 8 {
		w, ok := parseWriteHead(c.b, q, c.f.gen)
		if !ok || w.seq <= c.next {
			continue
		}
		if at == 0 {
			at, seq = q, w.seq
		}
		if w.flushed >= c.next {
			return at, seq, true
		}
	}
	return at, seq, false
}

// torn reports a last write that was never known to be flushed.
func (c *logScan) torn(pos int64) {
	if int64(len(c.b))-pos < 24 {
		return
	}
	be := binary.BigEndian
	like := 0
	for _, fits := range []bool{be.Uint32(c.b[pos:]) == writeMagic,
		be.Uint64(c.b[pos+8:]) == c.f.gen, be.Uint64(c.b[pos+16:]) == c.next} {
		if fits {
			like++
		}
	}
	if like >= 2 {
		c.j.report.Damage = append(c.j.report.Damage, fmt.Sprintf(
			"read %q: the last write, at offset %d, is torn and was never known to be flushed",
			c.f.name, pos))
	}
}

// damaged takes from a write that was flushed what is still whole, and blames its
// streams for the rest.
func (c *logScan) damaged(w *writeHead) {
	padded := (int64(w.payload) + 7) &^ 7
	streams, known := parseTrailer(c.b[w.pos+writeHeadBytes+padded : w.pos+w.size()])
	at, b := w.pos+writeHeadBytes, c.frames(w)
	for len(b) > 0 {
		h, _, err := parseFrame(b)
		if err == nil {
			c.j.show(c.f, at, b[:h.size()], w.seq)
			at, b = at+h.size(), b[h.size():]
			continue
		}
		d := &Damage{c.f.name, at, err}
		if h.size() > headBytes-1 && h.stream != 0 && int64(len(b)) >= h.size() &&
			(int64(len(b)) == h.size() || frameAt(b[h.size():])) && (!known || has(streams, h.stream)) {
			c.j.blame(d, h.stream)
			at, b = at+h.size(), b[h.size():]
			continue
		}
		if known {
			c.j.blame(d, streams...)
		} else {
			c.j.blameAll(d)
		}
		return
	}
	c.j.note(&Damage{c.f.name, w.pos, errors.New("a write's CRC does not fit")})
}

func frameAt(b []byte) bool {
	_, _, err := parseFrame(b)
	return err == nil
}

func has(ss []core.StreamID, s core.StreamID) bool {
	for _, x := range ss {
		if x == s {
			return true
		}
	}
	return false
}

// lost blames whose writes lay between pos and at, the next one that can be read.
func (c *logScan) lost(pos, at int64) {
	d := &Damage{c.f.name, pos, errors.New("a flushed write cannot be read")}
	if at > 0 && c.one(pos, at) {
		if streams, ok := trailerBefore(c.b, at); ok {
			c.j.note(d)
			if !c.salvage(pos, at-trailerSize(len(streams))) {
				c.j.blame(d, streams...)
			}
			return
		}
	}
	c.j.blameAll(d)
}

// one says whether a single write lies between pos and at.
func (c *logScan) one(pos, at int64) bool {
	w, ok := parseWriteHead(c.b, at, c.f.gen)
	return ok && w.seq == c.next+1
}

// salvage shows the frames of a write whose head is lost. It says whether they are
// all there, up to the trailer.
func (c *logScan) salvage(pos, trailer int64) bool {
	at := pos + writeHeadBytes
	for at < trailer && trailer-at >= headBytes {
		h, _, err := parseFrame(c.b[at:trailer])
		if err != nil {
			return false
		}
		c.j.show(c.f, at, c.b[at:at+h.size()], c.next)
		at += h.size()
	}
	return (at+7)&^7 == trailer
}

func trailerSize(streams int) int64 { return trailerBytes + 8*int64(streams) }

// note reports damage that costs no stream anything.
func (j *Journal) note(d *Damage) { j.report.Damage = append(j.report.Damage, d.Error()) }

// blame says of streams that flushed bytes of theirs are not there.
func (j *Journal) blame(d *Damage, ids ...core.StreamID) {
	for _, id := range ids {
		s := j.streamOf(id)
		s.known = true
		if s.damage == "" {
			s.damage = d.Error()
		}
	}
}

// blameAll says that nobody knows whose bytes are not there.
func (j *Journal) blameAll(d *Damage) {
	j.note(d)
	if j.doubt == nil {
		j.doubt = d
	}
}
