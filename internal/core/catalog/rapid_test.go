package catalog

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"trine/internal/core"
)

// TestRandomCommandsKeepTheRules applies random commands to two catalogs, of which
// one is brought back from its checkpoint now and then, and checks after each what
// must always hold.
func TestRandomCommandsKeepTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		for n := core.NodeID(1); n <= 3; n++ {
			w.step(t, Register(core.Peer{Node: n, Disk: core.DiskID(n) * 16, Incarnation: 1}, Registration{}))
		}
		w.runs = 1
		for i := 0; i < 3; i++ {
			w.step(t, Put(core.Peer{}, []core.Change{{Define: &core.Definition{Name: fmt.Sprint("q", i),
				Policy: drawPolicy(t), At: []core.NodeID{1, 2, 3}[:uniform(t, 0, 3, "at")]}}}))
		}
		for i := uniform(t, 20, 80, "commands"); i > 0; i-- {
			command := w.draw(t)
			w.step(t, command)
			if uniform(t, 0, 9, "reopen") == 0 {
				w.b = again(t, w.b)
			}
		}
		for s, was := range w.texts {
			if text(s) != was {
				t.Fatalf("a snapshot changed: %s\nwas %s", text(s), was)
			}
		}
	})
}

// world is two catalogs that get the same commands, and what was seen of them.
type world struct {
	a, b  *Catalog
	runs  uint64
	seen  map[core.StreamID]*core.Stream // as Changes told
	texts map[*core.Stream]string        // every snapshot that was given, as it was then
	gone  map[core.StreamID]bool
	docs  map[string]core.Document
	leads map[core.StreamID]core.DiskID // who led last

	losses map[core.StreamID]core.DiskID // noted by the last command
}

func newWorld() *world {
	voters := []core.Member{{Node: 1, Disk: 16, InSync: true}}
	w := &world{a: New(1, voters), b: New(1, voters), seen: map[core.StreamID]*core.Stream{},
		texts: map[*core.Stream]string{}, gone: map[core.StreamID]bool{},
		docs: map[string]core.Document{}, leads: map[core.StreamID]core.DiskID{}}
	w.look()
	return w
}

func text(s *core.Stream) string { return fmt.Sprintf("%+v", *s) }

// look takes what Changes tells.
func (w *world) look() Changes {
	var ch Changes
	w.a.Changes(&ch)
	for _, id := range ch.Streams {
		s := w.a.Stream(id)
		w.seen[id] = s
		w.texts[s] = text(s)
	}
	for _, s := range ch.Gone {
		delete(w.seen, s.ID)
		w.gone[s.ID] = true
	}
	for _, d := range ch.Documents {
		if d.Value == nil {
			delete(w.docs, d.Key)
		} else {
			w.docs[d.Key] = d
		}
	}
	return ch
}

type fataler interface {
	Fatalf(string, ...any)
	Logf(string, ...any)
}

func (w *world) step(t fataler, command []byte) {
	before := map[core.StreamID]stream{}
	for id, st := range w.a.streams {
		before[id] = *st
	}
	index := w.a.Applied() + 1
	ra, rb := w.a.Apply(index, command), w.b.Apply(index, command)
	if string(ra) != string(rb) {
		t.Fatalf("two results of one command: %x, %x", ra, rb)
	}
	if _, err := DecodeResult(ra); err != nil {
		t.Fatalf("%v", err)
	}
	if string(w.a.Encode()) != string(w.b.Encode()) {
		t.Fatalf("the catalogs differ:\n%s\n%s", w.a.Describe(), w.b.Describe())
	}
	w.losses = map[core.StreamID]core.DiskID{}
	for _, l := range w.look().Losses {
		w.losses[l.Stream] = l.Disk
	}
	t.Logf("entry %d, command %d\n%s", index, command[1], w.a.Describe())
	w.told(t)
	for _, id := range w.a.ids.list() {
		if w.gone[id] {
			t.Fatalf("stream %d came back", id)
		}
		check(t, w.a, w.a.streams[id])
		if was := before[id]; was.Stream != nil {
			w.compare(t, kind(command[1]), &was, w.a.streams[id])
		}
	}
	sameIndexes(t, w.a, again(t, w.a))
}

