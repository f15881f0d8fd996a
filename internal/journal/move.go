package journal

import (
	"fmt"
	"path"
	"slices"

	"trine/internal/core"
)

// copyAll copies what is wanted.
func (r *recycling) copyAll() error {
	for _, m := range r.moves {
		if m.cp {
			if err := r.checkpoint(m); err != nil {
				return err
			}
		}
		for i := range m.runs {
			if err := r.copy(m, &m.runs[i]); err != nil {
				return err
			}
		}
	}
	for _, n := range r.dirty {
		if err := r.j.syncSegment(n); err != nil {
			return err
		}
	}
	if len(r.made) > 0 {
		return r.j.fs.SyncDir(path.Join(r.j.dir, segmentDir))
	}
	return nil
}

func (r *recycling) checkpoint(m *move) error {
	c, err := r.j.readCheckpointAt(m.s.id, m.cpAt)
	if d, ok := err.(*Damage); ok {
		r.j.found(m.s.id, d)
		m.cp = false
		return nil
	}
	if err != nil {
		return err
	}
	m.cpNew, err = r.pack.add(Head{Stream: m.s.id, Kind: NoteCheckpoint},
		EncodeCheckpoint(c))
	return err
}

// copy writes the wanted entries of a run to where they shall be.
func (r *recycling) copy(m *move, u *run) error {
	bytes := int64(0)
	for i := range u.old {
		bytes += u.old[i].bytes()
	}
	out := &copyOut{r: r, s: m.s}
	if bytes >= r.j.opt.SmallBytes {
		if u.into != nil {
			out.to = *u.into
			out.pos = out.to.end
		}
		out.own = true
	}
	for i := range u.old {
		err := r.j.entriesOf(m.s, &u.old[i], func(h *Head, data []byte) bool {
			if m.keep.wants(h) {
				out.add(h, data)
			}
			return out.err == nil
		})
		if d, ok := err.(*Damage); ok {
			r.j.found(m.s.id, d)
			err = nil
		}
		if err == nil {
			err = out.err
		}
		if err != nil {
			return err
		}
	}
	if err := out.close(); err != nil {
		return err
	}
	u.made, u.moved = out.to, true
	return nil
}

// copyOut collects entries into one part, of a segment or of the pack.
type copyOut struct {
	r   *recycling
	s   *stream
	own bool
	to  part
	buf []byte
	pos int64 // in the segment, of the start of buf
	err error
}

func (o *copyOut) add(h *Head, data []byte) {
	c := *h
	c.Flags, c.Length = 0, uint32(len(data))
	o.r.copied += h.Size()
	if !o.own {
		at, err := o.r.pack.add(c, data)
		o.err = err
		o.grow(&c, data, at)
		return
	}
	if o.to.kind == 0 {
		n, err := o.r.j.newSegment(o.s.id)
		if err != nil {
			o.err = err
			return
		}
		o.r.made = append(o.r.made, n)
		o.to, o.pos = part{file: n}, segmentHead
	}
	at := place{inSegment, o.to.file, o.pos + int64(len(o.buf))}
	o.buf = AppendFrame(o.buf, c, data)
	o.grow(&c, data, at)
	if len(o.buf) >= readBytesMax {
		o.err = o.drain()
	}
}

func (o *copyOut) grow(h *Head, data []byte, at place) {
	ps := []part{o.to}
	if o.to.kind == 0 {
		ps = ps[:0]
	}
	gaps := len(ps) > 0 && h.Index != o.to.last+1
	if len(ps) > 0 && at.pos != o.to.end {
		core.Assert(false, "a copied run lies together")
	}
	appendPart(&ps, h, data, at)
	o.to = ps[len(ps)-1]
	if gaps {
		o.to.flags |= partGaps
	}
}

func (o *copyOut) drain() error {
	j := o.r.j
	j.mu.Lock()
	h := j.pin(inSegment, o.to.file)
	j.mu.Unlock()
	f, err := j.file(h)
	if err == nil {
		_, err = f.WriteAt(o.buf, o.pos)
	}
	j.release([]*handle{h})
	if err != nil {
		return fmt.Errorf("write segment %q: offset %d: %w", h.name, o.pos, err)
	}
	o.pos += int64(len(o.buf))
	o.buf = o.buf[:0]
	return nil
}

func (o *copyOut) close() error {
	if o.err != nil || !o.own || o.to.kind == 0 {
		return o.err
	}
	o.r.dirty = append(o.r.dirty, o.to.file)
	return o.drain()
}

// apply puts the new parts in the place of those that moved. What was cut off or
// given up meanwhile stays so.
func (m *move) apply(ps []part) []part {
	out := make([]part, 0, len(ps))
	for i := 0; i < len(ps); {
		u, n := m.runAt(ps[i:])
		if u == nil {
			out = append(out, ps[i])
			i++
			continue
		}
		i += n
		if u.made.kind == 0 {
			continue
		}
		p := u.made
		if last := ps[i-1].last; last < u.old[len(u.old)-1].last {
			if p.first > last && (u.into == nil || u.into.first > last) {
				continue
			}
			if p.last > last {
				p.last, p.flags = last, p.flags|partCut
				p.next = min(p.next, ps[i-1].next)
			}
		}
		if u.into != nil && len(out) > 0 && same(&out[len(out)-1], u.into) {
			out[len(out)-1] = p
			continue
		}
		out = append(out, p)
	}
	return slices.Clone(out) // most were of the files that go: their room goes too
}

func same(a, b *part) bool { return a.kind == b.kind && a.file == b.file && a.pos == b.pos }

// runAt gives the run whose parts ps begins with, and how many of them are left.
func (m *move) runAt(ps []part) (*run, int) {
	for i := range m.runs {
		u := &m.runs[i]
		if !u.moved {
			continue
		}
		for k := range u.old { // the first may have been given up meanwhile
			n := 0
			for n < len(ps) && k+n < len(u.old) && same(&ps[n], &u.old[k+n]) {
				n++
			}
			if n > 0 {
				return u, n
			}
		}
	}
	return nil, 0
}
