package normalize_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/suricata"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/tracee"
	"github.com/openclaw-security/bus/services/testing/normalizetest"
)

const alert = `"timestamp":"2026-11-22T07:09:03.1+0000","event_type":"alert","alert":{"signature_id":9,"signature":"LAB alert","severity":1}`

func newNormalizer(source string, sensor normalize.Sensor) *normalize.Normalizer {
	return &normalize.Normalizer{Host: normalizetest.Host, Source: source, Sensor: sensor, Now: normalizetest.Now}
}

// The table of the package comment, line by line.
func TestEvent(t *testing.T) {
	n := newNormalizer("suricata", suricata.Sensor{})
	big := `{` + alert + `,"payload":"` + strings.Repeat("A", 1<<20) + `"}`
	for _, test := range []struct {
		name, line string
		kind       string
		severity   proto.Severity
		tags       []string
		raw        bool
		reason     string
	}{
		{name: "an object", line: `{` + alert + `}`, kind: "alert", severity: proto.SeverityHigh, raw: true},
		{name: "an object between white space", line: " \t{" + alert + "}\r", kind: "alert", severity: proto.SeverityHigh, raw: true},
		{name: "a megabyte", line: big, kind: "alert", severity: proto.SeverityHigh, raw: true},
		{name: "empty object", line: `{}`, kind: "unknown", severity: proto.SeverityLow, tags: []string{"mapping-mismatch", "no-time"}, raw: true},

		{name: "a name twice", line: `{` + alert + `,"flow_id":1,"flow_id":2}`, kind: "alert", severity: proto.SeverityHigh, tags: []string{"duplicate-keys"}, raw: true},
		{name: "a name twice, deep down", line: `{` + alert + `,"x":[{"y":{"z":1,"z":2}}]}`, kind: "alert", severity: proto.SeverityHigh, tags: []string{"duplicate-keys"}, raw: true},
		{name: "malformed UTF-8", line: `{` + alert + ",\"payload_printable\":\"\xff\"}", kind: "alert", severity: proto.SeverityHigh, tags: []string{"malformed-utf8"}, reason: "malformed UTF-8 at byte 148"},
		{name: "malformed UTF-8 in a name", line: `{` + alert + ",\"\xc3\":1}", kind: "alert", severity: proto.SeverityHigh, tags: []string{"malformed-utf8"}, reason: "malformed UTF-8 at byte 128"},
		{name: "half a surrogate pair", line: `{` + alert + `,"payload_printable":"\udc00"}`, kind: "alert", severity: proto.SeverityHigh, tags: []string{"malformed-utf8"}, raw: true},
		{name: "unexpected type", line: `{` + alert + `,"dns":{"type":1}}`, kind: "alert", severity: proto.SeverityHigh, tags: []string{"mapping-mismatch"}, raw: true},
		{name: "number out of range", line: `{` + alert + `,"src_port":65536}`, kind: "alert", severity: proto.SeverityHigh, tags: []string{"mapping-mismatch"}, raw: true},
		{name: "all of these", line: `{` + alert + ",\"src_ip\":1,\"x\":1,\"x\":\"\xff\"}", kind: "alert", severity: proto.SeverityHigh, tags: []string{"mapping-mismatch", "duplicate-keys", "malformed-utf8"}, reason: "malformed UTF-8 at byte 149"},
		{name: "no time", line: `{"event_type":"flow","timestamp":"now"}`, kind: "flow", tags: []string{"no-time"}, raw: true},
		{name: "deep, within the bound", line: `{` + alert + `,"x":` + strings.Repeat("[", 511) + strings.Repeat("]", 511) + `}`, kind: "alert", severity: proto.SeverityHigh, raw: true},
		{name: "many objects, none deep", line: `{` + alert + `,"x":[` + strings.Repeat("{},", 999) + `{}]}`, kind: "alert", severity: proto.SeverityHigh, raw: true},
		{name: "brackets in a string", line: `{` + alert + `,"x":"` + strings.Repeat("[", 999) + `"}`, kind: "alert", severity: proto.SeverityHigh, raw: true},

		{name: "a BOM", line: "\ufeff{" + alert + "}", kind: "alert", severity: proto.SeverityHigh, tags: []string{"prefixed"}, raw: true},
		{name: "a prefix", line: "@cee: {" + alert + "}\r", kind: "alert", severity: proto.SeverityHigh, tags: []string{"prefixed"}, raw: true},
		{name: "a prefix, and a name twice", line: "@cee: {" + alert + `,"x":1,"x":2}`, kind: "alert", severity: proto.SeverityHigh, tags: []string{"duplicate-keys", "prefixed"}, raw: true},
		{name: "NUL before the object", line: "\x00\x00{" + alert + "}", kind: "alert", severity: proto.SeverityHigh, tags: []string{"prefixed"}, raw: true},

		{name: "too deep", line: `{` + alert + `,"x":` + strings.Repeat("[", 512) + strings.Repeat("]", 512) + `}`, kind: "alert", severity: proto.SeverityHigh, tags: []string{"damaged"}, reason: "nested deeper than 512 levels at byte 642"},
		{name: "too deep before it", line: `{"x":` + strings.Repeat(`{"a":[`, 600) + strings.Repeat("]}", 600) + `,` + alert + `}`, kind: "alert", severity: proto.SeverityHigh, tags: []string{"damaged"}, reason: "nested deeper than 512 levels at byte 1540"},
		{name: "far too deep", line: strings.Repeat(`{"a":`, 100_000), reason: "nested deeper than 512 levels at byte 2560"},
		{name: "empty", line: "", severity: proto.SeverityLow, reason: "nothing but white space"},
		{name: "white space", line: " \t\r", severity: proto.SeverityLow, reason: "nothing but white space"},
		{name: "cut off", line: `{` + alert, kind: "alert", severity: proto.SeverityHigh, tags: []string{"cut-off"}, reason: "cut off at byte 126"},
		{name: "cut off in a string", line: `{` + alert + `,"payload":"ab`, kind: "alert", severity: proto.SeverityHigh, tags: []string{"cut-off"}, reason: "cut off at byte 140"},
		{name: "cut off in its kind", line: `{"event_type":"al`, reason: "cut off at byte 17"},
		{name: "cut off after its kind", line: `{"event_type":"flow","src_ip":"192.`, kind: "flow", severity: proto.SeverityLow, tags: []string{"cut-off", "no-time"}, reason: "cut off at byte 35"},
		{name: "cut off before the priority", line: `{"event_type":"alert","alert":{"action":"all`, kind: "alert", severity: proto.SeverityMedium, tags: []string{"cut-off", "no-time"}, reason: "cut off at byte 44"},
		{name: "two objects", line: `{` + alert + `}{` + alert + `}`, kind: "alert", severity: proto.SeverityHigh, tags: []string{"joined"}, reason: "data after a JSON value at byte 127"},
		{name: "the second is more severe", line: `{"timestamp":"2026-11-22T07:09:03.1+0000","event_type":"flow"} {` + alert + `}`, kind: "alert", severity: proto.SeverityHigh, tags: []string{"joined"}, reason: "data after a JSON value at byte 63"},
		{name: "the first is more severe", line: `{` + alert + `},{"timestamp":"2026-11-22T07:09:03.1+0000","event_type":"flow"}`, kind: "alert", severity: proto.SeverityHigh, tags: []string{"joined"}, reason: "data after a JSON value at byte 127"},
		{name: "another record behind a torn string", line: `{"timestamp":"2026-11-22T07:09:03.1+0000","event_type":"flow","src_ip":"192.{` + alert + `}`, kind: "alert", severity: proto.SeverityHigh, tags: []string{"cut-off", "joined"}, reason: "malformed JSON at byte 78: invalid character 't' after object value (expecting ',' or '}')"},
		{name: "behind a torn number", line: `{"timestamp":"2026-11-22T07:09:03.1+0000","flow_id":12{` + alert + `}`, kind: "alert", severity: proto.SeverityHigh, tags: []string{"cut-off"}, reason: "malformed JSON at byte 54: invalid character '{' after object value (expecting ',' or '}')"},
		{name: "behind a name", line: `{"timestamp":"2026-11-22T07:09:03.1+0000","flow":{` + alert + `}`, kind: "alert", severity: proto.SeverityHigh, tags: []string{"cut-off"}, reason: "cut off at byte 176"},
		{name: "behind a backslash", line: `{"timestamp":"2026-11-22T07:09:03.1+0000","x":"a\{` + alert + `}`, kind: "alert", severity: proto.SeverityHigh, tags: []string{"cut-off", "damaged"}, reason: "malformed JSON at byte 48: invalid escape sequence `\\{` in string"},
		{name: "behind NUL bytes", line: `{"timestamp":"2026-11-22T07:09:03.1+0000","alert":{"severity":3` + "\x00\x00\x00{" + alert + `}`, kind: "alert", severity: proto.SeverityHigh, tags: []string{"cut-off", "joined"}, reason: "NUL at byte 63"},
		{name: "behind a thousand braces", line: `{"x":"` + strings.Repeat("{", 1000) + `"{` + strings.Repeat("{", 1000) + `{` + alert + `}`, kind: "alert", severity: proto.SeverityHigh, tags: []string{"cut-off"}, reason: "malformed JSON at byte 1007: invalid character '{' after object value (expecting ',' or '}')"},
		{name: "a torn record behind a whole one", line: `{` + alert + `}{"timestamp":"2026-11-22T07:09:03.1+0000","event_type":"fl`, kind: "alert", severity: proto.SeverityHigh, tags: []string{"cut-off"}, reason: "data after a JSON value at byte 127"},
		{name: "data after the object", line: `{` + alert + `} x`, kind: "alert", severity: proto.SeverityHigh, reason: "data after a JSON value at byte 128"},
		{name: "data after an object that is no record", line: `{} x`, reason: "data after a JSON value at byte 3"},
		{name: "NUL in a string", line: "{" + alert + ",\"x\":\"\x00\"}", kind: "alert", severity: proto.SeverityHigh, tags: []string{"damaged"}, reason: "NUL at byte 132"},
		{name: "NUL after the object", line: "{" + alert + "}\x00", kind: "alert", severity: proto.SeverityHigh, reason: "NUL at byte 127"},
		{name: "not a number", line: `{"x":NaN,"y":01,` + alert + `}`, kind: "alert", severity: proto.SeverityHigh, tags: []string{"damaged"}, reason: `malformed JSON at byte 5: invalid character 'N' at start of value`},
		{name: "array", line: `[{}]`, reason: "JSON, but not an object"},
		{name: "null", line: `null`, reason: "JSON, but not an object"},
		{name: "string", line: `"x"`, reason: "JSON, but not an object"},
		{name: "text", line: `22/11/2026 -- 07:09:03 - <Notice> - all 4 packet threads`, reason: "data after a JSON value at byte 2"},
		{name: "bare name", line: `{event_type:"alert"}`, reason: "malformed JSON at byte 1: invalid character 'e' at start of value"},
		{name: "control character in a string", line: "{\"x\":\"a\x01\"}", reason: `malformed JSON at byte 7: invalid character '\x01' in string (expecting non-control character)`},
		{name: "bytes", line: "\xff\xfe{", reason: `malformed JSON at byte 0: invalid character '\xff' at start of value`},
	} {
		t.Run(test.name, func(t *testing.T) {
			normalizetest.Check(t, n, []byte(test.line))
			var e proto.Event
			n.Event(&e, []byte(test.line), proto.Origin{})
			if test.kind == "" {
				test.kind, test.severity, test.tags = proto.KindUnparsed, cmp.Or(test.severity, proto.SeverityMedium), []string{"no-time"}
			}
			if e.Kind != test.kind || e.Severity != test.severity {
				t.Errorf("kind %s, severity %s; want %s, %s", e.Kind, e.Severity, test.kind, test.severity)
			}
			if e.Severity == proto.SeverityHigh && (!strings.HasPrefix(e.Title, "LAB alert") || e.Rule.ID != "9" || e.Time.IsZero()) {
				t.Errorf("the alert has lost something: %s", e.AppendJSON(nil))
			}
			if !slices.Equal(e.Tags, test.tags) {
				t.Errorf("tags %v, want %v", e.Tags, test.tags)
			}
			if (len(e.Raw) > 0) != test.raw {
				t.Errorf("raw is %q", e.Raw)
			}
			reason := ""
			if e.Line != nil {
				reason = e.Line.Reason
				if e.Line.Length != int64(len(test.line)) {
					t.Errorf("length %d, want %d", e.Line.Length, len(test.line))
				}
			}
			if reason != test.reason {
				t.Errorf("reason %q, want %q", reason, test.reason)
			}
		})
	}
}

