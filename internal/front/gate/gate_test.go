package gate_test

import (
	"context"
	"crypto/rand"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/xdg-go/scram"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/front/amqp/access"
	"trine/internal/front/gate"
	"trine/internal/seamtest"
)

var _ access.Gate = (*gate.Gate)(nil)

func from(addr string) front.Info {
	return front.Info{ID: 1, Local: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5672},
		Remote: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))}
}

var (
	near = from("127.0.0.1:40000")
	far  = from("10.1.2.3:40000")
)

// opened gives a gate over a broker in memory, which knows its users.
func opened(t *testing.T, o gate.Options) (*gate.Gate, *seamtest.Broker) {
	b := seamtest.New()
	t.Cleanup(b.Close)
	g, err := gate.New(b.Cluster(), o)
	if err != nil {
		t.Fatal(err)
	}
	b.Idle()
	return g, b
}

func put(t *testing.T, b *seamtest.Broker, cs ...core.Change) {
	t.Helper()
	b.Cluster().Put(cs, func(_ core.Revision, err error) {
		if err != nil {
			t.Error(err)
		}
	})
	b.Idle()
}

func user(t *testing.T, name, password string) core.Change {
	t.Helper()
	c, err := gate.PutUser(gate.Account{Name: name, Tags: []string{"monitoring"}}, password, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestGuestMayComeFromThisMachineOnly(t *testing.T) {
	g, _ := opened(t, gate.Options{})
	for _, c := range []struct {
		user, password string
		info           front.Info
		kind           core.Kind
	}{
		{"guest", "guest", near, core.OK},
		{"guest", "guest", from("[::1]:1"), core.OK},
		{"guest", "guest", from("[::ffff:127.0.0.1]:1"), core.OK},
		{"guest", "guest", far, core.Denied}, // although it called 127.0.0.1
		{"guest", "guest", front.Info{Remote: &net.UnixAddr{Name: "x"}}, core.Denied},
		{"guest", "Guest", near, core.Denied},
		{"guest", "", near, core.Denied},
		{"", "", near, core.Denied},
		{"nobody", "guest", near, core.Denied},
	} {
		if err := g.Login(c.user, c.password, c.info); core.KindOf(err) != c.kind {
			t.Errorf("%q with %q from %v: %v", c.user, c.password, c.info.Remote, err)
		}
	}
	if a, ok := g.Account("guest"); !ok || a.Super || a.Tags[0] != "administrator" {
		t.Errorf("guest is %+v", a)
	}
	if !g.Enter("guest", "/") || g.Enter("nobody", "/") {
		t.Error("guest alone may enter")
	}
}

func TestWhatIsConfiguredReplacesWhatIsInstalled(t *testing.T) {
	g, _ := opened(t, gate.Options{LoopbackUsers: []string{}, Anonymous: []netip.Prefix{}})
	if err := g.Login("guest", "guest", far); err != nil {
		t.Errorf("guest may come from everywhere: %v", err)
	}
	if _, err := g.Anonymous(near); core.KindOf(err) != core.Denied {
		t.Errorf("a name is needed everywhere: %v", err)
	}
	g, _ = opened(t, gate.Options{NoGuest: true})
	if err := g.Login("guest", "guest", near); core.KindOf(err) != core.Denied {
		t.Errorf("there is no guest: %v", err)
	}
	p, err := g.Anonymous(near)
	if err != nil || g.Check(p, gate.Need{Resource: gate.Resource{Type: gate.Queue, Name: "t"}, Op: gate.Create}) != nil {
		t.Errorf("no name is needed from this machine: %v", err)
	}
	if _, err := g.Anonymous(far); core.KindOf(err) != core.Denied {
		t.Errorf("a name is needed from elsewhere: %v", err)
	}
}

func TestUsersComeAndGoWithTheirDocuments(t *testing.T) {
	g, b := opened(t, gate.Options{})
	before := g.Revision()
	put(t, b, user(t, "ann", "one"))
	if g.Revision() == before {
		t.Error("the revision did not rise")
	}
	login := func(name, password string, want core.Kind) {
		t.Helper()
		for range 2 { // the second is recognised
			if err := g.Login(name, password, far); core.KindOf(err) != want {
				t.Errorf("%s with %s: %v", name, password, err)
			}
		}
	}
	login("ann", "one", core.OK)
	login("ann", "two", core.Denied)
	put(t, b, user(t, "ann", "two"))
	login("ann", "one", core.Denied)
	login("ann", "two", core.OK)
	put(t, b, gate.RemoveUser("ann"))
	login("ann", "two", core.Denied)
	put(t, b, user(t, "ann", "two"))
	login("ann", "two", core.OK)
	login("ann", "one", core.Denied)

	put(t, b, gate.RemoveUser("guest"))
	if err := g.Login("guest", "guest", near); core.KindOf(err) != core.Denied {
		t.Errorf("guest was removed: %v", err)
	}
	if _, err := gate.PutUser(gate.Account{Name: "x"}, "", rand.Reader); core.KindOf(err) != core.Invalid {
		t.Errorf("an empty password: %v", err)
	}
}

func TestNoPasswordIsKept(t *testing.T) {
	c := user(t, "ann", "correct horse")
	if strings.Contains(string(c.Value), "horse") {
		t.Error("the password stands in the document")
	}
	if d := user(t, "ann", "correct horse"); string(c.Value) == string(d.Value) {
		t.Error("two users with one password look alike")
	}
}

func TestPermissionsDecideWhatAUserMay(t *testing.T) {
	g, b := opened(t, gate.Options{})
	permit, err := gate.Permit("ann", "/", gate.Permission{Configure: "^ann", Write: ".*", Read: "^ann"})
	if err != nil {
		t.Fatal(err)
	}
	put(t, b, user(t, "ann", "one"), permit)
	ann := gate.Principal{User: "ann", Addr: gate.Addr(far)}
	queue := gate.Resource{Type: gate.Queue, Tenant: "/", Name: "ann.q"}
	other := gate.Resource{Type: gate.Exchange, Tenant: "/", Name: "other"}
	if err := g.Check(ann, gate.Need{Resource: queue, Op: gate.Create}, gate.Need{Resource: other, Op: gate.Write}); err != nil {
		t.Error(err)
	}
	err = g.Check(ann, gate.Need{Resource: queue, Op: gate.Write}, gate.Need{Resource: other, Op: gate.Read})
	if core.KindOf(err) != core.Denied || !strings.Contains(err.Error(), `read exchange "other"`) {
		t.Errorf("each of several must pass: %v", err)
	}
	if !g.Enter("ann", "/") || g.Enter("ann", "second") {
		t.Error("ann may enter one tenant")
	}
	put(t, b, gate.Forbid("ann", "/"))
	if g.Enter("ann", "/") || g.Check(ann, gate.Need{Resource: queue, Op: gate.Read}) == nil {
		t.Error("ann may do nothing any more")
	}
}

func TestSCRAMConversations(t *testing.T) {
	g, b := opened(t, gate.Options{})
	put(t, b, user(t, "ann", "one"))
	for _, c := range []struct {
		user, password, for_ string
		info                 front.Info
		ok                   bool
	}{
		{"ann", "one", "", far, true}, {"ann", "one", "ann", far, true}, {"ann", "two", "", far, false},
		{"bob", "one", "", far, false}, {"ann", "one", "root", far, false},
		{"guest", "guest", "", near, true}, {"guest", "guest", "", far, false},
	} {
		for i, hash := range []scram.HashGeneratorFcn{scram.SHA256, scram.SHA512} {
			client, err := hash.NewClient(c.user, c.password, c.for_)
			if err != nil {
				t.Fatal(err)
			}
			conv, err := g.Conversation(gate.Mechanisms[i], c.info)
			if err != nil {
				t.Fatal(err)
			}
			p, err := talk(client.NewConversation(), conv)
			if (err == nil) != c.ok || c.ok && p.User != c.user {
				t.Errorf("%s: %+v: %v, %v", gate.Mechanisms[i], c, p, err)
			}
		}
	}
	if _, err := g.Conversation("SCRAM-SHA-1", near); core.KindOf(err) != core.Invalid {
		t.Errorf("an unknown mechanism: %v", err)
	}
	half, _ := g.Conversation(gate.Mechanisms[0], near)
	if _, err := half.Step("n,,n=guest,r=abc"); err != nil {
		t.Error(err)
	}
	if _, err := half.Principal(); core.KindOf(err) != core.Denied {
		t.Errorf("half a conversation gives %v", err)
	}
}

// talk carries a conversation to its end.
func talk(client *scram.ClientConversation, server *gate.Conversation) (gate.Principal, error) {
	said := ""
	for !server.Done() {
		asked, err := client.Step(said)
		if err != nil {
			return gate.Principal{}, err
		}
		if said, err = server.Step(asked); err != nil {
			return gate.Principal{}, err
		}
	}
	return server.Principal()
}

// TestAUserWhoIsNotThereLooksLikeOneWhoIs: the first answer of a SCRAM conversation
// gives nobody away, and is the same again.
func TestAUserWhoIsNotThereLooksLikeOneWhoIs(t *testing.T) {
	g, _ := opened(t, gate.Options{})
	salt := func(user string) string {
		c, err := g.Conversation(gate.Mechanisms[0], far)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := c.Step("n,,n=" + user + ",r=abc")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(answer, ",")
		return rest // salt and iterations
	}
	if salt("nobody") != salt("nobody") || salt("nobody") == salt("another") {
		t.Error("users who are not there can be told from others")
	}
}

// mute is a cluster whose catalog says nothing until it is told to.
type mute struct {
	front.Cluster
	mu    sync.Mutex
	watch func([]core.Document)
	syncs []func(error)
	puts  []core.Change
}

func (m *mute) Watch(_ string, changed func([]core.Document)) { m.watch = changed }

func (m *mute) Sync(done func(error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.syncs = append(m.syncs, done)
}

func (m *mute) Put(cs []core.Change, _ func(core.Revision, error)) { m.puts = append(m.puts, cs...) }

func (m *mute) answer(err error) {
	m.mu.Lock()
	syncs := m.syncs
	m.syncs = nil
	m.mu.Unlock()
	for _, done := range syncs {
		done(err)
	}
}

func TestNobodyEntersBeforeTheUsersAreKnown(t *testing.T) {
	m := &mute{}
	g, err := gate.New(m, gate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	closed := func() {
		t.Helper()
		if err := g.Login("guest", "guest", near); core.KindOf(err) != core.Unavailable {
			t.Errorf("login: %v", err)
		}
		if _, err := g.Anonymous(near); core.KindOf(err) != core.Unavailable {
			t.Errorf("anonymous: %v", err)
		}
		if _, err := g.Conversation(gate.Mechanisms[0], near); core.KindOf(err) != core.Unavailable {
			t.Errorf("conversation: %v", err)
		}
		if err := g.Check(gate.Principal{}); core.KindOf(err) != core.Unavailable || g.Enter("guest", "/") {
			t.Errorf("check: %v", err)
		}
	}
	closed()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := g.Await(ctx); core.KindOf(err) != core.Unavailable || g.Ready() {
		t.Errorf("await: %v", err)
	}
	m.answer(&core.Error{Op: "sync", Kind: core.NoLeader})
	closed() // which asked again
	m.answer(nil)
	if err := g.Await(context.Background()); err != nil {
		t.Error(err)
	}
	if err := g.Login("guest", "guest", near); err != nil {
		t.Error(err)
	}
	if len(m.puts) != 1 || m.puts[0].Key != "gate/installed" || m.puts[0].Expect != core.NoRevision {
		t.Errorf("that there are no users is not kept: %v", m.puts)
	}

	m = &mute{}
	if g, err = gate.New(m, gate.Options{}); err != nil {
		t.Fatal(err)
	}
	m.watch([]core.Document{{Key: "gate/installed", Value: []byte(`{"v":1}`)}})
	if err := g.Login("guest", "guest", near); err != nil {
		t.Errorf("a node that is alone knows its own copy: %v", err)
	}
}
