package known

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
)

// Key stands for a text within a scope.
type Key [16]byte

// Scope keeps apart equal texts that are looked at differently. The zero Scope
// is as good as any.
type Scope uint64

// Hash makes keys. It is not safe for concurrent use; Fork makes another that
// makes the same keys.
//
// A key is the AES-GCM authentication tag of the text under a random secret,
// with the scope as nonce. As long as no key is shown to anybody, two texts
// of an attacker's choice collide with a probability of at most their length over 2^128 (NIST SP 800-38D, GHASH is a universal hash), so that no
// harmless text can be prepared whose verdict then serves another one.
// hash/maphash gives no such promise, and is no faster from 2 KB on.
type Hash struct {
	aead  cipher.AEAD
	nonce [12]byte // kept here, like sum, because arguments of an interface's method escape
	sum   Key
}

// NewHash returns a Hash with a secret of its own.
func NewHash() *Hash {
	var secret [16]byte
	rand.Read(secret[:])                   // never fails: crypto/rand aborts the program instead
	block, err := aes.NewCipher(secret[:]) // fails for other key sizes only
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block) // fails for other block sizes only
	if err != nil {
		panic(err)
	}
	return &Hash{aead: aead}
}

// Fork returns a Hash that makes the same keys.
func (h *Hash) Fork() *Hash { return &Hash{aead: h.aead} }

// Sum returns the key of text within scope.
func (h *Hash) Sum(scope Scope, text []byte) Key {
	binary.LittleEndian.PutUint64(h.nonce[:], uint64(scope))
	h.aead.Seal(h.sum[:0], h.nonce[:], nil, text)
	return h.sum
}

// Scope returns the scope that belongs to what k stands for.
func (k Key) Scope() Scope { return Scope(binary.LittleEndian.Uint64(k[:])) }