// What a decode leaves behind must not get into the next event.
// A record of a sensor is its own, and no line of another program is. Those of its
// recordings are tested with them.
func TestOwn(t *testing.T) {
	for _, n := range []*normalize.Normalizer{newNormalizer("suricata", suricata.Sensor{}), newNormalizer("tracee", tracee.Sensor{})} {
		for _, line := range []string{
			"", "{}", "text", `[{"timestamp":"2026-11-22T07:09:03.1+0000","event_type":"flow"}]`,
			`2026-11-22T07:09:03Z INFO started {"version":3}`,
			`{"timestamp":"2026-11-22T07:09:03.1+0000","level":"info","msg":"started"}`,
			`{"time":"2026-11-22T07:09:03Z","event":"started","name":7}`,
			`{"timestamp":"yesterday","event_type":"flow","eventName":"execve"}`,
			`{"timestamp":"2026-11-22T07:09:03.1+0000","event_type":"flow"`,
		} {
			if n.Own([]byte(line)) {
				t.Errorf("%s: %s is its own", n.Source, line)
			}
		}
	}
	n := newNormalizer("suricata", suricata.Sensor{})
	for _, line := range []string{"@cee: {" + alert + "}\r", "\ufeff{" + alert + "}", `{` + alert + `,"src_ip":1}`} {
		if !n.Own([]byte(line)) {
			t.Errorf("%s is not its own", line)
		}
	}
}

