package delivery

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

func fullState() state {
	s := state{
		Version:  stateVersion,
		Instance: "me",
		Writes:   7,
		Slots:    slotLog{Stamp: stamp{Wall: time.Unix(1e9, 0).UTC(), Boot: "b", Up: time.Hour}, Ages: []time.Duration{time.Second}},
		Place:    sink.Place{Chat: "-100", NoThread: true},
		Plan: &plan{
			Kind:     proto.DeliveryDigest,
			Messages: [][]byte{[]byte(`{"text":"<&>"}`), []byte("{}")},
			Level:    1,
			Alerts:   3,
			Keys:     keys{hash("a"), hash("b")},
			Ranges:   ranges{{First: 3, Last: 5}, {First: 9, Last: 9}},
			Oldest:   time.Unix(1e9, 0).UTC(),
			UnderWay: true,
		},
		Settled: keys{hash("c")},
		Notes:   notes{Lines: []string{"line"}, Silenced: map[string]int{"me": 2}},
		Outage:  &outage{Since: time.Unix(1e9, 0).UTC(), Cause: "cause", Broken: true},
		Stream:  time.Unix(1e9, 0).UTC(),
		Through: 12,
	}
	return s
}

func TestStateComesBack(t *testing.T) {
	want := fullState()
	value, err := want.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(value)
	if err != nil {
		t.Fatal(err)
	}
	again, err := got.encode()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Plan, want.Plan) || !bytes.Equal(again, value) {
		t.Errorf("wrote\n%s\nread and wrote\n%s", value, again)
	}
}

func TestStateIsBounded(t *testing.T) {
	s := fullState()
	many := func(prefix string, n int) (k keys) {
		for i := range n {
			k = append(k, hash(fmt.Sprint(prefix, i)))
		}
		return k
	}
	// The most that can come together: two full lanes, one sequence in two theirs.
	const most = 2 * 8192
	var sequences []uint64
	for i := range uint64(most) {
		sequences = append(sequences, 1<<40+2*i)
	}
	s.Plan.Keys, s.Plan.Ranges = many("plan", most), rangesOf(sequences)
	s.Plan.Messages = [][]byte{make([]byte, maxMessages)}
	s.Plan.Level = 0
	s.Settled, s.Refused = many("settled", 2*maxSettled), many("refused", 2*maxSettled)
	value, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(value)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Plan.Keys, s.Plan.Keys) || !reflect.DeepEqual(got.Plan.Ranges, s.Plan.Ranges) {
		t.Error("the plan has changed")
	}
	if n := len(got.Settled); n == 0 || got.Settled[n-1] != hash(fmt.Sprint("settled", 2*maxSettled-1)) {
		t.Errorf("of what was settled, %d are left, and not the last", n)
	}
	// Once the plan is accepted, its alerts are all remembered.
	s.Settled = append(s.Settled, s.Plan.Keys...)
	s.Unrecorded, s.Plan = &accepted{Ranges: s.Plan.Ranges}, nil
	if _, err := s.encode(); err != nil {
		t.Fatal(err)
	}
	if len(s.Settled) != maxSettled {
		t.Errorf("%d of %d accepted alerts are remembered", len(s.Settled), most)
	}
}

func TestStateOfAnotherVersion(t *testing.T) {
	if _, err := decode([]byte(`{"version":2}`)); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("%v", err)
	}
	if s, err := decode(nil); err != nil || s.Plan != nil {
		t.Errorf("no value: %+v, %v", s, err)
	}
}

// Whatever the key holds, it is read or refused, and what was read can be
// written.
func FuzzDecodeState(f *testing.F) {
	s := fullState()
	value, err := s.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(value)
	f.Add([]byte(`{"version":1,"plan":{"level":-1}}`))
	f.Add([]byte(`{"version":1,"settled":"AAAA","plan":{"messages":["e30="],"ranges":"/////////////wE="}}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		s, err := decode(value)
		if err != nil {
			return
		}
		if _, err := s.encode(); err != nil && len(value) < maxState/4 {
			t.Errorf("%q cannot be written: %v", value, err)
		}
	})
}

func TestRanges(t *testing.T) {
	for _, test := range []struct {
		sequences []uint64
		want      ranges
	}{
		{nil, nil},
		{[]uint64{5}, ranges{{First: 5, Last: 5}}},
		{[]uint64{3, 1, 2, 2, 7}, ranges{{First: 1, Last: 3}, {First: 7, Last: 7}}},
	} {
		if got := rangesOf(test.sequences); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%v: %v, want %v", test.sequences, got, test.want)
		}
	}
}

// A source cannot make its alert look like a repetition of another's.
func TestKeysBelongToTheSource(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef"
	one := keyOf("security.alert.box1.suricata.alert.high", id)
	for subject, same := range map[string]bool{
		"security.alert.box1.suricata.alert.critical": true, // a local rule has changed
		"security.alert.box1.tracee.alert.high":       false,
		"security.alert.box2.suricata.alert.high":     false,
	} {
		if got := keyOf(subject, id) == one; got != same {
			t.Errorf("%s: the same %t, want %t", subject, got, same)
		}
	}
}

func TestSeen(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		s := seen{known: true}
		fetched := make(map[uint64]bool)
		for range 50 {
			n := uint64(1 + r.IntN(60))
			fetched[n] = true
			s.add(n)
		}
		first := uint64(1 + r.IntN(70))
		want := uint64(0)
		for n := uint64(1); n < first; n++ {
			if !fetched[n] {
				want++
			}
		}
		if lost, upTo := s.first(first); lost != want || upTo {
			t.Fatalf("lost %d, want %d", lost, want)
		}
		if lost, _ := s.first(first); lost != 0 {
			t.Fatalf("lost %d once more", lost)
		}
	}
}

func TestNotesAreBounded(t *testing.T) {
	var n notes
	for i := range 1000 {
		n.add("line %d %s", i, strings.Repeat("x", 1000))
		n.silenced(fmt.Sprint("silence ", i))
	}
	lines := n.lines()
	if len(lines) > maxLines+maxSilencers+2 {
		t.Errorf("%d lines", len(lines))
	}
	all := strings.Join(lines, "\n")
	for _, want := range []string{"980 more notices", "980 alerts silenced by other silences"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in\n%s", want, all)
		}
	}
}
