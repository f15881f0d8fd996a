package queue

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"trine/internal/core"
	"trine/internal/core/record"
)

// story plays one file of testdata: a leader, and a copy that must be equal to it
// after every entry.
type story struct {
	t       *testing.T
	q, copy *Queue
	now     core.Now
	index   core.Index
	next    core.Offset
	builder record.Builder
	out     Effects
	names   []string         // consumers, by their id from 1
	seqs    map[string]int64 // by node
	pending []core.Entry     // proposed, not committed
	holding bool             // commits wait for "commit"
	b       strings.Builder
}

func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := &story{t: t, now: core.Now{Mono: core.Second, Wall: 1000}, seqs: map[string]int64{}}
		s.start(core.QueueSettings{TTLMs: -1, DeliveryLimit: -1})
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			s.b.Reset()
			s.do(d)
			if s.b.Len() == 0 {
				return "nothing\n"
			}
			return s.b.String()
		})
	})
}

func (s *story) start(set core.QueueSettings) {
	s.q, s.copy = New(set), New(set)
	s.q.Lead(s.now)
}

func (s *story) do(d *datadriven.TestData) {
	name := ""
	if len(d.CmdArgs) > 0 {
		name = d.CmdArgs[0].Key
	}
	switch d.Cmd {
	case "settings":
		set := settings(d)
		if s.index == 0 {
			s.start(set)
		}
		s.q.Set(set)
		s.copy.Set(set)
	case "append":
		for _, line := range strings.Split(d.Input, "\n") {
			s.append(line)
		}
	case "attach":
		s.attach(d, name)
	case "credit":
		c := core.Credit{Drain: d.HasArg("drain"), Stop: d.HasArg("stop"),
			Messages: int32(num(d, "messages", 0)), Bytes: num(d, "bytes", 0)}
		s.q.Credit(s.consumer(name), &c)
	case "settle":
		s.settle(d, name)
	case "detach":
		s.q.Detach(s.consumer(name))
	case "detach-node":
		s.q.DetachNode(incarnation(name))
	case "over":
		s.q.Over(incarnation(name))
	case "end":
		s.q.End(core.NotExist)
	case "purge":
		fmt.Fprintf(&s.b, "purged %d\n", s.q.Purge())
	case "missing":
		s.q.Missing(core.Offset(num(d, "offset", 0)))
	case "forwarded":
		var err error
		if d.HasArg("refused") {
			err = errors.New("refused")
		}
		for _, r := range offsets(name) {
			for o := r.From; o <= r.To; o++ {
				s.q.Forwarded(o, err)
			}
		}
	case "wait":
		s.now.Mono += core.Time(num(d, "ms", 0)) * core.Millisecond
		s.now.Wall += core.Stamp(num(d, "ms", 0))
	case "commits":
		s.holding = name == "wait"
	case "commit":
		s.commit()
	case "lose":
		s.pending = s.pending[:len(s.pending)-1]
		s.q.Lost()
	case "hold":
		s.q.Hold(name == "on")
	case "takeover":
		s.takeover(d.HasArg("hold"))
	case "full":
		fmt.Fprintf(&s.b, "%v\n", s.q.Full(num(d, "messages", 1), num(d, "bytes", 0)))
		return
	case "inspect":
		s.inspect()
		return
	case "reclaim":
		fmt.Fprintf(&s.b, "keep %s of those below %d\n",
			text(s.q.Reclaim(s.next).Keep), s.next)
		return
	case "through":
		fmt.Fprintf(&s.b, "%d\n", s.q.SettledThrough(core.SessionOf(incarnation(name))))
		return
	default:
		d.Fatalf(s.t, "unknown command %q", d.Cmd)
	}
	s.turns()
}

// turns takes turns until nothing follows.
func (s *story) turns() {
	for range 10 {
		s.q.Turn(s.now, &s.out)
		s.print()
		if s.out.Propose != nil {
			s.index++
			s.pending = append(s.pending, core.Entry{Index: s.index, Kind: core.EntryQueue,
				Base: s.next, Data: s.out.Propose})
		}
		if s.holding || len(s.pending) == 0 {
			return
		}
		s.commit()
	}
	s.t.Fatal("the queue does not come to rest")
}

func (s *story) commit() {
	for i := range s.pending {
		s.apply(&s.pending[i])
	}
	s.pending = nil
}

func (s *story) apply(e *core.Entry) {
	for _, q := range []*Queue{s.q, s.copy} {
		if err := q.Apply(e); err != nil {
			s.t.Fatal(err)
		}
	}
	state := s.q.Encode()
	if !bytes.Equal(state, s.copy.Encode()) {
		s.t.Fatal("the copy is not equal to the leader")
	}
	again, err := Decode(state, s.copy.set)
	if err != nil {
		s.t.Fatal(err)
	}
	if !bytes.Equal(state, again.Encode()) {
		s.t.Fatal("a decoded copy is not equal to the leader")
	}
	s.copy = again
}

