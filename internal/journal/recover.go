package journal

import (
	"errors"
	"fmt"
	"io"
	"path"
	"sort"
	"strconv"
	"strings"

	"trine/internal/core"
)

// recover reads what is there: the packs' directories, then the log behind the last
// pack, then of open segments what may not be flushed. No body is read below that.
func (j *Journal) recover() error {
	j.recovering = true
	covered, err := j.readPacks()
	if err != nil {
		return err
	}
	j.covered = covered
	if err := j.readLogs(covered); err != nil {
		return err
	}
	ids := make([]core.StreamID, 0, len(j.streams))
	for id := range j.streams {
		ids = append(ids, id)
	}
	sort.Slice(ids, func(a, b int) bool { return ids[a] < ids[b] })
	var hurt []*stream
	for _, id := range ids {
		s := j.streams[id]
		if !s.known || s.removed {
			continue
		}
		if s.damage == "" && j.doubt != nil {
			s.damage = j.doubt.Error()
		}
		if err := j.openSegments(s); err != nil {
			return err
		}
		r, err := j.recovered(s)
		if err != nil {
			return err
		}
		j.report.Streams = append(j.report.Streams, r)
		if s.damage != "" {
			hurt = append(hurt, s)
		}
	}
	if err := j.sweep(); err != nil {
		return err
	}
	return j.remember(hurt)
}

// segmentEnd is an open segment that cannot go on.
type segmentEnd struct {
	stream core.StreamID
	p      part
}

// remember notes damage that was found, so that it is known after the file where it
// was found is gone, segments that cannot go on, and fillings that were broken off.
func (j *Journal) remember(hurt []*stream) error {
	j.recovering = false
	if len(hurt)+len(j.ends)+len(j.unfilled) == 0 {
		return nil
	}
	j.own.Reset()
	for i := range j.ends {
		e := &j.ends[i]
		j.own.Add(Head{Stream: e.stream, Kind: NoteFlushed}, flushedNote(&e.p, false))
	}
	for _, id := range j.unfilled {
		j.own.Add(Head{Stream: id, Kind: NoteUnfill}, nil)
	}
	j.unfilled = nil
	for _, s := range hurt {
		j.own.Add(Head{Stream: s.id, Kind: NoteDamage}, []byte(s.damage))
		// what follows is no part of the tail that was reported
		j.own.Add(Head{Stream: s.id, Kind: NoteCut, Index: s.last + 1, Base: -1}, nil)
	}
	err := j.commit(&j.own)
	if core.KindOf(err) == core.Full {
		return nil // it will be found again
	}
	return err
}

// readLogs shows the files of the log behind generation covered, in order.
func (j *Journal) readLogs(covered uint64) error {
	names, err := j.fs.List(j.wal.dir)
	if err != nil {
		return fmt.Errorf("open journal %q: %w", j.dir, err)
	}
	j.wal.disk = j.disk
	type found struct {
		f *logFile
		h LogHead
	}
	var live []found
	for _, n := range names {
		slot, err := strconv.Atoi(strings.TrimSuffix(n, ".wal"))
		if err != nil || !strings.HasSuffix(n, ".wal") {
			continue
		}
		j.wal.slots = max(j.wal.slots, slot+1)
		f := &logFile{name: path.Join(j.wal.dir, n)}
		h, err := j.readLogHead(f)
		if err != nil {
			return err
		}
		if h.Gen <= covered {
			if f.f != nil {
				f.f.Close()
			}
			j.wal.free = append(j.wal.free, f.name)
			continue
		}
		f.gen = h.Gen
		live = append(live, found{f, h})
	}
	sort.Slice(live, func(a, b int) bool { return live[a].h.Gen < live[b].h.Gen })
	j.wal.gen = covered
	var buf []byte
	for i, l := range live {
		if l.h.Gen != j.wal.gen+1 {
			j.blameAll(&Damage{j.wal.dir, 0, fmt.Errorf("generations %d to %d are missing",
				j.wal.gen+1, l.h.Gen-1)})
		}
		if buf, err = wholeFile(l.f.f, buf); err != nil {
			return fmt.Errorf("read log %q: %w", l.f.name, err)
		}
		c := logScan{j: j, f: l.f, b: buf, next: l.h.First}
		if i+1 < len(live) && live[i+1].h.Before == l.h.Gen {
			c.end = live[i+1].h.Last
		}
		j.logs[l.f.gen] = l.f
		c.run()
		j.wal.gen, j.wal.seq = l.h.Gen, max(j.wal.seq, c.next-1)
		if err := l.f.f.Sync(); err != nil { // what a killed process wrote counts from now on
			return &flushError{l.f.name, err}
		}
	}
	j.wal.flushed, j.wal.said, j.wal.meat = j.wal.seq, j.wal.seq, j.wal.seq
	j.applied = j.wal.seq
	return nil
}

