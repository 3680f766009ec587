// Package normalizetest holds what the tests of all sensors check alike. It cannot
// import package normalize, which is internal to the shipper, and is given what it
// checks.
package normalizetest

import (
	"bytes"
	"crypto/sha256"
	stdjson "encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/secret"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Host is the host of all normalizers that are checked.
const Host = "box1"

// MaxRecord is normalize.MaxRecord.
const MaxRecord = 64 << 10

// Tags of package normalize.
const (
	tagRedacted = "redacted"
	tagPrefixed = "prefixed"
)

// Now is the clock of all normalizers that are checked: it stands still.
func Now() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// Normalizer is a normalize.Normalizer of [Host] and [Now].
type Normalizer interface {
	Event(e *proto.Event, line []byte, origin proto.Origin)
	Oversize(e *proto.Event, limit int)
	Own(line []byte) bool
}

// Sensor is a normalize.Sensor.
type Sensor interface {
	Decode(line []byte, e *proto.Event, opts ...json.Options) error
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
// the line without its secrets is checked instead.
func Golden(t *testing.T, n Normalizer, file, name string) {
	t.Helper()
	var got []byte
	var e proto.Event
	offset := int64(0)
	for _, line := range Lines(t, file) {
		n.Event(&e, line, proto.Origin{File: filepath.Base(file), Generation: "g1", Offset: offset})
		offset += int64(len(line)) + 1
		if e.Line == nil {
			checkRaw(t, &e, line)
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

// Check normalizes a line and checks what holds for every event, of any
// line.
func Check(t testing.TB, n Normalizer, line []byte) {
	t.Helper()
	origin := proto.Origin{File: "f", Generation: "g1", Offset: 7}
	var e proto.Event
	n.Event(&e, line, origin)
	first := e.AppendJSON(nil)

	if e.Host != Host || e.ID != proto.EventID(Host, e.Source, "g1", 7, line) {
		t.Errorf("id %q is not that of the line", e.ID)
	}
	if n.Event(&e, line, origin); !bytes.Equal(first, e.AppendJSON(nil)) {
		t.Errorf("the second time the event is another:\n%s\n%s", first, e.AppendJSON(nil))
	}
	if !stdjson.Valid(first) {
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
		checkRaw(t, &e, line)
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
	n.Oversize(&e, MaxRecord)
	if out := e.AppendJSON(nil); len(out) > MaxRecord || !stdjson.Valid(out) {
		t.Errorf("after Oversize: %d bytes, valid %v", len(out), stdjson.Valid(out))
	}
}

// checkRaw checks that Raw is the line without its secrets, and that the event
// says so.
func checkRaw(t testing.TB, e *proto.Event, line []byte) {
	t.Helper()
	record := bytes.Trim(line, " \t\r\n")
	if slices.Contains(e.Tags, tagPrefixed) {
		record = record[bytes.IndexByte(record, '{'):]
	}
	raw, found := secret.JSON(record)
	if !bytes.Equal(e.Raw, raw) {
		t.Errorf("raw is not the line: %q", e.Raw)
	}
	sum := ""
	if found {
		sum = fmt.Sprintf("%x", sha256.Sum256(line))
	}
	if e.RawSHA256 != sum || slices.Contains(e.Tags, tagRedacted) != found {
		t.Errorf("tags %q, raw_sha256 %q, want %q, of %q", e.Tags, e.RawSHA256, sum, e.Raw)
	}
}

// Clean checks that every line of a file is a record that sensor can map entirely,
// and returns how many events of each kind there are.
func Clean(t testing.TB, n Normalizer, sensor Sensor, file string) map[string]int {
	t.Helper()
	kinds := map[string]int{}
	for i, line := range Lines(t, file) {
		var e proto.Event
		if err := sensor.Decode(line, &e); err != nil {
			t.Errorf("%s:%d: %v", filepath.Base(file), i+1, err)
		}
		if !n.Own(line) {
			t.Errorf("%s:%d: it is not the sensor's own", filepath.Base(file), i+1)
		}
		n.Event(&e, line, proto.Origin{})
		kinds[e.Kind]++
		tags := slices.DeleteFunc(slices.Clone(e.Tags), func(tag string) bool { return tag == tagRedacted })
		if e.Line != nil || len(tags) > 0 {
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
