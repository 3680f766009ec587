package delivery

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/proto"
)

// key tells an alert from all others, however often and under whatever sequence
// it is delivered.
type key [8]byte

// keyOf is made of the event's id and of the subject's source: a source cannot
// choose an id so that another's alert is taken for a repetition of its own.
func keyOf(subject, id string) key {
	// security.alert.<host>.<source>.<kind>.<severity>, as the server says
	tokens := strings.SplitN(subject, ".", 5)
	source := strings.Join(tokens[:min(len(tokens), 4)], ".")
	return hash(source + "\x00" + id)
}

func hash(s string) key {
	sum := sha256.Sum256([]byte(s))
	return key(sum[:len(key{})])
}

// keys is a list of keys, stored without anything between them.
type keys []key

// MarshalJSON returns the keys' bytes in base64.
func (k keys) MarshalJSON() ([]byte, error) {
	packed := make([]byte, 0, len(k)*len(key{}))
	for _, one := range k {
		packed = append(packed, one[:]...)
	}
	return json.Marshal(packed)
}

// UnmarshalJSON reads what MarshalJSON has written.
func (k *keys) UnmarshalJSON(data []byte) error {
	var packed []byte
	if err := json.Unmarshal(data, &packed); err != nil {
		return err
	}
	if len(packed)%len(key{}) != 0 {
		return fmt.Errorf("%d bytes are no whole number of keys", len(packed))
	}
	*k = nil
	for one := range slices.Chunk(packed, len(key{})) {
		*k = append(*k, key(one))
	}
	return nil
}

// ranges are runs of stream sequences, stored as the distances between them: a
// lane's sequences can have a hole after each, and thousands are waiting.
type ranges []proto.SequenceRange

// rangesOf are the runs of sequences, which it sorts.
func rangesOf(sequences []uint64) ranges {
	slices.Sort(sequences)
	var r ranges
	for _, s := range sequences {
		if n := len(r); n > 0 && s <= r[n-1].Last+1 {
			r[n-1].Last = s
			continue
		}
		r = append(r, proto.SequenceRange{First: s, Last: s})
	}
	return r
}

// MarshalJSON returns, in base64, for each run the distance of its first
// sequence from the last of the run before, and its length less one.
func (r ranges) MarshalJSON() ([]byte, error) {
	packed := []byte{}
	at := uint64(0)
	for _, run := range r {
		packed = binary.AppendUvarint(packed, run.First-at)
		packed = binary.AppendUvarint(packed, run.Last-run.First)
		at = run.Last
	}
	return json.Marshal(packed)
}

var errRanges = errors.New("these are no runs of sequences")

// UnmarshalJSON reads what MarshalJSON has written.
func (r *ranges) UnmarshalJSON(data []byte) error {
	var packed []byte
	if err := json.Unmarshal(data, &packed); err != nil {
		return err
	}
	*r = nil
	at := uint64(0)
	for len(packed) > 0 {
		first, n := binary.Uvarint(packed)
		if n <= 0 {
			return errRanges
		}
		length, m := binary.Uvarint(packed[n:])
		if m <= 0 {
			return errRanges
		}
		packed = packed[n+m:]
		run := proto.SequenceRange{First: at + first, Last: at + first + length}
		if run.First < at || run.Last < run.First {
			return errRanges
		}
		*r = append(*r, run)
		at = run.Last
	}
	return nil
}
