package bus

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"
)

// at is a message of a stream, n seconds after a beginning.
func at(stream string, sequence uint64, n float64) *Stored {
	begin := time.Date(2026, 11, 30, 7, 0, 0, 0, time.UTC)
	return &Stored{Stream: stream, Sequence: sequence, Time: begin.Add(time.Duration(n * float64(time.Second)))}
}

func names(msgs []*Stored) string {
	var all []string
	for _, m := range msgs {
		all = append(all, fmt.Sprintf("%s%d", m.Stream, m.Sequence))
	}
	return strings.Join(all, " ")
}

func source(end error, msgs ...*Stored) iter.Seq2[*Stored, error] {
	return func(yield func(*Stored, error) bool) {
		for _, m := range msgs {
			if !yield(m, nil) {
				return
			}
		}
		if end != nil {
			yield(nil, end)
		}
	}
}

func TestMerge(t *testing.T) {
	failed := fmt.Errorf("failed")
	a := []*Stored{at("A", 1, 1), at("A", 2, 2), at("A", 3, 5)}
	b := []*Stored{at("B", 7, 0), at("B", 8, 2), at("B", 9, 3)}
	back := []*Stored{at("C", 1, 4), at("C", 2, 1)} // the clock was set back
	for _, tt := range []struct {
		name    string
		sources []iter.Seq2[*Stored, error]
		take    int
		want    string
		err     error
	}{
		{"nothing", nil, 9, "", nil},
		{"one", []iter.Seq2[*Stored, error]{source(nil, a...)}, 9, "A1 A2 A3", nil},
		{"by time, then by stream", []iter.Seq2[*Stored, error]{source(nil, b...), source(nil, a...)}, 9, "B7 A1 A2 B8 B9 A3", nil},
		{"empty ones", []iter.Seq2[*Stored, error]{source(nil), source(nil, b...), source(nil)}, 9, "B7 B8 B9", nil},
		{"never against a stream's own order", []iter.Seq2[*Stored, error]{source(nil, a...), source(nil, back...)}, 9, "A1 A2 C1 C2 A3", nil},
		{"a part", []iter.Seq2[*Stored, error]{source(nil, a...), source(nil, b...)}, 2, "B7 A1", nil},
		{"up to an error", []iter.Seq2[*Stored, error]{source(nil, a...), source(failed, b[:2]...)}, 9, "B7 A1 A2 B8", failed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []*Stored
			var last error
			for m, err := range merge(tt.sources) {
				if err != nil {
					last = err
					break
				}
				if got = append(got, m); len(got) == tt.take {
					break
				}
			}
			if names(got) != tt.want || last != tt.err {
				t.Errorf("got %s, %v", names(got), last)
			}
		})
	}
}

func TestSettling(t *testing.T) {
	var s settling
	var got []*Stored
	out := func(m *Stored) error { got = append(got, m); return nil }
	now := time.Now()
	expect := func(want string) {
		t.Helper()
		if names(got) != want {
			t.Errorf("got %q, want %q", names(got), want)
		}
		got = nil
	}
	s.add(at("B", 1, 2), now)
	s.add(at("A", 1, 1), now.Add(2)) // stored before it, and comes later
	s.add(at("C", 1, 3), now.Add(2))
	if due, ok := s.due(); !ok || !due.Equal(now) {
		t.Errorf("due at %v, %t", due, ok)
	}
	if err := s.yieldDue(now.Add(-1), out); err != nil {
		t.Error(err)
	}
	expect("")
	_ = s.yieldDue(now, out)
	expect("A1 B1")
	// One that has settled already takes those before it along.
	s.add(at("C", 2, 5), now.Add(3))
	_ = s.yieldThrough(s.add(at("A", 2, 4), time.Time{}), out)
	expect("C1 A2")
	// A clock that was set back changes nothing within a stream.
	s.add(at("C", 3, 1), now.Add(4))
	s.add(at("C", 4, 2), now.Add(5))
	_ = s.yieldDue(now.Add(time.Hour), out)
	expect("C2 C3 C4")
	if _, ok := s.due(); ok || len(s.inOrder) > 0 || len(s.arrived) > 0 {
		t.Error("something is left")
	}
}

func TestSettlingStops(t *testing.T) {
	var s settling
	now := time.Now()
	s.add(at("A", 1, 1), now)
	s.add(at("A", 2, 2), now)
	var got []*Stored
	if err := s.yieldDue(now, func(m *Stored) error { got = append(got, m); return errStopped }); err != errStopped || names(got) != "A1" {
		t.Errorf("got %s, %v", names(got), err)
	}
	if !slices.IsSortedFunc(got, earlier) {
		t.Error("out of order")
	}
}
