package openclaw

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tailscale/hujson"
)

const proxy = "http://security-llm-proxy:8080"

// asRead is a document as a program reads it.
func asRead(t *testing.T, text []byte) any {
	t.Helper()
	root, err := hujson.Parse(text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return decoded(root)
}

// commented is a file that a person keeps.
const commented = `// my claw
{
  "agents": {
    "defaults": {
      // the best one
      "model": "anthropic/claude-sonnet-4-5", // for now
      "workspace": "~/claw",
    },
    "list": [{ "id": "main", "model": { "primary": "openrouter/x/y" } }],
  },
  "models": {
    "providers": {
      "anthropic": {
        "baseUrl": "https://api.anthropic.com", // theirs
        "apiKey": "sk-ant-mine",
        "models": [
          // with a long window
          { "id": "claude-sonnet-4-5", "name": "Claude Sonnet 4.5", "contextWindow": 1000000 },
        ],
      },
      /* kept for later */
      "ollama": { "baseUrl": "http://10.0.0.5:11434", "models": [] }
    }
  }
}
`

func files() map[string]string {
	return map[string]string{
		"nothing":         "",
		"empty":           "{}\n",
		"as it comes":     "{\n  \"meta\": {\n    \"lastTouchedVersion\": \"2026.9.4\"\n  },\n  \"gateway\": {\n    \"mode\": \"local\"\n  }\n}\n",
		"commented":       commented,
		"on one line":     `{"agents":{"defaults":{"model":{"primary":"openai/gpt-6-astra","fallbacks":["anthropic/claude-opus-5"]}}},"models":{"providers":{"openai":{"baseUrl":"https://api.openai.com/v1","auth":"oauth","models":[]}}}}`,
		"with tabs":       "{\n\t\"models\": {\n\t\t\"mode\": \"merge\"\n\t}\n}\n",
		"Windows":         "{\r\n  \"models\": {}\r\n}\r\n",
		"a bundled one":   `{ "models": { "providers": { "anthropic": { "baseUrl": "https://relay.example" , "models": [] } } } }`,
		"a text and more": `{"agents": {"defaults": {"model": "google/gemini-3.1-pro-preview", "imageModel": {"primary": "openai/gpt-5.6"}}}}`,
	}
}

// What is written fits both schemas, leads through the proxy, keeps what a person has
// written, is the same the second time, and can be taken back.
func TestApply(t *testing.T) {
	for release, schema := range releases() {
		for name, before := range files() {
			for _, token := range []string{"", "a-token-of-the-client"} {
				t.Run(release+" "+name+" "+token, func(t *testing.T) {
					dir, undo := t.TempDir(), t.TempDir()
					file := filepath.Join(dir, "openclaw.json")
					if before != "" {
						if err := os.WriteFile(file, []byte(before), 0o640); err != nil {
							t.Fatal(err)
						}
					}
					options := Options{Base: proxy, Providers: []string{"anthropic", "openai", "gemini"}, Version: release, Token: token}
					if outcome, err := Apply(file, undo, options); err != nil || !outcome.Changed {
						t.Fatal(outcome, err)
					}
					after, err := os.ReadFile(file)
					if err != nil {
						t.Fatal(err)
					}
					value := asRead(t, after)
					if faults := append(schema("", value), throughProxy(value)...); len(faults) > 0 {
						t.Errorf("%s\nin\n%s", strings.Join(faults, "\n"), after)
					}
					for comment := range strings.Lines(before) {
						if _, comment, ok := strings.Cut(comment, "//"); ok && !strings.Contains(comment, `"`) && !bytes.Contains(after, []byte("//"+strings.TrimRight(comment, "\r\n"))) {
							t.Errorf("the comment %q is lost in\n%s", comment, after)
						}
					}
					if bytes.Contains(after, []byte("sk-ant-mine")) {
						t.Error("the key is still there")
					}
					if outcome, err := Apply(file, undo, options); err != nil || outcome.Changed {
						t.Errorf("the second time: %+v, %v", outcome, err)
					}
					if outcome, err := Restore(file, undo); err != nil || !outcome.Changed {
						t.Fatal(outcome, err)
					}
					restored, err := os.ReadFile(file)
					if before == "" && !os.IsNotExist(err) || before != "" && string(restored) != before {
						t.Errorf("restored to %q, %v", restored, err)
					}
					if info, err := os.Stat(file); err == nil && info.Mode().Perm() != 0o640 {
						t.Errorf("mode %s", info.Mode())
					}
					if left, _ := os.ReadDir(undo); len(left) > 0 {
						t.Errorf("left in the undo directory: %v", left)
					}
				})
			}
		}
	}
}

// The snippets that were printed and documented before, which OpenClaw refuses or
// reads as something else.
func TestSchemaRefusesFormerSnippets(t *testing.T) {
	const noModels = `{"models": {"providers": {"anthropic": {"baseUrl": "http://security-llm-proxy:8080", "apiKey": "none"}}}}`
	const compatOnProvider = `{"models": {"mode": "merge", "providers": {"openai": {"baseUrl": "http://security-llm-proxy:8080/v1", "apiKey": "none", "api": "openai-responses",
		"compat": {"supportsUsageInStreaming": true}, "models": [{"id": "gpt-5", "name": "GPT-5", "contextWindow": 400000, "maxTokens": 128000}]}}}}`
	for release, schema := range releases() {
		for snippet, want := range map[string][]string{
			noModels:         {"anthropic: has no models", "anthropic: has no api that the proxy speaks"},
			compatOnProvider: {"models.providers.openai.compat: is not known"},
		} {
			value := asRead(t, []byte(snippet))
			faults := append(schema("", value), throughProxy(value)...)
			for _, fault := range want {
				if !slices.Contains(faults, fault) {
					t.Errorf("%s: %q, want %s", release, faults, fault)
				}
			}
		}
	}
	if faults := releases()["2026.3.13"]("", asRead(t, []byte(noModels))); !slices.Contains(faults, "models.providers.anthropic.models: is missing") {
		t.Errorf("spring accepts a provider without models: %q", faults)
	}
}

// Every configuration that the documentation shows fits.
func TestDocumentedSnippets(t *testing.T) {
	var text []byte
	for _, page := range []string{"proxy.md", "openclaw.md"} {
		one, err := os.ReadFile("../../../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, one...)
	}
	snippets := regexp.MustCompile("(?s)```json5\n(.*?)```").FindAllSubmatch(text, -1)
	if len(snippets) < 7 {
		t.Fatalf("only %d configurations are shown", len(snippets))
	}
	for _, snippet := range snippets {
		value := asRead(t, snippet[1])
		faults := append(releases()["2026.9.4"]("", value), throughProxy(value)...)
		if !bytes.Contains(snippet[1], []byte("2026.9")) {
			faults = append(faults, releases()["2026.3.13"]("", value)...)
		}
		if len(faults) > 0 {
			t.Errorf("%s\nin\n%s", strings.Join(faults, "\n"), snippet[1])
		}
	}
}

func TestApplyKeepsTheLayout(t *testing.T) {
	d, err := Parse([]byte(commented))
	if err != nil {
		t.Fatal(err)
	}
	notes, err := Configure(d, Options{Base: proxy, Providers: []string{"anthropic", "gemini"}, Version: "2026.9.4"})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer(
		`"model": "anthropic/claude-sonnet-4-5", // for now`, `"model": {
        "primary": "anthropic/claude-sonnet-4-5",
        "fallbacks": [
          "google/gemini-3.1-pro-preview"
        ]
      }, // for now`,
		`"https://api.anthropic.com", // theirs`, `"http://security-llm-proxy:8080", // theirs`,
		`"sk-ant-mine"`, `"none"`,
		`"contextWindow": 1000000 },
        ],
      },`, `"contextWindow": 1000000, "compat": {"sendSessionAffinityHeaders":true} },
        ],
        "api": "anthropic-messages",
        "auth": "api-key",
      },`,
		`"models": [] }
    }`, `"models": [] },
      "google": {
        "baseUrl": "http://security-llm-proxy:8080/v1beta",
        "api": "google-generative-ai",
        "auth": "api-key",
        "apiKey": "none",
        "models": [
          {
            "id": "gemini-3.1-pro-preview",
            "name": "Gemini 3.1 Pro",
            "reasoning": true,
            "input": [
              "text",
              "image"
            ],
            "compat": {
              "sendSessionAffinityHeaders": true
            }
          }
        ]
      }
    }`).Replace(commented)
	if got := string(d.Bytes()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if want := []string{"the model openrouter/x/y does not go through the proxy"}; !slices.Equal(notes, want) {
		t.Errorf("notes %q, want %q", notes, want)
	}
}

// JSON5 that cannot be edited in place is refused, and so is a file that is not ours
// to replace; nothing is changed.
func TestApplyRefuses(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"unquoted names": {"{ models: {} }", "JSON5"},
		"single quotes":  {`{ 'models': {} }`, "JSON5"},
		"cut off":        {`{ "models": {`, "line 1"},
		"a name twice":   {`{ "models": {}, "models": {} }`, `"models" twice`},
		"a list":         {`[]`, "not an object"},
		"models a text":  {`{ "models": "x" }`, "models is not an object"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, undo := t.TempDir(), t.TempDir()
			file := filepath.Join(dir, "openclaw.json")
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Apply(file, undo, Options{Base: proxy, Providers: []string{"anthropic"}})
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "was not changed") {
				t.Errorf("error %v, want %s", err, test.want)
			}
			if now, err := os.ReadFile(file); err != nil || string(now) != test.text {
				t.Errorf("the file is %q, %v", now, err)
			}
			if left, _ := os.ReadDir(undo); len(left) > 0 {
				t.Errorf("the undo directory has %v", left)
			}
		})
	}
	link := filepath.Join(t.TempDir(), "openclaw.json")
	if err := os.Symlink("/etc/hostname", link); err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(link, t.TempDir(), Options{Base: proxy, Providers: []string{"anthropic"}}); err == nil || !strings.Contains(err.Error(), "a link") {
		t.Errorf("a link: %v", err)
	}
	if _, err := Parse([]byte("{a: 1}")); !errors.Is(err, ErrJSON5) {
		t.Errorf("error %v, want ErrJSON5", err)
	}
}

