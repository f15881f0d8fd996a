package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"trine/internal/core"
)

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
	pos := int64(LogDataStart)
	for {
		w, head := ParseWriteHead(c.b, pos, c.f.gen)
		head = head && w.Seq == c.next
		if head && pos+w.Size() <= int64(len(c.b)) && c.whole(&w) {
			c.j.show(c.f, pos+WriteHeadBytes, c.frames(&w), w.Seq)
			c.next++
			pos += w.Size()
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
		if head && pos+w.Size() <= int64(len(c.b)) {
			c.damaged(&w)
			c.next++
			pos += w.Size()
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

func (c *logScan) frames(w *WriteHead) []byte {
	return c.b[w.Pos+WriteHeadBytes : w.Pos+WriteHeadBytes+int64(w.Payload)]
}

// whole says whether all of a write is there. Of a trailer alone nothing depends, so
// that it is only reported.
func (c *logScan) whole(w *WriteHead) bool {
	padded := (int64(w.Payload) + 7) &^ 7
	body := c.b[w.Pos+WriteHeadBytes:][:padded]
	if crc32.Checksum(body, Castagnoli) != w.Body {
		return false
	}
	if _, ok := ParseTrailer(c.b[w.Pos+WriteHeadBytes+padded : w.Pos+w.Size()]); !ok {
		c.j.report.Damage = append(c.j.report.Damage, (&Damage{c.f.name,
			w.Pos + WriteHeadBytes + padded, errors.New("a trailer's CRC does not fit")}).Error())
	}
	return true
}

// later looks for the next write of this generation behind a bad one. witness says
// that some later write knows the bad one to have been flushed.
func (c *logScan) later(pos int64) (at int64, seq uint64, witness bool) {
	for q := pos + 8; q+WriteHeadBytes <= int64(len(c.b)); q += 8 {
		w, ok := ParseWriteHead(c.b, q, c.f.gen)
		if !ok || w.Seq <= c.next {
			continue
		}
		if at == 0 {
			at, seq = q, w.Seq
		}
		if w.Flushed >= c.next {
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
	for _, fits := range []bool{be.Uint32(c.b[pos:]) == WriteMagic,
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
func (c *logScan) damaged(w *WriteHead) {
	padded := (int64(w.Payload) + 7) &^ 7
	streams, known := ParseTrailer(c.b[w.Pos+WriteHeadBytes+padded : w.Pos+w.Size()])
	at, b := w.Pos+WriteHeadBytes, c.frames(w)
	for len(b) > 0 {
		h, _, err := ParseFrame(b)
		if err == nil {
			c.j.show(c.f, at, b[:h.Size()], w.Seq)
			at, b = at+h.Size(), b[h.Size():]
			continue
		}
		d := &Damage{c.f.name, at, err}
		if h.Size() > HeadBytes-1 && h.Stream != 0 && int64(len(b)) >= h.Size() &&
			(int64(len(b)) == h.Size() || frameAt(b[h.Size():])) && (!known || has(streams, h.Stream)) {
			c.blame(d, w.Seq, h.Stream)
			at, b = at+h.Size(), b[h.Size():]
			continue
		}
		if known {
			c.blame(d, w.Seq, streams...)
		} else {
			c.j.blameAll(d)
		}
		return
	}
	c.j.note(&Damage{c.f.name, w.Pos, errors.New("a write's CRC does not fit")})
}

// blame says of streams that they may lack something with a write: not of one of which
// a pack says what came of it, and that has nothing in this file any more.
func (c *logScan) blame(d *Damage, seq uint64, ids ...core.StreamID) {
	here := func(p part) bool { return p.kind == inLog && p.file == c.f.gen }
	blamed := false
	for _, id := range ids {
		s := c.j.streamOf(id)
		if seq > s.skip || s.cpAt.kind == inLog && s.cpAt.file == c.f.gen ||
			slices.ContainsFunc(s.parts, here) || slices.ContainsFunc(s.fill, here) {
			c.j.blame(d, id)
			blamed = true
		}
	}
	if !blamed {
		c.j.note(d)
	}
}

func frameAt(b []byte) bool {
	_, _, err := ParseFrame(b)
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
		if streams, ok := TrailerBefore(c.b, at); ok {
			c.j.note(d)
			if !c.salvage(pos, at-TrailerSize(len(streams))) {
				c.j.blame(d, streams...)
			}
			return
		}
	}
	c.j.blameAll(d)
}

// one says whether a single write lies between pos and at.
func (c *logScan) one(pos, at int64) bool {
	w, ok := ParseWriteHead(c.b, at, c.f.gen)
	return ok && w.Seq == c.next+1
}

// salvage shows the frames of a write whose head is lost. It says whether they are
// all there, up to the trailer.
func (c *logScan) salvage(pos, trailer int64) bool {
	at := pos + WriteHeadBytes
	for at < trailer && trailer-at >= HeadBytes {
		h, _, err := ParseFrame(c.b[at:trailer])
		if err != nil {
			return false
		}
		c.j.show(c.f, at, c.b[at:at+h.Size()], c.next)
		at += h.Size()
	}
	return (at+7)&^7 == trailer
}

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
