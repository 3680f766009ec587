package normalize_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/secret"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/suricata"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/tracee"
	"github.com/openclaw-security/bus/services/testing/secrettest"
)

// published is all that an event says, without escapes and encodings.
func published(t *testing.T, e *proto.Event) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(e.AppendJSON(nil), &v); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	if e.Line != nil {
		text, _ := base64.StdEncoding.DecodeString(e.Line.Base64)
		b.Write(text)
	}
	return strings.NewReplacer(`\"`, `"`, `\n`, "\n", `\\`, `\`).Replace(b.String())
}

// No secret of a known shape is published, wherever in a line it stands and in
// whatever state the line is.
func TestSecretsAreNotPublished(t *testing.T) {
	sensors := map[string]normalize.Sensor{"suricata": suricata.Sensor{}, "tracee": tracee.Sensor{}}
	lines := []struct{ name, source, line string }{
		{"a user agent", "suricata", `{"timestamp":"2026-11-22T07:09:03.1+0000","event_type":"http","http":{"hostname":"h","url":"/","http_user_agent":%}}`},
		{"a URL", "suricata", `{"timestamp":"2026-11-22T07:09:03.1+0000","event_type":"http","http":{"hostname":"h","url":%}}`},
		{"a DNS name", "suricata", `{"timestamp":"2026-11-22T07:09:03.1+0000","event_type":"dns","dns":{"type":"request","queries":[{"rrname":%}]}}`},
		{"a field that is not normalized", "suricata", `{"timestamp":"2026-11-22T07:09:03.1+0000","event_type":"x","x":{"y":[%]}}`},
		{"a command line", "tracee", `{"timestamp":1795331671043240871,"processName":"sh","hostProcessId":1,"eventName":"sched_process_exec","args":[{"name":"argv","type":"const char**","value":["sh","-c",%]}]}`},
		{"a path", "tracee", `{"timestamp":1795331671043240871,"processName":"cat","hostProcessId":1,"eventName":"security_file_open","args":[{"name":"pathname","type":"const char*","value":%}]}`},
		{"duplicate names", "suricata", `{"event_type":"http","a":1,"a":%}`},
		{"a value of another type", "suricata", `{"event_type":"http","http":[%]}`},
		{"malformed UTF-8", "suricata", "{\"event_type\":\"http\",\"b\":\"\xff\",\"a\":%}"},
		{"a cut line", "suricata", `{"event_type":"http","a":%,"b":"`},
		{"a line that is not an object", "suricata", `[%]`},
		{"a line in front of another", "suricata", `{"a":%}{"b":`},
	}
	for _, l := range slices.Concat(secrettest.Leaks(), secrettest.TestOnly()) {
		text, _ := json.Marshal(l.Text)
		for _, test := range lines {
			n := newNormalizer(test.source, sensors[test.source])
			line := strings.Replace(test.line, "%", string(text), 1)
			var e proto.Event
			n.Event(&e, []byte(line), proto.Origin{File: "f", Generation: "g"})
			if all := published(t, &e); strings.Contains(all, l.Secret) || !strings.Contains(all, secret.Mark) {
				t.Errorf("%s in %s is published as\n%s", l.Name, test.name, all)
			}
			if want := fmt.Sprintf("%x", sha256.Sum256([]byte(line))); e.RawSHA256 != want || !slices.Contains(e.Tags, normalize.TagRedacted) {
				t.Errorf("%s in %s: raw_sha256 %s, want %s; tags %q", l.Name, test.name, e.RawSHA256, want, e.Tags)
			}
			if want := proto.EventID(n.Host, n.Source, "g", 0, []byte(line)); e.ID != want {
				t.Errorf("%s in %s: the id is %s, want that of the line, %s", l.Name, test.name, e.ID, want)
			}
		}
	}
}

// Text that is not JSON at all is redacted as text.
func TestSecretsOfOtherLinesAreNotPublished(t *testing.T) {
	n := newNormalizer("suricata", suricata.Sensor{})
	for _, l := range secrettest.Leaks() {
		for _, around := range []string{"%", "before % behind", "\xff % \xff"} {
			line := strings.Replace(around, "%", l.Text, 1)
			var e proto.Event
			n.Event(&e, []byte(line), proto.Origin{})
			if all := published(t, &e); strings.Contains(all, l.Secret) || e.RawSHA256 == "" {
				t.Errorf("%s is published as\n%s", l.Name, all)
			}
		}
	}
	// Of the whole of a line that is too long nothing is known.
	var e proto.Event
	n.Damaged(&e, []byte(`{"password":"hunter2abc`), 1<<30, "too long", proto.Origin{})
	if strings.Contains(e.Line.Text, "hunter2abc") || e.RawSHA256 != "" || !slices.Contains(e.Tags, normalize.TagRedacted) {
		t.Errorf("a line that is too long is published as %s", e.AppendJSON(nil))
	}
}

func TestHarmlessLinesArePublishedAsTheyAre(t *testing.T) {
	n := newNormalizer("suricata", suricata.Sensor{})
	for _, text := range secrettest.Harmless() {
		quoted, _ := json.Marshal(text)
		line := `{"timestamp":"2026-11-22T07:09:03.1+0000","event_type":"http","http":{"hostname":"h","url":"/","http_user_agent":` + string(quoted) + `}}`
		var e proto.Event
		n.Event(&e, []byte(line), proto.Origin{})
		if string(e.Raw) != line || e.RawSHA256 != "" || len(e.Tags) > 0 || e.HTTP.UserAgent != text {
			t.Errorf("%s became %s", line, e.AppendJSON(nil))
		}
	}
}

// Verbatim concerns what is kept of the line, and nothing that is made of it.
func TestVerbatim(t *testing.T) {
	n := newNormalizer("suricata", suricata.Sensor{})
	n.Verbatim = true
	for _, line := range []string{
		`{"timestamp":"2026-11-22T07:09:03.1+0000","event_type":"http","http":{"hostname":"h","url":"/","http_user_agent":"token=hunter2abc"}}`,
		"{\"event_type\":\"http\",\"http\":{\"http_user_agent\":\"token=hunter2abc\xff\"}}",
		`{"event_type":"http","a":"token=hunter2abc"`,
	} {
		var e proto.Event
		n.Event(&e, []byte(line), proto.Origin{})
		var kept string
		if e.Line == nil {
			kept = string(e.Raw)
		} else {
			text, _ := base64.StdEncoding.DecodeString(e.Line.Base64)
			kept = e.Line.Text + string(text)
		}
		if kept != line || e.RawSHA256 != "" || slices.Contains(e.Tags, normalize.TagRedacted) {
			t.Errorf("%s became %s", line, e.AppendJSON(nil))
		}
		if e.HTTP != nil && e.HTTP.UserAgent != "token="+secret.Mark {
			t.Errorf("the user agent is %s", e.HTTP.UserAgent)
		}
	}
}
