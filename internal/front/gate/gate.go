package gate

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/xdg-go/scram"

	"trine/internal/core"
	"trine/internal/front"
)

// Options are what a gate is told. Zero fields take the defaults.
type Options struct {
	NoGuest       bool           // the user guest is not there as installed
	LoopbackUsers []string       // who may come from this machine only; nil: guest; empty: nobody
	Anonymous     []netip.Prefix // where no name is needed; nil: this machine; empty: nowhere
	Rand          io.Reader      // nil: crypto/rand's
	Log           *slog.Logger
}

// Loopback is this machine's own addresses.
var Loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("::1/128")}

// Gate is one node's gate. Its methods may be called from any goroutine.
type Gate struct {
	cluster front.Cluster
	log     *slog.Logger
	secret  [sha256.Size]byte // of this run: keys seen, and the salts of users who are not there
	nobody  *account          // keys of no password: a user who is not there costs as much
	derives chan struct{}     // a token for each password that is hashed at a time

	now      atomic.Pointer[Snapshot]
	revision atomic.Uint64
	known    chan struct{} // closed once users are known
	knows    sync.Once
	asking   atomic.Bool

	mu   sync.Mutex // guards seen, and book where the loop of the node writes it
	book *book
	seen map[string][sha256.Size]byte    // of users: the password that was right last, keyed
	told []func(user string, there bool) // called for each user that is made, changed or removed
}

