package answer

import (
	"reflect"
	"strings"
	"testing"
)

// collect cuts in, of which size bytes arrive at a time.
func collect(in string, size int) []event {
	var (
		f      frames
		events []event
		start  int
	)
	for end := 0; ; end = min(end+size, len(in)) {
		for {
			ev, n := f.next([]byte(in[start:end]), end == len(in))
			if n == 0 {
				break
			}
			start += n
			events = append(events, event{
				raw: clone(ev.raw), name: clone(ev.name), data: clone(ev.data),
				ambiguous: ev.ambiguous, tail: ev.tail,
			})
		}
		if end == len(in) {
			return events
		}
	}
}

func clone(b []byte) []byte { return []byte(string(b)) }

// joined has the LF that came late put back to its event.
func joined(events []event) []event {
	var all []event
	for _, ev := range events {
		if ev.tail {
			all[len(all)-1].raw = append(all[len(all)-1].raw, ev.raw...)
			continue
		}
		all = append(all, ev)
	}
	return all
}

func TestFrames(t *testing.T) {
	type want struct{ raw, name, data string }
	tests := []struct {
		name string
		in   string
		want []want
	}{
		{"lines ended by LF", "event: a\ndata: 1\n\ndata: 2\n\n", []want{{"event: a\ndata: 1\n\n", "a", "1"}, {"data: 2\n\n", "", "2"}}},
		{"by CRLF", "event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n", []want{{"event: a\r\ndata: 1\r\n\r\n", "a", "1"}, {"data: 2\r\n\r\n", "", "2"}}},
		{"by CR", "event: a\rdata: 1\r\rdata: 2\r\r", []want{{"event: a\rdata: 1\r\r", "a", "1"}, {"data: 2\r\r", "", "2"}}},
		{"by all of them", "data: 1\r\n\rdata: 2\n\r\ndata: 3\r\n\n", []want{{"data: 1\r\n\r", "", "1"}, {"data: 2\n\r\n", "", "2"}, {"data: 3\r\n\n", "", "3"}}},
		{"several data lines", "data: a\ndata\ndata:b\ndata:  c\n\n", []want{{"data: a\ndata\ndata:b\ndata:  c\n\n", "", "a\n\nb\n c"}}},
		{"the last name counts", "event: a\nevent:b\nevent\n\n", []want{{"event: a\nevent:b\nevent\n\n", "", ""}}},
		{"a byte order mark", "\ufeffdata: 1\n\n\ufeffdata: 2\n\n", []want{{"\ufeffdata: 1\n\n", "", "1"}, {"\ufeffdata: 2\n\n", "", ""}}},
		{"comments and other fields", ": data: 1\nid: 2\nretry: 3\ndatum: 4\n\n", []want{{": data: 1\nid: 2\nretry: 3\ndatum: 4\n\n", "", ""}}},
		{"blank lines", "\n\n", []want{{"\n", "", ""}, {"\n", "", ""}}},
		{"no blank line at the end", "data: 1\n\ndata: 2", []want{{"data: 1\n\n", "", "1"}, {"data: 2", "", "2"}}},
		{"nothing", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for size := 1; size <= len(tt.in)+1; size++ {
				var got []want
				for _, ev := range joined(collect(tt.in, size)) {
					got = append(got, want{string(ev.raw), string(ev.name), string(ev.data)})
				}
				if !reflect.DeepEqual(got, tt.want) {
					t.Errorf("%d bytes at a time: %q, want %q", size, got, tt.want)
				}
			}
		})
	}
}

// However a stream arrives, its events are the same, and nothing of it is lost.
func FuzzFrames(f *testing.F) {
	for _, seed := range []string{
		"event: a\ndata: 1\n\ndata: 2\r\n\r\nda", "\ufeffdata:x\r\rdata:y\r\n\r\n\r\n", ":c\n\n\r\r\n\n", "Data: 1\n data\n\n", "\r\n\r\n", "0\r\n\n0",
	} {
		f.Add(seed, uint8(1))
		f.Add(seed, uint8(0))
	}
	f.Fuzz(func(t *testing.T, in string, size uint8) {
		whole := joined(collect(in, len(in)+1))
		var all strings.Builder
		for _, ev := range whole {
			all.Write(ev.raw)
		}
		if all.String() != in {
			t.Fatalf("%q has become %q", in, all.String())
		}
		if parts := joined(collect(in, int(size)+1)); !reflect.DeepEqual(parts, whole) {
			t.Fatalf("in parts %+v, at once %+v", parts, whole)
		}
	})
}
