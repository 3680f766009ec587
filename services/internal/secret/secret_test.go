package secret

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/testing/secrettest"
)

// surroundings are what a secret can stand in.
var surroundings = []string{"%", "before % behind", "(%)", `"%"`, "a;%;b", "one\n%\ntwo", "x=%&y=1"}

func leaks() []secrettest.Leak { return slices.Concat(secrettest.Leaks(), secrettest.TestOnly()) }

func TestSecretsAreRedacted(t *testing.T) {
	for _, l := range leaks() {
		t.Run(l.Name, func(t *testing.T) {
			for _, around := range surroundings {
				text := strings.Replace(around, "%", l.Text, 1)
				got := Text(text)
				if strings.Contains(got, l.Secret) || !strings.Contains(got, Mark) {
					t.Errorf("%s: %s", around, got)
				}
				if b, found := Bytes([]byte(text)); string(b) != got || !found {
					t.Errorf("as bytes: %s", b)
				}
			}
		})
	}
}

// In JSON a secret is replaced wherever it stands, and nothing else.
func TestSecretsInJSONAreRedacted(t *testing.T) {
	for _, l := range leaks() {
		t.Run(l.Name, func(t *testing.T) {
			quoted, _ := json.Marshal(l.Text)
			for _, around := range []string{`{"a":%}`, ` [ 1, % , {"b":null} ]`, `{"x":{"y":["b",%,"c"]},"z":true}`, `{%:"a"}`} {
				for _, text := range []string{string(quoted), escaped(l.Text)} {
					record := strings.Replace(around, "%", text, 1)
					got, _ := JSON([]byte(record))
					var v any
					if err := json.Unmarshal(got, &v); err != nil {
						t.Fatalf("%s: %v", got, err)
					}
					if plain, _ := json.Marshal(v); strings.Contains(string(plain), l.Secret) || !bytes.Contains(got, []byte(Mark)) {
						t.Errorf("%s became %s", record, got)
					}
					before, behind, _ := strings.Cut(around, "%")
					if !strings.HasPrefix(string(got), before) || !strings.HasSuffix(string(got), behind) {
						t.Errorf("%s became %s", record, got)
					}
				}
			}
		})
	}
}

// escaped writes each character as an escape.
func escaped(s string) string {
	b := []byte{'"'}
	for _, c := range []byte(s) {
		const hexDigits = "0123456789abcdef"
		b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
	}
	return string(append(b, '"'))
}