func (s *story) takeover(hold bool) {
	s.pending = nil
	s.q.Follow()
	s.q, s.copy = s.copy, s.q
	s.q.Lead(s.now)
	s.q.Hold(hold)
}

// append makes one batch: "3 size=10 priority=2 expires=500 after=300", the times
// from now on in ms, or "3 control", "3 gzip".
func (s *story) append(line string) {
	words := strings.Fields(line)
	n, err := strconv.Atoi(words[0])
	if err != nil {
		s.t.Fatal(err)
	}
	r := core.Record{Stamp: -1, Value: make([]byte, 10)}
	codec, control := record.None, false
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		v, _ := strconv.Atoi(value)
		switch key {
		case "size":
			r.Value = make([]byte, v)
		case "priority":
			r.Priority = uint8(v)
		case "expires":
			r.Expires = s.now.Wall + core.Stamp(v)
		case "after":
			r.NotBefore = s.now.Wall + core.Stamp(v)
		case "gzip":
			codec = record.Gzip
		case "control":
			control = true
		default:
			s.t.Fatalf("unknown word %q", w)
		}
	}
	s.builder.Reset(0, 0, s.now.Wall)
	for range n {
		s.builder.Add(&r)
	}
	b, err := record.Recompress(s.builder.Finish(), codec)
	if err != nil {
		s.t.Fatal(err)
	}
	if control {
		b[22] |= 1 << 5
	}
	record.SetBase(b, s.next, 1)
	s.index++
	s.apply(&core.Entry{Index: s.index, Kind: core.EntryBatch, Base: s.next, Count: int32(n), Data: b})
	s.next += core.Offset(n)
}

func (s *story) attach(d *datadriven.TestData, name string) {
	a := core.Attach{Messages: int32(num(d, "credit", -1)), Bytes: num(d, "bytes", 0),
		Priority: int32(num(d, "priority", 0)), Renew: d.HasArg("renew"), Tag: name,
		Settled: d.HasArg("settled"), Exclusive: d.HasArg("exclusive"), Aside: d.HasArg("aside")}
	var held []core.OffsetRange
	if d.HasArg("held") {
		var text string
		d.ScanArgs(s.t, "held", &text)
		held = offsets(text)
	}
	if k := s.q.Attach(s.consumer(name), 1, &a, held); k != core.OK {
		fmt.Fprintf(&s.b, "refused: %s\n", k)
	}
}

// settle reads lines like "accept 3-5" as one contribution of the consumer's node.
func (s *story) settle(d *datadriven.TestData, name string) {
	id := s.consumer(name)
	node := fmt.Sprint(id.Incarnation)
	seq := num(d, "seq", s.seqs[node]+1)
	settle := core.Settle{Consumer: id.ID}
	for _, line := range strings.Split(d.Input, "\n") {
		word, rest, _ := strings.Cut(line, " ")
		for _, r := range offsets(rest) {
			settle.Verdicts = append(settle.Verdicts, core.Verdict{From: r.From, To: r.To,
				Outcome: map[string]core.Outcome{"accept": core.Accept, "return": core.Return,
					"release": core.Release, "reject": core.Reject}[word]})
		}
	}
	if !s.q.Settle(core.SessionOf(id.Incarnation), seq, id.Incarnation, []core.Settle{settle}) {
		fmt.Fprintf(&s.b, "not taken: seq %d\n", seq)
		return
	}
	s.seqs[node] = seq
}

// consumer gives the identity of "anna" or, on another node than 1, of "anna@2".
func (s *story) consumer(name string) core.Consumer {
	_, node, _ := strings.Cut(name, "@")
	id := core.Consumer{Incarnation: incarnation(node), ID: 0}
	for i, n := range s.names {
		if n == name {
			id.ID = core.ConsumerID(i + 1)
		}
	}
	if id.ID == 0 {
		s.names = append(s.names, name)
		id.ID = core.ConsumerID(len(s.names))
	}
	return id
}

func incarnation(node string) core.Incarnation {
	n, _ := strconv.Atoi(node)
	return core.Incarnation(max(n, 1))
}

func (s *story) name(c core.Consumer) string { return s.names[c.ID-1] }