func TestEventIsReset(t *testing.T) {
	n := newNormalizer("suricata", suricata.Sensor{})
	var fresh, used proto.Event
	n.Event(&used, []byte(`{`+alert+",\"src_ip\":\"192.0.2.1\",\"x\":\"\xff\"}"), proto.Origin{})
	n.Event(&used, []byte(`{"event_type":"stats"}`), proto.Origin{})
	n.Event(&fresh, []byte(`{"event_type":"stats"}`), proto.Origin{})
	if !reflect.DeepEqual(fresh, used) {
		t.Errorf("got  %s\nwant %s", used.AppendJSON(nil), fresh.AppendJSON(nil))
	}
}

func TestUnparsed(t *testing.T) {
	n := newNormalizer("suricata", suricata.Sensor{})
	for _, test := range []struct {
		name       string
		text       []byte
		length     int64
		wantText   string
		wantBase64 []byte
	}{
		{"whole", []byte("abc\x1b"), 4, "abc\x1b", nil},
		{"a beginning", []byte("abc"), 1 << 30, "abc", nil},
		{"cut within a character", []byte("ab\xe2\x82"), 1 << 30, "ab", nil},
		{"ends within a character", []byte("ab\xe2\x82"), 4, "", []byte("ab\xe2\x82")},
		{"not UTF-8", []byte("\xff\x00"), 2, "", []byte("\xff\x00")},
		{"long", bytes.Repeat([]byte("ä"), 10_000), 20_000, strings.Repeat("ä", 8192), nil},
		{"long, cut within a character", append([]byte("x"), bytes.Repeat([]byte("ä"), 10_000)...), 20_001, "x" + strings.Repeat("ä", 8191), nil},
		{"long, not UTF-8", bytes.Repeat([]byte{0x80}, 20_000), 20_000, "", bytes.Repeat([]byte{0x80}, 16_384)},
		{"empty", nil, 0, "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := proto.Event{Kind: "old", Raw: []byte("{}")}
			n.Damaged(&e, test.text, test.length, "line is too long", proto.Origin{File: "eve.json", Generation: "g", Offset: 5})
			severity := proto.SeverityMedium
			if len(test.text) == 0 {
				severity = proto.SeverityLow
			}
			want := proto.Event{
				ID:   proto.EventID("box1", "suricata", "g", 5, test.text),
				Time: normalizetest.Now(),
				Host: "box1", Source: "suricata", Kind: proto.KindUnparsed,
				Severity: severity, SeverityID: severity.ID(),
				Title:  "Line of suricata that cannot be read: line is too long",
				Tags:   []string{"no-time"},
				Origin: &proto.Origin{File: "eve.json", Generation: "g", Offset: 5},
				Line:   &proto.Line{Reason: "line is too long", Length: test.length, Text: test.wantText, Base64: base64.StdEncoding.EncodeToString(test.wantBase64)},
			}
			if !reflect.DeepEqual(e, want) {
				t.Errorf("got  %.300s\nwant %.300s", e.AppendJSON(nil), want.AppendJSON(nil))
			}
		})
	}
}

