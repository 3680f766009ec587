package normalize_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/normalizetest"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/suricata"
)

const alert = `"timestamp":"2026-11-22T07:09:03.1+0000","event_type":"alert","alert":{"signature_id":9,"signature":"LAB alert","severity":1}`

// The table of the package comment, line by line.
func TestEvent(t *testing.T) {
	n := normalizetest.New("suricata", suricata.Sensor{})
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

		{name: "too deep", line: `{` + alert + `,"x":` + strings.Repeat("[", 512) + strings.Repeat("]", 512) + `}`, reason: "nested deeper than 512 levels at byte 642"},
		{name: "far too deep", line: strings.Repeat(`{"a":`, 100_000), reason: "nested deeper than 512 levels at byte 2560"},
		{name: "empty", line: "", reason: "nothing but white space"},
		{name: "white space", line: " \t\r", reason: "nothing but white space"},
		{name: "cut off", line: `{` + alert, reason: "cut off at byte 126"},
		{name: "cut off in a string", line: `{"event_type":"al`, reason: "cut off at byte 17"},
		{name: "two objects", line: `{` + alert + `}{` + alert + `}`, reason: "data after a JSON value at byte 127"},
		{name: "data after the object", line: `{} x`, reason: "data after a JSON value at byte 3"},
		{name: "NUL in a string", line: "{" + alert + ",\"x\":\"\x00\"}", reason: "NUL at byte 132"},
		{name: "NUL before the object", line: "\x00\x00{" + alert + "}", reason: "NUL at byte 0"},
		{name: "NUL after the object", line: "{}\x00", reason: "NUL at byte 2"},
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
				test.kind, test.severity, test.tags = proto.KindUnparsed, proto.SeverityLow, []string{"no-time"}
			}
			if e.Kind != test.kind || e.Severity != test.severity {
				t.Errorf("kind %s, severity %s; want %s, %s", e.Kind, e.Severity, test.kind, test.severity)
			}
			if e.Kind == "alert" && (e.Title != "LAB alert" || e.Rule.ID != "9" || e.Time.IsZero()) {
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
func TestEventIsReset(t *testing.T) {
	n := normalizetest.New("suricata", suricata.Sensor{})
	var fresh, used proto.Event
	n.Event(&used, []byte(`{`+alert+",\"src_ip\":\"192.0.2.1\",\"x\":\"\xff\"}"), proto.Origin{})
	n.Event(&used, []byte(`{"event_type":"stats"}`), proto.Origin{})
	n.Event(&fresh, []byte(`{"event_type":"stats"}`), proto.Origin{})
	if !reflect.DeepEqual(fresh, used) {
		t.Errorf("got  %s\nwant %s", used.AppendJSON(nil), fresh.AppendJSON(nil))
	}
}

func TestUnparsed(t *testing.T) {
	n := normalizetest.New("suricata", suricata.Sensor{})
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
			n.Unparsed(&e, test.text, test.length, "line is too long", proto.Origin{File: "eve.json", Generation: "g", Offset: 5})
			want := proto.Event{
				ID:   proto.EventID("box1", "suricata", "g", 5, test.text),
				Time: normalizetest.ReadAt,
				Host: "box1", Source: "suricata", Kind: proto.KindUnparsed,
				Severity: proto.SeverityLow, SeverityID: 2,
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

func TestGap(t *testing.T) {
	n := normalizetest.New("suricata", suricata.Sensor{})
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
				ID: e.ID, Time: normalizetest.ReadAt, Host: "box1", Source: "suricata", Kind: proto.KindGap,
				Severity: proto.SeverityMedium, SeverityID: 3, Title: test.title, Gap: &test.gap, Origin: &origin,
			}
			if !reflect.DeepEqual(e, want) {
				t.Errorf("got  %s\nwant %s", e.AppendJSON(nil), want.AppendJSON(nil))
			}
		})
	}
}

func TestOversize(t *testing.T) {
	n := normalizetest.New("suricata", suricata.Sensor{})
	line := `{` + alert + `,"src_ip":"192.0.2.1","payload":"` + strings.Repeat("A", 2<<20) + `"}`
	var e proto.Event
	n.Event(&e, []byte(line), proto.Origin{})
	id := e.ID
	normalize.Oversize(&e, 1<<20)
	if e.ID != id || e.Title != "LAB alert" || e.Src.IP != "192.0.2.1" || e.Severity != proto.SeverityHigh {
		t.Errorf("normalized fields are gone: %.500s", e.AppendJSON(nil))
	}
	want := proto.Line{Reason: "the event does not fit a message of 1048576 bytes", Length: int64(len(line)), Text: line[:16<<10]}
	if e.Raw != nil || *e.Line != want || e.Tags != nil {
		t.Errorf("raw %d bytes, tags %v, line %.100q", len(e.Raw), e.Tags, e.Line.Text)
	}
}

// Whatever field is long, and however long its JSON form, the event fits.
func TestOversizeFitsWhateverIsLong(t *testing.T) {
	var e proto.Event
	fill(reflect.ValueOf(&e).Elem())
	e.Raw, e.Time = nil, normalizetest.ReadAt
	if size := len(e.AppendJSON(nil)); size < 2*normalize.MinLimit {
		t.Fatalf("the event is only %d bytes long", size)
	}
	normalize.Oversize(&e, normalize.MinLimit)
	out := e.AppendJSON(nil)
	if len(out) > normalize.MinLimit {
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
	n := normalizetest.New("suricata", suricata.Sensor{})
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
	normalizetest.New("suricata", suricata.Sensor{}).Event(&e, []byte(`{"event_type":"\u0007"}`), proto.Origin{})
	if e.Title != "Record of suricata" {
		t.Errorf("title %q", e.Title)
	}
}
