package torture

import (
	"fmt"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
)

// record is one message of a stream, or one line that hpcloud/tail returned.
type record struct {
	id   string // of the event; "" if there is none
	in   int    // which of several streams holds it
	text []byte
	gap  *proto.Gap
}

// window is a range of lines, to excluded, that may be lost.
type window struct{ writer, from, to int }

// verdict is how what was stored compares with what was written.
type verdict struct {
	written    int
	lost       int // written and never stored, of which
	excused    int // were written where no reader can be sure to see them
	lostBytes  int64
	doubled    int // stored again
	disordered int // stored after a later line of the same writer in the same stream
	corrupt    int // stored, but never written
	sameID     int // stored under an id that another record has
	gaps       int // gap events
	gapBytes   int64
	unfinished int // writers whose last line is not stored
	inWindows  int // lines written in windows
	rotations  int // made
	died       int // times that hpcloud/tail ended its process
	examples   []string
}

// judge compares.
type judge struct {
	script script
	seen   [][]bool      // by writer and line
	last   []map[int]int // the latest line of each writer, by stream
	ids    map[string]bool
	facts  verdict
}

func newJudge(s script, writers, lines int) *judge {
	j := &judge{script: s, ids: make(map[string]bool)}
	j.facts.written = writers * lines
	for range writers {
		j.seen = append(j.seen, make([]bool, lines))
		j.last = append(j.last, make(map[int]int))
	}
	return j
}

func (j *judge) example(format string, args ...any) {
	const enough = 12
	if len(j.facts.examples) < enough {
		j.facts.examples = append(j.facts.examples, fmt.Sprintf(format, args...))
	}
}

// take takes the next record.
func (j *judge) take(r record) {
	if r.id != "" {
		if j.ids[r.id] {
			j.facts.sameID++
			j.example("id %s occurs twice", r.id)
		}
		j.ids[r.id] = true
	}
	if r.gap != nil {
		j.facts.gaps++
		j.facts.gapBytes += r.gap.To - r.gap.From
		j.example("gap %d-%d: %s", r.gap.From, r.gap.To, r.gap.Reason)
		return
	}
	id, ok := j.script.parse(r.text)
	if !ok || id.writer >= len(j.seen) || id.seq >= len(j.seen[id.writer]) {
		j.facts.corrupt++
		j.example("never written: %.60q… (%d bytes) …%.60q", r.text, len(r.text), r.text[max(0, len(r.text)-60):])
		return
	}
	switch {
	case j.seen[id.writer][id.seq]:
		j.facts.doubled++
		j.example("line %d of writer %d again, after %d", id.seq, id.writer, j.last[id.writer][r.in])
	case id.seq < j.last[id.writer][r.in]:
		j.facts.disordered++
		j.example("line %d of writer %d after %d", id.seq, id.writer, j.last[id.writer][r.in])
	default:
		j.last[id.writer][r.in] = id.seq
	}
	j.seen[id.writer][id.seq] = true
}

// verdict says how things stand after the last record.
func (j *judge) verdict(windows []window) verdict {
	v := j.facts
	mayBeLost := make(map[lineID]bool)
	for _, w := range windows {
		v.inWindows += w.to - w.from
		for seq := w.from; seq < w.to; seq++ {
			mayBeLost[lineID{w.writer, seq}] = true
		}
	}
	for writer, seen := range j.seen {
		from := -1
		for seq, ok := range seen {
			switch {
			case ok:
				from = -1
				continue
			case from < 0:
				from = seq
				v.examples = append(v.examples, fmt.Sprintf("writer %d: lost from line %d", writer, seq))
			}
			v.lost++
			v.lostBytes += int64(len(j.script.append(nil, lineID{writer, seq})) + len("\n"))
			if mayBeLost[lineID{writer, seq}] {
				v.excused++
			}
		}
		if !seen[len(seen)-1] {
			v.unfinished++
		}
	}
	return v
}

// faults says in words what is not as it must be under m; "" if all is well.
func (v verdict) faults(m mode) string {
	var faults []string
	add := func(n int, text string) {
		if n != 0 {
			faults = append(faults, fmt.Sprintf("%d %s", n, text))
		}
	}
	add(v.lost-v.excused, "lost")
	add(v.doubled, "doubled")
	add(v.disordered, "out of order")
	add(v.corrupt, "never written")
	add(v.sameID, "under the id of another")
	switch {
	case m.counted && v.lostBytes != v.gapBytes:
		faults = append(faults, fmt.Sprintf("%d bytes lost, %d reported as lost", v.lostBytes, v.gapBytes))
	case !m.lossy && !m.mayGap:
		add(v.gaps, "gaps reported")
	}
	if len(faults) == 0 {
		return ""
	}
	return fmt.Sprintf("of %d lines: %s\n%s", v.written, strings.Join(faults, ", "), strings.Join(v.examples, "\n"))
}

func TestJudge(t *testing.T) {
	const lines = 4
	text := script{Seed: 1, Pad: usualPad}
	line := func(seq int) record {
		return record{id: fmt.Sprint(seq), text: text.append(nil, lineID{0, seq})}
	}
	tests := []struct {
		name    string
		records []record
		windows []window
		want    verdict
		fine    bool
	}{
		{name: "exact", records: []record{line(0), line(1), line(2), line(3)}, fine: true},
		{name: "lost", records: []record{line(0), line(3)}, want: verdict{lost: 2}},
		{name: "lost at the end", records: []record{line(0), line(1), line(2)}, want: verdict{lost: 1, unfinished: 1}},
		{
			name: "lost in a window", records: []record{line(0), line(2), line(3)}, windows: []window{{0, 1, 3}},
			want: verdict{lost: 1, excused: 1, inWindows: 2}, fine: true,
		},
		{
			name:    "doubled",
			records: []record{line(0), line(1), {id: "other", text: line(1).text}, line(2), line(3)}, want: verdict{doubled: 1},
		},
		{name: "swapped", records: []record{line(0), line(2), line(1), line(3)}, want: verdict{disordered: 1}},
		{
			name:    "torn",
			records: []record{line(0), {text: line(1).text[:50]}, line(2), line(3)}, want: verdict{lost: 1, corrupt: 1},
		},
		{
			name:    "one id for two",
			records: []record{line(0), line(1), line(2), {id: "2", text: line(3).text}}, want: verdict{sameID: 1},
		},
		{
			name:    "a gap",
			records: []record{line(0), line(1), line(2), line(3), {gap: &proto.Gap{From: 3, To: 9}}}, want: verdict{gaps: 1, gapBytes: 6},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			j := newJudge(text, 1, lines)
			for _, r := range test.records {
				j.take(r)
			}
			got := j.verdict(test.windows)
			if fine := got.faults(mode{}) == ""; fine != test.fine {
				t.Errorf("faults: %q", got.faults(mode{}))
			}
			got.examples, got.lostBytes, test.want.written = nil, 0, lines
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}
