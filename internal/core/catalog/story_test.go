package catalog

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"trine/internal/core"
)

// TestStories replays testdata: each file is the story of one rule.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var s story
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out := s.run(t, d)
			if s.c != nil {
				s.c = again(t, s.c)
			}
			return out
		})
	})
}

// again gives the catalog as a checkpoint would bring it back.
func again(t interface{ Fatalf(string, ...any) }, c *Catalog) *Catalog {
	b := c.Encode()
	d, err := Decode(b)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if string(d.Encode()) != string(b) || d.Describe() != c.Describe() {
		t.Fatalf("the checkpoint gives another catalog:\n%s\n%s", c.Describe(), d.Describe())
	}
	var all Changes
	d.Changes(&all)
	return d
}

type story struct{ c *Catalog }

func (s *story) run(t *testing.T, d *datadriven.TestData) string {
	a := args{t, d.CmdArgs}
	switch d.Cmd {
	case "new":
		var voters []core.Member
		for _, n := range a.nodes("voters") {
			voters = append(voters, core.Member{Node: n, Disk: core.DiskID(n * 16), InSync: true})
		}
		s.c = New(0xc1, voters)
		return ""
	case "show":
		return s.c.Describe()
	case "asked":
		var b strings.Builder
		for _, id := range s.c.Asked(a.disk()) {
			fmt.Fprintln(&b, s.c.Stream(id).Name)
		}
		return b.String()
	case "heir":
		d, now := s.c.Heir(s.id(a.str("name")))
		return fmt.Sprintf("disk %x, now %v\n", uint64(d), now)
	case "first":
		return fmt.Sprintln(s.c.First(s.id(a.str("name"))))
	case "target":
		p, ok := s.c.Target(s.id(a.str("name")))
		return fmt.Sprintln(p.Mode(), p.Copies, ok)
	}
	return s.apply(s.command(a, d))
}

// id gives a stream's id; the name "" is the catalog's own.
func (s *story) id(name string) core.StreamID {
	if st := s.c.ByName(name); st != nil {
		return st.ID
	}
	return core.CatalogStream
}

// apply gives the command's result and what changed.
func (s *story) apply(command []byte) string {
	res, err := DecodeResult(s.c.Apply(s.c.Applied()+1, command))
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	if err := res.Err("do"); err != nil {
		fmt.Fprintln(&b, err)
	} else {
		fmt.Fprintln(&b, "ok")
	}
	items := len(command) > 1 && (command[1] == byte(kindInSync) || command[1] == byte(kindYield))
	if items && len(res.IDs) > 0 {
		fmt.Fprintln(&b, "but the item is refused")
	}
	var ch Changes
	s.c.Changes(&ch)
	for _, id := range ch.Streams {
		if id == core.CatalogStream {
			fmt.Fprintln(&b, "voters", s.c.Voters())
			continue
		}
		fmt.Fprintln(&b, s.c.DescribeStream(id))
	}
	for _, g := range ch.Gone {
		fmt.Fprintln(&b, "gone", g.Name)
	}
	for _, doc := range ch.Documents {
		fmt.Fprintf(&b, "document %s = %q, revision %d\n", doc.Key, doc.Value, doc.Revision)
	}
	for _, l := range ch.Losses {
		fmt.Fprintf(&b, "loss: %s on disk %x at (%d, %d): %s\n", s.c.Stream(l.Stream).Name, uint64(l.Disk),
			l.Epoch, l.Index, l.Why)
	}
	return b.String()
}

func (s *story) command(a args, d *datadriven.TestData) []byte {
	name := a.str("name")
	switch d.Cmd {
	case "put":
		var cs []core.Change
		for _, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
			cs = append(cs, a.change(line))
		}
		return Put(a.by(), cs)
	case "register":
		r := Registration{Rack: a.str("rack"), Clean: a.has("clean"), SameBoot: a.has("sameboot")}
		if a.has("damaged") {
			r.Damaged = []core.StreamID{s.id(a.str("damaged"))}
		}
		if a.has("address") {
			r.Addresses = map[string]string{"x": a.str("address")}
		}
		return Register(a.peer(), r)
	case "fence":
		return Fence(a.peer())
	case "handover":
		return HandOver(a.peer())
	case "insync":
		ch := InSyncChange{Stream: s.id(name), Gen: s.c.Stream(s.id(name)).Gen,
			Epoch: s.c.Stream(s.id(name)).Epoch, Disk: a.disk(), Add: !a.has("remove")}
		if a.has("epoch") {
			ch.Epoch = core.Epoch(a.num("epoch"))
		}
		if a.has("gen") {
			ch.Gen = core.Generation(a.num("gen"))
		}
		return InSync([]InSyncChange{ch})
	case "move":
		return Move(name, a.nodes("to"))
	case "vote":
		return Vote(a.nodes("to"))
	case "report":
		return Report(a.peer(), []LogEnd{{Stream: s.id(name), Epoch: core.Epoch(a.num("epoch")),
			Index: core.Index(a.num("index"))}})
	case "decide":
		return Decide(name, a.disk())
	case "yield":
		st := s.c.Stream(s.id(name))
		y := Yielding{Stream: st.ID, Gen: st.Gen, Epoch: st.Epoch, Out: a.has("out")}
		if y.To = a.disk(); y.To == 0 {
			y.To, _ = s.c.Heir(st.ID)
		}
		if a.has("epoch") {
			y.Epoch = core.Epoch(a.num("epoch"))
		}
		return Yield([]Yielding{y})
	case "grow":
		return Grow()
	case "changed":
		k := KindChange{Stream: s.id(name), Gen: core.Generation(a.num("gen")),
			Seal: core.Index(a.num("seal")), Floor: core.Epoch(a.num("floor"))}
		for _, m := range s.c.Stream(k.Stream).Members {
			m.InSync = slices.Contains(a.nodes("holds"), m.Node)
			k.Members = append(k.Members, m)
		}
		return Changed(k)
	case "bytes":
		b, err := hex.DecodeString(strings.ReplaceAll(d.Input, " ", ""))
		if err != nil {
			a.t.Fatal(err)
		}
		return b
	}
	a.t.Fatalf("%s: no such command", d.Cmd)
	return nil
}

