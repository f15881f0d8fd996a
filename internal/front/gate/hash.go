package gate

import (
	"crypto/md5" //nolint:gosec // some hashes that are brought along are of it
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"hash"
	"io"

	"trine/internal/core"
)

// Hash is what RabbitMQ keeps of a password: four bytes of salt, then the hash of the
// salt and the password. It moves between brokers in definitions. The zero Hash is of
// no password: nobody logs in by one.
type Hash struct {
	Algorithm string `json:"algorithm,omitempty"` // one of Algorithms
	Salted    []byte `json:"salted,omitempty"`
}

// Algorithms are those that a Hash may be of, the usual one first.
var Algorithms = []string{"rabbit_password_hashing_sha256", "rabbit_password_hashing_sha512",
	"rabbit_password_hashing_md5"}

const hashSaltBytes = 4

func hashing(algorithm string) func() hash.Hash {
	switch algorithm {
	case Algorithms[0]:
		return sha256.New
	case Algorithms[1]:
		return sha512.New
	case Algorithms[2]:
		return md5.New
	}
	return nil
}

// HashOf gives a password's Hash.
func HashOf(password string, random io.Reader) (Hash, error) {
	var salt [hashSaltBytes]byte
	if _, err := io.ReadFull(random, salt[:]); err != nil {
		return Hash{}, &core.Error{Op: "draw a salt", Kind: core.Unavailable, Err: err}
	}
	h := Hash{Algorithm: Algorithms[0]}
	h.Salted = h.of(salt[:], password)
	return h, nil
}

func (h *Hash) of(salt []byte, password string) []byte {
	sum := hashing(h.Algorithm)()
	sum.Write(salt)
	sum.Write([]byte(password))
	return sum.Sum(append([]byte(nil), salt...))
}

// check refuses a Hash of an algorithm that is not known.
func (h *Hash) check() error {
	if len(h.Salted) > 0 && hashing(h.Algorithm) == nil {
		return failure("put user", "", core.Invalid, "no hashing algorithm "+h.Algorithm)
	}
	return nil
}

// is says whether the password is the one that was kept.
func (h *Hash) is(password string) bool {
	if len(h.Salted) <= hashSaltBytes || hashing(h.Algorithm) == nil {
		return false
	}
	return subtle.ConstantTimeCompare(h.of(h.Salted[:hashSaltBytes], password), h.Salted) == 1
}