// readLogHead reads a file's generation, from its writes where both heads are bad.
func (j *Journal) readLogHead(f *logFile) (LogHead, error) {
	var err error
	if f.f, err = j.fs.Open(f.name); err != nil {
		return LogHead{}, fmt.Errorf("read log %q: %w", f.name, err)
	}
	b := make([]byte, LogDataStart)
	if n, err := f.f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return LogHead{}, fmt.Errorf("read log %q: %w", f.name, err)
	} else if b = b[:n]; n < LogHeadAgain+LogHeadBytes {
		return LogHead{}, nil // it was never flushed
	}
	h, v, ok := ParseLogHead(b)
	h2, v2, ok2 := ParseLogHead(b[LogHeadAgain:])
	if ok2 && (!ok || h2.Gen > h.Gen) {
		h, h2, v, ok, ok2 = h2, h, v2, true, ok
	}
	if ok && (!ok2 || h2.Gen != h.Gen) {
		j.note(&Damage{f.name, 0, errors.New("one of two heads is bad")})
	}
	if ok {
		if v != LogVersion {
			return h, fmt.Errorf("read log %q: its format version is %d, this program knows %d",
				f.name, v, LogVersion)
		}
		if h.Disk != j.disk {
			return h, fmt.Errorf("read log %q: it belongs to disk %x, this is disk %x", f.name,
				uint64(h.Disk), uint64(j.disk))
		}
		return h, nil
	}
	return j.guessLogHead(f)
}

// guessLogHead takes the generation from the first write that names one.
func (j *Journal) guessLogHead(f *logFile) (LogHead, error) {
	b, err := wholeFile(f.f, nil)
	if err != nil {
		return LogHead{}, fmt.Errorf("read log %q: %w", f.name, err)
	}
	w, ok := ParseWriteHead(b, LogDataStart, 0)
	if !ok {
		j.note(&Damage{f.name, 0, errors.New("neither a head nor a write can be read")})
		return LogHead{}, nil
	}
	j.note(&Damage{f.name, 0, errors.New("both heads are bad")})
	return LogHead{Disk: j.disk, Gen: w.Gen, First: w.Seq}, nil
}

func wholeFile(f File, buf []byte) ([]byte, error) {
	n, err := f.Size()
	if err != nil {
		return nil, err
	}
	if int64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	return buf, ReadFull(f, buf, 0)
}

// openSegments reads what a stream's open segments hold beyond what is known to be
// flushed, and ends them there.
func (j *Journal) openSegments(s *stream) error {
	if p := s.open(false); p != nil {
		d := *p
		s.durable = &d
		j.wait(s)
		if err := j.extend(s, p); err != nil {
			return err
		}
	}
	if len(s.fill) > 0 { // nobody knows how far it came: it begins again
		s.fill = nil
		j.unfilled = append(j.unfilled, s.id)
	}
	s.trim(j.gone)
	if n := len(s.parts); n > 0 {
		s.last = max(s.last, s.parts[n-1].last)
	}
	return nil
}