// Of a line that the file does not hold whole, what there is says how it is told.
func TestDamaged(t *testing.T) {
	n := newNormalizer("suricata", suricata.Sensor{})
	whole := `{` + alert + `}`
	for _, test := range []struct {
		name, text string
		length     int
		kind       string
		severity   proto.Severity
		tags       []string
		raw        bool
	}{
		{"whole, without a newline", whole, len(whole), "alert", proto.SeverityHigh, []string{"unterminated"}, true},
		{"torn", whole[:100] + ",", 101, "alert", proto.SeverityMedium, []string{"cut-off"}, false},
		{"torn before its kind", whole[:50], 50, proto.KindUnparsed, proto.SeverityMedium, []string{"no-time"}, false},
		{"too long", `{` + alert + `,"dns":{"answers":[` + strings.Repeat(`{"rdata":"192.0.2.1"},`, 40_000), 1 << 22, "alert", proto.SeverityHigh, []string{"cut-off"}, false},
		{"a record, and what has not been read", `{"timestamp":"2026-11-22T07:09:03.1+0000","event_type":"flow"}`, 1 << 22, "flow", proto.SeverityMedium, []string{"cut-off"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var e proto.Event
			n.Damaged(&e, []byte(test.text), int64(test.length), "why", proto.Origin{})
			if e.Kind != test.kind || e.Severity != test.severity || !slices.Equal(e.Tags, test.tags) || len(e.Raw) > 0 != test.raw {
				t.Errorf("kind %s, severity %s, tags %v, raw %t", e.Kind, e.Severity, e.Tags, len(e.Raw) > 0)
			}
			if !test.raw && (e.Line == nil || e.Line.Reason != "why" || e.Line.Length != int64(test.length)) {
				t.Errorf("line %.100v", e.Line)
			}
			if e.Severity == proto.SeverityHigh && (e.Title != "LAB alert" || e.Rule.ID != "9") {
				t.Errorf("title %q, rule %v", e.Title, e.Rule)
			}
		})
	}
}

