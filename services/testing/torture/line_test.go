package torture

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// lineID says which line it is: the how manieth of which writer.
type lineID struct{ writer, seq int }

// script says what every line is. Nobody who judges needs a copy of what was
// written.
type script struct {
	Seed uint64
	// Pad bounds how long most lines are, in bytes above the minimum.
	Pad int
}

const (
	usualPad = 900      // as of a sensor's records
	longPad  = 40 << 10 // of the few lines that are longer than a write
	longOf   = 500      // one of so many
)

var padding = strings.Repeat("the quick brown fox jumps over the lazy dog ", 1+longPad/44)

// idMark stands before the id, at the end of the line: no two lines have an end
// in common.
const idMark = `","line":"`

// append appends a line without its newline.
// alertEvery is how many lines come to one alert.
const alertEvery = 8

func (s script) append(b []byte, id lineID) []byte {
	random := rand.New(rand.NewPCG(s.Seed, uint64(id.writer)<<40|uint64(id.seq)))
	pad := random.IntN(s.Pad)
	if random.IntN(longOf) == 0 {
		pad = random.IntN(longPad)
	}
	b = append(b, `{"timestamp":"2026-11-22T07:09:02.262167+0000","flow_id":`...)
	b = strconv.AppendUint(b, random.Uint64()>>1, 10)
	if id.seq%alertEvery == 0 {
		// Each of a rule of its own: many of one would be folded.
		b = fmt.Appendf(b, `,"event_type":"alert","alert":{"signature":"torture","signature_id":%d,"severity":3}`, id.seq+1)
	} else {
		b = append(b, `,"event_type":"dns"`...)
	}
	b = append(b, `,"src_ip":"192.0.2.1","pad":"`...)
	b = append(b, padding[:pad]...)
	return fmt.Appendf(b, idMark+`%d-%09d"}`, id.writer, id.seq)
}

// parse returns the id of a line if it is, byte for byte, the line of that id.
func (s script) parse(line []byte) (lineID, bool) {
	var id lineID
	i := bytes.LastIndex(line, []byte(idMark))
	if i < 0 {
		return id, false
	}
	if _, err := fmt.Sscanf(string(line[i+len(idMark):]), "%d-%d", &id.writer, &id.seq); err != nil {
		return id, false
	}
	return id, bytes.Equal(line, s.append(nil, id))
}

func TestLine(t *testing.T) {
	s, id := script{Seed: 1, Pad: usualPad}, lineID{writer: 3, seq: 70}
	line := s.append(nil, id)
	if got, ok := s.parse(line); !ok || got != id {
		t.Fatalf("%s reads back as %v, %t", line, got, ok)
	}
	for name, wrong := range map[string][]byte{
		"cut at its end":   line[:len(line)-1],
		"cut at its start": line[1:],
		"of another seed":  script{Seed: 2, Pad: usualPad}.append(nil, id),
		"glued":            append(bytes.Clone(line), line...),
		"empty":            nil,
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := s.parse(wrong); ok {
				t.Errorf("%s passes for line %v", wrong, got)
			}
		})
	}
}
