package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/proto"
)

// Key identifies an alert, however often and under which sequences it is
// delivered.
type Key [8]byte

// KeyOf is made of the event's id and of the subject's source: a source cannot
// choose an id so that another's alert looks like a repetition of its own.
func KeyOf(subject, id string) Key {
	// security.alert.<host>.<source>.<kind>.<severity>, as the server says
	tokens := strings.SplitN(subject, ".", 5)
	source := strings.Join(tokens[:min(len(tokens), 4)], ".")
	return Hash(source + "\x00" + id)
}

// Hash is the key of a text that is not an alert.
func Hash(s string) Key {
	sum := sha256.Sum256([]byte(s))
	return Key(sum[:len(Key{})])
}

// Keys is a list of keys, stored without anything between them.
type Keys []Key

// MarshalJSON returns the keys' bytes in base64.
func (k Keys) MarshalJSON() ([]byte, error) {
	packed := make([]byte, 0, len(k)*len(Key{}))
	for _, one := range k {
		packed = append(packed, one[:]...)
	}
	return json.Marshal(packed)
}

// UnmarshalJSON reads what MarshalJSON has written.
func (k *Keys) UnmarshalJSON(data []byte) error {
	var packed []byte
	if err := json.Unmarshal(data, &packed); err != nil {
		return err
	}
	if len(packed)%len(Key{}) != 0 {
		return fmt.Errorf("%d bytes are not a whole number of keys", len(packed))
	}
	*k = nil
	for one := range slices.Chunk(packed, len(Key{})) {
		*k = append(*k, Key(one))
	}
	return nil
}

// Ranges are runs of stream sequences, by stream and then ascending. They are stored
// as the distances between them: a lane's sequences can have a hole after each, and
// thousands are waiting.
type Ranges []proto.SequenceRange

// RangesOf are the runs of the sequences of each stream, which it sorts.
func RangesOf(sequences map[string][]uint64) Ranges {
	var r Ranges
	for _, stream := range slices.Sorted(maps.Keys(sequences)) {
		start := len(r)
		slices.Sort(sequences[stream])
		for _, s := range sequences[stream] {
			if n := len(r); n > start && s <= r[n-1].Last+1 {
				r[n-1].Last = s
				continue
			}
			r = append(r, proto.SequenceRange{Stream: stream, First: s, Last: s})
		}
	}
	return r
}

// Lowest is the lowest sequence of a stream in the runs.
func (r Ranges) Lowest(stream string) (sequence uint64, ok bool) {
	for _, run := range r {
		if run.Stream == stream {
			return run.First, true
		}
	}
	return 0, false
}

// MarshalJSON returns an object with an entry for each stream: in base64, for each
// run the distance of its first sequence from the last of the run before, and its
// length less one.
func (r Ranges) MarshalJSON() ([]byte, error) {
	packed := make(map[string][]byte)
	at := make(map[string]uint64)
	for _, run := range r {
		p := binary.AppendUvarint(packed[run.Stream], run.First-at[run.Stream])
		packed[run.Stream] = binary.AppendUvarint(p, run.Last-run.First)
		at[run.Stream] = run.Last
	}
	return json.Marshal(packed)
}

var errRanges = errors.New("these are not runs of sequences")

// UnmarshalJSON reads what MarshalJSON has written. State version 1 had the runs of
// one stream only, [proto.StreamAlerts], without its name.
func (r *Ranges) UnmarshalJSON(data []byte) error {
	*r = nil
	packed := make(map[string][]byte)
	if bytes.HasPrefix(data, []byte(`"`)) {
		var one []byte
		if err := json.Unmarshal(data, &one); err != nil {
			return err
		}
		packed[proto.StreamAlerts] = one
	} else if err := json.Unmarshal(data, &packed); err != nil {
		return err
	}
	for _, stream := range slices.Sorted(maps.Keys(packed)) {
		if err := r.unpack(stream, packed[stream]); err != nil {
			return err
		}
	}
	return nil
}

func (r *Ranges) unpack(stream string, packed []byte) error {
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
		run := proto.SequenceRange{Stream: stream, First: at + first, Last: at + first + length}
		if run.First < at || run.Last < run.First {
			return errRanges
		}
		*r = append(*r, run)
		at = run.Last
	}
	return nil
}