// What a secret is told by can be a member's name, or another element of a list.
func TestJSON(t *testing.T) {
	for _, test := range []struct{ name, record, want string }{
		{"nothing", `{"a":"b","n":1.50,"l":[ ]}`, ""},
		{"member", `{"password":"a b","n":1}`, `{"password":"[redacted]","n":1}`},
		{"member with spaces", `{"password" : "a b" , "n":1}`, `{"password" : "[redacted]" , "n":1}`},
		{"members that are not strings", `{"password":1,"token":null,"secret":{"a":"b"},"api_key":true,"x":"y"}`, ""},
		{"empty", `{"password":"","token":"x1"}`, `{"password":"","token":"[redacted]"}`},
		{"list", `{"password":["a b"]}`, `{"password":["[redacted]"]}`},
		{"name and value", `[{"name":"Authorization","value":"Basic aTpq"},{"name":"Cookie","value":"x"}]`, `[{"name":"Authorization","value":"Basic [redacted]"},{"name":"Cookie","value":"x"}]`},
		{"FTP", `{"ftp":{"command":"PASS","command_data":"a b","reply":["ok"]}}`, `{"ftp":{"command":"PASS","command_data":"[redacted]","reply":["ok"]}}`},
		{"arguments", `["x","--password","a b","-v"]`, `["x","--password","[redacted]","-v"]`},
		{"arguments of Tracee", `{"args":[{"name":"argv","type":"const char**","value":["/usr/bin/mysql","-h","db","-pa b","x"]}]}`, `{"args":[{"name":"argv","type":"const char**","value":["/usr/bin/mysql","-h","db","-p[redacted]","x"]}]}`},
		{"curl", `["curl","-u","me:a b","-H","X-Api-Key: c","https://x.example/?a=b"]`, `["curl","-u","[redacted]","-H","X-Api-Key: [redacted]","https://x.example/?a=b"]`},
		{"options without a value", `["x","--token","--verbose"]`, ""},
		{"slash", `{"u":"https:\/\/me:pw1@x.example\/"}`, `{"u":"https:\/\/[redacted]@x.example\/"}`},
		{"quotes in a string", `{"c":"curl -d '{\"token\":\"abc\",\"n\":5}'"}`, `{"c":"curl -d '{\"token\":\"[redacted]\",\"n\":5}'"}`},
		{"line ends in a string", `{"c":"A=1\nTOKEN=abc\nB=2"}`, `{"c":"A=1\nTOKEN=[redacted]\nB=2"}`},
		{"key in a list of lines", `["-----BEGIN PRIVATE KEY-----","MIIE","-----END PRIVATE KEY-----","x"]`, `["[redacted]","[redacted]","[redacted]","x"]`},
		{"key that is cut", `{"a":"-----BEGIN PRIVATE KEY-----\nMIIE","b":"x"}`, `{"a":"[redacted]","b":"x"}`},
		{"other characters", "{\"é\":\"\\u00e9 token=\\ud83d\\ude00é\\u00e9 \xff\"}", "{\"é\":\"\\u00e9 token=[redacted] \xff\"}"},
		{"traffic", `{"payload":"az1zay1hbnQtYXBpMDMtQUJDREVGR0hJSktM","packet":"AAAA","http":{"http_request_body":"eD15"}}`, `{"payload":"[redacted]","packet":"AAAA","http":{"http_request_body":"eD15"}}`},
		{"not JSON", `{"password":"a b`, `{"password":"[redacted]`},
		{"not JSON at all", `"`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := test.want
			if want == "" {
				want = test.record
			}
			record := []byte(test.record)
			got, found := JSON(record)
			if string(got) != want || found != (test.want != "") {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if string(record) != test.record {
				t.Errorf("the record itself has changed: %s", record)
			}
		})
	}
}

