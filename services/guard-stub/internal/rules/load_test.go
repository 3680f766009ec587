package rules

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/secret"
	"github.com/openclaw-security/bus/services/testing/secrettest"
)

func defaults(t testing.TB) *Set {
	t.Helper()
	r, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestDefaultRules: loading holds each rule against its examples.
func TestDefaultRules(t *testing.T) {
	if n := defaults(t).Len(); n < 25 {
		t.Errorf("%d rules", n)
	}
}

// valid is a file that loads.
const valid = `rules:
  - id: greeting
    score: 0.5
    reason: greets
    keywords: [hello]
    patterns: ['hello\sworld', 'h[ea]llo\s+you']
    match: [Hello  World]
    no_match: [hello moon]
`

func TestParse(t *testing.T) {
	r, err := Parse("r.yaml", []byte(valid))
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.Scan(t.Context(), []string{"", "HELLO\tyou"})
	if err != nil || v != (Verdict{0.5, "greeting", "greets", 1}) {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestFaults(t *testing.T) {
	for _, test := range []struct {
		name, old, new string
		want           []string
	}{
		{"unknown key", "reason: greets", "reson: greets", []string{`4:5: rules[0].reson: unknown key "reson"`}},
		{"several", "id: greeting\n    score: 0.5", "id: A\n    score: 2", []string{
			`2:9: rules[0].id: "A" is not 1 to 63 characters of a-z, 0-9, - and _`,
			`3:12: rules[0].score: "2" is not a number above 0 and up to 1`,
		}},
		{"no score", "    score: 0.5\n", "", []string{`2:5: rules[0]: has no score`}},
		{"no patterns", "    patterns: ['hello\\sworld', 'h[ea]llo\\s+you']\n", "", []string{`2:5: rules[0]: has no patterns`}},
		{"nothing but an id", valid[strings.Index(valid, "    score"):], "", []string{
			`2:5: rules[0]: has no score`, `2:5: rules[0]: has no reason`, `2:5: rules[0]: has no keywords`,
			`2:5: rules[0]: has no patterns`, `2:5: rules[0]: has no match`,
		}},
		{"score NaN", "0.5", ".nan", []string{`3:12: rules[0].score: must be a text, not a nan`}},
		{"score 0", "0.5", "0", []string{`3:12: rules[0].score: "0" is not a number above 0 and up to 1`}},
		{"reason of two lines", "greets", `"a\nb"`, []string{`4:13: rules[0].reason: must be a line of 1 to 200 printable characters`}},
		{"short keyword", "[hello]", "[he]", []string{`5:16: rules[0].keywords[0]: "he" is shorter than 3 bytes`}},
		{"keyword of nothing", "[hello]", `["\u200b\u200b\u200b"]`, []string{`5:16: rules[0].keywords[0]: "\u200b\u200b\u200b" is shorter than 3 bytes`}},
		{"bad pattern", `'hello\sworld'`, `'hello('`, []string{"6:16: rules[0].patterns[0]: error parsing regexp: missing closing ): `hello(`"}},
		{"anchor", `'hello\sworld'`, `'a|(?:^hello)'`, []string{`6:16: rules[0].patterns[0]: has ^, $, \A or \z: a pattern is tried on a part of the text; use \n for the beginning or end of a line`}},
		{"end anchor", `'hello\sworld'`, `'hello\z'`, []string{`6:16: rules[0].patterns[0]: has ^, $, \A or \z: a pattern is tried on a part of the text; use \n for the beginning or end of a line`}},
		{"empty pattern", `'hello\sworld'`, `'(?:hello)?'`, []string{`6:16: rules[0].patterns[0]: matches the empty text, and so everything`}},
		{"long pattern", `'hello\sworld'`, strings.Repeat("x", maxPattern+1), []string{`6:16: rules[0].patterns[0]: is longer than 2000 bytes`}},
		{"case", "    match:", "    case: yes\n    match:", []string{`7:11: rules[0].case: "yes" is neither sensitive nor insensitive`}},
		{"example without match", "[Hello  World]", "[Hello Mars]", []string{`7:13: rules[0].match[0]: the rule does not match this`}},
		{"example without keyword", "h[ea]llo\\s+you'", "hallo'", nil},
		{"example that matches", "[hello moon]", "[hello moon, Hello you]", []string{`8:28: rules[0].no_match[1]: the rule matches this`}},
		{"unknown kind of secrets", "keywords: [hello]\n    patterns: ['hello\\sworld', 'h[ea]llo\\s+you']", "secrets: [token]", []string{
			`5:15: rules[0].secrets[0]: "token" is not one of ["model-key" "cloud-key" "service-token" "private-key" "nats-seed" "other"]`,
		}},
		{"bad exception", "    match:", "    except: ['hello$']\n    match:", []string{`7:14: rules[0].except[0]: has ^, $, \A or \z: a pattern is tried on a part of the text; use \n for the beginning or end of a line`}},
		{"example within an exception", "    match:", "    except: ['hello\\sworld']\n    match:", []string{`8:13: rules[0].match[0]: the rule does not match this`}},
		{"example beside an exception", "    match: [Hello  World]", "    except: ['hello\\sworld']\n    match: [Hello world, 'hello world and hallo you']", []string{`8:13: rules[0].match[0]: the rule does not match this`}},
		{"secrets and keywords", "    match:", "    secrets: [model-key]\n    match:", []string{`2:5: rules[0]: has both secrets and keywords or patterns`}},
		{"same id", "[hello moon]\n", "[hello moon]\n" + valid[len("rules:\n"):], []string{`9:9: rules[1].id: an earlier rule is called greeting too`}},
		{"no rules", valid, "rules: []\n", []string{`1:1: has 0 rules, not 1 to 1000`}},
		{"no list", valid, "rules: x\n", []string{`1:8: rules: must be a list, not a text`}},
		{"no YAML", valid, "rules: [", []string{`1:8: sequence end token ']' not found`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(valid, test.old, test.new, 1)
			if text == valid {
				t.Fatal("nothing was replaced")
			}
			_, err := Parse("r.yaml", []byte(text))
			var got []string
			var all *config.Errors
			if errors.As(err, &all) {
				for _, f := range all.Faults {
					got = append(got, strings.TrimPrefix(f.Error(), "r.yaml:"))
				}
			}
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own.yaml")
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "GUARD_STUB_RULES: reading rules: open") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(path, []byte(valid), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := Load(path); err != nil || r.Len() != 1 {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(path, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "larger than 4 MiB") {
		t.Errorf("got %v", err)
	}
}

// TestSecretsOfTheTable: the rules find the secrets of the table of package secret
// that are known by themselves, and take nothing else for one.
func TestSecretsOfTheTable(t *testing.T) {
	rules := defaults(t)
	rule := func(text string) string {
		t.Helper()
		v, err := rules.Scan(t.Context(), []string{text})
		if err != nil {
			t.Fatal(err)
		}
		return v.Rule
	}
	leaks := 0
	for _, leak := range secrettest.Leaks() {
		if !slices.ContainsFunc(secret.Find([]byte(leak.Text), false), func(f secret.Found) bool {
			return f.Confidence == secret.Sure && f.Shape.Kind != secret.Other && f.Shape.Kind != secret.ByContext
		}) {
			continue
		}
		leaks++
		if got := rule(leak.Text); !strings.HasPrefix(got, "secret-") {
			t.Errorf("%s: rule %q", leak.Name, got)
		}
	}
	if leaks < 40 {
		t.Errorf("only %d leaks are known by themselves", leaks)
	}
	for _, text := range secrettest.Harmless() {
		if got := rule(text); strings.HasPrefix(got, "secret-") {
			t.Errorf("%q: rule %q", text, got)
		}
	}
	for _, test := range secrettest.TestOnly() {
		if got := rule(test.Text); strings.HasPrefix(got, "secret-") {
			t.Errorf("%s: rule %q", test.Name, got)
		}
	}
}

// TestRealSeeds: the shape in the rules is that of seeds as they are made.
func TestRealSeeds(t *testing.T) {
	rules := defaults(t)
	for _, create := range []func() (nkeys.KeyPair, error){nkeys.CreateUser, nkeys.CreateAccount, nkeys.CreateOperator, nkeys.CreateServer, nkeys.CreateCluster, nkeys.CreateCurveKeys} {
		pair, err := create()
		if err != nil {
			t.Fatal(err)
		}
		seed, err := pair.Seed()
		if err != nil {
			t.Fatal(err)
		}
		if v, err := rules.Scan(t.Context(), []string{"NATS_NKEY_SEED=" + string(seed)}); err != nil || v.Rule != "secret-nkey" {
			t.Errorf("%s…: %+v, %v", seed[:3], v, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(valid)
	f.Add("rules:\n  - id: a\n    score: 1e-1\n    keywords: ['\u0130\u0130', a b c]\n    patterns: ['(?i:x)|\\Qy\\E']\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse("r.yaml", []byte(text))
		var all *config.Errors
		switch {
		case err != nil && !errors.As(err, &all):
			t.Errorf("got %v", err)
		case err == nil && r.Len() == 0:
			t.Error("no rules, and no fault")
		}
	})
}
