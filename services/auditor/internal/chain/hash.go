package chain

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Hash is the SHA-256 of a line of the log, newline included. Its text is 64
// lower-case hex digits.
type Hash [sha256.Size]byte

const hexHash = 2 * sha256.Size

func hashLine(line []byte) Hash { return sha256.Sum256(line) }

// String returns the hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText returns the hex digits.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText takes exactly what MarshalText returns.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != hexHash {
		return fmt.Errorf("a hash of %d characters, want %d", len(text), hexHash)
	}
	for _, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("the character %q in a hash", c)
		}
	}
	_, err := hex.Decode(h[:], text)
	return err
}
