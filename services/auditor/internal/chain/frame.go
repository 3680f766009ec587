package chain

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// version is that of the format, in every header.
const version = 1

// header begins a segment.
type header struct {
	Version   int       `json:"version"`
	Log       string    `json:"log"` // random, the same in every segment
	Segment   uint64    `json:"segment"`
	FirstSeq  uint64    `json:"first_seq"`
	Created   time.Time `json:"created"`
	PublicKey []byte    `json:"public_key"`
	// Before is what the segment before holds. It stands here, at the beginning of
	// a file, so that it can be read without uncompressing that segment.
	Before streamRange `json:"before"`
}

// streamRange is from the min to the max stream sequence of a segment's
// records; both are 0 if it has none.
type streamRange struct {
	First uint64 `json:"stream_first"`
	Last  uint64 `json:"stream_last"`
}

func (r *streamRange) add(seq uint64) {
	if r.First == 0 || seq < r.First {
		r.First = seq
	}
	r.Last = max(r.Last, seq)
}

func (r streamRange) has(seq uint64) bool { return seq >= r.First && seq <= r.Last }

// footer ends a closed segment. The prev of its line is the hash of the last
// record, so that its signature covers all of the segment.
type footer struct {
	Segment   uint64    `json:"segment"`
	FirstSeq  uint64    `json:"first_seq"`
	LastSeq   uint64    `json:"last_seq"`
	Header    Hash      `json:"header"` // of the header's line: binds it to the footer where the lines between are gone
	Closed    time.Time `json:"closed"`
	PublicKey []byte    `json:"public_key"`
	Signature []byte    `json:"signature,omitempty"`
}

// removal is the third and last line of a stub.
type removal struct {
	Segment   uint64    `json:"segment"`
	Reason    string    `json:"reason"`
	Time      time.Time `json:"time"`
	PublicKey []byte    `json:"public_key"`
	Signature []byte    `json:"signature,omitempty"`
}

// frame is a line that is not a record; one of the pointers is set.
type frame struct {
	Prev    Hash     `json:"prev"`
	Header  *header  `json:"header,omitempty"`
	Footer  *footer  `json:"footer,omitempty"`
	Removed *removal `json:"removed,omitempty"`
}

var (
	errNotFrame     = errors.New("the line is neither a header nor a record nor a footer")
	errNotCanonical = errors.New("the line is not encoded as the log encodes it")
	errSignature    = errors.New("the signature does not hold")
)

// encode returns the frame's line.
func (f *frame) encode() ([]byte, error) {
	line, err := json.Marshal(f)
	return append(line, '\n'), err
}

func parseFrame(line []byte) (*frame, error) {
	f := new(frame)
	if err := decode(line, f); err != nil {
		return nil, err
	}
	set := 0
	for _, there := range [...]bool{f.Header != nil, f.Footer != nil, f.Removed != nil} {
		if there {
			set++
		}
	}
	if set != 1 {
		return nil, errNotFrame
	}
	return f, nil
}

// decode reads a line of JSON and insists that it is, byte for byte, the one that
// the log would write: what is signed is then the same for every reader.
func decode(line []byte, v any) error {
	if err := json.Unmarshal(line, v, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("reading a line: %w", err)
	}
	again, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing a line again: %w", err)
	}
	if body, ok := bytes.CutSuffix(line, []byte("\n")); !ok || !bytes.Equal(body, again) {
		return errNotCanonical
	}
	return nil
}

// sign sets the signature of v, to which field points, over v's JSON without it.
func sign(key ed25519.PrivateKey, v any, field *[]byte) error {
	*field = nil
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing what is to be signed: %w", err)
	}
	*field = ed25519.Sign(key, text)
	return nil
}

// verify checks the signature of v, to which field points, and leaves v as it is.
func verify(key ed25519.PublicKey, v any, field *[]byte) error {
	signature := *field
	*field = nil
	text, err := json.Marshal(v)
	*field = signature
	if err != nil {
		return fmt.Errorf("writing what was signed: %w", err)
	}
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, text, signature) {
		return errSignature
	}
	return nil
}

func signFooter(key ed25519.PrivateKey, prev Hash, f *footer) (*frame, error) {
	fr := &frame{Prev: prev, Footer: f}
	return fr, sign(key, fr, &f.Signature)
}

func signRemoval(key ed25519.PrivateKey, prev Hash, r *removal) (*frame, error) {
	fr := &frame{Prev: prev, Removed: r}
	return fr, sign(key, fr, &r.Signature)
}

// verify checks the signature of a footer or a removal.
func (f *frame) verify(key ed25519.PublicKey) error {
	switch {
	case f.Footer != nil:
		return verify(key, f, &f.Footer.Signature)
	case f.Removed != nil:
		return verify(key, f, &f.Removed.Signature)
	default:
		return errSignature
	}
}

// Hash is the SHA-256 of a line of the log, newline included. Its text is 64
// lower-case hex digits.
type Hash [sha256.Size]byte

const hexHash = 2 * sha256.Size

func hashLine(line []byte) Hash { return sha256.Sum256(line) }

// String returns the hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText returns the hex digits.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText accepts exactly what MarshalText returns.
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

// Checkpoint is a signed statement that the log of this id had, at this time,
// Head as the hash of its record Seq, and with it everything before. A copy that
// is kept elsewhere shows at any later time whether the log has been rewritten or set
// back, even by somebody who has the key.
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
