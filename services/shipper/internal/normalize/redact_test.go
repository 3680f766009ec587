package normalize

import (
	"slices"
	"strings"
	"testing"
	"unicode"
)

func TestRedactArgs(t *testing.T) {
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
		{"authorization", []string{"curl", "-H", "Authorization: Basic aW52ZW50ZWQ="}, []string{"curl", "-H", "Authorization: [redacted]"}},
		{"authorization in a shell", []string{"sh", "-c", `curl -H "authorization: token abc" example.net`}, []string{"sh", "-c", `curl -H "authorization: [redacted]" example.net`}},
		{"bearer", []string{"x", "as Bearer abc.def now"}, []string{"x", "as Bearer [redacted] now"}},
		{"header", []string{"curl", "-H", "x-api-key: abc"}, []string{"curl", "-H", "x-api-key: [redacted]"}},
		{"option with =", []string{"x", "--password=hunter2", "--db-passwd=1"}, []string{"x", "--password=[redacted]", "--db-passwd=[redacted]"}},
		{"option and value", []string{"x", "--api-key", "abc", "--token", "def", "end"}, []string{"x", "--api-key", "[redacted]", "--token", "[redacted]", "end"}},
		{"assignment", []string{"env", "ANTHROPIC_API_KEY=abc", "SECRET='a b'", `TOKEN="a b" x`}, []string{"env", "ANTHROPIC_API_KEY=[redacted]", "SECRET=[redacted]", "TOKEN=[redacted] x"}},
		{"assignment in a shell", []string{"sh", "-c", "GH_TOKEN=abc gh api; echo done"}, []string{"sh", "-c", "GH_TOKEN=[redacted] gh api; echo done"}},
		{"JSON", []string{"curl", "-d", `{"token":"a b","max_tokens":5}`}, []string{"curl", "-d", `{"token":[redacted],"max_tokens":5}`}},
		{"JSON in a shell", []string{"sh", "-c", `curl -d "{\"token\":\"abc\"}"`}, []string{"sh", "-c", `curl -d "{\"token\":[redacted]}"`}},
		{"query string", []string{"curl", "https://example.net/?api_key=abc&x=1"}, []string{"curl", "https://example.net/?api_key=[redacted]&x=1"}},
		{"empty", nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := test.want
			if want == nil {
				want = slices.Clone(test.argv)
			}
			if got := RedactArgs(slices.Clone(test.argv)); !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// The hints must not keep a pattern from being tried.
func FuzzRedact(f *testing.F) {
	f.Add("ANTHROPIC_API_KEY=abc")
	f.Add("https://me:pass@example.net/?Token=x")
	f.Add("Bearer sk-ant-api03-invented_0000")
	f.Add("AUTHORIZATION: x")
	f.Fuzz(func(t *testing.T, arg string) {
		if strings.ContainsFunc(arg, func(r rune) bool { return r > unicode.MaxASCII }) {
			t.Skip("patterns fold a few letters outside ASCII into ASCII, hints do not")
		}
		want := arg
		for _, s := range secrets {
			want = s.pattern.ReplaceAllString(want, s.replace)
		}
		if got := redact(arg); got != want {
			t.Errorf("%q became %q, without hints %q", arg, got, want)
		}
	})
}
