package gate

import (
	"crypto/subtle"
	"io"

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

// Account is what may be said of a user.
type Account struct {
	Name  string
	Super bool     // every rule is passed over
	Tags  []string // what a management interface goes by
}

// PutUser gives the change that makes or replaces a user. random is where salts come
// from: crypto/rand's Reader but in tests.
func PutUser(a Account, password string, random io.Reader) (core.Change, error) {
	if a.Name == "" || password == "" {
		return core.Change{}, &core.Error{Op: "put user", Name: a.Name, Kind: core.Invalid,
			Detail: "a name and a password are needed"}
	}
	acc, err := newAccount(a, password, random)
	if err != nil {
		return core.Change{}, err
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

func newAccount(a Account, password string, random io.Reader) (*account, error) {
	acc := &account{V: documentVersion, Super: a.Super, Tags: a.Tags}
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
