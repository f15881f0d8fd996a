package gate_test

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"

	"trine/internal/core"
	"trine/internal/front/gate"
)

func TestAHashLetsInWhoHasItsPassword(t *testing.T) {
	g, b := opened(t, gate.Options{})
	for _, c := range []struct{ name, algorithm, salted string }{
		{"h256", gate.Algorithms[0], "AAAAAAmpGNWh4Zb1y9OixpZ8JE04dFn6QBxU9IcgRn7sp6Ks"},
		{"h512", gate.Algorithms[1], "AAAAAG/mgC4b/3uSD5sB19fMwFF3M1u8j9nJhXRzPKeyfhACvEIPTjBfeWAO+vTn08U2MUp/bjP+ON7FtgZaj3rmXqE="},
		{"hmd5", gate.Algorithms[2], "AAAAAIMhwxNXSSnSIKcgKYN8EIU="},
	} {
		salted, err := base64.StdEncoding.DecodeString(c.salted)
		if err != nil {
			t.Fatal(err)
		}
		ch, err := gate.PutHashed(gate.Account{Name: c.name, Hash: gate.Hash{Algorithm: c.algorithm, Salted: salted}})
		if err != nil {
			t.Fatal(err)
		}
		put(t, b, ch)
		for range 2 { // the second is recognised
			if err := g.Login(c.name, "secret", far); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			for _, wrong := range []string{"", "Secret", "secret "} {
				if err := g.Login(c.name, wrong, far); core.KindOf(err) != core.Denied {
					t.Errorf("%s with %q: %v", c.name, wrong, err)
				}
			}
		}
	}
	for _, salted := range [][]byte{nil, {}, {1}, {1, 2, 3, 4}, {1, 2, 3, 4, 5}} {
		ch, err := gate.PutHashed(gate.Account{Name: "x", Hash: gate.Hash{gate.Algorithms[0], salted}})
		if err != nil {
			t.Fatal(err)
		}
		put(t, b, ch)
		if err := g.Login("x", "", far); core.KindOf(err) != core.Denied {
			t.Errorf("hash %v: %v", salted, err)
		}
	}
	if err := g.Admit("x", far); err != nil { // by something else than a password
		t.Error(err)
	}
	if err := g.Admit("nobody", far); core.KindOf(err) != core.Denied {
		t.Error(err)
	}
	if err := g.Admit("guest", far); core.KindOf(err) != core.Denied {
		t.Errorf("guest comes from this machine only, by a certificate too: %v", err)
	}
	bad := gate.Account{Name: "x", Hash: gate.Hash{"rot13", []byte("secret")}}
	if _, err := gate.PutHashed(bad); core.KindOf(err) != core.Invalid {
		t.Errorf("an algorithm that is not known: %v", err)
	}
}

func TestEveryPasswordHasTheHashThatMovesAlong(t *testing.T) {
	g, b := opened(t, gate.Options{})
	put(t, b, user(t, "ann", "one"))
	a, _ := g.Account("ann")
	ch, err := gate.PutHashed(gate.Account{Name: "moved", Hash: a.Hash})
	if err != nil {
		t.Fatal(err)
	}
	put(t, b, ch)
	if err := g.Login("moved", "one", far); err != nil {
		t.Error(err)
	}
	if err := g.Login("moved", "two", far); core.KindOf(err) != core.Denied {
		t.Error(err)
	}
}

func TestNamesInTopicPermissionsAreNoExpressions(t *testing.T) {
	g, b := opened(t, gate.Options{})
	name := `.*`
	ch, err := gate.PermitTopic(gate.Topic{User: name, Tenant: `(`, Exchange: "x/%2F",
		Write: `^{username}\.{vhost}\.`, Read: ""})
	if err != nil {
		t.Fatal(err)
	}
	put(t, b, user(t, name, "one"), ch)
	topic := g.Topic(name, `(`, "x/%2F")
	if topic == nil || g.Topic(name, `(`, "x") != nil || g.Topic("other", `(`, "x/%2F") != nil {
		t.Fatal("it is not where it was put")
	}
	if !topic.MayWrite([]byte(`.*.(.k`)) || topic.MayWrite([]byte(`any.(.k`)) || topic.MayRead("") != true ||
		topic.MayRead("k") {
		t.Error("a name was taken for an expression")
	}
	if all := g.Snapshot().Topics(); len(all) != 1 || all[0].Exchange != "x/%2F" || all[0].Tenant != "(" {
		t.Errorf("%+v", all)
	}
	if _, err := gate.PermitTopic(gate.Topic{User: "a", Write: "("}); core.KindOf(err) != core.Invalid {
		t.Errorf("no expression: %v", err)
	}
	put(t, b, g.Snapshot().RemoveUser(name)...)
	if len(g.Snapshot().Topics()) != 0 || g.Topic(name, `(`, "x/%2F") != nil {
		t.Error("a user's topics stay")
	}
}