// Of a file that was changed since, what is still ours is taken back.
func TestRestoreOfAFileThatWasChanged(t *testing.T) {
	dir, undo := t.TempDir(), t.TempDir()
	file := filepath.Join(dir, "openclaw.json")
	if err := os.WriteFile(file, []byte(commented), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(file, undo, Options{Base: proxy, Providers: []string{"anthropic", "openai"}, Version: "2026.9.4"}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), `"~/claw"`, `"~/other"`, 1)
	changed = strings.Replace(changed, `"http://security-llm-proxy:8080/v1"`, `"http://elsewhere/v1"`, 1)
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	outcome, err := Restore(file, undo)
	if err != nil || !outcome.Changed {
		t.Fatal(outcome, err)
	}
	if want := []string{"models.providers.openai.baseUrl was changed since, and stays as it is"}; !slices.Equal(outcome.Notes, want) {
		t.Errorf("notes %q, want %q", outcome.Notes, want)
	}
	text, err = os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{
		"agents.defaults.workspace":          "~/other",
		"agents.defaults.model":              "anthropic/claude-sonnet-4-5",
		"models.providers.anthropic.apiKey":  "sk-ant-mine",
		"models.providers.anthropic.baseUrl": "https://api.anthropic.com",
		"models.providers.anthropic.api":     nil,
		"models.providers.openai.baseUrl":    "http://elsewhere/v1",
		"models.providers.openai.models":     nil,
		"agents.defaults.modelPolicy":        nil,
	} {
		if got, _ := d.Get(strings.Split(path, ".")...); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
}

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		".env":          "# ANTHROPIC_API_KEY=old\nOPENAI_API_KEY=sk-x\nexport GROQ_API_KEY='y'\nEMPTY_API_KEY=\nLOG_LEVEL=debug\n",
		"openclaw.json": `{"env": {"vars": {"XAI_API_KEY": "z", "LANG": "C"}}, "models": {"providers": {"anthropic": {"apiKey": "none"}, "groq": {"apiKey": "gsk"}, "zai": {"apiKey": "${ZAI_API_KEY}"}, "x": {"apiKey": {"source": "env"}}}}}`,
		"agents/main/agent/openclaw-agent.sqlite": "", "state/openclaw.sqlite": "", "secrets.json": "{}",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Keys(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range found {
		place, _, _ := strings.Cut(line, ": keys of")
		place, _, _ = strings.Cut(place, ": device")
		place, _, _ = strings.Cut(place, ": values")
		got = append(got, place)
		for _, secret := range []string{"sk-x", "gsk", `"z"`} {
			if strings.Contains(line, secret) {
				t.Errorf("%s shows a key", line)
			}
		}
	}
	want := []string{
		"secrets.json", "state/openclaw.sqlite", "agents/main/agent/openclaw-agent.sqlite", ".env: OPENAI_API_KEY", ".env: GROQ_API_KEY",
		"openclaw.json: env.vars.XAI_API_KEY", "openclaw.json: models.providers.groq.apiKey",
	}
	if !slices.Equal(got, want) {
		t.Errorf("found %q\nwant  %q", got, want)
	}
	if found, err := Keys(t.TempDir()); err != nil || len(found) > 0 {
		t.Errorf("of an empty directory: %q, %v", found, err)
	}
}