// New begins to watch the catalog's users and rules.
func New(c front.Cluster, o Options) (*Gate, error) {
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	g := &Gate{cluster: c, log: o.Log, book: newBook(), known: make(chan struct{}),
		seen:    map[string][sha256.Size]byte{},
		derives: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
	if _, err := io.ReadFull(o.Rand, g.secret[:]); err != nil {
		return nil, &core.Error{Op: "draw a secret", Kind: core.Unavailable, Err: err}
	}
	var err error
	if g.nobody, err = newAccount(Account{}, string(g.secret[:]), o.Rand); err != nil {
		return nil, err
	}
	if !o.NoGuest {
		guest, err := newAccount(Account{Tags: []string{AdministratorTag}}, guestName, o.Rand)
		if err != nil {
			return nil, err
		}
		g.book.install(guest)
	}
	g.book.near, g.book.from = o.LoopbackUsers, o.Anonymous
	if o.LoopbackUsers == nil {
		g.book.near = []string{guestName}
	}
	if o.Anonymous == nil {
		g.book.from = Loopback
	}
	g.now.Store(g.book.snapshot())
	c.Watch(prefix, g.changed)
	g.ask()
	return g, nil
}

// changed runs on the node's loop.
func (g *Gate) changed(ds []core.Document) {
	if len(ds) == 0 {
		return
	}
	g.mu.Lock()
	for _, d := range ds {
		if err := g.book.read(d); err != nil {
			g.log.Error("a document of the gate cannot be read", "key", d.Key, "err", err)
		}
	}
	s := g.book.snapshot()
	tell := g.told
	g.mu.Unlock()
	g.now.Store(s)
	g.revision.Add(1)
	g.learn()
	for _, d := range ds {
		if user, is := strings.CutPrefix(d.Key, userPrefix); is {
			for _, fn := range tell {
				fn(user, s.users[user] != nil)
			}
		}
	}
}

// OnUser asks to be told, on the node's loop, of each user that is made, changed or
// removed.
func (g *Gate) OnUser(fn func(user string, there bool)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.told = append(g.told, fn)
}

func (g *Gate) learn() { g.knows.Do(func() { close(g.known) }) }

// Ready says whether this node knows its users.
func (g *Gate) Ready() bool {
	select {
	case <-g.known:
		return true
	default:
		return false
	}
}

// Await waits until this node knows its users, or until ctx ends.
func (g *Gate) Await(ctx context.Context) error {
	select {
	case <-g.known:
		return nil
	case <-ctx.Done():
		return &core.Error{Op: "await users", Kind: core.Unavailable, Err: ctx.Err()}
	}
}

// ask finds out that there are no users and rules: a catalog that has some says so
// by itself. From then on a document says that there are none, so that a node that
// is alone later knows it by its own copy.
func (g *Gate) ask() {
	if g.Ready() || !g.asking.CompareAndSwap(false, true) {
		return
	}
	g.cluster.Sync(func(err error) {
		g.asking.Store(false)
		if err != nil || g.Ready() {
			return
		}
		g.revision.Add(1)
		g.learn()
		g.cluster.Put([]core.Change{{Key: installedKey, Expect: core.NoRevision,
			Value: encode(map[string]int{"v": documentVersion})}}, func(core.Revision, error) {})
	})
}

// Revision rises with every change, for those who keep answers.
func (g *Gate) Revision() uint64 { return g.revision.Load() }

// Snapshot gives what decisions rest on now.
func (g *Gate) Snapshot() *Snapshot { return g.now.Load() }

// Check asks for all that a request needs: nil, Denied for the first that may not be,
// or Unavailable while this node does not know its users.
func (g *Gate) Check(p Principal, needs ...Need) error {
	if err := g.waits("check"); err != nil {
		return err
	}
	return g.Snapshot().Check(p, needs...)
}

func (g *Gate) waits(op string) error {
	if g.Ready() {
		return nil
	}
	g.ask()
	return failure(op, "", core.Unavailable, "this node does not know the users yet")
}

// Login checks a name and a password: Denied where they are not right, or where the
// user may not come from there.
func (g *Gate) Login(user, password string, i front.Info) error {
	if err := g.waits("log in"); err != nil {
		return err
	}
	s := g.Snapshot()
	a := s.users[user]
	right := g.right(user, password, a)
	if a == nil || !right {
		return failure("log in", user, core.Denied, "no such user or another password")
	}
	return s.comes(Principal{user, Addr(i)})
}

// Admit lets in a user whom something else than a password has shown, a certificate:
// Denied where there is none of that name, or where the user may not come from there.
func (g *Gate) Admit(user string, i front.Info) error {
	if err := g.waits("log in"); err != nil {
		return err
	}
	s := g.Snapshot()
	if user == "" || s.users[user] == nil {
		return failure("log in", user, core.Denied, string(NoUser))
	}
	return s.comes(Principal{user, Addr(i)})
}

// comes refuses a user who may not come from there.
func (s *Snapshot) comes(p Principal) error {
	if d, known := s.known(&p); !known {
		return failure("log in", p.User, core.Denied, string(d.Why))
	}
	return nil
}

// right checks a password. What was right before is recognised without hashing it
// again, so that all clients can come back at once after a failure.
func (g *Gate) right(user, password string, a *account) bool {
	k := g.nobody.SHA256
	var mark [sha256.Size]byte
	if a != nil {
		mark = g.mark(user, password, a)
		g.mu.Lock()
		seen, there := g.seen[user]
		g.mu.Unlock()
		if there && subtle.ConstantTimeCompare(seen[:], mark[:]) == 1 {
			return true
		}
		if a.SHA256 != nil {
			k = a.SHA256
		}
	}
	g.derives <- struct{}{}
	ok := k.is(scram.SHA256, password)
	<-g.derives
	if a != nil && a.SHA256 == nil {
		ok = a.Hash != nil && password != "" && a.Hash.is(password)
	}
	if !ok || a == nil {
		return false
	}
	g.mu.Lock()
	g.seen[user] = mark
	g.mu.Unlock()
	return true
}

// mark ties a password to the user and to what was kept of the one that was right.
func (g *Gate) mark(user, password string, a *account) (m [sha256.Size]byte) {
	parts := [][]byte{[]byte(user), nil, nil, nil, []byte(password)}
	if a.SHA256 != nil {
		parts[1], parts[2] = a.SHA256.Stored, a.SHA256.Salt
	} else if a.Hash != nil {
		parts[3] = a.Hash.Salted
	}
	h := hmac.New(sha256.New, g.secret[:])
	for _, part := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	h.Sum(m[:0])
	return m
}

// Enter says whether a user may use a tenant, for front ends that do not pass on
// where the user comes from: rules for certain hosts allow nothing here.
func (g *Gate) Enter(user, tenant string) bool {
	if g.waits("enter") != nil {
		return false
	}
	p := Principal{User: user}
	s := g.Snapshot()
	if slices.Contains(s.near, user) { // Login has judged where it comes from
		p.Addr = netip.IPv6Loopback()
	}
	return s.Enter(p, tenant)
}

// Anonymous gives the principal for one who gives no name: Denied where a name is
// needed.
func (g *Gate) Anonymous(i front.Info) (Principal, error) {
	if err := g.waits("log in"); err != nil {
		return Principal{}, err
	}
	p := Principal{Addr: Addr(i)}
	if !g.Snapshot().mayBeAnonymous(p.Addr) {
		why := "a name is needed from " + p.Addr.String()
		return Principal{}, failure("log in", "", core.Denied, why)
	}
	return p, nil
}

// Account gives what is known of a user.
func (g *Gate) Account(name string) (Account, bool) { return g.Snapshot().Account(name) }

// Topic gives what a user may do with an exchange that goes by topics; nil: whatever
// Permissions say.
func (g *Gate) Topic(user, tenant, exchange string) *Topic {
	return g.Snapshot().Topic(user, tenant, exchange)
}

// Addr gives the client's address; the zero Addr, which no host fits, where it has
// none.
func Addr(i front.Info) netip.Addr {
	if t, ok := i.Remote.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
