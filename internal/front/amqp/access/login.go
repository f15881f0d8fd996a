package access

import (
	"bytes"
	"crypto/tls"

	"trine/internal/front"
	"trine/internal/front/amqp/wire"
	"trine/internal/front/gate"
)

// Gate says who may do what.
type Gate interface {
	// Login checks a name and a password.
	Login(user, password string, i front.Info) error
	// Admit lets in a user whom something else than a password has shown.
	Admit(user string, i front.Info) error
	// Enter says whether a user may use a virtual host.
	Enter(user, vhost string) bool
	// Check refuses what a user may not do, with core.Denied.
	Check(p gate.Principal, needs ...gate.Need) error
	// Topic gives what a user may do with a topic exchange, nil: what Check says.
	Topic(user, vhost, exchange string) *gate.Topic
	// OnUser asks to be told of each user that is made, changed or removed.
	OnUser(fn func(user string, there bool))
	// Account gives what is known of a user.
	Account(name string) (gate.Account, bool)
	// Revision changes with anything that Check rests on.
	Revision() uint64
}

// Guest lets guest in, from this machine.
type Guest struct{}

type refusal string

func (r refusal) Error() string { return string(r) }

func (Guest) Login(user, password string, i front.Info) error {
	if user != "guest" || password != "guest" {
		return refusal("invalid credentials")
	}
	if !i.Loopback() {
		return refusal("user 'guest' can only connect via localhost")
	}
	return nil
}

func (Guest) Admit(user string, i front.Info) error { return Guest{}.Login(user, "guest", i) }

func (Guest) Enter(string, string) bool { return true }

func (Guest) Topic(string, string, string) *gate.Topic { return nil }

func (Guest) OnUser(func(string, bool)) {}

func (Guest) Account(name string) (gate.Account, bool) {
	return gate.Account{Name: "guest", Super: true, Tags: []string{"administrator"}}, name == "guest"
}

func (Guest) Check(gate.Principal, ...gate.Need) error { return nil }

func (Guest) Revision() uint64 { return 0 }

// Mechanisms are the SASL mechanisms that a client is offered: EXTERNAL where it has
// shown a certificate.
func Mechanisms(s *tls.ConnectionState) string {
	if certificate(s) != nil {
		return "AMQPLAIN PLAIN " + external
	}
	return "AMQPLAIN PLAIN"
}

// Login finds out by a mechanism who a client is. Its error is a reply where the client
// has said something that cannot be; else the login is refused.
func Login(g Gate, mechanism string, response []byte, i front.Info, from From) (user string, err error) {
	cert := certificate(i.TLS)
	switch {
	case mechanism == "PLAIN" || mechanism == "AMQPLAIN":
		user, password, ok := credentials(mechanism, response)
		if !ok {
			return "", wire.Errorf(wire.SyntaxError, "the response is none of %s", mechanism)
		}
		return user, g.Login(user, password, i)
	case mechanism == external && cert != nil:
		user = from.nameIn(cert)
		return user, g.Admit(user, i)
	}
	return "", wire.Errorf(wire.CommandInvalid, "unknown authentication mechanism '%s'", mechanism)
}

// credentials reads a mechanism's response. ok is false where it is malformed.
func credentials(mechanism string, response []byte) (user, password string, ok bool) {
	switch mechanism {
	case "PLAIN":
		parts := bytes.Split(response, []byte{0})
		if len(parts) != 3 {
			return "", "", false
		}
		return string(parts[1]), string(parts[2]), true
	case "AMQPLAIN":
		t := wire.Table(response)
		if t.Check() != nil {
			return "", "", false
		}
		u, _ := t.Get("LOGIN")
		p, _ := t.Get("PASSWORD")
		name, ok1 := u.Text()
		word, ok2 := p.Text()
		return string(name), string(word), ok1 && ok2
	}
	return "", "", false
}
