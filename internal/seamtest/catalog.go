package seamtest

import (
	"maps"
	"slices"
	"strings"

	"trine/internal/core"
)

type (
	streams struct{ b *Broker }
	cluster struct{ b *Broker }
)

type streamWatch struct {
	prefix  string
	changed func(*core.Stream, bool)
}

type docWatch struct {
	prefix  string
	changed func([]core.Document)
}

func (s streams) Define(d core.Definition, done func(*core.Stream, error)) {
	b := s.b
	b.post(func() {
		err := b.judge("define", d.Name)
		if err == nil {
			_, err = b.put([]core.Change{{Define: &d}})
		}
		var made *core.Stream
		if l := b.streams[d.Name]; l != nil {
			made = l.stream
		}
		b.call(func() { done(made, err) })
	})
}

func (s streams) Alter(name string, a core.Alteration, done func(*core.Stream, error)) {
	b := s.b
	b.post(func() {
		err := b.judge("alter", name)
		if err == nil {
			_, err = b.put([]core.Change{{Stream: name, Alter: &a}})
		}
		var made *core.Stream
		if l := b.streams[name]; l != nil {
			made = l.stream
		}
		b.call(func() { done(made, err) })
	})
}

func (s streams) Lookup(name string) *core.Stream {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if l := s.b.streams[name]; l != nil {
		return l.stream
	}
	return nil
}

func (s streams) Remove(name string, ifID core.StreamID, done func(error)) {
	b := s.b
	b.post(func() {
		err := b.judge("remove", name)
		if err == nil {
			_, err = b.put([]core.Change{{Stream: name, IfID: ifID}})
		}
		b.call(func() { done(err) })
	})
}

func (s streams) List(prefix string) []*core.Stream {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	var out []*core.Stream
	for _, name := range s.b.names(prefix) {
		out = append(out, s.b.streams[name].stream)
	}
	return out
}

func (s streams) Watch(prefix string, changed func(*core.Stream, bool)) {
	b := s.b
	b.post(func() {
		for _, name := range b.names(prefix) {
			st := b.streams[name].stream
			b.call(func() { changed(st, false) })
		}
		b.onStream = append(b.onStream, streamWatch{prefix, changed})
	})
}