// A command line is a list in the records of sensors.
func TestArguments(t *testing.T) {
	for _, test := range []struct {
		name       string
		argv, want []string
	}{
		{"nothing secret", []string{"ls", "-la", "/home/node/.openclaw", "--sort=size"}, nil},
		{"key of Anthropic", []string{"x", "sk-ant-api03-invented_0000"}, []string{"x", "[redacted]"}},
		{"key of OpenAI in a word", []string{"x", "--with:sk-proj-invented00"}, []string{"x", "--with:[redacted]"}},
		{"word that only looks so", []string{"disk-usage", "task-force"}, nil},
		{"GitHub", []string{"x", "ghp_invented0000000000000000", "github_pat_invented0000000000"}, []string{"x", "[redacted]", "[redacted]"}},
		{"Slack", []string{"x", "xoxb-000000000000-invented"}, []string{"x", "[redacted]"}},
		{"AWS", []string{"x", "AKIAIOSFODNN7EXAMPLE"}, []string{"x", "[redacted]"}},
		{"Google", []string{"x", "AIzaInvented0000000000000000000000"}, []string{"x", "[redacted]"}},
		{"Telegram", []string{"curl", "https://api.telegram.org/bot123456789:AAinvented00000000000000000000000000/getMe"}, []string{"curl", "https://api.telegram.org/bot[redacted]/getMe"}},
		{"JSON Web Token", []string{"x", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.invented"}, []string{"x", "[redacted]"}},
		{"user and password of a URL", []string{"git", "clone", "https://me:p@ss@git.example/x.git"}, []string{"git", "clone", "https://[redacted]@git.example/x.git"}},
		{"URL with @ in its path", []string{"curl", "https://example.net/@me"}, nil},
		{"curl -u", []string{"curl", "-u", "me:secret", "https://example.net"}, []string{"curl", "-u", "[redacted]", "https://example.net"}},
		{"sudo -u", []string{"sudo", "-u", "node", "id"}, nil},
		{"curl -u in a shell", []string{"sh", "-c", "curl -u me:hunter2 example.net"}, []string{"sh", "-c", "curl -u [redacted] example.net"}},
		{"authorization", []string{"curl", "-H", "Authorization: Basic aW52ZW50ZWQ="}, []string{"curl", "-H", "Authorization: Basic [redacted]"}},
		{"authorization in a shell", []string{"sh", "-c", `curl -H "authorization: token abc" example.net`}, []string{"sh", "-c", `curl -H "authorization: token [redacted]" example.net`}},
		{"bearer", []string{"x", "as Bearer abc.def now"}, []string{"x", "as Bearer [redacted] now"}},
		{"header", []string{"curl", "-H", "x-api-key: abc"}, []string{"curl", "-H", "x-api-key: [redacted]"}},
		{"option with =", []string{"x", "--password=hunter2", "--db-passwd=1"}, []string{"x", "--password=[redacted]", "--db-passwd=[redacted]"}},
		{"option and value", []string{"x", "--api-key", "abc", "--token", "def", "end"}, []string{"x", "--api-key", "[redacted]", "--token", "[redacted]", "end"}},
		{"assignment", []string{"env", "ANTHROPIC_API_KEY=abc", "SECRET='a b'", `TOKEN="a b" x`}, []string{"env", "ANTHROPIC_API_KEY=[redacted]", "SECRET='[redacted]'", `TOKEN="[redacted]" x`}},
		{"assignment in a shell", []string{"sh", "-c", "GH_TOKEN=abc gh api; echo done"}, []string{"sh", "-c", "GH_TOKEN=[redacted] gh api; echo done"}},
		{"JSON", []string{"curl", "-d", `{"token":"a b","max_tokens":5}`}, []string{"curl", "-d", `{"token":"[redacted]","max_tokens":5}`}},
		{"JSON in a shell", []string{"sh", "-c", `curl -d "{\"token\":\"abc\"}"`}, []string{"sh", "-c", `curl -d "{\"token\":\"[redacted]\"}"`}},
		{"query string", []string{"curl", "https://example.net/?api_key=abc&x=1"}, []string{"curl", "https://example.net/?api_key=[redacted]&x=1"}},
		{"empty", nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := test.want
			if want == nil {
				want = test.argv
			}
			record, _ := json.Marshal(map[string][]string{"argv": test.argv})
			clean, _ := JSON(record)
			var got map[string][]string
			if err := json.Unmarshal(clean, &got); err != nil || !slices.Equal(got["argv"], want) {
				t.Errorf("got  %q, %v\nwant %q", got["argv"], err, want)
			}
		})
	}
}

func TestHarmlessTextStays(t *testing.T) {
	for _, text := range secrettest.Harmless() {
		for _, around := range surroundings {
			text := strings.Replace(around, "%", text, 1)
			if got := Text(text); got != text {
				t.Errorf("%q became %q", text, got)
			}
			record, _ := json.Marshal([]string{text, "x"})
			if got, found := JSON(record); found {
				t.Errorf("%s became %s", record, got)
			}
		}
	}
}

func TestEachShapeHasALeak(t *testing.T) {
	found := map[*Shape]bool{}
	for _, l := range leaks() {
		for _, m := range matches(l.Text) {
			found[m.Shape] = true
		}
	}
	for i := range table().shapes {
		if s := &table().shapes[i]; !found[s] && s.Name != "a password" && s.Name != base64Shape { // of several programs; only in JSON
			t.Errorf("%s (%q): no secret of the test is of this shape", s.Name, s.hints[0].Text)
		}
	}
}

func matches(text string) []match {
	var f Finder
	f.Reset()
	hints().Scan([]byte(text), func(hint, end int) { f.Hit(hint, []byte(text), end) })
	return f.counting()
}

func TestConfidence(t *testing.T) {
	for _, l := range secrettest.TestOnly() {
		for _, m := range matches(l.Text) {
			if m.Confidence != Doubtful && m.Shape.Finding > 1 {
				t.Errorf("%s: %s, %d", l.Text, m.Shape.Name, m.Confidence)
			}
		}
	}
}

// hostile are texts made to be slow to look at.
func hostile() []string {
	units := []string{"://a@", "aaaaaa.", "-----BEGIN PRIVATE KEY-----", `password="token='`, "'a'password="}
	for _, h := range Hints() {
		for _, unit := range []string{"%", "%=", "% ", `%\"`, `%="`, "%='x'", "%\x00", "%\x01", "<%>", "%$", "%=<", "%aB3dE5gH7jK9mN1pQ2sT", " -p%", "%.eyJ", "%%41", "%=`", "%:%:"} {
			units = append(units, strings.ReplaceAll(unit, "%", h.Text))
		}
	}
	return units
}

// BenchmarkHostile reports the slowest of all hostile texts in two lengths. That
// the time of a byte does not depend on the length is what keeps an attacker from
// stopping a service with a text.
func BenchmarkHostile(b *testing.B) {
	for _, size := range []int{16 << 10, 64 << 10} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			for b.Loop() {
				var slowest, known time.Duration
				for _, unit := range hostile() {
					text := []byte(strings.Repeat(unit, size/len(unit)))
					fastest := time.Hour
					for range 3 {
						began := time.Now()
						Bytes(text)
						fastest = min(fastest, time.Since(began))
					}
					slowest = max(slowest, fastest)
					began := time.Now()
					Known(text)
					known = max(known, time.Since(began))
				}
				b.ReportMetric(float64(slowest)/float64(size), "slowest-ns/byte")
				b.ReportMetric(float64(known)/float64(size), "known-ns/byte")
			}
		})
	}
}