// Of several detections in a line the event is the most severe, and names the others.
func TestJoinedDetectionsAreNamed(t *testing.T) {
	record := func(name string, priority int) string {
		return fmt.Sprintf(`{"timestamp":"2026-11-22T07:09:03.1+0000","event_type":"alert","alert":{"signature_id":%d,"signature":%q,"severity":%d}}`, priority, name, priority)
	}
	var e proto.Event
	newNormalizer("suricata", suricata.Sensor{}).Event(&e, []byte(record("two", 2)+record("one", 1)+record("three", 3)), proto.Origin{})
	if e.Title != "one; in the same line: two; in the same line: three" || e.Rule.ID != "1" || e.Severity != proto.SeverityHigh {
		t.Errorf("got %s", e.AppendJSON(nil))
	}
}

// A member of a record is not taken for a record, whatever its names are.
func TestPartOfARecordIsNoRecord(t *testing.T) {
	var e proto.Event
	newNormalizer("tracee", tracee.Sensor{}).Event(&e, []byte(`{"timestamp":1795331671043240871,"processName":"sh","eventName":"sched_process_exec","args":[{"name":"argv","value":["sh"]}`), proto.Origin{})
	if e.Kind != "sched_process_exec" || e.Severity != proto.SeverityMedium || e.Process.Name != "sh" || !slices.Equal(e.Tags, []string{"cut-off"}) {
		t.Errorf("got %s", e.AppendJSON(nil))
	}
}