// names gives the names below prefix, in order.
func (b *Broker) names(prefix string) []string {
	var out []string
	for name := range b.streams {
		if strings.HasPrefix(name, prefix) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func (c cluster) Put(cs []core.Change, done func(core.Revision, error)) {
	b := c.b
	b.post(func() {
		rev, err := core.Revision(0), error(nil)
		for _, ch := range cs {
			if err == nil {
				err = b.judge("put", ch.Key)
			}
		}
		if err == nil {
			rev, err = b.put(cs)
		}
		b.call(func() { done(rev, err) })
	})
}

func (c cluster) Get(key string) (core.Document, bool) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	d, ok := c.b.docs[key]
	return d, ok
}

func (c cluster) Watch(prefix string, changed func([]core.Document)) {
	b := c.b
	b.post(func() {
		var there []core.Document
		for _, key := range slices.Sorted(maps.Keys(b.docs)) {
			if strings.HasPrefix(key, prefix) {
				there = append(there, b.docs[key])
			}
		}
		if len(there) > 0 {
			b.call(func() { changed(there) })
		}
		b.onDoc = append(b.onDoc, docWatch{prefix, changed})
	})
}

func (c cluster) Nodes() []core.NodeInfo {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	return slices.Clone(c.b.nodes)
}

func (c cluster) Move(name string, to []core.NodeID, done func(error)) {
	b := c.b
	b.post(func() {
		_, err := b.put([]core.Change{{Stream: name, Alter: &core.Alteration{At: to}}})
		b.call(func() { done(err) })
	})
}

func (c cluster) Sync(done func(error)) {
	c.b.post(func() { c.b.call(func() { done(nil) }) })
}

// put carries out changes, all or none.
func (b *Broker) put(cs []core.Change) (core.Revision, error) {
	docs, kept := maps.Clone(b.docs), maps.Clone(b.streams)
	b.revision++
	var changed []core.Document
	for i := range cs {
		if err := b.change(&cs[i], core.StreamID(b.revision)<<16+core.StreamID(i), &changed); err != nil {
			b.docs, b.streams = docs, kept
			b.revision--
			return 0, err
		}
	}
	for _, w := range b.onDoc {
		var told []core.Document
		for _, d := range changed {
			if strings.HasPrefix(d.Key, w.prefix) {
				told = append(told, d)
			}
		}
		if len(told) > 0 {
			b.call(func() { w.changed(told) })
		}
	}
	b.settleStreams(kept)
	return b.revision, nil
}

func (b *Broker) change(c *core.Change, id core.StreamID, changed *[]core.Document) error {
	switch {
	case c.Define != nil:
		return b.define(*c.Define, id)
	case c.Stream != "":
		l := b.streams[c.Stream]
		switch {
		case l == nil:
			return failed("change stream", c.Stream, core.NotExist, "")
		case c.IfID != 0 && c.IfID != l.stream.ID:
			return failed("change stream", c.Stream, core.Conflict, "it is another one")
		case c.Alter == nil:
			delete(b.streams, c.Stream)
			return nil
		}
		return b.alter(l, c.Alter)
	}
	old, there := b.docs[c.Key]
	if c.Expect == core.NoRevision && there || c.Expect > 0 && old.Revision != c.Expect {
		return failed("put document", c.Key, core.Conflict, "")
	}
	d := core.Document{Key: c.Key, Value: c.Value, Revision: b.revision, Owner: c.Owner}
	if c.Value == nil {
		delete(b.docs, c.Key)
	} else {
		b.docs[c.Key] = d
	}
	*changed = append(*changed, d)
	return nil
}

func (b *Broker) define(d core.Definition, id core.StreamID) error {
	if b.streams[d.Name] != nil {
		return failed("define stream", d.Name, core.Exist, "")
	}
	if err := d.Policy.Check(); err != nil {
		return err
	}
	s := &core.Stream{Definition: d, ID: id, Created: b.revision, Revision: b.revision, Gen: 1,
		Epoch: 1}
	b.place(s, int(id))
	b.streams[d.Name] = newLog(s)
	return nil
}

// place gives a stream its members: where it asks to be, else the nodes in turn.
func (b *Broker) place(s *core.Stream, first int) {
	at := s.At
	for i := 0; s.At == nil && i < min(s.Policy.Copies, len(b.nodes)); i++ {
		at = append(at, b.nodes[(first+i)%len(b.nodes)].Node)
	}
	s.Members = nil
	for _, n := range at {
		s.Members = append(s.Members, core.Member{Node: n, Disk: core.DiskID(n), InSync: true})
	}
	s.Leader = at[0]
}

func (b *Broker) alter(l *log, a *core.Alteration) error {
	s := *l.stream
	s.Revision = b.revision
	if a.Policy != nil {
		if err := a.Policy.Check(); err != nil {
			return err
		}
		s.Policy = *a.Policy
	}
	if a.Keep != nil {
		s.Keep = *a.Keep
	}
	if a.Queue != nil {
		s.Queue = a.Queue
	}
	if a.Labels != nil {
		s.Labels = a.Labels
	}
	if a.At != nil {
		s.At = a.At
		b.place(&s, 0)
		s.Epoch++
	}
	altered := *l
	altered.stream = &s
	b.streams[s.Name] = &altered
	return nil
}

// settleStreams makes logs what the catalog now says, and tells who watches.
func (b *Broker) settleStreams(old map[string]*log) {
	tell := func(s *core.Stream, gone bool) {
		for _, w := range b.onStream {
			if strings.HasPrefix(s.Name, w.prefix) {
				b.call(func() { w.changed(s, gone) })
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		was, is := old[name], b.streams[name]
		if is == was {
			continue
		}
		if is != nil && is.stream.ID == was.stream.ID {
			was.stream = is.stream
			b.streams[name] = was
			was.setQueue(b.now)
			tell(was.stream, false)
			b.turn(was)
			continue
		}
		delete(b.byID, was.stream.ID)
		was.end(b)
		tell(was.stream, true)
	}
	for _, name := range b.names("") {
		if l := b.streams[name]; b.byID[l.stream.ID] == nil {
			b.byID[l.stream.ID] = l
			l.setQueue(b.now)
			tell(l.stream, false)
		}
	}
	b.answerReads()
}
