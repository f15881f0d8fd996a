package gate

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"trine/internal/core"
)

func some[V any](t *rapid.T, of ...V) V { return rapid.SampledFrom(of).Draw(t, "some") }

func drawRule(t *rapid.T, e Effect) Rule {
	r := Rule{Effect: e, Everyone: rapid.Bool().Draw(t, "everyone"), AnyTenant: rapid.Bool().Draw(t, "any")}
	r.Principals = []string{some(t, "ann", "bob", "")}
	r.Tenant = some(t, "", "/")
	r.Pattern = some(t, Pattern{Any, ""}, Pattern{Literal, "q1"}, Pattern{Prefix, "q"}, Pattern{Regexp, "1$"})
	if rapid.Bool().Draw(t, "hosts") {
		r.Hosts = []netip.Prefix{some(t, Loopback[0], netip.MustParsePrefix("10.0.0.0/8"))}
	}
	if rapid.Bool().Draw(t, "types") {
		r.Types = []Type{some(t, allTypes...)}
	}
	if rapid.Bool().Draw(t, "ops") {
		r.Ops = []Op{some(t, allOps...)}
	}
	return r
}

func (b *book) with(t *rapid.T, id string, rules ...Rule) *Snapshot {
	c, err := PutRules(id, rules)
	if err == nil {
		err = b.read(core.Document{Key: c.Key, Value: c.Value})
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.snapshot()
}

// TestDenialsOnlyTakeAndAllowancesOnlyGive: whatever else is said, a rule that denies
// never lets anybody do more, one that allows never less, neither touches a super
// user, and the order in which the documents came is of no account.
func TestDenialsOnlyTakeAndAllowancesOnlyGive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mixed := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Rule { return drawRule(t, some(t, Allow, Deny)) }),
			0, 4).Draw(t, "rules")
		fresh := func() *book {
			b := newBook()
			b.users = map[string]*account{"ann": {}, "bob": {}, "root": {Super: true}}
			b.from = Loopback
			return b
		}
		allow, deny := drawRule(t, Allow), drawRule(t, Deny)
		b := fresh()
		base := b.with(t, "a", mixed...)
		less := b.with(t, "b", deny)
		both := b.with(t, "c", allow)
		b = fresh()
		b.with(t, "c", allow)
		more := b.with(t, "a", mixed...)
		again := b.with(t, "b", deny)
		n := Need{Resource{some(t, allTypes...), some(t, "", "/"), some(t, "q1", "q2", "x1")}, some(t, allOps...)}
		p := Principal{some(t, "ann", "bob", "", "eve"), some(t, Loopback[0].Addr(), netip.MustParseAddr("10.0.0.1"))}
		was := base.Decide(p, n).Allowed
		switch {
		case less.Decide(p, n).Allowed && !was:
			t.Fatalf("%v lets %v %v", deny, p, n)
		case was && !more.Decide(p, n).Allowed:
			t.Fatalf("%v takes %v from %v", allow, n, p)
		case both.Decide(p, n) != again.Decide(p, n):
			t.Fatalf("the order decides: %v, %v", both.Decide(p, n), again.Decide(p, n))
		case !both.Decide(Principal{"root", p.Addr}, n).Allowed:
			t.Fatal("a super user was denied")
		case p.User == "eve" && both.Decide(p, n).Allowed:
			t.Fatal("somebody who is no user was allowed something")
		}
	})
}

// FuzzDocument: whatever stands in a document, it is read or nobody but super users
// goes on.
func FuzzDocument(f *testing.F) {
	f.Add("gate/rule/a", []byte(`{"v":1,"rules":[{"effect":"deny","everyone":true,"hosts":["10.0.0.0/8"],`+
		`"pattern":{"kind":"regexp","text":"a*"},"ops":["read"]}]}`))
	f.Add("gate/user/ann", []byte(`{"v":1,"super":true,"sha256":{"salt":"AA==","iterations":1}}`))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		b := newBook()
		b.from = Loopback
		err := b.read(core.Document{Key: key, Value: value})
		s := b.snapshot()
		p := Principal{Addr: Loopback[0].Addr()}
		n := Need{Resource{Type: Queue, Name: "q"}, Read}
		if d := s.Decide(p, n); err != nil && len(key) > len(rulePrefix) && key[:len(rulePrefix)] == rulePrefix && d.Allowed {
			t.Fatalf("a rule cannot be read (%v), and %v", err, d)
		}
		_ = s.Enter(Principal{User: "ann"}, "/")
	})
}

func BenchmarkDecideAmong100Rules(b *testing.B) {
	k := newBook()
	k.users["ann"] = &account{}
	var rules []Rule
	for range 100 {
		rules = append(rules, Rule{Effect: Allow, Principals: []string{"ann"}, Pattern: Pattern{Prefix, "orders."},
			Types: []Type{Queue}, Ops: []Op{Write}})
	}
	c, err := PutRules("x", rules)
	if err != nil {
		b.Fatal(err)
	}
	if err := k.read(core.Document{Key: c.Key, Value: c.Value}); err != nil {
		b.Fatal(err)
	}
	s := k.snapshot()
	b.ReportAllocs()
	for b.Loop() {
		s.Decide(Principal{User: "ann"}, Need{Resource{Type: Queue, Name: "orders.1"}, Write})
	}
}