// told checks that Changes has told all that there is.
func (w *world) told(t fataler) {
	if len(w.seen) != len(w.a.streams) {
		t.Fatalf("Changes told of %d streams, there are %d", len(w.seen), len(w.a.streams))
	}
	for id, s := range w.seen {
		if w.a.Stream(id) != s {
			t.Fatalf("Changes did not tell of %s", w.a.DescribeStream(id))
		}
	}
	docs := w.a.Documents("")
	if len(docs) != len(w.docs) {
		t.Fatalf("Changes told of %d documents, there are %d", len(w.docs), len(docs))
	}
	for _, d := range docs {
		if !reflect.DeepEqual(d, w.docs[d.Key]) {
			t.Fatalf("Changes told %v, it is %v", w.docs[d.Key], d)
		}
	}
}

// check holds one stream against what must be true of it at any time.
func check(t fataler, c *Catalog, st *stream) {
	fail := func(why string) { t.Fatalf("%s: %s", why, c.DescribeStream(st.ID)) }
	if why := c.wrong(&stream{Stream: &core.Stream{Definition: st.Definition, ID: 0, Leader: st.Leader,
		Members: st.Members, Changing: st.Changing}, lead: st.lead, to: st.to, want: st.want,
		doubt: st.doubt, told: st.told}); why != "" && why != "a stream is there twice, or has no name" {
		fail(why)
	}
	for i, m := range st.Members {
		if j := st.memberOn(m.Node); j != i {
			fail("two copies on one node")
		}
	}
	if st.Policy.Raft() {
		return
	}
	switch {
	case !st.inSync(st.lead):
		fail("who leads is not in sync")
	case st.Leader != 0 && !c.standing(st.lead):
		fail("who leads is not there")
	case st.Leader != 0 && len(st.doubt) > 0:
		fail("it is led in doubt")
	case st.Leader == 0 && len(st.doubt) == 0 && st.Epoch != epochMax && c.candidate(st) != 0 &&
		st.inSync(c.candidate(st)):
		fail("it could be led")
	case c.waiting.has(st.ID) != (len(st.doubt) > 0):
		fail("it waits for nothing")
	}
}

// compare holds a stream against what it was before a command.
func (w *world) compare(t fataler, k kind, was, st *stream) {
	fail := func(why string) {
		t.Fatalf("command %d: %s: %s, was %s", k, why, w.a.DescribeStream(st.ID), text(was.Stream))
	}
	lead := w.leads[st.ID]
	if st.Leader != 0 {
		w.leads[st.ID] = st.lead
	}
	switch {
	case st.Epoch < was.Epoch || st.Gen < was.Gen:
		fail("an epoch or generation fell")
	case st.Leader != 0 && (st.lead != lead || was.Leader == 0) && lead != 0 && st.Epoch == was.Epoch:
		fail("another leader in the same epoch")
	}
	if st.Leader == 0 || st.lead == lead || k == kindInSync || k == kindChanged {
		return
	}
	if !was.inSync(st.lead) && w.losses[st.ID] != st.lead {
		fail("a copy leads that was not in sync, and no loss is noted")
	}
}

// sameIndexes compares what checkpoints leave out.
func sameIndexes(t fataler, a, b *Catalog) {
	for _, id := range a.nodeIDs {
		x, y := a.nodes[id], b.nodes[id]
		if x.firsts != y.firsts || !slices.Equal(x.leads.list(), y.leads.list()) {
			t.Fatalf("node %d leads %v and is first of %d, should be %v and %d", id,
				x.leads.list(), x.firsts, y.leads.list(), y.firsts)
		}
	}
	for d := range a.disks {
		if !slices.Equal(a.on[d].list(), b.on[d].list()) {
			t.Fatalf("disk %x has %v, should have %v", uint64(d), a.on[d].list(), b.on[d].list())
		}
	}
	if a.alive != b.alive || !slices.Equal(a.short.list(), b.short.list()) ||
		!slices.Equal(a.waiting.list(), b.waiting.list()) {
		t.Fatalf("alive %d, short %v, waiting %v; should be %d, %v, %v", a.alive, a.short.list(),
			a.waiting.list(), b.alive, b.short.list(), b.waiting.list())
	}
	for r, o := range a.owned {
		p := b.owned[r]
		if p == nil {
			p = &belongings{}
		}
		if !slices.Equal(o.streams.list(), p.streams.list()) || len(o.documents) != len(p.documents) {
			t.Fatalf("a run owns %v, should own %v", o, p)
		}
	}
}