// extend reads frames behind a part's end as long as they are whole and in order.
func (j *Journal) extend(s *stream, p *part) error {
	h := j.pin(p.kind, p.file)
	defer j.release([]*handle{h})
	f, err := j.file(h)
	var d *Damage
	if errors.As(err, &d) {
		if p.end > p.pos || j.report.Clean || j.report.SameBoot {
			j.blame(d, s.id)
		} else {
			j.note(&Damage{h.name, d.Offset, fmt.Errorf("it was never flushed: %w", d.Err)})
		}
		p.flags &^= partOpen
		j.ends = append(j.ends, segmentEnd{s.id, *p})
		return nil
	}
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("read segment %q: %w", h.name, err)
	}
	if size < p.end {
		j.blame(&Damage{h.name, size, errors.New("it is cut off")}, s.id)
		p.flags &^= partOpen
		return nil
	}
	b := make([]byte, size-p.end)
	if err := ReadFull(f, b, p.end); err != nil {
		return fmt.Errorf("read segment %q: %w", h.name, err)
	}
	at := p.end
	for len(b) > 0 {
		hd, data, err := ParseFrame(b)
		if err == nil && (hd.Stream != s.id || !hd.Entry() || hd.Index != p.last+1) {
			err = errors.New("another frame is expected here")
		}
		if err != nil {
			return j.ragged(s, h.name, at, b, err)
		}
		s.entered(&hd, data, place{inSegment, p.file, at})
		b, at = b[hd.Size():], at+hd.Size()
	}
	return nil
}

// ragged judges a segment whose end cannot be read. A killed process may leave a
// last write in part, a power cut anything. What is bad and whole, on a machine that
// did not stop, is damage.
func (j *Journal) ragged(s *stream, name string, at int64, b []byte, err error) error {
	h, bad := ParseHead(b)
	whole := bad == nil && int64(len(b)) >= h.Size() || bad != nil && len(b) >= HeadBytes
	d := &Damage{name, at, err}
	if j.report.Clean || j.report.SameBoot && whole {
		j.blame(d, s.id)
		s.open(false).flags &^= partOpen
		return nil
	}
	j.note(&Damage{name, at, fmt.Errorf("the end was not flushed and is cut off: %w", err)})
	if f, err := j.fs.Open(name); err == nil { // so that nothing of it can come back
		defer f.Close()
		if err := f.Truncate(at); err != nil {
			return err
		}
		return f.Sync()
	}
	return nil
}

// recovered gives what the disk knows of a stream, and cuts what does not follow.
func (j *Journal) recovered(s *stream) (core.Recovered, error) {
	r := core.Recovered{Stream: s.id, State: s.state, Road: s.road, Start: s.start}
	if s.hasCP {
		cp, err := j.readCheckpoint(s)
		if err != nil {
			var d *Damage
			if !errors.As(err, &d) {
				return r, err
			}
			j.blame(d, s.id)
			// Without it nothing follows from the tail above it: what is left begins at the
			// first entry, where the body still has that.
			s.hasCP, s.cp = false, core.Checkpoint{}
		}
		r.Checkpoint = cp
	}
	at := s.cp.Index
	for i := range s.parts {
		p := &s.parts[i]
		r.Bytes += p.bytes()
		if p.last <= at {
			continue
		}
		if p.first > at+1 {
			j.blame(&Damage{j.partName(p), p.pos, fmt.Errorf("entries %d to %d are missing", at+1,
				p.first-1)}, s.id)
			s.parts, _ = cutParts(s.parts, p.first)
			break
		}
		at = p.last
	}
	var err error
	if r.Tail, err = j.tail(s); err != nil {
		return r, err
	}
	if n := len(r.Tail); n > 0 {
		s.last = r.Tail[n-1].Index
	} else {
		s.last = s.cp.Index
	}
	if s.damage != "" { // what follows the damage is no part of what is left
		s.parts, _ = cutParts(s.parts, s.last+1)
	}
	r.State.Commit = min(r.State.Commit, s.last)
	r.Damage = s.damage
	return r, nil
}