func TestWhatGuestMayIsTakenAwayForGood(t *testing.T) {
	g, b := opened(t, gate.Options{})
	grants := func() string {
		var all []string
		for _, g := range g.Snapshot().Grants() {
			all = append(all, g.User+"@"+g.Tenant+":"+g.Configure)
		}
		return strings.Join(all, " ")
	}
	if grants() != "guest@/:.*" || !g.Enter("guest", "/") || g.Enter("guest", "/other") {
		t.Fatalf("as installed: %q", grants())
	}
	permit, err := gate.Permit("guest", "/", gate.Permission{Configure: "^a"})
	if err != nil {
		t.Fatal(err)
	}
	put(t, b, permit)
	if grants() != "guest@/:^a" {
		t.Errorf("narrowed: %q", grants())
	}
	put(t, b, gate.Forbid("guest", "/"))
	if grants() != "" || g.Enter("guest", "/") {
		t.Errorf("taken away: %q", grants())
	}
	put(t, b, core.Change{Key: "gate/permission/guest//", Value: []byte(`{"v":99,"configure":".*"}`)})
	if grants() != "" || g.Enter("guest", "/") {
		t.Errorf("by a document that cannot be read: %q", grants())
	}
	put(t, b, g.Snapshot().RemoveUser("guest")...)
	put(t, b, user(t, "guest", "other"))
	if grants() != "" || g.Enter("guest", "/") {
		t.Errorf("guest, made anew, may do what the one as installed might: %q", grants())
	}
}

func TestLimitsOfAUser(t *testing.T) {
	g, b := opened(t, gate.Options{})
	put(t, b, user(t, "ann", "one"))
	two := 2
	for _, name := range []string{"ann", "guest"} {
		ch, err := g.Snapshot().LimitUser(name, gate.ChannelsMax, &two)
		if err != nil {
			t.Fatal(err)
		}
		put(t, b, ch)
		if a, _ := g.Account(name); a.Limits[gate.ChannelsMax] != 2 {
			t.Errorf("%+v", a)
		}
	}
	if g.Login("ann", "one", far) != nil || g.Login("guest", "guest", near) != nil || !g.Enter("guest", "/") {
		t.Error("a limit took more than it should")
	}
	ch, err := g.Snapshot().LimitUser("ann", gate.ChannelsMax, nil)
	if err != nil {
		t.Fatal(err)
	}
	put(t, b, ch)
	if a, _ := g.Account("ann"); len(a.Limits) != 0 {
		t.Errorf("%+v", a)
	}
	if _, err := g.Snapshot().LimitUser("nobody", gate.ChannelsMax, &two); core.KindOf(err) != core.NotExist {
		t.Error(err)
	}
}

func TestWhoAdministratesRulesWhereThereAreNoTenants(t *testing.T) {
	g, b := opened(t, gate.Options{})
	ch, err := gate.PutUser(gate.Account{Name: "adm", Tags: []string{gate.AdministratorTag}}, "x", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	put(t, b, ch, user(t, "mon", "y"))
	of := func(name string) gate.Principal { return gate.Principal{User: name, Addr: gate.Addr(far)} }
	topic := gate.Resource{Type: gate.Queue, Name: "t"}
	queue := gate.Resource{Type: gate.Queue, Tenant: "/", Name: "q"}
	if err := g.Check(of("adm"), gate.Need{Resource: topic, Op: gate.Create}); err != nil {
		t.Error(err)
	}
	if g.Check(of("adm"), gate.Need{Resource: queue, Op: gate.Create}) == nil || g.Enter("adm", "/") {
		t.Error("an administrator needs permissions in a tenant")
	}
	if g.Check(of("mon"), gate.Need{Resource: topic, Op: gate.Create}) == nil {
		t.Error("who monitors may create")
	}
}

func TestAFrontEndIsToldOfUsers(t *testing.T) {
	g, b := opened(t, gate.Options{})
	var told []string
	g.OnUser(func(name string, there bool) {
		if !there {
			name = "no " + name
		}
		told = append(told, name)
	})
	put(t, b, user(t, "ann", "one"))
	put(t, b, g.Snapshot().RemoveUser("ann")...)
	put(t, b, g.Snapshot().RemoveUser("guest")...)
	if got := strings.Join(told, ", "); got != "ann, no ann, no guest" {
		t.Error(got)
	}
}