// TestSuspicion compares with a search that passes over nothing.
func TestSuspicion(t *testing.T) {
	everyMark(func(text string) {
		for _, html := range []bool{false, true} {
			var record bytes.Buffer
			e := json.NewEncoder(&record)
			e.SetEscapeHTML(html)
			if err := e.Encode([]any{text, map[string]string{"name": text}}); err != nil {
				t.Fatal(err)
			}
			if suspicious(record.Bytes()) {
				continue
			}
			var r redactor
			r.flat = flatten(r.flat, record.Bytes())
			r.look(r.flat, r.all, r.collect)
			if clean, found := r.cut(record.Bytes()); found {
				t.Errorf("%s is not suspicious, but should be %s", record.Bytes(), clean)
			}
		}
	})
}

// everyMark calls check with each leak as it is with a mark before, behind and in it.
func everyMark(check func(text string)) {
	marks := []string{"", "\n", "\t", " ", "<", ">", "&", "&#65;", "?", "%20", "%3D", "%41", "=", "\"", "'", "'s ", "'t", "'re.", "\\", "\\n", "\\u0041", "-", "0", "\x00", "é"}
	for _, l := range leaks() {
		for _, mark := range marks {
			check(mark + l.Text)
			check(l.Text + mark)
			for i := 0; i < len(l.Text); i += 5 {
				check(l.Text[:i] + mark + l.Text[i:])
			}
		}
	}
}

// known is [Known] by a search that passes over nothing.
func known(text []byte) (found []Found) {
	var r redactor
	add := func(v view, onlyByThemselves bool) { found = r.finder.Found(found, v.text, onlyByThemselves) }
	find := func(text []byte) { r.scan(knownHints(), text) }
	r.look(view{text: text}, find, add)
	if holdsJSON(text) {
		r.flat = flatten(r.flat, text)
		r.look(r.flat, find, add)
	}
	return found
}

func TestKnown(t *testing.T) {
	context := func(f Found) bool { return f.Shape.Kind == ByContext }
	for _, l := range leaks() {
		for _, around := range surroundings {
			text := []byte(strings.Replace(around, "%", l.Text, 1))
			want := slices.DeleteFunc(Find(text, false), context)
			if got := Known(text); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", text, got, want)
			}
		}
	}
	everyMark(func(text string) {
		if got, want := Known([]byte(text)), known([]byte(text)); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	})
}

func FuzzRedaction(f *testing.F) {
	for _, l := range leaks() {
		f.Add(l.Text, " behind")
	}
	for _, text := range secrettest.Harmless() {
		f.Add(text, "")
	}
	for _, text := range []string{`{"a":["--token","b"]}`, `"\`, `\u`, "%", `password=\`, "-u", "Q~", "key", "://", "cookie:", "authorization:\\"} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, text, behind string) {
		text += behind
		Text(text)
		if got, want := Known([]byte(text)), known([]byte(text)); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
		record := []byte(text)
		clean, _ := JSON(record)
		if string(record) != text {
			t.Errorf("%q has changed", text)
		}
		if json.Valid(record) && !json.Valid(clean) {
			t.Errorf("%q became %q", text, clean)
		}
		quoted, _ := json.Marshal([]string{text, behind})
		if clean, _ := JSON(quoted); !json.Valid(clean) {
			t.Errorf("%q became %q", quoted, clean)
		}
	})
}