func (s *story) print() {
	o, b := &s.out, &s.b
	for i := 0; i < len(o.Lends); {
		first := o.Lends[i]
		last := first
		for i++; i < len(o.Lends); i++ { // neighbours that are alike are one line
			next := last
			next.Offset++
			if o.Lends[i] != next {
				break
			}
			last = next
		}
		fmt.Fprintf(b, "lend %s to %s", text([]core.OffsetRange{{From: first.Offset,
			To: last.Offset}}), s.name(first.Consumer))
		if first.Again {
			fmt.Fprintf(b, " (again, %d returns)", first.Returned)
		}
		b.WriteByte('\n')
	}
	for i := 0; i < len(o.Forwards); {
		first := o.Forwards[i]
		last := first
		for i++; i < len(o.Forwards); i++ {
			next := last
			next.Offset++
			if o.Forwards[i] != next {
				break
			}
			last = next
		}
		why := [...]string{"", "rejected", "expired", "over length", "too many returns"}[first.Why]
		fmt.Fprintf(b, "forward %s: %s, %d returns\n", text([]core.OffsetRange{{From: first.Offset,
			To: last.Offset}}), why, first.Count)
	}
	for _, d := range o.Drained {
		fmt.Fprintf(b, "drained %s, %d ready\n", s.name(d.Consumer), d.Ready)
	}
	for _, e := range o.Ended {
		fmt.Fprintf(b, "ended %s: %s\n", s.name(e.Consumer), e.Why)
	}
	if o.Used {
		b.WriteString("used\n")
	}
	if o.Unused {
		b.WriteString("unused\n")
	}
	if o.Idle {
		b.WriteString("idle\n")
	}
	if o.Propose != nil {
		s.printFacts(o.Propose)
	}
	if o.WakeAt != 0 {
		fmt.Fprintf(b, "wake in %d ms\n", (o.WakeAt-s.now.Mono)/core.Millisecond)
	}
}

var fateTexts = [fates]string{"", "accepted", "rejected", "expired", "over length",
	"too many returns", "forwarded", "unforwarded", "purged", "missing"}

func (s *story) printFacts(data []byte) {
	var f facts
	if err := f.parse(data); err != nil {
		s.t.Fatal(err)
	}
	var parts []string
	if f.ceiling > 0 {
		parts = append(parts, fmt.Sprintf("ceiling %d", f.ceiling))
	}
	for _, r := range f.returned {
		parts = append(parts, fmt.Sprintf("returned %s (%d)", text([]core.OffsetRange{r.OffsetRange}), r.count))
	}
	for _, g := range f.given {
		parts = append(parts, "given up "+text([]core.OffsetRange{g.OffsetRange}))
	}
	for i, rs := range f.settled {
		if len(rs) > 0 {
			parts = append(parts, fateTexts[i]+" "+text(rs))
		}
	}
	for _, c := range f.sessions {
		parts = append(parts, fmt.Sprintf("seq %d of %d", c.seq, -2-int64(c.session)))
	}
	for _, o := range f.over {
		parts = append(parts, fmt.Sprintf("%d is over", -2-int64(o)))
	}
	fmt.Fprintf(&s.b, "log: %s\n", strings.Join(parts, "; "))
}

func (s *story) inspect() {
	i := s.q.Inspect()
	fmt.Fprintf(&s.b, "ready %d, lent %d, bytes %d\n", i.Ready, i.Lent, i.Bytes)
	for _, c := range i.Consumers {
		fmt.Fprintf(&s.b, "%s: credit %d, lent %d, active %v\n", c.Tag, c.Credit, c.Lent, c.Active)
	}
	for f := Accepted; f < fates; f++ {
		if n := s.q.Gone(f); n > 0 {
			fmt.Fprintf(&s.b, "%s: %d\n", fateTexts[f], n)
		}
	}
}

func settings(d *datadriven.TestData) core.QueueSettings {
	set := core.QueueSettings{
		Priorities: uint8(num(d, "priorities", 0)), TTLMs: num(d, "ttl", -1),
		LengthMax: num(d, "length", 0), BytesMax: num(d, "bytes", 0),
		DropHead: !d.HasArg("refuse"), DeliveryLimit: int32(num(d, "deliveries", -1)),
		IdleMs:       num(d, "idle", 0),
		SingleActive: d.HasArg("single"), ForwardRetry: d.HasArg("retry"),
		ReturnToBack: d.HasArg("back")}
	if d.HasArg("forward") {
		set.ForwardTo = []byte("elsewhere")
	}
	return set
}

func num(d *datadriven.TestData, key string, otherwise int64) int64 {
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) > 0 {
			v, err := strconv.ParseInt(a.Vals[0], 10, 64)
			if err == nil {
				return v
			}
		}
	}
	return otherwise
}

// offsets reads "3 5-7" or "3,5-7".
func offsets(text string) []core.OffsetRange {
	var out []core.OffsetRange
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' }) {
		a, b, two := strings.Cut(w, "-")
		from, _ := strconv.ParseInt(a, 10, 64)
		to := from
		if two {
			to, _ = strconv.ParseInt(b, 10, 64)
		}
		out = append(out, core.OffsetRange{From: core.Offset(from), To: core.Offset(to)})
	}
	return out
}

func text(rs []core.OffsetRange) string {
	var parts []string
	for _, r := range rs {
		if r.From == r.To {
			parts = append(parts, fmt.Sprint(r.From))
			continue
		}
		parts = append(parts, fmt.Sprintf("%d-%d", r.From, r.To))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, " ")
}
