package gate

import (
	"crypto/hmac"
	"crypto/sha256"

	"github.com/xdg-go/scram"

	"trine/internal/core"
	"trine/internal/front"
)

// Mechanisms are those that Conversation knows.
var Mechanisms = []string{"SCRAM-SHA-256", "SCRAM-SHA-512"}

// Conversation is one SCRAM login, on the server's side.
type Conversation struct {
	gate *Gate
	info front.Info
	*scram.ServerConversation
}

// Conversation begins a login by a mechanism of Mechanisms.
func (g *Gate) Conversation(mechanism string, i front.Info) (*Conversation, error) {
	if err := g.waits("log in"); err != nil {
		return nil, err
	}
	hash, of := scram.SHA256, func(a *account) *keys { return a.SHA256 }
	switch mechanism {
	case Mechanisms[0]:
	case Mechanisms[1]:
		hash, of = scram.SHA512, func(a *account) *keys { return a.SHA512 }
	default:
		return nil, failure("log in", "", core.Invalid, "no mechanism "+mechanism)
	}
	server, err := hash.NewServer(func(user string) (scram.StoredCredentials, error) {
		k := (*keys)(nil)
		if a := g.Snapshot().users[user]; a != nil {
			k = of(a)
		}
		if k == nil { // a user who is not there looks like one who is
			no := *of(g.nobody)
			h := hmac.New(sha256.New, g.secret[:])
			h.Write([]byte(mechanism + " " + user))
			no.Salt = h.Sum(nil)[:saltBytes]
			k = &no
		}
		return scram.StoredCredentials{StoredKey: k.Stored, ServerKey: k.Server,
			KeyFactors: scram.KeyFactors{Salt: string(k.Salt), Iters: k.Iterations}}, nil
	})
	if err != nil {
		return nil, &core.Error{Op: "log in", Kind: core.Unavailable, Err: err}
	}
	return &Conversation{g, i, server.NewConversation()}, nil
}

// Principal gives who it was once the conversation is Valid. Nobody may act for
// another, nor come from where the user may not.
func (c *Conversation) Principal() (Principal, error) {
	user := c.Username()
	denied := func(why string) (Principal, error) {
		return Principal{}, failure("log in", user, core.Denied, why)
	}
	if !c.Valid() {
		return denied("the conversation has not come to its end")
	}
	if z := c.AuthzID(); z != "" && z != user {
		return denied("it asks to act for " + z)
	}
	p := Principal{user, Addr(c.info)}
	s := c.gate.Snapshot()
	if s.users[user] == nil {
		return denied("no such user")
	}
	if err := s.comes(p); err != nil {
		return Principal{}, err
	}
	return p, nil
}
