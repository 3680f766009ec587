package mapping_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/mapping"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
	"github.com/openclaw-security/bus/services/testing/normalizetest"
)

// shipped are the mappings that the project ships.
var shipped = []string{"falco", "zeek", "openclaw-gateway", "openclaw-posture"}

func load(t testing.TB, name string) *normalize.Normalizer {
	t.Helper()
	s, err := mapping.Load("../../../../mappings/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	return newNormalizer(name, s)
}

func parse(t testing.TB, text string) *normalize.Normalizer {
	t.Helper()
	s, err := mapping.Parse("m.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return newNormalizer("custom", s)
}

func newNormalizer(source string, sensor normalize.Sensor) *normalize.Normalizer {
	return &normalize.Normalizer{Host: normalizetest.Host, Source: source, Sensor: sensor, Now: normalizetest.Now}
}

func TestGolden(t *testing.T) {
	for _, name := range shipped {
		t.Run(name, func(t *testing.T) {
			n := load(t, name)
			normalizetest.Golden(t, n, "testdata/"+name+".json", name)
			normalizetest.Clean(t, n, n.Sensor, "testdata/"+name+".json")
		})
	}
}

func TestEveryShippedMappingIsTested(t *testing.T) {
	files, err := filepath.Glob("../../../../mappings/*.yaml")
	if err != nil || len(files) != len(shipped) {
		t.Errorf("%d mappings are tested of %q (%v)", len(shipped), files, err)
	}
}

// minimal is a mapping without fields; more is added to it.
func minimal(more string) string {
	return "time: {from: $.t, layouts: [unix]}\nkind: $.k\nseverity: {default: info}\n" + more
}

// What does not fit a field is left out and tagged, and nothing else suffers.
func TestMismatch(t *testing.T) {
	const fields = `fields:
  action: $.v
  src.ip: $.v
  src.port: $.v
  file.size: $.v
  http.status: $.v
  process.uid: $.v
  dns.names: $.v
  mitre: $.v
`
	for _, test := range []struct{ name, value, want string }{
		{"text", `"abc"`, `action:"abc" ip:"abc" port:0 size:0 status:0 uid:none names:["abc"] mitre:[] tags:[mapping-mismatch]`},
		{"small number", `7`, `action:"7" ip:"7" port:7 size:7 status:7 uid:7 names:["7"] mitre:[] tags:[]`},
		{"number in quotes", `"7"`, `action:"7" ip:"7" port:7 size:7 status:7 uid:7 names:["7"] mitre:[] tags:[]`},
		{"zero", `0`, `action:"0" ip:"0" port:0 size:0 status:0 uid:0 names:["0"] mitre:[] tags:[]`},
		{"beyond 2^53", `9007199254740993`, `action:"9007199254740993" ip:"9007199254740993" port:0 size:9007199254740993 status:0 uid:9007199254740993 names:["9007199254740993"] mitre:[] tags:[mapping-mismatch]`},
		{"beyond 64 bits", `18446744073709551616`, `action:"18446744073709551616" ip:"18446744073709551616" port:0 size:0 status:0 uid:none names:["18446744073709551616"] mitre:[] tags:[mapping-mismatch]`},
		{"fraction", `7.5`, `action:"7.5" ip:"7.5" port:0 size:0 status:0 uid:none names:["7.5"] mitre:[] tags:[mapping-mismatch]`},
		{"negative", `-1`, `action:"-1" ip:"-1" port:0 size:0 status:0 uid:none names:["-1"] mitre:[] tags:[mapping-mismatch]`},
		{"bool", `true`, `action:"" ip:"" port:0 size:0 status:0 uid:none names:[] mitre:[] tags:[mapping-mismatch]`},
		{"list of texts", `["a","T1059","mitre_command_and_control"]`, `action:"" ip:"" port:0 size:0 status:0 uid:none names:["a" "T1059" "mitre_command_and_control"] mitre:[{ Command and Control T1059 }] tags:[mapping-mismatch]`},
		{"two techniques", `["T1059","T1552.005","mitre_execution","T10"]`, `action:"" ip:"" port:0 size:0 status:0 uid:none names:["T1059" "T1552.005" "mitre_execution" "T10"] mitre:[{ Execution  } {  T1059 } {  T1552.005 }] tags:[mapping-mismatch]`},
		{"mixed list", `["a",{},"b"]`, `action:"" ip:"" port:0 size:0 status:0 uid:none names:["a" "b"] mitre:[] tags:[mapping-mismatch]`},
		{"object", `{"a":1}`, `action:"" ip:"" port:0 size:0 status:0 uid:none names:[] mitre:[] tags:[mapping-mismatch]`},
		{"empty text", `""`, `action:"" ip:"" port:0 size:0 status:0 uid:none names:[] mitre:[] tags:[mapping-mismatch]`},
		{"null", `null`, `action:"" ip:"" port:0 size:0 status:0 uid:none names:[] mitre:[] tags:[]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := parse(t, minimal(fields))
			line := []byte(`{"t":1795331671,"k":"x","v":` + test.value + `}`)
			normalizetest.Check(t, n, line)
			var e proto.Event
			n.Event(&e, line, proto.Origin{})
			if got := words(&e); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if e.Kind != "x" || e.Time.Unix() != 1795331671 {
				t.Errorf("kind %q, time %s", e.Kind, e.Time)
			}
		})
	}
}

// words are the fields that TestMismatch maps.
func words(e *proto.Event) string {
	src, file, http, dns, process := orEmpty(e.Src), orEmpty(e.File), orEmpty(e.HTTP), orEmpty(e.DNS), orEmpty(e.Process)
	uid := "none"
	if process.UID != nil {
		uid = fmt.Sprint(*process.UID)
	}
	return fmt.Sprintf("action:%q ip:%q port:%d size:%d status:%d uid:%s names:%q mitre:%v tags:%v",
		e.Action, src.IP, src.Port, file.Size, http.Status, uid, dns.Names, e.MITRE, e.Tags)
}

func orEmpty[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}

func TestTime(t *testing.T) {
	for _, test := range []struct {
		layouts, value string
		want           string // "" for none
	}{
		{"unix", `1795331671.305988`, "2026-11-22T07:14:31.305988Z"},
		{"unix", `1795331671`, "2026-11-22T07:14:31Z"},
		{"unix", `"1795331671.000000001"`, "2026-11-22T07:14:31.000000001Z"},
		{"unix", `1795331671.0000000019`, "2026-11-22T07:14:31.000000001Z"},
		{"unix", `1.795331671e9`, ""},
		{"unix", `-1`, ""},
		{"unix", `18446744073709551615`, ""},
		{"unix", `99999999999999999999`, ""},
		{"unix", `"x"`, ""},
		{"unix", `{}`, ""},
		{"unix", `null`, ""},
		{"unix_ms", `1795331671305`, "2026-11-22T07:14:31.305Z"},
		{"unix_ms", `1795331671305.25`, "2026-11-22T07:14:31.30525Z"},
		{"unix_ns", `1795331671305988123`, "2026-11-22T07:14:31.305988123Z"},
		{"rfc3339", `"2026-11-22T08:14:31.305988123+01:00"`, "2026-11-22T07:14:31.305988123Z"},
		{"rfc3339", `"2026-11-22 08:14:31"`, ""},
		{`"2006-01-02 15:04:05"`, `"2026-11-22 07:14:31.5"`, "2026-11-22T07:14:31.5Z"},
		{`"02/Jan/2006:15:04:05 -0700"`, `"22/Nov/2026:08:14:31 +0100"`, "2026-11-22T07:14:31Z"},
		{"unix, rfc3339", `"2026-11-22T07:14:31Z"`, "2026-11-22T07:14:31Z"},
		{"rfc3339, unix", `1795331671`, "2026-11-22T07:14:31Z"},
	} {
		t.Run(test.layouts+" "+test.value, func(t *testing.T) {
			n := parse(t, "time: {from: $.t, layouts: ["+test.layouts+"]}\nkind: $.k\nseverity: {default: info}\n")
			var e proto.Event
			n.Event(&e, []byte(`{"k":"x","t":`+test.value+`}`), proto.Origin{})
			tags := "[]"
			if test.want == "" {
				test.want, tags = normalizetest.Now().Format(time.RFC3339Nano), "[no-time]"
			}
			if got := e.Time.Format(time.RFC3339Nano); got != test.want || fmt.Sprint(e.Tags) != tags {
				t.Errorf("got %s %v, want %s %s", got, e.Tags, test.want, tags)
			}
		})
	}
}

func TestTables(t *testing.T) {
	const text = `time: {from: $.t, layouts: [unix]}
kind: $.k
severity: {from: $.level, values: {ERROR: high, "3": low}, default: medium}
class_uid: {values: {Conn: 4001}, default: 2004}
title: '"any " + $.k'
titles: {conn: '"conn " + $.n'}
`
	for _, test := range []struct{ record, want string }{
		{`{"k":"conn","level":"error","n":9007199254740993}`, "high 4001 conn 9007199254740993 [no-time]"},
		{`{"k":"dns","level":3}`, "low 2004 any dns [no-time]"},
		{`{"k":"dns","level":"x"}`, "medium 2004 any dns [no-time]"},
		{`{"k":"dns"}`, "medium 2004 any dns [no-time]"},
		{`{"k":"dns","level":[]}`, "medium 2004 any dns [mapping-mismatch no-time]"},
		{`{"k":"conn","level":"error","n":{}}`, "high 4001 conn [no-time]"},
		{`{"k":["conn"],"level":"error"}`, "high 2004 Record of custom that does not name its event [mapping-mismatch no-time]"},
		{`{}`, "medium 2004 Record of custom that does not name its event [mapping-mismatch no-time]"},
	} {
		t.Run(test.record, func(t *testing.T) {
			var e proto.Event
			parse(t, text).Event(&e, []byte(test.record), proto.Origin{})
			if got := fmt.Sprintf("%s %d %s %v", e.Severity, e.ClassUID, e.Title, e.Tags); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestPathWithoutSecrets(t *testing.T) {
	n := parse(t, minimal("fields: {http.path: $.v}\n"))
	for _, test := range []struct{ url, want string }{
		{"/a/b?token=x", "/a/b"},
		{"/a#x", "/a"},
		{"http://user:secret@example.com/a?b", "/a"},
		{"http://user:secret@example.com", "/"},
		{"/redirect/http://x/y", "/redirect/http://x/y"},
		{"example.com:443", "example.com:443"},
	} {
		t.Run(test.url, func(t *testing.T) {
			var e proto.Event
			n.Event(&e, []byte(`{"k":"x","v":"`+test.url+`"}`), proto.Origin{})
			if e.HTTP == nil || e.HTTP.Path != test.want {
				t.Errorf("got %+v, want %s", e.HTTP, test.want)
			}
		})
	}
}

func TestCommandLineWithoutSecrets(t *testing.T) {
	n := parse(t, minimal("fields: {process.args: $.v}\n"))
	for _, test := range []struct{ value, want string }{
		{`["curl","-u","me:secret","x"]`, `["curl" "-u" "[redacted]" "x"]`},
		{`"curl  --token secret x"`, `["curl" "--token" "[redacted]" "x"]`},
		{`["a",{}]`, `["a"]`},
	} {
		t.Run(test.value, func(t *testing.T) {
			var e proto.Event
			n.Event(&e, []byte(`{"k":"x","v":`+test.value+`}`), proto.Origin{})
			if e.Process == nil || fmt.Sprintf("%q", e.Process.Args) != test.want {
				t.Errorf("got %+v, want %s", e.Process, test.want)
			}
		})
	}
}

// An expression that fails costs its field, not the event.
func TestExpressionFails(t *testing.T) {
	var e proto.Event
	parse(t, minimal("fields: {action: $.v && true, src.ip: $.v}\n")).Event(&e, []byte(`{"k":"x","v":"192.0.2.1"}`), proto.Origin{})
	if e.Action != "" || e.Src == nil || e.Src.IP != "192.0.2.1" || fmt.Sprint(e.Tags) != "[mapping-mismatch no-time]" {
		t.Errorf("got %s", e.AppendJSON(nil))
	}
}

func TestRecordsOutOfOrder(t *testing.T) {
	n := parse(t, minimal("fields: {src.ip: $.a.ip, src.port: $.a.port}\n"))
	for _, test := range []struct{ name, line, want string }{
		{"a name twice, merged", `{"k":"x","a":{"ip":"192.0.2.1"},"a":{"port":7}}`, "x 192.0.2.1 7 [duplicate-keys no-time]"},
		{"malformed UTF-8", "{\"k\":\"x\xff\",\"a\":{\"ip\":\"192.0.2.1\",\"port\":7}}", "x\ufffd 192.0.2.1 7 [malformed-utf8 no-time]"},
		{"both, and a mismatch", "{\"k\":\"x\",\"k\":\"y\xff\",\"a\":{\"ip\":{},\"port\":7}}", "y\ufffd  7 [mapping-mismatch duplicate-keys malformed-utf8 no-time]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			normalizetest.Check(t, n, []byte(test.line))
			var e proto.Event
			n.Event(&e, []byte(test.line), proto.Origin{})
			if got := fmt.Sprintf("%s %s %d %v", e.Kind, e.Src.IP, e.Src.Port, e.Tags); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"all at once", `time: {from: $.t ==, layouts: [iso, "15:04"]}
kind: kind
severity: {values: {a: highest, A: low}, default: info, fallback: low}
class_uid: {default: many}
titel: $.x
fields:
  src.adr: $.ip
  tags: $.tags
  dst.ip: [a]
`, []string{
			`m.yaml:1:14: time.from: unexpected EOF while scanning extensions at character 7`,
			`m.yaml:1:32: time.layouts[0]: must be rfc3339, unix, unix_ms, unix_ns, or Go's reference time (2006-01-02 15:04:05) in the log's own way of writing, with date and time to the second`,
			`m.yaml:1:37: time.layouts[1]: must be rfc3339, unix, unix_ms, unix_ns, or Go's reference time (2006-01-02 15:04:05) in the log's own way of writing, with date and time to the second`,
			`m.yaml:2:7: kind: unknown name kind (a field is written $.kind, a text in quotes) at character 1`,
			`m.yaml:3:24: severity.values.a: severity "highest" is none of info, low, medium, high, critical`,
			`m.yaml:3:33: severity.values.A: a stands here twice: upper and lower case make no difference`,
			`m.yaml:3:57: severity.fallback: unknown key "fallback"`,
			`m.yaml:4:22: class_uid.default: "many" is not an OCSF class_uid, such as 4001`,
			`m.yaml:5:1: titel: unknown key "titel"`,
			`m.yaml:7:3: fields.src.adr: no field that a mapping can fill is called src.adr`,
			`m.yaml:8:3: fields.tags: no field that a mapping can fill is called tags`,
			`m.yaml:9:11: fields.dst.ip: must be a text, not a list`,
		}},
		{"nothing that is required", "title: $.x\n", []string{
			`m.yaml:1:1: time is missing`, `m.yaml:1:1: kind is missing`, `m.yaml:1:1: severity is missing`,
		}},
		{"parts that are required", "time: {from: t}\nseverity: {from: $.s}\n", []string{
			`m.yaml:1:14: time.from: unknown name t (a field is written $.t, a text in quotes) at character 1`,
			`m.yaml:1:8: time: layouts is missing`,
			`m.yaml:2:12: severity: default is missing`,
			`m.yaml:1:1: kind is missing`,
		}},
		{"what may only be misspelt", "tiem: {}\nkind: $.k\n", []string{`m.yaml:1:1: tiem: unknown key "tiem"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := mapping.Parse("m.yaml", []byte(test.text))
			if err == nil {
				t.Fatal("no fault found")
			}
			_, list, _ := strings.Cut(err.Error(), "\n")
			if got := strings.ReplaceAll(list, "  m.yaml", "m.yaml"); got != strings.Join(test.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", got, strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestLoadOfMissingFile(t *testing.T) {
	if _, err := mapping.Load(t.TempDir() + "/none.yaml"); err == nil || !strings.Contains(err.Error(), "reading the mapping") {
		t.Errorf("got %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	var all []*normalize.Normalizer
	for _, name := range shipped {
		all = append(all, load(f, name))
		for _, line := range normalizetest.Lines(f, "testdata/"+name+".json") {
			f.Add(line)
		}
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, n := range all {
			normalizetest.Check(t, n, line)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range shipped {
		b.Run(name, func(b *testing.B) {
			n := load(b, name)
			lines := normalizetest.Lines(b, "testdata/"+name+".json")
			var e proto.Event
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				n.Event(&e, lines[i%len(lines)], proto.Origin{})
			}
		})
	}
}