// However a line is damaged, a record on it keeps its severity: whatever stands in
// front of it or behind, and wherever the record in front is torn.
func TestWhereverTheLineIsTorn(t *testing.T) {
	n := newNormalizer("suricata", suricata.Sensor{})
	torn := `{"timestamp":"2026-11-22T07:09:03.1+0000","flow_id":1,"event_type":"flow","x":["a\"b\\",{"y":null,"z":"\u00e4"},[],{}],"flow":{"bytes_toserver":1}}`
	for i := range len(torn) {
		for _, between := range []string{"", "\x00\x00", "\n", "\r"} {
			line := torn[:i] + between + `{` + alert + `}`
			var e proto.Event
			n.Event(&e, []byte(line), proto.Origin{})
			if e.Severity != proto.SeverityHigh || e.Rule == nil || e.Rule.ID != "9" {
				t.Errorf("%q became %s", line, e.AppendJSON(nil))
			}
			normalizetest.Check(t, n, []byte(line))
		}
	}
	whole := `{` + alert + `,"x":["a",{"y":null}]}`
	for i := strings.Index(whole, `,"x"`); i < len(whole); i++ {
		var e proto.Event
		n.Event(&e, []byte(whole[:i]), proto.Origin{})
		if e.Severity != proto.SeverityHigh || e.Rule == nil || e.Rule.ID != "9" {
			t.Errorf("%q became %s", whole[:i], e.AppendJSON(nil))
		}
	}
}

func FuzzDamagedLine(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"c`), []byte(`"192.`))
	f.Add([]byte(`{"a":"{`), []byte("\x00"))
	n := newNormalizer("suricata", suricata.Sensor{})
	f.Fuzz(func(t *testing.T, front, back []byte) {
		line := slices.Concat(front, []byte(`{`+alert+`}`), back)
		normalizetest.Check(t, n, line)
		normalizetest.Check(t, n, front)
	})
}

// Reading what is damaged takes time linear in the length of the line.
func BenchmarkDamaged(b *testing.B) {
	n := newNormalizer("suricata", suricata.Sensor{})
	for name, unit := range map[string]string{"open": `{"a":`, "torn": `{"a":"{"`, "objects": `{"a":1}`, "strings": `{"a":"b`} {
		for _, size := range []int{64 << 10, 256 << 10, 1 << 20} {
			line := []byte(strings.Repeat(unit, size/len(unit)))
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.SetBytes(int64(len(line)))
				var e proto.Event
				for b.Loop() {
					n.Event(&e, line, proto.Origin{})
				}
			})
		}
	}
}

func TestGap(t *testing.T) {
	n := newNormalizer("suricata", suricata.Sensor{})
	origin := proto.Origin{File: "eve.json", Generation: "g", Offset: 100}
	ids := map[string]bool{}
	for _, test := range []struct {
		name  string
		gap   proto.Gap
		title string
	}{
		{"bytes", proto.Gap{From: 100, To: 250, Reason: "truncated"}, "Lost before it could be read: 150 bytes of eve.json from suricata (truncated)"},
		{"one byte", proto.Gap{From: 100, To: 101, Reason: "truncated"}, "Lost before it could be read: 1 byte of eve.json from suricata (truncated)"},
		{"unknown", proto.Gap{From: 100, To: 100, Reason: "file is gone"}, "Lost before it could be read: an unknown number of bytes of eve.json from suricata (file is gone)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := proto.Event{Raw: []byte("{}"), Tags: []string{"old"}}
			n.Gap(&e, test.gap, origin)
			if ids[e.ID] {
				t.Errorf("id %s is another gap's", e.ID)
			}
			ids[e.ID] = true
			want := proto.Event{
				ID: e.ID, Time: normalizetest.Now(), Host: "box1", Source: "suricata", Kind: proto.KindGap,
				Severity: proto.SeverityMedium, SeverityID: 3, Title: test.title, Gap: &test.gap, Origin: &origin,
			}
			if !reflect.DeepEqual(e, want) {
				t.Errorf("got  %s\nwant %s", e.AppendJSON(nil), want.AppendJSON(nil))
			}
		})
	}
}