func (j *Journal) partName(p *part) string {
	if p.kind != inLog {
		return j.fileName(fileKey{p.kind, p.file})
	}
	if f := j.logs[p.file]; f != nil {
		return f.name
	}
	return fmt.Sprintf("log %d", p.file)
}

// tail reads the contiguous entries above the checkpoint.
func (j *Journal) tail(s *stream) ([]core.Entry, error) {
	var all []core.Entry
	for next := s.cp.Index + 1; ; {
		l := core.Load{Stream: s.id, ByIndex: true, Index: next, BytesMax: readBytesMax}
		es, _, err := j.load(&l)
		var d *Damage
		if err != nil && !errors.As(err, &d) {
			return nil, err
		}
		if err != nil {
			j.blame(d, s.id)
		}
		if len(es) == 0 {
			return all, nil
		}
		for _, e := range es {
			if e.Index != next {
				j.blame(&Damage{j.dir, 0, fmt.Errorf("entry %d is missing", next)}, s.id)
				return all, nil
			}
			all = append(all, e)
			next++
		}
	}
}

func (j *Journal) readCheckpoint(s *stream) (*core.Checkpoint, error) {
	return j.readCheckpointAt(s.id, s.cpAt)
}

// readCheckpointAt reads a stream's checkpoint from where it stands.
func (j *Journal) readCheckpointAt(id core.StreamID, where place) (*core.Checkpoint, error) {
	j.mu.Lock()
	h := j.pin(where.kind, where.file)
	j.mu.Unlock()
	at := where.pos
	defer j.release([]*handle{h})
	f, err := j.file(h)
	if err != nil {
		return nil, err
	}
	b := make([]byte, HeadBytes)
	if err := ReadFull(f, b, at); err != nil {
		return nil, &Damage{h.name, at, err}
	}
	hd, err := ParseHead(b)
	size, _ := f.Size()
	if err == nil && hd.Size() > size-at {
		err = errors.New("a frame is cut off")
	}
	if err != nil {
		return nil, &Damage{h.name, at, err}
	}
	b = make([]byte, hd.Size())
	if err := ReadFull(f, b, at); err != nil {
		return nil, &Damage{h.name, at, err}
	}
	hd, data, err := ParseFrame(b)
	if err == nil && (hd.Stream != id ||
		hd.Kind != NoteCheckpoint && hd.Kind != NoteInstall) {
		err = errors.New("another frame is expected here")
	}
	if err != nil {
		return nil, &Damage{h.name, at, err}
	}
	c, err := DecodeCheckpoint(data)
	if err != nil {
		return nil, &Damage{h.name, at, err}
	}
	return c, nil
}

// sweep removes what a stopped cleaner left, unless damage was found: then every
// byte may be needed.
func (j *Journal) sweep() error {
	named := map[uint64]bool{}
	for _, s := range j.streams {
		for _, ps := range [][]part{s.parts, s.fill} {
			for _, n := range ownFiles(ps) {
				named[n] = true
			}
		}
		if s.damage != "" {
			j.keepAll = true
		}
	}
	dir := path.Join(j.dir, segmentDir)
	names, err := j.fs.List(dir)
	if err != nil {
		return fmt.Errorf("open journal %q: %w", j.dir, err)
	}
	for _, n := range names {
		number, err := strconv.ParseUint(strings.TrimSuffix(n, ".seg"), 16, 64)
		if err != nil {
			continue
		}
		j.number = max(j.number, number)
		if !named[number] && !j.keepAll && j.doubt == nil {
			j.fs.Remove(path.Join(dir, n))
		}
	}
	return nil
}