// args reads the arguments of a story's line.
type args struct {
	t    *testing.T
	args []datadriven.CmdArg
}

func (a args) vals(key string) []string {
	for _, arg := range a.args {
		if arg.Key == key {
			return arg.Vals
		}
	}
	return nil
}

func (a args) has(key string) bool {
	for _, arg := range a.args {
		if arg.Key == key {
			return true
		}
	}
	return false
}

func (a args) str(key string) string { return strings.Join(a.vals(key), ",") }

func (a args) num(key string) int64 {
	if !a.has(key) {
		return 0
	}
	v, err := strconv.ParseInt(a.str(key), 0, 64)
	if err != nil {
		a.t.Fatal(err)
	}
	return v
}

func (a args) nodes(key string) (out []core.NodeID) {
	for _, v := range a.vals(key) {
		if v == "" {
			continue
		}
		n, err := strconv.Atoi(v)
		if err != nil {
			a.t.Fatal(err)
		}
		out = append(out, core.NodeID(n))
	}
	return out
}

// disk is node*16 unless named: node 1 has disk 10 in hexadecimal.
func (a args) disk() core.DiskID {
	if a.has("disk") {
		return core.DiskID(a.num("disk"))
	}
	return core.DiskID(a.num("node") * 16)
}

func (a args) peer() core.Peer {
	return core.Peer{Node: core.NodeID(a.num("node")), Disk: a.disk(), Incarnation: core.Incarnation(a.num("run"))}
}

func (a args) by() core.Peer {
	if !a.has("node") {
		return core.Peer{}
	}
	return a.peer()
}

func (a args) owner() core.Owner {
	if !a.has("owner") {
		return core.Owner{}
	}
	n := a.nodes("owner")
	return core.Owner{Node: n[0], Incarnation: core.Incarnation(n[1]), Conn: 7}
}

func (a args) policy() core.Policy {
	n := max(int(a.num("copies")), 1)
	f := core.FlushEach
	if a.has("lazy") {
		f = core.FlushLazy
	}
	var p core.Policy
	switch a.str("mode") {
	case "single":
		p = core.Single(f)
	case "mirror":
		p = core.Mirror(n, f)
	case "majority":
		p = core.Majority(n)
	case "insync":
		p = core.InSync(n, 2, f)
	case "primary":
		p = core.Primary(n, f)
	case "pair":
		p = core.Pair(n, 1, f)
	}
	if a.has("any") {
		p.Election = core.ElectAny
	}
	return p
}

func (a args) change(line string) core.Change {
	cmd, cmdArgs, err := datadriven.ParseLine(line)
	if err != nil {
		a.t.Fatal(err)
	}
	l := args{a.t, cmdArgs}
	switch cmd {
	case "define":
		return core.Change{Define: &core.Definition{Name: l.str("name"), Policy: l.policy(),
			At: l.nodes("at"), Owner: l.owner()}}
	case "alter":
		al := &core.Alteration{At: l.nodes("at")}
		if l.has("mode") {
			p := l.policy()
			al.Policy = &p
		}
		if l.has("labels") {
			al.Labels = []byte(l.str("labels"))
		}
		return core.Change{Stream: l.str("name"), Alter: al, IfID: core.StreamID(l.num("id"))}
	case "remove":
		return core.Change{Stream: l.str("name"), IfID: core.StreamID(l.num("id"))}
	case "document":
		return core.Change{Key: l.str("key"), Value: []byte(l.str("value")),
			Expect: core.Revision(l.num("expect")), Owner: l.owner()}
	case "delete":
		return core.Change{Key: l.str("key"), Expect: core.Revision(l.num("expect"))}
	}
	a.t.Fatalf("%s: no such change", line)
	return core.Change{}
}