func TestOversize(t *testing.T) {
	if normalizetest.MaxRecord != normalize.MaxRecord {
		t.Errorf("normalizetest.MaxRecord is %d", normalizetest.MaxRecord)
	}
	n := newNormalizer("suricata", suricata.Sensor{})
	line := `{` + alert + `,"src_ip":"192.0.2.1","payload":"` + strings.Repeat("A", 2<<20) + `"}`
	var e proto.Event
	n.Event(&e, []byte(line), proto.Origin{})
	id := e.ID
	n.Oversize(&e, 1<<20)
	if e.ID != id || e.Title != "LAB alert" || e.Src.IP != "192.0.2.1" || e.Severity != proto.SeverityHigh {
		t.Errorf("normalized fields are gone: %.500s", e.AppendJSON(nil))
	}
	want := proto.Line{Reason: "the event does not fit a message of 1048576 bytes", Length: int64(len(line)), Text: line[:16<<10]}
	if e.Raw != nil || *e.Line != want || e.Tags != nil || e.RawSHA256 != fmt.Sprintf("%x", sha256.Sum256([]byte(line))) {
		t.Errorf("raw %d bytes, tags %v, line %.100q", len(e.Raw), e.Tags, e.Line.Text)
	}
}

// The event fits, no matter which field is long and how long its JSON form is.
func TestOversizeFitsAnyLongField(t *testing.T) {
	var e proto.Event
	fill(reflect.ValueOf(&e).Elem())
	e.Raw, e.Time = nil, normalizetest.Now()
	if size := len(e.AppendJSON(nil)); size < 16*normalize.MaxRecord {
		t.Fatalf("the event is only %d bytes long", size)
	}
	new(normalize.Normalizer).Oversize(&e, normalize.MaxRecord)
	out := e.AppendJSON(nil)
	if len(out) > normalize.MaxRecord {
		t.Errorf("the event is %d bytes long", len(out))
	}
	if !json.Valid(out) || !slices.Contains(e.Tags, normalize.TagClipped) {
		t.Errorf("valid %v, tags %d", json.Valid(out), len(e.Tags))
	}
}

// fill makes every string and list of v long. What the shipper itself writes it
// leaves alone: ids, origins, and the text of lines, which has a bound already.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(strings.Repeat("\x01", 5_000))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 30, 30))
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			switch f := v.Type().Field(i); f.Name {
			case "ID":
				if v.Type() == reflect.TypeFor[proto.Event]() {
					continue
				}
				fill(v.Field(i))
			case "Time", "Origin", "Gap":
			case "Line":
				v.Field(i).Set(reflect.ValueOf(&proto.Line{Base64: strings.Repeat("A", 64<<10)}))
			default:
				fill(v.Field(i))
			}
		}
	}
}

func TestAddress(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1",
		"0000:0000:0000:0000:0000:0000:0000:0001": "::1",
		"2001:DB8::0:1":    "2001:db8::1",
		"::ffff:192.0.2.1": "192.0.2.1",
		"fe80::1%eth0":     "fe80::1%eth0",
		"not:an:address":   "not:an:address",
		"":                 "",
	} {
		if got := normalize.Address(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// Titles are made of what attackers send.
func TestTitle(t *testing.T) {
	n := newNormalizer("suricata", suricata.Sensor{})
	for _, test := range []struct{ name, signature, want string }{
		{"plain", `plain text`, "plain text"},
		{"spaces around", `  text \t`, "text"},
		{"lines and escapes", "a\\nb\\r\\u001b[31mc\\u007f\\u009bd", "a b  [31mc  d"},
		{"separators and directions", "a\\u2028b\\u202ec\\u2066d", "a b c d"},
		{"other alphabets", "Тревога ⚠ 警报", "Тревога ⚠ 警报"},
		{"exactly long enough", strings.Repeat("ä", 200), strings.Repeat("ä", 200)},
		{"too long", strings.Repeat("ä", 201), strings.Repeat("ä", 199) + "…"},
		{"too long, ASCII", strings.Repeat("a", 201), strings.Repeat("a", 199) + "…"},
		{"nothing to show", "\\u0007", "alert"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var e proto.Event
			n.Event(&e, []byte(`{"event_type":"alert","alert":{"severity":1,"signature":"`+test.signature+`"}}`), proto.Origin{})
			if e.Title != test.want {
				t.Errorf("title %q, want %q", e.Title, test.want)
			}
		})
	}
}

// An event always has a title, even if its sensor names it with nothing visible.
func TestTitleOfInvisibleKind(t *testing.T) {
	var e proto.Event
	newNormalizer("suricata", suricata.Sensor{}).Event(&e, []byte(`{"event_type":"\u0007"}`), proto.Origin{})
	if e.Title != "Record of suricata" {
		t.Errorf("title %q", e.Title)
	}
}
