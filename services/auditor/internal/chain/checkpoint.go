package chain

import (
	"crypto/ed25519"
	"time"
)

// Checkpoint is a signed statement that the log of this id had, at this time,
// Head as the hash of its record Seq, and with it everything before. Whoever
// keeps one elsewhere can tell at any later time whether the log has been
// rewritten or set back, even by somebody who has the key.
//
// The signature is over the JSON of the checkpoint without the signature. A
// checkpoint that is sent as JSON and read again is the same.
type Checkpoint struct {
	Log       string    `json:"log"`
	Seq       uint64    `json:"seq"`        // 0 for a log without records
	Head      Hash      `json:"head"`       // then of the first segment's header
	Time      time.Time `json:"time"`       // when it was signed, UTC
	PublicKey []byte    `json:"public_key"` // Ed25519, 32 bytes
	Signature []byte    `json:"signature,omitempty"`
}

// Verify checks the signature with key, not with the key that the checkpoint
// names: anybody can sign with a key of their own.
func (c Checkpoint) Verify(key ed25519.PublicKey) error {
	return verify(key, &c, &c.Signature)
}

func parseCheckpoint(line []byte) (Checkpoint, error) {
	var c Checkpoint
	err := decode(line, &c)
	return c, err
}
