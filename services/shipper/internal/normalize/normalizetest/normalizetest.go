// Package normalizetest holds what the tests of all sensors check alike.
package normalizetest

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// ReadAt is the time at which a [New] normalizer reads everything.
var ReadAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// New returns a normalizer of host "box1" with a clock that stands still.
func New(source string, sensor normalize.Sensor) *normalize.Normalizer {
	return &normalize.Normalizer{Host: "box1", Source: source, Sensor: sensor, Now: func() time.Time { return ReadAt }}
}

// Lines returns a file's lines without their newlines.
func Lines(t testing.TB, file string) [][]byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSuffix(data, []byte{'\n'}), []byte{'\n'})
}

// Golden normalizes the lines of a file and compares the events with the golden
// file testdata/<name>.golden, one to a line. Raw is left out of it: that it is
// the line is checked instead.
func Golden(t *testing.T, n *normalize.Normalizer, file, name string) {
	t.Helper()
	var got []byte
	var e proto.Event
	offset := int64(0)
	for _, line := range Lines(t, file) {
		n.Event(&e, line, proto.Origin{File: filepath.Base(file), Generation: "g1", Offset: offset})
		offset += int64(len(line)) + 1
		if e.Line == nil && !bytes.Equal(e.Raw, line) {
			t.Errorf("raw is not the line %.80q", line)
		}
		e.Raw = nil
		got = append(e.AppendJSON(got), '\n')
	}

	golden := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := Lines(t, golden)
	lines := bytes.Split(bytes.TrimSuffix(got, []byte{'\n'}), []byte{'\n'})
	if len(lines) != len(want) {
		t.Fatalf("%d events, %s has %d", len(lines), golden, len(want))
	}
	for i := range lines {
		if !bytes.Equal(lines[i], want[i]) {
			t.Errorf("%s:%d\n got %s\nwant %s", golden, i+1, lines[i], want[i])
		}
	}
}

// Check normalizes a line and checks what holds for every event, whatever the
// line is.
func Check(t testing.TB, n *normalize.Normalizer, line []byte) {
	t.Helper()
	origin := proto.Origin{File: "f", Generation: "g1", Offset: 7}
	var e proto.Event
	n.Event(&e, line, origin)
	first := e.AppendJSON(nil)

	if e.ID != proto.EventID(n.Host, n.Source, "g1", 7, line) {
		t.Errorf("id %q is not that of the line", e.ID)
	}
	if n.Event(&e, line, origin); !bytes.Equal(first, e.AppendJSON(nil)) {
		t.Errorf("the second time the event is another:\n%s\n%s", first, e.AppendJSON(nil))
	}
	if !json.Valid(first) {
		t.Errorf("not valid JSON: %s", first)
	}
	if _, err := proto.ParseSubject(e.Subject().Ingest()); err != nil {
		t.Error(err)
	}
	if e.SeverityID != e.Severity.ID() {
		t.Errorf("severity_id is %d for %s", e.SeverityID, e.Severity)
	}
	if y := e.Time.Year(); y < 1 || y > 9999 {
		t.Errorf("time is in year %d", y)
	}
	if c := utf8.RuneCountInString(e.Title); c == 0 || c > 200 || strings.ContainsFunc(e.Title, unicode.IsControl) {
		t.Errorf("title of %d characters: %q", c, e.Title)
	}
	switch {
	case len(e.Raw) > 0 && e.Line == nil:
		if !bytes.Equal(e.Raw, bytes.Trim(line, " \t\r\n")) {
			t.Errorf("raw is not the line: %q", e.Raw)
		}
		if !utf8.Valid(first) {
			t.Errorf("not UTF-8: %q", first)
		}
	case len(e.Raw) == 0 && e.Line != nil:
		if e.Line.Reason == "" {
			t.Error("line without a reason")
		}
	default:
		t.Errorf("either raw or line must be set: %s", first)
	}
	normalize.Oversize(&e, normalize.MinLimit)
	if out := e.AppendJSON(nil); len(out) > normalize.MinLimit || !json.Valid(out) {
		t.Errorf("after Oversize: %d bytes, valid %v", len(out), json.Valid(out))
	}
}

// Clean checks that every line of a file is a record that fits the mapping
// entirely, and returns how many events of each kind there are.
func Clean(t testing.TB, n *normalize.Normalizer, file string) map[string]int {
	t.Helper()
	kinds := map[string]int{}
	for i, line := range Lines(t, file) {
		var e proto.Event
		if err := n.Sensor.Decode(line, &e); err != nil {
			t.Errorf("%s:%d: %v", filepath.Base(file), i+1, err)
		}
		n.Event(&e, line, proto.Origin{})
		kinds[e.Kind]++
		if e.Line != nil || len(e.Tags) > 0 {
			t.Errorf("%s:%d: kind %s, tags %v, line %+v", filepath.Base(file), i+1, e.Kind, e.Tags, e.Line)
		}
		Check(t, n, line)
	}
	return kinds
}

// Corpus returns the files that pattern matches in the folder that
// OPENCLAW_CORPUS names; without one the test is skipped.
func Corpus(t testing.TB, pattern string) []string {
	t.Helper()
	root := os.Getenv("OPENCLAW_CORPUS")
	if root == "" {
		t.Skip("OPENCLAW_CORPUS names no folder of recordings")
	}
	files, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no file matches %s: %v", pattern, err)
	}
	return files
}
