package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/clock"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

func fullState() State {
	s := State{
		Version:  stateVersion,
		Instance: "me",
		Writes:   7,
		Attempts: RateLog{Stamp: clock.Stamp{Wall: time.Unix(1e9, 0).UTC(), Boot: "b", Up: time.Hour}, Ages: []time.Duration{time.Second}},
		Place:    sink.Place{Chat: "-100", NoThread: true},
		Plan: &Plan{
			Kind:     proto.DeliveryDigest,
			Messages: [][]byte{[]byte(`{"text":"<&>"}`), []byte("{}")},
			Level:    1,
			Alerts:   3,
			Keys:     Keys{Hash("a"), Hash("b")},
			Ranges:   Ranges{{Stream: "ALERTS_a", First: 3, Last: 5}, {Stream: "ALERTS_a", First: 9, Last: 9}, {Stream: "ALERTS_b", First: 4, Last: 4}},
			Oldest:   time.Unix(1e9, 0).UTC(),
			UnderWay: true,
		},
		Settled: Keys{Hash("c")},
		Notes:   Notes{Lines: []string{"line"}, Silenced: map[string]int{"me": 2}},
		Outage:  &Outage{Since: time.Unix(1e9, 0).UTC(), Cause: "cause", Broken: true, Printed: map[string]uint64{"ALERTS_a": 4}},
		Streams: map[string]Position{"ALERTS_a": {Created: time.Unix(1e9, 0).UTC(), Through: 12}},
	}
	return s
}

func TestStateComesBack(t *testing.T) {
	want := fullState()
	value, err := want.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(value)
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
	some := func(prefix string, n int) (k Keys) {
		for i := range n {
			k = append(k, Hash(fmt.Sprint(prefix, i)))
		}
		return k
	}
	// The max that can come together: two full queues, of several streams, one
	// sequence in two theirs.
	const many = 2 * 8192
	sequences := make(map[string][]uint64)
	for i := range uint64(many) {
		stream := fmt.Sprint("ALERTS_some-sensor-", i%40)
		sequences[stream] = append(sequences[stream], 1<<40+2*i)
	}
	s.Plan.Keys, s.Plan.Ranges = some("plan", many), RangesOf(sequences)
	s.Plan.Messages = [][]byte{make([]byte, MaxMessages)}
	s.Plan.Level = 0
	s.Settled, s.Refused = some("settled", 2*maxSettled), some("refused", 2*maxSettled)
	value, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(value)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Plan.Keys, s.Plan.Keys) || !reflect.DeepEqual(got.Plan.Ranges, s.Plan.Ranges) {
		t.Error("the plan has changed")
	}
	if n := len(got.Settled); n == 0 || got.Settled[n-1] != Hash(fmt.Sprint("settled", 2*maxSettled-1)) {
		t.Errorf("of what was settled, %d are left, and not the last", n)
	}
	// Once the plan is accepted, its alerts are all remembered.
	s.Settled = append(s.Settled, s.Plan.Keys...)
	s.Unrecorded, s.Plan = &Accepted{Ranges: s.Plan.Ranges}, nil
	if _, err := s.encode(); err != nil {
		t.Fatal(err)
	}
	if len(s.Settled) != maxSettled {
		t.Errorf("%d of %d accepted alerts are remembered", len(s.Settled), many)
	}
}

func TestStateOfAnotherVersion(t *testing.T) {
	if _, err := Decode([]byte(`{"version":3}`)); err == nil || !strings.Contains(err.Error(), "version 3") {
		t.Errorf("%v", err)
	}
	if s, err := Decode(nil); err != nil || s.Plan != nil {
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
	f.Add([]byte(`{"version":2,"plan":{"messages":["e30="],"ranges":{"ALERTS_a":"AQg=","":"AQA="}},"streams":{"ALERTS_a":{"created":"2001-09-09T01:46:40Z","through":12}}}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		s, err := Decode(value)
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
		sequences map[string][]uint64
		want      Ranges
	}{
		{nil, nil},
		{map[string][]uint64{"a": {5}}, Ranges{{Stream: "a", First: 5, Last: 5}}},
		{
			map[string][]uint64{"b": {4, 1}, "a": {3, 1, 2, 2, 7}},
			Ranges{{Stream: "a", First: 1, Last: 3}, {Stream: "a", First: 7, Last: 7}, {Stream: "b", First: 1, Last: 1}, {Stream: "b", First: 4, Last: 4}},
		},
	} {
		got := RangesOf(test.sequences)
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%v: %v, want %v", test.sequences, got, test.want)
		}
		packed, err := json.Marshal(got)
		var again Ranges
		if err == nil {
			err = json.Unmarshal(packed, &again)
		}
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%v is %v after %s (%v)", got, again, packed, err)
		}
	}
	if got, ok := RangesOf(map[string][]uint64{"a": {9}, "b": {4, 7}}).Lowest("b"); got != 4 || !ok {
		t.Errorf("the lowest of b is %d, %t", got, ok)
	}
}

// A source cannot make its alert look like a repetition of another's.
func TestKeysBelongToTheSource(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef"
	one := KeyOf("security.alert.box1.suricata.alert.high", id)
	for subject, same := range map[string]bool{
		"security.alert.box1.suricata.alert.critical": true, // a local rule has changed
		"security.alert.box1.tracee.alert.high":       false,
		"security.alert.box2.suricata.alert.high":     false,
	} {
		if got := KeyOf(subject, id) == one; got != same {
			t.Errorf("%s: the same %t, want %t", subject, got, same)
		}
	}
}

func TestNotesAreBounded(t *testing.T) {
	var n Notes
	for i := range 1000 {
		n.Add("line %d %s", i, strings.Repeat("x", 1000))
		n.AddSilenced(fmt.Sprint("silence ", i))
	}
	lines := n.Text()
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

// The state of the first release, with all that it can hold, is read without loss:
// what it says of the one stream that there was is written with that stream's name.
func TestRecordedState(t *testing.T) {
	value, err := os.ReadFile("testdata/state-full.json")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Decode(value)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/state-full-now.json")
	if err != nil || !bytes.Equal(again, bytes.TrimSpace(want)) {
		t.Errorf("%v; read\n%s\nwrote\n%s\nwant\n%s", err, value, again, want)
	}
}
