package gate

import (
	"crypto/subtle"
	"io"
	"maps"
	"slices"

	"github.com/xdg-go/scram"

	"trine/internal/core"
)

// guestName and its password are what is there as installed.
const guestName = "guest"

// How passwords are kept. Tools of protocols that know SCRAM accept 4,096 to 16,384.
const (
	iterations = 16384
	saltBytes  = 16
)

// AdministratorTag is the tag of those who operate the broker. They may do everything
// where there are no tenants; in a tenant they may do what they are permitted.
const AdministratorTag = "administrator"

// Account is what may be said of a user.
type Account struct {
	Name   string
	Super  bool           // every rule is passed over
	Tags   []string       // what a management interface goes by
	Hash   Hash           // of the password
	Limits map[string]int // by name: how many connections and channels at once
}

// The limits that a user may have. Less than 0 is none.
const (
	ConnectionsMax = "max-connections"
	ChannelsMax    = "max-channels"
)

func (a *account) administers() bool { return slices.Contains(a.Tags, AdministratorTag) }

// PutUser gives the change that makes or replaces a user. random is where salts come
// from: crypto/rand's Reader but in tests.
func PutUser(a Account, password string, random io.Reader) (core.Change, error) {
	if a.Name == "" || password == "" {
		return core.Change{}, failure("put user", a.Name, core.Invalid,
			"a name and a password are needed")
	}
	acc, err := newAccount(a, password, random)
	if err != nil {
		return core.Change{}, err
	}
	return core.Change{Key: userPrefix + a.Name, Value: encode(acc)}, nil
}

// PutHashed gives the change that makes or replaces a user of whose password the Hash
// is all that is known. Such a user cannot log in by SCRAM.
func PutHashed(a Account) (core.Change, error) {
	if a.Name == "" {
		return core.Change{}, failure("put user", "", core.Invalid, "a name is needed")
	}
	if err := a.Hash.check(); err != nil {
		return core.Change{}, err
	}
	acc := &account{V: documentVersion, Super: a.Super, Tags: a.Tags, Limits: a.Limits}
	if len(a.Hash.Salted) > 0 {
		acc.Hash = &a.Hash
	}
	return core.Change{Key: userPrefix + a.Name, Value: encode(acc)}, nil
}

// RemoveUser gives the change that removes a user. The one that is there as installed
// stays removed.
func RemoveUser(name string) core.Change {
	c := core.Change{Key: userPrefix + name}
	if name == guestName {
		c.Value = encode(account{V: documentVersion, Removed: true})
	}
	return c
}

// RemoveUser gives the changes that remove a user and what it was permitted.
func (s *Snapshot) RemoveUser(name string) []core.Change {
	return append(s.forbidden(func(user, _ string) bool { return user == name }), RemoveUser(name))
}

// LimitUser gives the change that sets one limit of a user, or without a value takes
// it away: Conflict where the user changes meanwhile.
func (s *Snapshot) LimitUser(name, limit string, value *int) (core.Change, error) {
	a := s.users[name]
	if a == nil {
		return core.Change{}, failure("limit user", name, core.NotExist, "")
	}
	next := *a
	next.V = documentVersion // the one as installed has none
	next.Limits = maps.Clone(a.Limits)
	delete(next.Limits, limit)
	if value != nil {
		if next.Limits == nil {
			next.Limits = map[string]int{}
		}
		next.Limits[limit] = *value
	}
	c := core.Change{Key: userPrefix + name, Value: encode(next), Expect: a.revision}
	if a.revision == 0 {
		c.Expect = core.NoRevision
	}
	return c, nil
}

// Account gives what is known of a user.
func (s *Snapshot) Account(name string) (Account, bool) {
	a := s.users[name]
	if a == nil {
		return Account{}, false
	}
	acc := Account{Name: name, Super: a.Super, Tags: slices.Clone(a.Tags), Limits: maps.Clone(a.Limits)}
	if a.Hash != nil {
		acc.Hash = *a.Hash
	}
	return acc, true
}

// Accounts are all users, by name.
func (s *Snapshot) Accounts() []Account {
	var all []Account
	for _, name := range slices.Sorted(maps.Keys(s.users)) {
		a, _ := s.Account(name)
		all = append(all, a)
	}
	return all
}

func newAccount(a Account, password string, random io.Reader) (*account, error) {
	acc := &account{V: documentVersion, Super: a.Super, Tags: a.Tags, Limits: a.Limits}
	h, err := HashOf(password, random)
	if err != nil {
		return nil, err
	}
	acc.Hash = &h
	for _, k := range []struct {
		hash scram.HashGeneratorFcn
		to   **keys
	}{{scram.SHA256, &acc.SHA256}, {scram.SHA512, &acc.SHA512}} {
		salt := make([]byte, saltBytes)
		if _, err := io.ReadFull(random, salt); err != nil {
			return nil, &core.Error{Op: "draw a salt", Kind: core.Unavailable, Err: err}
		}
		derived, err := derive(k.hash, password, salt, iterations)
		if err != nil {
			return nil, err
		}
		*k.to = derived
	}
	return acc, nil
}

// derive gives what is kept of a password. Passwords are prepared as RFC 4013 says,
// those that it forbids are taken as they are.
func derive(hash scram.HashGeneratorFcn, password string, salt []byte, n int) (*keys, error) {
	client, err := hash.NewClient("", password, "")
	if err != nil {
		client, err = hash.NewClientUnprepped("", password, "")
	}
	if err != nil {
		return nil, &core.Error{Op: "derive keys", Kind: core.Invalid, Err: err}
	}
	c, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: n})
	if err != nil {
		return nil, &core.Error{Op: "derive keys", Kind: core.Invalid, Err: err}
	}
	return &keys{Salt: salt, Iterations: n, Stored: c.StoredKey, Server: c.ServerKey}, nil
}

// is says whether the password is the one that was kept, in a time that does not
// depend on where they differ.
func (k *keys) is(hash scram.HashGeneratorFcn, password string) bool {
	d, err := derive(hash, password, k.Salt, k.Iterations)
	return err == nil && subtle.ConstantTimeCompare(d.Stored, k.Stored) == 1
}
